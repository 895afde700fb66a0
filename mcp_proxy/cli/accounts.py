"""`mcproxy accounts`: add, list, verify, remove, enable, disable.

accounts.toml is read before anything else: a malformed file fails there, before any network call.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.account import Account
from mcp_proxy.cli.account_rows import (
    SCHEMA,
    list_result,
    list_view,
    models_view,
    note_plan,
    plan_key,
    unread_row,
    verdict_row,
    verdict_view,
)
from mcp_proxy.cli.account_sources import SOURCES
from mcp_proxy.cli.choices import OneOf
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.lazy import VerbGroup
from mcp_proxy.cli.render import json_option, show, text
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import Loaded, UnknownAccount
from mcp_proxy.store.entries import PROVIDER_NAMES

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown
    from mcp_proxy.store.state import StateStore

ADD_SCHEMA = "mcproxy.accounts-add/1"
VERIFY_SCHEMA = "mcproxy.accounts-verify/1"
CHANGE_SCHEMA = "mcproxy.accounts-change/1"
FAILED = 1
USAGE = 2

ADD_HELP = """\b
Providers, and what each needs:
  antigravity        signs in with Google in the browser; --client-secrets FILE
  anthropic          --api-key, from https://console.anthropic.com
  openai             --api-key, from https://platform.openai.com/api-keys
  gemini             --api-key, from https://aistudio.google.com/apikey
  zai                --api-key, from https://z.ai
  openai-compatible  --base-url URL [--api-key KEY] [--header NAME=VALUE] [--model ID]
  vertex             --project ID [--location REGION] [--credentials-file FILE]
  codex              signs in with ChatGPT; --no-browser shows a code instead
  copilot            signs in with GitHub: shows a code to type in there

\b
Logins that are on this machine already (--from):
  antigravity-app, codex, gcloud   read again whenever they are needed, never written
  copilot, gemini-cli, env         taken over once
  antigravity-claude-proxy, multi-claude-proxy   all accounts of its file; --file PATH

\b
Examples:
  mcproxy accounts add --provider antigravity
  mcproxy accounts add --provider zai --api-key - < key.txt
  mcproxy accounts add --provider openai-compatible --base-url http://127.0.0.1:11434/v1
  mcproxy accounts add --provider vertex --project my-project --location us-central1
  mcproxy accounts add --from codex
"""


def _examples(*lines: str) -> str:
    """The end of a verb's help."""
    return "\n  ".join(("\b\nExamples:", *lines))


@click.group(
    cls=VerbGroup,
    epilog=_examples("mcproxy accounts add --provider antigravity", "mcproxy accounts list"),
)
def accounts() -> None:
    """Add accounts, look at them, try them, remove them."""


@accounts.command(epilog=ADD_HELP)
@click.option(
    "--provider",
    type=OneOf(PROVIDER_NAMES),
    metavar="PROVIDER",
    help="Whose account it is; they are listed below.",
)
@click.option("--id", help="Name for the account; made from its address when left out.")
@click.option("--api-key", metavar="KEY", help="For providers with keys; - reads it from stdin.")
@click.option(
    "--refresh-token", metavar="-", help="A token you already have; - reads it from stdin."
)
@click.option(
    "--from",
    "source",
    type=OneOf(list(SOURCES)),
    metavar="PROGRAM",
    help="Use a login that another program has on this machine; see below.",
)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --from: the file to read, when it is not in its usual place.",
)
@click.option("--no-browser", is_flag=True, help="Print the sign-in page, paste the result back.")
@click.option(
    "--callback-port",
    type=click.IntRange(1, 65535),
    help="Port that the browser comes back to.",
)
@click.option(
    "--client-secrets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="OAuth client, as the JSON file that Google gives out.",
)
@click.option(
    "--credentials-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
    help="Key of a service account, as the JSON file that Google gives out.",
)
@click.option("--base-url", metavar="URL", help="Replaces the provider's address.")
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    help="Sent with every call; repeatable.",
)
@click.option(
    "--model", "models", metavar="ID", multiple=True, help="Use only these models; repeatable."
)
@click.option("--project", metavar="ID", help="Cloud project; found out when left out.")
@click.option("--location", metavar="REGION", help="Region of Vertex AI.")
@click.option("--accept-risk", is_flag=True, help="The notice about terms of use has been read.")
@json_option(ADD_SCHEMA)
@pass_app
def add(app: App, /, *, as_json: bool, **wish: Any) -> int:
    """Add an account, or sign in anew to one that exists."""
    from mcp_proxy.cli.account_add import add_accounts
    from mcp_proxy.cli.account_wish import Wish

    addition = add_accounts(app, Wish(**wish))
    rows = [
        {"action": "added" if each.is_new else "updated", **verdict_row(each.verdict)}
        for each in addition.added
    ]
    first = {name: value for name, value in rows[0].items() if name != "action"}
    result = {
        "schema": ADD_SCHEMA,
        "action": rows[0]["action"],
        "account": first,
        "accounts": rows,
        "left_out": list(addition.left_out),
    }
    show(result, _added_view, as_json=as_json)
    return 0 if addition.ok else FAILED


@accounts.command("list", epilog=_examples("mcproxy accounts list", "mcproxy accounts list --json"))
@json_option(SCHEMA)
@pass_app
def list_accounts(app: App, /, *, as_json: bool) -> None:
    """Show the accounts and what state they are in."""
    show(list_result(app, app.accounts()), list_view, as_json=as_json)


@accounts.command(
    epilog=_examples("mcproxy accounts verify", "mcproxy accounts verify work --json")
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@json_option(VERIFY_SCHEMA)
@pass_app
def verify(app: App, /, *, ids: tuple[str, ...], as_json: bool) -> int:
    """Try accounts for real; all enabled ones when none is named."""
    loaded = app.accounts()
    chosen = _chosen(loaded, ids)
    problems = [each for each in loaded.problems if not ids or each.id in ids]
    rows = [*_verified(app, chosen), *map(unread_row, problems)]
    show({"schema": VERIFY_SCHEMA, "accounts": rows}, _verify_view, as_json=as_json)
    return 0 if all(row["ok"] for row in rows) else FAILED


@accounts.command(
    epilog=_examples("mcproxy accounts remove work", "mcproxy accounts remove work --yes")
)
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option(CHANGE_SCHEMA)
@pass_app
def remove(app: App, /, *, id: str, yes: bool, as_json: bool) -> None:  # noqa: A002 - the argument's name
    """Forget an account and its sign-in."""
    _require_known(app.accounts(), id)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("--yes is needed without a terminal", exit_code=USAGE)
        if not click.confirm(f"Remove {id} and its sign-in from this machine?", err=True):
            raise UserError("nothing was removed")
    app.account_store().remove(id)
    with app.state() as state:
        _forget(state, id)
    _show_change(id, "removed", as_json=as_json)


@accounts.command(
    epilog=_examples("mcproxy accounts enable work", "mcproxy accounts enable work --json")
)
@click.argument("id")
@json_option(CHANGE_SCHEMA)
@pass_app
def enable(app: App, /, *, id: str, as_json: bool) -> None:  # noqa: A002 - the argument's name
    """Use an account again."""
    _set_enabled(app, id, True, as_json=as_json)


@accounts.command(
    epilog=_examples("mcproxy accounts disable work", "mcproxy accounts disable work --json")
)
@click.argument("id")
@json_option(CHANGE_SCHEMA)
@pass_app
def disable(app: App, /, *, id: str, as_json: bool) -> None:  # noqa: A002 - the argument's name
    """Keep an account, but do not use it."""
    _set_enabled(app, id, False, as_json=as_json)


def _set_enabled(app: App, account_id: str, enabled: bool, *, as_json: bool) -> None:
    _require_known(app.accounts(), account_id)
    app.account_store().set_enabled(account_id, enabled)
    _show_change(account_id, "enabled" if enabled else "disabled", as_json=as_json)


def _show_change(account_id: str, action: str, *, as_json: bool) -> None:
    result = {"schema": CHANGE_SCHEMA, "action": action, "account": {"id": account_id}}
    show(result, lambda _: [text(f"{account_id} is {action}.")], as_json=as_json)


def _require_known(loaded: Loaded, account_id: str) -> None:
    known = [each.id for each in loaded.accounts]
    known += [each.id for each in loaded.problems if each.id]
    if account_id not in known:
        raise UnknownAccount(account_id, known)


def _chosen(loaded: Loaded, ids: tuple[str, ...]) -> list[Account]:
    for each in ids:
        _require_known(loaded, each)
    if not ids:
        return [each for each in loaded.accounts if each.enabled]
    return [each for each in loaded.accounts if each.id in ids]


def _verified(app: App, chosen: list[Account]) -> list[dict[str, Any]]:
    """Several at once, since each is a chain of answers from afar; shown in the file's order."""
    if not chosen:
        return []
    from mcp_proxy.cli.interruption import threads
    from mcp_proxy.engine.verify import Verifier

    with app.state() as state:
        verifier = Verifier(app.account_store(), state, app.settings().provider)
        with threads(verifier.renewals) as pool:
            verdicts = list(pool.map(verifier.verify, chosen))
        for verdict in verdicts:
            verifier.record(verdict)
            note_plan(state, verdict)
    return [verdict_row(verdict) for verdict in verdicts]


def _forget(state: "StateStore", account_id: str) -> None:
    """Everything that was remembered about an account goes with it."""
    from mcp_proxy.store.tokens import TokenCache

    for table in ("marks", "tokens", "projects", "models"):
        state.delete(table, account_id)
    TokenCache(state).drop_rotation(account_id)
    state.delete("notices", plan_key(account_id))
    for key in state.items("standings"):
        if key.partition("|")[0] == account_id:
            state.delete("standings", key)


def _added_view(result: Mapping[str, Any]) -> "Iterable[Shown]":
    for row in result["accounts"]:
        label = f", {row['label']}" if row["label"] else ""
        yield text(f"{row['action'].capitalize()} {row['id']} ({row['provider']}{label}).", "bold")
        yield from verdict_view(row)
        yield from models_view(row)
        if not row["ok"]:
            yield text(f"When that is mended: mcproxy accounts verify {row['id']}")
    for line in result["left_out"]:
        yield text(f"Left out: {line}", "red")


def _verify_view(result: Mapping[str, Any]) -> "Iterable[Shown]":
    if not result["accounts"]:
        yield text("There is no account to verify. Add one: mcproxy accounts add")
    for row in result["accounts"]:
        yield from verdict_view(row)
