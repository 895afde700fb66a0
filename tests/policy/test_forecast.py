"""When a quota runs out, from tables of figures, and by rules that hold for all figures."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from playbook import START, fingerprint

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.forecast import (
    FARTHEST,
    GRAIN,
    HOUR,
    SHORTEST,
    SILENCE,
    Forecast,
    forecast,
    remembered,
    soonest,
)
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.models import info
from mcp_proxy.policy.standing import Standing, standing_from_json, standing_to_json
from mcp_proxy.providers import QuotaReading
from mcp_proxy.strict_json import JsonObject

MINUTE = 60.0
FAR_RESET = START + 20 * 86_400.0
LASTS = None

Minutes = Sequence[tuple[float, float]]
"""Pairs of a minute and the fraction that was read then."""


def told(figures: Minutes, resets_at: float | None = None) -> Standing:
    """A standing to which these figures arrived one after the other."""
    standing = Standing()
    for minute, remaining in figures:
        now = START + minute * MINUTE
        standing = replace(
            standing,
            past=remembered(standing, remaining, now),
            remaining=remaining,
            remaining_at=now,
            resets_at=resets_at,
        )
    return standing


def minutes_left(
    figures: Minutes, at: float | None = None, resets_at: float | None = None
) -> float | None:
    """Minutes until it runs out, seen from minute `at`, or from the last figure."""
    now = START + (figures[-1][0] if at is None else at) * MINUTE
    seen = forecast(told(figures, resets_at), now)
    assert seen is not None, "there is no forecast"
    return None if seen.runs_out_at is None else (seen.runs_out_at - now) / MINUTE


STEADY = [(minute, 1 - minute / 100) for minute in range(0, 61, 5)]


@pytest.mark.parametrize(
    ("figures", "at", "left"),
    [
        ([(0, 1.0), (60, 0.4)], 60, 40),
        (STEADY, 60, 40),
        ([(0, 0.9), (5, 0.8)], 5, 40),
        ([(0, 0.9), (1, 0.8)], 1, 8),
        # Upstreams that report in fifths: the hour is what counts, not the latest step.
        ([(0, 1.0), (20, 0.8), (40, 0.8), (60, 0.6)], 60, 90),
        # Half an hour of use and half an hour of none.
        ([(0, 1.0), (30, 0.5), (60, 0.5)], 60, 60),
        # Silence tells nothing at first, and means idleness later.
        ([(0, 1.0), (30, 0.5)], 35, 25),
        ([(0, 1.0), (30, 0.5)], 65, 55),
        # What was used before the last hour does not count.
        ([(0, 1.0), (30, 0.9), (90, 0.6)], 90, 120),
        ([(0, 1.0), (600, 0.5)], 600, 60),
        # A figure that is late to say so.
        ([(0, 1.0), (4, 0.1)], 8, 0),
    ],
)
def test_what_the_last_hour_used_the_next_hours_use(
    figures: Minutes, at: float, left: float
) -> None:
    assert minutes_left(figures, at) == pytest.approx(left, abs=0.5)


@pytest.mark.parametrize(
    ("resets_in", "left"), [(41 * MINUTE, 40), (40 * MINUTE - 1, LASTS), (MINUTE, LASTS)]
)
def test_what_would_run_out_after_the_reset_lasts(resets_in: float, left: float | None) -> None:
    seen = minutes_left([(0, 1.0), (60, 0.4)], resets_at=START + HOUR + resets_in)
    assert seen == (left if left is None else pytest.approx(left))


@pytest.mark.parametrize(
    "figures",
    [
        [(0, 0.5), (5, 0.5)],
        [(0, 0.5), (5, 0.51), (10, 0.5), (15, 0.51)],
        [(0, 0.5), (5, 0.4), (95, 0.4)],
        # All of it in the burst; the account has been idle for an hour and a half since.
        [(0, 1.0), (2, 0.5), (4, 0.4)],
    ],
)
def test_what_idles_lasts_until_its_reset(figures: Minutes) -> None:
    assert minutes_left(figures, at=100, resets_at=FAR_RESET) is LASTS


def test_what_idles_and_never_resets_is_unknown() -> None:
    assert forecast(told([(0, 0.5), (5, 0.5)]), START + 300) is None


@pytest.mark.parametrize(
    "figures",
    [
        [],
        [(0, 0.5)],
        [(0, 0.6), (SHORTEST / MINUTE - 0.1, 0.5)],
        # A reset between the two, or quota that somebody bought.
        [(0, 0.3), (30, 1.0)],
        [(0, 0.9), (5, 0.2), (10, 0.23)],
        # Nothing is left to run out.
        [(0, 0.3), (30, 0.0)],
    ],
)
def test_without_two_figures_of_one_period_there_is_no_forecast(figures: Minutes) -> None:
    for resets_at in (None, FAR_RESET):
        assert forecast(told(figures, resets_at), START + 31 * MINUTE) is None


def test_a_figure_whose_reset_has_passed_tells_nothing() -> None:
    standing = told([(0, 1.0), (30, 0.5)], resets_at=START + 31 * MINUTE)
    assert forecast(standing, START + 31 * MINUTE) is None


def test_after_a_reset_use_is_counted_from_there() -> None:
    assert minutes_left([(0, 0.6), (10, 0.1), (20, 1.0), (30, 0.9)]) == pytest.approx(90)


def test_a_period_ends_at_its_reset_even_if_less_is_left_than_before() -> None:
    before = told([(0, 0.9), (5, 0.89)], resets_at=START + 6 * MINUTE)
    assert remembered(before, 0.8, START + 10 * MINUTE) == ((START + 10 * MINUTE, 0.8),)


def test_after_a_denial_the_next_figure_above_nothing_begins_anew() -> None:
    spent = replace(told([(0, 0.9), (5, 0.5)]), remaining=0.0)
    assert len(remembered(spent, 0.4, START + 600)) == 1
    forgotten = replace(spent, remaining=None)
    assert len(remembered(forgotten, 0.4, START + 600)) == 3
    assert len(remembered(forgotten, 0.6, START + 600)) == 1


def test_a_day_of_figures_keeps_no_more_than_an_hour() -> None:
    day = told([(second / 60, 1.0) for second in range(0, 86_400, 7)])
    assert len(day.past) <= HOUR / GRAIN + 2
    ages = [START + 86_400 - at for at, _ in day.past]
    assert ages[1] <= HOUR + GRAIN
    assert all(at + GRAIN <= later for (at, _), (later, _) in pairwise(day.past))


# ------------------------------------------------------------------ rules without exceptions

fractions = st.floats(0.0, 1.0)
waits = st.floats(0.1, 200.0)
"""Minutes between two figures."""


@st.composite
def declining(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Figures of one period, as (minute, fraction left)."""
    steps = draw(st.lists(st.tuples(waits, fractions), min_size=2, max_size=30))
    minute, minutes = 0.0, []
    for wait, _ in steps:
        minute += wait
        minutes.append(minute)
    left = sorted((remaining for _, remaining in steps), reverse=True)
    return list(zip(minutes, left, strict=True))


@given(
    st.lists(st.tuples(waits, fractions), max_size=30),
    st.floats(-10, 5000),
    st.none() | st.floats(START - 1e6, START + 1e7),
)
def test_it_is_never_in_the_past_nor_after_the_reset(
    steps: list[tuple[float, float]], later: float, resets_at: float | None
) -> None:
    minute, figures = 0.0, []
    for wait, remaining in steps:
        minute += wait
        figures.append((minute, remaining))
    now = START + (minute + later) * MINUTE
    seen = forecast(told(figures, resets_at), now)
    if seen is not None and seen.runs_out_at is not None:
        assert now <= seen.runs_out_at <= now + FARTHEST + SILENCE
        assert resets_at is None or seen.runs_out_at < resets_at
        assert seen.per_hour > 0


@given(declining(), st.floats(0, 600))
def test_the_one_who_uses_half_as_much_runs_out_later(
    fast: list[tuple[float, float]], later: float
) -> None:
    slow = [(minute, 1 - (1 - left) / 2) for minute, left in fast]
    now = START + (slow[-1][0] + later) * MINUTE
    of_slow, of_fast = (forecast(told(figures), now) for figures in (slow, fast))
    if fast[-1][1] == 0:
        assert of_fast is None
    elif of_slow is not None:
        assert of_fast is not None
        assert of_fast.runs_out_at is not None
        assert of_slow.runs_out_at is not None
        assert of_fast.runs_out_at <= of_slow.runs_out_at
        assert of_fast.per_hour == pytest.approx(2 * of_slow.per_hour)


@given(declining(), st.floats(0.01, 1.0))
def test_a_quota_of_another_size_used_as_fast_in_proportion_ends_at_the_same_time(
    figures: list[tuple[float, float]], size: float
) -> None:
    now = START + figures[-1][0] * MINUTE
    whole = forecast(told(figures), now)
    part = forecast(told([(minute, left * size) for minute, left in figures]), now)
    if whole is None or part is None:
        return
    assert whole.runs_out_at is not None
    assert part.runs_out_at is not None
    assert part.runs_out_at - now == pytest.approx(whole.runs_out_at - now, rel=1e-4, abs=0.01)


@given(declining(), declining())
def test_what_was_before_a_reset_changes_nothing(
    before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    assume(before[-1][1] < 0.5)
    full = [(0.0, 1.0), *after]
    later = [(before[-1][0] + 1 + minute, left) for minute, left in full]
    now = START + later[-1][0] * MINUTE
    assert forecast(told([*before, *later]), now) == forecast(told(later), now)


@given(declining(), st.floats(0, 100), st.floats(0, 100))
def test_the_longer_it_idles_the_longer_it_lasts(
    figures: list[tuple[float, float]], first: float, more: float
) -> None:
    moments = [START + (figures[-1][0] + minutes) * MINUTE for minutes in (first, first + more)]
    early, late = (forecast(told(figures), now) for now in moments)
    if early is not None and late is not None:
        assert early.runs_out_at is not None
        assert late.runs_out_at is not None
        assert late.runs_out_at >= early.runs_out_at - 1e-3


@given(declining())
def test_a_standing_comes_back_from_the_disk_with_its_past(
    figures: list[tuple[float, float]],
) -> None:
    standing = told(figures)
    assert standing_from_json(orjson.loads(orjson.dumps(standing_to_json(standing)))) == standing


@pytest.mark.parametrize(
    "past", [7, "x", {}, [1, 2], [[1.0]], [[1.0, "x"]], [[1.0, 0.5, 3.0]], [None]]
)
def test_a_damaged_past_costs_the_forecast_and_not_the_figure(past: object) -> None:
    row = {"remaining": 0.5, "remaining_at": START, "past": past}
    assert standing_from_json(row) == Standing(remaining=0.5, remaining_at=START)


# ------------------------------------------------------------------ several quotas at once

SOON, LATE, LASTING = Forecast(START + 60, 0.5), Forecast(START + 600, 0.4), Forecast(None, 0.1)


@pytest.mark.parametrize(
    ("together", "seen"),
    [
        ([SOON], SOON),
        ([LATE, SOON, LASTING], SOON),
        ([None, LATE], LATE),
        ([LASTING, LASTING], LASTING),
        ([LASTING, None], None),
        ([None], None),
    ],
)
def test_of_quotas_that_are_used_together_the_first_to_end_counts(
    together: list[Forecast | None], seen: Forecast | None
) -> None:
    assert soonest(together) == seen


CODEX = info("gpt-5.5", "codex")


class Disk:
    """The rows of a ledger, as they are stored."""

    def __init__(self) -> None:
        self.rows: dict[str, JsonObject] = {}

    def __call__(self, _table: str, key: str, row: JsonObject | None) -> None:
        self.rows[key] = orjson.loads(orjson.dumps(row))


def windows(short: float, long: float) -> list[QuotaReading]:
    return [
        QuotaReading(None, short, START + 3 * HOUR, window="5h"),
        QuotaReading(None, long, START + 90 * HOUR, window="7d"),
    ]


def test_the_window_that_ends_first_ends_the_model() -> None:
    ledger = Ledger(credential_id=fingerprint)
    ledger.observe_quota("a", windows(0.9, 0.9), START, "answer headers")
    assert ledger.forecast("a", CODEX, START) is None, "one reading is none"
    ledger.observe_quota("a", windows(0.8, 0.88), START + HOUR, "answer headers")
    week = ledger.forecast("a", CODEX, START + HOUR)
    assert week is not None
    assert week.runs_out_at == pytest.approx(START + 45 * HOUR, abs=1)
    ledger.observe_quota("a", windows(0.1, 0.86), START + 2 * HOUR, "answer headers")
    hours = ledger.forecast("a", CODEX, START + 2 * HOUR)
    assert hours is not None
    assert hours.runs_out_at == pytest.approx(START + 2 * HOUR + HOUR / 7, abs=1)


def test_a_restart_forgets_no_use() -> None:
    disk = Disk()
    ledger = Ledger(credential_id=fingerprint, on_change=disk)
    ledger.observe_quota("a", windows(0.9, 0.9), START, "quota poll")
    after = Ledger(credential_id=fingerprint)
    after.restore(disk.rows)
    for each in (ledger, after):
        each.observe_quota("a", windows(0.7, 0.9), START + 600, "quota poll")
    seen = after.forecast("a", CODEX, START + 600)
    assert seen is not None
    assert seen == ledger.forecast("a", CODEX, START + 600)


def test_a_spent_or_unknown_model_has_no_forecast() -> None:
    ledger = Ledger(credential_id=fingerprint)
    assert ledger.forecast("a", CODEX, START) is None
    for minute in (0, 10):
        ledger.observe_quota("a", windows(0.9, 0.9), START + minute * MINUTE, "quota poll")
    spent = Failure(FailureKind.QUOTA, "used up", 429, START + HOUR, Scope.ACCOUNT)
    ledger.observe_failure("a", CODEX, spent, START + 700)
    assert ledger.forecast("a", CODEX, START + 700) is None
