"""Any server with OpenAI's Chat Completions: OpenRouter, DeepSeek, Ollama, vLLM, Groq and so on.

Knows the account's base URL, a key that may be missing, and headers of its owner's choice. What a
server does differently is either tolerated (the dialect) or learned from its refusals
(`openai_refusals.py`), never looked up by its name.
"""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.account import Account, Secret
from mcp_proxy.model import ModelInfo
from mcp_proxy.providers import Poll, ProviderSettings, SignIn
from mcp_proxy.providers.compatible_models import read_models
from mcp_proxy.providers.openai import CHAT, OpenAi
from mcp_proxy.providers.plain import USER_AGENT

OLLAMA: Final = "http://127.0.0.1:11434/v1"
"""Where an account without an address is looked for: the usual server on one's own machine."""

_SHORTEST_SECRET: Final = 8
"""Characters. A shorter header value is a name or a flag, and would blot out words of messages."""


class OpenAiCompatible(OpenAi):
    """Implements `Provider`."""

    name = "openai-compatible"
    sign_in = SignIn.OPTIONAL_KEY
    base_url = OLLAMA
    relayed = ("x-ratelimit-",)

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return model.dialects or (CHAT,)

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        """As they are, without `/v1` put in (3); of a whole endpoint's address the base."""
        return tuple(
            host.removesuffix("/chat/completions") for host in super().hosts(account, settings)
        )

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        """Servers without a list of models work, if the account names its models itself."""
        call = self.models_call(account, token, host, settings)
        return (Poll(call, read_models, required=not account.models),)

    def headers(
        self, account: Account, token: Secret, settings: ProviderSettings
    ) -> dict[str, str]:
        headers = {"User-Agent": settings.user_agent or USER_AGENT}
        if token.value:
            headers["Authorization"] = f"Bearer {token.value}"
        return _overlaid(headers, account.headers)

    def secrets(self, account: Account, token: Secret) -> tuple[Secret, ...]:
        values = (token.value, *account.headers.values())
        return tuple(Secret(value) for value in values if len(value) >= _SHORTEST_SECRET)


def _overlaid(headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The owner's headers over the usual ones, whose names they may spell in another case."""
    taken = {name.lower() for name in own}
    return {**{k: v for k, v in headers.items() if k.lower() not in taken}, **own}


PROVIDER: Final = OpenAiCompatible()
