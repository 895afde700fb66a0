"""What an error answer of Google's public model APIs means: the Gemini API and Vertex AI.

Both count calls by named quotas and say which of them is used up (providers.md 4 and 5); those and
keys are judged here, everything else as for any Google upstream in `google_failures.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.gemini_features import refused_feature
from mcp_proxy.providers.google_failures import (
    GoogleError,
    read_error,
    read_google_failure,
)
from mcp_proxy.providers.rests import BILLING_REST, next_pacific_midnight

_UNPAID: Final = 402


def read_gemini_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer of the Gemini API; a key that is refused stays refused."""
    failure = read_public_failure(status, headers, body, now=now)
    if failure.kind is FailureKind.AUTH_EXPIRED:
        return replace(failure, kind=FailureKind.AUTH_REVOKED)
    return failure


def read_public_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """What holds for both APIs; never raises, whatever the body is."""
    error = read_error(status, body)
    usual = read_google_failure(status, headers, body, now=now)
    if error.status == _UNPAID:
        return replace(
            usual, kind=FailureKind.QUOTA, scope=Scope.ACCOUNT, retry_at=now + BILLING_REST
        )
    special = _SPECIAL.get(usual.kind)
    return usual if special is None else special(usual, error, now)


# Limits

_NEVER: Final = re.compile(r"\blimit: 0(?![\d.])")
_PER_DAY: Final = re.compile(r"per.?day", re.IGNORECASE)
_PER_MINUTE: Final = re.compile(r"per.?(?:minute|second)", re.IGNORECASE)
_PER_MODEL: Final = re.compile(r"per.?(?:base.?)?model", re.IGNORECASE)


def _limited(failure: Failure, error: GoogleError, now: float) -> Failure:
    """By the quotas that are named; an answer that names none is taken as it was read.

    The day's quota is not back when `retryDelay` says, which is the minute's (providers.md 4).
    """
    told = error.message + " ".join(_violated(error))
    if _NEVER.search(error.message) or "0" in _limits(error):
        detail = f"this model is not part of the account's tier: {failure.detail}"
        return replace(failure, kind=FailureKind.NOT_FOUND, detail=detail, retry_at=None)
    if _PER_DAY.search(told):
        scope = Scope.MODEL if _PER_MODEL.search(told) else Scope.ACCOUNT
        return replace(
            failure, kind=FailureKind.QUOTA, scope=scope, retry_at=next_pacific_midnight(now)
        )
    if _PER_MINUTE.search(told):
        return replace(failure, kind=FailureKind.RATE, scope=Scope.MODEL)
    return failure


def _violations(error: GoogleError) -> Iterator[Mapping[str, Any]]:
    for detail in error.details:
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield violation


def _violated(error: GoogleError) -> list[str]:
    """Names of the quotas, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier."""
    return [str(violation.get("quotaId", "")) for violation in _violations(error)]


def _limits(error: GoogleError) -> list[str]:
    return [str(violation.get("quotaValue", "")) for violation in _violations(error)]


# Keys, billing, and what a model does not take

_BAD_KEY: Final = ("api_key_invalid", "api key not valid", "api key expired", "reported as leaked")
_NO_BILLING: Final = ("enable billing", "billing account", "failed_precondition")


def _refused(failure: Failure, error: GoogleError, now: float) -> Failure:
    if error.mentions(*_BAD_KEY):
        return replace(failure, kind=FailureKind.AUTH_REVOKED, scope=Scope.ACCOUNT)
    if error.mentions(*_NO_BILLING):
        return replace(failure, kind=FailureKind.MISCONFIGURED)
    feature = refused_feature(error)
    if feature is None:
        return failure
    return replace(failure, kind=FailureKind.UNSUPPORTED, feature=feature)


def _denied(failure: Failure, error: GoogleError, now: float) -> Failure:
    is_key = error.mentions(*_BAD_KEY)
    return replace(failure, kind=FailureKind.AUTH_REVOKED) if is_key else failure


_SPECIAL: Final[Mapping[FailureKind, Callable[[Failure, GoogleError, float], Failure]]] = {
    FailureKind.QUOTA: _limited,
    FailureKind.RATE: _limited,
    FailureKind.BAD_REQUEST: _refused,
    FailureKind.MISCONFIGURED: _denied,
}
