"""`accounts add --from`: logins that other programs have on this machine, one or several at once.

Some are borrowed: nothing of them is kept but the program's name, and the login is read again
whenever it is needed. Others are taken over once.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Credential
from mcp_proxy.cli.account_keeping import SignedIn
from mcp_proxy.cli.account_wish import USAGE, Wish
from mcp_proxy.errors import UserError
from mcp_proxy.signin import borrowed
from mcp_proxy.store.environment import read_environment


class Found(NamedTuple):
    """A login that can be used."""

    draft: Account
    signed_in: SignedIn


class Haul(NamedTuple):
    """What a source had."""

    read: tuple[str, ...]
    """What was read and what was taken from it, in sentences without secrets."""
    found: tuple[Found, ...]


class Source(NamedTuple):
    """One program whose logins are known."""

    provider: str | None
    """Whose accounts they are; None: of several providers."""
    read: Callable[[Wish], Haul]
    """Raises OSError, LookupError or ValueError with a sentence for people."""


def haul(wish: Wish) -> Haul:
    """The logins of the source that was named. UserError when there is none."""
    try:
        result = SOURCES[wish.source or ""].read(wish)
    except (OSError, LookupError, ValueError) as cause:
        raise UserError(
            f"{cause}. Sign in with that program first, or add without --from."
        ) from cause
    if not result.found:
        raise UserError(f"{wish.source} has no login that could be used; nothing was added")
    if wish.id is not None and len(result.found) > 1:
        raise UserError(
            f"--id is for one account, and {wish.source} has {len(result.found)}; leave it out",
            exit_code=USAGE,
        )
    return result


def lent(draft: Account, source: str) -> SignedIn:
    """The login as the other program has it now."""
    account = replace(draft, credential=Credential(source=source, file=draft.credential.file))
    login = borrowed.read(account)
    return SignedIn(account.credential, login.token, login.label)


def _borrowing(provider: str, source: str) -> Source:
    def read(wish: Wish) -> Haul:
        file = str(wish.file.resolve()) if wish.file else None
        draft = Account("new", provider, Credential(file=file))
        signed_in = lent(draft, source)
        who = signed_in.label or "a login without a name"
        told = f"read the login of {source} ({who}); kept its name only, it is read when needed"
        return Haul((told,), (Found(draft, signed_in),))

    return Source(provider, read)


def _environment(_wish: Wish) -> Haul:
    """The keys in the variables, from now on without them."""
    environment = read_environment(os.environ)
    found = [
        Found(
            replace(account, transient=False, credential=Credential()),
            SignedIn(account.credential, account.credential.api_key),
        )
        for account in environment.accounts
    ]
    told = [f"read the environment: {found_.draft.provider}" for found_ in found]
    return Haul((*environment.warnings, *told), tuple(found))


SOURCES: Final[Mapping[str, Source]] = {
    "antigravity-app": _borrowing("antigravity", "antigravity-app"),
    "env": Source(None, _environment),
}
