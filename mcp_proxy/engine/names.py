"""Where model names lead with the accounts, lists and settings of the moment."""

import logging
from collections.abc import Sequence

from mcp_proxy.account import Account
from mcp_proxy.engine.live_models import LiveModels
from mcp_proxy.errors import UnknownModel
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS
from mcp_proxy.policy.routes import (
    Chain,
    Directory,
    RouteTarget,
    Routing,
    Stage,
    fallback_stages,
    hiding,
    nearest,
    resolve,
)
from mcp_proxy.providers import provider
from mcp_proxy.store.settings import Settings

log = logging.getLogger(__name__)

MOST_NAMES = 1000
"""Names whose meaning is remembered; they come from clients, so there must be a bound."""


class Names:
    """Looks each name up once between two changes; `renew` has to be called after each change."""

    def __init__(self, models: LiveModels, accounts: Sequence[Account], settings: Settings) -> None:
        self._models = models
        self.renew(accounts, settings)

    def renew(self, accounts: Sequence[Account], settings: Settings) -> None:
        """Accounts, their models or the settings changed: names may lead elsewhere."""
        self.directory = Directory(accounts, self._models.ids())
        self._routing = _routing(settings)
        self._fallbacks = {**DEFAULT_FALLBACKS, **settings.fallback.models}
        self._stages: dict[str, tuple[Stage, ...]] = {}
        self._staffed: set[str] = set()
        """Names of which each model has an account."""
        self._forwarding = self._dialects_forwarded(accounts)

    def stages(self, name: str) -> tuple[Stage, ...]:
        """Where a name leads, best first. Raises UnknownModel."""
        found = self._stages.get(name)
        if found is None:
            found = resolve(name, self.directory, self._routing)
            if len(self._stages) >= MOST_NAMES:
                self._stages.clear()
                self._staffed.clear()
            self._stages[name] = found
            if all(stage.candidates for stage in found):
                self._staffed.add(name)
        return found

    def stages_left(self, name: str) -> tuple[Stage, ...]:
        """Where a name leads that led somewhere before; none when its accounts are gone."""
        try:
            return self.stages(name)
        except UnknownModel:
            return ()

    def lead_to_somebody(self, name: str) -> bool:
        """Whether each model that the name leads to has an account.

        Of a route one that has nobody is enough to say no: it may come before those that have.
        """
        if name not in self._stages:
            self.stages_left(name)
        return name in self._staffed

    def fallbacks(self, model: str) -> Sequence[Stage]:
        """What may stand in for a model, in order, whether or not fallback is on."""
        return fallback_stages(model, self.directory, self._fallbacks)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Names that somebody who wrote `name` may have meant."""
        return nearest(name, self.directory, self._routing)

    def forwards(self, dialect: str) -> bool:
        """Whether some account's upstream takes requests of this dialect as they come."""
        return dialect in self._forwarding

    def warn_of_hidden_models(self) -> None:
        for name in hiding(self.directory, self._routing):
            log.warning(
                "config.toml: %r is also the id of a model; asked for, it leads to the route or"
                " alias. The model itself is PROVIDER/%s",
                name,
                name,
            )

    def _dialects_forwarded(self, accounts: Sequence[Account]) -> frozenset[str]:
        """Dialects of requests that may go on as they come; into an envelope none can."""
        spoken: set[str] = set()
        for account in accounts:
            place = provider(account.provider)
            if account.enabled and place.envelope is None:
                for model_id in self.directory.models_of(account):
                    spoken.update(place.dialects(self._models.get(account, model_id)))
        return frozenset(spoken)


def _routing(settings: Settings) -> Routing:
    routes = {
        name: tuple(
            RouteTarget(entry["model"], entry.get("provider"), entry.get("account"))
            for entry in entries
        )
        for name, entries in settings.routes.items()
    }
    chains = {
        model: Chain(tuple(entry["accounts"]), bool(entry.get("smart_switch", False)))
        for model, entry in settings.chains.items()
    }
    return Routing(aliases=settings.aliases, routes=routes, chains=chains)
