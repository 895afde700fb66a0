"""What an upstream's "not now" means: a table from reasons and phrases to failure kinds.

Only answers that are about limits or load are judged here; everything else is None and for the
provider to sort. The structured reason decides before any text does, and the body's wait before
the headers', which are rounded. Sources: cloudcode.md 6.1-6.3, pitfalls 36-42; faults.md 3.2.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.durations import (
    GO_DURATION,
    go_duration,
    http_date,
    iso_moment,
    plain_number,
)

JsonObject = dict[str, Any]

REASONS: Final[Mapping[str, FailureKind]] = {
    "QUOTA_EXHAUSTED": FailureKind.QUOTA,
    "INSUFFICIENT_G1_CREDITS_BALANCE": FailureKind.QUOTA,
    "RATE_LIMIT_EXCEEDED": FailureKind.RATE,
    "MODEL_CAPACITY_EXHAUSTED": FailureKind.CAPACITY,
}
"""`ErrorInfo.reason`, exactly."""

# Patterns are not compiled here but when they are needed: a start waits for none of them.
PHRASES: Final[tuple[tuple[str, FailureKind], ...]] = (
    # "Quota exceeded for … per minute" is a rate limit, so these come before the quota phrases.
    (r"per minute|per second|rate.?limit|too many requests|throttl", FailureKind.RATE),
    # Plain "capacity" would catch "You have exhausted your capacity", which is about quota.
    (
        r"model_capacity_exhausted|no capacity available|overloaded"
        r"|service (?:is )?(?:temporarily|currently) unavailable",
        FailureKind.CAPACITY,
    ),
    (r"quota_exhausted|quota exceeded|daily limit|individual quota reached", FailureKind.QUOTA),
)
"""Patterns, in any case. Read only when there is no reason; the first match decides."""

LIMIT_STATUSES: Final = frozenset({429, 503, 529})
LOAD_STATUSES: Final = frozenset({503, 529})

LONG_WAIT: Final = 300.0
"""Seconds. An unexplained 429 that is to last this long is a quota, not a burst ([C] in 6.5)."""

LONGEST_HINT: Final = 7 * 86_400.0
PAST_HINT: Final = 1.0
"""Seconds that stand for a hint of nothing, less than nothing, or a moment gone by."""

_SCOPES: Final = {FailureKind.QUOTA: Scope.BUCKET}

_MESSAGE_WAITS: Final = (
    r"try again in ((?:\d{1,9}h )?(?:\d{1,9}m )?\d{1,9}(?:\.\d{1,9})?s)(?![a-z])",
    rf"(?:reset|resets|retry|available|try again) (?:after|in) ({GO_DURATION})(?![a-z])",
    rf"(?:backoff for|wait) ({GO_DURATION})(?![a-z])",
    r"(?:reset|resets|retry|try again|wait|backoff)(?: after| in| for)? "
    r"(-?\d{1,9}(?:\.\d{1,9})?) ?sec",
)
_MESSAGE_MOMENT: Final = r"reset(?:s| at|[:\" ])+(\d{4}-\d\d-\d\dT[0-9:.]{8,18}(?:Z|[+-]\d\d:\d\d))"

_LONGEST_DETAIL = 2048


def classify(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Failure | None:
    """The limit or overload that an answer (or an error object in a stream) reports, if any."""
    error = _error_object(body)
    code = _status_of(status, error)
    if code not in LIMIT_STATUSES and error.get("status") != "RESOURCE_EXHAUSTED":
        return None
    if not error and body.lstrip()[:1] == b"<":
        return None  # a page of something in between, not the API
    details = _details(error)
    message = _message(error, body)
    wait = _wait(error, details, message, {k.lower(): v for k, v in headers.items()}, now)
    kind = _kind(code, details, message, wait)
    return Failure(
        kind,
        message[:_LONGEST_DETAIL] or f"the upstream answered {code}",
        status=code,
        retry_at=None if wait is None else now + wait,
        scope=_SCOPES.get(kind, Scope.MODEL),
    )


def _kind(code: int, details: list[JsonObject], message: str, wait: float | None) -> FailureKind:
    for detail in details:
        kind = REASONS.get(str(detail.get("reason")))
        if kind is not None:
            return kind
    if code in LOAD_STATUSES:
        return FailureKind.CAPACITY
    for pattern, kind in PHRASES:
        if re.search(pattern, message, re.IGNORECASE):
            return kind
    if wait is not None and wait >= LONG_WAIT:
        return FailureKind.QUOTA
    return FailureKind.RATE


def _wait(
    error: JsonObject,
    details: list[JsonObject],
    message: str,
    headers: Mapping[str, str],
    now: float,
) -> float | None:
    """Seconds from the best source that can be read, kept within sense; None: nothing said."""
    server_now = http_date(headers.get("date", "")) or now
    for seconds in _hints(error, details, message, headers, server_now):
        if seconds is not None:
            return min(seconds, LONGEST_HINT) if seconds > 0 else PAST_HINT
    return None


def _hints(
    error: JsonObject,
    details: list[JsonObject],
    message: str,
    headers: Mapping[str, str],
    now: float,
) -> Iterator[float | None]:
    """Every form in which a wait is told, best first (6.2)."""
    metadata = [data for detail in details if isinstance(data := detail.get("metadata"), dict)]
    for detail in details:
        yield _span(detail.get("retryDelay"))
    for data in metadata:
        yield _span(data.get("quotaResetDelay"))
    for data in metadata:
        yield _until(iso_moment(str(data.get("quotaResetTimeStamp"))), now)
    yield from _message_hints(message, now)
    yield _span(error.get("retry_after"))
    yield _scaled(plain_number(headers.get("retry-after-ms", "")), 1e-3)
    yield plain_number(headers.get("retry-after", ""))
    yield _until(http_date(headers.get("retry-after", "")), now)
    yield plain_number(headers.get("x-ratelimit-reset-after", ""))
    yield _until(plain_number(headers.get("x-ratelimit-reset", "")), now)


def _message_hints(message: str, now: float) -> Iterator[float | None]:
    for pattern in _MESSAGE_WAITS:
        found = re.search(pattern, message, re.IGNORECASE)
        if found is not None:
            yield _span(found[1].replace(" ", ""))
    found = re.search(_MESSAGE_MOMENT, message)
    if found is not None:
        yield _until(iso_moment(found[1]), now)


def _span(value: object) -> float | None:
    """A Go duration, or a bare number of seconds."""
    if isinstance(value, str):
        span = go_duration(value)
        return plain_number(value) if span is None else span
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _until(moment: float | None, now: float) -> float | None:
    return None if moment is None else moment - now


def _scaled(number: float | None, factor: float) -> float | None:
    return None if number is None else number * factor


def _error_object(body: bytes) -> JsonObject:
    """The `error` object of a body, of the first element of a list, or the body; {} if none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return {}
    error = value.get("error", value)
    return error if isinstance(error, dict) else {"message": str(error)}


def _status_of(status: int, error: JsonObject) -> int:
    """The HTTP status; inside a stream that began with 200, the error object's own code."""
    code = error.get("code")
    if status < 400 and isinstance(code, int):
        return code
    return status


def _details(error: JsonObject) -> list[JsonObject]:
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [detail for detail in details if isinstance(detail, dict)]


def _message(error: JsonObject, body: bytes) -> str:
    message = error.get("message")
    if isinstance(message, str):
        return message
    return "" if error else body[:_LONGEST_DETAIL].decode("utf-8", "replace").strip()
