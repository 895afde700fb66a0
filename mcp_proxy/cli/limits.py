"""`mcproxy limits`: what is left of every model of every account, once or again and again."""

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.render import console, json_option, show, text
from mcp_proxy.engine.schemas import LIMITS_SCHEMA

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mcp_proxy.cli.reading import Figures, Reading

FAILED = 1

REDRAW_EVERY = 5.0
"""Seconds."""

ASK_AGAIN_AFTER = 60.0
"""Seconds that a figure of an upstream holds while it is watched without a server."""

EXAMPLES = """\b
Examples:
  mcproxy limits
  mcproxy limits work --why
  mcproxy limits --watch
"""


@click.command(epilog=EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--watch", is_flag=True, help="Show it again every 5 seconds until interrupted.")
@click.option("--why", is_flag=True, help="Show what each figure and state rests on.")
@json_option(LIMITS_SCHEMA)
@pass_app
def limits(app: App, /, *, ids: tuple[str, ...], watch: bool, why: bool, as_json: bool) -> int:
    """Show what is left of each model of all accounts, or of some.

    Asks the running server; without one, the upstreams.
    """
    from mcp_proxy.cli.reading import Figures

    with Figures(app) as figures:
        if watch:
            _watch(figures, ids, why=why, as_json=as_json)
        reading = figures.limits(ids)
    for note in reading.notes:
        app.say(note)
    show(reading.report, lambda report: _view(report, console(), why=why), as_json=as_json)
    return FAILED if reading.failed else 0


def _watch(figures: "Figures", ids: tuple[str, ...], *, why: bool, as_json: bool) -> NoReturn:
    """Draws until it is interrupted."""
    with ExitStack() as open_screen:
        draw = _json_line if as_json else _drawing(open_screen, why=why)
        while True:
            draw(figures.limits(ids, max_age=ASK_AGAIN_AFTER))
            figures.pause(REDRAW_EVERY)


def _json_line(reading: "Reading") -> None:
    click.echo(json.dumps(reading.report))


def _drawing(open_screen: ExitStack, *, why: bool) -> "Callable[[Reading], None]":
    """Draws over the last drawing on a terminal, and below it anywhere else."""
    from rich.console import Group
    from rich.live import Live

    out = console()

    def drawn(reading: "Reading") -> Group:
        notes = [text(note, "yellow") for note in reading.notes]
        return Group(*_view(reading.report, out, why=why), *notes)

    if not out.is_terminal:
        return lambda reading: out.print(drawn(reading))
    live = open_screen.enter_context(Live(console=out, screen=True, auto_refresh=False))
    return lambda reading: live.update(drawn(reading), refresh=True)


def _view(report: Any, out: "Console", *, why: bool) -> "Iterable[RenderableType]":
    return limits_view(report, width=out.width, why=why, ascii_only=out.options.ascii_only)
