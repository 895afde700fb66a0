"""What one observation makes of a standing: a figure, a limit, an answer. Values in, values out.

Each function gives the changed standing, or None when the observation changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.policy.durations import spell_duration
from mcp_proxy.policy.forecast import remembered
from mcp_proxy.policy.standing import Standing

BACKOFF: Final[Mapping[FailureKind, tuple[float, ...]]] = {
    FailureKind.QUOTA: (60.0, 300.0, 1800.0, 7200.0),
    FailureKind.RATE: (30.0,),
}
"""Seconds by strikes so far, when the upstream names no time (6.4). Only these kinds are limits."""

SHORTEST_COOLDOWN: Final = 2.0
LONGEST_COOLDOWN: Final = 6 * 3600.0
BURST: Final = 2.0
"""Seconds within which further 429s of the same standing are the same event (pitfall 37)."""
STRIKES_LAST: Final = 3600.0

_SUCCESS_GRAIN: Final = 60.0


def after_figure(
    held: Standing, remaining: float, resets_at: float | None, now: float, source: str
) -> Standing | None:
    """Nothing left until a known moment is a cooldown; something left ends one."""
    if held.remaining_at is not None and now < held.remaining_at:
        return None
    fresh = replace(
        held,
        remaining=remaining,
        remaining_at=now,
        resets_at=resets_at,
        source=source,
        past=remembered(held, remaining, now),
        changed_at=now,
    )
    evidence = f"{source}: {remaining:.0%} left"
    if remaining == 0 and resets_at is not None and resets_at > now:
        until = min(resets_at, now + LONGEST_COOLDOWN)
        quota = FailureKind.QUOTA
        return replace(fresh, limited_until=until, limit_kind=quota, evidence=evidence)
    if remaining > 0 and held.limit_kind is not None and _asked_since(held, now):
        fresh = replace(fresh, limited_until=None, limit_kind=None, strikes=0)
    # What limits it still is what there is to tell of it.
    return fresh if fresh.limited_now(now) is not None else replace(fresh, evidence=evidence)


def after_refill(held: Standing, now: float, source: str) -> Standing | None:
    """Some model of the bucket has quota again: from here on each model's own figure counts."""
    if held.limit_kind is not FailureKind.QUOTA or not _asked_since(held, now):
        return None
    evidence = f"{source}: quota is there again"
    return Standing(evidence=evidence, last_success_at=held.last_success_at)


def after_limit(
    held: Standing, failure: Failure, now: float, *, asked_at: float
) -> Standing | None:
    """A cooldown, and a strike unless it is still the same burst.

    `asked_at`: when the call was made. One that was under way at the last strike is no further one.
    """
    kept = held.limited_now(now)
    was_under_way = held.last_failure_at is not None and asked_at < held.last_failure_at
    same_burst = was_under_way or (kept is not None and _struck_within(held, BURST, now))
    if same_burst and kept is not None and failure.retry_at is None:
        return None
    strikes = held.strikes if _struck_within(held, STRIKES_LAST, now) else 0
    if same_burst and strikes:
        strikes -= 1  # it has been counted
    until, kind = _cooldown(failure, strikes, now), failure.kind
    outlasts = same_burst or held.limit_kind is FailureKind.QUOTA is not kind
    if kept is not None and kept > until and outlasts:
        until, kind = kept, held.limit_kind or kind
    fresh = replace(
        held,
        limited_until=until,
        limit_kind=kind,
        evidence=_told(failure, now),
        strikes=strikes + 1,
        last_failure_at=now,
    )
    if failure.kind is not FailureKind.QUOTA:
        return fresh
    resets_at = failure.retry_at
    return replace(fresh, remaining=0.0, remaining_at=now, resets_at=resets_at, source="answer")


def after_answer(held: Standing, now: float) -> Standing | None:
    """Whatever limited it is over."""
    if held.limited_until is not None or held.strikes or held.remaining == 0:
        spent = held.remaining == 0
        return replace(
            held,
            remaining=None if spent else held.remaining,
            resets_at=None if spent else held.resets_at,
            limited_until=None,
            limit_kind=None,
            strikes=0,
            evidence="an answer",
            last_success_at=now,
        )
    if now - (held.last_success_at or 0.0) >= _SUCCESS_GRAIN:
        return replace(held, last_success_at=now)
    return None


def _cooldown(failure: Failure, strikes: int, now: float) -> float:
    """The moment until which a limit is respected: the upstream's within reason, else our own."""
    steps = BACKOFF[failure.kind]
    until = failure.retry_at
    if until is None:
        until = now + steps[min(strikes, len(steps) - 1)]
    return min(max(until, now + SHORTEST_COOLDOWN), now + LONGEST_COOLDOWN)


def _struck_within(held: Standing, seconds: float, now: float) -> bool:
    return held.last_failure_at is not None and now - held.last_failure_at <= seconds


def _asked_since(held: Standing, now: float) -> bool:
    """Whether a figure asked for at `now` can know of the row's last failure."""
    return held.last_failure_at is None or now > held.last_failure_at


def _told(failure: Failure, now: float) -> str:
    """What the upstream said, in one line."""
    wait = "" if failure.retry_at is None else f", for {spell_duration(failure.retry_at - now)}"
    return f"{failure.status or 'answer'} {failure.kind}{wait}: {failure.detail[:160]}"
