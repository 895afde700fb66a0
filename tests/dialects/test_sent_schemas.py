"""Schemas for OpenAI: what is sound stays as it is, what would be refused is rebuilt."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import Tool
from mcp_proxy.dialects.sent_schemas import answer_schema, is_strict, parameters
from mcp_proxy.errors import BadRequest

TEXT = {"type": "string"}


def sent(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(orjson.dumps(parameters(Tool("f", "", schema))[0]))
    return found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": ["string", "null"], "minLength": 1}}},
        {"type": "object", "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "number"}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": TEXT}},
        {"type": "object", "properties": {"a": {"enum": [1, None, "x"]}}, "$schema": "s", "x": 1},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [TEXT]}}},
        {"type": "object", "properties": {"anyOf": TEXT, "type": TEXT}},
    ],
)
def test_sound_schema_stays_as_it_is(schema):
    assert sent(schema) == schema


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}])
def test_what_is_missing_at_the_root_is_added(schema):
    assert sent(schema) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("schema", "repaired"),
    [
        ({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, TEXT),
        ({"type": "object", "properties": {"a": {"type": "string", "enum": []}}}, TEXT),
        ({"anyOf": [{"type": "object", "properties": {"a": TEXT}}, {"type": "null"}]}, TEXT),
        ({"type": "object", "properties": {"a": {"type": "string", "required": True}}}, TEXT),
    ],
)
def test_unsound_schema_is_rebuilt(schema, repaired):
    assert sent(schema)["properties"]["a"] == repaired


def test_array_without_items_gets_some():
    found = sent({"type": "object", "properties": {"a": {"type": "array"}}})
    assert isinstance(found["properties"]["a"]["items"], dict)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["object", "array", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "required", "enum", "$ref", "$defs", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf"]), json_values))
def test_whatever_comes_an_object_with_properties_goes(schema):
    found = sent(schema)
    assert found["type"] == "object"
    assert isinstance(found["properties"], dict)
    assert not {"anyOf", "oneOf", "allOf", "enum", "not"} & {*found}


CLOSED = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
CLOSED["additionalProperties"] = False


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": CLOSED}}, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [TEXT, {"type": "object"}]}}}, False),
        ({**CLOSED, "properties": {"a": {"oneOf": [TEXT]}}}, False),
        ({"type": "object", "properties": {}, "additionalProperties": False}, True),
        (TEXT, False),
        ({}, False),
    ],
)
def test_strict_mode_takes_only_closed_objects(schema, strict):
    assert answer_schema(schema) == (schema, strict)
    assert is_strict(schema) is strict


@given(json_values.filter(lambda value: isinstance(value, dict)))
def test_any_schema_of_an_answer_is_sent_or_repaired(schema):
    found, _ = answer_schema(schema)
    assert isinstance(found, dict)


def test_unsound_schema_of_an_answer_is_repaired():
    found, strict = answer_schema({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}})
    assert (found["type"], found["properties"]["a"], strict) == ("object", TEXT, False)


def test_schema_of_an_answer_beyond_all_bounds_is_the_clients_fault():
    schema: dict[str, Any] = {"type": "X", "anyOf": [{"properties": {"a": {}}}] * 6_000}
    with pytest.raises(BadRequest, match="the schema of the answer"):
        answer_schema(schema)
