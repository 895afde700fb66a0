"""What was made of the last few lists of tools: clients declare the same ones with every turn."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import orjson

from mcp_proxy.strict_json import encode

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")

MOST: Final = 8
"""Lists that are kept: those of a client's main conversation and of its helpers' are a few."""

LONGEST: Final = 256 * 1024
"""Bytes of JSON of a list that is kept."""


class Recent(Generic[_Key, _Made]):
    """The last few things that were made, each found by what it was made of.

    The keys are compared one by one: they are long, so that even to hash one would take longer.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[tuple[_Key, _Made]] = []

    def get(self, key: _Key) -> _Made | None:
        for at, kept in enumerate(self._kept):
            if kept[0] == key:
                if at:
                    self._kept.insert(0, self._kept.pop(at))
                return kept[1]
        return None

    def keep(self, key: _Key, made: _Made) -> None:
        self._kept.insert(0, (key, made))
        del self._kept[MOST:]


class ReadTools(Generic[_Made]):
    """What a client dialect reads of lists of tools; the same list is read once."""

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent = Recent[bytes, _Made]()

    def of(self, declared: object, read: Callable[[], _Made]) -> _Made:
        """`declared`: all that `read` makes of, as JSON. What it raises is raised each time."""
        try:
            # By their JSON: to Python's dictionaries 1, 1.0 and true are the same.
            key = encode(declared)
        except orjson.JSONEncodeError:
            return read()  # a schema that nests beyond what can be written
        made = self._recent.get(key)
        if made is None:
            made = read()
            if len(key) <= LONGEST:
                self._recent.keep(key, made)
        return made
