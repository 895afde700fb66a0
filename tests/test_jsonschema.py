"""Narrowing: what comes out is a schema of the upstream's subset, whatever goes in."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.jsonschema import (
    ELEMENT,
    MAX_DEPTH,
    narrow,
    narrow_answer,
    without_placeholders,
)
from mcp_proxy.schema_levels import MAX_NODES, SchemaTooLarge

ALLOWED = {"type", "description", "properties", "required", "items", "enum", "nullable"}
TYPES = {"string", "number", "integer", "boolean", "array", "object"}


def properties(schema: Any, *, validated: bool = False) -> dict[str, Any]:
    """The properties of a narrowed tool schema."""
    return narrow(schema, validated=validated).schema["properties"]


def prop(schema: Any, *, validated: bool = False) -> dict[str, Any]:
    """One property's schema, narrowed."""
    return properties({"type": "object", "properties": {"p": schema}}, validated=validated)["p"]


def assert_narrow(schema: Any, *, validated: bool, is_root: bool = True) -> None:
    """Every level has a type, allowed keywords only, and what VALIDATED wants."""
    assert set(schema) <= ALLOWED
    assert schema["type"] in TYPES
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
    assert all(isinstance(value, str) and value for value in schema.get("enum", ()))
    assert "enum" not in schema or schema["type"] == "string"
    assert ("items" in schema) == (schema["type"] == "array")
    if validated and schema["type"] == "object":
        assert schema["properties"]
        assert is_root or schema["required"]
    for sub in schema.get("properties", {}).values():
        assert_narrow(sub, validated=validated, is_root=False)
    if "items" in schema:
        assert_narrow(schema["items"], validated=validated, is_root=False)


def test_example_of_the_protocol_page():
    schema = {
        "type": "object",
        "properties": {
            "fmt": {"anyOf": [{"const": "a"}, {"const": "b"}]},
            "n": {"type": ["integer", "null"], "minimum": 1},
        },
        "required": ["fmt", "zzz"],
        "additionalProperties": False,
    }
    assert narrow(schema, validated=True).schema == {
        "type": "object",
        "properties": {
            "fmt": {"type": "string", "enum": ["a", "b"]},
            "n": {"type": "integer", "nullable": True, "description": "minimum: 1 (nullable)"},
        },
        "required": ["fmt"],
        "description": "No extra properties allowed",
    }


@pytest.mark.parametrize(
    ("given_schema", "narrowed"),
    [
        pytest.param({"type": "STRING"}, {"type": "string"}, id="upper-case type"),
        pytest.param({}, {"type": "string"}, id="no type"),
        pytest.param(True, {"type": "string"}, id="boolean schema"),
        pytest.param(None, {"type": "string"}, id="not a schema"),
        pytest.param({"type": "any"}, {"type": "string"}, id="unknown type"),
        pytest.param(
            {"type": "null"},
            {"type": "string", "nullable": True, "description": "nullable"},
            id="null only",
        ),
        pytest.param(
            {"type": "array"}, {"type": "array", "items": {"type": "string"}}, id="no items"
        ),
        pytest.param(
            {"items": {"type": "integer"}},
            {"type": "array", "items": {"type": "integer"}},
            id="items without type",
        ),
        pytest.param(
            {"type": "array", "items": [{"type": "number"}]},
            {"type": "array", "items": {"type": "number"}},
            id="tuple of one",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]},
            {
                "type": "array",
                "items": {"type": "number", "description": "Accepts: number | string"},
            },
            id="tuple of two types",
        ),
        pytest.param(
            {"type": "array", "items": True},
            {"type": "array", "items": {"type": "string"}},
            id="any items",
        ),
        pytest.param({"const": "x"}, {"type": "string", "enum": ["x"]}, id="const"),
        pytest.param(
            {"enum": ["a", "", "b", "a"]}, {"type": "string", "enum": ["a", "b"]}, id="empty value"
        ),
        pytest.param(
            {"enum": ["a", None]},
            {"type": "string", "enum": ["a"], "nullable": True, "description": "nullable"},
            id="null among the values",
        ),
        pytest.param({"type": "string", "enum": []}, {"type": "string"}, id="empty enum"),
        pytest.param(
            {"type": "string", "enum": [1, True]},
            {"type": "string", "enum": ["1", "true"]},
            id="values that are no text",
        ),
        pytest.param(
            {"type": "integer", "enum": [1, 2]},
            {"type": "integer", "description": "Allowed: 1, 2"},
            id="numbers keep their type",
        ),
        pytest.param(
            {"enum": [1, 2.5]},
            {"type": "number", "description": "Allowed: 1, 2.5"},
            id="numbers without a type",
        ),
        pytest.param(
            {"enum": [True]}, {"type": "boolean", "description": "Allowed: true"}, id="booleans"
        ),
        pytest.param(
            {"type": ["string", "integer"]},
            {"type": "string", "description": "Accepts: string | integer"},
            id="list of types",
        ),
        pytest.param(
            {"type": "string", "description": "A date.", "format": "date", "minLength": 1},
            {"type": "string", "description": "A date. (minLength: 1) (format: date)"},
            id="constraints are told",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "string"}, "default": ["x"], "uniqueItems": True},
            {"type": "array", "items": {"type": "string"}, "description": "uniqueItems: true"},
            id="only scalars are told",
        ),
        pytest.param(
            {"type": "string", "not": {"const": "x"}},
            {"type": "string", "description": 'Not: {"const": "x"}'},
            id="not",
        ),
        pytest.param(
            {"anyOf": [{"type": "null"}, {"type": "integer", "description": "How many"}]},
            {"type": "integer", "nullable": True, "description": "How many (nullable)"},
            id="optional",
        ),
        pytest.param(
            {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            {
                "type": "array",
                "items": {"type": "string"},
                "description": "Accepts: string | array",
            },
            id="the richest branch",
        ),
        pytest.param(
            {"anyOf": [{"type": "object"}, {"type": "string"}]},
            {"type": "string", "description": "Accepts: object | string"},
            id="an object without properties is no richer than a text",
        ),
        pytest.param(
            {"type": "string", "nullable": True},
            {"type": "string", "nullable": True, "description": "nullable"},
            id="nullable in the words of OpenAPI",
        ),
        pytest.param(
            {"description": "Mine", "anyOf": [{"type": "string", "description": "Theirs"}]},
            {"type": "string", "description": "Mine"},
            id="the parent's description wins",
        ),
        pytest.param(
            {"type": "string", "title": "T", "x-order": 1, "$comment": "c", "deprecated": True},
            {"type": "string"},
            id="unknown keywords vanish",
        ),
    ],
)
def test_property_is_narrowed(given_schema, narrowed):
    assert prop(given_schema) == narrowed


@pytest.mark.parametrize(
    "schema", [None, True, [], "x", {}, {"type": "string"}, {"type": None}, {"properties": []}]
)
def test_root_is_always_an_object(schema):
    assert narrow(schema, validated=False).schema["type"] == "object"
    assert narrow(schema, validated=False).schema["properties"] == {}


def test_names_of_properties_are_no_keywords():
    names = ["title", "format", "default", "pattern", "type", "enum", "$ref", "x-y", "items", "not"]
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
    assert list(properties(schema)) == names


def test_bare_property_map_is_wrapped():
    schema = {"path": {"type": "string", "required": True}, "type": {"type": "integer"}}
    assert narrow(schema, validated=False).schema == {
        "type": "object",
        "properties": {"path": {"type": "string"}, "type": {"type": "integer"}},
        "required": ["path"],
    }


def test_all_of_adds_up_and_the_parent_wins():
    schema = {
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "allOf": [
            {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["b"]},
            {"description": "From below"},
        ],
    }
    assert narrow(schema, validated=False).schema == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "description": "From below",
    }


def test_conditions_offer_their_properties():
    schema = {
        "properties": {"kind": {"type": "string"}},
        "if": {"properties": {"kind": {"const": "x"}}},
        "then": {"properties": {"x": {"type": "integer"}}, "required": ["x"]},
        "else": {"properties": {"y": {"type": "integer"}, "kind": {"type": "integer"}}},
    }
    narrowed = narrow(schema, validated=False).schema
    assert {name: sub["type"] for name, sub in narrowed["properties"].items()} == {
        "kind": "string",
        "x": "integer",
        "y": "integer",
    }
    assert "required" not in narrowed


def test_union_of_objects_at_the_root_offers_every_branch():
    schema = {
        "oneOf": [
            {
                "properties": {"op": {"const": "add"}, "text": {"type": "string"}},
                "required": ["op", "text"],
            },
            {
                "properties": {"op": {"const": "drop"}, "id": {"type": "integer"}},
                "required": ["op"],
            },
        ]
    }
    assert narrow(schema, validated=False).schema == {
        "type": "object",
        "properties": {
            "op": {"type": "string", "enum": ["add", "drop"]},
            "text": {"type": "string"},
            "id": {"type": "integer"},
        },
        "required": ["op"],
    }


class TestReferences:
    def test_are_inlined_and_what_stands_beside_them_wins(self):
        schema = {
            "properties": {"a": {"$ref": "#/$defs/A", "description": "Mine"}},
            "$defs": {"A": {"type": "integer", "description": "Theirs"}},
        }
        assert properties(schema)["a"] == {"type": "integer", "description": "Mine"}

    def test_names_are_unescaped(self):
        schema = {
            "properties": {"a": {"$ref": "#/$defs/x~1y%20z"}},
            "$defs": {"x/y z": {"type": "integer"}},
        }
        assert properties(schema)["a"]["type"] == "integer"

    def test_may_point_into_lists(self):
        schema = {"anyOf": [{"type": "integer"}], "properties": {"a": {"$ref": "#/anyOf/0"}}}
        assert properties(schema)["a"]["type"] == "integer"

    @pytest.mark.parametrize("ref", ["#/$defs/Nope", "https://elsewhere/s.json", "#/anyOf/7/x"])
    def test_that_lead_nowhere_are_named(self, ref):
        narrowed = prop({"$ref": ref})
        assert narrowed == {"type": "object", "description": f"See: {ref.rsplit('/', 1)[-1]}"}

    def test_cycle_is_cut_and_named(self):
        schema = {
            "properties": {"tree": {"$ref": "#/$defs/Node"}},
            "$defs": {
                "Node": {
                    "properties": {
                        "name": {"type": "string"},
                        "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    }
                }
            },
        }
        node = properties(schema)["tree"]
        assert node["properties"]["kids"]["items"] == {
            "type": "object",
            "description": "See: Node",
        }

    def test_to_the_root_itself_is_cut(self):
        narrowed = properties({"properties": {"a": {"$ref": "#"}, "b": {"type": "string"}}})
        assert narrowed["a"]["properties"]["a"]["description"] == "See: #"

    def test_in_a_circle_without_anything_else_is_cut(self):
        schema = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
        assert narrow(schema, validated=False).schema["type"] == "object"

    def test_that_double_at_every_level_are_refused_in_time(self):
        defs: dict[str, Any] = {"D0": {"type": "string"}}
        for level in range(1, 40):
            ref = {"$ref": f"#/$defs/D{level - 1}"}
            defs[f"D{level}"] = {"properties": {"a": ref, "b": ref}}
        began = time.perf_counter()
        with pytest.raises(SchemaTooLarge):
            narrow({"$ref": "#/$defs/D39", "$defs": defs}, validated=True)
        assert time.perf_counter() - began < 2


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_thousands_of_branches_are_narrowed_in_time(keyword):
    branches = [
        {"properties": {"kind": {"const": f"k{n}"}, f"p{n}": {"type": "string"}}}
        for n in range(MAX_NODES // 5)
    ]
    began = time.perf_counter()
    narrowed = narrow({keyword: branches}, validated=True).schema
    assert len(narrowed["properties"]) == len(branches) + 1
    assert time.perf_counter() - began < 5


def test_what_lies_too_deep_is_told_by_its_type():
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(400):
        schema = {"type": "object", "properties": {"a": schema}}
    level, depth = narrow(schema, validated=True).schema, 0
    while "a" in level.get("properties", ()):
        level, depth = level["properties"]["a"], depth + 1
    assert depth == MAX_DEPTH + 1
    assert level == {"type": "string"}


def test_combinations_without_end_are_refused():
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(450):
        schema = {"anyOf": [schema]}
    with pytest.raises(SchemaTooLarge):
        narrow(schema, validated=True)


class TestPlaceholders:
    def test_empty_object_gets_one_and_says_where(self):
        narrowed = narrow({"type": "object"}, validated=True)
        assert narrowed.schema["required"] == ["reason"]
        assert narrowed.placeholders == (("reason",),)

    def test_nested_object_gets_something_to_require(self):
        inner = {"type": "object", "properties": {"_": {"type": "string"}}}
        narrowed = narrow(
            {"properties": {"list": {"type": "array", "items": inner}}}, validated=True
        )
        items = narrowed.schema["properties"]["list"]["items"]
        assert items["required"] == ["__"]
        assert narrowed.placeholders == (("list", ELEMENT, "__"),)

    def test_optional_properties_at_the_root_need_none(self):
        schema = {"properties": {"a": {"type": "string"}}}
        assert narrow(schema, validated=True).placeholders == ()

    def test_unvalidated_schema_gets_none(self):
        assert narrow({"type": "object"}, validated=False).placeholders == ()

    def test_are_taken_out_of_the_arguments_again(self):
        arguments = {"reason": "mine", "list": [{"_": True, "a": 1}, "odd", {"a": 2}], "o": {}}
        without_placeholders(arguments, [("list", ELEMENT, "_"), ("o", "reason"), ("no", "x")])
        assert arguments == {"reason": "mine", "list": [{"a": 1}, "odd", {"a": 2}], "o": {}}


def test_schema_of_an_answer_may_be_a_list():
    narrowed = narrow_answer({"type": "array", "items": {"type": "integer", "minimum": 1}})
    assert narrowed.schema == {
        "type": "array",
        "items": {"type": "integer", "description": "minimum: 1"},
    }


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
POINT = {"type": "object", "properties": {"x": INTEGER}, "required": ["x"]}
NODE = {
    "type": "object",
    "properties": {"value": INTEGER, "below": {"type": "array", "items": {"$ref": "#/$defs/N"}}},
}


@pytest.mark.parametrize(
    "schema",
    [
        {**POINT, "additionalProperties": False},
        {"$defs": {"P": POINT}, "type": "array", "items": {"$ref": "#/$defs/P"}},
        {"anyOf": [POINT, {"type": "null"}]},
        {"allOf": [POINT, {"properties": {"y": STRING}}]},
        {"type": ["INTEGER", "null"]},
        {"enum": ["a", "b", None]},
        {"const": 3},
        {"enum": [1, 2.5]},
        {"anyOf": [{"const": "a"}, {"const": "b"}]},
        {"type": "array", "prefixItems": [INTEGER, INTEGER], "minItems": 2},
        {"type": "object", "properties": {}, "additionalProperties": False},
        {"type": "string", "format": "date", "maxLength": 9},
    ],
    ids=str,
)
def test_schema_of_an_answer_that_one_type_per_level_can_say(schema):
    assert narrow_answer(schema).is_faithful


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "array", "prefixItems": [INTEGER, STRING]}, id="tuple"),
        pytest.param({"type": "array", "items": [INTEGER, STRING]}, id="older tuple"),
        pytest.param({"prefixItems": [INTEGER], "items": STRING}, id="tuple with a rest"),
        pytest.param({"prefixItems": [INTEGER], "items": False}, id="closed tuple"),
        pytest.param({"type": "array"}, id="array of anything"),
        pytest.param({"type": "array", "items": {}}, id="array of any items"),
        pytest.param({"$defs": {"N": NODE}, "$ref": "#/$defs/N"}, id="recursive"),
        pytest.param({"$ref": "https://example.org/point"}, id="reference elsewhere"),
        pytest.param({"type": "object", "additionalProperties": INTEGER}, id="map"),
        pytest.param({"type": "object", "patternProperties": {"^a": INTEGER}}, id="patterns"),
        pytest.param({"type": "object"}, id="any object"),
        pytest.param({**POINT, "additionalProperties": INTEGER}, id="properties and others"),
        pytest.param({"anyOf": [INTEGER, STRING]}, id="union"),
        pytest.param({"oneOf": [POINT, NODE]}, id="union of objects"),
        pytest.param({"allOf": [{"anyOf": [INTEGER, STRING]}]}, id="union within allOf"),
        pytest.param({**POINT, "anyOf": [{"required": ["x"]}, {"required": []}]}, id="conditions"),
        pytest.param({**POINT, "if": POINT, "then": NODE}, id="if"),
        pytest.param({"type": ["integer", "string"]}, id="list of types"),
        pytest.param({"enum": [1, "a"]}, id="values of several types"),
        pytest.param({"enum": ["", "a"]}, id="empty value"),
        pytest.param({"const": {"a": 1}}, id="an object as the value"),
        pytest.param({"type": "null"}, id="null"),
        pytest.param({}, id="anything"),
        pytest.param({"description": "whatever it is"}, id="described"),
    ],
)
def test_schema_of_an_answer_that_narrowing_would_change(schema):
    assert not narrow_answer(schema).is_faithful
    within = {**POINT, "properties": {"x": schema}, "$defs": schema.get("$defs", {})}
    assert not narrow_answer(within).is_faithful


def test_input_is_never_changed():
    schema = {
        "$defs": {"A": {"properties": {"x": {"type": "string"}}, "required": ["x"]}},
        "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"y": {"type": "null"}}}],
        "anyOf": [{"properties": {"z": {"const": 1}}}, {"$ref": "#/$defs/A"}],
        "required": ["y"],
    }
    before = copy.deepcopy(schema)
    narrow(schema, validated=True)
    assert schema == before


KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "enum",
        "const",
        "$ref",
        "if",
        "then",
        "else",
        "not",
        "format",
        "description",
        "additionalProperties",
        "prefixItems",
        "default",
        "title",
        "minimum",
        "$defs",
        "nullable",
        "x-a",
        "a",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(
        ["string", "OBJECT", "array", "null", "#/$defs/a", "#", "#/properties/a", ""]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=25,
)


@given(schema=VALUES, validated=st.booleans())
def test_anything_at_all_becomes_a_narrow_schema(schema, validated):
    before = copy.deepcopy(schema)
    narrowed = narrow(schema, validated=validated)
    assert_narrow(narrowed.schema, validated=validated)
    assert schema == before


@given(schema=VALUES)
def test_narrowing_twice_changes_no_types(schema):
    once = narrow(schema, validated=False).schema
    twice = narrow(once, validated=False).schema
    assert shape(twice) == shape(once)


def shape(schema: dict[str, Any]) -> Any:
    """Types alone, without descriptions and the like."""
    return (
        schema["type"],
        {name: shape(sub) for name, sub in schema.get("properties", {}).items()},
        shape(schema["items"]) if "items" in schema else None,
    )
