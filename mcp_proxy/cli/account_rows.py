"""Accounts as rows: what `accounts` prints of them, as JSON and as tables. Never a credential."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp_proxy.account import Account
from mcp_proxy.cli import times
from mcp_proxy.cli.context import App
from mcp_proxy.cli.render import column, counted, state_text, table, text, told
from mcp_proxy.cli.times import iso
from mcp_proxy.store.accounts import Loaded, Problem, credential_id

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown
    from mcp_proxy.engine.verify import Verdict
    from mcp_proxy.providers import QuotaReading
    from mcp_proxy.store.state import StateStore

SCHEMA = "mcproxy.accounts/1"

Row = dict[str, Any]


ENVIRONMENT = "environment"
"""`source` of accounts that keys in variables are."""


class Standings:
    """What a server, running or not, last knew of each account."""

    def __init__(self, app: App, accounts: tuple[Account, ...]) -> None:
        from mcp_proxy.engine.live_models import is_list_of, restored_models
        from mcp_proxy.policy.ledger import Ledger
        from mcp_proxy.policy.routes import Directory
        from mcp_proxy.store.tokens import with_rotations

        state = app.state_reader()
        # What is known of an account is bound to its sign-in, which may not be in the file yet.
        self._accounts = accounts = with_rotations(state, accounts)
        rows = state.items("models")
        self._live = {
            account.id: restored_models(rows[account.id])
            for account in accounts
            if isinstance(rows.get(account.id, {}).get("models"), list)
            and is_list_of(rows[account.id], account)
        }
        self._directory = Directory(
            accounts, {account_id: frozenset(models) for account_id, models in self._live.items()}
        )
        self._ledger = Ledger(credential_id=credential_id)
        self._ledger.restore(state.items("standings"), state.items("marks"))
        self._projects = state.items("projects")
        self._notices = state.items("notices")
        self._soft_limit = app.settings().limits.soft_limit

    def rows(self) -> list[Row]:
        """One for each account, in their order."""
        return [self._row(account) for account in self._accounts]

    def _row(self, account: Account) -> Row:
        from mcp_proxy.policy.refusals import mending_command

        mark = self._ledger.mark_of(account)
        return {
            "id": account.id,
            "provider": account.provider,
            "label": account.label,
            "enabled": account.enabled,
            "state": str(self._state(account)),
            "reason": mark.reason if mark else None,
            "url": mark.url if mark else None,
            "mend": mending_command(account, mark.kind) if mark else None,
            "plan": _known(self._notices.get(plan_key(account.id)), account, "plan"),
            "project": account.project
            or _known(self._projects.get(account.id), account, "project"),
            "location": account.location,
            "base_url": account.base_url,
            "source": ENVIRONMENT if account.transient else account.credential.source,
            "has_refresh_token": account.credential.refresh_token is not None,
            "has_api_key": account.credential.api_key is not None,
            "soft_limit": account.soft_limit,
            "models": list(account.models),
            "added_at": iso(account.added_at),
        }

    def _state(self, account: Account) -> str:
        from mcp_proxy.policy.models import info

        live = self._live.get(account.id, {})
        served = [
            live.get(model) or info(model, account.provider)
            for model in self._directory.models_of(account)
        ]
        return self._ledger.account_state(account, served, time.time(), self._soft_limit)


def note_plan(state: "StateStore", verdict: "Verdict") -> None:
    """Remembers the subscription that a verification has found."""
    if verdict.tier is not None:
        row = {"plan": verdict.tier, "credential": credential_id(verdict.account)}
        state.put("notices", plan_key(verdict.account.id), row)


def plan_key(account_id: str) -> str:
    """Where in the state's notices the subscription is."""
    return f"plan:{account_id}"


def _known(row: Row | None, account: Account, name: str) -> str | None:
    """What was found out with the account's present sign-in."""
    if row is None or row.get("credential") != credential_id(account):
        return None
    value = row.get(name)
    return value if isinstance(value, str) else None


def list_result(app: App, loaded: Loaded) -> Row:
    return {
        "schema": SCHEMA,
        "accounts": Standings(app, loaded.accounts).rows(),
        "problems": [
            {"id": each.id, "where": each.where, "reason": each.reason} for each in loaded.problems
        ],
    }


_MINOR = (("PLAN", "plan"), ("FROM", "source"), ("PROJECT", "project"), ("ADDRESS", "base_url"))


def list_view(result: Mapping[str, Any]) -> "Iterable[Shown]":
    if not result["accounts"]:
        yield text("No accounts yet. Add one: mcproxy accounts add")
        return
    minor = (column(heading, minor=True) for heading, _ in _MINOR)
    rows = table("ACCOUNT", "PROVIDER", "STATE", "LABEL", *minor)
    for row in result["accounts"]:
        rows.add_row(
            text(row["id"], "bold"),
            text(row["provider"]),
            state_text(row["state"]),
            text(row["label"]),
            *(text(row[field]) for _, field in _MINOR),
        )
    yield rows
    for row in result["accounts"]:
        if row["reason"]:
            yield text("")
            yield text(f"{row['id']}: {told(row['reason'], row['url'], row['mend'])}")


def verdict_row(verdict: "Verdict") -> Row:
    from mcp_proxy.engine.verify import MARKS
    from mcp_proxy.policy.refusals import mending_command

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
        "models": _model_rows(verdict),
        "windows": [_figure_row(each) for each in verdict.figures if each.model is None],
    }


def unread_row(problem: Problem) -> Row:
    """An entry that cannot even be read fails, too; it has the keys of every other."""
    return {
        "id": problem.id or problem.where,
        "provider": None,
        "label": None,
        "ok": False,
        "failed_at": None,
        "reason": problem.reason,
        "kind": None,
        "url": None,
        "mend": None,
        "project": None,
        "tier": None,
        "models": [],
        "windows": [],
    }


def verdict_view(row: Mapping[str, Any]) -> "Iterable[Shown]":
    """One line: how far the account got, and the scarcest of what it has."""
    if not row["ok"]:
        where = f" at {row['failed_at']}" if row["failed_at"] else ""
        reason = told(row["reason"], row["url"], row["mend"])
        yield (
            text(row["id"], "bold")
            .append(f" failed{where}: ", "not bold red")
            .append_text(text(reason, "not bold"))
        )
        return
    facts = [f"project {row['project']}"] if row["project"] else []
    facts += [f"tier {row['tier']}"] if row["tier"] else []
    facts.append(counted(len(row["models"]), "model"))
    figures = [each for each in (*row["models"], *row["windows"]) if each["remaining"] is not None]
    if figures:
        scarcest = min(figures, key=lambda each: each["remaining"])
        facts.append(f"least left: {scarcest['id']} {scarcest['remaining']:.0%}")
    name = text(row["id"], "bold").append(f" ({row['provider']}) ", "not bold")
    told_facts = text(f": {', '.join(facts)}", "not bold")
    yield name.append("works", "not bold green").append_text(told_facts)


def models_view(row: Mapping[str, Any]) -> "Iterable[Shown]":
    """The models of one account and what is left of each, and of all together."""
    if not row["models"] and not row["windows"]:
        return
    now = datetime.now(UTC)
    rows = table("MODEL", column("LEFT", align="right"), "RESETS")
    named = [(text(each["id"]), each) for each in row["models"]]
    named += [(text(f"({each['id']})", "dim"), each) for each in row["windows"]]
    for name, each in named:
        left = "?" if each["remaining"] is None else f"{each['remaining']:.0%}"
        resets = times.until(times.parse(each["resets_at"]), now) if each["resets_at"] else None
        rows.add_row(name, text(left), text(resets, "dim"))
    yield rows


def _model_rows(verdict: "Verdict") -> list[Row]:
    """The account's models, each with its own figure where it has one."""
    figures = {each.model: _figure_row(each) for each in verdict.figures if each.model}
    named = verdict.account.models if verdict.ok else ()
    listed = [model.id for model in verdict.models] or list(figures or named)
    return [
        figures.get(model, {"id": model, "remaining": None, "resets_at": None}) for model in listed
    ]


def _figure_row(reading: "QuotaReading") -> Row:
    resets_at = reading.resets_at
    shared = " ".join(filter(None, (reading.window, reading.bucket)))
    return {
        "id": reading.model or shared or "quota",
        "remaining": reading.remaining,
        "resets_at": iso(datetime.fromtimestamp(resets_at, UTC)) if resets_at else None,
    }
