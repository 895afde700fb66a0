"""TOML bytes -> a table, with line and column for the person whose file it is."""

import re
import tomllib
from typing import Any

TomlTable = dict[str, Any]


class MalformedToml(Exception):
    """`str()` is `line 3, column 7: what is wrong`."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.line = line
        self.column = column


def parse_toml(content: bytes) -> TomlTable:
    """The table. MalformedToml for anything else; a byte order mark is passed over."""
    text = _text(content)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise _located(str(cause), text) from cause
    except RecursionError as cause:
        raise MalformedToml(1, 1, "nested too deeply") from cause
    except ValueError as cause:  # a number of thousands of digits
        raise MalformedToml(1, 1, str(cause)) from cause


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        before = content[: cause.start]
        line_start = before.rfind(b"\n") + 1
        raise MalformedToml(
            before.count(b"\n") + 1, cause.start - line_start + 1, "not UTF-8 text"
        ) from cause


# The parser tells the place only inside its message (it has attributes for it from 3.14 on).
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _located(message: str, text: str) -> MalformedToml:
    place = _PLACE.search(message)
    reason = message[: place.start()] if place else message
    if place and place[1]:
        return MalformedToml(int(place[1]), int(place[2]), reason)
    last = text.rstrip("\n").rsplit("\n", 1)[-1]
    return MalformedToml(text.rstrip("\n").count("\n") + 1, len(last) + 1, reason)
