"""Plausible values for a JSON schema: arguments of a tool call, an answer in JSON.

Only what is required is filled in, or everything when nothing is. Values follow from the prompt
where it has something fitting (a file path, a city), so that a demo reads sensibly.
"""

import re
from collections.abc import Callable
from typing import Any

from mcp_proxy.demo.refusals import JsonObject

_PATH = re.compile(r"(?:[\w.~-]*/)+[\w.-]+|\b[\w-]+\.[a-z]{1,5}\b")
_PLACES = re.compile(r"\bin ([A-ZÀ-Þ][\w-]+)(?:,? and ([A-ZÀ-Þ][\w-]+))?")
_CODE = re.compile(r"`([^`]+)`")
_DEPTH = 6

HELLO = "echo hello from mcproxy"


def instance(schema: JsonObject, prompt: str, nth: int = 0) -> Any:
    """A value that the schema allows. `nth` varies it: the second of two parallel calls."""
    return _value(schema, "", prompt, nth, _DEPTH)


def _value(schema: JsonObject, name: str, prompt: str, nth: int, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return choices[nth % len(choices)]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return _value(schema[union][0], name, prompt, nth, depth)
    make = _MAKERS.get(_type_of(schema), _text)
    return make(schema, name, prompt, nth, depth)


def _type_of(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((entry for entry in kind if entry != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()
    return "object" if "properties" in schema else "string"


def _object(schema: JsonObject, _name: str, prompt: str, nth: int, depth: int) -> JsonObject:
    properties = schema.get("properties") or {}
    if depth == 0:
        return {}
    wanted = schema.get("required") or list(properties)
    return {
        key: _value(properties[key], key, prompt, nth, depth - 1)
        for key in wanted
        if key in properties
    }


def _array(schema: JsonObject, name: str, prompt: str, nth: int, depth: int) -> list[Any]:
    return [_value(schema.get("items") or {}, name, prompt, nth, depth - 1)] if depth else []


def _text(_schema: JsonObject, name: str, prompt: str, nth: int, _depth: int) -> str:
    lowered = name.lower()
    for fragments, make in _BY_NAME:
        if any(fragment in lowered for fragment in fragments):
            return make(prompt, nth)
    return "example"


def _code(prompt: str, _nth: int) -> str:
    """What a tool without a schema is handed: whatever the prompt has in backquotes."""
    found = _CODE.search(prompt)
    return found[1] if found else "example"


def _path(prompt: str, nth: int) -> str:
    found = _PATH.findall(prompt)
    return found[nth % len(found)] if found else "README.md"


def _place(prompt: str, nth: int) -> str:
    match = _PLACES.search(prompt)
    named = [name for name in match.groups() if name] if match else ["Paris", "London"]
    return named[nth % len(named)]


_BY_NAME: tuple[tuple[tuple[str, ...], Callable[[str, int], str]], ...] = (
    (("command", "cmd", "script"), lambda _prompt, _nth: HELLO),
    (("path", "file"), _path),
    (("city", "location", "place"), _place),
    (("input", "code"), _code),
    (("url", "uri"), lambda _prompt, _nth: "https://example.com/"),
    (("query", "pattern", "question"), lambda prompt, _nth: prompt[:60] or "mcproxy"),
    (("description", "reason"), lambda _prompt, _nth: "Asked for in the conversation"),
)

_MAKERS: dict[str, Callable[[JsonObject, str, str, int, int], Any]] = {
    "object": _object,
    "array": _array,
    "integer": lambda _schema, _name, _prompt, nth, _depth: nth + 1,
    "number": lambda _schema, _name, _prompt, nth, _depth: nth + 1.5,
    "boolean": lambda *_: True,
    "null": lambda *_: None,
    "string": _text,
}
