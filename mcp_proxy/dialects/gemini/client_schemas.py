"""Google's `Schema` -> JSON Schema: upper-case types, counts written as text, `nullable`.

Applied to real JSON Schemas too, which some clients write with upper-case types (recordings
gemini-cli-default-model); one without those passes unchanged. Only keywords are touched, never
the names of properties nor values in `enum`, `default` or `example` (client-apis.md 4.1).
"""

from collections.abc import Callable
from typing import Any, Final

from mcp_proxy.strict_json import JsonObject

_DEEPEST: Final = 100
"""Levels. Deeper ones stay as they are: no upstream takes them, and recursion has an end."""

_KEYWORDS: Final = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "prefix_items": "prefixItems",
    "property_ordering": "propertyOrdering",
}
"""snake_case -> camelCase, of what never holds an object: a key that does is a property's name in
a schema that lacks its `properties`."""


def as_json_schema(schema: JsonObject) -> JsonObject:
    """A new schema that says the same; the given one stays as it is."""
    return _schema(schema, 0)


def _schema(schema: JsonObject, depth: int) -> JsonObject:
    if depth > _DEEPEST:
        return schema
    out: JsonObject = {}
    for key, value in schema.items():
        if key in _KEYWORDS and type(value) is not dict:
            key = _KEYWORDS[key]
        read = _READERS.get(key)
        out[key] = read(value, depth) if read is not None else value
    # An order of properties means something to Google alone; strict readers refuse the keyword.
    if type(out.get("propertyOrdering")) is list:
        del out["propertyOrdering"]
    if out.get("type") == "type_unspecified":
        del out["type"]
    if out.get("nullable") is True:
        del out["nullable"]
        _allow_null(out)
    return out


def _allow_null(schema: JsonObject) -> None:
    kind, choices, values = schema.get("type"), schema.get("anyOf"), schema.get("enum")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    if isinstance(choices, list):
        schema["anyOf"] = [*choices, {"type": "null"}]
    if isinstance(values, list) and None not in values:
        schema["enum"] = [*values, None]


def _type(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, list):
        return [_type(item, depth) for item in value]
    return _one(value, depth)


def _one(value: Any, depth: int) -> Any:
    return _schema(value, depth + 1) if isinstance(value, dict) else value


def _several(value: Any, depth: int) -> Any:
    if isinstance(value, list):
        return [_one(item, depth) for item in value]
    return _one(value, depth)


def _by_name(value: Any, depth: int) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _one(item, depth) for name, item in value.items()}


def _count(value: Any, depth: int) -> Any:
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        return int(value)
    return _one(value, depth)


_READERS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "type": _type,
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions", "defs"), _by_name),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems", "items"), _several),
    **dict.fromkeys(("additionalProperties", "not", "if", "then", "else"), _one),
    **dict.fromkeys(
        (keyword for keyword in _KEYWORDS.values() if keyword.startswith(("min", "max"))), _count
    ),
}
