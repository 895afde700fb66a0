"""Narrowing a tool's JSON Schema to the subset that Google's proto Schema takes.

Each level is flattened first (`schema_levels.py`), then a new schema is built from the few keywords
that are allowed; so nothing unknown can pass, and a property may be called `title`. Constraints
without a keyword of their own move into the description, where the model reads them.
Pure: the input is never changed. Rules and their order: protocols/cloudcode.md 3.6.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from mcp_proxy.schema_levels import TYPES, JsonObject, Level, Leveller, as_list, kind_of

MAX_DEPTH: Final = 60
"""Levels; what lies deeper is described by its type alone. orjson writes at most 254 brackets."""

ELEMENT: Final = 0
"""In a path: every element of the array."""

Path = tuple[str | int, ...]


def as_schema(value: Any) -> JsonObject:
    """A schema as declared, or one without constraints in place of what is no object."""
    return value if isinstance(value, dict) else {}


class Narrowed(NamedTuple):
    schema: JsonObject
    placeholders: tuple[Path, ...]
    """Where properties were added that the original does not have; not to be shown to its owner."""


def narrow(schema: Any, *, validated: bool) -> Narrowed:
    """A tool's parameters: always an object at the root, whatever the input is.

    `validated`: the upstream checks arguments against the schema and then wants every object to
    have a property, and every nested one a required property; placeholders are added for that.
    """
    work = _Narrowing(schema, validated=validated)
    root = work.narrow(schema, path=(), refs=frozenset(), must_be_object=True)
    return Narrowed(root, tuple(work.placeholders))


class NarrowedAnswer(NamedTuple):
    schema: JsonObject
    is_faithful: bool
    """False: it rules out answers that the original takes, or leaves out what makes one valid.
    Constraints that are told in descriptions are not meant."""


def narrow_answer(schema: JsonObject) -> NarrowedAnswer:
    """The schema of a structured answer, which may be any type at the root."""
    work = _Narrowing(schema, validated=False)
    root = work.narrow(schema, path=(), refs=frozenset())
    return NarrowedAnswer(root, work.is_faithful)


def without_placeholders(value: Any, placeholders: Iterable[Path]) -> None:
    """Removes from arguments, in place, what the model filled in for placeholders."""
    for path in placeholders:
        _remove(value, path)


def _remove(value: Any, path: Path) -> None:
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        for element in value if isinstance(value, list) else ():
            _remove(element, rest)
    elif isinstance(value, dict):
        if rest:
            _remove(value.get(step), rest)
        else:
            value.pop(step, None)


_CONSTRAINTS: Final = (
    "minLength",
    "maxLength",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "format",
    "default",
    "examples",
    "minimum",
    "maximum",
    "multipleOf",
)
"""Told in the description; only scalar values are worth it."""


class _Narrowing:
    """One run over one schema."""

    def __init__(self, root: Any, *, validated: bool) -> None:
        self._levels = Leveller(root)
        self._validated = validated
        self.placeholders: list[Path] = []
        self.is_faithful = True

    def narrow(
        self, raw: Any, *, path: Path, refs: frozenset[str], must_be_object: bool = False
    ) -> JsonObject:
        """The finished schema: every key is put in by name, none is copied."""
        level = self._levels.level(raw, refs)
        kind = "object" if must_be_object else kind_of(level)
        self.is_faithful = self.is_faithful and _is_faithful(level, kind)
        out: JsonObject = {"type": kind}
        if kind == "object":
            self._add_properties(out, level, path)
        elif kind == "array":
            out["items"] = self._items(level, path)
        elif kind == "string":
            _add_enum(out, level)
        elif "enum" in level.node:
            level.hints.append(f"Allowed: {_listed(level.node['enum'])}")
        _add_hints(out, level)
        return out

    def _add_properties(self, out: JsonObject, level: Level, path: Path) -> None:
        properties = {
            name: self._below(sub, (*path, name), level) for name, sub in level.properties.items()
        }
        required = [name for name in dict.fromkeys(level.required) if name in properties]
        if self._validated:
            self._add_placeholder(properties, required, path)
        if properties or not path:
            out["properties"] = properties
        if required:
            out["required"] = required

    def _add_placeholder(self, properties: JsonObject, required: list[str], path: Path) -> None:
        if not properties:
            name = "reason"
            properties[name] = {"type": "string", "description": "Why this is called, in brief"}
        elif path and not required:
            name = "_"
            while name in properties:
                name += "_"
            properties[name] = {"type": "boolean", "description": "Always true"}
        else:
            return
        required.append(name)
        self.placeholders.append((*path, name))

    def _items(self, level: Level, path: Path) -> JsonObject:
        items = level.node.get("items", level.node.get("prefixItems"))
        if isinstance(items, list):  # a tuple: the proto has one schema for all elements
            items = [item for at, item in enumerate(items) if item not in items[:at]]
            items = items[0] if len(items) == 1 else {"anyOf": items}
        if not isinstance(items, dict) or not items:
            return {"type": "string"}
        return self._below(items, (*path, ELEMENT), level)

    def _below(self, raw: Any, path: Path, parent: Level) -> JsonObject:
        if len(path) > MAX_DEPTH:
            self.is_faithful = False
            return _shallow(raw)
        return self.narrow(raw, path=path, refs=parent.refs)


_CONDITIONS: Final = ("if", "patternProperties", "dependentRequired", "dependentSchemas")
"""Keywords by which one part of an answer decides what another must be."""

_VALUES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _is_faithful(level: Level, kind: str) -> bool:
    """Whether the level allows what it did once it is of this one type, with the keywords kept."""
    node = level.node
    if level.is_merged or any(keyword in node for keyword in _CONDITIONS):
        return False
    if not _is_of_one_type(level, kind):
        return False
    if kind == "object":
        # Of an object of any keys there would be left one without any.
        rest = node.get("additionalProperties")
        return not isinstance(rest, dict) if level.properties else rest is False
    if kind == "array":
        is_tuple = "prefixItems" in node
        items = node.get("prefixItems" if is_tuple else "items")
        return bool(items) and not (is_tuple and "items" in node)
    return True


def _is_of_one_type(level: Level, kind: str) -> bool:
    """Whether the schema says that its values are of this type, and of no other."""
    raw = level.node.get("type")
    named = [raw] if isinstance(raw, str) else [t for t in as_list(raw) if t != "null"]
    if "enum" in level.node:
        values = [value for value in as_list(level.node["enum"]) if value is not None]
        # Empty text is left out of an enum (`_add_enum`).
        return bool(values) and all(isinstance(v, _VALUES[kind]) and v != "" for v in values)
    if not named:
        return kind in ("object", "array")  # known by its keywords; a string is but a guess
    return len(named) == 1 and str(named[0]).lower() == kind


_SCALARS: Final = TYPES - {"object", "array"}


def _shallow(raw: Any) -> JsonObject:
    """Below MAX_DEPTH: only the type, and text for what would need a description of its own."""
    kind = str(raw.get("type")).lower() if isinstance(raw, dict) else ""
    return {"type": kind if kind in _SCALARS else "string"}


def _add_enum(out: JsonObject, level: Level) -> None:
    """Text values only, none empty: the proto takes no others."""
    values = as_list(level.node.get("enum"))
    level.nullable = level.nullable or None in values
    allowed = [text for text in dict.fromkeys(_text(v) for v in values if v is not None) if text]
    if allowed:
        out["enum"] = allowed


def _listed(values: Any) -> str:
    return ", ".join(_text(value) for value in as_list(values)[:10])


def _add_hints(out: JsonObject, level: Level) -> None:
    node, hints = level.node, level.hints
    if node.get("additionalProperties") is False:
        hints.append("No extra properties allowed")
    for keyword in _CONSTRAINTS:
        value = node.get(keyword)
        if isinstance(value, str | int | float):
            hints.append(f"{keyword}: {_text(value)}")
    if isinstance(node.get("not"), dict):
        hints.append(f"Not: {_text(node['not'])[:200]}")
    if level.nullable:
        out["nullable"] = True
        hints.append("nullable")
    described = node.get("description")
    description = described.strip() if isinstance(described, str) else ""
    for hint in dict.fromkeys(hints):
        description = f"{description} ({hint})" if description else hint
    if description:
        out["description"] = description


def _text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"
