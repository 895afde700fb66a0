"""`mcproxy limits --watch`: the limits again and again. Knows no terminal; `watch_screen.py` does.

Documents and tables follow each other; on a terminal each table takes the place of the one before.
A server that was there once is waited for when it stops: its last figures stay.
"""

import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn, Protocol

import click

from mcp_proxy.cli import times
from mcp_proxy.cli.context import App
from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.reading import Figures, Reading
from mcp_proxy.cli.render import Paper, console
from mcp_proxy.cli.running_server import NoServer
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

ASK_AGAIN_AFTER = 60.0
"""Seconds that a figure of an upstream holds while it is watched without a server."""

LOOK_AGAIN = 2.0
"""Seconds between looks for a server that has stopped."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be seen at one moment."""

    reading: Reading
    is_fresh: bool = True
    """Whether somebody was asked; otherwise these are the last figures of a server that is gone."""


class Display(Protocol):
    """Where looks are shown."""

    def show(self, look: Look) -> None: ...

    def rest(self, figures: Figures, seconds: float) -> None:
        """Waits, while `figures` go on with their work."""
        ...


def watch(app: App, ids: "Sequence[str]", *, every: float, why: bool, as_json: bool) -> NoReturn:
    """Shows them every so many seconds, until it is interrupted."""
    with ExitStack() as opened:
        display: Display
        if as_json or not console().is_terminal:
            figures = opened.enter_context(Figures(app))
            display = _Lines(app, why=why, as_json=as_json)
        else:
            from mcp_proxy.cli.watch_screen import Screen

            # Nobody else may write on the screen, such as a sign of progress.
            figures = opened.enter_context(Figures(replace(app, verbosity=-1)))
            # It is given back first: what the figures' end waits for is said below it.
            display = opened.enter_context(Screen(every=every, why=why))
        watched = Watched(figures, ids)
        while True:
            look = watched.look()
            display.show(look)
            display.rest(watched.figures, every if look.is_fresh else min(every, LOOK_AGAIN))


class Watched:
    """The figures of some accounts, or of all, looked at again and again."""

    def __init__(self, figures: Figures, ids: "Sequence[str]") -> None:
        self.figures = figures
        self._ids = ids
        self._served: Reading | None = None
        """What a server said last."""
        self._absence: str | None = None
        """Why it says nothing now."""

    def look(self) -> Look:
        """The figures as they are now. UnknownAccount for an id that is none."""
        if self._served is None:
            return self._first_look()
        try:
            self._served = self.figures.served_limits(self._ids)
        except NoServer as absence:
            if self._absence is None:
                self._absence = (
                    absence.reason or f"the server at {self.figures.server_url} has stopped"
                )
            self._look_elsewhere()
            return Look(replace(self._served, notes=(self._note(self._served),)), is_fresh=False)
        self._absence = None
        return Look(self._served)

    def _note(self, last: Reading) -> str:
        at = times.parse(last.report["at"]).astimezone()
        return f"{self._absence}; these are its figures of {at:%H:%M:%S}. Waiting for it."

    def _first_look(self) -> Look:
        """Of the server, should one have come; as long as there is none, of the upstreams."""
        reading = self.figures.limits(self._ids, max_age=ASK_AGAIN_AFTER)
        if reading.is_served:
            self._served = reading
        else:
            self._look_elsewhere()
        return Look(reading)

    def _look_elsewhere(self) -> None:
        """The next server may be at another address. Settings that cannot be read may be mended."""
        with suppress(UserError):
            self.figures.look_for_server()


class _Lines:
    """Below each other, for files and pipes. What is to be said about them goes to stderr, once."""

    def __init__(self, app: App, *, why: bool, as_json: bool) -> None:
        self._app = app
        self._why = why
        self._as_json = as_json
        self._said: tuple[str, ...] = ()

    def show(self, look: Look) -> None:
        for note in look.reading.notes:
            if note not in self._said:
                self._app.say(note)
        self._said = look.reading.notes
        if not look.is_fresh:
            return
        if self._as_json:
            click.echo(json.dumps(look.reading.report))
            return
        out, paper = console(), Paper()
        for each in limits_view(
            look.reading.report, width=out.width, why=self._why, ascii_only=out.options.ascii_only
        ):
            paper.print(each)
        click.echo()

    def rest(self, figures: Figures, seconds: float) -> None:
        figures.pause(seconds)
