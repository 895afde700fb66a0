"""Narrowing a tool's JSON Schema to the subset that Google's proto Schema takes.

Unions, references and conditions are resolved first, then a new schema is built from the few
keywords that are allowed; so nothing unknown can pass, and a property may be called `title`.
Constraints without a keyword of their own move into the description, where the model reads them.
Pure: the input is never changed. Rules and their order: protocols/cloudcode.md 3.6.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

JsonObject = dict[str, Any]

MAX_NODES: Final = 5_000
"""Schemas within one schema, after expansion. The largest real tools have some hundreds."""

MAX_DEPTH: Final = 60
"""Levels; what lies deeper is described by its type alone. orjson writes at most 254 brackets."""

MAX_NESTING: Final = 100
"""Combinations (allOf, anyOf, ...) directly inside each other."""

ELEMENT: Final = 0
"""In a path: every element of the array."""

Path = tuple[str | int, ...]


class SchemaTooLarge(ValueError):
    """Expanding the schema's references would exceed MAX_NODES."""


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


def narrow_answer(schema: JsonObject) -> JsonObject:
    """The schema of a structured answer, which may be any type at the root."""
    return _Narrowing(schema, validated=False).narrow(schema, path=(), refs=frozenset())


def without_placeholders(value: Any, placeholders: Iterable[Path]) -> None:
    """Removes from arguments, in place, what the model filled in for placeholders."""
    for path in placeholders:
        _remove(value, path)


def _remove(value: Any, path: Path) -> None:
    step, rest = path[0], path[1:]
    if step is ELEMENT:
        for element in value if isinstance(value, list) else ():
            _remove(element, rest)
    elif isinstance(value, dict):
        if rest:
            _remove(value.get(step), rest)
        else:
            value.pop(step, None)


_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})

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

_TAKE_OBJECTS: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "const",
        "contains",
        "contentSchema",
        "default",
        "definitions",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "discriminator",
        "else",
        "enum",
        "example",
        "examples",
        "externalDocs",
        "if",
        "items",
        "not",
        "patternProperties",
        "properties",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "xml",
    }
)
"""Keywords that may hold an object. Any other key that holds one is a property gone astray."""


@dataclass(slots=True)
class _Flat:
    """One schema without $ref, allOf, anyOf, oneOf and if: its own level only.

    Its containers are copies, so that merging changes nobody's input and stays linear.
    """

    node: JsonObject
    refs: frozenset[str]
    """References that led here; meeting one of them again further down is a cycle."""
    properties: JsonObject = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    nullable: bool = False


class _Narrowing:
    """One run; counts what it makes."""

    def __init__(self, root: Any, *, validated: bool) -> None:
        self._root = root
        self._validated = validated
        self._nodes = 0
        self._nesting = 0
        self.placeholders: list[Path] = []

    def narrow(
        self, raw: Any, *, path: Path, refs: frozenset[str], must_be_object: bool = False
    ) -> JsonObject:
        """The finished schema: every key is put in by name, none is copied."""
        flat = self._flatten(raw, refs)
        kind = "object" if must_be_object else _kind(flat)
        out: JsonObject = {"type": kind}
        if kind == "object":
            self._add_properties(out, flat, path)
        elif kind == "array":
            out["items"] = self._items(flat, path)
        elif kind == "string":
            _add_enum(out, flat)
        elif "enum" in flat.node:
            flat.hints.append(f"Allowed: {_listed(flat.node['enum'])}")
        _add_hints(out, flat)
        return out

    def _add_properties(self, out: JsonObject, flat: _Flat, path: Path) -> None:
        properties = {
            name: self._below(sub, (*path, name), flat) for name, sub in flat.properties.items()
        }
        required = [name for name in dict.fromkeys(flat.required) if name in properties]
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

    def _items(self, flat: _Flat, path: Path) -> JsonObject:
        items = flat.node.get("items", flat.node.get("prefixItems"))
        if isinstance(items, list):  # a tuple: the proto has one schema for all elements
            items = items[0] if len(items) == 1 else {"anyOf": items}
        if not isinstance(items, dict) or not items:
            return {"type": "string"}
        return self._below(items, (*path, ELEMENT), flat)

    def _below(self, raw: Any, path: Path, parent: _Flat) -> JsonObject:
        if len(path) > MAX_DEPTH:
            return _shallow(raw)
        return self.narrow(raw, path=path, refs=parent.refs)

    def _flatten(self, raw: Any, refs: frozenset[str]) -> _Flat:
        """The schema's own level, with references, combinations and conditions resolved."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise SchemaTooLarge(f"the schema nests more than {MAX_NESTING} combinations")
        flat = self._resolved(raw if isinstance(raw, dict) else {}, refs)
        for branch in _list(flat.node.pop("allOf", None)):
            _absorb(flat, self._flatten(branch, flat.refs))
        for keyword in ("then", "else"):
            branch = flat.node.pop(keyword, None)
            if isinstance(branch, dict) and "if" in flat.node:
                _absorb_properties(flat, self._flatten(branch, flat.refs))
        for keyword in ("anyOf", "oneOf"):
            branches = _list(flat.node.pop(keyword, None))
            if branches:
                _choose(flat, [self._flatten(branch, flat.refs) for branch in branches])
        self._nesting -= 1
        return flat

    def _resolved(self, raw: JsonObject, refs: frozenset[str]) -> _Flat:
        """The node with its references inlined; keys beside a reference override the target's."""
        self._count()
        node = dict(raw)
        while isinstance(ref := node.pop("$ref", None), str):
            self._count()
            target = None if ref in refs else self._target(ref)
            refs = refs | {ref}
            if not isinstance(target, dict):
                node = {"type": "object", "description": node.get("description")}
                return _Flat(node, refs, hints=[f"See: {ref.rsplit('/', 1)[-1]}"])
            node = {**target, **node}
        if "const" in node and "enum" not in node:
            node["enum"] = [node["const"]]
        properties = _properties_of(node)
        return _Flat(node, refs, properties, _required_of(node, properties))

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SchemaTooLarge(f"the schema expands to more than {MAX_NODES} parts")

    def _target(self, ref: str) -> Any:
        """What a local JSON pointer points at; None for anything else."""
        if ref == "#":
            return self._root
        if not ref.startswith("#/"):
            return None
        value = self._root
        for step in unquote(ref[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict):
                value = value.get(name)
            else:
                return None
        return value


def _properties_of(node: JsonObject) -> JsonObject:
    declared = node.get("properties")
    if isinstance(declared, dict):
        return dict(declared)
    # A bare property map, as hand-written: {"path": {"type": "string"}} and nothing around it.
    return {
        name: value
        for name, value in node.items()
        if isinstance(value, dict)
        and name not in _TAKE_OBJECTS
        and not name.startswith(("$", "x-"))
    }


def _required_of(node: JsonObject, properties: JsonObject) -> list[str]:
    """Names in `required`, and of properties that say `required: true` of themselves."""
    named = [name for name in _list(node.get("required")) if isinstance(name, str)]
    return named + [
        name
        for name, value in properties.items()
        if isinstance(value, dict) and value.get("required") is True
    ]


def _shallow(raw: Any) -> JsonObject:
    """Below MAX_DEPTH: only the type, and text for what would need a description of its own."""
    kind = raw.get("type") if isinstance(raw, dict) else None
    simple = isinstance(kind, str) and kind.lower() in _TYPES - {"object", "array"}
    return {"type": kind.lower() if simple and isinstance(kind, str) else "string"}


def _absorb(flat: _Flat, branch: _Flat) -> None:
    """allOf: properties and required names add up, every other key fills a gap."""
    _absorb_properties(flat, branch)
    flat.required += branch.required
    flat.nullable = flat.nullable or branch.nullable
    for key, value in branch.node.items():
        flat.node.setdefault(key, value)


def _absorb_properties(flat: _Flat, branch: _Flat) -> None:
    for name, sub in branch.properties.items():
        flat.properties.setdefault(name, sub)
    flat.refs = flat.refs | branch.refs
    flat.hints += branch.hints


def _choose(flat: _Flat, branches: list[_Flat]) -> None:
    """anyOf/oneOf: one schema that comes nearest to all of them."""
    real = [branch for branch in branches if not _is_null(branch.node)]
    flat.nullable = (
        flat.nullable or len(real) < len(branches) or any(branch.nullable for branch in real)
    )
    if not real:
        return
    if all("enum" in branch.node for branch in real):
        _absorb(flat, _one_enum(real))
    elif all(branch.properties for branch in real):
        _absorb(flat, _one_object(real))
    else:
        kinds = list(dict.fromkeys(map(_kind, real)))
        _absorb(flat, max(real, key=_worth))
        if len(kinds) > 1:
            flat.hints.append(f"Accepts: {' | '.join(kinds)}")


def _is_null(node: JsonObject) -> bool:
    return node.get("type") == "null" or node.get("enum") == [None]


def _one_enum(branches: list[_Flat]) -> _Flat:
    values = [value for branch in branches for value in _list(branch.node["enum"])]
    return replace(branches[0], node={**branches[0].node, "enum": values})


def _one_object(branches: list[_Flat]) -> _Flat:
    """Every property of any branch; required is what all branches require.

    Picking one branch would make the others impossible to call.
    """
    alternatives: dict[str, list[Any]] = {}
    for branch in branches:
        for name, sub in branch.properties.items():
            known = alternatives.setdefault(name, [])
            if not known or sub != known[0]:
                known.append(sub)
    common = set[str](branches[0].required).intersection(*(b.required for b in branches[1:]))
    return replace(
        branches[0],
        refs=frozenset[str]().union(*(branch.refs for branch in branches)),
        properties={
            name: subs[0] if len(subs) == 1 else {"anyOf": subs}
            for name, subs in alternatives.items()
        },
        required=[name for name in branches[0].required if name in common],
    )


def _worth(branch: _Flat) -> int:
    return {"object": 3, "array": 2}.get(_kind(branch), 1)


def _kind(flat: _Flat) -> str:
    """The one type. A list of types gives its first that is not null, and a hint."""
    raw = flat.node.get("type")
    named = [t.lower() for t in (raw if isinstance(raw, list) else [raw]) if isinstance(t, str)]
    if "null" in named:
        flat.nullable = True
    kinds = [kind for kind in named if kind in _TYPES]
    if len(kinds) > 1:
        flat.hints.append(f"Accepts: {' | '.join(kinds)}")
    return kinds[0] if kinds else _inferred(flat)


_TYPE_OF: Final = {bool: "boolean", int: "integer", float: "number"}


def _inferred(flat: _Flat) -> str:
    """The type of a schema that names none, or none that exists."""
    node = flat.node
    if "items" in node or "prefixItems" in node:
        return "array"
    if flat.properties or isinstance(node.get("additionalProperties"), dict):
        return "object"
    kinds = {_TYPE_OF.get(type(v), "string") for v in _list(node.get("enum")) if v is not None}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "string"


def _add_enum(out: JsonObject, flat: _Flat) -> None:
    """Text values only, none empty: the proto takes no others."""
    values = _list(flat.node.get("enum"))
    flat.nullable = flat.nullable or None in values
    allowed = [text for text in dict.fromkeys(_text(v) for v in values if v is not None) if text]
    if allowed:
        out["enum"] = allowed


def _listed(values: Any) -> str:
    return ", ".join(_text(value) for value in _list(values)[:10])


def _add_hints(out: JsonObject, flat: _Flat) -> None:
    node, hints = flat.node, flat.hints
    if node.get("additionalProperties") is False:
        hints.append("No extra properties allowed")
    for keyword in _CONSTRAINTS:
        value = node.get(keyword)
        if isinstance(value, str | int | float):
            hints.append(f"{keyword}: {_text(value)}")
    if isinstance(node.get("not"), dict):
        hints.append(f"Not: {_text(node['not'])[:200]}")
    if flat.nullable:
        out["nullable"] = True
        hints.append("nullable")
    described = node.get("description")
    description = described.strip() if isinstance(described, str) else ""
    for hint in dict.fromkeys(hints):
        description = f"{description} ({hint})" if description else hint
    if description:
        out["description"] = description


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
