"""`mcproxy setup` and `mcproxy unsetup`: a client's own settings, changed and changed back."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.client_argument import client_argument, model_option
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import json_option, show, text, verbatim
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from mcp_proxy.cli.clients.change import Change
    from mcp_proxy.cli.clients.client import Client
    from mcp_proxy.cli.layout import Shown

SETUP_SCHEMA = "mcproxy.setup/1"
UNSETUP_SCHEMA = "mcproxy.unsetup/1"
USAGE = 2

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would change; change nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

SETUP_EXAMPLES = """\b
Examples:
  mcproxy setup claude-code --dry-run
  mcproxy setup codex --model gpt-5.5 --yes
"""

UNSETUP_EXAMPLES = """\b
Examples:
  mcproxy unsetup claude-code
  mcproxy unsetup codex --yes
"""


@click.command(epilog=SETUP_EXAMPLES)
@client_argument
@model_option
@dry_run_option
@yes_option
@json_option(SETUP_SCHEMA)
@pass_app
def setup(
    app: App,
    /,
    *,
    client: "Client",
    model: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Lead a client to the server in its own settings file.

    Shows the change first and keeps a copy beside the file. mcproxy unsetup takes back what was
    changed here, and nothing else.
    """
    from mcp_proxy.cli.client_changes import planned, set_up
    from mcp_proxy.cli.client_place import find_place, where
    from mcp_proxy.cli.clients.receipt import Receipts

    _require_consent(dry_run=dry_run, yes=yes, as_json=as_json)
    found = find_place(app, model, models_needed=client.names_models)
    receipts = Receipts(app.paths.state)
    earlier = receipts.read(client.name)
    wishes = client.files(found.place, where())
    if not any(wish.values for wish in wishes):
        raise UserError(
            f"{client.title} has to be told the names of models, and no account serves one yet."
            " Run: mcproxy accounts add"
        )
    changes = _shown_if_refused(lambda: planned(wishes, earlier))
    result = {
        "schema": SETUP_SCHEMA,
        "client": client.name,
        "url": found.place.url,
        "running": found.is_running,
        **_rows(changes),
        "notes": [*found.notes, *client.setup_notes],
    }
    needed = any(change.is_needed for change in changes)
    if _goes_on(app, result, needed=needed, dry_run=dry_run, yes=yes, as_json=as_json):
        receipt = set_up(client.name, changes, receipts, earlier)
        backups = [str(each.backup) for each in receipt.files if each.backup is not None]
        result = {**result, "done": True, "backups": backups}
    _tell(result, f"{client.title} uses {found.place.url}", as_json=as_json, dry_run=dry_run)


@click.command(epilog=UNSETUP_EXAMPLES)
@client_argument
@dry_run_option
@yes_option
@json_option(UNSETUP_SCHEMA)
@pass_app
def unsetup(app: App, /, *, client: "Client", dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take back what setup changed, and leave what you have changed since."""
    from mcp_proxy.cli.client_changes import planned_back, take_back
    from mcp_proxy.cli.clients.receipt import Receipts

    _require_consent(dry_run=dry_run, yes=yes, as_json=as_json)
    receipts = Receipts(app.paths.state)
    receipt = receipts.read(client.name)
    if receipt is None:
        raise UserError(
            f"there is no receipt of a setup of {client.name} in {receipts.directory}: nothing is"
            f" known to be ours. What it would set shows: mcproxy setup {client.name} --dry-run"
        )
    changes = _shown_if_refused(lambda: planned_back(receipt))
    kept = [f"{each.path}: {'.'.join(key)}" for each in changes for key in each.kept]
    result = {
        "schema": UNSETUP_SCHEMA,
        "client": client.name,
        **_rows(changes),
        "kept": kept,
        "notes": [f"{each} was changed since and stays as it is" for each in kept],
    }
    if _goes_on(app, result, needed=True, dry_run=dry_run, yes=yes, as_json=as_json):
        left = take_back(client.name, changes, receipts)
        result = {**result, "done": True, "backups": [str(path) for path in left]}
    _tell(result, f"{client.title} is as it was", as_json=as_json, dry_run=dry_run)


def _require_consent(*, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Before anything is asked of anybody: it would be for nothing."""
    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise UserError(
            "--yes is needed without a terminal (or --dry-run, to look first)", exit_code=USAGE
        )


def _shown_if_refused(plan: "Callable[[], list[Change]]") -> "list[Change]":
    from mcp_proxy.cli.client_changes import Refused

    try:
        return plan()
    except Refused as refused:
        for line in refused.by_hand:
            click.echo(line, err=True)
        raise UserError(f"{refused}; the lines above are for you to add") from refused


def _rows(changes: "list[Change]") -> dict[str, Any]:
    from mcp_proxy.cli.client_changes import diff

    rows = [
        {
            "path": str(change.path),
            "exists": change.found.text is not None,
            "removed": change.text is None and change.found.text is not None,
            "changed": change.is_needed,
            "diff": diff(change),
        }
        for change in changes
    ]
    return {"done": False, "files": rows, "backups": []}


def _goes_on(
    app: App,
    result: Mapping[str, Any],
    *,
    needed: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> bool:
    """Shows the change; whether it is to be made."""
    if not as_json:
        show(result, _diffs, as_json=False)
        for note in result["notes"]:
            app.say(note)
    if dry_run or not needed:
        return False
    if not yes and not click.confirm("Make this change?", err=True):
        raise UserError("nothing was changed")
    return True


def _diffs(result: Mapping[str, Any]) -> "Iterable[Shown]":
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for row in result["files"]:
        for line in row["diff"].splitlines():
            yield verbatim(line, styles.get(line[:1], ""))


def _tell(result: Mapping[str, Any], done: str, *, as_json: bool, dry_run: bool) -> None:
    def view(result: Mapping[str, Any]) -> "Iterable[Shown]":
        if result["done"]:
            yield text(done)
        elif dry_run and any(row["changed"] for row in result["files"]):
            yield text("Nothing was changed yet.")
        else:
            yield text("There is nothing to change.")
        for backup in result["backups"]:
            yield text(f"A copy of the file as it was: {backup}")

    show(result, view, as_json=as_json)
