"""Places that serve models: addresses, envelopes, failures, quota. Describes calls, makes none.

`PROVIDERS` is the list; a new provider is a module here and a line there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from mcp_proxy.account import Account, Secret
from mcp_proxy.conversation import Conversation
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo

JsonObject = dict[str, Any]


class SignIn(StrEnum):
    """How an account of a provider is signed in. The code for each is in `signin/`."""

    GOOGLE = "google"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`[providers.NAME]` of config.toml with the environment laid over it."""

    base_urls: tuple[str, ...] = ()
    """Replace the provider's own addresses entirely; empty: use those."""
    auth_url: str | None = None
    """The page on which people sign in."""
    token_url: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One HTTP request, ready to send."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    """Not printed, nor is the body: tokens and refresh tokens are in them."""
    body: bytes = field(repr=False)
    method: str = "POST"
    proxy: str | None = field(default=None, repr=False)
    secrets: tuple[Secret, ...] = ()
    """What is secret in headers and body, to be kept out of what is told of the answer."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token endpoint gave. `refresh_token` is set when it rotated."""

    access_token: Secret
    expires_in: float
    refresh_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class QuotaReading:
    """One model's figure in a quota answer."""

    model: str
    remaining: float | None
    """Fraction 0-1; None: the provider did not say."""
    resets_at: float | None
    """Unix time."""
    display_name: str | None = None
    max_output: int | None = None
    context_window: int | None = None


class Provider(Protocol):
    """Everything the engine must know about a place. All methods are pure."""

    name: str
    sign_in: SignIn
    restricts_clients: bool
    """Terms of use do not foresee other clients: the user is told at `accounts add`."""
    sends_thinking_signatures: bool
    envelope: str | None
    """Key of a stream record under which the dialect's own record is; None: there is none."""

    def dialect_for(self, model: str) -> str:
        """Name of the upstream dialect that this model is spoken to in."""
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """The static catalogue, used until an account's own list has been read."""
        ...

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        """Base URLs in the order in which they are tried."""
        ...

    def build_call(
        self,
        body: JsonObject,
        *,
        account: Account,
        token: Secret,
        project: str | None,
        model: ModelInfo,
        conversation: Conversation,
        host: str,
        settings: ProviderSettings,
    ) -> UpstreamCall:
        """The streaming generation call for a rendered body."""
        ...

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        """What an answer other than 2xx (or an error object inside a stream) means."""
        ...

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        """The call that trades the refresh token for an access token."""
        ...

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        """AUTH_REVOKED only when the provider says that the grant is gone."""
        ...

    def quota_call(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> UpstreamCall: ...

    def read_quota(self, body: bytes, *, now: float) -> list[QuotaReading]:
        """Figures and the account's own model list. ValueError when the body is something else."""
        ...


_MODULES = {
    "antigravity": "mcp_proxy.providers.antigravity",
}
"""Each module has `PROVIDER`. Named, not imported: the CLI's quick verbs load none of them."""

KNOWN_PROVIDERS = tuple(_MODULES)


@cache
def provider(name: str) -> Provider:
    """The provider of that name. KeyError when there is none."""
    return cast(Provider, import_module(_MODULES[name]).PROVIDER)
