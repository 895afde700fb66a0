"""Readers of Google's small answers: tokens, project and tier, onboarding, quota, e-mail address.

Bytes in, values out; nothing here knows addresses or headers. Section numbers are those of
protocols/cloudcode.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from mcp_proxy.account import Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.durations import iso_moment
from mcp_proxy.policy.models import info
from mcp_proxy.providers import JsonObject, QuotaReading, Reading, TokenAnswer
from mcp_proxy.providers.details import scrubbed
from mcp_proxy.providers.google_failures import read_google_failure
from mcp_proxy.providers.loose_json import (
    count,
    fraction,
    number,
    object_of,
    object_or_empty,
    objects,
    part,
    text,
    token_text,
)

DEFAULT_TIER: Final = "free-tier"


class CodeAssist(NamedTuple):
    """What loadCodeAssist says of an account."""

    project: str | None
    tier: str
    """`free`, `pro`, `ultra` or `unknown`."""
    default_tier: str
    """The tier id to onboard with."""


class Onboarding(NamedTuple):
    """One poll of onboardUser."""

    done: bool
    project: str | None
    refusal: Failure | None = None
    """Why there is none, where Google says so."""


_USUAL_LIFE: Final = 3600.0
"""Seconds, for a token that tells no end."""

_GONE: Final = frozenset({"invalid_grant"})
_USE_ITS_CLIENT: Final = (
    "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET to the OAuth client that this sign-in was made "
    "with, or sign in again."
)
_WRONG_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client", "deleted_client"})
_GONE_WORDS: Final = ("has been expired or revoked", "token has been revoked")


def read_token(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> TokenAnswer | Failure:
    """A token endpoint's answer. AUTH_REVOKED only when it says that the grant is gone (2.2)."""
    answer = object_or_empty(body)
    token = token_text(answer.get("access_token"))
    rotated = token_text(answer.get("refresh_token"))
    if status == 200 and token is not None:
        return TokenAnswer(
            access_token=Secret(token),
            expires_in=number(answer.get("expires_in")) or _USUAL_LIFE,
            refresh_token=Secret(rotated) if rotated else None,
        )
    code, words = _oauth_error(answer)
    detail = scrubbed(f"{code}: {words}".strip(": ")) or f"the token endpoint answered {status}"
    if code in _GONE or any(phrase in words.lower() for phrase in _GONE_WORDS):
        return Failure(FailureKind.AUTH_REVOKED, detail, status)
    if code in _WRONG_CLIENT:
        return Failure(FailureKind.MISCONFIGURED, f"{detail} {_USE_ITS_CLIENT}", status)
    if status == 429:
        return read_google_failure(status, headers, body, now=now)
    return Failure(FailureKind.UPSTREAM, detail, status)


def _oauth_error(answer: JsonObject) -> tuple[str, str]:
    """Code and words; `error` is text, or an object as in Google's other APIs."""
    error = answer.get("error")
    if isinstance(error, dict):
        return str(error.get("status", "")).lower(), str(error.get("message", ""))
    return str(error or ""), str(answer.get("error_description", ""))


def read_code_assist(body: bytes) -> CodeAssist:
    """Project, tier and the tier to onboard with (2.3, 2.4). ValueError for anything else."""
    answer = object_of(body)
    allowed = objects(answer.get("allowedTiers"))
    default = next(
        (tier for tier in allowed if tier.get("isDefault")), allowed[0] if allowed else {}
    )
    # A paying user's currentTier is still the free one, so paidTier is asked first.
    tiers = (answer.get("paidTier"), answer.get("currentTier"), default)
    tier_id = next(filter(None, map(_id_of, tiers)), "")
    return CodeAssist(
        project=_project_of(answer),
        tier=_tier_class(tier_id),
        default_tier=_id_of(default) or _id_of(answer.get("currentTier")) or DEFAULT_TIER,
    )


def read_onboarding(body: bytes) -> Onboarding:
    """Whether the project is there yet, or will never be (2.4). ValueError for anything else."""
    answer = object_of(body)
    refusal = _of_operation(body, part(answer, "error")) if answer.get("error") else None
    return Onboarding(answer.get("done") is True, _project_of(part(answer, "response")), refusal)


_PASSING_CODES: Final = frozenset({1, 2, 4, 8, 10, 13, 14})
"""CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE."""


def _of_operation(body: bytes, error: JsonObject) -> Failure:
    """An operation that ended with an error; its `code` is gRPC's, not a status of HTTP."""
    is_passing = error.get("code") in _PASSING_CODES
    return read_google_failure(500 if is_passing else 403, {}, body, now=0.0)


def read_email(body: bytes) -> str | None:
    return text(object_or_empty(body).get("email"))


_TIER_WORDS: Final = (
    ("ultra", "ultra"),
    ("standard-tier", "pro"),
    ("premium", "pro"),
    ("pro", "pro"),
    ("free", "free"),
)


def _tier_class(tier_id: str) -> str:
    name = tier_id.lower()
    return next((tier for word, tier in _TIER_WORDS if word in name), "unknown")


def _project_of(answer: JsonObject) -> str | None:
    for key in ("cloudaicompanionProject", "projectId", "project"):
        found = text(answer.get(key)) or _id_of(answer.get(key))
        if found is not None:
            return found
    return None


def _id_of(value: Any) -> str | None:
    return text(value.get("id")) if isinstance(value, dict) else None


_INTERNAL_MODELS: Final = ("chat_", "tab_")
"""Prefixes of ids that the IDE uses for itself (6.8): chat_20706, tab_flash_lite_preview, ..."""


def read_models(body: bytes, _now: float) -> Reading:
    """fetchAvailableModels in its display order (6.8). ValueError for anything else."""
    answer = object_of(body)
    models, searching = answer.get("models"), answer.get("webSearchModelIds")
    if not isinstance(models, dict):
        raise ValueError("the answer has no models")  # noqa: TRY004 - the interface's word
    listed = [
        (model_id, facts)
        for model_id, facts in models.items()
        if isinstance(facts, dict) and not model_id.startswith(_INTERNAL_MODELS)
    ]
    return Reading(
        models=tuple(_model(model_id, facts, searching) for model_id, facts in listed),
        figures=tuple(_figure(model_id, facts) for model_id, facts in listed),
    )


def _model(model_id: str, facts: JsonObject, searching: Any) -> ModelInfo:
    """The catalogue's row with what the upstream knows better.

    `searching`: ids of the models that can search the web (3.4), where it lists them.
    """
    usual = info(model_id)
    return replace(
        usual,
        display_name=text(facts.get("displayName")) or usual.display_name,
        max_output=count(facts.get("maxOutputTokens")) or usual.max_output,
        context_window=count(facts.get("maxTokens")) or usual.context_window,
        searches=model_id in searching if isinstance(searching, list) else usual.searches,
    )


def _figure(model_id: str, facts: JsonObject) -> QuotaReading:
    quota = part(facts, "quotaInfo")
    resets_at = iso_moment(text(quota.get("resetTime")) or "")
    remaining = number(quota.get("remainingFraction"))
    if remaining is None and resets_at is not None:
        remaining = 0.0  # the upstream leaves a zero out
    return QuotaReading(
        model=model_id,
        remaining=None if remaining is None else fraction(remaining),
        resets_at=resets_at,
    )
