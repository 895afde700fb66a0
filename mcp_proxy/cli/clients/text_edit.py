"""What it means to change one value in somebody else's settings file and to leave the rest alone.

A file stays the text that its owner wrote: comments, order, indentation, quotes. Each format is a
class with the same few methods over that text; none knows what a value means or where the file is.
Values are handled as their source text, so that what was there before can be put back as it was.
"""

from typing import Protocol

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

KeyPath = tuple[str, ...]


class CannotEdit(Exception):
    """The text is not one that can be changed safely; `str()` says why."""


class Format(Protocol):
    """One way of writing settings. Every method raises CannotEdit for a text it cannot follow."""

    def get(self, text: str, path: KeyPath) -> str | None:
        """The source of the value; None when it is not set."""

    def put(self, text: str, path: KeyPath, source: str) -> str:
        """The text with the value set, enclosing tables made where they are missing."""

    def drop(self, text: str, path: KeyPath, parents: int) -> str:
        """The text without the value, and without so many enclosing tables if nothing is left in
        them. The text itself when the value is not set."""

    def source(self, value: Json) -> str:
        """How the value is written."""

    def value(self, source: str) -> Json:
        """What a source says, to tell a changed value from one that is only written otherwise."""

    def is_blank(self, text: str) -> bool:
        """Whether a file with this text may as well not be there."""


def newline_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def ending_in_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else text + newline_of(text)


def line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Behind the line break, or the end of the text."""
    found = text.find("\n", offset)
    return len(text) if found < 0 else found + 1


def without_lines(text: str, start: int, end: int) -> str:
    """The text without the whole lines that the span is on."""
    return text[: line_start(text, start)] + text[line_end(text, max(start, end - 1)) :]
