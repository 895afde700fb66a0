"""Schemas of tools and answers for APIs that take nearly all of JSON Schema.

Those of OpenAI and Anthropic do, so what is sound goes as it is; only what they would refuse is
rebuilt by `jsonschema.narrow`, which keeps less but is always legal.
"""

from functools import lru_cache
from typing import Any, Final

import orjson

from mcp_proxy.conversation import Tool
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.wording import bad_answer_schema, bad_tool_schema
from mcp_proxy.jsonschema import narrow, narrow_answer
from mcp_proxy.schema_levels import SchemaTooLarge

_TYPES: Final = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
_REFUSED_AT_ROOT: Final = ("anyOf", "oneOf", "allOf", "enum", "not", "$ref")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties")
DEEPEST: Final = 60
"""Levels. orjson writes at most 254 brackets, and one level may have three."""

MAX_KEPT: Final = 32 * 1024
"""Bytes of a schema; larger ones are read anew each time, so that the cache stays small."""


def parameters(tool: Tool) -> tuple[orjson.Fragment, bool]:
    """The schema for a tool's arguments, and whether it meets the rules of strict mode.

    Clients repeat the same tools with every turn, so finished ones are kept. Raises BadRequest for
    a schema that cannot be written within bounds.
    """
    try:
        schema = orjson.dumps(tool.schema)
        read = _parameters if len(schema) <= MAX_KEPT else _parameters.__wrapped__
        return read(schema)
    except (SchemaTooLarge, orjson.JSONEncodeError) as cause:
        raise bad_tool_schema(tool, cause) from cause


@lru_cache(maxsize=512)
def _parameters(text: bytes) -> tuple[orjson.Fragment, bool]:
    schema = orjson.loads(text)
    # What is neither has its properties with nothing around them, and is rebuilt below.
    is_object = not schema or "type" in schema or "properties" in schema
    if is_object and not any(key in schema for key in _REFUSED_AT_ROOT):
        schema = {"type": "object", "properties": {}, **schema}
    if schema.get("type") != "object" or not _is_sound(schema):
        schema = narrow(orjson.loads(text), validated=False).schema
    return orjson.Fragment(orjson.dumps(schema)), _is_closed(schema)


def _is_sound(node: Any, depth: int = 0) -> bool:
    """Whether the upstream would take it: types by their names, containers with their contents."""
    if isinstance(node, bool):
        return depth > 0
    if not isinstance(node, dict) or depth > DEEPEST or not _has_sound_type(node):
        return False
    if not _is_names(node.get("required", [])) or node.get("enum", True) == []:
        return False
    return all(_is_sound(below, depth + 1) for below in _below(node))


def _has_sound_type(node: JsonObject) -> bool:
    kinds = node.get("type", [])
    if isinstance(kinds, str):
        kinds = [kinds]
    if not isinstance(kinds, list) or not all(isinstance(k, str) and k in _TYPES for k in kinds):
        return False
    return "array" not in kinds or isinstance(node.get("items"), dict) or "prefixItems" in node


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _below(node: JsonObject) -> list[Any]:
    """The schemas directly inside; one that is unsound stands for a container of a wrong kind."""
    found: list[Any] = []
    for key in _MAPS:
        inner = node.get(key, {})
        found += inner.values() if isinstance(inner, dict) else [None]
    for key in _LISTS:
        inner = node.get(key, [True])
        found += inner if isinstance(inner, list) and inner else [None]
    for key in ("items", "additionalProperties", "not"):
        if key in node:
            found.append(node[key])
    return found


def answer_schema(schema: JsonObject) -> tuple[JsonObject, bool]:
    """The schema of a structured answer, and whether it meets the rules of strict mode.

    Raises BadRequest like `parameters`.
    """
    if not _is_sound(schema):
        try:
            schema = narrow_answer(schema).schema
        except SchemaTooLarge as cause:
            raise bad_answer_schema(cause) from cause
    return schema, _is_closed(schema)


def is_of_object(schema: JsonObject) -> bool:
    """Whether a structured answer is an object for certain: OpenAI takes no other schema for it.

    Raises BadRequest like `parameters`.
    """
    repaired, _ = answer_schema(schema)
    is_plain = not any(key in repaired for key in _REFUSED_AT_ROOT)
    return is_plain and repaired.get("type") == "object"


def is_strict(schema: JsonObject) -> bool:
    """Whether strict mode takes the schema as it is."""
    return _is_sound(schema) and _is_closed(schema)


def _is_closed(schema: Any, depth: int = 0) -> bool:
    """Whether strict mode takes a sound schema: no object has further or optional properties."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return False
    if any(key in schema for key in ("oneOf", "allOf", "not", "patternProperties", "prefixItems")):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        is_closed = schema.get("additionalProperties") is False
        if not is_closed or set(schema.get("required", ())) != set(properties):
            return False
    elif depth == 0:
        return False
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    for key in ("properties", "$defs", "definitions"):
        inner += schema.get(key, {}).values()
    return all(_is_closed(below, depth + 1) for below in inner)
