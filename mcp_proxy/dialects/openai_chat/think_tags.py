"""Inline `<think>…</think>` before an answer -> thoughts and text, in pieces of any size.

Open-weight models write their thoughts into the answer where their server does not part the two
(providers.md 3). Only a tag at the very beginning counts: later ones are somebody's text.
"""

from collections.abc import Iterator
from typing import Final

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"

Piece = tuple[bool, str]
"""Whether it is thought, and what."""


class ThinkTags:
    """The reader of one answer's text; `is_over` once all that follows is plain text."""

    __slots__ = ("_held", "_inside", "_past", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._held = ""
        self._inside = False
        self._past = False

    def feed(self, text: str) -> Iterator[Piece]:
        """What can be told of the text so far; never an empty piece."""
        if self.is_over:
            if text:
                yield False, text
            return
        self._held += text
        if not self._inside and not self._past:
            self._begin()
        if self._inside:
            yield from self._thoughts()
        if self._past:
            yield from self._after()

    def close(self) -> Iterator[Piece]:
        """What was held back; all of it text or thought by now."""
        held, self._held = self._held, ""
        self.is_over = True
        if held and not self._past:
            yield self._inside, held

    def _begin(self) -> None:
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._inside, self._held = True, start[len(_OPEN) :].lstrip("\n")
        elif not _OPEN.startswith(start):
            self.is_over = self._past = True

    def _thoughts(self) -> Iterator[Piece]:
        thought, tag, rest = self._held.partition(_CLOSE)
        if tag:
            self._inside, self._past, self._held = False, True, rest
        else:
            kept = _begun_tag(thought)
            self._held = thought[len(thought) - kept :]
            thought = thought[: len(thought) - kept]
        if thought:
            yield True, thought

    def _after(self) -> Iterator[Piece]:
        """The text, without the empty lines that part it from the thoughts."""
        text = self._held if self.is_over else self._held.lstrip()
        self._held = ""
        if text:
            self.is_over = True
            yield False, text


def _begun_tag(text: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    longest = min(len(text), len(_CLOSE) - 1)
    return next((n for n in range(longest, 0, -1) if _CLOSE.startswith(text[-n:])), 0)
