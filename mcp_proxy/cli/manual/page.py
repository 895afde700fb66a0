"""What a manual page consists of. Knows neither roff nor terminals."""

from typing import NamedTuple


class Paragraph(NamedTuple):
    """Running text."""

    text: str


class Heading(NamedTuple):
    """Begins a part of a section."""

    text: str


class Entry(NamedTuple):
    """A term and what it means."""

    term: str
    text: str


class Verbatim(NamedTuple):
    """Lines that are shown as they are."""

    lines: tuple[str, ...]


Block = Paragraph | Heading | Entry | Verbatim


class Section(NamedTuple):
    """One part of a page, with its title in capitals."""

    title: str
    blocks: tuple[Block, ...]


class Page(NamedTuple):
    """A page as `man` knows it."""

    name: str
    number: int
    """Section of the manual: 1 commands, 5 files."""
    summary: str
    sections: tuple[Section, ...]
    """What follows NAME, in the usual order; none is empty."""

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.number}"

    @property
    def reference(self) -> str:
        """As other pages name it."""
        return f"{self.name}({self.number})"


def sections(*pairs: tuple[str, tuple[Block, ...]]) -> tuple[Section, ...]:
    """The sections that have something to say."""
    return tuple(Section(title, blocks) for title, blocks in pairs if blocks)
