"""One level of a JSON Schema at a time: references inlined, combinations and conditions resolved.

Knows JSON Schema and what hand-written ones get wrong; knows nothing of what an upstream takes.
Rules: protocols/cloudcode.md 3.6, steps 1-3 and 7-10.
"""

from dataclasses import field, replace
from typing import Any, Final
from urllib.parse import unquote

from mcp_proxy.values import stateful

JsonObject = dict[str, Any]

MAX_NODES: Final = 5_000
"""Schemas within one schema, after expansion. The largest real tools have some hundreds."""

MAX_NESTING: Final = 100
"""Combinations (allOf, anyOf, ...) directly inside each other."""

TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})

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


class SchemaTooLarge(ValueError):
    """Expanding the schema would exceed MAX_NODES or MAX_NESTING."""


@stateful
class Level:
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
    is_merged: bool = False
    """Several alternatives became one, which allows less than they do, or more."""


class Leveller:
    """Reads the levels of one schema, whose root is what references point into."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = 0
        self._nesting = 0

    def level(self, raw: Any, refs: frozenset[str]) -> Level:
        """The schema's own level, with references, combinations and conditions resolved."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise SchemaTooLarge(f"the schema nests more than {MAX_NESTING} combinations")
        level = self._resolved(raw if isinstance(raw, dict) else {}, refs)
        for branch in as_list(level.node.pop("allOf", None)):
            _absorb(level, self.level(branch, level.refs))
        for keyword in ("then", "else"):
            branch = level.node.pop(keyword, None)
            if isinstance(branch, dict) and "if" in level.node:
                _absorb_properties(level, self.level(branch, level.refs))
        for keyword in ("anyOf", "oneOf"):
            branches = as_list(level.node.pop(keyword, None))
            if branches:
                _choose(level, [self.level(branch, level.refs) for branch in branches])
        self._nesting -= 1
        return level

    def _resolved(self, raw: JsonObject, refs: frozenset[str]) -> Level:
        """The node with its references inlined; keys beside a reference override the target's."""
        self._count()
        node = dict(raw)
        while isinstance(ref := node.pop("$ref", None), str):
            self._count()
            target = None if ref in refs else self._target(ref)
            refs = refs | {ref}
            if not isinstance(target, dict):
                node = {"type": "object", "description": node.get("description")}
                return Level(node, refs, hints=[f"See: {ref.rsplit('/', 1)[-1]}"])
            node = {**target, **node}
        if "const" in node and "enum" not in node:
            node["enum"] = [node["const"]]
        properties = _properties_of(node)
        required = _required_of(node, properties)
        return Level(node, refs, properties, required, nullable=node.get("nullable") is True)

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
    named = [name for name in as_list(node.get("required")) if isinstance(name, str)]
    return named + [
        name
        for name, value in properties.items()
        if isinstance(value, dict) and value.get("required") is True
    ]


def _absorb(level: Level, branch: Level) -> None:
    """allOf: properties and required names add up, every other key fills a gap."""
    _absorb_properties(level, branch)
    level.required += branch.required
    level.nullable = level.nullable or branch.nullable
    level.is_merged = level.is_merged or branch.is_merged
    for key, value in branch.node.items():
        level.node.setdefault(key, value)


def _absorb_properties(level: Level, branch: Level) -> None:
    for name, sub in branch.properties.items():
        level.properties.setdefault(name, sub)
    level.refs = level.refs | branch.refs
    level.hints += branch.hints


def _choose(level: Level, branches: list[Level]) -> None:
    """anyOf/oneOf: one schema that comes nearest to all of them."""
    real = [branch for branch in branches if not _is_null(branch.node)]
    level.nullable = (
        level.nullable or len(real) < len(branches) or any(branch.nullable for branch in real)
    )
    if not real:
        return
    if all("enum" in branch.node for branch in real):
        _absorb(level, _one_enum(real))
        return
    level.is_merged = level.is_merged or len(real) > 1
    if all(branch.properties for branch in real):
        _absorb(level, _one_object(real))
    else:
        kinds = list(dict.fromkeys(map(kind_of, real)))
        _absorb(level, max(real, key=_worth))
        if len(kinds) > 1:
            level.hints.append(f"Accepts: {' | '.join(kinds)}")


def _is_null(node: JsonObject) -> bool:
    return node.get("type") == "null" or node.get("enum") == [None]


def _one_enum(branches: list[Level]) -> Level:
    values = [value for branch in branches for value in as_list(branch.node["enum"])]
    return replace(branches[0], node={**branches[0].node, "enum": values})


def _one_object(branches: list[Level]) -> Level:
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


def _worth(branch: Level) -> int:
    kind = kind_of(branch)
    if kind == "object":
        # Of one that names no property a model can fill in nothing.
        return 3 if branch.properties else 0
    return 2 if kind == "array" else 1


def kind_of(level: Level) -> str:
    """The one type. A list of types gives its first that is not null, and a hint."""
    raw = level.node.get("type")
    named = [t.lower() for t in (raw if isinstance(raw, list) else [raw]) if isinstance(t, str)]
    if "null" in named:
        level.nullable = True
    kinds = [kind for kind in named if kind in TYPES]
    if len(kinds) > 1:
        level.hints.append(f"Accepts: {' | '.join(kinds)}")
    return kinds[0] if kinds else _inferred(level)


_TYPE_OF: Final = {bool: "boolean", int: "integer", float: "number"}


def _inferred(level: Level) -> str:
    """The type of a schema that names none, or none that exists."""
    node = level.node
    if "items" in node or "prefixItems" in node:
        return "array"
    if level.properties or isinstance(node.get("additionalProperties"), dict):
        return "object"
    kinds = {_TYPE_OF.get(type(v), "string") for v in as_list(node.get("enum")) if v is not None}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "string"


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
