"""Logins of other programs, read each time they are needed and never written.

Each reader gives what the other program has now; renewing it is that program's own business. Only
that of a program whose login is borrowed is loaded.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Secret

_APP: Final = "antigravity-app"


class Borrowed(NamedTuple):
    """What another program's login gives now."""

    token: Secret
    expires_at: float | None = None
    """Unix time; None when the program does not say."""
    label: str | None = None
    """E-mail address or name, for people."""
    workspace: str | None = None
    """Which of the login's accounts it is, as `Account.workspace`."""
    project: str | None = None
    """Google Cloud project that the login names."""
    plan: str | None = None


def _antigravity_app(_account: Account) -> Borrowed:
    from mcp_proxy.signin.local_apps import read_app_token

    email, token = read_app_token()
    return Borrowed(token, label=email)


def _codex(account: Account) -> Borrowed:
    from mcp_proxy.signin.codex_file import read_codex_login

    login = read_codex_login(account)
    workspace, email, plan = login.identity
    return Borrowed(login.token, login.expires_at, email, workspace, plan=plan)


def _gcloud(account: Account) -> Borrowed:
    from mcp_proxy.signin.adc import read_google_login

    login = read_google_login(account)
    return Borrowed(login.token, login.expires_at, login.email, project=login.project)


SOURCES: Final[Mapping[str, Callable[[Account], Borrowed]]] = {
    _APP: _antigravity_app,
    "codex": _codex,
    "gcloud": _gcloud,
}
"""By `Credential.source`."""

_OF_FILES: Final = {"codex": "codex", "vertex": "gcloud"}
"""Provider -> whose file an account has that names a file and no program."""


_ASKS_NOBODY: Final = frozenset({_APP, "codex"})


def asks_nobody(account: Account) -> bool:
    """Whether it is borrowed, and read where no endpoint is asked: as often as one likes."""
    return account.credential.is_borrowed and _source(account) in _ASKS_NOBODY


def read(account: Account) -> Borrowed:
    """The login as it is now. OSError, LookupError or ValueError say why there is none.

    ConnectionError and TimeoutError among them: it may well be there, but an endpoint could not be
    reached, or the program is writing it.
    """
    source = _source(account)
    if source not in SOURCES:
        raise LookupError(f"{source!r} is no program whose login can be borrowed")
    return SOURCES[source](account)


def _source(account: Account) -> str:
    return account.credential.source or _OF_FILES.get(account.provider, "")
