"""What an error answer of the Messages API means, from status, headers and body.

For Anthropic itself, and for everybody who passes its errors on. Inside a stream the error's type
stands for the status. Sources: client-apis.md 1.6, providers.md 6. Nobody after this reads message
text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.durations import iso_moment
from mcp_proxy.policy.limit_signals import LONG_WAIT
from mcp_proxy.providers.anthropic_features import refused_feature
from mcp_proxy.providers.anthropic_windows import rejected_until, unified_windows
from mcp_proxy.providers.details import is_page, too_long
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.failures import failure_of, is_crowded, page_failure
from mcp_proxy.providers.header_names import lower_case
from mcp_proxy.providers.rests import BILLING_REST, next_month
from mcp_proxy.providers.retry_delay import retry_at

_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def read_anthropic_failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    has_token: bool = False,
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is.

    `has_token`: the account signs in with tokens that expire, so a 401 may be mended by a new one;
    a key that is refused stays refused.
    """
    if is_page(body):
        # A body that is too large is refused before it gets to the API.
        kind = FailureKind.BAD_REQUEST if status == 413 else FailureKind.UPSTREAM
        return page_failure(status, headers, body, now=now, kind=kind)
    error = _with_status(read_error_body(status, body))
    if error.status == 429:
        lower = lower_case(headers)
        moment = retry_at(headers, body.decode("utf-8", "replace"), now)
        return _limit(error, lower, moment, now)
    if error.status == 401 and has_token:
        return failure_of(FailureKind.AUTH_EXPIRED, error)
    if error.status in _LOADED:
        moment = retry_at(headers, body.decode("utf-8", "replace"), now)
        return failure_of(FailureKind.CAPACITY, error, retry_at=moment)
    reader = _READERS.get(error.status)
    if reader is not None:
        return reader(error, now)
    return failure_of(_KINDS.get(error.status) or _by_class(error), error)


def _with_status(error: ErrorBody) -> ErrorBody:
    if error.type == "overloaded_error":
        return error._replace(status=529)
    if error.status >= 400:
        return error
    return error._replace(status=_STATUS_OF_TYPE.get(error.type, 500))


_LOADED: Final = frozenset({503, 529})

_KINDS: Final = {
    401: FailureKind.AUTH_REVOKED,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.SLOW,
    409: FailureKind.UPSTREAM,
    504: FailureKind.SLOW,
}


def _by_class(error: ErrorBody) -> FailureKind:
    return FailureKind.BAD_REQUEST if 400 <= error.status < 500 else FailureKind.UPSTREAM


# 400: the request, or the account that nobody pays for

_TOO_LONG_WORDS: Final = ("prompt is too long", "exceed context limit", "context window")
_SEAL_WORDS: Final = (
    "invalid `signature` in `thinking`",
    "invalid signature in thinking",
    "expected `thinking`",
    "must start with a thinking block",
    "must start with thinking",
    "cannot be modified",
    "thinking is disabled",
    "cannot contain `thinking`",
    "invalid `data` in `redacted_thinking`",
)
_UNPAID_WORDS: Final = ("credit balance is too low", "usage limits", "spend limit")
_CLOSED: Final = re.compile(
    r"(?:organization|account|workspace).{0,40}(?:disabled|suspended|banned|deactivated)",
    re.IGNORECASE,
)
_REGAIN: Final = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")


def _bad_request(error: ErrorBody, now: float) -> Failure:
    if error.mentions(*_TOO_LONG_WORDS):
        return failure_of(FailureKind.TOO_LONG, error, detail=too_long(error.message))
    if error.mentions(*_UNPAID_WORDS):
        return _unpaid(error, now)
    if _CLOSED.search(error.message):
        return failure_of(FailureKind.SUSPENDED, error, scope=Scope.ACCOUNT)
    if error.mentions(*_SEAL_WORDS):
        return failure_of(FailureKind.SEAL, error)
    feature = refused_feature(error)
    if feature is not None:
        return failure_of(FailureKind.UNSUPPORTED, error, feature=feature)
    return failure_of(FailureKind.BAD_REQUEST, error)


def _unpaid(error: ErrorBody, now: float) -> Failure:
    """No money, or all of it spent that may be: a wait of the account, not of the request."""
    told = _REGAIN.search(error.message)
    moment = iso_moment(f"{told[1]}T{told[2] or '00:00'}:00Z") if told else None
    rested = max(now + BILLING_REST, moment or 0.0)
    return failure_of(FailureKind.QUOTA, error, retry_at=rested, scope=Scope.ACCOUNT)


def _forbidden(error: ErrorBody, now: float) -> Failure:
    closed = _CLOSED.search(error.message) is not None
    kind = FailureKind.SUSPENDED if closed else FailureKind.MISCONFIGURED
    return failure_of(kind, error, scope=Scope.ACCOUNT if closed else Scope.MODEL)


_READERS: Final[Mapping[int, Callable[[ErrorBody, float], Failure]]] = {
    400: _bad_request,
    402: _unpaid,
    403: _forbidden,
    422: _bad_request,
}


# 429: limits

_SPENT: Final = "enforced_spend_limit_reached"


def _limit(
    error: ErrorBody, headers: Mapping[str, str], moment: float | None, now: float
) -> Failure:
    if error.mentions(_SPENT) or _SPENT in str(error.fields.get("details")):
        month_end = next_month(now)
        return failure_of(FailureKind.QUOTA, error, retry_at=month_end, scope=Scope.ACCOUNT)
    windows = [window for window in unified_windows(headers) if window.is_rejected]
    resets = [window.resets_at for window in windows] or [rejected_until(headers)]
    known = [reset for reset in resets if reset is not None]
    if windows or known:
        # The latest: while one window is closed, it does not help that another opens.
        latest = max([*known, *([] if moment is None else [moment])], default=None)
        of_model = bool(windows) and all(window.is_of_one_model for window in windows)
        scope = Scope.MODEL if of_model else Scope.ACCOUNT
        return failure_of(FailureKind.QUOTA, error, retry_at=latest, scope=scope)
    is_long = moment is not None and moment - now >= LONG_WAIT
    return failure_of(
        FailureKind.QUOTA if is_long else FailureKind.RATE,
        error,
        retry_at=moment,
        crowded=is_crowded(error.message),
    )
