"""The report on limits as a table, from 40 columns up. Knows no clock but the report's own.

Accounts are groups of rows. Where it gets narrow the bar becomes shorter, then the time of day and
the age go, and in the end each model has two lines of its own. Where nobody looks, each row names
its account, for `grep` and `awk`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp_proxy.cli import times
from mcp_proxy.cli.render import PIPE_WIDTH, counted, indented, state_text, text, told

if TYPE_CHECKING:
    from rich.text import Text

    from mcp_proxy.cli.layout import Shown, Table

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is shown from a width on."""

    width: int
    columns: tuple[str, ...]
    bar: int = 0
    """Cells of the bar beside the figure."""


_PLAIN = (
    Layout(PIPE_WIDTH, ("ACCOUNT", "MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE")),
    Layout(110, ("MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE"), bar=20),
    Layout(80, ("MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE"), bar=5),
    Layout(80, ("MODEL", "LEFT", "STATE", "WAIT", "RUNS OUT"), bar=4),
    Layout(60, ("MODEL", "LEFT", "STATE", "WAIT", "RUNS OUT")),
)
_WITH_EVIDENCE = (
    Layout(
        PIPE_WIDTH,
        ("ACCOUNT", "MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE", "BECAUSE"),
    ),
    Layout(130, ("MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE", "BECAUSE"), bar=10),
    Layout(100, ("MODEL", "LEFT", "STATE", "WAIT", "RUNS OUT", "BECAUSE")),
    Layout(72, ("MODEL", "LEFT", "STATE", "BECAUSE")),
)
"""The first that fits is taken; where none does, each row has lines of its own."""

_WITHOUT_MODELS = ("invalid", "disabled")
"""States of accounts whose models need not be told one by one: all are in that state."""


def limits_view(
    report: Row, *, width: int, why: bool = False, ascii_only: bool = False
) -> "Iterator[Shown]":
    """The table, and under it what owners have to do."""
    accounts = report["accounts"]
    if not accounts:
        yield text("No accounts yet. Add one: mcproxy accounts add")
        return
    now = times.parse(report["at"])
    layouts = [each for each in (_WITH_EVIDENCE if why else _PLAIN) if each.width <= width]
    foresees = any(_outlook(row, now) for each in accounts for row in _rows(each, every=True))
    tables = (_table(accounts, _Pen(now, each.bar, ascii_only, foresees), each) for each in layouts)
    fitting = next((each for each in tables if each.fitted(width) is not None), None)
    if fitting is not None:
        yield fitting
    else:
        yield from _lines(accounts, _Pen(now, 0, ascii_only, foresees), why=why)
    for account in accounts:
        if account["reason"]:
            yield text("")
            yield text(f"{account['id']}: {told(account['reason'], account['url'])}")


def _table(accounts: Sequence[Row], pen: "_Pen", layout: Layout) -> "Table":
    from mcp_proxy.cli.layout import Column, Table

    grouped = "ACCOUNT" not in layout.columns
    made = Table(
        *(
            Column(name, "right" if name == "LEFT" else "left", wraps=name == "BECAUSE")
            for name in layout.columns
        ),
        empty="" if grouped else "-",
    )
    for number, account in enumerate(accounts):
        if grouped:
            for line in _heading(account, number):
                made.add_line(line)
        for row in _rows(account, every=not grouped):
            made.add_row(*(_CELLS[name](pen, row) for name in layout.columns))
    return made


def _lines(accounts: Sequence[Row], pen: "_Pen", *, why: bool) -> "Iterator[Text]":
    """A model, and under it everything that is known of it."""
    for number, account in enumerate(accounts):
        yield from _heading(account, number)
        for row in _rows(account, every=False):
            yield pen.model(row)
            yield indented(pen.summary(row), 2)
            if outlook := _outlook(row, pen.now):
                yield indented(text(f"runs out {outlook}"), 2)
            if why:
                yield indented(pen.because(row), 2)


def _heading(account: Row, number: int) -> "Iterator[Text]":
    """The account's line, and one for all models that need none of their own."""
    if number:
        yield text("")
    name = text(account["id"], "bold").append(" ", "not bold")
    name.append_text(text(f"({account['provider']})", "dim not bold"))
    yield name.append("  ", "not bold").append_text(state_text(account["state"]))
    if not _rows(account, every=False):
        models = len(account["models"])
        yield text(counted(models, "model") if models else "no models known yet", "dim")


def _rows(account: Row, *, every: bool) -> list[Row]:
    """The rows below an account: first spans that many models share, then models."""
    if account["state"] in _WITHOUT_MODELS and not every:
        return []
    windows = [_of_window(each, account) for each in account.get("windows", ())]
    return [*windows, *account["models"]]


def _of_window(window: Row, account: Row) -> Row:
    """A span that many models share, as a row among theirs."""
    model = f"{window['bucket'] or 'all models'}, {window['window']}"
    return {**window, "account": account["id"], "model": model}


@dataclass(frozen=True, slots=True)
class _Pen:
    """How one row's facts are written."""

    now: datetime
    bar: int
    ascii_only: bool
    foresees: bool
    """Whether there is a row of which something is known to come: others then say `-`."""

    def account(self, row: Row) -> "Text":
        return text(row["account"], "bold")

    def model(self, row: Row) -> "Text":
        return text(row["model"])

    def left(self, row: Row) -> "Text":
        remaining = row["remaining"]
        if remaining is None:
            return text("", "dim").append("?".rjust(self.bar + 5))
        bar = _bar(remaining, self.bar, ascii_only=self.ascii_only)
        figure = state_text(row["state"])
        figure.plain = f"{bar}{_percent(remaining):>5}"
        return figure

    def state(self, row: Row) -> "Text":
        return state_text(row["state"])

    def resets(self, row: Row) -> "Text":
        return text(self._at(row, times.until))

    def wait(self, row: Row) -> "Text":
        return text(self._at(row, times.wait))

    def runs_out(self, row: Row) -> "Text":
        return text(_outlook(row, self.now) or "-" * self.foresees)

    def age(self, row: Row) -> "Text":
        seconds = row["age_seconds"]
        return text("" if seconds is None else times.age(seconds), "dim")

    def because(self, row: Row) -> "Text":
        return text(_because(row), "dim")

    def summary(self, row: Row) -> "Text":
        """All of it in one narrow line."""
        left = "" if row["remaining"] is None else f"{_percent(row['remaining'])} "
        made = text(left).append(" " * bool(left)).append_text(self.state(row))
        wait = self._at(row, times.wait)
        return made.append(f", resets in {wait}" if wait else "")

    def _at(self, row: Row, write: Callable[[datetime, datetime], str]) -> str:
        moment = row["limited_until"] or row["resets_at"]
        if row["state"] == "exhausted":
            # A cooldown is capped, the quota comes back when the upstream says.
            moment = row["resets_at"] or moment
        return write(times.parse(moment), self.now) if moment else ""


_CELLS: Mapping[str, "Callable[[_Pen, Row], Text]"] = {
    "ACCOUNT": _Pen.account,
    "MODEL": _Pen.model,
    "LEFT": _Pen.left,
    "STATE": _Pen.state,
    "RESETS": _Pen.resets,
    "WAIT": _Pen.wait,
    "RUNS OUT": _Pen.runs_out,
    "AGE": _Pen.age,
    "BECAUSE": _Pen.because,
}


def _outlook(row: Row, now: datetime) -> str:
    """When it runs out, if anything can be told; servers of older versions do not."""
    if row.get("runs_out_at"):
        ends = times.parse(row["runs_out_at"])
        return f"in {times.wait(ends, now)}" if ends > now else "now"
    return "not before reset" if row.get("lasts_until_reset") else ""


def _because(row: Row) -> str:
    """What a figure, a state and an outlook rest on, in the words of the ledger."""
    told = str(row["evidence"] or row["source"] or "nobody has said")
    used = row.get("used_per_hour")
    return f"{told}, {_percent(used)} used in an hour" if used else told


def _percent(fraction: float) -> str:
    return "<1%" if 0 < fraction < 0.01 else f"{fraction:.0%}"


_EIGHTHS = " ▏▎▍▌▋▊▉█"


def _bar(fraction: float, cells: int, *, ascii_only: bool) -> str:
    """Exactly `cells` wide; something is seen of everything above nothing."""
    if not cells:
        return ""
    if ascii_only:
        full = max(round(fraction * cells), 1 if fraction > 0 else 0)
        return "#" * full + "." * (cells - full)
    eighths = max(round(fraction * cells * 8), 1 if fraction > 0 else 0)
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(cells)
