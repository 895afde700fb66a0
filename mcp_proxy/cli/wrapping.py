"""Where a line for people may be broken: between words, never inside what somebody will copy.

Commands, addresses, paths and names stay whole, though they be wider than the terminal: it folds
them itself, and they are still one when they are copied. Knows nothing of styles and streams.
"""

import re
from typing import Final, NamedTuple

HANG = 2
"""Columns by which the rest of a broken line stands behind its beginning."""

_BODY = r"[^\s`;,()]+(?: [^\s`;,()]+)*?"
_END = r"(?=[.?]?$|[.;,?] |[;,]$| or | \(|\))"
_TOKEN: Final = (
    r"`[^`]+`\S*|'mcproxy [^']+'\S*"  # quoted as a command
    rf"|(?<=[Rr]un: ){_BODY}{_END}\S?"
    rf"|(?:(?<=[:;,] )|(?<=mean )|(?<= or )|\()(?:sudo )?mcproxy (?=[a-z-]){_BODY}{_END}\S?"
    r"|\S+"
)
"""What is never broken: a command as messages here name them, or a word."""


class Slice(NamedTuple):
    """A part of a line that is shown on a line of its own, behind so many blanks."""

    start: int
    end: int
    indent: int


WORD: Final = r"\S+"


def wrapped(line: str, width: int, hang: int = HANG, *, tokens: str = _TOKEN) -> list[Slice]:
    """The parts of a line, each of at most `width` columns unless it is one thing in itself.

    The beginning keeps its own indentation; the others have `hang` columns more than that.
    """
    if cells(line) <= width or not line.strip(" "):
        return [Slice(0, len(line), 0)]
    margin = len(line) - len(line.lstrip(" "))
    first, *others = re.finditer(tokens, line)
    parts, start, end, indent = [], 0, first.end(), 0
    for token in others:
        if indent + cells(line[start : token.end()]) > width:
            parts.append(Slice(start, end, indent))
            start, indent = token.start(), margin + hang
        end = token.end()
    return [*parts, Slice(start, end, indent)]


def fold(line: str, width: int | None, hang: int = HANG) -> str:
    """The line as several of them. None: nobody looks at it, so that it is one in any case."""
    if width is None:
        return line
    return "\n".join(" " * indent + line[a:b] for a, b, indent in wrapped(line, width, hang))


def longest(line: str) -> int:
    """Columns of the widest thing in it that is never broken."""
    return max((cells(found[0]) for found in re.finditer(_TOKEN, line)), default=0)


def cells(shown: str) -> int:
    """Columns that a text takes; letters of some scripts take two."""
    if shown.isascii():
        return len(shown)
    from rich.cells import cell_len

    return cell_len(shown)
