"""What an error answer of GitHub Copilot means: of inference, and of the exchange of tokens.

Copilot's own codes and texts (providers.md 8.2, 8.8); everything else is as with OpenAI.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.anthropic_features import refused_feature
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.features import DIALECT
from mcp_proxy.providers.openai_failures import read_openai_failure
from mcp_proxy.providers.rests import next_month

SETTINGS_PAGE: Final = "https://github.com/settings/copilot"

DIALECT_OF_PATH: Final[Mapping[str, str]] = {
    "/v1/messages": "anthropic",
    "/responses": "openai_responses",
    "/chat/completions": "openai_chat",
}
"""Inference paths, in the order in which a model that has several is best spoken to (8.6)."""


def read_copilot_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is."""
    usual = read_openai_failure(status, headers, body, now=now, has_token=True)
    error = read_error_body(status, body)
    special = _BY_CODE.get(error.code.partition(":")[0]) or _BY_STATUS.get(error.status)
    return _with_refusal(usual, error) if special is None else special(usual, error, now)


def _with_refusal(failure: Failure, error: ErrorBody) -> Failure:
    """Claude behind it refuses features in Anthropic's words."""
    feature = refused_feature(error) if failure.kind is FailureKind.BAD_REQUEST else None
    if feature is None:
        return failure
    return replace(failure, kind=FailureKind.UNSUPPORTED, feature=feature)


def _spent(failure: Failure, error: ErrorBody, now: float) -> Failure:
    """Nothing says until when; models that cost no premium request go on answering."""
    return replace(
        failure,
        kind=FailureKind.QUOTA,
        scope=Scope.BUCKET,
        retry_at=failure.retry_at if error.status == 429 else next_month(now),
        detail=f"the month's premium requests are used up: {failure.detail}",
        url=None,
    )


def _wide(failure: Failure, error: ErrorBody, now: float) -> Failure:
    return replace(failure, scope=Scope.ACCOUNT)


def _other_api(failure: Failure, error: ErrorBody, now: float) -> Failure:
    """The model is not spoken to in this dialect; the message names the path that was tried."""
    named = (name for path, name in DIALECT_OF_PATH.items() if path in error.message)
    feature = DIALECT + next(named, "openai_chat")
    return replace(failure, kind=FailureKind.UNSUPPORTED, feature=feature)


def _no_model(failure: Failure, error: ErrorBody, now: float) -> Failure:
    return replace(failure, kind=FailureKind.NOT_FOUND, feature=None)


def _refused_token(failure: Failure, error: ErrorBody, now: float) -> Failure:
    """Also the wrong host for the kind of account: the next exchange tells the right one."""
    return replace(failure, kind=FailureKind.AUTH_EXPIRED, scope=Scope.ACCOUNT)


_POLICY: Final = re.compile(r"\bmodel\b.{0,80}(?:policy|enabled|disabled|access)|terms", re.I)


def _denied(failure: Failure, error: ErrorBody, now: float) -> Failure:
    if failure.kind is FailureKind.UPSTREAM:
        return failure  # a page of something in between
    if _POLICY.search(error.message):
        detail = f"{failure.detail} (models are enabled at {SETTINGS_PAGE})"
        return replace(failure, kind=FailureKind.NOT_FOUND, detail=detail)
    return _without_subscription(failure)


def _without_subscription(failure: Failure) -> Failure:
    detail = f"GitHub denies this account Copilot; is there a subscription? {failure.detail}"
    return replace(failure, kind=FailureKind.MISCONFIGURED, detail=detail, url=SETTINGS_PAGE)


def _too_old(failure: Failure, error: ErrorBody, now: float) -> Failure:
    detail = f"Copilot wants a newer version of its API than this one: {failure.detail}"
    return replace(failure, kind=FailureKind.MISCONFIGURED, detail=detail)


_Reader = Callable[[Failure, ErrorBody, float], Failure]

_BY_CODE: Final[Mapping[str, _Reader]] = {
    "quota_exceeded": _spent,
    "user_global_rate_limited": _wide,
    "unsupported_api_for_model": _other_api,
    "model_not_supported": _no_model,
}
_BY_STATUS: Final[Mapping[int, _Reader]] = {
    401: _refused_token,
    402: _spent,
    403: _denied,
    421: _refused_token,
    466: _too_old,
}


# The exchange of a GitHub token for a Copilot token


def read_exchange_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """AUTH_REVOKED only in GitHub's own words: a proxy in between may answer 401, too."""
    usual = read_openai_failure(status, headers, body, now=now, has_token=True)
    error = read_error_body(status, body)
    if status == 200 and "error_details" in error.fields:
        return _without_subscription(usual)
    if usual.kind in _NOT_ABOUT_THE_GRANT:
        return usual
    if error.mentions("rate limit"):
        return replace(usual, kind=FailureKind.RATE, scope=Scope.ACCOUNT)
    if error.status == 401 and error.message:
        return replace(usual, kind=FailureKind.AUTH_REVOKED, scope=Scope.ACCOUNT)
    if error.mentions("personal access token"):
        return replace(
            usual,
            kind=FailureKind.MISCONFIGURED,
            detail="a personal access token gives no access to Copilot; sign in instead: "
            "mcproxy accounts add --provider copilot",
        )
    if error.status in (403, 404):
        return _without_subscription(usual)
    return replace(usual, kind=FailureKind.UPSTREAM)


_NOT_ABOUT_THE_GRANT: Final = frozenset(
    {FailureKind.UPSTREAM, FailureKind.RATE, FailureKind.CAPACITY, FailureKind.NETWORK}
)
