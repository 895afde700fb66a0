"""What the Codex back end says of accounts: tokens, models, and what is left of the plan's windows.

Section numbers are those of protocols/providers.md.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from mcp_proxy.account import Secret
from mcp_proxy.dialects.effort import LEVELS
from mcp_proxy.jwt_claims import expiry_of
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.durations import plain_number
from mcp_proxy.policy.models import info
from mcp_proxy.providers import JsonObject, QuotaReading, Reading, TokenAnswer
from mcp_proxy.providers.header_names import lower_case
from mcp_proxy.providers.loose_json import (
    count,
    fraction,
    number,
    object_of,
    object_or_empty,
    objects,
    part,
    rows,
    text,
    token_text,
)

PROVIDER_NAME: Final = "codex"

LOGIN_CLAIMS: Final = "https://api.openai.com/auth"
"""Under this name a token says whose it is (7.3)."""

_USUAL_LIFE: Final = 3600.0
"""Seconds, for a token that tells no end."""


def read_token(body: bytes, *, now: float) -> TokenAnswer | None:
    """A token endpoint's 200; None when there is no token in it."""
    answer = object_or_empty(body)
    token = token_text(answer.get("access_token"))
    rotated = token_text(answer.get("refresh_token"))
    if token is None:
        return None
    expires_in = number(answer.get("expires_in"))
    if expires_in is None:
        ends = expiry_of(token)
        expires_in = _USUAL_LIFE if ends is None else max(ends - now, 0.0)
    return TokenAnswer(Secret(token), expires_in, Secret(rotated) if rotated else None)


# Models

_CALLABLE: Final = frozenset({"list", "hide"})
"""`hide` keeps a model out of a menu, not from being asked."""


def read_models(body: bytes, now: float) -> Reading:
    """`GET /models` (7.5). ValueError for anything else."""
    listed = [row for row in rows(body, "models") if row.get("visibility", "list") in _CALLABLE]
    return Reading(models=tuple(_model(slug, row) for row in listed if (slug := _slug(row))))


def _slug(row: JsonObject) -> str | None:
    return text(row.get("slug"))


def _model(slug: str, row: JsonObject) -> ModelInfo:
    usual = info(slug, PROVIDER_NAME)
    takes = row.get("input_modalities")
    return replace(
        usual,
        display_name=text(row.get("display_name")) or usual.display_name,
        context_window=count(row.get("context_window")) or usual.context_window,
        takes_images="image" in takes if isinstance(takes, list) else usual.takes_images,
        thinking=_thinking(row) or usual.thinking,
    )


def _thinking(row: JsonObject) -> ThinkingSpec | None:
    told = {each.get("effort") for each in objects(row.get("supported_reasoning_levels"))}
    levels = tuple(effort for effort in LEVELS if effort in told)
    return ThinkingSpec(levels=levels, can_be_off="none" in levels) if levels else None


# Windows: what is left of the plan (7.7)


def read_usage(body: bytes, now: float) -> Reading:
    """`GET /wham/usage`. ValueError for anything else."""
    answer = object_of(body)
    figures = list(_usage_figures(part(answer, "rate_limit"), now))
    for extra in objects(answer.get("additional_rate_limits")):
        model = _model_of(text(extra.get("limit_name")))
        if model is not None:
            figures += _of_model(model, _usage_figures(part(extra, "rate_limit"), now))
    return Reading(figures=tuple(figures), plan=text(answer.get("plan_type")))


def _usage_figures(limit: JsonObject, now: float) -> Iterator[QuotaReading]:
    for key in ("primary_window", "secondary_window"):
        window = part(limit, key)
        seconds = number(window.get("limit_window_seconds"))
        reset_after = number(window.get("reset_after_seconds"))
        yield from _figure(
            used=number(window.get("used_percent")),
            minutes=None if seconds is None else seconds / 60,
            resets_at=_moment(number(window.get("reset_at")), reset_after, now),
        )


_WINDOW_HEADER: Final = re.compile(r"x-codex-(?:(.+)-)?(?:primary|secondary)-used-percent")
_USED: Final = "used-percent"


def read_window_headers(
    headers: Mapping[str, str], model: ModelInfo, *, now: float
) -> tuple[QuotaReading, ...]:
    """The windows in the headers of an answer: the plan's, and those of the model that was asked.

    Families with a name are limits of single models; only the one that is the asked model's counts.
    """
    lower = lower_case(headers)
    shared: list[QuotaReading] = []
    of_model: list[QuotaReading] = []
    for name in lower:
        found = _WINDOW_HEADER.fullmatch(name)
        if found is None:
            continue
        figure = _header_figure(name.removesuffix(_USED), lower, now)
        if found[1] is None:
            shared += figure
        elif _model_of(lower.get(f"x-codex-{found[1]}-limit-name")) == model.id:
            of_model += figure
    return (*shared, *_of_model(model.id, iter(of_model)))


def _header_figure(prefix: str, headers: Mapping[str, str], now: float) -> Iterator[QuotaReading]:
    def told(name: str) -> float | None:
        return plain_number(headers.get(prefix + name, ""))

    reset = _moment(told("reset-at"), told("reset-after-seconds"), now)
    return _figure(used=told(_USED), minutes=told("window-minutes"), resets_at=reset)


def _figure(
    *, used: float | None, minutes: float | None, resets_at: float | None
) -> Iterator[QuotaReading]:
    """A window is known by its length, never by its place: plans lack one or the other."""
    if used is not None and minutes:
        remaining = fraction(1.0 - used / 100)
        yield QuotaReading(None, remaining, resets_at, window=_window_name(minutes))


def _of_model(model: str, figures: Iterator[QuotaReading]) -> list[QuotaReading]:
    """A model's own windows as one figure: the one of which least is left."""
    least = min(figures, key=lambda figure: figure.remaining or 0.0, default=None)
    return [] if least is None else [QuotaReading(model, least.remaining, least.resets_at)]


def _model_of(limit_name: str | None) -> str | None:
    """The id of the model that a limit is named after: `GPT-5.3-Codex-Spark`."""
    return limit_name.strip().lower().replace(" ", "-") if limit_name else None


def _moment(at: float | None, after: float | None, now: float) -> float | None:
    if at is not None:
        return at
    return None if after is None else now + after


_UNITS: Final = ((1440, "d"), (60, "h"), (1, "m"))


def _window_name(minutes: float) -> str:
    """300 -> `5h`, 10080 -> `7d`: the largest unit that leaves no rest."""
    whole = round(minutes)
    size, unit = next(pair for pair in _UNITS if whole % pair[0] == 0)
    return f"{whole // size}{unit}"
