"""Readers of Copilot's answers about an account: its token, its models, what is left of its month.

Bytes in, values out; nothing here knows addresses or headers (providers.md 8.2, 8.6, 8.7).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from mcp_proxy.account import Secret
from mcp_proxy.loopback import is_loopback
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.catalogues import PREMIUM
from mcp_proxy.policy.durations import iso_moment
from mcp_proxy.policy.models import info
from mcp_proxy.providers import JsonObject, QuotaReading, Reading, TokenAnswer
from mcp_proxy.providers.copilot_failures import DIALECT_OF_PATH
from mcp_proxy.providers.loose_json import (
    count,
    fraction,
    number,
    object_of,
    object_or_empty,
    part,
    rows,
    text,
    token_text,
)

MONTH: Final = "month"

_MARGIN: Final = 60.0
"""Seconds for which a token lives on after GitHub's own clients renew it."""


def read_exchange(body: bytes, now: float) -> TokenAnswer | None:
    """The token and the host that it is good for; None when there is none in it."""
    answer = object_or_empty(body)
    token = token_text(answer.get("token"))
    if token is None:
        return None
    spans = [span for span in _lifetimes(answer, now) if span > 0]
    return TokenAnswer(
        access_token=Secret(token),
        expires_in=min(spans, default=_MARGIN),
        host=_api_host(answer.get("endpoints")),
    )


def _lifetimes(answer: JsonObject, now: float) -> Iterator[float]:
    """By the server's clock, and by a span that needs none."""
    if (moment := number(answer.get("expires_at"))) is not None:
        yield moment - now
    if (span := number(answer.get("refresh_in"))) is not None:
        yield span + _MARGIN


def _api_host(endpoints: object) -> str | None:
    """Never over plain http, except to this machine."""
    url = endpoints.get("api") if isinstance(endpoints, dict) else None
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    )
    return url.rstrip("/") if is_safe and parts.hostname else None


# Models


def read_models(body: bytes, now: float) -> Reading:
    return Reading(models=tuple(_model(row) for row in rows(body, "data") if _is_served(row)))


def _is_served(row: JsonObject) -> bool:
    """Whether it chats and its owner has accepted its terms; others answer 400 or 403."""
    if text(row.get("id")) is None:
        return False
    policy = part(row, "policy").get("state", "enabled")
    return policy == "enabled" and part(row, "capabilities").get("type") == "chat"


def _model(row: JsonObject) -> ModelInfo:
    capabilities = part(row, "capabilities")
    limits, supports = part(capabilities, "limits"), part(capabilities, "supports")
    usual = info(row["id"], "copilot")
    return replace(
        usual,
        display_name=text(row.get("name")) or usual.display_name,
        context_window=count(limits.get("max_prompt_tokens"))
        or count(limits.get("max_context_window_tokens"))
        or usual.context_window,
        max_output=count(limits.get("max_output_tokens")) or usual.max_output,
        thinking=_thinking(supports, usual.thinking),
        takes_images=supports.get("vision") is True,
        bucket=PREMIUM if _costs(part(row, "billing")) else None,
        dialects=_dialects(row.get("supported_endpoints")),
    )


def _dialects(endpoints: object) -> tuple[str, ...]:
    named = endpoints if isinstance(endpoints, list) else []
    return tuple(name for path, name in DIALECT_OF_PATH.items() if path in named) or (
        "openai_chat",
    )


def _costs(billing: JsonObject) -> bool:
    multiplier = number(billing.get("multiplier"))
    return billing.get("is_premium") is True if multiplier is None else multiplier > 0


def _thinking(supports: JsonObject, usual: ThinkingSpec | None) -> ThinkingSpec | None:
    """As the list says where it says anything; budgets and efforts are told apart there."""
    efforts = supports.get("reasoning_effort")
    levels = tuple(e for e in efforts if isinstance(e, str)) if isinstance(efforts, list) else ()
    smallest = count(supports.get("min_thinking_budget"))
    largest = count(supports.get("max_thinking_budget"))
    is_adaptive = supports.get("adaptive_thinking") is True
    budgets = (smallest or 1024, largest) if largest is not None and not is_adaptive else None
    if not levels and budgets is None:
        return usual
    base = usual or ThinkingSpec()
    default = None if budgets is None else min(base.default_budget or budgets[1], budgets[1])
    return replace(base, levels=levels, budgets=budgets, default_budget=default)


# Quota


def read_quota(body: bytes, now: float) -> Reading:
    answer = object_of(body)
    return Reading(figures=tuple(_figures(answer)), plan=text(answer.get("copilot_plan")))


def _figures(answer: JsonObject) -> Iterator[QuotaReading]:
    resets_at = _first_moment(answer, "quota_reset_date_utc", "quota_reset_date")
    for name, bucket in (("premium_interactions", PREMIUM), ("chat", None)):
        snapshot = part(part(answer, "quota_snapshots"), name)
        if snapshot and snapshot.get("unlimited") is not True:
            yield QuotaReading(None, _left(snapshot), resets_at, window=MONTH, bucket=bucket)
    left = number(part(answer, "limited_user_quotas").get("chat"))
    given = number(part(answer, "monthly_quotas").get("chat"))
    if left is not None and given:
        # The free plan has one figure for all chat.
        reset = _first_moment(answer, "limited_user_reset_date")
        yield QuotaReading(None, fraction(left / given), reset, window=MONTH)


def _left(snapshot: JsonObject) -> float | None:
    """None as well when its owner pays for what is above the quota: then nothing runs out."""
    percent = number(snapshot.get("percent_remaining"))
    if percent is None:
        return None
    is_paid_on = snapshot.get("overage_permitted") is True
    return None if is_paid_on and percent <= 0 else fraction(percent / 100)


def _first_moment(answer: JsonObject, *names: str) -> float | None:
    moments = (iso_moment(said) for name in names if (said := text(answer.get(name))))
    return next((moment for moment in moments if moment is not None), None)
