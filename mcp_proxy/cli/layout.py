"""Tables and lists of facts, at any width. Knows no stream: a width, or None where nobody looks.

A table that does not fit gives way step by step: columns of running text are wrapped, a few long
names get a line of their own, columns that matter less are left out, and in the end each row
becomes a record with its cells below each other. Nothing is cut, no line ends in blanks, and
without a width every row is one line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from mcp_proxy.cli.wrapping import HANG, cells, longest, wrapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

GAP = 2
"""Blanks between columns."""

INDENT = 2
"""Blanks before the facts of a record."""

NARROWEST_TEXT = 18
"""Columns below which running text is no longer read but spelled."""

FEW = 1 / 3
"""Of the names in a table: so many may be too long for their column; one may in any case."""

EMPTY = "-"
"""Stands for nothing, so that `awk` counts the columns right."""

Widths = dict[int, int]
"""By index of a column, for those that are shown."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a table knows of one of its columns."""

    heading: str
    align: Literal["left", "right"] = "left"
    wraps: bool = False
    """Running text, which may take several lines."""
    minor: bool = False
    """Left out where there is no room for it."""


class Table:
    """Rows under headings; the first column names a row.

    People are not shown a column in which no row has anything.
    """

    def __init__(self, *columns: Column | str, empty: str = EMPTY) -> None:
        self._columns = [Column(each) if isinstance(each, str) else each for each in columns]
        self._rows: list[tuple[Text, ...]] = []
        self._between: dict[int, list[Text]] = {}
        """Lines without columns, by the number of rows before them."""
        self._empty = empty

    def add_row(self, *row: Text) -> None:
        """A cell for each column."""
        self._rows.append(row)

    def add_line(self, line: Text) -> None:
        """Something between the rows, across all columns."""
        self._between.setdefault(len(self._rows), []).append(line)

    def lines(self, width: int | None) -> Iterator[Text]:
        """The table at this width."""
        found = self.fitted(width)
        yield from found if found is not None else self._records(width)

    def fitted(self, width: int | None) -> Iterator[Text] | None:
        """The same as long as it is one with columns; None when they cannot stand side by side."""
        for shown in self._by_weight(self._used(width)):
            widths = _fitted(self._columns, self._rows, shown, width)
            if widths is not None:
                return self._grid(widths, width)
        return None

    def __rich_console__(self, _console: "Console", options: "ConsoleOptions") -> Iterator[Text]:
        return self.lines(options.max_width)

    def _used(self, width: int | None) -> list[int]:
        """Columns with something in them; for programs always all of them."""
        return [
            index
            for index in range(len(self._columns))
            if width is None or any(_plain(self._rows, index))
        ]

    def _by_weight(self, used: list[int]) -> Iterator[list[int]]:
        """All columns, then without the last of the minor ones, and so on."""
        shown = list(used)
        yield list(shown)
        for index in reversed(used):
            if self._columns[index].minor:
                shown.remove(index)
                yield list(shown)

    def _grid(self, widths: Widths, width: int | None) -> Iterator[Text]:
        if widths:
            yield from self._side_by_side(
                [Text(each.heading, "bold") for each in self._columns], widths
            )
        for number, row in enumerate(self._rows):
            yield from self._before(number, width)
            yield from self._side_by_side(
                [cell or Text(self._empty, "dim") for cell in row], widths
            )
        yield from self._before(len(self._rows), width)

    def _before(self, number: int, width: int | None) -> Iterator[Text]:
        for line in self._between.get(number, ()):
            yield from broken(line, width)

    def _side_by_side(self, row: Sequence[Text], widths: Widths) -> Iterator[Text]:
        parts = {
            index: list(broken(row[index], width if self._columns[index].wraps else None, hang=0))
            for index, width in widths.items()
        }
        name = next(iter(widths))
        if cells(row[name].plain) > widths[name]:
            yield row[name]
            parts[name] = []
        for number in range(max(map(len, parts.values()))):
            line = Text()
            for index, width in widths.items():
                cell = parts[index][number] if number < len(parts[index]) else Text()
                line.append_text(_padded(cell, width, self._columns[index].align))
                line.append(" " * GAP)
            line.rstrip()
            yield line

    def _records(self, width: int | None) -> Iterator[Text]:
        """A record per row, which begins with its name."""
        name, *rest = self._used(width)
        for number, row in enumerate(self._rows):
            if number and rest:
                yield Text("")
            yield from self._before(number, width)
            yield from broken(row[name], width)
            facts = Facts(INDENT)
            for index in rest:
                # One fact needs no name: it is the only thing that there is to a row.
                facts.add(self._columns[index].heading.lower() if len(rest) > 1 else "", row[index])
            yield from facts.lines(width)
        yield from self._before(len(self._rows), width)


@dataclass(slots=True)
class Facts:
    """Names and what is to be said of each, the latter in a column."""

    indent: int = 0
    _facts: list[tuple[str, Text]] = field(default_factory=list)

    def add(self, name: str, value: Text) -> None:
        """One more, unless there is nothing to be said."""
        if value.plain:
            self._facts.append((name, value))

    def lines(self, width: int | None) -> Iterator[Text]:
        """A fact a line, and more where it is wrapped."""
        broad = max((cells(name) for name, _ in self._facts), default=0)
        lead = broad + GAP if broad else 0
        room = None if width is None else max(width - self.indent - lead, 1)
        for name, value in self._facts:
            for number, part in enumerate(broken(value, room, hang=0)):
                begin = " " * self.indent + ("" if number else name).ljust(lead)
                yield Text().append(begin, "dim").append_text(part)

    def __rich_console__(self, _console: "Console", options: "ConsoleOptions") -> Iterator[Text]:
        return self.lines(options.max_width)


Shown = Text | Table | Facts
"""What a view is made of."""


def lines_of(each: Shown, width: int | None) -> Iterable[Text]:
    """What a view has said, as lines. A text with `no_wrap` stays as it is."""
    if isinstance(each, Text):
        return broken(each, None if each.no_wrap else width)
    return each.lines(width)


def broken(line: Text, width: int | None, *, hang: int = HANG) -> Iterator[Text]:
    """The line as several of them, with its styles."""
    if width is None:
        yield line
        return
    for start, end, indent in wrapped(line.plain, width, hang):
        yield Text(" " * indent).append_text(line[start:end])


def _padded(cell: Text, width: int, align: str) -> Text:
    blanks = " " * (width - cells(cell.plain))
    if align == "right":
        return Text(blanks).append_text(cell)
    return Text().append_text(cell).append(blanks)


def _fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], shown: list[int], width: int | None
) -> Widths | None:
    """How broad each column may be; None when they cannot stand in so many columns."""
    widths = {
        index: max(cells(each) for each in (columns[index].heading, *_plain(rows, index)))
        for index in shown
    }
    if width is None or not widths:
        return widths
    missing = sum(widths.values()) + GAP * (len(widths) - 1) - width
    texts = [index for index in shown if columns[index].wraps]
    for index in sorted(texts, key=lambda each: -widths[each]):
        least = max(NARROWEST_TEXT, *(longest(each) for each in _plain(rows, index)))
        given = min(max(missing, 0), max(widths[index] - least, 0))
        widths[index] -= given
        missing -= given
    if missing <= 0:
        return widths
    name = shown[0]
    left = widths[name] - missing
    too_long = sum(cells(each) > left for each in _plain(rows, name))
    few = too_long < len(rows) and too_long <= max(1, FEW * len(rows))
    if left < cells(columns[name].heading) or not few:
        return None
    return {**widths, name: left}


def _plain(rows: Sequence[Sequence[Text]], index: int) -> Iterator[str]:
    return (row[index].plain for row in rows)
