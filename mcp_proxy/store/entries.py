"""One `[[accounts]]` entry <-> `Account`. Knows every field; knows nothing of files.

Reading is strict, one field at a time, so that the reason can name the field; what this version
does not know is carried along in `Account.extras`.
"""

import re
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from typing import Any

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.store import checks
from mcp_proxy.store.addresses import checked_proxy, checked_url
from mcp_proxy.store.checks import WrongValue

PROVIDER_NAMES = (
    "antigravity",
    "zai",
    "anthropic",
    "openai",
    "openai-compatible",
    "gemini",
    "vertex",
    "codex",
    "copilot",
)
"""Legal in accounts.toml. Which of them are served is `providers.KNOWN_PROVIDERS`."""

_NEEDS = {
    "antigravity": "refresh_token",
    "zai": "api_key",
    "anthropic": "api_key",
    "openai": "api_key",
    "gemini": "api_key",
    "codex": "refresh_token",
    "copilot": "refresh_token",
}
"""Without it, and without a `source` to borrow a login from, an entry cannot work."""

USUAL_SOURCE = {"vertex": "gcloud"}
"""Whose login is borrowed when the entry has none of its own and does not say: this machine's."""

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")


class WrongEntry(ValueError):
    """The entry cannot be used; `str()` names the field and the reason."""


class NotSignedIn(WrongEntry):
    """Nothing is wrong with the entry but that it has no credential; `account` is the rest."""

    def __init__(self, missing: str, account: Account) -> None:
        super().__init__(f"{missing} is missing")
        self.account = account


def is_account_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def read_entry(entry: object, *, taken: Container[str] = ()) -> Account:
    """The account. WrongEntry names the first field at fault, an id in `taken` included."""
    if not isinstance(entry, dict):
        raise WrongEntry("must be a table")
    for required in ("id", "provider"):
        if required not in entry:
            raise WrongEntry(f"{required} is missing")
    known = {name: _read(name, entry[name]) for name in _FIELDS if name in entry}
    if known["id"] in taken:
        raise WrongEntry("id is used twice; the first entry counts")
    account = _account(known, {key: value for key, value in entry.items() if key not in _FIELDS})
    needed = _NEEDS.get(account.provider)
    if needed and needed not in known and "source" not in known:
        raise NotSignedIn(needed, account)
    return account


def entry_fields(account: Account) -> dict[str, Any]:
    """The entry as it is written; fields that are not set are left out.

    ValueError for an account of the environment: what is in a variable stays out of files.
    """
    if account.transient:
        raise ValueError(f"{account.id} is of this process only and is never written")
    credential = account.credential
    is_address = account.email is None and account.label is not None and "@" in account.label
    fields: dict[str, Any] = {
        "id": account.id,
        "provider": account.provider,
        "email": account.label if is_address else account.email,
        "label": None if is_address else account.label,
        "enabled": account.enabled,
        "added_at": account.added_at,
        "source": credential.source,
        "refresh_token": _revealed(credential.refresh_token),
        "api_key": _revealed(credential.api_key),
        "client_id": credential.client_id,
        "client_secret": _revealed(credential.client_secret),
        "credentials_file": credential.file,
        "workspace": account.workspace,
        "project": account.project,
        "location": account.location,
        "base_url": account.base_url,
        "token_url": account.token_url,
        "soft_limit": account.soft_limit,
        "models": list(account.models) or None,
        "proxy": account.proxy,
        "headers": dict(account.headers) or None,
        **account.extras,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _read(name: str, value: object) -> Any:
    try:
        return _FIELDS[name](value)
    except WrongValue as reason:
        raise WrongEntry(f"{name} {reason}") from reason


def _account(known: Mapping[str, Any], extras: Mapping[str, Any]) -> Account:
    label, email = known.get("label"), known.get("email")
    has_own = "api_key" in known or "refresh_token" in known
    usual_source = None if has_own else USUAL_SOURCE.get(known["provider"])
    return Account(
        id=known["id"],
        provider=known["provider"],
        credential=Credential(
            refresh_token=known.get("refresh_token"),
            api_key=known.get("api_key"),
            client_id=known.get("client_id"),
            client_secret=known.get("client_secret"),
            source=known.get("source", usual_source),
            file=known.get("credentials_file"),
        ),
        label=label or email,
        email=(email or None) if label else None,
        enabled=known.get("enabled", True),
        added_at=known.get("added_at"),
        project=known.get("project"),
        base_url=known.get("base_url"),
        token_url=known.get("token_url"),
        soft_limit=known.get("soft_limit"),
        models=known.get("models", ()),
        proxy=known.get("proxy"),
        location=known.get("location"),
        workspace=known.get("workspace"),
        headers=known.get("headers", {}),
        extras=extras,
    )


def _revealed(secret: Secret | None) -> str | None:
    return secret.value if secret else None


def _account_id(value: object) -> str:
    if not is_account_id(checks.text(value)):
        raise WrongValue("must be made of a-z 0-9 . _ - and begin with a letter or digit")
    return checks.text(value)


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise WrongValue("must be a date with a time, like 2026-11-21T10:00:00Z")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "id": _account_id,
    "provider": checks.one_of(*PROVIDER_NAMES),
    "email": checks.text,
    "label": checks.text,
    "enabled": checks.switch,
    "added_at": _time,
    "source": checks.token,
    "refresh_token": checks.secret,
    "api_key": checks.secret,
    "client_id": checks.token,
    "client_secret": checks.secret,
    "credentials_file": checks.filled_text,
    "workspace": checks.token,
    "project": checks.token,
    "location": checks.host_label,
    "base_url": checked_url,
    "token_url": checked_url,
    "soft_limit": checks.fraction,
    "models": checks.list_of(checks.filled_text),
    "proxy": checked_proxy,
    "headers": checks.headers,
}

FIELD_NAMES = frozenset(_FIELDS)
