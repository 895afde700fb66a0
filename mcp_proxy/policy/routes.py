"""From the name a client asks for to the accounts that can answer: routes, aliases, ids, classes.

Knows what accounts serve, not how they stand. The first rule that has the name decides:
`route:NAME`, `provider/model`, a route's bare name, an alias (exact, then pattern), a model id in
any of its spellings (cloudcode.md 8.3), a class (haiku, sonnet, opus, and any claude-* id by it).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from mcp_proxy.account import Account, Candidate
from mcp_proxy.errors import UnknownModel
from mcp_proxy.policy.fallback import FallbackTable, fallback_models
from mcp_proxy.policy.models import CATALOGUES, CLASS_DEFAULTS, GEMINI_KINDS
from mcp_proxy.spelling import alike
from mcp_proxy.values import value

_ALIAS_HOPS: Final = 2

_LISTS_LEAVE_OUT: Final = frozenset({"antigravity"})
"""Places whose lists do not have everything that they serve; elsewhere a list is the last word."""


@value
class Stage:
    """One model and everybody who can be asked for it. A request may have several, in order."""

    model: str
    candidates: tuple[Candidate, ...]
    disabled: tuple[Account, ...] = ()
    """Accounts that would serve it if their owner had not switched them off."""
    is_ordered: bool = False
    """The candidates are to be asked in this order; else the strategy chooses among them."""


@value
class RouteTarget:
    """One `[[routes.NAME]]` entry."""

    model: str
    provider: str | None = None
    account: str | None = None


@value
class Chain:
    """One `[chains."MODEL"]` section."""

    accounts: tuple[str, ...]
    smart_switch: bool = False
    """After these every other account that serves the model, in the order they were added."""


@value
class Routing:
    """The part of config.toml that gives names a meaning."""

    aliases: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Name or glob pattern -> name, or names of which the first that is served is taken."""
    routes: Mapping[str, Sequence[RouteTarget]] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)
    """By model id: whose accounts are asked for it, and in which order."""


class Directory:
    """Who serves what. Made anew when accounts or their lists change; never changed."""

    def __init__(
        self,
        accounts: Iterable[Account],
        live: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """`live`: account id -> model ids that its upstream listed; absent when never read."""
        self.accounts = tuple(accounts)
        self._live = live or {}
        self._offers = {account.id: self._offered_by(account) for account in self.accounts}
        self._folds = {
            account.id: {folded(model): model for model in sorted(self._offers[account.id])}
            for account in self.accounts
        }
        """Account id -> folded id -> the id as the account's upstream spells it."""
        self._stages: dict[tuple[str, str | None], Stage] = {}
        self.models: frozenset[str] = frozenset().union(
            *(self._offers[account.id] for account in self.accounts if account.enabled)
        )
        """Every id that some enabled account serves."""
        self.providers = frozenset(CATALOGUES) | {account.provider for account in self.accounts}
        self.by_class = {kind: self._of_class(kind) for kind in CLASS_DEFAULTS}
        """Class name -> ids in order of preference: of the class itself, newest first, then its
        stand-ins."""
        places = {account.provider for account in self.accounts} or CATALOGUES.keys()
        self.known = frozenset().union(
            *self._offers.values(),
            *self._live.values(),
            *(_CATALOGUE_IDS.get(place, ()) for place in places),
        )
        """Every id that means something, whether or not anybody serves it now."""
        self._known_folds = {folded(model): model for model in sorted(self.known)}

    def serving(self, model: str) -> tuple[Account, ...]:
        """Enabled accounts whose upstream lists the model, or may, as long as nobody has looked."""
        return tuple(candidate.account for candidate in self.stage(model).candidates)

    def stage(self, model: str, provider: str | None = None) -> Stage:
        """The model with the accounts that serve it."""
        if model not in self.known:
            return Stage(model, ())
        found = self._stages.get((model, provider))
        if found is None:
            offers = [(a, self.spelled_by(a, model)) for a in self._of(provider)]
            found = _stage(model, [(a, own) for a, own in offers if own is not None])
            self._stages[model, provider] = found
        return found

    def known_as(self, name: str) -> str:
        """The id of the same model that means something here; the name itself when none does."""
        return name if name in self.known else self._known_folds.get(folded(name), name)

    def spelled_by(self, account: Account, model: str) -> str | None:
        """The id by which this account serves the model; None: it does not."""
        if model in self._offers[account.id]:
            return model
        return self._folds[account.id].get(folded(model))

    def age_of(self, account: Account) -> tuple[float, int]:
        """Sorts accounts by when they were added; those without a date by their place."""
        added = account.added_at.timestamp() if account.added_at is not None else 0.0
        return added, self.accounts.index(account)

    def models_of(self, account: Account) -> tuple[str, ...]:
        """What the account serves: catalogued ids in the catalogue's order, then the others."""
        offered = self._offers.get(account.id, frozenset())
        catalogued = [m.id for m in CATALOGUES.get(account.provider, ()) if m.id in offered]
        return (*catalogued, *sorted(offered.difference(catalogued)))

    def last_resort(self, model: str, provider: str | None = None) -> Stage:
        """The model with accounts that may serve it although their lists do not have it."""
        allowing = [
            (account, model)
            for account in self._of(provider)
            if model in _CATALOGUE_IDS.get(account.provider, ())
            and (account.id not in self._live or account.provider in _LISTS_LEAVE_OUT)
            and (not account.models or model in account.models)
        ]
        return _stage(model, allowing)

    def _of(self, provider: str | None) -> Iterable[Account]:
        return (a for a in self.accounts if provider is None or a.provider == provider)

    def _of_class(self, kind: str) -> tuple[str, ...]:
        defaults = {model: rank for rank, model in enumerate(CLASS_DEFAULTS[kind])}
        offered: frozenset[str] = frozenset().union(*self._offers.values())
        own = [model for model in offered if _class_of(model) == kind]
        own.sort(key=lambda model: (defaults.get(model, len(defaults)), model))
        own.sort(key=_version, reverse=True)
        return (*own, *(model for model in defaults if model not in own))

    def _offered_by(self, account: Account) -> frozenset[str]:
        allowed = frozenset(account.models)
        listed = self._live.get(account.id)
        if listed is None:
            return allowed or _CATALOGUE_IDS.get(account.provider, frozenset())
        return listed & allowed if allowed else listed


def resolve(name: str, directory: Directory, routing: Routing) -> tuple[Stage, ...]:
    """What to try for a client's model name, in order; the first stage is what was asked for.

    A known name that nobody serves gives stages without candidates. UnknownModel names the three
    nearest spellings.
    """
    wanted = without_window(name.strip())
    found = _Lookup(directory, routing).find(wanted, _ALIAS_HOPS) if wanted else None
    if found is None:
        raise UnknownModel(name, nearest=nearest(wanted, directory, routing))
    if not routing.chains or name.startswith("route:") or routing.routes.get(wanted):
        return found
    return tuple(_chained(stage, routing.chains, directory) for stage in found)


def _chained(stage: Stage, chains: Mapping[str, Chain], directory: Directory) -> Stage:
    """The stage with its candidates in the order that a chain for its model gives."""
    chain = chains.get(stage.model)
    if chain is None:
        folds = {folded(model): chain for model, chain in chains.items()}
        chain = folds.get(folded(stage.model))
    if chain is None:
        return stage
    by_account = {candidate.account.id: candidate for candidate in stage.candidates}
    first = [by_account[name] for name in chain.accounts if name in by_account]
    others: list[Candidate] = []
    if chain.smart_switch:
        others = [each for each in stage.candidates if each.account.id not in chain.accounts]
        others.sort(key=lambda each: directory.age_of(each.account))
    return replace(stage, candidates=(*first, *others), is_ordered=True)


def fallback_stages(model: str, directory: Directory, table: FallbackTable) -> tuple[Stage, ...]:
    """The stand-ins for a model that some enabled account serves, in the table's order."""
    if model not in table:
        named = folded(model)
        model = next((each for each in table if folded(each) == named), model)
    stages = (
        directory.stage(directory.known_as(other))
        for other in fallback_models(model, table, frozenset())
    )
    return tuple(
        Stage(
            stage.model,
            tuple(replace(c, fallback_from=model) for c in stage.candidates),
        )
        for stage in stages
        if stage.candidates
    )


@value
class _Lookup:
    directory: Directory
    routing: Routing

    def find(self, name: str, hops: int) -> tuple[Stage, ...] | None:
        """`hops`: how many more aliases may be followed."""
        if name.startswith("route:"):
            return self._route(name.removeprefix("route:"))
        provider, slash, rest = name.partition("/")
        if slash and provider in self.directory.providers:
            return self._model(rest, provider)
        return self._route(name) or self._alias(name, hops) or self._named(name, hops)

    def _route(self, name: str) -> tuple[Stage, ...] | None:
        targets = self.routing.routes.get(name)
        return tuple(self._target(target) for target in targets) if targets else None

    def _target(self, target: RouteTarget) -> Stage:
        stage = self.directory.stage(target.model, target.provider)
        if not stage.candidates:
            stage = self.directory.last_resort(target.model, target.provider)
        if target.account is None:
            return stage
        return Stage(
            stage.model,
            tuple(c for c in stage.candidates if c.account.id == target.account),
            tuple(account for account in stage.disabled if account.id == target.account),
        )

    def _alias(self, name: str, hops: int) -> tuple[Stage, ...] | None:
        value = _alias_value(name, self.routing.aliases) if hops else None
        if value is None:
            return None
        names = (value,) if isinstance(value, str) else tuple(value)
        found = [stages for other in names if (stages := self.find(other, hops - 1))]
        served = (stages for stages in found if stages[0].candidates)
        first = next(served, found[0] if found else None)
        if first is None:
            raise UnknownModel(
                ", ".join(names), nearest=nearest(names[0], self.directory, self.routing)
            )
        return first

    def _named(self, name: str, hops: int) -> tuple[Stage, ...] | None:
        served = self._spelled(name, None, served=True)
        if served is not None:
            return served
        kind = _class_of(name)
        if kind is not None and kind != name:
            # `haiku = …` in the aliases is meant for claude-haiku-4-5 as well.
            aliased = self._alias(kind, hops)
            if aliased is not None:
                return aliased
        return (
            self._class(kind, None)
            or self._spelled(name, None, served=False)
            or self._of_gemini_kind(name)
        )

    def _of_gemini_kind(self, name: str) -> tuple[Stage, ...] | None:
        """For a Gemini id that nothing knows: the preferred one of its kind that is served."""
        found = _GEMINI_KIND.match(name.lower())
        preferred = GEMINI_KINDS[found[1]] if found else ()
        stages = (self.directory.stage(self.directory.known_as(model)) for model in preferred)
        served = next((stage for stage in stages if stage.candidates), None)
        return None if served is None else (served,)

    def _model(self, name: str, provider: str) -> tuple[Stage, ...] | None:
        return (
            self._spelled(name, provider, served=True)
            or self._class(_class_of(name), provider)
            or self._spelled(name, provider, served=False)
        )

    def _spelled(
        self, name: str, provider: str | None, *, served: bool
    ) -> tuple[Stage, ...] | None:
        """The first spelling that is served; or, not `served`, the first that means something."""
        for model in spellings(name):
            if served:
                stage = self.directory.stage(self.directory.known_as(model), provider)
                if stage.candidates:
                    return (stage,)
            elif model in self.directory.known:
                stage = self.directory.stage(model, provider)
                return (stage if stage.disabled else self.directory.last_resort(model, provider),)
        return None

    def _class(self, kind: str | None, provider: str | None) -> tuple[Stage, ...] | None:
        """The preferred model of a class that is served; while nobody has an account, the first."""
        if kind is None:
            return None
        stages = [self.directory.stage(model, provider) for model in self.directory.by_class[kind]]
        served = next((stage for stage in stages if stage.candidates), None)
        if served is not None:
            return (served,)
        off = next((stage for stage in stages if stage.disabled), None)
        if off is not None:
            return (off,)
        return None if self.directory.models else (stages[0],)


_DATE = re.compile(r"-20\d{6}$|@20\d{6}$|-latest$")
_NUMBER = re.compile(r"(?<!\d)\d{1,2}(?!\d)")
_PREVIEW = re.compile(r"-preview(?:-customtools|-\d\d-\d{2,4})?$")
_TIER = re.compile(r"-(?:minimal|low|medium|high|max)$")
_GEMINI_KIND = re.compile(r"gemini-\d[\d.]*-(flash-lite|flash|pro)(?:-preview|-latest)?$")
_GEMINI_HYPHENS = re.compile(r"^gemini-(\d)-(\d)(?=-)")
_PRO_WITHOUT_TIER = re.compile(r"^gemini-3(?:\.\d)?-pro$")

_OTHER_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "claude-opus-4-6": ("claude-opus-4-6-thinking",),
    "claude-opus-4-5": ("claude-opus-4-5-thinking",),
    "claude-sonnet-4-6-thinking": ("claude-sonnet-4-6",),
    "gemini-3.1-pro-high": ("gemini-pro-agent",),
    "gpt-oss-120b": ("gpt-oss-120b-medium",),
}
"""Ids that do not follow from their spelling."""


_CLAUDE_THINKERS: Final = re.compile(r"^(claude-opus-4-[56])-thinking$")


@cache
def folded(model: str) -> str:
    """What the spellings of one model at different places have in common."""
    lower = _PREVIEW.sub("", _DATE.sub("", model.lower().removeprefix("models/")))
    if "claude" in lower:
        lower = _CLAUDE_THINKERS.sub(r"\1", lower.replace(".", "-"))
    return _GEMINI_HYPHENS.sub(r"gemini-\1.\2", lower)


def spellings(name: str) -> Iterator[str]:
    """Ways in which the upstream may spell what a client wrote, the client's own first."""
    yield name
    lower = name.lower().removeprefix("models/").removeprefix("antigravity-")
    if lower.startswith("gemini-claude-"):
        lower = lower.removeprefix("gemini-")
    lower = _PREVIEW.sub("", _DATE.sub("", lower))
    if "claude" in lower:
        lower = lower.replace(".", "-")
    lower = _GEMINI_HYPHENS.sub(r"gemini-\1.\2", lower)
    yield lower
    if _PRO_WITHOUT_TIER.match(lower):
        yield lower + "-low"  # pitfall 60: Pro has no id without a tier
    yield from _OTHER_IDS.get(lower, ())
    untiered = _TIER.sub("", lower)
    if untiered != lower:  # where the tier is no part of the id it is a thinking level
        yield untiered
        yield from _OTHER_IDS.get(untiered, ())


_CATALOGUE_IDS: Final = {
    provider: frozenset(model.id for model in models) for provider, models in CATALOGUES.items()
}


def _stage(model: str, offering: Sequence[tuple[Account, str]]) -> Stage:
    """`offering`: accounts, and how each spells the model. One spelling of all is the stage's."""
    spelled = {own for _, own in offering}
    if len(spelled) == 1:
        model = spelled.pop()
    return Stage(
        model,
        tuple(
            Candidate(account, own, stage="" if own == model else model)
            for account, own in offering
            if account.enabled
        ),
        tuple(account for account, _ in offering if not account.enabled),
    )


def without_window(name: str) -> str:
    """Claude Code marks its long context window by a suffix that no upstream knows.

    And what it found in its model list carries a prefix, since it takes no other ids from there.
    """
    name = name.removeprefix("claude/")
    return name[:-4].rstrip() if name.lower().endswith("[1m]") else name


def _version(model: str) -> tuple[int, ...]:
    """The numbers of an id, its date aside: (4, 6) for claude-sonnet-4-6-20260101."""
    return tuple(int(number) for number in _NUMBER.findall(_DATE.sub("", model)))


def _class_of(name: str) -> str | None:
    lower = name.lower()
    if lower in CLASS_DEFAULTS:
        return lower
    if not lower.startswith(("claude", "anthropic")):
        return None
    return next((kind for kind in CLASS_DEFAULTS if kind in lower), None)


def _alias_value(
    name: str, aliases: Mapping[str, str | Sequence[str]]
) -> str | Sequence[str] | None:
    exact = aliases.get(name) or aliases.get(name.lower())
    if exact:
        return exact
    lower = name.lower()
    matching = (value for glob, value in aliases.items() if fnmatchcase(lower, glob.lower()))
    return next(matching, None)


def hiding(directory: Directory, routing: Routing) -> tuple[str, ...]:
    """Names of routes and aliases by which an id that accounts serve can no longer be asked for."""
    names = [*routing.routes, *(alias for alias in routing.aliases if not set("*?[") & set(alias))]
    return tuple(
        name
        for name in dict.fromkeys(names)
        if name in directory.models and name not in _targets(routing.aliases.get(name, ()))
    )


def _targets(value: str | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value


def nearest(name: str, directory: Directory, routing: Routing) -> tuple[str, ...]:
    """The names most like it that lead somewhere; all that are known while nobody is signed in."""
    plain = (alias for alias in routing.aliases if not set("*?[") & set(alias))
    classes = (
        kind
        for kind, models in directory.by_class.items()
        if not directory.models or any(directory.stage(model).candidates for model in models)
    )
    names = {*(directory.models or directory.known), *plain, *routing.routes, *classes}
    return alike(name, names, cutoff=0.0)
