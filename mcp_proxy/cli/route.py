"""`mcproxy route`: where a model name leads now, and why. Sends no request and asks nobody."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import column, json_option, show, state_text, table, text, told
from mcp_proxy.engine.schemas import ROUTE_SCHEMA

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

EXAMPLES = """\b
Examples:
  mcproxy route sonnet
  mcproxy route gemini/gemini-2.5-pro
  mcproxy route claude-sonnet-4-5 --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("model")
@json_option(ROUTE_SCHEMA)
@pass_app
def route(app: App, /, *, model: str, as_json: bool) -> None:
    """Show where a model name leads now, and why.

    The accounts in the order in which a new conversation asks them. Sends no request.
    """
    from mcp_proxy.cli.reading import Figures

    with Figures(app) as figures:
        reading = figures.route(model)
    for note in reading.notes:
        app.say(note)
    show(reading.report, route_view, as_json=as_json)


def route_view(report: Mapping[str, Any]) -> "Iterable[Shown]":
    """The candidates, then what would become of a request."""
    if report["candidates"]:
        rows = table(
            "ACCOUNT",
            "TURN",
            column("PROVIDER", minor=True),
            "MODEL",
            "STATE",
            column("BECAUSE", wraps=True),
        )
        for row in report["candidates"]:
            rows.add_row(
                text(row["account"], "bold" if row["turn"] else "dim"),
                text(row["turn"]),
                text(row["provider"]),
                text(row["model"]),
                state_text(row["state"]),
                text(_because(row)),
            )
        yield rows
        yield text("")
    yield text(_ending(report["name"], report["outcome"], report["strategy"]), "bold")


def _because(row: Mapping[str, Any]) -> str:
    stands_in = f"stands in for {row['fallback_from']}; " if row["fallback_from"] else ""
    return stands_in + told(row["because"], row["url"], row["mend"])


def _ending(name: str, outcome: Mapping[str, Any], strategy: str) -> str:
    stays = "" if strategy == "round-robin" else " One under way stays on its account."
    match outcome["kind"]:
        case "asked":
            who = f"{outcome['account']} for {outcome['model']}"
            return f"{name}: a new conversation asks {who}.{stays}"
        case "waits":
            return f"{name}: a request waits {outcome['seconds']:.0f} s for {outcome['account']}."
        case "limited":
            return (
                f"{name}: a request is refused (429); the next account is free {outcome['until']}."
            )
        case _:
            return f"{name}: a request is refused (503): no account can serve it."
