"""Settings as one value, and how a flag, a variable and config.toml add up to it.

A flag beats a variable beats config.toml beats the default. The file is read, never written. What
is wrong keeps the program from starting with half of it; a key that nobody knows is a warning.
"""

import stat
from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.store import sections
from mcp_proxy.store.atomic import Refused, read_plain_file
from mcp_proxy.store.checks import WrongValue, secret, token
from mcp_proxy.store.environment import aliases_from
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.secret_files import with_secret_files
from mcp_proxy.store.setting import (
    HOST,
    KEYS,
    SOFT_LIMIT,
    SWITCH,
    TEXT,
    TEXTS,
    Setting,
    one_of,
    seconds,
    setting,
    settings_of,
    whole,
)
from mcp_proxy.store.toml_text import MalformedToml, TomlTable, parse_toml
from mcp_proxy.values import value

CONFIG_EXIT = 78
USAGE_EXIT = 2
STRATEGIES = ("sticky", "round-robin", "hybrid")
LOG_FORMATS = ("auto", "text", "json")


@value
class ServerSettings:
    """`[server]`: the side that clients see."""

    host: str = setting("127.0.0.1", HOST, "address to listen on", env="BIND_ADDRESS", flag="host")
    port: int = setting(
        8080, whole(0, 65535), "port to listen on; 0 takes a free one", env="PORT", flag="port"
    )
    api_keys: tuple[Secret, ...] = setting(
        (), KEYS, "keys that clients must send one of", env="PROXY_API_KEY"
    )
    workers: int = setting(1, whole(1, 64), "server processes", flag="workers")
    read_timeout: float = setting(
        30.0, seconds(), "for reading one request from a client", env="READ_TIMEOUT_SEC"
    )
    write_timeout: float = setting(
        300.0, seconds(), "for a stalled write to a client", env="WRITE_TIMEOUT_SEC"
    )
    idle_timeout: float = setting(
        120.0, seconds(), "for an idle keep-alive connection", env="IDLE_TIMEOUT_SEC"
    )
    max_body: int = setting(64 << 20, whole(1024, 1 << 30), "largest request body in bytes")
    drain: float = setting(30.0, seconds(0), "for open streams to end after a first SIGTERM")
    cors_enabled: bool = setting(
        True, SWITCH, "false switches CORS off, origins or not", env="CORS_ENABLED"
    )
    cors_allow_origin: tuple[str, ...] = setting(
        (), TEXTS, "origins whose pages may call, matched exactly", env="CORS_ALLOW_ORIGIN"
    )
    cors_allow_methods: str = setting(
        "GET, POST, OPTIONS", TEXT, "what a preflight is told", env="CORS_ALLOW_METHODS"
    )
    cors_allow_headers: str = setting(
        "*, Authorization", TEXT, "what a preflight is told", env="CORS_ALLOW_HEADERS"
    )
    """To browsers a * means every header but Authorization, in which clients send the key."""
    cors_max_age: int = setting(
        600, whole(0, 86_400), "how long a preflight holds, in seconds", env="CORS_MAX_AGE"
    )

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Origins whose pages may call; none until one is named."""
        return self.cors_allow_origin if self.cors_enabled else ()


@value
class LimitSettings:
    """`[limits]`: when an account is spared, how long a request waits."""

    soft_limit: float | None = setting(
        0.20,
        SOFT_LIMIT,
        "accounts at or below this fraction are used last",
        env="SOFT_LIMIT_THRESHOLD",
        flag="soft_limit",
    )
    max_wait: float = setting(120.0, seconds(0), "longest wait for an account to be free")
    stall: float = setting(
        120.0, seconds(), "how long an upstream may be silent", env="STALL_TIMEOUT_SEC"
    )
    concurrency: int = setting(8, whole(1, 1000), "requests in flight per account")
    strategy: str = setting(
        "sticky", one_of(*STRATEGIES), "how accounts are chosen", flag="strategy"
    )


@value
class FallbackSettings:
    """`[fallback]`: another model family instead of a refusal."""

    enabled: bool = setting(
        False,
        SWITCH,
        "use another model when all accounts are limited",
        env="ENABLE_FALLBACK",
        flag="fallback",
    )
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What config.toml says; it replaces the default list of the models it names."""


@value
class Settings:
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    fallback: FallbackSettings = FallbackSettings()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    chains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    debug: bool = setting(
        False, SWITCH, "log request and answer bodies, redacted", env="DEBUG", flag="debug"
    )
    log_format: str = setting(
        "auto",
        one_of(*LOG_FORMATS),
        "lines of text or JSON; auto is made to be read on a terminal, else text",
        env="MCPROXY_LOG_FORMAT",
        flag="log_format",
    )
    warnings: tuple[str, ...] = ()

    def provider(self, name: str) -> ProviderSettings:
        return self.providers.get(name) or ProviderSettings()


SETTINGS: tuple[Setting, ...] = (
    *settings_of("server", ServerSettings),
    *settings_of("limits", LimitSettings),
    *settings_of("fallback", FallbackSettings),
    *settings_of("", Settings),
)
"""Every single setting. `PROXY_API_KEY` adds to none: it replaces the keys of the file."""

_FREE_SECTIONS = {
    "fallback.models": sections.stand_ins,
    "aliases": sections.name_lists,
    "routes": sections.routes,
    "chains": sections.chains,
    "providers": sections.providers,
}


def load_settings(paths: Paths, flags: Mapping[str, object], env: Mapping[str, str]) -> Settings:
    """What is in force. `flags` has those that were given, by parameter name; None as soft limit
    is `--no-soft-limit`. UserError names the file, variable or flag and the field at fault."""
    strange = debug_of_others(env)
    env = with_secret_files(without_debug_of_others(env))
    document, notes = _config_file(paths)
    values = {each.path: _chosen(each, flags, env, document, paths.config) for each in SETTINGS}
    for path, read in _FREE_SECTIONS.items():
        section = _at(document, path, {})
        values[path] = _in_file(paths.config, partial(read, path, section, notes))
    values["providers"] = _with_google_client(values["providers"], env)
    values["aliases"] = {**_class_aliases(env), **values["aliases"]}
    notes += _unknown_keys(document)
    warnings = (*strange, *(f"{paths.config}: {each}" for each in notes))
    return Settings(
        server=ServerSettings(**_below("server", values)),
        limits=LimitSettings(**_below("limits", values)),
        fallback=FallbackSettings(**_below("fallback", values)),
        warnings=warnings,
        **{key: value for key, value in values.items() if "." not in key},
    )


WEAK_KEYS = frozenset(
    {
        "changeme-changeme",
        "your-api-key-here",
        "your-secret-api-key",
        "your-secret-key-here",
        "your-secret-key-1234",
        "my-secret-api-key",
        "replace-this-with-a-key",
        "sk-1234567890abcdef",
        "sk-ant-api03-xxxxxxxx",
        "1234567890abcdef",
        "0123456789abcdef",
        "abcdefghijklmnop",
        "test-test-test-test",
        "password12345678",
    }
)
"""Samples from read-me files that are long enough to look like keys."""


def key_problem(key: str, *, loopback: bool) -> str | None:
    """Why a key is not good enough for the address served on; None when it is."""
    if not key.strip():
        return "is empty"
    if loopback:
        return None
    if len(key) < 16:
        return "is shorter than 16 characters"
    if key.lower() in WEAK_KEYS or len(set(key)) < 4:
        return "is a well-known sample"
    return None


def without_debug_of_others(env: Mapping[str, str]) -> Mapping[str, str]:
    """Without a DEBUG that is none of ours, as in `DEBUG=app:*`: many programs share the name."""
    return {**env, "DEBUG": ""} if debug_of_others(env) else env


def debug_of_others(env: Mapping[str, str]) -> tuple[str, ...]:
    """What is to be said of a DEBUG that is meant for another program; nothing of ours."""
    try:
        SWITCH.check(SWITCH.from_text(env.get("DEBUG") or "0"))
    except WrongValue:
        return ("DEBUG is neither true nor false: it is taken for another program's, and ignored",)
    return ()


_ABSENT = object()


def _config_file(paths: Paths) -> tuple[TomlTable, list[str]]:
    """The file as a table and what is worth a warning; no table when there is no file."""
    file = paths.config
    try:
        content = read_plain_file(file)
    except FileNotFoundError:
        if paths.config_is_required:
            raise UserError(f"{file}: there is no such file", exit_code=CONFIG_EXIT) from None
        return {}, []
    except Refused as refusal:
        raise UserError(f"{file}: {refusal}", exit_code=CONFIG_EXIT) from refusal
    except OSError as cause:
        raise UserError(
            f"{file}: cannot be read: {cause.strerror}", exit_code=CONFIG_EXIT
        ) from cause
    try:
        document = parse_toml(content)
    except MalformedToml as malformed:
        raise UserError(f"{file}: {malformed}", exit_code=CONFIG_EXIT) from malformed
    for section in _KEYS_OF:
        _in_file(file, partial(sections.table, section, document.get(section, {})))
    return document, _exposed_secrets(file, document)


def _exposed_secrets(file: Path, document: TomlTable) -> list[str]:
    has_secrets = "api_keys" in document.get("server", {}) or "client_secret" in str(document)
    if has_secrets and stat.S_IMODE(file.stat().st_mode) & 0o077:
        return [f"other users can read the secrets in it. Run: chmod 600 {file}"]
    return []


def _chosen(
    row: Setting,
    flags: Mapping[str, object],
    env: Mapping[str, str],
    document: TomlTable,
    file: Path,
) -> Any:
    in_file = _at(document, row.path, _ABSENT)
    if in_file is not _ABSENT:
        # Also where it does not count: a flag makes no wrong file right.
        in_file = _checked(row, in_file, f"{file}: {row.path}", CONFIG_EXIT)
    if row.flag and row.flag in flags:
        name = f"--{row.flag.replace('_', '-')}"
        return _checked(row, flags[row.flag], name, USAGE_EXIT)
    if row.env and env.get(row.env):
        return _checked(row, row.kind.from_text(env[row.env]), row.env, CONFIG_EXIT)
    return row.default if in_file is _ABSENT else in_file


def _checked(row: Setting, value: object, name: str, exit_code: int) -> Any:
    try:
        return row.kind.check(value)
    except WrongValue as wrong:
        raise UserError(f"{name} {wrong}", exit_code=exit_code) from wrong


def _in_file(file: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except WrongValue as wrong:
        raise UserError(f"{file}: {wrong}", exit_code=CONFIG_EXIT) from wrong


def _at(document: TomlTable, path: str, default: object) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key, _ABSENT)
        if value is _ABSENT:
            return default
    return value


def _below(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{section}."
    return {path.removeprefix(prefix): v for path, v in values.items() if path.startswith(prefix)}


_KEYS_OF = {
    "server": frozenset(each.name for each in fields(ServerSettings)),
    "limits": frozenset(each.name for each in fields(LimitSettings)),
    "fallback": frozenset(each.name for each in fields(FallbackSettings)),
}
_SECTIONS = {*_KEYS_OF, "aliases", "routes", "chains", "providers"}
_TOP_LEVEL = {*_SECTIONS, "debug", "log_format", "version"}


def _unknown_keys(document: TomlTable) -> list[str]:
    known = [f"{section}.{key}" for section, keys in _KEYS_OF.items() for key in keys]
    notes = [sections.unknown(key, _TOP_LEVEL) for key in document if key not in _TOP_LEVEL]
    for section, keys in _KEYS_OF.items():
        strangers = [key for key in document.get(section, {}) if key not in keys]
        notes += [sections.unknown(f"{section}.{key}", known) for key in strangers]
    return notes


def _class_aliases(env: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    try:
        return aliases_from(env)
    except WrongValue as wrong:
        raise UserError(str(wrong), exit_code=CONFIG_EXIT) from wrong


def _with_google_client(
    providers: Mapping[str, ProviderSettings], env: Mapping[str, str]
) -> dict[str, ProviderSettings]:
    """Google's client from the environment, for the provider that signs in with Google."""
    given: dict[str, Any] = {}
    for variable, key, check in _GOOGLE_CLIENT:
        if env.get(variable):
            try:
                given[key] = check(env[variable])
            except WrongValue as wrong:
                raise UserError(f"{variable} {wrong}", exit_code=CONFIG_EXIT) from wrong
    if not given:
        return dict(providers)
    antigravity = replace(providers.get("antigravity") or ProviderSettings(), **given)
    return {**providers, "antigravity": antigravity}


_GOOGLE_CLIENT = (
    ("GOOGLE_CLIENT_ID", "client_id", token),
    ("GOOGLE_CLIENT_SECRET", "client_secret", secret),
)
