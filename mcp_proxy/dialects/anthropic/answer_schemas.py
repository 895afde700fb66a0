"""Schemas for structured answers as Anthropic takes them in `output_config.format`.

The subset is that of the SDK's own transformation (anthropic 2.11, `lib/_parse/_transform.py`):
objects are closed, and constraints without a place there are told in the description.
"""

from typing import Any, Final

import orjson

from mcp_proxy.dialects.sent_schemas import DEEPEST
from mcp_proxy.schema_levels import SchemaTooLarge
from mcp_proxy.strict_json import JsonObject

_KEPT: Final = frozenset(
    {"type", "enum", "const", "description", "title", "required", "default", "$ref"}
)
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})
_LISTS: Final = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_SILENT: Final = frozenset({"additionalProperties", "$schema", "$id", "$comment", "examples"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)


def answer_schema(schema: JsonObject) -> JsonObject:
    """The schema in that subset; SchemaTooLarge when it is nested beyond all sense."""
    return _level(schema, 0)


def is_exact(schema: JsonObject) -> bool:
    """Whether the schema is in that subset as it stands."""
    try:
        return answer_schema(schema) == schema
    except SchemaTooLarge:
        return False


def _below(node: Any, depth: int) -> Any:
    """A schema within another; `true` and what is no schema at all stay for upstreams to judge."""
    return _level(node, depth + 1) if isinstance(node, dict) else node


def _level(node: JsonObject, depth: int) -> JsonObject:
    if depth > DEEPEST:
        raise SchemaTooLarge(f"the schema nests more than {DEEPEST} levels")
    out: JsonObject = {}
    untold: JsonObject = {}
    for key, value in node.items():
        if key in _KEPT or _is_kept_value(key, value):
            out[key] = value
        elif key in _MAPS and isinstance(value, dict):
            out[key] = {name: _below(sub, depth) for name, sub in value.items()}
        elif key in _LISTS and isinstance(value, list):
            out[_LISTS[key]] = [_below(sub, depth) for sub in value]
        elif key == "items":
            out[key] = _below(value, depth)
        elif key not in _SILENT:
            untold[key] = value
    if node.get("type") == "object" or "properties" in node:
        out["additionalProperties"] = False
    if untold:
        out["description"] = _told(out.get("description"), untold)
    return out


def _is_kept_value(key: str, value: Any) -> bool:
    return (key == "format" and value in _FORMATS) or (key == "minItems" and value in (0, 1))


def _told(description: Any, untold: JsonObject) -> str:
    hint = orjson.dumps(untold).decode()
    return f"{description}\n\n{hint}" if isinstance(description, str) and description else hint
