"""What `accounts add` was asked for: the flags as one value, and what of them goes together."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from mcp_proxy.account import Account, Secret
from mcp_proxy.cli.account_keeping import account_of
from mcp_proxy.cli.account_sources import SOURCES
from mcp_proxy.cli.choices import OneOf
from mcp_proxy.errors import UserError
from mcp_proxy.loopback import is_loopback
from mcp_proxy.providers import KNOWN_PROVIDERS, SignIn, provider
from mcp_proxy.store import checks
from mcp_proxy.store.accounts import Loaded, WrongAccount
from mcp_proxy.store.addresses import checked_url
from mcp_proxy.store.checks import WrongValue
from mcp_proxy.store.entries import is_account_id

USAGE = 2

LONGEST_SECRET = 64 * 1024
"""Characters that are read from standard input for one."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    provider: str | None = None
    id: str | None = None
    api_key: str | None = None
    refresh_token: str | None = None
    source: str | None = None
    file: Path | None = None
    no_browser: bool = False
    callback_port: int | None = None
    client_secrets: Path | None = None
    credentials_file: Path | None = None
    base_url: str | None = None
    headers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    project: str | None = None
    location: str | None = None
    accept_risk: bool = False

    def given(self) -> dict[str, Any]:
        """The fields of an entry that were asked for, by name. UserError for a wrong one."""
        fields = {
            "base_url": checked("--base-url", self.base_url, checked_url),
            "headers": _headers(self.headers),
            "models": self.models or None,
            "project": checked("--project", self.project, checks.token),
            "location": checked("--location", self.location, checks.host_label),
        }
        return {name: value for name, value in fields.items() if value is not None}


def settled(wish: Wish, loaded: Loaded) -> Wish:
    """The wish with its provider, where it can be known.

    UserError (exit code 2) for what does not go together.
    """
    if wish.id is not None and not is_account_id(wish.id):
        raise UserError("--id: use a-z 0-9 . _ - and begin with a letter or digit", exit_code=USAGE)
    if wish.refresh_token not in (None, "-"):
        raise UserError("--refresh-token takes only -, the token on stdin", exit_code=USAGE)
    if wish.source is not None and wish.refresh_token is not None:
        raise UserError("--from and --refresh-token exclude each other", exit_code=USAGE)
    if wish.file is not None and wish.source is None:
        raise UserError("--file goes with --from", exit_code=USAGE)
    existing = account_of(loaded, wish.id)
    wrong = loaded.problem_of(wish.id) if existing is None and wish.id is not None else None
    if wrong is not None:
        raise WrongAccount(wrong)  # no sign-in would mend it, or could be kept beside it
    wish = replace(wish, provider=_provider(wish, existing))
    wish.given()
    if wish.provider is not None:
        _refuse_foreign_flags(wish, wish.provider)
    if wish.provider is not None and wish.source is None:
        _require(wish, provider(wish.provider).sign_in, existing)
    return wish


def _provider(wish: Wish, existing: Account | None) -> str | None:
    """Whose account it is; None while only the source knows."""
    name = wish.provider or (existing.provider if existing else None)
    if existing is not None and existing.provider != name:
        raise UserError(f"{existing.id} is an account of {existing.provider}; choose another --id")
    if wish.source is None:
        return name or _ask_provider()
    of_source = SOURCES[wish.source]
    if name is not None and of_source not in (None, name):
        raise UserError(
            f"--from {wish.source} gives accounts of {of_source}, not of {name}", exit_code=USAGE
        )
    return of_source or name


def drafted(wish: Wish, loaded: Loaded) -> Account:
    """The account before anybody has signed in: enough to make calls for it."""
    existing = account_of(loaded, wish.id)
    draft = existing or Account(id=wish.id or "new", provider=wish.provider or "")
    return replace(draft, **wish.given())


def checked(flag: str, value: str | None, check: Callable[[object], _T]) -> _T | None:
    """The flag's value, None when it was not given. UserError (exit code 2) for a wrong one."""
    try:
        return None if value is None else check(value)
    except WrongValue as wrong:
        raise UserError(f"{flag} {wrong}", exit_code=USAGE) from wrong


def secret_on_stdin(flag: str) -> Secret:
    """Stays out of the shell's history and of the list of processes.

    UserError (exit code 2) for what is none: several words, or more than a header can hold.
    """
    line = sys.stdin.readline(LONGEST_SECRET + 1)
    if len(line) > LONGEST_SECRET:
        raise UserError(
            f"{flag} - reads one line, and this one has more than {LONGEST_SECRET} characters,"
            " which no key or token has",
            exit_code=USAGE,
        )
    return Secret(checked(flag, line, checks.token) or "")


def needed(flag: str, why: str) -> UserError:
    """Nobody is there to be asked."""
    return UserError(f"{flag} is needed without a terminal: {why}", exit_code=USAGE)


def is_here(url: str | None) -> bool:
    """Whether the URL is one of this very machine."""
    return url is not None and is_loopback(urlsplit(url).hostname or "")


_TAKES: Mapping[SignIn, tuple[str, frozenset[str]]] = {
    SignIn.GOOGLE: (
        "signs in with Google",
        frozenset(
            {"refresh_token", "no_browser", "callback_port", "client_secrets", "project", "source"}
        ),
    ),
    SignIn.API_KEY: ("takes an API key", frozenset({"api_key"})),
    SignIn.OPTIONAL_KEY: ("takes an address and maybe a key", frozenset({"api_key", "headers"})),
    SignIn.CODEX: (
        "signs in with ChatGPT",
        frozenset({"refresh_token", "no_browser", "callback_port", "source"}),
    ),
    SignIn.GITHUB: (
        "signs in with GitHub",
        frozenset({"refresh_token", "no_browser", "source"}),
    ),
    SignIn.ADC: (
        "uses a login or a key file of Google Cloud",
        frozenset({"credentials_file", "project", "location", "source"}),
    ),
}
"""How a kind of sign-in is told, and the flags that mean something to it."""

_FLAGS = {
    "api_key": "--api-key",
    "refresh_token": "--refresh-token",
    "source": "--from",
    "no_browser": "--no-browser",
    "callback_port": "--callback-port",
    "client_secrets": "--client-secrets",
    "credentials_file": "--credentials-file",
    "headers": "--header",
    "project": "--project",
    "location": "--location",
}
"""Flags that are not for every provider, by the field of the wish."""


def _refuse_foreign_flags(wish: Wish, name: str) -> None:
    how, taken = _TAKES[provider(name).sign_in]
    foreign = (
        flag for field, flag in _FLAGS.items() if getattr(wish, field) and field not in taken
    )
    flag = next(foreign, None)
    if flag is not None:
        raise UserError(f"{flag} is not for {name}, which {how}; leave it out", exit_code=USAGE)


def _require(wish: Wish, kind: SignIn, existing: Account | None) -> None:
    """What nobody can be asked for, and no sign-in gives."""
    if wish.api_key != "-":
        checked("--api-key", wish.api_key, checks.token)
    if kind is SignIn.API_KEY and wish.api_key is None and not sys.stdin.isatty():
        raise needed("--api-key", "- reads the key from stdin")
    has_address = wish.base_url or (existing is not None and existing.base_url)
    if kind is SignIn.OPTIONAL_KEY and not has_address:
        raise UserError(
            "--base-url is needed: the server's address up to and with /v1, as in"
            " http://127.0.0.1:11434/v1",
            exit_code=USAGE,
        )


def _ask_provider() -> str:
    if not sys.stdin.isatty():
        raise needed("--provider", f"one of {', '.join(KNOWN_PROVIDERS)}")
    answer: str = click.prompt("Provider", type=OneOf(KNOWN_PROVIDERS), err=True)
    return answer


def _headers(pairs: tuple[str, ...]) -> dict[str, str] | None:
    """`NAME=VALUE` each. The values are not quoted back: they may be keys."""
    if not pairs:
        return None
    named = [pair.partition("=") for pair in pairs]
    if not all(separator for _, separator, _ in named):
        raise UserError("--header takes NAME=VALUE", exit_code=USAGE)
    headers = {name.strip(): value.strip() for name, _, value in named}
    try:
        return checks.headers(headers)
    except WrongValue as wrong:
        raise UserError(f"--header {wrong}", exit_code=USAGE) from wrong
