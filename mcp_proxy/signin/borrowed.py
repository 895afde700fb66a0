"""Logins of other programs, read each time they are needed and never written.

Each reader gives what the other program has now; renewing it is that program's own business.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.signin.local_apps import APP_SOURCE, read_app_token


class Borrowed(NamedTuple):
    """What another program's login gives now."""

    token: Secret
    expires_at: float | None = None
    """Unix time; None when the program does not say."""
    label: str | None = None
    """E-mail address or name, for people."""


def _antigravity_app(_account: Account) -> Borrowed:
    email, token = read_app_token()
    return Borrowed(token, label=email)


SOURCES: Final[Mapping[str, Callable[[Account], Borrowed]]] = {APP_SOURCE: _antigravity_app}
"""By `Credential.source`."""


def read(account: Account) -> Borrowed:
    """The login as it is now. OSError, LookupError or ValueError say why there is none."""
    source = account.credential.source or ""
    if source not in SOURCES:
        raise LookupError(f"{source!r} is no program whose login can be borrowed")
    return SOURCES[source](account)
