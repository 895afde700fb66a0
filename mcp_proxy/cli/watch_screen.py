"""The terminal of `mcproxy limits --watch`: one picture that is drawn over in place.

It is drawn anew when there are new figures, when the terminal gets another size, and when we come
back after having been stopped. However we end, the terminal is left as it was found.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from mcp_proxy.cli import times
from mcp_proxy.cli.layout import lines_of
from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.render import JsonObject, console, text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from mcp_proxy.cli.limits_watch import Look
    from mcp_proxy.cli.reading import Figures

SLICE = 0.2
"""Seconds until a new size of the terminal is noticed."""

_STOP = "SIGTSTP"
"""Ctrl-Z. Windows has none."""


class Screen:
    """Takes the whole terminal, within a `with` block."""

    def __init__(self, *, every: float, why: bool) -> None:
        self._every = every
        self._why = why
        self._out = console()
        self._size = self._out.size
        self._stop_asked = False
        self._log = _LastWord()
        self._live = Live(
            text("asking ...", "dim"),
            console=self._out,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._restore = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as restore:
            _handle(_STOP, self._ask_to_stop, restore)
            self._log.listen(restore)
            restore.enter_context(self._live)
            self._restore = restore.pop_all()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._restore.close()

    def show(self, look: "Look") -> None:
        self._live.update(_Picture(look, self._log.taken(), self._every, self._why), refresh=True)

    def rest(self, figures: "Figures", seconds: float) -> None:
        """Waits, and sees to the terminal."""
        slices = max(1, round(seconds / SLICE))
        for _ in range(slices):
            figures.pause(seconds / slices)
            if self._stop_asked:
                self._stop()
            if self._out.size != self._size:
                self._size = self._out.size
                self._live.refresh()

    def _ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Noted only: something may just be drawn."""
        self._stop_asked = True

    def _stop(self) -> None:
        """Gives the terminal back to the shell until it lets us go on."""
        self._stop_asked = False
        self._live.stop()
        with ExitStack() as restore:
            _handle(_STOP, signal.SIG_DFL, restore)
            os.kill(os.getpid(), signal.SIGTSTP)
        self._live.start(refresh=True)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A table as far as there is room, what has to be said, and when it was."""

    look: "Look"
    logged: tuple[str, ...]
    every: float
    why: bool

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> Iterator[Text]:
        width, reading = options.max_width, self.look.reading
        notes = [text(note, "yellow") for note in (*reading.notes, *self.logged)]
        tail = [line for each in (*notes, self._signature()) for line in lines_of(each, width)]
        # A line stays empty between the two.
        room = max(0, console.height - len(tail) - 1)
        lines = self._table(reading.report, options)
        if len(lines) > room:
            lines = self._table(alike_together(reading.report), options)
        if len(lines) > room:
            hidden = len(lines) - room + 1
            lines[max(0, room - 1) :] = [text(f"{hidden} more lines do not fit here", "dim")]
        yield from lines
        yield text("")
        yield from tail

    def _table(self, report: JsonObject, options: "ConsoleOptions") -> list[Text]:
        width = options.max_width
        view = limits_view(report, width=width, why=self.why, ascii_only=options.ascii_only)
        return [line for each in view for line in lines_of(each, width)]

    def _signature(self) -> Text:
        at = times.parse(self.look.reading.report["at"]).astimezone()
        return text(f"{at:%H:%M:%S}, every {self.every:g} s; Ctrl-C ends", "dim")


def alike_together(report: JsonObject) -> JsonObject:
    """The report with one row for the models of a family that share their figures."""
    accounts = [
        {**account, "models": [_as_one(rows) for rows in _alike(account["models"])]}
        for account in report["accounts"]
    ]
    return {**report, "accounts": accounts}


def _alike(rows: Iterable[JsonObject]) -> Iterable[list[JsonObject]]:
    found: dict[tuple[object, ...], list[JsonObject]] = {}
    for row in rows:
        facts = tuple(value for name, value in row.items() if name != "model")
        found.setdefault(facts, []).append(row)
    return found.values()


def _as_one(rows: Sequence[JsonObject]) -> JsonObject:
    others = len(rows) - 1
    return {**rows[0], "model": rows[0]["model"] + f" +{others}" * bool(others)}


class _LastWord(logging.Handler):
    """Keeps what the log says from being written across the picture: it becomes part of it."""

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[str, ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        self._said = (record.getMessage(),)

    def taken(self) -> tuple[str, ...]:
        """What was said last since this was asked, if anything."""
        said, self._said = self._said, ()
        return said

    def listen(self, restore: ExitStack) -> None:
        """Takes the place of the log's other ends until `restore` is closed."""
        logger = logging.getLogger("mcp_proxy")
        others = list(logger.handlers)
        logger.handlers[:] = [self]
        restore.callback(lambda: logger.handlers.__setitem__(slice(None), others))


_Handler = Callable[[int, FrameType | None], object] | int


def _handle(name: str, handler: _Handler, restore: ExitStack) -> None:
    """Sets a signal's handler until `restore` is closed, where there is such a signal."""
    number = getattr(signal, name, None)
    if number is not None:
        before = signal.signal(number, handler)
        restore.callback(signal.signal, number, before)
