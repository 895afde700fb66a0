"""The OpenAI API with a key: addresses, headers, dialects, the list of models (providers.md 2).

What an error means is in `openai_failures.py`. There is no quota endpoint; the headers of answers
tell what is left of the rate limits.
"""

import re
from collections.abc import Mapping
from typing import Final

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    QuotaReading,
    Reading,
    UpstreamCall,
)
from mcp_proxy.providers.loose_json import rows, text
from mcp_proxy.providers.openai_failures import read_openai_failure
from mcp_proxy.providers.openai_headers import read_rate_headers
from mcp_proxy.providers.plain import USER_AGENT, PlainProvider, adapted, encoded, get_call

CHAT: Final = "openai_chat"
RESPONSES: Final = "openai_responses"

IMAGES: Final = "openai_images"

_PATHS: Final = {
    CHAT: "/chat/completions",
    RESPONSES: "/responses",
    IMAGES: "/images/generations",
}

_FORWARDED: Final = ("openai-beta", "x-client-request-id")
"""Headers of a client that mean something to the API; the rest is between it and this program."""

_OTHER_KINDS: Final = re.compile(
    r"embedding|whisper|\btts\b|transcribe|realtime|audio|moderation|dall-e|sora|davinci|babbage"
    r"|instruct",
)
"""What the list has beside models that answer conversations; it does not say which are which."""


class OpenAi(PlainProvider):
    """Implements `Provider`."""

    name = "openai"
    has_figures_in_headers = True
    base_url = "https://api.openai.com/v1"
    relayed: tuple[str, ...] = ("openai-", "x-ratelimit-")

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        """Responses keeps the reasoning of models that reason from turn to turn; Chat cannot."""
        if model.dialects:
            return model.dialects
        if model.makes_images:
            return (IMAGES,)
        reasons = model.thinking is not None
        return (RESPONSES, CHAT) if reasons else (CHAT, RESPONSES)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        # A client that wants a stream gets one made of the whole answer where there is no other.
        return None if ask.stream and "stream" in ask.avoided else adapted(body, ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        headers = self.headers(ask.account, ask.token, ask.settings)
        headers["Content-Type"] = "application/json"
        headers["Accept"] = "text/event-stream" if ask.stream else "application/json"
        for name in _FORWARDED:
            if value := ask.client_headers.get(name):
                headers[name] = value
        return UpstreamCall(
            url=ask.host + _PATHS[ask.dialect],
            headers=headers,
            body=encoded(body, ask),
            proxy=ask.account.proxy,
            secrets=self.secrets(ask.account, ask.token),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_openai_failure(status, headers, body, now=now)

    def read_headers(
        self, headers: Mapping[str, str], model: ModelInfo, *, now: float
    ) -> tuple[QuotaReading, ...]:
        return read_rate_headers(headers, model, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        return (Poll(self.models_call(account, token, host, settings), _read_models),)

    def models_call(
        self, account: Account, token: Secret, host: str, settings: ProviderSettings
    ) -> UpstreamCall:
        headers = self.headers(account, token, settings)
        return get_call(f"{host}/models", headers, account, *self.secrets(account, token))

    def headers(
        self, account: Account, token: Secret, settings: ProviderSettings
    ) -> dict[str, str]:
        """What every call carries: who asks, for which organization and project."""
        headers = {
            "Authorization": f"Bearer {token.value}",
            "User-Agent": settings.user_agent or USER_AGENT,
        }
        if account.workspace:
            headers["OpenAI-Organization"] = account.workspace
        if account.project:
            headers["OpenAI-Project"] = account.project
        return headers

    def secrets(self, account: Account, token: Secret) -> tuple[Secret, ...]:
        """What of the headers must not be told."""
        return (token,)


def _read_models(body: bytes, now: float) -> Reading:
    ids = dict.fromkeys(found for row in rows(body, "data") if (found := text(row.get("id"))))
    return Reading(
        models=tuple(info(found, OpenAi.name) for found in ids if not _OTHER_KINDS.search(found))
    )


PROVIDER: Final = OpenAi()
