"""Spans of time and moments, as upstreams write them and as people read them.

Readers give None for what they cannot read and never raise. Seconds and Unix time throughout.
"""

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_UNIT_SECONDS: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,  # U+00B5, as Go prints it
    "μs": 1e-6,  # U+03BC, which looks the same
    "ns": 1e-9,
}

GO_DURATION: Final = r"-?(?:\d{1,12}(?:\.\d{1,12})?(?:ms|us|µs|μs|ns|h|m|s))+"
"""Pattern of one Go duration; `ms` stands before `m` so that it is not cut in two."""

_TERM: Final = r"(\d{1,12}(?:\.\d{1,12})?)(ms|us|µs|μs|ns|h|m|s)"
_NUMBER: Final = r"-?\d{1,15}(?:\.\d{1,15})?(?:[eE]\+?\d{1,2})?"


def go_duration(text: str) -> float | None:
    """`1h16m0.667s` -> 4560.667. Compound, fractional, down to nanoseconds."""
    text = text.strip()
    if re.fullmatch(GO_DURATION, text) is None:
        return None
    total = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(_TERM, text))
    return -total if text.startswith("-") else total


def plain_number(text: str) -> float | None:
    """A finite decimal number; NaN, Infinity and anything else is None."""
    text = text.strip()
    return float(text) if re.fullmatch(_NUMBER, text) else None


def iso_moment(text: str) -> float | None:
    """Unix time of an ISO 8601 moment; without a zone it is taken as UTC."""
    try:
        return _timestamp(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        return None


def http_date(text: str) -> float | None:
    """Unix time of an HTTP date such as `Wed, 21 Oct 2026 07:28:00 GMT`."""
    try:
        return _timestamp(parsedate_to_datetime(text.strip()))
    except (ValueError, OverflowError):
        return None


def spell_duration(seconds: float) -> str:
    """7199.2 -> `2h0m0s`: rounded up, so that nobody comes back too early."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def spell_moment(moment: float) -> str:
    """Unix time -> `2026-11-21T10:00:00Z`, rounded up to the second."""
    return datetime.fromtimestamp(math.ceil(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timestamp(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
