"""On which line each key of a TOML document is set. `tomllib` keeps no places of what it read.

A statement is the fewest lines that are TOML by themselves, which holds for lists and texts over
several lines, too: the parser itself says where one ends. Knows no setting.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any


def key_lines(content: bytes) -> dict[str, int]:
    """Path, as in `server.port`, -> the line that sets it first. The document is well-formed."""
    found: dict[str, int] = {}
    section: tuple[str, ...] = ()
    for number, statement in _statements(content.decode("utf-8-sig")):
        table = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            section = next(_paths(table))
            found.setdefault(".".join(section), number)
            continue
        for path in _paths(table) if table else ():
            found.setdefault(".".join((*section, *path)), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with the number of its first line."""
    pending, first = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        first = first if pending else number
        pending += line + "\n"
        if _is_whole(pending):
            yield first, pending
            pending = ""


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _paths(value: Any) -> Iterator[tuple[str, ...]]:
    """The ways down to what is no table. A table without keys, or in a list, ends its own way."""
    if not isinstance(value, Mapping) or not value:
        yield ()
        return
    for key, below in value.items():
        yield from ((key, *path) for path in _paths(below))
