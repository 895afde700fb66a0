"""Whether a JSON document has the shape that the manual tells of it, exactly.

Reads the notation of `mcp_proxy/cli/manual/documents.py`. Knows no document and no command.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_proxy.policy.standing import State

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PIECES = re.compile(r"\[\]|[^.\[\]]+")
_ANY_NAME = "*"
_EACH = "[]"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


HOLDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "fraction": lambda value: _is_number(value) and 0 <= value <= 1,
    "boolean": lambda value: isinstance(value, bool),
    "time": lambda value: isinstance(value, str) and _MOMENT.fullmatch(value) is not None,
    "state": lambda value: value in set(State),
    "value": lambda _: True,
    "object": lambda value: isinstance(value, dict),
}
"""Type -> whether a value that is not null is of it."""


@dataclass(slots=True)
class Node:
    """What stands at one path."""

    kind: str | None = None
    below: "dict[str, Node]" = field(default_factory=dict)
    """By name; what `*` and `[]` lead to has that for a name."""


def tree(shape: Mapping[str, str]) -> Node:
    """The paths as a tree; its root is the document."""
    root = Node()
    for path, kind in shape.items():
        node = root
        for piece in _PIECES.findall(path):
            node = node.below.setdefault(piece, Node())
        node.kind = kind
    return root


@dataclass(slots=True)
class Judgement:
    """What is wrong with documents of one shape, and which paths had something in them."""

    wrong: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def look(self, node: Node, value: Any, path: str = "", told: str = "") -> None:
        """`path`: where we are; `told`: the same as the shape has it."""
        kind = node.kind
        if kind is not None and value is None and _may_be_null(kind):
            return
        if kind is not None and not _holds(kind, value):
            self.wrong.append(f"{path}: {json.dumps(value)} is not {kind}")
            return
        self.seen.add(told)
        for name, below, inner in self._inside(node, value, path):
            self.look(node.below[below], inner, path + name, _joined(told, below))

    def _inside(self, node: Node, value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
        """Name, name in the tree, value of everything in a list or an object."""
        if not node.below:
            return
        holder = list if _EACH in node.below else dict
        if not isinstance(value, holder):
            self.wrong.append(f"{path}: {json.dumps(value)} is no {holder.__name__}")
        elif isinstance(value, list):
            yield from ((f"[{place}]", _EACH, each) for place, each in enumerate(value))
        elif _ANY_NAME in node.below:
            yield from ((f".{name}", _ANY_NAME, each) for name, each in value.items())
        else:
            self.wrong += [f"{path}.{name}: missing" for name in node.below.keys() - value.keys()]
            self.wrong += [f"{path}.{name}: not told" for name in value.keys() - node.below.keys()]
            known = (name for name in node.below if name in value)
            yield from ((f".{name}", name, value[name]) for name in known)


def _may_be_null(kind: str) -> bool:
    return kind.endswith(("?", "| null"))


def _holds(kind: str, value: Any) -> bool:
    words = re.findall(r'"(.+?)"', kind)
    return value in words if words else HOLDS[kind.removesuffix("?")](value)


def _joined(path: str, piece: str) -> str:
    return f"{path}{piece}" if piece == _EACH or not path else f"{path}.{piece}"
