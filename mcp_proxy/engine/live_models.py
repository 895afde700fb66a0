"""What upstreams have said of their models: their lists, and features that they have refused.

Kept in the state tables "models" and "features". Of a list only what differs from the catalogue is
kept: a newer catalogue then speaks for the rest.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from mcp_proxy.account import Account, Candidate
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.store.state import StateStore

JsonObject = dict[str, Any]

Server = tuple[str, str | None]
"""A provider, and the address where it is not the usual one."""

log = logging.getLogger(__name__)

_NONE: Final[frozenset[str]] = frozenset()


class LiveModels:
    """The models of every account as its own upstream describes them."""

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._models: dict[str, dict[str, ModelInfo]] = {}
        """Account id -> model id -> facts; absent when never read."""
        self._servers: dict[str, Server] = {}
        """Account id -> whose list that is."""
        self._avoided: dict[tuple[str, str], frozenset[str]] = {}
        for account_id, row in state.items("models").items():
            self._models[account_id] = restored_models(row)
            self._servers[account_id] = _server_of(row)
        for key, row in state.items("features").items():
            endpoint, _, model_id = key.rpartition("|")
            self._avoided[endpoint, model_id] = frozenset(row["avoided"])

    def ids(self) -> dict[str, frozenset[str]]:
        """Account id -> ids of its list, for the accounts whose lists have been read."""
        return {account_id: frozenset(models) for account_id, models in self._models.items()}

    def is_read(self, account: Account) -> bool:
        return account.id in self._models

    def get(self, account: Account, model_id: str) -> ModelInfo:
        """A model as this account has it, else as the catalogue knows it."""
        return self.of(Candidate(account, model_id))

    def of(self, candidate: Candidate) -> ModelInfo:
        """A candidate's model, as `get` has it. Asked for several times with every request."""
        models = self._models.get(candidate.account.id)
        found = models.get(candidate.model) if models is not None else None
        return found if found is not None else info(candidate.model, candidate.account.provider)

    def seen(self, account: Account, models: Sequence[ModelInfo]) -> bool:
        """Takes in a list; True when it says something new. An empty list says nothing."""
        listed = {model.id: model for model in models}
        if not listed or listed == self._models.get(account.id):
            return False
        self._models[account.id] = listed
        self._servers[account.id] = account.provider, account.base_url
        self._state.put("models", account.id, stored_models(account, models))
        return True

    def forget(self, account_id: str) -> None:
        self._models.pop(account_id, None)

    def forget_other_servers(self, accounts: Iterable[Account]) -> None:
        """Drops the lists of servers that the accounts do not have any more."""
        for account in accounts:
            if self._servers.get(account.id) != (account.provider, account.base_url):
                self.forget(account.id)

    def avoided(self, account: Account, model: ModelInfo) -> frozenset[str]:
        """Features that the account's upstream has refused for this model."""
        if not self._avoided:
            return _NONE
        return self._avoided.get((_endpoint(account), model.id), _NONE)

    def avoid(self, account: Account, model: ModelInfo, feature: str) -> None:
        """Remembers that the upstream refuses a feature."""
        key = _endpoint(account), model.id
        avoided = self._avoided.get(key, _NONE) | {feature}
        self._avoided[key] = avoided
        self._state.put("features", "|".join(key), {"avoided": sorted(avoided)})
        log.info("%s takes no %s for %s; it is left out from now on", key[0], feature, model.id)


def _endpoint(account: Account) -> str:
    """What accounts share whose servers refuse the same features."""
    return account.base_url or account.provider


_PLAIN: Final = (
    "display_name",
    "context_window",
    "max_output",
    "makes_images",
    "takes_images",
    "searches",
    "bucket",
    "issuer",
)


def stored_models(account: Account, models: Iterable[ModelInfo]) -> JsonObject:
    """The row of one account: its ids, and facts that the catalogue does not have."""
    row: JsonObject = {
        "provider": account.provider,
        "base_url": account.base_url,
        "models": [],
        "facts": {},
    }
    for model in models:
        row["models"].append(model.id)
        facts = _facts(model, info(model.id, account.provider))
        if facts:
            row["facts"][model.id] = facts
    row["models"].sort()
    return row


def restored_models(row: JsonObject) -> dict[str, ModelInfo]:
    """The models by id. Facts that this version cannot read are passed over."""
    facts = row.get("facts") or {}
    provider, _ = _server_of(row)
    return {
        model_id: _with_facts(info(model_id, provider), facts.get(model_id) or {})
        for model_id in row["models"]
    }


def is_list_of(row: JsonObject, account: Account) -> bool:
    """Whether a row is of the server that the account has now."""
    return _server_of(row) == (account.provider, account.base_url)


def _server_of(row: JsonObject) -> Server:
    # Antigravity was the only provider, once; and rows had no address.
    return row.get("provider") or "antigravity", row.get("base_url")


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
