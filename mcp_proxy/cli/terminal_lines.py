"""The log of `serve` for somebody who looks on: a quiet line per request, and what matters loudly.

Columns are aligned at the terminal's width, which is asked for again with each batch. What went
otherwise than it was asked for stands at the end of the line, or below it where there is no room.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from mcp_proxy.cli import times
from mcp_proxy.cli.log_lines import Lines, requests_of
from mcp_proxy.cli.render import clean
from mcp_proxy.cli.terminal import USUAL_WIDTH, shows_colours, spelled, width_of
from mcp_proxy.cli.wrapping import cells, wrapped

if TYPE_CHECKING:
    from mcp_proxy.server.access_log import Facts, Told

Style = Literal["plain", "dim", "yellow", "red"]

CLIENT_LEFT: Final = 499

_SGR: Final[Mapping[Style, Mapping[str, Any]]] = {
    "dim": {"dim": True},
    "yellow": {"fg": "yellow"},
    "red": {"fg": "red"},
}
_LEVELS: Final[tuple[tuple[int, str, Style], ...]] = (
    (logging.ERROR, "error: ", "red"),
    (logging.WARNING, "warning: ", "yellow"),
    (logging.INFO, "", "dim"),
    (logging.NOTSET, "debug: ", "dim"),
)
"""How a record of at least such a level begins, and looks."""

_STATUSES: Final[tuple[tuple[int, Style], ...]] = ((500, "red"), (400, "yellow"), (0, "dim"))
"""How the status of a request looks, from such a one on."""

_HEADINGS: Final = ("TIME", "", "CLIENT", "MODEL", "ACCOUNT", "IN", "OUT", "CACHED", "TOOK")


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a request's line, from a width of the terminal on."""

    width: int
    client: int
    model: int
    account: int

    @property
    def columns(self) -> tuple[int, ...]:
        """A negative width: what stands in the column stands at its right."""
        return (_TIME, 3, self.client, self.model, self.account, -4, -4, -6, -_TOOK)


_TIME: Final = len("23:59:59")
_SHORT_TIME: Final = len("23:59")
_TOOK: Final = len("12.3s")

_LAYOUTS: Final = (
    Layout(160, client=14, model=45, account=14),
    Layout(120, client=12, model=38, account=12),
    Layout(100, client=12, model=32, account=12),
    Layout(80, client=10, model=23, account=9),
)
"""On a narrower terminal most facts of a request stand below its line."""


class TerminalLines(Lines):
    """Records as lines for a person, on stderr."""

    def __init__(self, *, traces: bool) -> None:
        super().__init__(traces=traces)
        self._coloured = shows_colours(sys.stderr, os.environ)

    def format(self, record: logging.LogRecord) -> str:
        page = Page(width_of(sys.stderr) or USUAL_WIDTH, coloured=self._coloured)
        requests = requests_of(record)
        if requests is None:
            return "\n".join(self._said(record, page))
        return "\n".join([line for told in requests for line in page.request(told)])

    def _said(self, record: logging.LogRecord, page: "Page") -> Iterator[str]:
        _, begin, style = next(each for each in _LEVELS if record.levelno >= each[0])
        first, *trace = super().format(record).split("\n")
        message = begin + _shown(_in_local_time(first, record))
        head = page.paint(_clock(record.created), "dim") + " "
        if record.levelno < logging.INFO:
            # Bodies, above all: whoever copies one wants it in one piece.
            yield head + page.paint(message, style)
        else:
            yield from page.hung(head, _TIME + 1, message, style)
        for line in trace:
            yield page.paint(spelled(line.expandtabs(), sys.stderr), "dim")


@dataclass(frozen=True, slots=True)
class Page:
    """A terminal of so many columns."""

    width: int
    coloured: bool

    def paint(self, shown: str, style: Style) -> str:
        return click.style(shown, **_SGR[style]) if self.coloured and style in _SGR else shown

    def headings(self) -> str:
        """What the columns of requests are; empty where there are none."""
        layout = self._layout()
        return "" if layout is None else " ".join(_fitted(_HEADINGS, layout.columns))

    def hung(self, head: str, margin: int, words: str, style: Style) -> Iterator[str]:
        """The words behind the head, whose width is the margin; what is left of them below it."""
        for start, end, _ in wrapped(words, max(self.width - margin, 1), hang=0):
            yield (head if start == 0 else " " * margin) + self.paint(words[start:end], style)

    def request(self, told: "Told") -> Iterator[str]:
        """The line of a request, and what it has no room for."""
        layout = self._layout()
        return self._record(told) if layout is None else self._in_columns(told, layout)

    def _layout(self) -> Layout | None:
        return next((each for each in _LAYOUTS if each.width <= self.width), None)

    def _in_columns(self, told: "Told", layout: Layout) -> Iterator[str]:
        facts, style = told.facts, _style_of(told.facts)
        model, note = _asked(told, layout.model)
        texts = (
            _clock(told.at),
            str(facts.status),
            _program(facts),
            model,
            _shown(facts.account or ""),
            *_tokens(facts),
            _took(facts),
        )
        at, status, client, model, *rest = _fitted(texts, layout.columns)
        line = (
            f"{self.paint(at, 'dim')} {self.paint(status, style)} {self.paint(client, 'dim')}"
            f" {model} {self.paint(' '.join(rest), 'dim')}"
        )
        words = _words(told, note)
        used = sum(map(abs, layout.columns)) + len(layout.columns)
        if words and used + cells(words) <= self.width:
            yield f"{line} {self.paint(words, _loud(style))}"
            return
        yield line
        yield from self._below(words, _TIME + 1, _loud(style))

    def _record(self, told: "Told") -> Iterator[str]:
        """For narrow terminals: the model has all the room, the rest goes below."""
        facts, style = told.facts, _style_of(told.facts)
        room = max(self.width - _SHORT_TIME - 3 - _TOOK - 3, 1)
        model, note = _asked(told, room)
        columns = (_SHORT_TIME, 3, room, -_TOOK)
        texts = (_clock(told.at)[:_SHORT_TIME], str(facts.status), model, _took(facts))
        at, status, model, took = _fitted(texts, columns)
        yield " ".join(
            (self.paint(at, "dim"), self.paint(status, style), model, self.paint(took, "dim"))
        )
        named = zip(_tokens(facts), ("in", "out", "cached"), strict=True)
        spent = [f"{count} {what}" for count, what in named if count not in ("", "0")]
        below = [_program(facts), _shown(facts.account or ""), *spent]
        yield from self._below(", ".join(filter(None, below)), _SHORT_TIME + 1, "dim")
        yield from self._below(_words(told, note), _SHORT_TIME + 1, _loud(style))

    def _below(self, words: str, margin: int, style: Style) -> Iterator[str]:
        return self.hung(" " * margin, margin, words, style) if words else iter(())


def _fitted(texts: Sequence[str], columns: Sequence[int]) -> list[str]:
    """The texts, each at the width of its column, cut where it is longer."""
    made = []
    for shown, width in zip(texts, columns, strict=True):
        room = abs(width)
        if cells(shown) > room:
            shown = _cut(shown, room)
        blanks = " " * (room - cells(shown))
        made.append(blanks + shown if width < 0 else shown + blanks)
    return made


def _cut(shown: str, room: int) -> str:
    mark = spelled("…", sys.stderr)
    while shown and cells(shown) + len(mark) > room:
        shown = shown[:-1]
    return shown + mark


def _asked(told: "Told", room: int) -> tuple[str, str]:
    """What was asked for, for the column, and the model that answered if it is another one.

    Where it has no room beside the first it is a note, unless another note has it.
    """
    facts = told.facts
    if facts.model is None:
        return _shown(f"{facts.method} {facts.path}"), ""
    asked = _shown(facts.model)
    if facts.served is None or facts.served == facts.model:
        return asked, ""
    served = _shown(facts.served)
    both = f"{asked} -> {served}"
    if cells(both) <= room:
        return both, ""
    return asked, "" if any(served in move for move in told.moves) else f"-> {served}"


def _words(told: "Told", note: str) -> str:
    """What is worth a word: who else was asked, what answered instead, what went wrong."""
    facts = told.facts
    left = "the client went away" if facts.status == CLIENT_LEFT else ""
    words = (note, *dict.fromkeys(told.moves), facts.error or left)
    return _shown("; ".join(filter(None, words)))


def _style_of(facts: "Facts") -> Style:
    return next(style for least, style in _STATUSES if facts.status >= least)


def _loud(style: Style) -> Style:
    """Of words: a request that went well may still have gone another way than usual."""
    return "yellow" if style == "dim" else style


def _program(facts: "Facts") -> str:
    """The client without its version."""
    return _shown(facts.client.partition("/")[0])


def _tokens(facts: "Facts") -> tuple[str, str, str]:
    if facts.served is None:
        return "", "", ""
    counted = facts.input_tokens, facts.output_tokens, facts.cached_tokens
    sent, written, cached = (_short(each or 0) for each in counted)
    return sent, written, cached


def _short(count: int) -> str:
    """12345 -> `12k`: four columns, up to a thousand million."""
    if count < 1000:
        return str(count)
    if count < 9_950:
        return f"{count / 1000:.1f}k"
    if count < 999_500:
        return f"{count / 1000:.0f}k"
    if count < 9_950_000:
        return f"{count / 1_000_000:.1f}M"
    return f"{count / 1_000_000:.0f}M"


def _took(facts: "Facts") -> str:
    seconds = facts.total_ms / 1000
    return f"{seconds:.1f}s" if seconds < 99.95 else f"{seconds:.0f}s"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _shown(words: str) -> str:
    """Words of a stranger as they may be shown, in letters that the terminal has."""
    plain = words.isascii() and words.isprintable()
    return words if plain else spelled(clean(words), sys.stderr)


def _in_local_time(message: str, record: logging.LogRecord) -> str:
    """The moment that a record is about as a person reads it; logs have it in UTC."""
    until = getattr(record, "facts", {}).get("until")
    if until is None:
        return message
    moment, now = times.parse(until), datetime.fromtimestamp(record.created, UTC)
    # No limit is believed for longer than some hours: the day says nothing.
    return message.replace(until, f"{moment.astimezone():%H:%M} (in {times.wait(moment, now)})")
