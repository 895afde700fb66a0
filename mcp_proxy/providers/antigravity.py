"""Google's Cloud Code upstream ("Antigravity"): addresses, envelope, headers, sign-in calls, quota.

Knows the facts of protocols/cloudcode.md sections 1, 2 and 6.8. What an error answer means is in
`google_failures.py`; what goes inside the envelope is the gemini dialect's.
"""

import hashlib
import platform
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlencode

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.ids import new_uuid
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    SignIn,
    TokenAnswer,
    UpstreamCall,
)
from mcp_proxy.providers.google_answers import (
    CodeAssist,
    Onboarding,
    read_code_assist,
    read_email,
    read_models,
    read_onboarding,
    read_token,
)
from mcp_proxy.providers.google_failures import read_google_failure
from mcp_proxy.providers.messages_bodies import INTERLEAVED
from mcp_proxy.providers.plain import PlainProvider, get_call, replaced_hosts
from mcp_proxy.strict_json import encode

DAILY: Final = "https://daily-cloudcode-pa.googleapis.com"
PROD: Final = "https://cloudcode-pa.googleapis.com"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
GOOGLE_APIS: Final = "https://www.googleapis.com"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _default_user_agent() -> str:
    machine = platform.machine().lower()
    system = platform.system().lower()
    # A functional version gate: clients below 2.9.0 are refused newer models (1.3).
    return f"antigravity/hub/2.9.1 {system}/{_ARCHITECTURES.get(machine, machine)}"


USER_AGENT: Final = _default_user_agent()

# The smallest body that all hosts take (2.3).
_LOAD_BODY: Final = encode({"metadata": {"ideType": "ANTIGRAVITY"}})


RISK: Final = """\
Google's terms for this service do not foresee other clients. Google has suspended accounts for
using it this way, sometimes for good and without warning. Do not use an account whose loss would
hurt you. The alternative without this risk is an official API key with its own prices."""


class _Envelope(NamedTuple):
    """How one kind of request is labelled (1.4)."""

    request_type: str
    request_id: str | None
    has_session: bool


class Antigravity(PlainProvider):
    """Implements `Provider`; the methods beyond it serve sign-in and project discovery."""

    name = "antigravity"
    sign_in = SignIn.GOOGLE
    risk: str | None = RISK
    envelope: str | None = "response"
    makes_tokens = True

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("gemini",)

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        """Generation and quota: daily first, production as the last resort (1.1)."""
        return replaced_hosts(account, settings) or (DAILY, PROD)

    def project_hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        """loadCodeAssist: production knows accounts that were never provisioned (1.1)."""
        return replaced_hosts(account, settings) or (PROD, DAILY)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        """Nothing is forwarded as it is: bodies go into an envelope, and schemas are narrowed."""
        return None

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        """Always the SSE path: `generateContent` leaves thinking out (1.2)."""
        if isinstance(body, bytes):
            raise TypeError("Cloud Code takes no body that is forwarded")
        model, account = ask.model, ask.account
        label = _label(body, model)
        envelope: JsonObject = {
            "project": ask.project,
            "model": model.id,
            "userAgent": "antigravity",
            "requestType": label.request_type,
            "requestId": label.request_id,
            "request": body,
        }
        if ask.project is None:
            del envelope["project"]
        if label.request_id is None:
            del envelope["requestId"]
        if label.has_session:
            envelope["request"] = {**body, "sessionId": _session_id(account.id, ask.identity)}
        headers = _headers(ask.token, ask.settings)
        headers["Accept"] = "text/event-stream"
        if model.family is Family.CLAUDE and "thinkingConfig" in body.get("generationConfig", ()):
            headers["anthropic-beta"] = INTERLEAVED
        return UpstreamCall(
            url=f"{ask.host}/v1internal:streamGenerateContent?alt=sse",
            headers=headers,
            body=encode(envelope),
            proxy=account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_google_failure(status, headers, body, now=now)

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        """Raises UpstreamBroke (MISCONFIGURED) when there is nothing to refresh with.

        Google refuses a refresh without the OAuth client that the token was issued to; another
        token endpoint may know its accounts without one, so there it is sent when there is one.
        """
        credential = account.credential
        url = account.token_url or settings.token_url or TOKEN_URL
        client_id = credential.client_id or settings.client_id
        client_secret = credential.client_secret or settings.client_secret
        has_client = client_id is not None and client_secret is not None
        if credential.refresh_token is None or (url == TOKEN_URL and not has_client):
            raise UpstreamBroke(_no_client(account))
        form = {"refresh_token": credential.refresh_token.value, "grant_type": "refresh_token"}
        secrets = [credential.refresh_token]
        if client_id is not None:
            form["client_id"] = client_id
        if client_secret is not None:
            form["client_secret"] = client_secret.value
            secrets.append(client_secret)
        return UpstreamCall(
            url=url,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            proxy=account.proxy,
            secrets=tuple(secrets),
        )

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        return read_token(status, headers, body, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        """With the project the figures are the account's own; without, they are guesses (6.8)."""
        body = encode({"project": project} if project else {})
        call = _post("fetchAvailableModels", body, account, token, host, settings)
        return (Poll(call, read_models),)

    def load_code_assist_call(
        self, account: Account, token: Secret, host: str, settings: ProviderSettings
    ) -> UpstreamCall:
        """Asks for the account's project and tier."""
        return _post("loadCodeAssist", _LOAD_BODY, account, token, host, settings)

    def read_load_code_assist(self, body: bytes) -> CodeAssist:
        """ValueError when the body is something else."""
        return read_code_assist(body)

    def onboard_call(
        self, account: Account, token: Secret, tier: str, host: str, settings: ProviderSettings
    ) -> UpstreamCall:
        """Provisions a project; repeated until `read_onboard` says that it is done.

        `tier` is `CodeAssist.default_tier`. Paid tiers and a top-level project are refused (2.4).
        """
        body = encode({"tierId": tier, "metadata": {"ideType": "ANTIGRAVITY"}})
        return _post("onboardUser", body, account, token, host, settings)

    def read_onboard(self, body: bytes) -> Onboarding:
        """ValueError when the body is something else."""
        return read_onboarding(body)

    def userinfo_call(
        self, account: Account, token: Secret, settings: ProviderSettings
    ) -> UpstreamCall:
        """Asks whose token this is. A replaced base URL serves this path, too."""
        base = (replaced_hosts(account, settings) or (GOOGLE_APIS,))[0]
        headers = {"Authorization": f"Bearer {token.value}"}
        return get_call(f"{base}/oauth2/v1/userinfo?alt=json", headers, account, token)

    def read_userinfo(self, body: bytes) -> str | None:
        """The e-mail address; None when the answer has none."""
        return read_email(body)


def _headers(token: Secret, settings: ProviderSettings) -> dict[str, str]:
    # Never x-goog-user-project (403 when the user's own project lacks the API) nor x-api-key (1.3).
    return {
        "Authorization": f"Bearer {token.value}",
        "Content-Type": "application/json",
        "User-Agent": settings.user_agent or USER_AGENT,
    }


def _post(
    method: str,
    body: bytes,
    account: Account,
    token: Secret,
    host: str,
    settings: ProviderSettings,
) -> UpstreamCall:
    return UpstreamCall(
        url=f"{host}/v1internal:{method}",
        headers=_headers(token, settings),
        body=body,
        proxy=account.proxy,
        secrets=(token,),
    )


def _label(body: JsonObject, model: ModelInfo) -> _Envelope:
    if model.makes_images:
        millis = time.time_ns() // 1_000_000
        return _Envelope("image_gen", f"image_gen/{millis}/{new_uuid()}/12", has_session=False)
    tools = body.get("tools")
    if tools and any("googleSearch" in tool for tool in tools):
        return _Envelope("web_search", None, has_session=False)
    return _Envelope("agent", f"agent-{new_uuid()}", has_session=True)


@lru_cache(maxsize=256)
def _session_id(account_id: str, identity: str) -> str:
    """Key of the upstream's prompt cache: the same for every turn of a conversation (7.6).

    The account is in it so that equal conversations on two accounts cannot be linked.
    """
    digest = hashlib.blake2b(f"{account_id}\0{identity}".encode(), digest_size=8).digest()
    return f"-{int.from_bytes(digest, 'big') & 0x7FFF_FFFF_FFFF_FFFF}"


def _no_client(account: Account) -> Failure:
    missing = "a refresh token" if account.credential.refresh_token is None else "an OAuth client"
    return Failure(
        FailureKind.MISCONFIGURED,
        f"{account.id} has no way to get an access token: {missing} is missing. Set "
        "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET (or client_id and client_secret under "
        "[providers.antigravity] in config.toml), or sign in again: "
        f"mcproxy accounts add --provider antigravity --id {account.id}",
    )


PROVIDER: Final = Antigravity()
