"""What an error answer of a server with OpenAI's API means, from status, headers and body.

OpenAI itself and everything that is compatible with it (providers.md 2 and 3). The error's code
decides before its status, since billing and rate limits share one; texts decide last, for servers
without codes. Nobody after this reads message text.
"""

import re
from collections.abc import Mapping
from typing import Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.limit_signals import LONG_WAIT
from mcp_proxy.providers.details import is_page, too_long
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.failures import failure_of, is_crowded, page_failure, url_in
from mcp_proxy.providers.openai_refusals import refused_feature
from mcp_proxy.providers.rests import BILLING_REST
from mcp_proxy.providers.retry_delay import retry_at


def read_openai_failure(
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
        return page_failure(status, headers, body, now=now)
    error = _with_status(read_error_body(status, body))
    kind = _kind(error)
    match kind:
        case FailureKind.RATE | FailureKind.QUOTA | FailureKind.CAPACITY:
            return _limit(kind, error, retry_at(headers, body.decode("utf-8", "replace"), now), now)
        case FailureKind.TOO_LONG:
            return failure_of(kind, error, detail=too_long(error.message))
        case FailureKind.UNSUPPORTED:
            return failure_of(kind, error, feature=refused_feature(error))
        case FailureKind.AUTH_REVOKED if has_token:
            return failure_of(FailureKind.AUTH_EXPIRED, error)
        case FailureKind.MISCONFIGURED if error.status == 404:
            return failure_of(kind, error, detail=f"{error.message or 'not found'}{_WRONG_PATH}")
        case FailureKind.MISCONFIGURED | FailureKind.SUSPENDED:
            return failure_of(kind, error, url=url_in(error.message))
        case _:
            return failure_of(kind, error)


_WRONG_PATH: Final = (
    " (is the base URL right? Most end in /v1; a server without a list of models needs `models` "
    "in accounts.toml)"
)

# Which kind: by code, by text, by status

_STATUS_OF_NAME: Final = {
    "rate_limit_exceeded": 429,
    "slow_down": 503,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "server_error": 500,
    "api_error": 500,
    "service_unavailable_error": 503,
    "unavailable_error": 503,
    "overloaded_error": 503,
}


def _with_status(error: ErrorBody) -> ErrorBody:
    """Inside a stream the answer's own status was 200; the error's code stands for another."""
    if error.status >= 400:
        return error
    status = _STATUS_OF_NAME.get(error.code) or _STATUS_OF_NAME.get(error.type, 500)
    return error._replace(status=status)


_BILLING: Final = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    }
)
_QUOTA_CODES: Final = _BILLING | {"usage_limit_reached", "quota_exceeded"}

_KIND_OF_CODE: Final[Mapping[str, FailureKind]] = {
    **dict.fromkeys(_QUOTA_CODES, FailureKind.QUOTA),
    **dict.fromkeys(
        (
            "capacity_exceeded",
            "insufficient_system_resource",
            "model_not_ready",
            "overloaded_error",
            "server_is_overloaded",
            "service_unavailable_error",
            "unavailable_error",
        ),
        FailureKind.CAPACITY,
    ),
    **dict.fromkeys(
        (
            "context_length_exceeded",
            "model_max_prompt_tokens_exceeded",
            "exceed_context_size_error",
        ),
        FailureKind.TOO_LONG,
    ),
    **dict.fromkeys(
        ("content_filter", "content_policy_violation", "cyber_policy", "invalid_prompt"),
        FailureKind.BAD_REQUEST,
    ),
    "account_deactivated": FailureKind.SUSPENDED,
    "invalid_api_key": FailureKind.AUTH_REVOKED,
    "invalid_encrypted_content": FailureKind.SEAL,
    "model_not_found": FailureKind.NOT_FOUND,
    "unsupported_country_region_territory": FailureKind.MISCONFIGURED,
}
"""`error.code`, or `error.type` where a server has its codes there."""

_PHRASES: Final = tuple(
    (statuses, re.compile(pattern, re.IGNORECASE), kind)
    for statuses, pattern, kind in (
        (
            frozenset({400, 413, 422, 429, 500}),
            r"context[ _](?:length|window|size|limit)|n_ctx|context the overflows"
            r"|prompt (?:is|was) too long|input (?:is|was) too (?:long|large)"
            r"|(?:prompt|input) (?:tokens?|length)\b.{0,60}exceed|exceeds? the (?:max\w* )?context"
            r"|maximum (?:prompt|input) length|too many (?:input |prompt )?tokens"
            r"|input token count|longer than the (?:model|maximum)"
            r"|reduce the length of the (?:messages|prompt|input)"
            # A limit per minute that this one request alone is above: waiting never helps.
            r"|request too large for",
            FailureKind.TOO_LONG,
        ),
        (
            frozenset({400, 404, 422}),
            r"encrypted.content.{0,60}(?:could not|verif|invalid)|thought.?signature"
            r"|items? (?:with id .{0,200} )?not found.{0,60}not persisted",
            FailureKind.SEAL,
        ),
        (
            frozenset({400, 403, 404, 422, 500}),
            r"try pulling it first|no (?:allowed |available )?(?:endpoints|providers?) (?:are )?"
            r"(?:found|available) (?:matching|for)|not a valid model"
            r"|\bmodel\b.{0,200}(?:not found|not exist|doesn't exist|not loaded|unknown)"
            r"|(?:unknown|no such|invalid|nonexistent) model",
            FailureKind.NOT_FOUND,
        ),
        (
            frozenset({400, 404, 408, 409, 422, 425, 500, 502, 503, 504}),
            r"\b(?:loading|warming up|is starting)\b.{0,40}model|model\b.{0,40}\b(?:is |being )load"
            r"|overloaded|at capacity|no (?:available )?(?:instances|workers|slots?)\b"
            r"|server (?:is )?busy|queue is full",
            FailureKind.CAPACITY,
        ),
        (
            frozenset({400, 422}),
            # vLLM without its tool parser: the server has to be started in another way.
            r"--enable-auto-tool-choice|--tool-call-parser",
            FailureKind.MISCONFIGURED,
        ),
        (
            frozenset({401, 403}),
            r"(?:account|organi[sz]ation|workspace).{0,40}(?:deactivated|suspended|disabled|banned)",
            FailureKind.SUSPENDED,
        ),
        (
            frozenset({403}),
            r"moderation|flagged|content policy",
            FailureKind.BAD_REQUEST,
        ),
        (
            frozenset({403, 429}),
            r"current quota|insufficient (?:credits?|balance|funds|quota)|billing"
            r"|spend(?:ing)? limit|per.day\b|\b[rt]pd\b|(?:daily|weekly|monthly|usage) limit",
            FailureKind.QUOTA,
        ),
        (
            frozenset({404}),
            # What servers say of a path that they do not have.
            r"^(?:404 page not found|not found|404|)$|unexpected endpoint|no route|invalid url",
            FailureKind.MISCONFIGURED,
        ),
    )
)
"""Statuses and words -> kind; the first match decides."""

_KIND_OF_STATUS: Final = {
    401: FailureKind.AUTH_REVOKED,
    402: FailureKind.QUOTA,
    403: FailureKind.MISCONFIGURED,
    404: FailureKind.NOT_FOUND,
    407: FailureKind.NETWORK,
    408: FailureKind.UPSTREAM,
    409: FailureKind.UPSTREAM,
    421: FailureKind.MISCONFIGURED,
    425: FailureKind.CAPACITY,
    429: FailureKind.RATE,
    498: FailureKind.CAPACITY,  # Groq's flex tier
    499: FailureKind.UPSTREAM,
    503: FailureKind.CAPACITY,
    529: FailureKind.CAPACITY,
}
_MAY_REFUSE_A_FEATURE: Final = frozenset({400, 404, 405, 415, 422, 500, 501})


def _kind(error: ErrorBody) -> FailureKind:
    kind = _KIND_OF_CODE.get(error.code) or _KIND_OF_CODE.get(error.type)
    if kind is not None:
        return kind
    if error.status in _MAY_REFUSE_A_FEATURE and refused_feature(error) is not None:
        return FailureKind.UNSUPPORTED
    for statuses, pattern, kind in _PHRASES:
        if error.status in statuses and pattern.search(error.message):
            return kind
    known = _KIND_OF_STATUS.get(error.status)
    if known is not None:
        return known
    return FailureKind.BAD_REQUEST if error.status < 500 else FailureKind.UPSTREAM


# Limits

_PRICED_BY_LENGTH: Final = re.compile(r"fewer max_tokens|prompt tokens limit", re.IGNORECASE)


def _limit(kind: FailureKind, error: ErrorBody, moment: float | None, now: float) -> Failure:
    if kind is FailureKind.RATE and moment is not None and moment - now >= LONG_WAIT:
        kind = FailureKind.QUOTA
    if _is_billing(error):
        # Whatever its headers say: they are of the rate, and no wait mends a bill.
        rested = max(now + BILLING_REST, moment or 0.0)
        scope, url = Scope.ACCOUNT, url_in(error.message)
        return failure_of(FailureKind.QUOTA, error, retry_at=rested, scope=scope, url=url)
    of_account = kind is FailureKind.QUOTA and error.mentions("usage_limit_reached")
    return failure_of(
        kind,
        error,
        retry_at=moment,
        scope=Scope.ACCOUNT if of_account else Scope.MODEL,
        crowded=kind is FailureKind.RATE and is_crowded(error.message),
    )


def _is_billing(error: ErrorBody) -> bool:
    if error.code in _BILLING or error.type in _BILLING:
        return True
    if error.status == 402:
        # OpenRouter: a shorter request would still be paid for.
        return _PRICED_BY_LENGTH.search(error.message) is None
    return error.mentions("current quota", "billing", "insufficient credit", "insufficient balance")
