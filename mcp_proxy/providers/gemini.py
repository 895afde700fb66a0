"""Google's Gemini API with a key: addresses, headers, the list of models (providers.md 4).

Knows no quota figures: the API has none to give, neither an endpoint nor headers. Bodies are fitted
in `gemini_bodies.py`, errors read in `gemini_failures.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, JsonObject, Poll, ProviderSettings, Reading, UpstreamCall
from mcp_proxy.providers.features import applicable
from mcp_proxy.providers.gemini_bodies import fitted
from mcp_proxy.providers.gemini_failures import read_gemini_failure
from mcp_proxy.providers.loose_json import count, rows, text
from mcp_proxy.providers.plain import PlainProvider, encoded, get_call, json_headers

_MOST_MODELS: Final = 1000
"""The largest page that the list of models has; there are about fifty of them."""

_VERSIONED: Final = re.compile(r"/v1(?:beta|alpha)?$")


class Gemini(PlainProvider):
    """Implements `Provider`."""

    name = "gemini"
    base_url = "https://generativelanguage.googleapis.com"

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("gemini",)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        return forwardable_contents(body, ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        return UpstreamCall(
            url=f"{_versioned(ask.host)}/models/{quote(ask.model.id)}:{generate_method(body, ask)}",
            headers=_headers(ask.token, ask.settings),
            body=encoded_contents(body, ask),
            proxy=ask.account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_gemini_failure(status, headers, body, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        url = f"{_versioned(host)}/models?pageSize={_MOST_MODELS}"
        call = get_call(url, _headers(token, settings), account, token)
        return (Poll(call, partial(_read_models, self.name)),)


def forwardable_contents(body: JsonObject, ask: Ask) -> JsonObject | None:
    """A client's own `generateContent` body; None for a stream that is to be a JSON list.

    Upstream streams are SSE, so that what goes by can be read. Clients spell fields in two ways, so
    a body that something has to be taken out of is rendered, too.
    """
    is_listing = ask.stream and ask.conversation.wants_array
    return None if is_listing or applicable(ask.avoided, ask.dialect) else body


def encoded_contents(body: JsonObject | bytes, ask: Ask) -> bytes:
    if isinstance(body, bytes):
        return body
    return encoded(fitted(body, ask.conversation, ask.model), ask)


def generate_method(body: JsonObject | bytes, ask: Ask) -> str:
    """A rendered request is always streamed; one that is forwarded only if the client streams."""
    if isinstance(body, bytes) and not ask.stream:
        return "generateContent"
    return "streamGenerateContent?alt=sse"


def _versioned(host: str) -> str:
    """`v1beta` has the newest models and fields; an address that names a version keeps it."""
    return host if _VERSIONED.search(host) else f"{host}/v1beta"


def _headers(key: Secret, settings: ProviderSettings) -> dict[str, str]:
    # Never `?key=`: queries get logged.
    return {"x-goog-api-key": key.value, **json_headers(settings)}


def _read_models(provider: str, body: bytes, now: float) -> Reading:
    listed = rows(body, "models")
    return Reading(models=tuple(_model(provider, row) for row in listed if _generates(row)))


def _generates(row: JsonObject) -> bool:
    methods = row.get("supportedGenerationMethods")
    is_listed = isinstance(methods, list) and "generateContent" in methods
    return is_listed and text(row.get("name")) is not None


def _model(provider: str, row: JsonObject) -> ModelInfo:
    usual = info(row["name"].removeprefix("models/"), provider)
    return replace(
        usual,
        display_name=text(row.get("displayName")) or usual.display_name,
        context_window=count(row.get("inputTokenLimit")) or usual.context_window,
        max_output=count(row.get("outputTokenLimit")) or usual.max_output,
        thinking=None if row.get("thinking") is False else usual.thinking,
    )


PROVIDER: Final = Gemini()
