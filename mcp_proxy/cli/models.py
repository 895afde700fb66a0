"""`mcproxy models`: what can be asked for, and which accounts answer."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import column, json_option, show, table, text
from mcp_proxy.engine.schemas import MODELS_SCHEMA

if TYPE_CHECKING:
    from rich.text import Text

    from mcp_proxy.cli.layout import Shown

EXAMPLES = """\b
Examples:
  mcproxy models
  mcproxy models --json
"""


@click.command(epilog=EXAMPLES)
@json_option(MODELS_SCHEMA)
@pass_app
def models(app: App, /, *, as_json: bool) -> None:
    """Show every model that can be asked for, and who serves it."""
    from mcp_proxy.cli.reading import Figures

    with Figures(app) as figures:
        reading = figures.models()
    for note in reading.notes:
        app.say(note)
    show(reading.report, models_view, as_json=as_json)


def models_view(report: Mapping[str, Any]) -> "Iterable[Shown]":
    """The models, then the other names by which they can be asked for."""
    if not report["models"]:
        yield text("No account serves a model yet. Add one: mcproxy accounts add")
        return
    rows = table(
        "MODEL",
        column("LEFT", align="right"),
        column("WINDOW", align="right"),
        column("OUTPUT", align="right", minor=True),
        column("FAMILY", minor=True),
        column("PROVIDER", minor=True),
        column("ACCOUNTS", wraps=True),
    )
    for row in report["models"]:
        rows.add_row(
            text(row["id"], "bold"),
            _left(row["quota"]["remaining"]),
            text(tokens(row["context_window"])),
            text(tokens(row["max_output"])),
            text(row["family"]),
            text(", ".join(row["providers"])),
            text(", ".join(row["accounts"])),
        )
    yield rows
    yield text("")
    names = {**{name: [model] for name, model in report["classes"].items()}, **report["aliases"]}
    for name, targets in names.items():
        yield text(f"{name} means {' or '.join(targets)}")


def tokens(count: int) -> str:
    """1048576 -> `1M`, 65536 -> `64k`, 200000 -> `200k`: as vendors name their windows."""
    for unit, size in (("M", 1 << 20), ("M", 10**6), ("k", 1 << 10), ("k", 1000)):
        if count >= size and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count / 1000:.0f}k"


def _left(remaining: float | None) -> "Text":
    return text("?", "dim") if remaining is None else text(f"{remaining:.0%}")
