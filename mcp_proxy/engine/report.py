"""What a runtime knows, as plain JSON values for people: limits, states, models.

The same rows whether a running server gives them over HTTP or the command line works them out.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mcp_proxy.account import Account
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.engine.schemas import LIMITS_SCHEMA, MODELS_SCHEMA
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.forecast import Forecast, forecast
from mcp_proxy.policy.ledger import Window, soft_threshold
from mcp_proxy.policy.standing import Standing, State

JsonObject = dict[str, Any]


def limits_report(runtime: Runtime, accounts: Iterable[Account]) -> JsonObject:
    """Every account with a row for each of its models; times are ISO 8601 UTC, fractions 0-1."""
    return {
        "schema": LIMITS_SCHEMA,
        "at": moment(runtime.clock()),
        "soft_limit": runtime.settings.limits.soft_limit,
        "accounts": [account_row(runtime, account) for account in accounts],
    }


def account_row(runtime: Runtime, account: Account) -> JsonObject:
    """One account: its state in a word, why its owner is needed, and its models."""
    now = runtime.clock()
    mark = runtime.ledger.mark_of(account)
    served = models_of(runtime, account)
    soft_limit = runtime.settings.limits.soft_limit
    return {
        "id": account.id,
        "provider": account.provider,
        "label": account.label,
        "enabled": account.enabled,
        "state": runtime.ledger.account_state(account, served, now, soft_limit),
        "reason": mark.reason if mark is not None else None,
        "url": mark.url if mark is not None else None,
        "read_at": moment(runtime.quota.read_at(account.id)),
        "models": [
            limit_row(runtime, account, model)
            | outlook(runtime.ledger.forecast(account.id, model, now))
            for model in served
        ],
        "windows": [
            window_row(window, standing, now, soft_threshold(account, soft_limit))
            for window, standing in runtime.ledger.windows(account.id)
        ],
    }


def window_row(
    window: Window, standing: Standing, now: float, soft_limit: float | None
) -> JsonObject:
    """A span of a subscription that many models share, and what is left of it."""
    remaining = standing.remaining_now(now)
    state = State.UNKNOWN
    if remaining is not None:
        low = soft_limit is not None and remaining <= soft_limit
        state = State.SOFT_LIMITED if low else State.READY
        state = State.EXHAUSTED if remaining == 0 else state
    read_at = standing.remaining_at
    return {
        "window": window.name,
        "bucket": window.bucket,
        "remaining": remaining,
        "resets_at": moment(standing.resets_at),
        "limited_until": moment(standing.limited_now(now)),
        "state": state,
        "age_seconds": round(now - read_at, 1) if read_at is not None else None,
        "source": standing.source,
        "evidence": standing.evidence or None,
        **outlook(forecast(standing, now)),
    }


def outlook(seen: Forecast | None) -> JsonObject:
    """How a figure goes on if the next hours are like the last one; null where nobody can tell."""
    return {
        "runs_out_at": moment(seen.runs_out_at) if seen is not None else None,
        "lasts_until_reset": seen.runs_out_at is None if seen is not None else None,
        "used_per_hour": round(seen.per_hour, 4) if seen is not None else None,
    }


def limit_row(runtime: Runtime, account: Account, model: ModelInfo) -> JsonObject:
    """One account x model: the figure, how old it is, and what it rests on."""
    now, ledger = runtime.clock(), runtime.ledger
    figure = ledger.figure(account.id, model, now)
    limited_until = ledger.limited_until(account.id, model, now)
    read_at = figure.remaining_at if figure is not None else None
    return {
        "account": account.id,
        "model": model.id,
        "family": model.family,
        "remaining": figure.remaining if figure is not None else None,
        "resets_at": moment(figure.resets_at if figure is not None else None),
        "limited_until": moment(limited_until),
        "state": ledger.state_of(account, model, now, runtime.settings.limits.soft_limit),
        "age_seconds": round(now - read_at, 1) if read_at is not None else None,
        "source": figure.source if figure is not None else None,
        "evidence": ledger.evidence(account.id, model).evidence or None,
    }


def models_report(runtime: Runtime) -> JsonObject:
    """Every model that can be asked for, and who serves it."""
    rows = []
    for model, accounts in served_models(runtime).items():
        rows.append(
            {
                "id": model.id,
                "display_name": model.display_name,
                "family": model.family,
                "providers": sorted({account.provider for account in accounts}),
                "context_window": model.context_window,
                "max_output": model.max_output,
                "accounts": [account.id for account in accounts],
                "quota": quota_of(runtime, model, accounts),
            }
        )
    aliases = {name: list(targets) for name, targets in runtime.settings.aliases.items()}
    return {"schema": MODELS_SCHEMA, "models": rows, "aliases": aliases}


def quota_of(runtime: Runtime, model: ModelInfo, accounts: Iterable[Account]) -> JsonObject:
    """The best that any account has left of a model."""
    rows = [limit_row(runtime, account, model) for account in accounts]
    figures = [row["remaining"] for row in rows if row["remaining"] is not None]
    resets = [row["resets_at"] for row in rows if row["resets_at"] is not None]
    return {
        "remaining": max(figures, default=None),
        "resets_at": min(resets, default=None),
        "accounts": len(rows),
        "ready": sum(row["state"] in (State.READY, State.UNKNOWN) for row in rows),
    }


def served_models(runtime: Runtime) -> dict[ModelInfo, list[Account]]:
    """Models in catalogue order, with the accounts that serve each."""
    found: dict[str, tuple[ModelInfo, list[Account]]] = {}
    for account in runtime.accounts:
        if account.enabled:
            for model in models_of(runtime, account):
                found.setdefault(model.id, (model, []))[1].append(account)
    return dict(found.values())


def models_of(runtime: Runtime, account: Account) -> list[ModelInfo]:
    """What one account serves, as far as is known."""
    return [
        runtime.models.get(account, model_id)
        for model_id in runtime.names.directory.models_of(account)
    ]


def states(runtime: Runtime) -> dict[str, int]:
    """How many accounts are in which state; every state is named."""
    now, soft_limit = runtime.clock(), runtime.settings.limits.soft_limit
    counted = Counter(
        runtime.ledger.account_state(account, models_of(runtime, account), now, soft_limit)
        for account in runtime.accounts
    )
    return {state.value: counted[state] for state in State}


def moment(at: float | None) -> str | None:
    """Unix time -> ISO 8601 in UTC, to the second."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
