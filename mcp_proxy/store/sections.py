"""The sections of config.toml whose keys people invent: aliases, routes, chains, providers.

A reader takes the table as TOML gave it and returns the value; `notes` collects unknown keys.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mcp_proxy.providers import ProviderSettings
from mcp_proxy.spelling import alike, suggestion
from mcp_proxy.store import checks
from mcp_proxy.store.addresses import checked_url
from mcp_proxy.store.checks import WrongValue
from mcp_proxy.store.entries import PROVIDER_NAMES

Check = Callable[[object], Any]

SAME_SECTION = 0.75
"""How like another path one has to be: all of a section begin alike."""


class WrongField(WrongValue):
    """`str()` begins with the path of the field."""


def read_field(path: str, value: object, check: Check) -> Any:
    try:
        return check(value)
    except WrongField:
        raise
    except WrongValue as wrong:
        raise WrongField(f"{path} {wrong}") from wrong


def table(path: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongField(f"{path} must be a table")
    return value


def unknown(path: str, known: Iterable[str]) -> str:
    """A note about a key that nobody knows, with the nearest that somebody does."""
    near = alike(path, known, cutoff=SAME_SECTION)[:1]
    return f"{path} is not a known setting and has no effect.{suggestion(near)}"


def name_lists(path: str, value: object, _notes: list[str]) -> dict[str, tuple[str, ...]]:
    """`name = "other"` or `name = ["first", "second"]`."""
    return _lists(path, value, checks.one_or_more)


def stand_ins(path: str, value: object, _notes: list[str]) -> dict[str, tuple[str, ...]]:
    """The same; of an empty list nothing stands in for the model."""
    return _lists(path, value, checks.any_number)


def _lists(
    path: str, value: object, check: Callable[[object], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {
        name: read_field(f"{path}.{name}", names, check)
        for name, names in table(path, value).items()
    }


def routes(path: str, value: object, notes: list[str]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """`[[routes.NAME]]`, each step with a model."""
    found = {}
    for name, steps in table(path, value).items():
        place = f"{path}.{name}"
        if not isinstance(steps, list) or not steps:
            raise WrongField(f"{place} must be a list of steps, written [[{place}]]")
        found[name] = tuple(_route_step(place, step, notes) for step in steps)
    return found


def chains(path: str, value: object, notes: list[str]) -> dict[str, Mapping[str, Any]]:
    """`[chains."MODEL"]` with its accounts in order."""
    return {
        name: _fields(f"{path}.{name}", chain, _CHAIN_FIELDS, notes, required="accounts")
        for name, chain in table(path, value).items()
    }


def providers(path: str, value: object, notes: list[str]) -> dict[str, ProviderSettings]:
    """`[providers.NAME]`."""
    found = {}
    for name, fields in table(path, value).items():
        place = f"{path}.{name}"
        if name not in PROVIDER_NAMES:
            notes.append(unknown(place, [f"{path}.{each}" for each in PROVIDER_NAMES]))
        known = _fields(place, fields, _PROVIDER_FIELDS, notes)
        base_url = known.pop("base_url", None)
        found[name] = ProviderSettings(**({"base_urls": (base_url,)} if base_url else {}) | known)
    return found


def _route_step(path: str, step: object, notes: list[str]) -> Mapping[str, Any]:
    return _fields(path, step, _ROUTE_FIELDS, notes, required="model")


def _fields(
    path: str,
    value: object,
    known: Mapping[str, Check],
    notes: list[str],
    *,
    required: str | None = None,
) -> dict[str, Any]:
    given = table(path, value)
    if required is not None and required not in given:
        raise WrongField(f"{path}.{required} is missing")
    strangers = [key for key in given if key not in known]
    notes += [unknown(f"{path}.{key}", [f"{path}.{each}" for each in known]) for key in strangers]
    return {
        key: read_field(f"{path}.{key}", given[key], check)
        for key, check in known.items()
        if key in given
    }


_ROUTE_FIELDS: Mapping[str, Check] = {
    "provider": checks.one_of(*PROVIDER_NAMES),
    "account": checks.filled_text,
    "model": checks.filled_text,
}
_CHAIN_FIELDS: Mapping[str, Check] = {
    "accounts": checks.list_of(checks.filled_text),
    "smart_switch": checks.switch,
}
_PROVIDER_FIELDS: Mapping[str, Check] = {
    "base_url": checked_url,
    "base_urls": checks.list_of(checked_url),
    "auth_url": checked_url,
    "token_url": checked_url,
    "client_id": checks.token,
    "client_secret": checks.secret,
    "user_agent": checks.filled_text,
}
