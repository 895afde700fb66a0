"""Access tokens across restarts and processes, sealed with the sign-in they were got with.

The key is derived from the account's refresh token, which lives in accounts.toml: the state
directory alone gives nothing away, and signing in anew makes old tokens unreadable by itself.
"""

import base64
import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.store.state import JsonObject, StateReader, StateStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_TABLE = "tokens"
_NONCE_BYTES = 12

_ROTATED = " rotated"
"""After an account's id, which has no space, in the key of a refresh token."""


class CachedToken(NamedTuple):
    """An access token, and how long and where it is good."""

    token: Secret
    expires_at: float
    """Unix time."""
    host: str | None = None


class TokenCache:
    """Tokens by account. Accounts without a refresh token have nothing to be kept with."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def get(self, account: Account) -> CachedToken | None:
        """The token, expired or not."""
        row = self._state.get(_TABLE, account.id)
        if row is None or account.credential.refresh_token is None:
            return None
        try:
            token = open_token(account, row["sealed"])
            return CachedToken(token, float(row["expires_at"]), row.get("host"))
        except (KeyError, TypeError, ValueError):
            return None  # another sign-in's, or not ours: as good as none

    def put(self, account: Account, got: CachedToken) -> None:
        """On the disk when this returns: a process waiting for the refresh lock reads it there."""
        if account.credential.refresh_token is None:
            return
        row = {"sealed": seal_token(account, got.token), "expires_at": got.expires_at}
        if got.host is not None:
            row["host"] = got.host
        self._state.put(_TABLE, account.id, row)
        self._state.flush()

    def put_rotation(self, in_file: Account, refresh_token: Secret) -> None:
        """Keeps a refresh token that accounts.toml cannot take; it is on the disk after `flush`.

        `in_file`: the account as accounts.toml has it, with whose spent token it is sealed.
        """
        row = {"sealed": seal_token(in_file, refresh_token)}
        self._state.put(_TABLE, in_file.id + _ROTATED, row)

    def flush(self) -> bool:
        """Waits until what is kept is on the disk. False when it cannot be put there."""
        return self._state.flush()

    def rotations(self) -> frozenset[str]:
        """The ids of accounts of which a refresh token is kept here."""
        keys = self._state.items(_TABLE)
        return frozenset(key.removesuffix(_ROTATED) for key in keys if key.endswith(_ROTATED))

    def rotation(self, account: Account) -> Secret | None:
        """The token that replaces the account's; None when its owner has signed in anew since."""
        return _rotation(account, self._state.get(_TABLE, account.id + _ROTATED))

    def drop_rotation(self, account_id: str) -> None:
        self._state.delete(_TABLE, account_id + _ROTATED)

    def drop(self, account: Account) -> None:
        self._state.delete(_TABLE, account.id)


def with_rotations(state: StateReader, accounts: Iterable[Account]) -> tuple[Account, ...]:
    """Accounts of accounts.toml, with the refresh tokens that could not be written there."""
    rows = state.items(_TABLE)
    tokens = ((each, _rotation(each, rows.get(each.id + _ROTATED))) for each in accounts)
    return tuple(each if token is None else each.renewed(token) for each, token in tokens)


def _rotation(account: Account, row: JsonObject | None) -> Secret | None:
    try:
        return None if row is None else open_token(account, row["sealed"])
    except (KeyError, TypeError, ValueError):
        return None


def seal_token(account: Account, token: Secret) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(account).encrypt(nonce, token.value.encode(), account.id.encode())
    return base64.b64encode(nonce + sealed).decode()


def open_token(account: Account, sealed: str) -> Secret:
    """ValueError when it was sealed for another account or sign-in, or is not a sealed token."""
    from cryptography.exceptions import InvalidTag

    content = base64.b64decode(sealed, validate=True)
    nonce, body = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
    try:
        return Secret(_cipher(account).decrypt(nonce, body, account.id.encode()).decode())
    except InvalidTag as cause:
        raise ValueError("sealed with another sign-in") from cause


def _cipher(account: Account) -> "AESGCM":
    # Imported when first needed: the quick verbs of the command line never come here.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    refresh_token = account.credential.refresh_token
    if refresh_token is None:
        raise ValueError("no refresh token to seal with")
    material = b"mcproxy access token\0" + refresh_token.value.encode()
    return AESGCM(hashlib.sha256(material).digest())
