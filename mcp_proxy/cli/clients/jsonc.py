"""JSON with comments and trailing commas, changed in place. The parser keeps offsets only."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from mcp_proxy.cli.clients.text_edit import (
    CannotEdit,
    Json,
    KeyPath,
    line_end,
    line_start,
    newline_of,
)

_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_REST_OF_LINE = re.compile(r"(?:[ \t]+|/\*[^\n]*?\*/)*(?://[^\n]*)?(?=\r?\n|\Z)")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_ATOM = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_EMPTY = re.compile(r"\{\s*\}")
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class _Node:
    """One value: where it is, and its members when it is an object."""

    start: int
    end: int
    members: "Mapping[str, _Member] | None" = None


@dataclass(frozen=True, slots=True)
class _Member:
    start: int
    """Of the key's quote."""
    value: _Node
    comma: int | None = None
    """Offset of the comma behind it."""


@dataclass(slots=True)
class _Reader:
    """A recursive descent over the text; CannotEdit with the line at fault."""

    text: str
    place: int = 0
    depth: int = field(default=0, init=False)

    def document(self) -> _Node:
        self._skip()
        node = self._value()
        self._skip()
        if self.place != len(self.text):
            raise self._wrong("something stands behind the end of the document")
        return node

    def _value(self) -> _Node:
        self._skip()
        match self.text[self.place : self.place + 1]:
            case "{":
                return self._nested(self._object)
            case "[":
                return self._nested(self._array)
            case _:
                start = self.place
                self._take(_ATOM if self.text[start : start + 1] != '"' else _STRING)
                return _Node(start, self.place)

    def _nested(self, read: Callable[[], _Node]) -> _Node:
        if self.depth == _DEEPEST:
            raise self._wrong("it is nested too deeply")
        self.depth += 1
        node = read()
        self.depth -= 1
        return node

    def _object(self) -> _Node:
        start, members = self.place, dict[str, _Member]()
        self.place += 1
        while not self._closes("}"):
            member_start = self.place
            name = str(json.loads(self._take(_STRING)))
            if name in members:
                raise self._wrong(f"the key {name!r} is there twice")
            self._skip()
            self._expect(":")
            members[name] = _Member(member_start, self._value(), self._comma("}"))
        return _Node(start, self.place, members)

    def _array(self) -> _Node:
        start = self.place
        self.place += 1
        while not self._closes("]"):
            self._value()
            self._comma("]")
        return _Node(start, self.place)

    def _closes(self, bracket: str) -> bool:
        self._skip()
        if self.text.startswith(bracket, self.place):
            self.place += 1
            return True
        return False

    def _comma(self, bracket: str) -> int | None:
        self._skip()
        if self.text.startswith(bracket, self.place):
            return None
        self._expect(",")
        return self.place - 1

    def _expect(self, character: str) -> None:
        if not self.text.startswith(character, self.place):
            raise self._wrong(f"{character!r} is missing")
        self.place += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.place)
        if found is None:
            raise self._wrong("it is not JSON")
        self.place = found.end()
        return found[0]

    def _skip(self) -> None:
        found = _TRIVIA.match(self.text, self.place)
        self.place = found.end() if found else self.place

    def _wrong(self, reason: str) -> CannotEdit:
        return CannotEdit(f"line {self.text.count(chr(10), 0, self.place) + 1}: {reason}")


class Jsonc:
    """Objects within objects, as in Claude Code's, Gemini CLI's and opencode's settings."""

    def get(self, text: str, path: KeyPath) -> str | None:
        node = _find(_parse(text), path)
        return None if node is None else text[node.start : node.end]

    def put(self, text: str, path: KeyPath, source: str) -> str:
        if not _holds(text):
            text = "{}" + newline_of(text)
        node = _parse(text)
        for depth, key in enumerate(path):
            if node.members is None:
                raise CannotEdit(f"{'.'.join(path[:depth]) or 'the document'} is not an object")
            member = node.members.get(key)
            if member is None:
                return _inserted(text, node, path[depth:], source)
            node = member.value
        return text[: node.start] + source + text[node.end :]

    def drop(self, text: str, path: KeyPath, parents: int) -> str:
        owner = _find(_parse(text), path[:-1])
        member = owner.members.get(path[-1]) if owner is not None and owner.members else None
        if owner is None or member is None:
            return text
        if parents and _is_alone(text, owner, member):
            return self.drop(text, path[:-1], parents - 1)
        return _removed(text, owner, member)

    def source(self, value: Json) -> str:
        return json.dumps(value, ensure_ascii=False)

    def value(self, source: str) -> Json:
        try:
            return cast(Json, json.loads(source))
        except ValueError:
            return source  # there are comments in it: compared as it is written

    def is_blank(self, text: str) -> bool:
        return not _holds(text) or _EMPTY.fullmatch(text.strip("\ufeff \t\r\n")) is not None


def first_beyond_json(text: str) -> int | None:
    """The line of the first comment or trailing comma; None when there is neither."""
    try:
        json.loads(text.lstrip("\ufeff"))
    except json.JSONDecodeError as beyond:
        return beyond.lineno if _holds(text) else None
    return None


def _parse(text: str) -> _Node:
    return _Reader(text).document() if _holds(text) else _Node(0, 0, {})


def _holds(text: str) -> bool:
    """Whether there is a document at all; an empty file is one without keys."""
    return bool(text.strip("\ufeff \t\r\n"))


def _find(node: _Node | None, path: KeyPath) -> _Node | None:
    for key in path:
        member = node.members.get(key) if node is not None and node.members else None
        node = member.value if member is not None else None
    return node


def _inserted(text: str, owner: _Node, path: KeyPath, source: str) -> str:
    """The text with one more member at the end of the object; all on one line stays on one."""
    members = list((owner.members or {}).values())
    if not members:
        return _filled(text, owner, path, source)
    last = members[-1]
    if "\n" not in text[owner.start : last.start]:
        at, glue = (last.value.end, ",") if last.comma is None else (last.comma + 1, "")
        return f"{text[:at]}{glue} {_member(path, source, _ONE_LINE)}{text[at:]}"
    at = last.value.end if last.comma is None else last.comma
    if last.comma is None:
        text = f"{text[:at]},{text[at:]}"
    layout = _Layout(newline_of(text), _indent(text, last.start), _unit(text))
    new = layout.newline + layout.indent + _member(path, source, layout)
    # A comment on the same line belongs to the member before.
    rest = _REST_OF_LINE.match(text, at + 1)
    if rest is not None:
        return text[: rest.end()] + new + text[rest.end() :]
    return text[: at + 1] + new + layout.newline + _indent(text, owner.start) + text[at + 1 :]


def _filled(text: str, owner: _Node, path: KeyPath, source: str) -> str:
    """The text with a first member in an object that has at most comments in it."""
    newline, outer, unit = newline_of(text), _indent(text, owner.start), _unit(text)
    layout = _Layout(newline, outer + unit, unit)
    new = newline + layout.indent + _member(path, source, layout) + newline + outer
    inside = text[owner.start + 1 : owner.end - 1].rstrip()
    return text[: owner.start + 1] + inside + new + text[owner.end - 1 :]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a member's own objects are set; no newline: all on one line."""

    newline: str
    indent: str
    unit: str


_ONE_LINE = _Layout("", "", "")


def _member(path: KeyPath, source: str, layout: _Layout) -> str:
    """`"key": value`, with an object for every further key."""
    name = f"{json.dumps(path[0], ensure_ascii=False)}: "
    if len(path) == 1:
        return name + source
    inner = _Layout(layout.newline, layout.indent + layout.unit, layout.unit)
    below = _member(path[1:], source, inner)
    if not layout.newline:
        return f"{name}{{{below}}}"
    return f"{name}{{{layout.newline}{inner.indent}{below}{layout.newline}{layout.indent}}}"


def _removed(text: str, owner: _Node, member: _Member) -> str:
    """The text without the member, the comma that is too many, and lines that become empty."""
    comma = member.comma
    if comma is None and owner.members is not None:
        before = [each.comma for each in owner.members.values() if each.start < member.start]
        comma = before[-1] if before else None
    spans = [(member.start, member.value.end)]
    if comma is not None:
        spans.append((comma, comma + 1))
    for start, end in sorted(spans, reverse=True):
        text = _without(text, start, end)
    left = _EMPTY.match(text, owner.start)
    return text if left is None else f"{text[: owner.start]}{{}}{text[left.end() :]}"


def _without(text: str, start: int, end: int) -> str:
    """Without the span; without its lines when nothing else is on them."""
    first, last = line_start(text, start), line_end(text, end)
    if not text[first:start].strip() and not text[end:last].strip():
        return text[:first] + text[last:]
    return text[:start].rstrip(" \t") + text[end:]


def _is_alone(text: str, owner: _Node, member: _Member) -> bool:
    """Whether nothing else is in the object, comments included."""
    around = text[owner.start + 1 : member.start] + text[member.value.end : owner.end - 1]
    return not around.strip(" \t\r\n,")


def _indent(text: str, offset: int) -> str:
    line = text[line_start(text, offset) : offset]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """What the file indents by."""
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else "  "
