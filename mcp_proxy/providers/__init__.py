"""Places that serve models: addresses, envelopes, failures, quota. Describes calls, makes none.

`_MODULES` is the list; a new provider is a module here and a line there. `plain.py` has what
places with a key and one dialect have in common.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.values import value

if TYPE_CHECKING:
    # Verbs that need a provider's settings only would wait for all the parts of a conversation.
    from mcp_proxy.conversation import Conversation

JsonObject = dict[str, Any]


class SignIn(StrEnum):
    """How an account of a provider is signed in. The code for each is in `signin/`."""

    GOOGLE = "google"
    API_KEY = "api_key"
    OPTIONAL_KEY = "optional_key"
    CODEX = "codex"
    GITHUB = "github"
    ADC = "adc"  # Google's application default credentials, or a service-account file


@value
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


@value
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


@value
class TokenAnswer:
    """What a token endpoint gave. `refresh_token` is set when it rotated."""

    access_token: Secret
    expires_in: float
    refresh_token: Secret | None = None
    host: str | None = None
    """Base URL that the token is good for, when the endpoint says so (Copilot)."""


@value
class QuotaReading:
    """One figure: how much is left of what, until when."""

    model: str | None
    """The model that it is of; None: of `window`, which all models of the account share, or those
    of `bucket`."""
    remaining: float | None
    """Fraction 0-1; None: the provider did not say."""
    resets_at: float | None
    """Unix time."""
    window: str | None = None
    """Name of the span a shared figure is counted over, for people: "5h", "7d", "month"."""
    bucket: str | None = None
    """With `window`: only models of this bucket (`ModelInfo.bucket`) draw on it."""


@value
class Reading:
    """What one poll said."""

    models: tuple[ModelInfo, ...] | None = None
    """The account's own list; None: this poll does not tell."""
    figures: tuple[QuotaReading, ...] = ()
    plan: str | None = None
    """Name of the subscription, for people."""


@value
class Poll:
    """A question about an account: its models, its quota, or both."""

    call: UpstreamCall
    read: Callable[[bytes, float], Reading]
    """(body of a 2xx, Unix time now) -> what it says. ValueError when it is something else."""
    required: bool = True
    """False: the account works without the answer (an endpoint that many servers lack)."""


@value
class Ask:
    """Everything beside the body that a generation call is made of."""

    account: Account
    token: Secret
    """Secret("") where none is needed."""
    model: ModelInfo
    dialect: str
    """The upstream dialect that the body is in."""
    conversation: "Conversation"
    identity: str
    """The conversation's own, as it was when it came: caches are keyed by it."""
    host: str
    settings: ProviderSettings
    project: str | None = None
    stream: bool = True
    client_headers: Mapping[str, str] = field(default_factory=dict)
    """The client's headers when its body is forwarded; case-insensitive, to be picked from by
    allow-list. Empty when the body was rendered."""
    avoided: frozenset[str] = frozenset()
    """Features that this place refused before for this model; names of `providers.features`."""


class Provider(Protocol):
    """Everything the engine must know about a place. All methods are pure."""

    name: str
    sign_in: SignIn
    risk: str | None
    """What the user has to agree to at `accounts add`: terms that restrict other clients."""
    envelope: str | None
    """Key of a stream record under which the dialect's own record is; None: there is none."""
    relayed: tuple[str, ...]
    """Lower-case prefixes of answer headers that go on to a client of the same dialect."""
    makes_tokens: bool
    """Whether `refresh_call` gives access tokens; False: `credential.api_key` is sent as it is."""
    has_figures_in_headers: bool
    """Whether `read_headers` may find any."""

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        """Dialects in which this model can be spoken to, the preferred one first.

        A client's own is taken when it is among them.
        """
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """The static catalogue, used until an account's own list has been read."""
        ...

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        """Base URLs in the order in which they are tried."""
        ...

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        """A client's own body as this place may see it; its `model` is replaced by the caller.

        The same object when nothing must go: then the client's bytes are sent. None: it cannot be
        forwarded and has to be rendered.
        """
        ...

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        """The generation call for a rendered body, or for one that is forwarded (bytes)."""
        ...

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        """What an answer other than 2xx means; with 200, an error object inside a stream."""
        ...

    def read_headers(
        self, headers: Mapping[str, str], model: ModelInfo, *, now: float
    ) -> tuple[QuotaReading, ...]:
        """Figures in the headers of an answer, of whatever status."""
        ...

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        """The call that trades the stored credential for an access token.

        Raises UpstreamBroke (MISCONFIGURED) when there is nothing to trade. Only for
        `makes_tokens`.
        """
        ...

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        """AUTH_REVOKED only when the provider says that the grant is gone."""
        ...

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        """What to ask about an account's models and quota; the required ones also verify it."""
        ...


_MODULES = {
    "antigravity": "mcp_proxy.providers.antigravity",
    "zai": "mcp_proxy.providers.zai",
    "anthropic": "mcp_proxy.providers.anthropic",
    "openai": "mcp_proxy.providers.openai",
    "openai-compatible": "mcp_proxy.providers.openai_compatible",
    "gemini": "mcp_proxy.providers.gemini",
    "vertex": "mcp_proxy.providers.vertex",
    "codex": "mcp_proxy.providers.codex",
    "copilot": "mcp_proxy.providers.copilot",
}
"""Each module has `PROVIDER`. Named, not imported: the CLI's quick verbs load none of them."""

KNOWN_PROVIDERS = tuple(_MODULES)


@cache
def provider(name: str) -> Provider:
    """The provider of that name. KeyError when there is none."""
    return cast(Provider, import_module(_MODULES[name]).PROVIDER)
