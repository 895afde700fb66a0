"""When an upstream that said "not now" will serve again: headers, body fields, prose.

The order is that of providers.md 0.1, the formats are those of 0.2. Nothing is guessed: what
cannot be read is None, and the ledger applies its own backoff.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from mcp_proxy.policy.durations import go_duration, http_date, iso_moment, plain_number
from mcp_proxy.policy.limit_signals import LONGEST_HINT, PAST_HINT
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.header_names import lower_case

_CHINA: Final = timezone(timedelta(hours=8))
"""Z.AI writes its local time without saying so."""

_FIRST_UNIX: Final = 1e9
_FIRST_UNIX_MS: Final = 1e11
"""A bare number from here on is a moment in seconds, in milliseconds; below it is a span."""


def retry_at(headers: Mapping[str, str], body_text: str, now: float) -> float | None:
    """Unix time at which the next try is worth it, kept within sense; None: nothing was said."""
    lower = lower_case(headers)
    # Moments are by the server's clock, which need not be ours.
    server_now = http_date(lower.get("date", "")) or now
    error = read_error_body(429, body_text.encode("utf-8", "replace"))
    for seconds in _hints(lower, error, server_now):
        if seconds is not None:
            return now + (min(seconds, LONGEST_HINT) if seconds > 0 else PAST_HINT)
    return None


def _hints(headers: Mapping[str, str], error: ErrorBody, now: float) -> Iterator[float | None]:
    """Every form in which a wait is told, in seconds from now, best first."""
    millis = plain_number(headers.get("retry-after-ms", ""))
    yield None if millis is None else millis / 1000
    yield plain_number(headers.get("retry-after", ""))
    yield _until(http_date(headers.get("retry-after", "")), now)
    yield from _field_hints(error.fields, now)
    yield _prose_span(error.message)
    yield _until(_prose_moment(error.message), now)
    yield _reset_header(headers, now)


def _until(moment: float | None, now: float) -> float | None:
    return None if moment is None else moment - now


# Fields of the body

_SPAN_FIELDS: Final = ("resets_in_seconds", "retry_after", "retry_after_seconds")


def _field_hints(fields: Mapping[str, Any], now: float) -> Iterator[float | None]:
    yield _until(_number(fields.get("resets_at")), now)
    metadata = fields.get("metadata")
    places = (fields, metadata) if isinstance(metadata, dict) else (fields,)
    for place in places:
        for name in _SPAN_FIELDS:
            yield _number(place.get(name))
    details = fields.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            yield go_duration(str(detail.get("retryDelay", "")))
    # OpenRouter repeats the headers of the server behind it.
    behind = metadata.get("headers") if isinstance(metadata, dict) else None
    if isinstance(behind, dict):
        yield _reset_header({str(k).lower(): str(v) for k, v in behind.items()}, now)


def _number(value: object) -> float | None:
    return plain_number(str(value)) if type(value) in (int, float, str) else None


# Prose

_UNIT_SECONDS: Final = {
    "d": 86_400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
}
_UNIT: Final = (
    r"(milliseconds?|msecs?|ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
)
_AMOUNT: Final = rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s{{0,2}}{_UNIT}"
# Like those of limit_signals, these are compiled when they are needed.
# A Go duration has no space between its terms: there the unit is followed by a digit.
_SPAN: Final = (
    r"\b(?:try again|retry|wait|resets?|available(?: again)?)"
    r"(?: (?:in|after|for|about|approximately|at least)){0,2} "
    rf"((?:{_AMOUNT}(?:,? and |, ?| )?){{1,4}})"
)

_MOMENT: Final = (
    r"(?:reset(?:s|ting)?(?: at| on)?|try again (?:at|after)|在)[ :]{0,3}"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)"
)


def _prose_span(message: str) -> float | None:
    """`try again in 1.5s`, `in 2 hours`, `in 15 hours 23 minutes`, `retry in 10h17m5.72s`."""
    found = re.search(_SPAN, message, re.IGNORECASE)
    if found is None:
        return None
    terms = re.findall(_AMOUNT, found[1], re.IGNORECASE)
    return sum(float(number) * _UNIT_SECONDS[_short(unit)] for number, unit in terms)


def _short(unit: str) -> str:
    unit = unit.lower()
    return "ms" if unit.startswith(("ms", "milli")) else unit[0]


def _prose_moment(message: str) -> float | None:
    """`will reset at 2026-09-09 05:38:28`, which without a zone is China's."""
    found = re.search(_MOMENT, message, re.IGNORECASE)
    if found is None:
        return None
    text = found[1].upper().replace(" UTC", "Z").replace(" Z", "Z").replace("UTC", "Z")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=_CHINA)).timestamp()


# Headers that say when a window begins anew

_RESET: Final = r"(?:x-ratelimit|anthropic-ratelimit|x-codex)(?:-[a-z0-9_]+)*-reset(?:-[a-z-]+)?"


def _reset_header(headers: Mapping[str, str], now: float) -> float | None:
    """The latest reset among windows that are used up; a lone window needs no proof of that."""
    waits = {
        name: wait
        for name, value in headers.items()
        if re.fullmatch(_RESET, name) and (wait := _header_wait(value, now)) is not None
    }
    spent = [wait for name, wait in waits.items() if _is_spent(name, headers)]
    if spent:
        return max(spent)
    return next(iter(waits.values())) if len(waits) == 1 else None


def _is_spent(reset: str, headers: Mapping[str, str]) -> bool:
    remaining = plain_number(headers.get(reset.replace("reset", "remaining"), ""))
    if remaining == 0 or headers.get(reset.replace("reset", "status")) == "rejected":
        return True
    window = reset.removesuffix("reset-at")
    used = plain_number(headers.get(f"{window}used-percent", ""))
    return used is not None and used >= 100


def _header_wait(value: str, now: float) -> float | None:
    """A Go duration, a moment in any spelling, or a number that is one or the other by its size."""
    number = plain_number(value)
    if number is None:
        span = go_duration(value)
        return _until(iso_moment(value) or http_date(value), now) if span is None else span
    if number >= _FIRST_UNIX_MS:
        return number / 1000 - now
    return number - now if number >= _FIRST_UNIX else number
