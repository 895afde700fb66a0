"""`accounts add --from`: logins that other programs have on this machine, one or several at once.

Some are borrowed: nothing of them is kept but the program's name, and the login is read again
whenever it is needed. Others are taken over once.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.account_keeping import SignedIn
from mcp_proxy.cli.account_sign_in import lent
from mcp_proxy.cli.account_sources import SOURCES
from mcp_proxy.cli.account_wish import USAGE, Wish
from mcp_proxy.errors import UserError
from mcp_proxy.signin.imports import read_import
from mcp_proxy.store.environment import read_environment


class Found(NamedTuple):
    """A login that can be used."""

    draft: Account
    signed_in: SignedIn


class Haul(NamedTuple):
    """What a source had."""

    told: tuple[str, ...]
    """What was read and what was taken from it, in sentences without secrets."""
    found: tuple[Found, ...]


def haul(wish: Wish) -> Haul:
    """The logins of the source that was named. UserError when there is none."""
    source = wish.source or ""
    result = _READERS[source](wish)
    if not result.found:
        told = "".join(f"{line}. " for line in result.told)
        raise UserError(f"{told}{source} has no login that could be used; nothing was added")
    if wish.id is not None and len(result.found) > 1:
        raise UserError(
            f"--id is for one account, and {source} has {len(result.found)}; leave it out",
            exit_code=USAGE,
        )
    return result


def _borrowed(wish: Wish) -> Haul:
    """Nothing is kept but whose login it is."""
    source = wish.source or ""
    file = str(wish.file.resolve()) if wish.file else None
    credential = Credential(source=source, file=file)
    draft = Account("new", SOURCES[source] or "", credential, **wish.given())
    signed_in = lent(draft)
    who = signed_in.label or "without a name"
    told = f"read the login of {source} ({who}); it is read again when needed, and never changed"
    return Haul((told,), (Found(draft, signed_in),))


def _environment(wish: Wish) -> Haul:
    """What is in the variables, to be there without them from now on."""
    environment = read_environment(os.environ)
    told, found = list(environment.warnings), []
    for account in environment.accounts:
        if wish.provider not in (None, account.provider):
            continue
        draft = replace(account, transient=False)
        try:
            found.append(Found(draft, _of_variables(draft)))
        except UserError as error:
            told.append(str(error))
        else:
            told.append(f"read the environment; took the account of {account.provider}")
    return Haul(tuple(told), tuple(found))


def _of_variables(draft: Account) -> SignedIn:
    if draft.credential.is_borrowed:
        return lent(draft)
    return SignedIn(draft.credential, draft.credential.api_key or Secret(""))


def _taken_over(wish: Wish) -> Haul:
    """Tokens and keys out of another program's file."""
    try:
        imported = read_import(wish.source or "", wish.file)
    except (OSError, LookupError, ValueError) as cause:
        raise UserError(f"{cause}; nothing was added") from cause
    found = [
        Found(account, SignedIn(account.credential, account.credential.api_key, account.label))
        for account in imported.accounts
        if wish.provider in (None, account.provider)
    ]
    return Haul(imported.told, tuple(found))


_READERS: Final[Mapping[str, Callable[[Wish], Haul]]] = {
    "antigravity-app": _borrowed,
    "codex": _borrowed,
    "gcloud": _borrowed,
    "env": _environment,
    "copilot": _taken_over,
    "gemini-cli": _taken_over,
    "antigravity-claude-proxy": _taken_over,
    "multi-claude-proxy": _taken_over,
}
