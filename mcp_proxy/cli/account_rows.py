"""Accounts as rows: what `accounts` prints of them, as JSON and as tables. Never a credential."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp_proxy.account import Account
from mcp_proxy.cli.context import App
from mcp_proxy.cli.render import state_text, table, text
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.models import info
from mcp_proxy.policy.refusals import mending_command
from mcp_proxy.policy.routes import Directory
from mcp_proxy.providers import KNOWN_PROVIDERS, QuotaReading
from mcp_proxy.store.accounts import Loaded, credential_id

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mcp_proxy.engine.verify import Verdict

SCHEMA = "mcproxy.accounts/1"

Row = dict[str, Any]


class Standings:
    """What a server, running or not, last knew of each account."""

    def __init__(self, app: App, accounts: tuple[Account, ...]) -> None:
        state = app.state_reader()
        models = {key: row.get("models") for key, row in state.items("models").items()}
        live = {key: frozenset(ids) for key, ids in models.items() if isinstance(ids, list)}
        self._directory = Directory(accounts, live)
        self._ledger = Ledger(credential_id=credential_id)
        self._ledger.restore(state.items("standings"), state.items("marks"))
        self._projects = state.items("projects")
        self._soft_limit = app.settings().limits.soft_limit

    def row(self, account: Account) -> Row:
        mark = self._ledger.mark_of(account)
        reason = mark.reason if mark else None
        if account.provider not in KNOWN_PROVIDERS:
            reason = f"{account.provider} is not served by this version"
        return {
            "id": account.id,
            "provider": account.provider,
            "label": account.label,
            "enabled": account.enabled,
            "state": str(self._state(account)),
            "reason": reason,
            "url": mark.url if mark else None,
            "mend": mending_command(account, mark.kind) if mark else None,
            "project": account.project or self._project(account),
            "source": account.credential.source,
            "has_refresh_token": account.credential.refresh_token is not None,
            "has_api_key": account.credential.api_key is not None,
            "soft_limit": account.soft_limit,
            "models": list(account.models),
            "added_at": iso(account.added_at),
        }

    def _state(self, account: Account) -> str:
        served = [info(model) for model in self._directory.models_of(account)]
        return self._ledger.account_state(account, served, time.time(), self._soft_limit)

    def _project(self, account: Account) -> str | None:
        row = self._projects.get(account.id, {})
        project = row.get("project") if row.get("credential") == credential_id(account) else None
        return project if isinstance(project, str) else None


def list_result(app: App, loaded: Loaded) -> Row:
    standings = Standings(app, loaded.accounts)
    return {
        "schema": SCHEMA,
        "accounts": [standings.row(account) for account in loaded.accounts],
        "problems": [
            {"id": each.id, "where": each.where, "reason": each.reason} for each in loaded.problems
        ],
    }


def list_view(result: Mapping[str, Any]) -> "Iterable[RenderableType]":
    if not result["accounts"]:
        yield text("No accounts yet. Add one: mcproxy accounts add")
        return
    rows = table("ACCOUNT", "PROVIDER", "STATE", "LABEL", "PROJECT")
    for row in result["accounts"]:
        rows.add_row(
            text(row["id"], "bold"),
            text(row["provider"]),
            state_text(row["state"]),
            text(row["label"]),
            text(row["project"], "dim"),
        )
    yield rows
    for row in result["accounts"]:
        if row["reason"]:
            yield text(f"{row['id']}: {row['reason']}{_next(row)}")


def verdict_row(verdict: "Verdict") -> Row:
    from mcp_proxy.engine.verify import MARKS

    failure = verdict.failure
    mark = MARKS.get(failure.kind) if failure else None
    return {
        "id": verdict.account.id,
        "provider": verdict.account.provider,
        "label": verdict.account.label,
        "ok": verdict.ok,
        "failed_at": str(verdict.failed_at) if verdict.failed_at else None,
        "reason": failure.detail if failure else None,
        "kind": str(failure.kind) if failure else None,
        "url": failure.url if failure else None,
        "mend": mending_command(verdict.account, mark) if mark else None,
        "project": verdict.project,
        "tier": verdict.tier,
        "models": [_model_row(reading) for reading in verdict.models],
    }


def verdict_view(row: Mapping[str, Any]) -> "Iterable[RenderableType]":
    """One line: how far the account got, and the scarcest of its models."""
    if not row["ok"]:
        where = f" at {row['failed_at']}" if row["failed_at"] else ""
        yield text(f"{row['id']}: failed{where}: {row['reason']}{_next(row)}", "red")
        return
    facts = [f"project {row['project']}"] if row["project"] else []
    facts += [f"tier {row['tier']}"] if row["tier"] else []
    facts.append(f"{len(row['models'])} models")
    figures = [each for each in row["models"] if each["remaining"] is not None]
    if figures:
        scarcest = min(figures, key=lambda each: each["remaining"])
        facts.append(f"least left: {scarcest['id']} {scarcest['remaining']:.0%}")
    yield text(f"{row['id']} ({row['provider']}) works: {', '.join(facts)}", "green")


def models_view(row: Mapping[str, Any]) -> "Iterable[RenderableType]":
    """The models of one account and what is left of each."""
    if not row["models"]:
        return
    rows = table("MODEL", "LEFT", "RESETS")
    for model in row["models"]:
        left = "?" if model["remaining"] is None else f"{model['remaining']:.0%}"
        rows.add_row(text(model["id"]), text(left), text(model["resets_at"], "dim"))
    yield rows


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _model_row(reading: QuotaReading) -> Row:
    resets_at = reading.resets_at
    return {
        "id": reading.model,
        "remaining": reading.remaining,
        "resets_at": iso(datetime.fromtimestamp(resets_at, UTC)) if resets_at else None,
    }


def _next(row: Mapping[str, Any]) -> str:
    """Where its owner goes, and what to run then."""
    where = f" See {row['url']}" if row["url"] else ""
    return f"{where} Run: {row['mend']}" if row["mend"] else where
