"""How `--help` and complaints about usage are laid out: at the width of the terminal.

Click goes down to 50 columns, breaks names at their hyphens, and leaves what is set apart by `\\b`
as wide as it is.
"""

import io
import re
import sys
from collections.abc import Iterable

import click

from mcp_proxy.cli.terminal import USUAL_WIDTH, width_of
from mcp_proxy.cli.wrapping import HANG, WORD, cells, fold, wrapped

MARGIN = 2
NARROWEST = 24
"""Columns below which text is not squeezed any further."""

SET_APART = "\b"
"""Before paragraphs whose lines are lines."""

EXAMPLES = "Examples:"
"""Heads lines that are commands, and stay whole."""

_TWO_PARTS = re.compile(r"( *)\S.*?\s{2,}(?=\S)")
_BETWEEN_PARAGRAPHS = re.compile(r"\n{2,}")


class HelpFormatter(click.HelpFormatter):
    """Click's own, with lines that are broken as everywhere else here."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        room = min(width_of(sys.stdout) or USUAL_WIDTH, max_width or USUAL_WIDTH) - MARGIN
        super().__init__(indent_increment, width or max(room, NARROWEST), max_width)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The command in one line, or with its arguments below it."""
        line = f"{prefix or 'Usage: '}{prog} {args}".rstrip()
        for start, end, indent in wrapped(line, self.width, 2 * MARGIN, tokens=WORD):
            self.write(" " * indent + line[start:end] + "\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Terms beside what they mean, or above it where there is no room."""
        listed = list(rows)
        broadest = max((cells(term) for term, _ in listed), default=0)
        column = self.current_indent + min(broadest, col_max, self.width // 3) + col_spacing
        for term, meaning in listed:
            head = " " * self.current_indent + term
            lines = fold(meaning, self.width - column, 0).splitlines()
            if lines and cells(head) + col_spacing <= column:
                head, lines = head.ljust(column) + lines[0], lines[1:]
            self.write("\n".join((head, *(" " * column + line for line in lines))) + "\n")

    def write_text(self, text: str) -> None:
        """Paragraphs, and below each other what is set apart."""
        paragraphs = (each.splitlines() for each in _BETWEEN_PARAGRAPHS.split(text.strip("\n")))
        self.write("\n\n".join("\n".join(self._paragraph(lines)) for lines in paragraphs) + "\n")

    def _paragraph(self, lines: list[str]) -> Iterable[str]:
        margin, room = " " * self.current_indent, self.width - self.current_indent
        if lines[0].strip(" ") != SET_APART:
            shown = [fold(" ".join(each.strip() for each in lines), room, 0)]
        elif lines[1] == EXAMPLES:
            shown = lines[1:]
        else:
            shown = [fold(line, room, self._hang(line)) for line in lines[1:]]
        return (margin + line for each in shown for line in each.splitlines())

    def _hang(self, line: str) -> int:
        """Where the second part of a line stands, `name   meaning`, unless that is far right."""
        found = _TWO_PARTS.match(line)
        if found is None or len(found[0]) > self.width // 2:
            return HANG
        return len(found[0]) - len(found[1])


def complain(error: click.ClickException) -> None:
    """The usage and what was wrong with it, on stderr."""
    said = io.StringIO()
    error.show(said)
    width = width_of(sys.stderr)
    click.echo("\n".join(fold(line, width) for line in said.getvalue().splitlines()), err=True)
