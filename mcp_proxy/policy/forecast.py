"""When a quota runs out, from the figures of the last hour. Knows no account and calls no clock.

Upstreams say how much is left, not how fast it goes. Rules:

1. What the last hour used, the next hours use.
2. Figures are read while an account is used: where none came, nothing was used. Only silence that
   is shorter than the time between two readings says nothing.
3. A figure that rises, or whose reset has passed, begins a new account of use.
4. Whoever ends later than the reset does not end at all.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from mcp_proxy.policy.standing import PastFigures, Standing

HOUR: Final = 3600.0

GRAIN: Final = 300.0
"""Seconds between two figures that are kept: a dozen of them make an hour."""

SILENCE: Final = 300.0
"""Seconds between two readings of an account in use. Later than that it was idle."""

SHORTEST: Final = 60.0
"""Seconds between the first and the last figure. In less, a rounded percent looks like a rush."""

RISE: Final = 0.02
"""Rounded figures, and those of several sources, flicker by a hundredth; quota that is back is
more."""

FARTHEST: Final = 31 * 86_400.0
"""Seconds. Longer than the longest span of any subscription an hour's use says nothing."""


class Forecast(NamedTuple):
    """What becomes of a quota when its use goes on as in the last hour."""

    runs_out_at: float | None
    """None: it lasts until its reset."""
    per_hour: float
    """Fraction of the whole quota that an hour uses."""


def remembered(held: Standing, remaining: float, now: float) -> PastFigures:
    """The past figures of a standing that was `held`, when a new figure arrives."""
    past = held.past
    if not past or _begins_anew(held, remaining, now):
        return ((now, remaining),)
    if now - past[-1][0] < GRAIN:
        return past
    return (*past[_first_needed(past, now - HOUR) :], (now, remaining))


def forecast(standing: Standing, now: float) -> Forecast | None:
    """None when there is nothing to tell: no figure, only one, nothing left, or no end in sight."""
    remaining, read_at = standing.remaining_now(now), standing.remaining_at
    if not remaining or read_at is None or not standing.past:
        return None
    if read_at - standing.past[0][0] < SHORTEST:
        return None
    known_until = max(read_at, now - SILENCE)
    rate = _rate((*standing.past, (read_at, remaining)), known_until)
    runs_out_at = max(now, known_until + _seconds_left(remaining, rate))
    if standing.resets_at is not None and runs_out_at >= standing.resets_at:
        return Forecast(None, rate * HOUR)
    return Forecast(runs_out_at, rate * HOUR) if runs_out_at < math.inf else None


def soonest(forecasts: Sequence[Forecast | None]) -> Forecast | None:
    """Of quotas that are used together, each of which can end the use."""
    known = [each for each in forecasts if each is not None]
    ending = [(each.runs_out_at, each) for each in known if each.runs_out_at is not None]
    if ending:
        return min(ending)[1]
    return known[0] if known and len(known) == len(forecasts) else None


def _begins_anew(held: Standing, remaining: float, now: float) -> bool:
    if held.resets_at is not None and now >= held.resets_at:
        return True
    before = held.past[-1][1] if held.remaining is None else held.remaining
    return remaining > before + RISE


def _rate(figures: PastFigures, until: float) -> float:
    """Fraction used per second, over the hour until then or as much of it as is known."""
    since = max(figures[0][0], until - HOUR)
    used = figures[_first_needed(figures, since)][1] - figures[-1][1]
    return max(0.0, used) / (until - since)


def _seconds_left(remaining: float, rate: float) -> float:
    """Infinite when it is so long that the last hour says nothing about it."""
    return remaining / rate if rate > remaining / FARTHEST else math.inf


def _first_needed(figures: PastFigures, begin: float) -> int:
    """Index of the figure that held at `begin`: the last one until then, else the first of all."""
    until_then = sum(at <= begin for at, _ in figures)
    return max(0, until_then - 1)
