"""Accounts and aliases from variables, for people who come from a proxy with a single key.

They last as long as the process and are never written down. Pure: the variables are an argument.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mcp_proxy.account import Account, Credential
from mcp_proxy.loopback import is_loopback
from mcp_proxy.store import checks
from mcp_proxy.store.addresses import checked_url
from mcp_proxy.store.checks import WrongValue
from mcp_proxy.store.entries import USUAL_SOURCE
from mcp_proxy.store.setting import SWITCH
from mcp_proxy.values import value

Env = Mapping[str, str]
_T = TypeVar("_T")

VARIABLES = (
    "PREFERRED_PROVIDER",
    "BIG_MODEL",
    "SMALL_MODEL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "USE_VERTEX_AUTH",
    "VERTEX_PROJECT",
    "VERTEX_LOCATION",
    "VERTEX_CREDENTIALS_PATH",
)
"""Everything that is read here."""

_OFFICIAL_HOSTS = {
    "OPENAI_BASE_URL": "api.openai.com",
    "ANTHROPIC_BASE_URL": "api.anthropic.com",
    "GOOGLE_GEMINI_BASE_URL": "generativelanguage.googleapis.com",
}

_OWN_PORT = "8080"
"""Where clients of ours are told to send, unless PORT says otherwise."""

_DEFAULT_MODELS: Mapping[str, tuple[str | None, str | None]] = {
    "openai": ("gpt-4.1", "gpt-4.1-mini"),
    "google": ("gemini-2.5-pro", "gemini-2.5-flash"),
    "anthropic": (None, None),  # its models have the classes in their names
}
"""PREFERRED_PROVIDER -> the models for BIG_MODEL and SMALL_MODEL when these are not set."""

_DEFAULT_PROVIDER = "openai"

_CLASSES = {"opus": 0, "sonnet": 0, "haiku": 1}
"""Class name -> whether the big model (0) or the small one (1) stands for it."""


@value
class Environment:
    """What the variables add to accounts.toml."""

    accounts: tuple[Account, ...] = ()
    warnings: tuple[str, ...] = ()
    """Variables that look like an account and are none, with the reason; never their values."""


NOTHING_SET = Environment()


def read_environment(env: Env) -> Environment:
    """The accounts of these variables. One that is not usable is a warning, not an error: it was
    set for another program, which may see it otherwise."""
    accounts, warnings = [], []
    for read in (_openai, _gemini, _anthropic, _vertex):
        try:
            account = read(env)
        except WrongValue as wrong:
            warnings.append(f"{wrong}: no account is made of it")
        else:
            accounts += [account] if account else []
    return Environment(tuple(accounts), tuple(warnings))


def accounts_from(env: Env) -> tuple[Account, ...]:
    """The accounts that keys in the environment are."""
    return read_environment(env).accounts


def aliases_from(env: Env) -> dict[str, tuple[str, ...]]:
    """What opus, sonnet and haiku stand for; empty unless one of the three variables is set.

    The preferred provider's own model comes first, then the same name wherever it is served.
    WrongValue for a provider that is none of the three.
    """
    big, small = _value("BIG_MODEL", env), _value("SMALL_MODEL", env)
    named = _value("PREFERRED_PROVIDER", env).lower()
    if not (big or small or named):
        return {}
    preferred = named or _DEFAULT_PROVIDER
    if preferred not in _DEFAULT_MODELS:
        raise WrongValue(f"PREFERRED_PROVIDER must be one of {', '.join(_DEFAULT_MODELS)}")
    provider = _place_of(preferred, env)
    usual = _DEFAULT_MODELS[preferred]
    models = (big or usual[0], small or usual[1])
    meant: dict[str, tuple[str, ...]] = {
        name: (f"{provider}/{model}", model)
        for name, size in _CLASSES.items()
        if (model := models[size]) is not None
    }
    if preferred == "anthropic":
        return meant
    # Who prefers another provider wants every Claude that a client names answered by it.
    return {**meant, **{f"claude*{name}*": (name,) for name in meant}}


def _place_of(preferred: str, env: Env) -> str:
    """Our name of the provider that the preference means with these variables."""
    if preferred == "google":
        return "vertex" if _wants_vertex(env) else "gemini"
    if preferred == "openai" and _leads_elsewhere("OPENAI_BASE_URL", env):
        return "openai-compatible"
    return preferred


def _openai(env: Env) -> Account | None:
    key = _checked("OPENAI_API_KEY", env, checks.secret)
    if not _leads_elsewhere("OPENAI_BASE_URL", env):
        return _account("openai", Credential(api_key=key)) if key else None
    url = _checked("OPENAI_BASE_URL", env, checked_url)
    if url is None or _is_ourselves(url, env):
        return None
    # Servers on one's own machine take calls without a key.
    return _account("openai", Credential(api_key=key), provider="openai-compatible", base_url=url)


def _gemini(env: Env) -> Account | None:
    # As with Anthropic's, below.
    if _leads_elsewhere("GOOGLE_GEMINI_BASE_URL", env):
        return None
    key = _checked("GEMINI_API_KEY", env, checks.secret)
    return _account("gemini", Credential(api_key=key)) if key else None


def _anthropic(env: Env) -> Account | None:
    # Clients of ours are told to set both variables: such a key is none of Anthropic's.
    if _leads_elsewhere("ANTHROPIC_BASE_URL", env):
        return None
    key = _checked("ANTHROPIC_API_KEY", env, checks.secret)
    return _account("anthropic", Credential(api_key=key)) if key else None


def _vertex(env: Env) -> Account | None:
    if not _wants_vertex(env):
        return None
    return _account(
        "vertex",
        Credential(
            source=USUAL_SOURCE["vertex"],
            file=_checked("VERTEX_CREDENTIALS_PATH", env, checks.filled_text),
        ),
        project=_checked("VERTEX_PROJECT", env, checks.token),
        location=_checked("VERTEX_LOCATION", env, checks.host_label),
    )


def _account(name: str, credential: Credential, **fields: Any) -> Account:
    return Account(
        id=f"env-{name}",
        credential=credential,
        transient=True,
        **{"provider": name, **fields},
    )


def _checked(variable: str, env: Env, check: Callable[[object], _T]) -> _T | None:
    """The value as it may be used; None when it is not set."""
    value = _value(variable, env)
    if not value:
        return None
    try:
        return check(value)
    except WrongValue as wrong:
        raise WrongValue(f"{variable} {wrong}") from wrong


def _wants_vertex(env: Env) -> bool:
    return SWITCH.from_text(_value("USE_VERTEX_AUTH", env)) is True


def _value(variable: str, env: Env) -> str:
    """Empty when it is not set, or is the `unset` of other people's sample files."""
    value = env.get(variable, "").strip()
    return "" if value == "unset" else value


def _leads_elsewhere(variable: str, env: Env) -> bool:
    """Whether the variable names another place than the official one, however badly."""
    url = _value(variable, env)
    if not url:
        return False
    try:
        return urlsplit(url).hostname != _OFFICIAL_HOSTS[variable]
    except ValueError:
        return True


def _is_ourselves(url: str, env: Env) -> bool:
    """Whether the address is the one that our own clients are given: we must not call ourselves."""
    parts = urlsplit(url)
    own = env.get("PORT") or _OWN_PORT
    return is_loopback(parts.hostname or "") and str(parts.port) == own
