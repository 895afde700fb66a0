"""What the ledger believes after what it was told, and that it remembers it across restarts."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playbook import (
    FLASH,
    OPUS,
    PRO,
    SONNET,
    START,
    MakeFailure,
    Reading,
    account,
    capacity,
    fault,
    fingerprint,
    quota,
    rate,
)

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.ledger import Ledger, Mark, State
from mcp_proxy.policy.models import info
from mcp_proxy.policy.observations import LONGEST_COOLDOWN
from mcp_proxy.policy.standing import (
    Standing,
    mark_from_json,
    standing_from_json,
    standing_to_json,
)
from mcp_proxy.strict_json import JsonObject

NOW = START
HOUR = 3600.0
OPUS_INFO, SONNET_INFO, FLASH_INFO = info(OPUS), info(SONNET), info(FLASH)
LITE = "gemini-2.5-flash"


class Kept:
    """The rows that a ledger asked to be kept, as the disk would have them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, JsonObject]] = {"standings": {}, "marks": {}}
        self.writes = 0

    def __call__(self, table: str, key: str, row: JsonObject | None) -> None:
        self.writes += 1
        if row is None:
            del self.rows[table][key]
        else:
            self.rows[table][key] = orjson.loads(orjson.dumps(row))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def ledger(kept: Kept) -> Ledger:
    return Ledger(credential_id=fingerprint, on_change=kept)


def fails(ledger: Ledger, make: MakeFailure, now: float = NOW, model: str = OPUS) -> None:
    ledger.observe_failure("a", info(model), make(now), now)


def reads(
    ledger: Ledger,
    remaining: float | None,
    resets_at: float | None = None,
    now: float = NOW,
    model: str = OPUS,
) -> None:
    ledger.observe_quota("a", [Reading(model, remaining, resets_at)], now, "quota poll")


def cooled_for(ledger: Ledger, model: str = OPUS, now: float = NOW) -> float | None:
    until = ledger.limited_until("a", info(model), now)
    return None if until is None else until - now


def state(ledger: Ledger, now: float = NOW, model: str = OPUS) -> State:
    return ledger.state_of(account("a"), info(model), now, 0.2)


# ------------------------------------------------------------------ cooldowns


def test_a_rate_limit_cools_the_model_and_a_quota_its_bucket(ledger: Ledger) -> None:
    fails(ledger, rate(hint=20))
    assert (cooled_for(ledger, OPUS), cooled_for(ledger, SONNET)) == (20, None)
    fails(ledger, quota(resets_in=900))
    assert (cooled_for(ledger, OPUS), cooled_for(ledger, SONNET)) == (900, 900)
    assert cooled_for(ledger, FLASH) is None


def test_a_limit_of_the_whole_account_cools_every_model(ledger: Ledger) -> None:
    fails(ledger, lambda now: Failure(FailureKind.QUOTA, "x", 429, now + 60, Scope.ACCOUNT))
    assert (cooled_for(ledger, OPUS), cooled_for(ledger, FLASH)) == (60, 60)


def test_a_model_without_a_shared_bucket_is_cooled_alone(ledger: Ledger) -> None:
    fails(ledger, quota(60), model=LITE)
    assert (cooled_for(ledger, LITE), cooled_for(ledger, FLASH)) == (60, None)


def test_another_account_is_not_concerned(ledger: Ledger) -> None:
    fails(ledger, quota(60))
    assert ledger.limited_until("b", OPUS_INFO, NOW) is None


@pytest.mark.parametrize(
    "make",
    [capacity(), capacity(hint=60)]
    + [
        fault(kind)
        for kind in FailureKind
        if kind not in (FailureKind.RATE, FailureKind.QUOTA, FailureKind.CAPACITY)
    ],
)
def test_other_failures_limit_nobody(ledger: Ledger, kept: Kept, make: MakeFailure) -> None:
    fails(ledger, make)
    assert cooled_for(ledger) is None
    assert kept.writes == 0


def test_a_cooldown_ends_by_itself(ledger: Ledger) -> None:
    fails(ledger, rate(hint=20))
    assert cooled_for(ledger, now=NOW + 19.9) == pytest.approx(0.1)
    assert cooled_for(ledger, now=NOW + 20) is None


def test_a_stored_cooldown_lasts_two_seconds_at_least(ledger: Ledger) -> None:
    fails(ledger, rate(hint=0.3))
    assert cooled_for(ledger) == 2


def test_a_hint_of_days_is_believed_for_six_hours_and_then_probed(ledger: Ledger) -> None:
    fails(ledger, quota(resets_in=156 * HOUR))
    assert cooled_for(ledger) == LONGEST_COOLDOWN
    probed_at = NOW + LONGEST_COOLDOWN
    assert cooled_for(ledger, now=probed_at) is None
    assert state(ledger, now=probed_at) is State.EXHAUSTED
    ledger.observe_success("a", OPUS_INFO, probed_at)
    assert state(ledger, now=probed_at) is State.READY, "it serves; how long, nobody has said"


def test_quota_without_a_hint_backs_off_further_with_every_strike(ledger: Ledger) -> None:
    now, seen = NOW, []
    for _ in range(5):
        fails(ledger, quota(None), now)
        seen.append(cooled_for(ledger, now=now))
        now += (seen[-1] or 0) + 1
        if now - NOW > 2000:
            break
    assert seen == [60, 300, 1800]


def test_the_last_step_of_the_backoff_stays(ledger: Ledger) -> None:
    now = NOW
    for _ in range(6):
        fails(ledger, quota(None), now)
        now += 10
    assert cooled_for(ledger, now=now - 10) == 7200


def test_strikes_are_forgotten_after_an_hour(ledger: Ledger) -> None:
    fails(ledger, quota(None))
    later = NOW + HOUR + 1
    fails(ledger, quota(None), later)
    assert cooled_for(ledger, now=later) == 60


def test_a_burst_of_429s_counts_once(ledger: Ledger) -> None:
    for delay in (0.0, 0.1, 0.5, 1.9):
        fails(ledger, quota(None), NOW + delay)
    assert cooled_for(ledger) == 60
    assert ledger.evidence("a", OPUS_INFO).strikes == 1


def test_429s_to_calls_that_were_under_way_are_no_strikes_of_their_own(ledger: Ledger) -> None:
    for delay in (0.5, 3.0, 6.5, 61.0):
        failure, now = quota(None)(NOW + delay), NOW + delay
        ledger.observe_failure("a", OPUS_INFO, failure, now, asked_at=NOW)
        assert ledger.evidence("a", OPUS_INFO).strikes == 1
        assert cooled_for(ledger, now=now) == 60 - (delay - 0.5 if delay < 60 else 0)
    fails(ledger, quota(None), NOW + 70)
    assert ledger.evidence("a", OPUS_INFO).strikes == 2


def test_within_a_burst_the_longest_hint_counts(ledger: Ledger) -> None:
    fails(ledger, rate(hint=30))
    fails(ledger, rate(hint=10), NOW + 1)
    assert ledger.evidence("a", OPUS_INFO).strikes == 1
    assert cooled_for(ledger) == 30
    fails(ledger, rate(hint=60), NOW + 2)
    assert cooled_for(ledger) == 62


def test_after_a_burst_the_newest_hint_counts(ledger: Ledger) -> None:
    fails(ledger, rate(hint=30))
    fails(ledger, rate(hint=5), NOW + 10)
    assert cooled_for(ledger, now=NOW + 10) == 5


def test_a_rate_limit_does_not_shorten_a_wait_for_quota(ledger: Ledger) -> None:
    fails(ledger, quota(900), model=LITE)
    fails(ledger, rate(hint=5), NOW + 10, model=LITE)
    assert cooled_for(ledger, LITE) == 900
    assert state(ledger, NOW + 20, LITE) is State.EXHAUSTED


def test_a_clock_that_is_put_back_lengthens_no_cooldown(ledger: Ledger) -> None:
    fails(ledger, rate(hint=300))
    reads(ledger, 0.5, NOW + HOUR, NOW + 1)
    day_before = NOW - 24 * HOUR
    assert cooled_for(ledger, now=day_before) is None
    assert state(ledger, day_before) is not State.COOLING_DOWN
    reads(ledger, 0.3, day_before + HOUR, day_before + 1)
    assert cooled_for(ledger, now=day_before + 1) is None
    assert ledger.remaining("a", OPUS_INFO, day_before + 1) == 0.3
    fails(ledger, rate(hint=20), day_before + 2)
    assert cooled_for(ledger, now=day_before + 2) == 20


# ------------------------------------------------------------------ what ends them


def test_a_success_ends_the_cooldown_of_model_and_bucket(ledger: Ledger) -> None:
    fails(ledger, rate(hint=60))
    fails(ledger, quota(900))
    ledger.observe_success("a", SONNET_INFO, NOW + 5)
    assert cooled_for(ledger, SONNET, NOW + 5) is None
    assert cooled_for(ledger, OPUS, NOW + 5) == 55
    ledger.observe_success("a", OPUS_INFO, NOW + 5)
    assert cooled_for(ledger, OPUS, NOW + 5) is None


def test_a_fresh_figure_above_zero_ends_a_wait_for_quota(ledger: Ledger) -> None:
    fails(ledger, quota(900))
    reads(ledger, 0.4, now=NOW + 60)
    assert cooled_for(ledger, OPUS, NOW + 60) is None
    assert cooled_for(ledger, SONNET, NOW + 60) is None


def test_a_figure_asked_for_before_the_failure_proves_nothing(ledger: Ledger) -> None:
    fails(ledger, quota(900))
    reads(ledger, 0.4, now=NOW - 1)
    assert cooled_for(ledger) == 900
    assert ledger.remaining("a", OPUS_INFO, NOW) == 0


def test_a_figure_asked_for_since_ends_a_rate_limit_too(ledger: Ledger) -> None:
    """Issue 6.1; some upstreams call quota that is spent for an hour a rate."""
    fails(ledger, rate(hint=4567))
    told = ledger.evidence("a", OPUS_INFO).evidence
    reads(ledger, 0.9, now=NOW - 1)
    assert cooled_for(ledger) == 4567
    assert ledger.evidence("a", OPUS_INFO).evidence == told
    reads(ledger, 0.9, now=NOW + 1)
    assert cooled_for(ledger) is None
    assert "90% left" in ledger.evidence("a", OPUS_INFO).evidence


def test_whoever_waits_is_told_when_a_limit_ends_before_its_time() -> None:
    told: list[str] = []
    ledger = Ledger(credential_id=fingerprint, on_opened=lambda: told.append("opened"))
    fails(ledger, quota())
    assert told == []
    for later in (1, 2):
        ledger.observe_success("a", OPUS_INFO, NOW + later)
        assert told == ["opened"]


def test_an_older_figure_does_not_replace_a_newer_one(ledger: Ledger) -> None:
    reads(ledger, 0.4)
    reads(ledger, 0.8, now=NOW - 10)
    assert ledger.remaining("a", OPUS_INFO, NOW) == 0.4


# ------------------------------------------------------------------ figures


@pytest.mark.parametrize(
    ("remaining", "resets_at", "believed", "cooled"),
    [
        (0.6, NOW + HOUR, 0.6, None),
        (0.0, NOW + HOUR, 0.0, HOUR),
        (None, NOW + HOUR, 0.0, HOUR),
        (None, None, None, None),
        (0.0, None, 0.0, None),
        (1.7, None, 1.0, None),
        (-0.1, NOW + 9 * HOUR, 0.0, LONGEST_COOLDOWN),
        (0.0, NOW - 5, None, None),
    ],
)
def test_figures_of_a_quota_answer(
    ledger: Ledger,
    remaining: float | None,
    resets_at: float | None,
    believed: float | None,
    cooled: float | None,
) -> None:
    reads(ledger, remaining, resets_at)
    assert ledger.remaining("a", OPUS_INFO, NOW) == believed
    assert cooled_for(ledger) == cooled


def test_an_empty_models_figure_leaves_its_bucket_siblings_to_theirs(ledger: Ledger) -> None:
    fails(ledger, quota(900))
    readings = [Reading(OPUS, 0.0, NOW + HOUR), Reading(SONNET, 0.6, NOW + HOUR)]
    ledger.observe_quota("a", readings, NOW + 10, "quota poll")
    assert cooled_for(ledger, OPUS) == HOUR
    assert cooled_for(ledger, SONNET) is None


def test_a_figure_says_nothing_once_its_reset_has_passed(ledger: Ledger) -> None:
    reads(ledger, 0.0, NOW + 60)
    assert state(ledger) is State.EXHAUSTED
    assert ledger.remaining("a", OPUS_INFO, NOW + 60) is None
    assert state(ledger, NOW + 60) is State.UNKNOWN


@pytest.mark.parametrize(
    ("left", "general", "own", "limited"),
    [
        (0.2, 0.2, None, True),
        (0.21, 0.2, None, False),
        (0.3, 0.2, 0.3, True),
        (0.1, 0.2, 0.05, False),
        (0.0, None, 0.3, False),
        (None, 0.2, 0.9, False),
    ],
)
def test_soft_limits(
    ledger: Ledger, left: float | None, general: float | None, own: float | None, limited: bool
) -> None:
    reads(ledger, left)
    found = ledger.soft_limited(account("a", soft_limit=own), OPUS_INFO, general, NOW)
    assert found is limited


# ------------------------------------------------------------------ one word for it


def test_states(ledger: Ledger) -> None:
    assert state(ledger) is State.UNKNOWN
    reads(ledger, 0.8)
    assert state(ledger) is State.READY
    reads(ledger, 0.2, now=NOW + 1)
    assert state(ledger, NOW + 1) is State.SOFT_LIMITED
    fails(ledger, rate(hint=60), NOW + 2)
    assert state(ledger, NOW + 2) is State.COOLING_DOWN
    fails(ledger, quota(60), NOW + 3)
    assert state(ledger, NOW + 3) is State.EXHAUSTED
    ledger.mark("a", Mark("invalid", "gone", NOW, fingerprint(account("a"))))
    assert state(ledger, NOW + 3) is State.INVALID
    off = account("a", enabled=False)
    assert ledger.state_of(off, OPUS_INFO, NOW, 0.2) is State.DISABLED


def test_an_accounts_state_is_that_of_its_best_model(ledger: Ledger) -> None:
    served = [OPUS_INFO, FLASH_INFO]
    assert ledger.account_state(account("a"), served, NOW, 0.2) is State.UNKNOWN
    fails(ledger, quota(60))
    reads(ledger, 0.1, model=FLASH)
    assert ledger.account_state(account("a"), served, NOW, 0.2) is State.SOFT_LIMITED
    assert ledger.account_state(account("a"), [OPUS_INFO], NOW, 0.2) is State.EXHAUSTED
    assert ledger.account_state(account("a"), [], NOW, 0.2) is State.UNKNOWN


@pytest.mark.parametrize(
    "kind", [FailureKind.UPSTREAM, FailureKind.MISCONFIGURED, FailureKind.AUTH_EXPIRED]
)
def test_an_account_rests_after_three_faults_within_a_minute(
    ledger: Ledger, kind: FailureKind
) -> None:
    for delay in (0, 20, 40):
        assert not ledger.resting("a", NOW + delay)
        fails(ledger, fault(kind), NOW + delay)
    assert ledger.resting("a", NOW + 41)
    assert state(ledger, NOW + 41) is State.COOLING_DOWN
    assert not ledger.resting("a", NOW + 100)
    assert not ledger.resting("b", NOW + 41)


def test_5xx_that_are_far_between_or_interrupted_by_success_are_no_reason_to_rest(
    ledger: Ledger,
) -> None:
    for delay in (0, 50, 100):
        fails(ledger, fault(), NOW + delay)
    assert not ledger.resting("a", NOW + 101)
    ledger.observe_success("a", OPUS_INFO, NOW + 102)
    for delay in (103, 104):
        fails(ledger, fault(), NOW + delay)
    assert not ledger.resting("a", NOW + 105)


def test_the_evidence_behind_a_state_can_be_told(ledger: Ledger) -> None:
    reads(ledger, 0.4)
    assert ledger.evidence("a", OPUS_INFO).evidence == "quota poll: 40% left"
    fails(ledger, quota(900), NOW + 5)
    assert ledger.evidence("a", OPUS_INFO).evidence == "429 quota, for 15m0s: not now"
    figure = ledger.figure("a", OPUS_INFO, NOW + 5)
    assert figure is not None
    assert (figure.remaining, figure.source, figure.remaining_at) == (0.0, "answer", NOW + 5)


def test_health_falls_with_failures_and_comes_back_with_time(ledger: Ledger) -> None:
    assert ledger.health.of("a", NOW) == 70
    fails(ledger, rate())
    fails(ledger, fault())
    assert ledger.health.of("a", NOW) == 40
    assert ledger.health.of("a", NOW + HOUR) == 50
    ledger.observe_success("a", OPUS_INFO, NOW)
    assert ledger.health.of("a", NOW) == 41
    assert ledger.health.of("a", NOW + 100 * HOUR) == 100


# ------------------------------------------------------------------ keeping


def restored(kept: Kept) -> Ledger:
    fresh = Ledger(credential_id=fingerprint)
    fresh.restore(kept.rows["standings"], kept.rows["marks"])
    return fresh


def test_standings_and_marks_survive_a_restart(ledger: Ledger, kept: Kept) -> None:
    fails(ledger, rate(hint=60))
    fails(ledger, quota(900))
    reads(ledger, 0.4, model=FLASH)
    mark = Mark("verification", "see there", NOW, fingerprint(account("a")), "https://example.org")
    ledger.mark("a", mark)
    after = restored(kept)
    for model in (OPUS, SONNET, FLASH, PRO):
        assert cooled_for(after, model) == cooled_for(ledger, model)
        assert after.remaining("a", info(model), NOW) == ledger.remaining("a", info(model), NOW)
        assert after.evidence("a", info(model)) == ledger.evidence("a", info(model))
    assert after.mark_of(account("a")) == mark


def test_newer_rows_of_another_process_are_taken_and_older_ones_are_not(
    ledger: Ledger, kept: Kept
) -> None:
    fails(ledger, rate(hint=60))
    elsewhere = restored(kept)
    fails(elsewhere, rate(hint=90), NOW + 10)
    row = standing_to_json(elsewhere.standing("a", OPUS_INFO))
    ledger.restore({f"a|{OPUS}": row})
    assert cooled_for(ledger) == 100
    ledger.restore(kept.rows["standings"])
    assert cooled_for(ledger) == 100


def test_a_mark_that_was_cleared_elsewhere_is_gone_here(ledger: Ledger) -> None:
    ledger.mark("a", Mark("invalid", "gone", NOW, fingerprint(account("a"))))
    ledger.restore(marks={})
    assert ledger.mark_of(account("a")) is None


def test_marks_are_kept_and_cleared_once(ledger: Ledger, kept: Kept) -> None:
    mark = Mark("invalid", "gone", NOW, fingerprint(account("a")))
    ledger.mark("a", mark)
    ledger.mark("a", mark)
    ledger.clear_mark("a")
    ledger.clear_mark("a")
    assert kept.writes == 2
    assert kept.rows["marks"] == {}


def test_a_removed_account_leaves_nothing_behind(ledger: Ledger, kept: Kept) -> None:
    fails(ledger, quota(900))
    fails(ledger, fault())
    ledger.mark("a", Mark("invalid", "gone", NOW, fingerprint(account("a"))))
    ledger.forget("a")
    assert kept.rows == {"standings": {}, "marks": {}}
    assert cooled_for(ledger) is None
    assert ledger.health.of("a", NOW) == 70


def test_answers_are_written_down_once_a_minute_at_most(ledger: Ledger, kept: Kept) -> None:
    reads(ledger, 0.8)
    before = kept.writes
    for second in range(120):
        ledger.observe_success("a", OPUS_INFO, NOW + second)
    assert kept.writes - before == 2


ROW = {"remaining": 0.5, "changed_at": 5.0}


@pytest.mark.parametrize(
    "row",
    [
        None,
        3,
        [],
        ROW | {"remaining": "half"},
        ROW | {"strikes": 1.5},
        ROW | {"strikes": []},
        ROW | {"evidence": 4},
        ROW | {"limit_kind": "moon"},
        ROW | {"limit_kind": []},
        ROW | {"limited_until": {}},
    ],
)
def test_a_damaged_row_is_passed_over(ledger: Ledger, row: object) -> None:
    ledger.restore({f"a|{OPUS}": row, "no key": ROW}, {"a": row})
    assert ledger.remaining("a", OPUS_INFO, NOW) is None
    assert ledger.mark_of(account("a")) is None


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert standing_from_json(ROW | {"mood": "blue"}) == Standing(remaining=0.5, changed_at=5.0)


@pytest.mark.parametrize("row", [{}, {"kind": "odd"}, {"kind": "invalid", "at": "noon"}])
def test_a_damaged_mark_is_none(row: object) -> None:
    assert mark_from_json(row) is None


numbers = st.none() | st.floats(0, 2e9, allow_nan=False)


@given(
    st.builds(
        Standing,
        remaining=st.none() | st.floats(0, 1),
        remaining_at=numbers,
        resets_at=numbers,
        source=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        limited_until=numbers,
        limit_kind=st.none() | st.sampled_from(FailureKind),
        evidence=st.text(st.characters(exclude_categories=["Cs"])),
        strikes=st.integers(0, 99),
        last_failure_at=numbers,
        last_success_at=numbers,
        changed_at=st.floats(0, 2e9),
    )
)
def test_a_standing_comes_back_from_json_as_it_was(standing: Standing) -> None:
    assert standing_from_json(orjson.loads(orjson.dumps(standing_to_json(standing)))) == standing


actions: st.SearchStrategy[Callable[[Ledger, float], None]] = st.one_of(
    st.builds(
        lambda make, model: lambda ledger, now: fails(ledger, make, now, model),
        st.builds(rate, st.none() | st.floats(-10, 1e9))
        | st.builds(quota, st.none() | st.floats(-10, 1e9))
        | st.just(fault()),
        st.sampled_from([OPUS, SONNET, FLASH, LITE]),
    ),
    st.builds(
        lambda left, after, model: lambda ledger, now: reads(ledger, left, now + after, now, model),
        st.none() | st.floats(0, 1),
        st.floats(-100, 1e6),
        st.sampled_from([OPUS, SONNET, FLASH, LITE]),
    ),
    st.builds(
        lambda model: lambda ledger, now: ledger.observe_success("a", info(model), now),
        st.sampled_from([OPUS, SONNET, FLASH, LITE]),
    ),
)


@given(st.lists(st.tuples(actions, st.floats(0, 1e4)), max_size=30))
def test_whatever_happens_no_cooldown_is_endless_and_a_restart_changes_nothing(
    story: list[tuple[Callable[[Ledger, float], None], float]],
) -> None:
    kept = Kept()
    ledger, now = Ledger(credential_id=fingerprint, on_change=kept), NOW
    for act, pause in story:
        now += pause
        act(ledger, now)
    after = restored(kept)
    for model in (OPUS, SONNET, FLASH, LITE):
        cooled = cooled_for(ledger, model, now)
        assert cooled is None or 0 < cooled <= LONGEST_COOLDOWN
        assert cooled_for(after, model, now) == cooled
        remaining = ledger.remaining("a", info(model), now)
        assert remaining is None or 0 <= remaining <= 1
        # Resting is forgotten by a restart, on purpose.
        if not ledger.resting("a", now):
            assert state(after, now, model) is state(ledger, now, model)


def test_a_mark_with_another_credential_is_not_this_accounts(ledger: Ledger) -> None:
    mark = Mark("invalid", "gone", NOW, "another")
    ledger.mark("a", mark)
    assert ledger.mark_of(account("a")) is None
    ledger.mark("a", replace(mark, credential_id=fingerprint(account("a"))))
    assert ledger.mark_of(account("a")) is not None


def test_an_answer_shows_that_an_account_serves_where_nobody_tells_what_is_left(
    ledger: Ledger,
) -> None:
    assert state(ledger) is State.UNKNOWN
    ledger.observe_success("a", OPUS_INFO, NOW)
    assert state(ledger) is State.READY
    assert ledger.remaining("a", OPUS_INFO, NOW) is None
