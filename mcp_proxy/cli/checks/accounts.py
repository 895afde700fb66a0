"""The accounts: whether each could answer now, as far as is known without asking its provider."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_proxy.cli.checks.finding import Finding, Level, Look, ok, problem, warning
from mcp_proxy.errors import UserError

ADD = "mcproxy accounts add"

_LEVELS = {
    "ready": Level.OK,
    "unknown": Level.OK,
    "disabled": Level.OK,
    "soft-limited": Level.WARNING,
    "cooling-down": Level.WARNING,
    "exhausted": Level.WARNING,
    "invalid": Level.PROBLEM,
}


def findings(look: Look) -> Iterator[Finding]:
    from mcp_proxy.cli.account_rows import list_result

    loaded = look.loaded
    if loaded is None:
        yield _unusable(look)
        return
    for wrong in loaded.problems:
        yield problem(str(wrong), f"mend {look.app.paths.accounts}")
    for note in loaded.warnings:
        yield warning(note)
    if not loaded.accounts:
        yield warning("there are no accounts yet", ADD)
    elif not any(account.enabled for account in loaded.accounts):
        yield problem(
            "all accounts are disabled", f"mcproxy accounts enable {loaded.accounts[0].id}"
        )
    for account in loaded.accounts:
        file = account.credential.file
        if file and not Path(file).expanduser().exists():
            yield problem(f"{account.id}: {file} is not there", f"{ADD} --id {account.id}")
    if look.settings is not None:
        yield from map(_of_row, list_result(look.app, loaded)["accounts"])


def _unusable(look: Look) -> Finding:
    file = look.app.paths.accounts
    try:
        look.app.account_store().load()
    except UserError as cause:
        return problem(str(cause), f"mend {file}; nothing was changed in it")
    return warning(f"{file}: could not be read a moment ago", "mcproxy doctor")


def _of_row(row: Mapping[str, Any]) -> Finding:
    said = f"{row['id']} ({row['provider']}): {row['state']}"
    if row["reason"]:
        said += f", {row['reason']}"
    if row["url"]:
        said += f". See {row['url']}"
    level = _LEVELS[row["state"]]
    if level is Level.OK:
        return ok(said)
    return Finding(level, said, row["mend"] or f"mcproxy limits {row['id']}")
