"""What places with a key and no envelope have in common; each overrides where it differs."""

from collections.abc import Mapping

from mcp_proxy import __version__
from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import catalogue
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    QuotaReading,
    SignIn,
    TokenAnswer,
    UpstreamCall,
)
from mcp_proxy.providers.features import without
from mcp_proxy.strict_json import encode

USER_AGENT = f"mcproxy/{__version__}"


class PlainProvider:
    """A base for `Provider`s. Subclasses say who they are and read their own failures."""

    name: str
    sign_in = SignIn.API_KEY
    risk: str | None = None
    envelope: str | None = None
    relayed: tuple[str, ...] = ()
    makes_tokens = False
    has_figures_in_headers = False
    base_url: str = ""

    def models(self) -> tuple[ModelInfo, ...]:
        return catalogue(self.name)

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        return replaced_hosts(account, settings) or (self.base_url,)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        return adapted(body, ask)

    def read_headers(
        self, headers: Mapping[str, str], model: ModelInfo, *, now: float
    ) -> tuple[QuotaReading, ...]:
        return ()

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        raise needs_owner(account, "has no API key", " --api-key -")

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        return Failure(FailureKind.MISCONFIGURED, f"{self.name} has no token endpoint")

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        return ()


def adapted(body: JsonObject, ask: Ask) -> JsonObject:
    """The body without what the place has refused for its model."""
    return without(body, ask.avoided, ask.dialect)


def encoded(body: JsonObject | bytes, ask: Ask) -> bytes:
    """The body as it is sent; one that is forwarded has been adapted before."""
    return body if isinstance(body, bytes) else encode(adapted(body, ask))


def replaced_hosts(account: Account, settings: ProviderSettings) -> tuple[str, ...]:
    """The addresses that stand for the provider's own; () where none do."""
    if account.base_url:
        return (account.base_url.rstrip("/"),)
    return tuple(url.rstrip("/") for url in settings.base_urls)


def json_headers(settings: ProviderSettings) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": settings.user_agent or USER_AGENT,
    }


def bearer_headers(token: Secret, settings: ProviderSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}", **json_headers(settings)}


def get_call(
    url: str, headers: Mapping[str, str], account: Account, *secrets: Secret
) -> UpstreamCall:
    """A question that has no body."""
    return UpstreamCall(
        url=url, headers=headers, body=b"", method="GET", proxy=account.proxy, secrets=secrets
    )


def needs_owner(account: Account, what: str, options: str = "") -> UpstreamBroke:
    """A call that cannot be made before the account's owner has run a command."""
    command = f"mcproxy accounts add --provider {account.provider} --id {account.id}{options}"
    detail = f"{account.id} {what}. Run: {command}"
    return UpstreamBroke(Failure(FailureKind.MISCONFIGURED, detail))
