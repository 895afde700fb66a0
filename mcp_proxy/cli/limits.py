"""`mcproxy limits`: what is left of every model of every account, once or again and again."""

from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.render import console, json_option, show
from mcp_proxy.engine.schemas import LIMITS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_proxy.cli.layout import Shown

FAILED = 1

EVERY = 5.0
"""Seconds between two looks."""

MOST_OFTEN, LEAST_OFTEN = 1.0, 86_400.0

EXAMPLES = """\b
Examples:
  mcproxy limits
  mcproxy limits work --why
  mcproxy limits --watch
  mcproxy limits work --watch 60
"""


@click.command(epilog=EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--watch",
    is_flag=False,
    flag_value=str(EVERY),
    metavar="[SECONDS]",
    help=f"Show it again every so many seconds ({EVERY:g} unless given) until interrupted.",
)
@click.option("--why", is_flag=True, help="Show what each figure and state rests on.")
@json_option(LIMITS_SCHEMA)
@pass_app
def limits(
    app: App, /, *, ids: tuple[str, ...], watch: str | None, why: bool, as_json: bool
) -> int:
    """Show what is left of each model of all accounts, or of some.

    Asks the running server; without one, the upstreams. RUNS OUT tells when a quota will be used
    up if the next hours use as much as the last one.
    """
    if watch is not None:
        from mcp_proxy.cli.limits_watch import watch as show_again

        every, ids = _told_apart(watch, ids)
        show_again(app, ids, every=every, why=why, as_json=as_json)
    from mcp_proxy.cli.reading import Figures

    with Figures(app) as figures:
        reading = figures.limits(ids)
    for note in reading.notes:
        app.say(note)
    show(reading.report, lambda report: _view(report, why=why), as_json=as_json)
    return FAILED if reading.failed else 0


def _told_apart(watch: str, ids: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
    """Seconds and accounts: what follows `--watch` may be either, `limits --watch work` is old."""
    if not watch.replace(".", "", 1).isdecimal():
        return EVERY, (watch, *ids)
    seconds = float(watch)
    if not MOST_OFTEN <= seconds <= LEAST_OFTEN:
        raise click.BadParameter(
            f"{watch} is not in the range of {MOST_OFTEN:g} to {LEAST_OFTEN:g} seconds.",
            param_hint="'--watch'",
        )
    return seconds, ids


def _view(report: Any, *, why: bool) -> "Iterable[Shown]":
    out = console()
    return limits_view(report, width=out.width, why=why, ascii_only=out.options.ascii_only)
