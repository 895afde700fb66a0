"""Writing down an account that has just signed in: which entry it is, and what of it changes."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import click

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import AccountStore, Loaded


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A credential that has just worked."""

    credential: Credential
    access_token: Secret
    email: str | None = None
    expires_in: float | None = None


class Kept(NamedTuple):
    """The account as it is on the disk now."""

    account: Account
    is_new: bool


def keep(
    store: AccountStore,
    loaded: Loaded,
    draft: Account,
    signed_in: SignedIn,
    *,
    account_id: str | None,
    given: Mapping[str, str | None],
) -> Kept:
    """Write the account down: in place when it is there already, else as a new one.

    `account_id` is the one that was asked for; `given` are other fields that were.
    """
    existing = account_of(loaded, account_id)
    if existing is None and account_id is None:
        existing = _by_email(loaded, draft, signed_in)
    if existing is None:
        account = replace(
            draft,
            id=account_id or _free_id(loaded, signed_in.email or draft.provider),
            credential=signed_in.credential,
            label=signed_in.email,
            added_at=datetime.now(UTC).replace(microsecond=0),
        )
        store.add(account)
        return Kept(account, is_new=True)
    _same_person(existing, signed_in)
    store.update_fields(existing.id, _changed_fields(existing, signed_in, given))
    label = signed_in.email or existing.label
    account = replace(existing, credential=signed_in.credential, label=label)
    return Kept(
        replace(
            account,
            base_url=draft.base_url or existing.base_url,
            project=draft.project or existing.project,
        ),
        is_new=False,
    )


def _changed_fields(
    existing: Account, signed_in: SignedIn, given: Mapping[str, str | None]
) -> dict[str, Any]:
    """Only what a new sign-in changes; the rest of the entry is its owner's."""
    credential = signed_in.credential
    fields: dict[str, Any] = {
        "refresh_token": credential.refresh_token.value if credential.refresh_token else None,
        "client_id": credential.client_id,
        "client_secret": credential.client_secret.value if credential.client_secret else None,
        "source": credential.source,
    }
    if signed_in.email and _is_email(existing.label):
        fields["email"] = signed_in.email
    return {**fields, **{name: value for name, value in given.items() if value is not None}}


def _same_person(existing: Account, signed_in: SignedIn) -> None:
    """Signing in to the wrong one of several Google accounts is easily done."""
    email = signed_in.email
    if not email or not existing.label or "@" not in existing.label or email == existing.label:
        return
    story = f"{existing.id} belongs to {existing.label}, but {email} has signed in"
    if not sys.stdin.isatty():
        raise UserError(f"{story}; nothing was changed. Use another --id for {email}.")
    if not click.confirm(f"{story}. Replace it?", default=False, err=True):
        raise UserError("nothing was changed")


def _is_email(label: str | None) -> bool:
    """Whether an e-mail address may stand there; a label that somebody chose stays."""
    return label is None or "@" in label


def account_of(loaded: Loaded, account_id: str | None) -> Account | None:
    return next((each for each in loaded.accounts if each.id == account_id), None)


def _by_email(loaded: Loaded, draft: Account, signed_in: SignedIn) -> Account | None:
    if signed_in.email is None:
        return None
    same = (
        each
        for each in loaded.accounts
        if each.provider == draft.provider and each.label == signed_in.email
    )
    return next(same, None)


def _free_id(loaded: Loaded, name: str) -> str:
    """`jane.doe@example.org` -> `jane.doe`, or `jane.doe-2` when that is taken."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.partition("@")[0].lower()).lstrip("._-") or "account"
    taken = {each.id for each in loaded.accounts} | {each.id for each in loaded.problems}
    numbered = (f"{slug}-{number}" for number in count(2))
    return slug if slug not in taken else next(each for each in numbered if each not in taken)
