"""The report on limits as a table, from 40 columns up. Knows no clock but the report's own.

Accounts are groups of rows. Where it gets narrow the bar becomes shorter, then the time of day and
the age go, and in the end each model has two lines of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp_proxy.cli import times
from mcp_proxy.cli.render import state_text, table, text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is shown from a width on."""

    width: int
    columns: tuple[str, ...]
    bar: int = 0
    """Cells of the bar beside the figure."""


_PLAIN = (
    Layout(110, ("MODEL", "LEFT", "STATE", "RESETS", "AGE"), bar=20),
    Layout(80, ("MODEL", "LEFT", "STATE", "RESETS", "AGE"), bar=5),
    Layout(60, ("MODEL", "LEFT", "STATE", "WAIT")),
    Layout(0, ("LINES",)),
)
_WITH_EVIDENCE = (
    Layout(130, ("MODEL", "LEFT", "STATE", "RESETS", "AGE", "BECAUSE"), bar=10),
    Layout(100, ("MODEL", "LEFT", "STATE", "WAIT", "BECAUSE")),
    Layout(72, ("MODEL", "LEFT", "STATE", "BECAUSE")),
    Layout(0, ("LINES BECAUSE",)),
)


def limits_view(
    report: Row, *, width: int, why: bool = False, ascii_only: bool = False
) -> "Iterable[RenderableType]":
    """The table, and under it what owners have to do."""
    accounts = report["accounts"]
    if not accounts:
        yield text("No accounts yet. Add one: mcproxy accounts add")
        return
    layouts = _WITH_EVIDENCE if why else _PLAIN
    layout = next(each for each in layouts if each.width <= width)
    yield _table(accounts, _Pen(times.parse(report["at"]), layout.bar, ascii_only), layout)
    for account in accounts:
        if account["reason"]:
            see = f" See {account['url']}" if account["url"] else ""
            yield text(f"{account['id']}: {account['reason']}{see}")


def _table(accounts: Iterable[Row], pen: "_Pen", layout: Layout) -> "Table":
    made = table(*layout.columns)
    made.box, made.padding = None, (0, 2, 0, 0)
    made.show_header = len(layout.columns) > 1
    for account in accounts:
        made.add_row(*_heading(account, layout))
        windows = [_of_window(each) for each in account.get("windows", ())]
        for row in (*windows, *account["models"]):
            made.add_row(*(_CELLS[name](pen, row) for name in layout.columns))
        if not account["models"] and not windows:
            made.add_row(text("no models known yet", "dim"))
        made.add_row()
    return made


def _of_window(window: Row) -> Row:
    """A span that many models share, as a row among theirs."""
    return {**window, "model": f"{window['bucket'] or 'all models'}, {window['window']}"}


def _heading(account: Row, layout: Layout) -> "list[Text]":
    name = text(account["id"], "bold").append(" ")
    name.append_text(text(f"({account['provider']})", "dim not bold"))
    state = state_text(account["state"])
    if "STATE" in layout.columns:
        cells = {"MODEL": name, "STATE": state}
        return [cells.get(column, text("")) for column in layout.columns]
    return [name.append("  ").append_text(state)]


@dataclass(frozen=True, slots=True)
class _Pen:
    """How one row's facts are written."""

    now: datetime
    bar: int
    ascii_only: bool

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

    def age(self, row: Row) -> "Text":
        seconds = row["age_seconds"]
        return text("" if seconds is None else times.age(seconds), "dim")

    def because(self, row: Row) -> "Text":
        return text(_because(row), "dim")

    def lines(self, row: Row) -> "Text":
        """Model, and under it everything that fits one narrow line."""
        made = self.model(row).append("\n  ")
        if row["remaining"] is not None:
            made.append(f"{_percent(row['remaining'])} ")
        made.append_text(self.state(row))
        wait = self._at(row, times.wait)
        return made.append(f", resets in {wait}" if wait else "")

    def lines_because(self, row: Row) -> "Text":
        return self.lines(row).append("\n  ").append_text(self.because(row))

    def _at(self, row: Row, write: Callable[[datetime, datetime], str]) -> str:
        moment = row["limited_until"] or row["resets_at"]
        if row["state"] == "exhausted":
            # A cooldown is capped, the quota comes back when the upstream says.
            moment = row["resets_at"] or moment
        return write(times.parse(moment), self.now) if moment else ""


_CELLS: Mapping[str, "Callable[[_Pen, Row], Text]"] = {
    "MODEL": _Pen.model,
    "LEFT": _Pen.left,
    "STATE": _Pen.state,
    "RESETS": _Pen.resets,
    "WAIT": _Pen.wait,
    "AGE": _Pen.age,
    "BECAUSE": _Pen.because,
    "LINES": _Pen.lines,
    "LINES BECAUSE": _Pen.lines_because,
}


def _because(row: Row) -> str:
    """What a figure and a state rest on, in the words of the ledger."""
    if row["evidence"]:
        return str(row["evidence"])
    return str(row["source"] or "nobody has said")


def _percent(fraction: float) -> str:
    return "<1%" if 0 < fraction < 0.01 else f"{fraction:.0%}"


_EIGHTHS = " ▏▎▍▌▋▊▉█"


def _bar(fraction: float, cells: int, *, ascii_only: bool) -> str:
    """Exactly `cells` wide; something is seen of everything above nothing."""
    if ascii_only:
        full = max(round(fraction * cells), 1 if fraction > 0 else 0)
        return "#" * full + "." * (cells - full)
    eighths = max(round(fraction * cells * 8), 1 if fraction > 0 else 0)
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(cells)
