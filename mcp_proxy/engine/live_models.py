"""What an upstream's own list says of its models, as rows of the state table "models".

Only what differs from the catalogue is kept: a newer catalogue then speaks for the rest.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from mcp_proxy.account import Account
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info

JsonObject = dict[str, Any]

_PLAIN: Final = (
    "display_name",
    "context_window",
    "max_output",
    "makes_images",
    "takes_images",
    "bucket",
    "issuer",
)


def stored_models(account: Account, models: Iterable[ModelInfo]) -> JsonObject:
    """The row of one account: its ids, and facts that the catalogue does not have."""
    row: JsonObject = {"models": [], "facts": {}}
    for model in models:
        row["models"].append(model.id)
        facts = _facts(model, info(model.id, account.provider))
        if facts:
            row["facts"][model.id] = facts
    row["models"].sort()
    return row


def restored_models(account: Account | None, row: JsonObject) -> dict[str, ModelInfo]:
    """The models by id. Facts that this version cannot read are passed over."""
    facts = row.get("facts") or {}
    provider = account.provider if account is not None else ""
    return {
        model_id: _with_facts(info(model_id, provider), facts.get(model_id) or {})
        for model_id in row["models"]
    }


def _facts(model: ModelInfo, known: ModelInfo) -> JsonObject:
    facts = {
        name: getattr(model, name)
        for name in _PLAIN
        if getattr(model, name) != getattr(known, name)
    }
    if model.dialects != known.dialects:
        facts["dialects"] = list(model.dialects)
    if model.thinking != known.thinking:
        facts["thinking"] = _thinking_facts(model.thinking)
    return facts


def _thinking_facts(thinking: ThinkingSpec | None) -> JsonObject | None:
    if thinking is None:
        return None
    return {
        "budgets": thinking.budgets,
        "levels": thinking.levels,
        "default_budget": thinking.default_budget,
        "can_be_off": thinking.can_be_off,
    }


def _with_facts(known: ModelInfo, facts: JsonObject) -> ModelInfo:
    try:
        changes: JsonObject = {name: facts[name] for name in _PLAIN if name in facts}
        if "dialects" in facts:
            changes["dialects"] = tuple(facts["dialects"])
        if "thinking" in facts:
            changes["thinking"] = _thinking(facts["thinking"])
        return replace(known, **changes)
    except (TypeError, ValueError, KeyError):
        return known


def _thinking(facts: JsonObject | None) -> ThinkingSpec | None:
    if facts is None:
        return None
    low_high = facts["budgets"]
    return ThinkingSpec(
        budgets=None if low_high is None else (low_high[0], low_high[1]),
        levels=tuple(facts["levels"]),
        default_budget=facts["default_budget"],
        can_be_off=facts["can_be_off"],
    )
