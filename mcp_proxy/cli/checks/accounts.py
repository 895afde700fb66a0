"""The accounts: whether each could answer now, as far as is known without asking its provider."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_proxy.cli.checks.finding import Finding, Level, Look, ok, problem, told, warning
from mcp_proxy.cli.times import span
from mcp_proxy.errors import UserError

ADD = "mcproxy accounts add"

_MENDS = {
    "belongs to another user": "sudo chown $USER {file}",
}
"""What a file that cannot be used as a whole suffers from; else it has to be edited."""

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
        without = f", or: mcproxy accounts remove {wrong.id}" if wrong.id else ""
        yield problem(str(wrong), f"edit {look.app.paths.accounts}{without}")
    for note in loaded.warnings:
        yield warning(*told(note, f"chmod go-rwx {look.app.paths.accounts.parent}"))
    if not loaded.accounts and not loaded.problems:
        yield warning("there are no accounts yet", ADD)
    if loaded.accounts and not any(account.enabled for account in loaded.accounts):
        yield problem(
            "all accounts are disabled", f"mcproxy accounts enable {loaded.accounts[0].id}"
        )
    for account in loaded.accounts:
        file = account.credential.file
        if file and not Path(file).expanduser().exists():
            yield problem(f"{account.id}: {file} is not there", f"{ADD} --id {account.id}")
    if look.settings is not None:
        tokens = look.app.state_reader().items("tokens")
        for row in list_result(look.app, loaded)["accounts"]:
            yield _of_row(row, _token(tokens.get(row["id"]), time.time()))


def _unusable(look: Look) -> Finding:
    file = look.app.paths.accounts
    try:
        look.app.account_store().load()
    except UserError as cause:
        mends = (mend for reason, mend in _MENDS.items() if reason in str(cause))
        return problem(*told(str(cause), next(mends, "edit {file}").format(file=file)))
    return warning(f"{file}: could not be read a moment ago", "mcproxy doctor")


def _token(kept: Mapping[str, Any] | None, now: float) -> str:
    """How long the access token is good that a server has kept; an expired one is no fault."""
    if kept is None or not isinstance(kept.get("expires_at"), int | float):
        return ""
    left = kept["expires_at"] - now
    return f"; its token is good for {span(left)}" if left > 0 else "; its next token is due"


def _of_row(row: Mapping[str, Any], token: str) -> Finding:
    said = f"{row['id']} ({row['provider']}): {row['state']}"
    if row["reason"]:
        said += f", {row['reason']}"
    if row["url"]:
        said += f". See {row['url']}"
    level = _LEVELS[row["state"]]
    if level is Level.OK:
        return ok(said + (token if row["enabled"] else ""))
    return Finding(level, said, row["mend"] or f"mcproxy limits {row['id']}")
