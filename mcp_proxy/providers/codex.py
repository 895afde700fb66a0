"""ChatGPT's Codex back end: the subscription's sign-in, headers and polls (providers.md 7).

What its bodies must and must not have is in `codex_bodies.py`; what its answers say of accounts is
read in `codex_answers.py`, its errors in `codex_failures.py`.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.jwt_claims import claims_of
from mcp_proxy.model import ModelInfo
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
from mcp_proxy.providers.codex_answers import (
    LOGIN_CLAIMS,
    read_models,
    read_token,
    read_usage,
    read_window_headers,
)
from mcp_proxy.providers.codex_bodies import constrained, forwarded
from mcp_proxy.providers.codex_failures import read_codex_failure, read_refresh_failure
from mcp_proxy.providers.loose_json import part, text
from mcp_proxy.providers.plain import (
    PlainProvider,
    adapted,
    bearer_headers,
    encoded,
    get_call,
    json_headers,
    needs_owner,
)
from mcp_proxy.strict_json import encode

TOKEN_URL: Final = "https://auth.openai.com/oauth/token"  # noqa: S105 - an address
CLIENT_ID: Final = "app_EMoamEEZ73f0CkXaXp7hrann"
"""The public client that Codex sign-ins are issued to (7.1)."""

CLIENT_VERSION: Final = "0.169.0"
"""Of the Codex whose models are asked for: newer ones are kept from older clients (7.5)."""

ORIGINATOR: Final = "mcproxy"

RISK: Final = """\
OpenAI's terms offer the Codex of a ChatGPT subscription to OpenAI's own clients. OpenAI may limit
or close accounts that are used with other programs, and answers draw on the limits of your plan. Do
not use an account whose loss would hurt you. The alternative without this risk is an API key, with
its own prices."""

_FORWARDED: Final = re.compile(
    r"x-codex-[a-z-]+|x-openai-internal-codex-[a-z-]+|openai-beta|session[-_]id|thread-id"
)
"""Headers of a Codex client that its requests depend on; who sends them is not among them."""

_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]{1,128}")


class Codex(PlainProvider):
    """Implements `Provider`."""

    name = "codex"
    sign_in = SignIn.CODEX
    has_figures_in_headers = True
    risk = RISK
    relayed = ("x-codex-", "x-models-etag", "x-reasoning-included", "openai-model")
    makes_tokens = True
    base_url = "https://chatgpt.com/backend-api/codex"

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("openai_responses",)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        """Only Codex itself reads answers whose `response.completed` has no output (7.5)."""
        if not ask.client_headers.get("originator", "").lower().startswith("codex"):
            return None
        changed = forwarded(body)
        return None if changed is None else adapted(changed, ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        if not isinstance(body, bytes):
            body = constrained(body)
        return UpstreamCall(
            url=f"{ask.host}/responses",
            headers={
                **_from_client(ask),
                **_headers(ask.account, ask.token, ask.settings),
                "Accept": "text/event-stream",
            },
            body=encoded(body, ask),
            proxy=ask.account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_codex_failure(status, headers, body, now=now)

    def read_headers(
        self, headers: Mapping[str, str], model: ModelInfo, *, now: float
    ) -> tuple[QuotaReading, ...]:
        return read_window_headers(headers, model, now=now)

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        """Each refresh token is good for one such call, which gives the next one (7.3)."""
        credential = account.credential
        if credential.refresh_token is None:
            raise needs_owner(account, "has no ChatGPT sign-in")
        request = {
            "client_id": credential.client_id or settings.client_id or CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": credential.refresh_token.value,
        }
        return UpstreamCall(
            url=account.token_url or settings.token_url or TOKEN_URL,
            headers=json_headers(settings),
            body=encode(request),
            proxy=account.proxy,
            secrets=(credential.refresh_token,),
        )

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        answer = read_token(body, now=now) if status == 200 else None
        return answer or read_refresh_failure(status, headers, body, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        headers = _headers(account, token, settings)
        models = get_call(f"{host}/models?client_version={CLIENT_VERSION}", headers, account, token)
        usage = get_call(_usage_url(host), headers, account, token)
        return Poll(models, read_models), Poll(usage, read_usage, required=False)


def _headers(account: Account, token: Secret, settings: ProviderSettings) -> dict[str, str]:
    claims = part(claims_of(token.value), LOGIN_CLAIMS)
    headers = {**bearer_headers(token, settings), "originator": ORIGINATOR}
    account_id = account.workspace or text(claims.get("chatgpt_account_id"))
    if account_id is not None:
        headers["chatgpt-account-id"] = account_id
    if claims.get("chatgpt_account_is_fedramp") is True:
        headers["X-OpenAI-Fedramp"] = "true"
    return headers


def _from_client(ask: Ask) -> dict[str, str]:
    """What a forwarded request needs of its client's headers, and the key of the prompt cache."""
    chosen = {
        name.lower(): value
        for name, value in ask.client_headers.items()
        if _FORWARDED.fullmatch(name.lower())
    }
    session = ask.conversation.session or ask.conversation.cache_key
    if session and _HEADER_VALUE.fullmatch(session) and "session-id" not in chosen:
        chosen.setdefault("session_id", session)
    return chosen


def _usage_url(host: str) -> str:
    """Beside the place for inference: `/backend-api/codex` -> `/backend-api/wham/usage`."""
    parts = urlsplit(host)
    beside = parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.scheme}://{parts.netloc}{beside}/wham/usage"


PROVIDER: Final = Codex()
