"""Z.AI's GLM models through its Anthropic-compatible endpoint: addresses, bodies, quota.

Its business codes are read in `zai_failures.py` (providers.md 1).
"""

from collections.abc import Mapping
from functools import partial
from operator import is_
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    QuotaReading,
    Reading,
    UpstreamCall,
)
from mcp_proxy.providers.anthropic import read_models
from mcp_proxy.providers.loose_json import fraction, number, object_of, objects, text
from mcp_proxy.providers.messages_bodies import VERSION, Terms, on_terms
from mcp_proxy.providers.plain import PlainProvider, adapted, bearer_headers, encoded, get_call
from mcp_proxy.providers.zai_failures import read_zai_failure

RISK: Final = """\
Z.AI's coding plan may only be used with the tools that Z.AI names. It enforces that with error 1313
("fair use"); after three violations a plan is closed for good. Keys that are paid by use are free
of this. What you do with a plan's key here is at your own risk."""

_QUOTA: Final = "/api/monitor/usage/quota/limit"
_MESSAGES: Final = "/api/anthropic"

_TERMS: Final = Terms(
    fields=frozenset(
        {
            "container",
            "context_management",
            "diagnostics",
            "inference_geo",
            "mcp_servers",
            "service_tier",
            "speed",
            "user_profile_id",
        }
    ),
    server_tools=(
        "bash_",
        "code_execution_",
        "computer_",
        "mcp_toolset",
        "memory_",
        "text_editor_",
        "tool_search_tool_",
        "web_fetch_",
        "web_search_",
    ),
    cache_fields=frozenset({"type", "ttl", "scope"}),
)
"""What belongs to a beta or to Anthropic's servers. Marks for the cache are ignored there."""

_KNOWN_BLOCKS: Final = frozenset(
    {
        "document",
        "image",
        "redacted_thinking",
        "search_result",
        "text",
        "thinking",
        "tool_result",
        "tool_use",
    }
)


class Zai(PlainProvider):
    """Implements `Provider`."""

    name = "zai"
    base_url = "https://api.z.ai/api/anthropic"
    risk = RISK

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("anthropic",)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        return adapted(_taken(body), ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        """Always the classic version and no beta: what a client forwards is not for this place."""
        if not isinstance(body, bytes):
            body = _taken(body)
        return UpstreamCall(
            url=f"{ask.host}/v1/messages",
            headers={**bearer_headers(ask.token, ask.settings), "anthropic-version": VERSION},
            body=encoded(body, ask),
            proxy=ask.account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_zai_failure(status, headers, body, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        headers = bearer_headers(token, settings)
        models = get_call(f"{host}/v1/models", headers, account, token)
        quota = get_call(quota_url(host), headers, account, token)
        return (
            Poll(models, partial(read_models, self.name)),
            Poll(quota, _read_quota, required=False),
        )


def quota_url(host: str) -> str:
    """Beside the endpoint for messages; of another address, at its root."""
    if host.endswith(_MESSAGES):
        return host.removesuffix(_MESSAGES) + _QUOTA
    split = urlsplit(host)
    return f"{split.scheme}://{split.netloc}{_QUOTA}"


# Bodies


def _taken(body: JsonObject) -> JsonObject:
    """The body without what only Anthropic runs; the same object when there is nothing of that."""
    body = on_terms(body, _TERMS)
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    kept = [_known(message) for message in messages]
    return body if all(map(is_, kept, messages)) else {**body, "messages": [m for m in kept if m]}


def _known(message: Any) -> Any:
    """The message with known blocks only; None when it has no other."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    kept = [block for block in content if block.get("type") in _KNOWN_BLOCKS]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


# Quota

_HOURS: Final = 3
_MONTHS: Final = 5
_WEEKS: Final = 6
_WINDOW_NAMES: Final = {_HOURS: "{}h", _MONTHS: "month", _WEEKS: "{}d"}
_DAYS_OF_WEEK: Final = 7

_OF_MODELS: Final = "TOKENS_LIMIT"
"""The other kind, TIME_LIMIT, counts calls of Z.AI's own tools; no model stops when it is up."""


def _read_quota(body: bytes, now: float) -> Reading:
    """A failure comes with status 200 here, too."""
    answer = object_of(body)
    data = answer.get("data")
    if answer.get("success") is False or not isinstance(data, dict):
        raise ValueError(text(answer.get("msg")) or "the answer has no quota")
    limits = [limit for limit in objects(data.get("limits")) if limit.get("type") == _OF_MODELS]
    return Reading(figures=tuple(map(_figure, limits)), plan=text(data.get("level")))


def _figure(limit: JsonObject) -> QuotaReading:
    """`percentage` is what was used, and the only figure that every plan has."""
    used, resets_ms = number(limit.get("percentage")), number(limit.get("nextResetTime"))
    return QuotaReading(
        model=None,
        remaining=None if used is None else fraction(1 - used / 100),
        resets_at=None if resets_ms is None else resets_ms / 1000,
        window=_window(limit),
    )


def _window(limit: JsonObject) -> str:
    unit, length = limit.get("unit"), limit.get("number")
    pattern = _WINDOW_NAMES.get(unit) if isinstance(unit, int) else None
    if pattern is None or not isinstance(length, int):
        return "quota"
    return pattern.format(length * _DAYS_OF_WEEK if unit == _WEEKS else length)


PROVIDER: Final = Zai()
