"""Rate-limit headers of the Anthropic API: what is left of each window, and until when.

Keys have limits per minute, subscriptions have unified windows of hours and days (providers.md 6
and 0.2).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from mcp_proxy.policy.durations import http_date, iso_moment, plain_number
from mcp_proxy.providers import QuotaReading
from mcp_proxy.providers.loose_json import fraction

_PREFIX: Final = "anthropic-ratelimit-"
_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_UNIFIED: Final = re.compile(
    r"anthropic-ratelimit-unified-(?!overage|fallback)([a-z0-9_]+)-(?:status|reset|utilization)"
)
_OF_ONE_MODEL: Final = "7d_oi"
"""A window that counts only the model that was asked."""


class UnifiedWindow(NamedTuple):
    """One window of a subscription."""

    name: str
    """"5h", "7d", "7d_oi"."""
    is_rejected: bool
    used: float | None
    """Fraction, above 1 when more was used than was there."""
    resets_at: float | None

    @property
    def is_of_one_model(self) -> bool:
        return self.name == _OF_ONE_MODEL


def unified_windows(headers: Mapping[str, str]) -> tuple[UnifiedWindow, ...]:
    """`headers` in lower case."""
    found = (_UNIFIED.fullmatch(name) for name in headers)
    names = dict.fromkeys(match[1] for match in found if match is not None)
    return tuple(_unified(f"{_PREFIX}unified-{name}-", name, headers) for name in names)


def _unified(prefix: str, name: str, headers: Mapping[str, str]) -> UnifiedWindow:
    return UnifiedWindow(
        name=name,
        is_rejected=headers.get(f"{prefix}status") == "rejected",
        used=plain_number(headers.get(f"{prefix}utilization", "")),
        resets_at=_moment(headers.get(f"{prefix}reset", "")),
    )


def rejected_until(headers: Mapping[str, str]) -> float | None:
    """The reset of the subscription as a whole, for answers that name no window."""
    if headers.get(f"{_PREFIX}unified-status") != "rejected":
        return None
    return _moment(headers.get(f"{_PREFIX}unified-reset", ""))


def read_figures(headers: Mapping[str, str], model: str) -> Iterator[QuotaReading]:
    """What every answer says of what is left; `headers` in lower case."""
    for kind in _KINDS:
        limit = plain_number(headers.get(f"{_PREFIX}{kind}-limit", ""))
        remaining = plain_number(headers.get(f"{_PREFIX}{kind}-remaining", ""))
        if limit and remaining is not None:
            left = fraction(remaining / limit)
            resets_at = _moment(headers.get(f"{_PREFIX}{kind}-reset", ""))
            yield QuotaReading(None, left, resets_at, window=kind)
    for window in unified_windows(headers):
        if window.is_of_one_model:
            yield QuotaReading(model, _left(window), window.resets_at)
        else:
            yield QuotaReading(None, _left(window), window.resets_at, window=window.name)


def _left(window: UnifiedWindow) -> float | None:
    if window.is_rejected:
        return 0.0
    return None if window.used is None else fraction(1.0 - window.used)


def _moment(text: str) -> float | None:
    """Unix seconds, RFC 3339 or an HTTP date."""
    number = plain_number(text)
    return number if number is not None else iso_moment(text) or http_date(text)
