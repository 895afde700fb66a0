"""`mcproxy paths`: where everything is that the program reads or writes. Opens none of it."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import JsonObject, column, json_option, show, table, text

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

SCHEMA = "mcproxy.paths/1"
DEFAULT = "default"

EXAMPLES = """\b
Examples:
  mcproxy paths
  mcproxy paths --json
"""

_VARIABLES = {
    "accounts": ("ACCOUNTS_CONFIG_PATH", "CONFIGURATION_DIRECTORY"),
    "config": ("MCPROXY_CONFIG", "CONFIGURATION_DIRECTORY"),
    "state": ("MCPROXY_STATE_DIR", "STATE_DIRECTORY"),
}
"""What may have moved each, the strongest first; `store/paths.py` obeys them."""

_PURPOSES = {
    "accounts": "accounts and credentials",
    "config": "settings",
    "state": "limits, marks and notices; safe to delete",
    "program": "the installed program",
    "python": "what runs it",
}


@click.command(epilog=EXAMPLES)
@json_option(SCHEMA)
@pass_app
def paths(app: App, /, *, as_json: bool) -> None:
    """Show the files and directories in use, and what has put them there."""
    show(paths_report(app, os.environ), paths_view, as_json=as_json)


def paths_report(app: App, env: Mapping[str, str]) -> JsonObject:
    """By name: the path, whether something is there, and the variable or flag that named it."""
    found = app.paths
    rows = {
        "accounts": _row(found.accounts, _named_by("accounts", env)),
        "config": _row(found.config, "--config" if app.config else _named_by("config", env)),
        "state": _row(found.state, _named_by("state", env)),
        "program": _row(Path(__file__).parents[1], None),
        "python": _row(Path(sys.executable), None),
    }
    return {"schema": SCHEMA, "paths": rows}


def paths_view(report: JsonObject) -> "Iterable[Shown]":
    """One row each; what is not there yet is dim."""
    rows = table("WHAT", "PATH", "BECAUSE OF", column("HOLDS", wraps=True))
    for name, row in report["paths"].items():
        rows.add_row(
            text(name, "bold"),
            text(row["path"], "" if row["exists"] else "dim"),
            text(row["named_by"]),
            text(_PURPOSES[name] + ("" if row["exists"] else " (not there yet)")),
        )
    yield rows


def _row(path: Path, named_by: str | None) -> JsonObject:
    return {"path": str(path), "exists": path.exists(), "named_by": named_by}


def _named_by(name: str, env: Mapping[str, str]) -> str | None:
    return next((each for each in _VARIABLES[name] if env.get(each)), None)
