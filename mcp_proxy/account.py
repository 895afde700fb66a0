"""Accounts and candidates as plain values. Knows nothing of files, networks or policy."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from mcp_proxy.values import value


@value
class Secret:
    """A token or key. It never prints itself: not in repr, str, format, or a traceback."""

    value: str = field(repr=False)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, _spec: str) -> str:
        return "…"


@value
class Credential:
    """What signs an account in. Which fields are set depends on the provider."""

    refresh_token: Secret | None = None
    api_key: Secret | None = None
    client_id: str | None = None
    """OAuth client the refresh token was issued to; a token is bound to its client."""
    client_secret: Secret | None = None
    source: str | None = None
    """The program whose login is borrowed, and read again whenever it is needed; see
    `signin.borrowed`. Nothing is ever written there."""
    file: str | None = None
    """A credentials file of that program or of Google's; None: where it usually is."""

    @property
    def is_borrowed(self) -> bool:
        """Whether it is read from elsewhere each time it is needed."""
        return self.source is not None or self.file is not None


@value
class Account:
    """One `[[accounts]]` entry of accounts.toml."""

    id: str
    provider: str
    credential: Credential = Credential()
    label: str | None = None
    """E-mail address or free text, for people."""
    email: str | None = None
    """The address, where the label is another name than that."""
    enabled: bool = True
    added_at: datetime | None = None
    project: str | None = None
    """Taken as it is when the file has it; else discovered and kept in the state store."""
    base_url: str | None = None
    token_url: str | None = None
    soft_limit: float | None = None
    models: tuple[str, ...] = ()
    """Allow-list; empty means every model the provider offers this account."""
    proxy: str | None = None
    location: str | None = None
    """Vertex AI's region."""
    workspace: str | None = None
    """ChatGPT's account id, OpenAI's organization: which of the login's accounts is meant."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Extra headers that an OpenAI-compatible server wants; may hold keys."""
    transient: bool = False
    """From the environment, for the length of the process; never written to disk."""
    extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Keys of the entry that this version does not know; written back unchanged."""

    def renewed(self, refresh_token: Secret) -> "Account":
        """With the token that its provider has given in place of the one before it."""
        return replace(self, credential=replace(self.credential, refresh_token=refresh_token))


@value
class Candidate:
    """One way to answer a request: an account and the model to ask it for."""

    account: Account
    model: str
    """The id as this account's upstream spells it."""
    fallback_from: str | None = None
    """The model this one stands in for, when it belongs to another family."""
    stage: str = ""
    """The id by which all accounts that serve the model go, where that is another spelling."""

    @property
    def key(self) -> str:
        """The same for every account that is asked for the same model."""
        return self.stage or self.model
