"""Writing down an account that has just signed in: which entry it is, and what of it changes."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.render import clean
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import AccountStore, IdTaken, Loaded, credential_id
from mcp_proxy.store.entries import entry_fields

USAGE = 2


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A credential that has just been given."""

    credential: Credential
    access_token: Secret | None = None
    """None: there is none yet; it has to be asked for with the credential."""
    label: str | None = None
    """E-mail address, or what else the provider calls whoever signed in."""
    expires_in: float | None = None
    workspace: str | None = None
    project: str | None = None


class Kept(NamedTuple):
    """The account as it is on the disk now."""

    account: Account
    is_new: bool


def keep(
    store: AccountStore,
    draft: Account,
    signed_in: SignedIn,
    *,
    account_id: str | None,
    given: Mapping[str, Any],
) -> Kept:
    """Write the account down: in place when it is there already, else as a new one.

    `account_id` is the one that was asked for; `given` are other fields that were. UserError when
    somebody else has signed in, and where one of that id has been added in the meantime.
    """
    taken = ""
    while True:
        try:
            return _kept(store, draft, signed_in, account_id=account_id, given=given)
        except IdTaken as refusal:
            # Somebody was quicker, with another account or with this very one. Twice the same id
            # is another matter: an entry that cannot be read has it.
            if account_id is not None or str(refusal) == taken:
                raise
            taken = str(refusal)


def _kept(
    store: AccountStore,
    draft: Account,
    signed_in: SignedIn,
    *,
    account_id: str | None,
    given: Mapping[str, Any],
) -> Kept:
    loaded = store.load()
    signed = with_sign_in(draft, signed_in)
    existing = account_of(loaded, account_id)
    if existing is None and account_id is None:
        existing = _same_login(loaded, signed)
    if existing is None:
        account = replace(
            signed,
            id=account_id or _free_id(loaded, _name(signed)),
            added_at=datetime.now(UTC).replace(microsecond=0),
        )
        store.add(account)
        return Kept(account, is_new=True)
    _same_person(existing, signed_in)
    label, email = _names(existing, signed_in.label)
    account = replace(with_sign_in(existing, signed_in), label=label, email=email, **given)
    entry = entry_fields(account)
    is_renamed = (label, email) != (existing.label, existing.email)
    names = ("email", "label") if is_renamed else ()
    changed = (*_OF_SIGN_IN, *names, *given)
    store.update_fields(existing.id, {name: entry.get(name) for name in changed})
    return Kept(account, is_new=False)


def with_sign_in(draft: Account, signed_in: SignedIn) -> Account:
    """The draft with what the sign-in gave."""
    return replace(
        draft,
        credential=signed_in.credential,
        label=signed_in.label or draft.label,
        workspace=signed_in.workspace or draft.workspace,
        project=draft.project or signed_in.project,
    )


_OF_SIGN_IN = (
    "workspace",
    "refresh_token",
    "api_key",
    "client_id",
    "client_secret",
    "source",
    "credentials_file",
)
"""What a new sign-in may change in an entry, beside the name; the rest is its owner's."""


def _same_person(existing: Account, signed_in: SignedIn) -> None:
    """Signing in to the wrong one of several logins is easily done."""
    whose = _two_owners(existing, signed_in)
    if whose is None:
        return
    story = f"{existing.id} belongs to {whose[0]}, but {whose[1]} has signed in"
    if not sys.stdin.isatty():
        raise UserError(
            f"{story}; nothing was changed. Pass another --id for {whose[1]}.", exit_code=USAGE
        )
    if not click.confirm(f"{clean(story)}. Replace it?", default=False, err=True):
        raise UserError("nothing was changed")


def _two_owners(existing: Account, signed_in: SignedIn) -> tuple[str, str] | None:
    """Whose the account is and who has signed in; None when nothing says that these are two."""
    owner, name = existing.email or existing.label, signed_in.label
    if owner and name and not _is_called(existing, name) and _is_replaceable(owner, name):
        return owner, name
    space, other = existing.workspace, signed_in.workspace
    if space and other and space != other:
        return f"workspace {space}", f"workspace {other}"
    return None


def _is_called(account: Account, name: str) -> bool:
    """Nobody tells addresses or logins apart by their capitals."""
    names = (account.label, account.email)
    return name.casefold() in (each.casefold() for each in names if each)


def _names(existing: Account, name: str | None) -> tuple[str | None, str | None]:
    """Label and address from now on: what somebody chose, or spells in a way of their own, stays.

    `name`: who has signed in.
    """
    label, email = existing.label, existing.email
    if name is None or _is_called(existing, name):
        return label, email
    if email is not None and "@" in name:
        return label, name
    return (name if _is_replaceable(label, name) else label), email


_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""A name at GitHub; of a company, an underscore and its own name come behind."""


def _is_replaceable(label: str | None, name: str | None) -> bool:
    """Whether the label is a name as sign-ins give it; one that somebody chose stays.

    Where the name that signs in is no address, it is a login, and a label that could be one is
    taken for one.
    """
    if label is None or "@" in label:
        return True
    return name is not None and "@" not in name and _LOGIN.fullmatch(label) is not None


def account_of(loaded: Loaded, account_id: str | None) -> Account | None:
    """The entry of that id, without its sign-in, too; an account of the environment is none."""
    return next((each for each in _written(loaded) if each.id == account_id), None)


_PLACES = {
    "vertex": ("project", "location"),
    "codex": ("workspace",),
    "openai-compatible": ("base_url",),
}
"""Fields that make one login several accounts, by provider."""


def _same_login(loaded: Loaded, signed: Account) -> Account | None:
    """The entry that this is a new sign-in of."""
    fields = _PLACES.get(signed.provider, ())
    for each in _written(loaded):
        if each.provider != signed.provider:
            continue
        if all(getattr(each, field) == getattr(signed, field) for field in fields) and (
            credential_id(each) == credential_id(signed)
            or (signed.label is not None and _is_called(each, signed.label))
        ):
            return each
    return None


def _written(loaded: Loaded) -> list[Account]:
    """The entries that a sign-in can be for; one that lacks nothing else waits for it."""
    unsigned = (each.unsigned for each in loaded.problems if each.unsigned is not None)
    return [*(each for each in loaded.accounts if not each.transient), *unsigned]


_LOCAL_SERVERS = {11434: "ollama", 1234: "lmstudio"}
"""Programs by the port that they listen on unless told otherwise."""


def _name(account: Account) -> str:
    """What an account is called when nobody has named it."""
    if account.label:
        return account.label.partition("@")[0]
    if account.provider == "openai-compatible" and account.base_url:
        parts = urlsplit(account.base_url)
        return _LOCAL_SERVERS.get(parts.port or 0) or parts.hostname or account.provider
    return account.provider


def _free_id(loaded: Loaded, name: str) -> str:
    """`Jane Doe` -> `jane-doe`, or `jane-doe-2` when that is taken."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).lstrip("._-") or "account"
    taken = {each.id for each in loaded.accounts} | {each.id for each in loaded.problems}
    numbered = (f"{slug}-{number}" for number in count(2))
    return slug if slug not in taken else next(each for each in numbered if each not in taken)
