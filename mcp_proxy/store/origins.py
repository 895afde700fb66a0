"""Every setting in force with the place it comes from. Secrets are counted here, never shown.

`settings.load_settings` says what is in force; this file only says who said so, by the same rule: a
flag beats a variable beats config.toml beats the default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from mcp_proxy.account import Secret
from mcp_proxy.store.atomic import read_plain_file
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.secret_files import SUFFIX
from mcp_proxy.store.setting import Setting
from mcp_proxy.store.settings import SETTINGS, Settings, load_settings, without_debug_of_others
from mcp_proxy.store.toml_lines import key_lines

MASKED = "(secret)"


class Origin(StrEnum):
    FLAG = "flag"
    VARIABLE = "variable"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Sourced:
    """One setting in force."""

    path: str
    """Section and key, as in `server.port`."""
    value: Any
    """As JSON has it; `MASKED` in place of a secret."""
    origin: Origin
    where: str | None = None
    """The flag, the variable, or file and line; None for a default."""


def sourced_settings(
    paths: Paths, flags: Mapping[str, object], env: Mapping[str, str]
) -> tuple[Settings, tuple[Sourced, ...]]:
    """What is in force, and each setting with its origin. UserError as `load_settings` raises it.

    Of the sections whose keys people invent, only what somebody has set.
    """
    settings, env = load_settings(paths, flags, env), without_debug_of_others(env)
    lines = _lines(paths)
    rows = [_single(row, settings, flags, env, paths, lines) for row in SETTINGS]
    free = (_free(path, value, paths, lines) for path, value in _set_by_people(settings))
    return settings, (*rows, *free)


def _lines(paths: Paths) -> dict[str, int]:
    """`load_settings` has read the file before: here it is well-formed, or not there."""
    try:
        return key_lines(read_plain_file(paths.config))
    except FileNotFoundError:
        return {}


def _single(
    row: Setting,
    settings: Settings,
    flags: Mapping[str, object],
    env: Mapping[str, str],
    paths: Paths,
    lines: Mapping[str, int],
) -> Sourced:
    value: Any = settings
    for name in row.path.split("."):
        value = getattr(value, name)
    return Sourced(row.path, shown(value), *_origin(row, flags, env, paths, lines))


def _origin(
    row: Setting,
    flags: Mapping[str, object],
    env: Mapping[str, str],
    paths: Paths,
    lines: Mapping[str, int],
) -> tuple[Origin, str | None]:
    if row.flag and row.flag in flags:
        return Origin.FLAG, f"--{row.flag.replace('_', '-')}"
    for variable in (row.env, f"{row.env}{SUFFIX}"):
        if row.env and variable and env.get(variable):
            return Origin.VARIABLE, variable
    if row.path in lines:
        return Origin.FILE, f"{paths.config}:{lines[row.path]}"
    # A key that is set although nobody above has set it was handed over by the service manager.
    if row.env == "PROXY_API_KEY" and env.get("CREDENTIALS_DIRECTORY"):
        return Origin.VARIABLE, "CREDENTIALS_DIRECTORY"
    return Origin.DEFAULT, None


def _free(path: str, value: Any, paths: Paths, lines: Mapping[str, int]) -> Sourced:
    """`base_urls` may be written `base_url`, and a list over several tables has one first line."""
    line = lines.get(path) or lines.get(path.removesuffix("s"))
    if line is None:
        return Sourced(path, shown(value), Origin.VARIABLE, _VARIABLE_OF.get(path, "BIG_MODEL"))
    return Sourced(path, shown(value), Origin.FILE, f"{paths.config}:{line}")


_VARIABLE_OF = {
    "providers.antigravity.client_id": "GOOGLE_CLIENT_ID",
    "providers.antigravity.client_secret": "GOOGLE_CLIENT_SECRET",
    "aliases.haiku": "SMALL_MODEL",
}
"""What variables add to those sections; other aliases of theirs come from BIG_MODEL."""


def _set_by_people(settings: Settings) -> Iterator[tuple[str, Any]]:
    tables: Mapping[str, Mapping[str, Any]] = {
        "fallback.models": settings.fallback.models,
        "aliases": settings.aliases,
        "routes": settings.routes,
        "chains": settings.chains,
    }
    for section, table in tables.items():
        yield from ((f"{section}.{name}", value) for name, value in table.items())
    for name, provider in settings.providers.items():
        # Not asdict: it would copy a secret as a table with its value in it.
        for key in provider.__dataclass_fields__:
            value = getattr(provider, key)
            if value:
                yield f"providers.{name}.{key}", value


def shown(value: Any) -> Any:
    """The value as JSON has it, without secrets."""
    match value:
        case Secret():
            return MASKED
        case str() if "://" in value:
            return _shown_address(value)
        case tuple() | list():
            return [shown(each) for each in value]
        case Mapping():
            return {key: shown(each) for key, each in value.items()}
        case _:
            return value


def _shown_address(address: str) -> str:
    """Who signs in by an address has the secret in its query, or before its host."""
    start, scheme, rest = address.partition("://")
    rest, asks, _ = rest.partition("?")
    place, slash, path = rest.partition("/")
    _, signs_in, host = place.rpartition("@")
    person = f"{MASKED}@" if signs_in else ""
    return f"{start}{scheme}{person}{host}{slash}{path}" + (f"?{MASKED}" if asks else "")


def document(row: Sourced) -> dict[str, Any]:
    return {**asdict(row), "origin": str(row.origin)}
