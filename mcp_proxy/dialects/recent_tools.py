"""What was made of the last few lists of tools: clients declare the same ones with every turn."""

from typing import Final, Generic, TypeVar

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
