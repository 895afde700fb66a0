"""`x-ratelimit-*` headers of OpenAI and its kin -> figures (providers.md 0.2, 2, 3)."""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.durations import go_duration, plain_number
from mcp_proxy.providers import QuotaReading
from mcp_proxy.providers.header_names import lower_case
from mcp_proxy.providers.loose_json import fraction

_COUNTED: Final = ("requests", "tokens")


def read_rate_headers(
    headers: Mapping[str, str], model: ModelInfo, *, now: float
) -> tuple[QuotaReading, ...]:
    """What is left of the tighter of the two limits; () where the headers say nothing."""
    lower = lower_case(headers)
    readings = [
        reading
        for counted in _COUNTED
        if (reading := _reading(lower, counted, model.id, now)) is not None
    ]
    return (min(readings, key=_remaining),) if readings else ()


def _remaining(reading: QuotaReading) -> float:
    return 1.0 if reading.remaining is None else reading.remaining


def _reading(
    headers: Mapping[str, str], counted: str, model_id: str, now: float
) -> QuotaReading | None:
    limit = plain_number(headers.get(f"x-ratelimit-limit-{counted}", ""))
    left = plain_number(headers.get(f"x-ratelimit-remaining-{counted}", ""))
    if not limit or limit < 0 or left is None:
        return None
    reset = headers.get(f"x-ratelimit-reset-{counted}", "")
    wait = go_duration(reset)
    wait = plain_number(reset) if wait is None else wait
    resets_at = None if wait is None or wait < 0 else now + wait
    return QuotaReading(model_id, fraction(left / limit), resets_at)
