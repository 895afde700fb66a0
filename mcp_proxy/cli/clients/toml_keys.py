"""TOML, changed in place: `key = value` lines under their table headers. Comments stay.

Only where statements begin and end is read here; whether a change did what it should is asked of
tomllib, and whatever is written in a way that is not followed here (inline tables, dotted keys)
is refused instead of guessed at.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from mcp_proxy.cli.clients.text_edit import (
    CannotEdit,
    Json,
    KeyPath,
    ending_in_newline,
    line_end,
    newline_of,
    without_lines,
)

_GAP = re.compile(r"(?:[ \t\r\n\ufeff]+|#[^\n]*)*")
_PART = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')"
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_HEADER = re.compile(rf"\[\[?[ \t]*({_KEY.pattern})[ \t]*\]\]?[ \t]*(?:#[^\n]*)?")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_PIECE = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[{]|[\]}]|[^\"'#\[\]{}\n]+|\n",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A `key = value`, or a table header (with an empty value span)."""

    table: KeyPath
    key: KeyPath
    """Empty for a header."""
    start: int
    value_start: int
    value_end: int

    @property
    def path(self) -> KeyPath:
        return self.table + self.key


class Toml:
    """Tables of scalars, as in Codex's config.toml."""

    def get(self, text: str, path: KeyPath) -> str | None:
        found = _statement(text, path)
        if found is not None:
            return text[found.value_start : found.value_end]
        value = _looked_up(_parsed(text), path)
        return None if value is None else self._without_source(value)

    def put(self, text: str, path: KeyPath, source: str) -> str:
        before = _parsed(text)
        changed = self._put(text, path, source)
        _set_in(before, path, tomllib.loads(f"v = {source}")["v"])
        if _try_parse(changed) != before:
            raise CannotEdit(f"{'.'.join(path)} is written in a way that is not followed here")
        return changed

    def _put(self, text: str, path: KeyPath, source: str) -> str:
        found = _statement(text, path)
        if found is not None:
            return text[: found.value_start] + source + text[found.value_end :]
        newline = newline_of(text)
        line = f"{_spelled(path[-1:])} = {source}{newline}"
        section = [each for each in _statements(text) if each.table == path[:-1]]
        if section:
            text = ending_in_newline(text)
            at = line_end(text, section[-1].value_end)
            return text[:at] + line + text[at:]
        if len(path) == 1:
            # Before the first table: whatever stands behind a header belongs to it.
            gap = "" if not text or text[0] in "\r\n" else newline
            return line + gap + text
        gap = newline if text.strip() else ""
        return f"{ending_in_newline(text)}{gap}[{_spelled(path[:-1])}]{newline}{line}"

    def drop(self, text: str, path: KeyPath, parents: int) -> str:
        found = _statement(text, path)
        if found is None:
            return text
        text = without_lines(text, found.start, found.value_end)
        section = [each for each in _statements(text) if each.table[: len(path) - 1] == path[:-1]]
        if parents and len(path) > 1 and len(section) == 1 and not section[0].key:
            header = section[0]
            # With the empty line that was put before it.
            gap = re.search(r"(?<=\n)\r?\n\Z", text[: header.start])
            start = gap.start() if gap is not None else header.start
            text = without_lines(text, start, header.value_end)
        return text

    def source(self, value: Json) -> str:
        if isinstance(value, dict):
            inside = (f"{_spelled((key,))} = {self.source(each)}" for key, each in value.items())
            return f"{{ {', '.join(inside)} }}"
        return json.dumps(value, ensure_ascii=False)

    def value(self, source: str) -> Json:
        return cast(Json, tomllib.loads(f"v = {source}")["v"])

    def is_blank(self, text: str) -> bool:
        return not text.strip("\ufeff \t\r\n")

    def _without_source(self, value: Any) -> str:
        """A table of several statements has no source of its own: only that it is there matters."""
        if isinstance(value, dict):
            return "{}"
        raise CannotEdit("a key is written in a way that is not followed here")


def _statement(text: str, path: KeyPath) -> _Statement | None:
    """The last one with this path."""
    found = [each for each in _statements(text) if each.key and each.path == path]
    return found[-1] if found else None


def _statements(text: str) -> Iterator[_Statement]:
    """All of them, in order. CannotEdit for a text that is no TOML."""
    table: KeyPath = ()
    place = _past_gap(text, 0)
    while place < len(text):
        header = _HEADER.match(text, place)
        if header is not None:
            table = _names(header[1])
            # Elements of an array of tables share their name; none of them is ours.
            table = (*table, "[]") if text.startswith("[[", place) else table
            yield _Statement(table, (), place, header.end(), header.end())
            place = _past_gap(text, header.end())
            continue
        key = _KEY.match(text, place)
        equals = _EQUALS.match(text, key.end()) if key is not None else None
        if key is None or equals is None:
            raise CannotEdit(f"line {text.count(chr(10), 0, place) + 1}: it is not TOML")
        end = _value_end(text, equals.end())
        yield _Statement(table, _names(key[0]), place, equals.end(), end)
        place = _past_gap(text, end)


def _value_end(text: str, start: int) -> int:
    """Behind the last character of the value that begins here."""
    depth, end = 0, start
    for piece in _PIECE.finditer(text, start):
        first = piece[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth == 0 and first in "\n#":
            break
        end = piece.end()
    return start + len(text[start:end].rstrip())


def _past_gap(text: str, place: int) -> int:
    found = _GAP.match(text, place)
    return found.end() if found else place


def _names(dotted: str) -> KeyPath:
    return tuple(next(iter(tomllib.loads(f"{part} = 0"))) for part in re.findall(_PART, dotted))


def _spelled(path: KeyPath) -> str:
    bare = re.compile(r"[A-Za-z0-9_-]+")
    return ".".join(key if bare.fullmatch(key) else json.dumps(key) for key in path)


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.lstrip("\ufeff"))
    except tomllib.TOMLDecodeError as cause:
        raise CannotEdit(f"it is not TOML: {cause}") from cause


def _try_parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.lstrip("\ufeff"))
    except tomllib.TOMLDecodeError:
        return None


def _looked_up(document: Any, path: KeyPath) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _set_in(document: dict[str, Any], path: KeyPath, value: Any) -> None:
    for key in path[:-1]:
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise CannotEdit(f"{key} is not a table")
    document[path[-1]] = value
