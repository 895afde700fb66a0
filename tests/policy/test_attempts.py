"""Every rule of `policy/attempts.py` as a transcript."""

from dataclasses import replace

import pytest
from playbook import (
    FLASH,
    OPUS,
    PRO,
    SONNET,
    account,
    capacity,
    fault,
    needs_owner,
    opus_limited_until,
    plan,
    play,
    quota,
    rate,
    served,
    tokenless,
)

from mcp_proxy.errors import ErrorKind, Failure, FailureKind, UnknownModel
from mcp_proxy.policy import attempts
from mcp_proxy.policy.models import info
from mcp_proxy.policy.routes import Directory, RouteTarget, Routing

HOUR = 3600.0
PROBLEM_URL = "https://accounts.google.com/signin/continue?x=1"


def test_every_kind_of_failure_has_its_rule() -> None:
    assert set(attempts._AFTER) == set(FailureKind)


# ------------------------------------------------------------------ limits


def test_second_account_is_tried_when_the_first_is_out_of_quota() -> None:
    play(plan(["a", "b"])).tries("a").fails(quota(resets_in=900)).tries("b").succeeds()


def test_an_account_out_of_quota_is_not_asked_for_any_model_of_its_bucket() -> None:
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(quota()).tries("b").succeeds()
    assert served(scene, SONNET) == "b"
    assert served(scene, FLASH) == "a"


def test_a_rate_limit_leaves_the_account_free_for_other_models() -> None:
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(rate(hint=20)).tries("b").succeeds()
    assert served(scene, SONNET, session="another") == "a"


def test_a_burst_is_waited_for_on_the_same_account() -> None:
    play(plan(["a", "b"])).tries("a").fails(rate(hint=0.479)).waits(0.479).tries("a").succeeds()


def test_calls_sent_together_and_refused_one_after_the_other_are_one_strike() -> None:
    scene = plan(["a"], max_wait=0)
    for request in [play(scene, session=f"{number}").tries("a") for number in range(11)]:
        request.fails(quota(resets_in=None), after=0.5)
    assert opus_limited_until(scene.later(-5.0), "a") == 60


def test_a_third_burst_counts_as_a_longer_limit() -> None:
    (
        play(plan(["a", "b"]))
        .tries("a")
        .fails(rate(hint=1))
        .waits(1)
        .tries("a")
        .fails(rate(hint=1))
        .waits(1)
        .tries("a")
        .fails(rate(hint=1))
        .tries("b")
        .succeeds()
    )


def test_a_hint_of_three_seconds_moves_on_to_the_next_account() -> None:
    for judged_after in (0.0, 0.001):
        hint = rate(hint=3 - judged_after)
        play(plan(["a", "b"])).tries("a").fails(hint).tries("b").succeeds()
    play(plan(["a", "b"])).tries("a").fails(rate(hint=2.95)).waits(2.95).tries("a").succeeds()


def test_a_rate_limit_without_a_hint_moves_on_and_cools_for_the_default_time() -> None:
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(rate()).tries("b").succeeds()
    assert opus_limited_until(scene, "a") == 30


def test_the_soonest_account_is_waited_for_when_all_are_limited() -> None:
    (
        play(plan(["a", "b"]))
        .tries("a")
        .fails(rate(hint=90))
        .tries("b")
        .fails(rate(hint=40))
        .waits(40)
        .tries("b")
        .succeeds()
    )


def test_a_wait_of_exactly_the_longest_allowed_is_made() -> None:
    play(plan(["a"], max_wait=120)).tries("a").fails(rate(hint=120)).waits(120).tries("a")


def test_a_longer_wait_is_refused_with_the_moment_and_the_model() -> None:
    request = play(plan(["a"])).tries("a").fails(quota(resets_in=2 * HOUR))
    error = request.gives_up(
        ErrorKind.LIMITED,
        rf"^RESOURCE_EXHAUSTED: Rate limited on {OPUS}\. Quota will reset after 2h0m0s\. "
        r"Next available: 2027-01-15T10:00:00Z$",
        retry_after=2 * HOUR,
    )
    assert error.retry_is_pointless


def test_waits_of_one_request_add_up_to_the_longest_allowed() -> None:
    request = play(plan(["a"], max_wait=100))
    request.tries("a").fails(rate(hint=60)).waits(60).tries("a").fails(rate(hint=60))
    request.gives_up(ErrorKind.LIMITED, retry_after=60)


def test_a_request_that_may_not_wait_does_not_even_wait_for_a_burst() -> None:
    request = play(plan(["a", "b"], max_wait=0))
    request.tries("a").fails(rate(hint=1)).tries("b").fails(rate(hint=1))
    request.gives_up(ErrorKind.LIMITED, "RESOURCE_EXHAUSTED")


def test_an_account_cooled_by_another_request_is_skipped() -> None:
    scene = plan(["a", "b"])
    first, second = play(scene, session="one"), play(scene, session="two")
    first.tries("a")
    scene.busy["a"] = 1
    second.tries("b").fails(rate(hint=60))
    first.fails(rate(hint=30)).waits(30).tries("a")


def test_a_limit_known_before_the_request_costs_no_try() -> None:
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(quota()).tries("b").succeeds()
    request = play(scene, session="another")
    request.tries("b").succeeds()
    assert request.plan.attempts == 1


def test_a_limit_that_has_passed_meanwhile_is_not_waited_for_long() -> None:
    request = play(plan(["a", "b"]))
    request.tries("a").fails(rate(hint=4)).tries("b").fails(rate(hint=50), after=10)
    request.waits(1).tries("a").succeeds()


# ------------------------------------------------------------------ faults


@pytest.mark.parametrize("kind", [FailureKind.UPSTREAM, FailureKind.NETWORK, FailureKind.SLOW])
def test_another_account_is_asked_at_once_after_a_fault(kind: FailureKind) -> None:
    play(plan(["a", "b"])).tries("a").fails(fault(kind)).tries("b").succeeds()


def test_a_lone_account_is_asked_again_at_another_host_after_a_pause() -> None:
    play(plan(["a"])).tries("a", host=0).fails(fault()).pauses().tries("a", host=1).succeeds()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (FailureKind.UPSTREAM, ErrorKind.UPSTREAM),
        (FailureKind.NETWORK, ErrorKind.UPSTREAM),
        (FailureKind.EMPTY, ErrorKind.UPSTREAM),
        (FailureKind.SLOW, ErrorKind.SLOW),
        (FailureKind.CAPACITY, ErrorKind.OVERLOADED),
    ],
)
def test_three_faults_are_the_end_and_the_last_one_names_the_error(
    kind: FailureKind, told: ErrorKind
) -> None:
    request = play(plan(["a"]))
    request.tries("a").fails(fault()).pauses().tries("a").fails(fault()).pauses()
    request.tries("a").fails(fault(kind, "the last words")).gives_up(told, "3 attempts.*last words")


def test_three_tries_are_all_even_with_many_accounts() -> None:
    request = play(plan(["a", "b", "c", "d"]))
    request.tries("a").fails(fault()).tries("b").fails(fault()).tries("c").fails(fault())
    request.gives_up(ErrorKind.UPSTREAM)


def test_a_fault_after_the_window_for_retries_is_final() -> None:
    request = play(plan(["a", "b"], fallback=True)).tries("a")
    request.fails(fault(FailureKind.SLOW, "silent"), after=120).gives_up(ErrorKind.SLOW, "silent")


def test_what_takes_long_to_fail_is_tried_only_while_there_is_time_for_it() -> None:
    request = play(plan(["a", "b", "c"]))
    unreachable = fault(FailureKind.NETWORK, "no connection in time")
    request.tries("a").fails(unreachable, after=11).tries("b").fails(unreachable, after=11)
    request.gives_up(ErrorKind.UPSTREAM, "2 attempts: no connection in time")


def test_what_is_missing_is_looked_for_elsewhere_only_while_there_is_time() -> None:
    """A project in the making is waited for once, and not anew at each host."""
    request = play(plan(["a"])).tries("a")
    request.fails(fault(FailureKind.MISCONFIGURED, "no project"), after=41)
    request.gives_up(ErrorKind.NO_ACCOUNT, "no project")


def test_a_wait_for_a_limit_does_not_shorten_the_window_for_retries() -> None:
    request = play(plan(["a"])).tries("a").fails(rate(hint=60)).waits(60)
    request.tries("a").fails(fault()).pauses().tries("a").succeeds()


def test_overload_is_retried_on_the_same_account_and_marks_nobody() -> None:
    scene = plan(["a", "b"])
    request = play(scene).tries("a", host=0).fails(capacity())
    request.waits(0.5).tries("a", host=1).fails(capacity()).waits(1).tries("a").fails(capacity())
    request.gives_up(ErrorKind.OVERLOADED)
    assert opus_limited_until(scene, "a") is None
    assert served(scene, session="another") == "a"


def test_an_account_is_not_gone_back_to_when_another_request_has_found_it_empty() -> None:
    scene = plan(["a", "b"])
    request = play(scene).tries("a").fails(capacity())
    play(scene, session="another").tries("a").fails(quota())
    request.waits(0.5).tries("b").succeeds()


def test_a_short_hint_of_an_overloaded_model_is_respected() -> None:
    play(plan(["a"])).tries("a").fails(capacity(hint=4)).waits(4).tries("a").succeeds()


def test_a_long_hint_of_an_overloaded_model_goes_to_the_client() -> None:
    request = play(plan(["a"]))
    request.tries("a").fails(capacity(60)).waits(0.5).tries("a").fails(capacity(60)).waits(1)
    request.tries("a").fails(capacity(60)).gives_up(ErrorKind.OVERLOADED, retry_after=60)


def test_an_empty_answer_is_retried_twice_where_it_came_from() -> None:
    empty = fault(FailureKind.EMPTY, "no content")
    request = play(plan(["a", "b"]))
    request.tries("a", host=0).fails(empty).waits(0.5).tries("a", host=0).fails(empty).waits(1)
    request.tries("a").fails(empty).gives_up(ErrorKind.UPSTREAM, "no content")


def test_a_host_whose_certificate_is_not_accepted_is_asked_once() -> None:
    distrusted = fault(FailureKind.UNTRUSTED, "the certificate is not accepted")
    play(plan(["a", "b"])).tries("a").fails(distrusted).tries("b").succeeds()
    request = play(plan(["a"])).tries("a").fails(distrusted)
    request.gives_up(ErrorKind.UPSTREAM, "1 attempt: the certificate")


def test_hosts_that_are_not_accepted_count_as_faults_and_lead_to_a_stand_in() -> None:
    distrusted = fault(FailureKind.UNTRUSTED, "the certificate is not accepted")
    request = play(plan(["a", "b", "c", "d"]))
    for name in "abc":
        request.tries(name).fails(distrusted)
    request.gives_up(ErrorKind.UPSTREAM, "3 attempts: the certificate")
    request = play(plan(["a"], fallback=True, fallbacks={OPUS: [PRO]}))
    request.tries("a").fails(distrusted).tries("a", model=PRO).succeeds()


@pytest.mark.parametrize("kind", [FailureKind.NETWORK, FailureKind.SLOW, FailureKind.UNTRUSTED])
def test_accounts_without_a_token_cost_no_try_and_no_host(kind: FailureKind) -> None:
    request = play(plan(["a", "b", "c", "d"]))
    for name in "abc":
        request.tries(name, host=0).fails(tokenless(kind))
    request.tries("d", host=0).fails(fault()).pauses().tries("d", host=1).succeeds()


def test_where_nobody_has_a_token_the_endpoint_is_named_and_each_was_asked_once() -> None:
    request = play(plan(["a", "b"])).tries("a").fails(tokenless()).tries("b").fails(tokenless())
    request.gives_up(ErrorKind.UPSTREAM, "2 attempts: token endpoint: down")
    request = play(plan(["a", "b"])).tries("a").fails(tokenless())
    request.tries("b").fails(quota(resets_in=9 * HOUR))
    request.gives_up(ErrorKind.UPSTREAM, "token endpoint: down")


def test_a_token_that_does_not_come_ends_a_request_with_its_window() -> None:
    request = play(plan(["a", "b", "c"])).tries("a").fails(tokenless(FailureKind.SLOW), after=20)
    assert request.plan.seconds_left(request.scene.now) == 10
    request.tries("b").fails(tokenless(FailureKind.SLOW), after=10.01).gives_up(ErrorKind.SLOW)


def test_a_conversation_is_lent_while_its_account_has_no_token() -> None:
    scene = plan(["a", "b"])
    assert served(scene) == "a"
    play(scene).tries("a").fails(tokenless()).tries("b").succeeds()
    assert served(scene) == "a"


def test_a_look_at_who_there_is_forgets_no_stand_in() -> None:
    request = play(plan(["a"], fallback=True, fallbacks={OPUS: [PRO]}))
    request.tries("a").fails(quota(resets_in=9 * HOUR)).tries("a", model=PRO)
    request.plan.look_again(request.plan._lineup.own, unused=0.0)
    assert request.plan.leads_to == (OPUS, PRO)
    request.plan.look_again((), unused=0.0)
    assert request.plan.leads_to == (PRO,)


@pytest.mark.parametrize("kind", [FailureKind.NETWORK, FailureKind.UPSTREAM])
def test_a_host_that_broke_for_one_account_is_not_asked_for_the_next(kind: FailureKind) -> None:
    request = play(plan(["a", "b", "c"])).tries("a", host=0).fails(fault(kind))
    request.tries("b", host=1).fails(fault(kind)).tries("c", host=2).succeeds()


def test_an_account_of_another_place_begins_at_the_first_of_its_hosts() -> None:
    elsewhere = replace(account("b"), base_url="http://127.0.0.1:9")
    request = play(plan(["a", elsewhere])).tries("a", host=0).fails(fault())
    request.tries("b", host=0).succeeds()


# ------------------------------------------------------------------ waiting for a turn


def test_a_turn_that_comes_late_costs_no_time_to_retry() -> None:
    scene = plan(["a", "b"])
    request = play(scene).tries("a").waits_for_its_turn(40.0, and_goes=True)
    request.fails(fault(), after=1.0).tries("b").succeeds()


def test_what_others_were_told_meanwhile_counts_when_the_turn_comes() -> None:
    scene = plan(["a", "b"])
    waiting = play(scene, session="waits").tries("a")
    scene.ledger.observe_failure("a", info(OPUS), quota()(scene.now), scene.now)
    waiting.waits_for_its_turn(1.0, and_goes=False).tries("b").succeeds()
    assert waiting.plan.attempts == 1


def test_an_account_that_is_marked_or_gone_gets_none_of_those_who_wait_for_it() -> None:
    scene = plan(["a", "b"])
    waiting = play(scene).tries("a")
    play(scene, session="other").tries("a").fails(needs_owner(FailureKind.SUSPENDED, "no"))
    waiting.waits_for_its_turn(1.0, and_goes=False).tries("b")
    scene.directory = Directory((), {})
    waiting.waits_for_its_turn(1.0, and_goes=False)


def test_a_burst_that_was_waited_for_is_still_answered_after_a_queue() -> None:
    """The ledger keeps the account cooled a little longer than the upstream asked for."""
    scene = plan(["a"])
    request = play(scene).tries("a").fails(rate(hint=0.4)).waits(0.4).tries("a")
    request.waits_for_its_turn(0.1, and_goes=True).succeeds()


def test_a_burst_does_not_move_the_other_conversations_of_the_account() -> None:
    scene = plan(["a", "b"])
    assert served(scene, session="x") == "a"
    assert served(scene, session="y") == "b"
    scene.chooser.bound("y", info(OPUS), "a", scene.now, passing=False)
    burst = play(scene, session="x").tries("a").fails(rate(hint=0.5))
    play(scene, session="y").tries("b").succeeds()
    burst.waits(0.5).tries("a").succeeds()
    assert served(scene, session="y") == "a"
    play(scene, session="y").tries("a").fails(rate(hint=60)).tries("b").succeeds()
    assert served(scene.later(100), session="y") == "b", "no burst: it has moved"


def test_accounts_that_keep_breaking_are_asked_last_but_never_waited_for() -> None:
    scene = plan(["a", "b"])
    assert served(scene) == "a"
    for _ in range(3):
        play(scene).tries("a").fails(fault()).tries("b").succeeds()
    play(scene).tries("b").fails(rate(hint=50)).tries("a").succeeds()
    assert served(scene, session="after the success") == "a"


# ------------------------------------------------------------------ accounts that need their owner


def test_an_expired_token_is_refreshed_once_and_the_same_account_asked_again() -> None:
    expired = fault(FailureKind.AUTH_EXPIRED)
    play(plan(["a", "b"])).tries("a").fails(expired).tries("a").fails(expired).tries("b").succeeds()


def test_an_account_that_refuses_a_fresh_token_is_named_and_not_marked() -> None:
    scene = plan(["a"])
    expired = fault(FailureKind.AUTH_EXPIRED, "UNAUTHENTICATED")
    request = play(scene).tries("a").fails(expired).tries("a").fails(expired)
    request.gives_up(ErrorKind.NO_ACCOUNT, "a: UNAUTHENTICATED.* mcproxy accounts verify a")
    assert scene.ledger.mark_of(scene.accounts[0]) is None


@pytest.mark.parametrize(
    ("kind", "mark", "command"),
    [
        (FailureKind.AUTH_REVOKED, "invalid", "mcproxy accounts add --provider antigravity"),
        (FailureKind.VERIFICATION, "verification", "mcproxy accounts verify a"),
        (FailureKind.SUSPENDED, "suspended", "mcproxy accounts verify a"),
    ],
)
def test_an_account_that_needs_its_owner_is_marked_and_named(
    kind: FailureKind, mark: str, command: str
) -> None:
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(needs_owner(kind, "see there", PROBLEM_URL)).tries("b").succeeds()
    found = scene.ledger.mark_of(scene.accounts[0])
    assert found is not None
    assert (found.kind, found.url) == (mark, PROBLEM_URL)
    request = play(scene).tries("b").fails(needs_owner(kind, "see there"))
    error = request.gives_up(ErrorKind.NO_ACCOUNT, command)
    assert PROBLEM_URL in error.message


def test_a_new_sign_in_is_not_held_to_the_mark_of_the_old_one() -> None:
    scene = plan([account("a", token="old")])
    play(scene).tries("a").fails(needs_owner(FailureKind.AUTH_REVOKED, "gone"))
    assert scene.ledger.mark_of(account("a", token="old")) is not None
    assert scene.ledger.mark_of(account("a", token="new")) is None


def test_no_account_at_all_names_the_command_that_adds_one() -> None:
    play(plan([])).gives_up(ErrorKind.NO_ACCOUNT, "mcproxy accounts add$")


def test_a_disabled_account_is_named_with_the_command_that_enables_it() -> None:
    scene = plan([account("a", enabled=False)])
    play(scene).gives_up(ErrorKind.NO_ACCOUNT, "a: disabled.*mcproxy accounts enable a")


def test_many_dead_accounts_are_not_all_listed() -> None:
    scene = plan([account(f"n{number}", enabled=False) for number in range(9)])
    play(scene).gives_up(ErrorKind.NO_ACCOUNT, r"and 4 more: mcproxy accounts list")


def test_limits_rule_over_accounts_that_are_out_for_good() -> None:
    request = play(plan(["a", "b"])).tries("a").fails(needs_owner(FailureKind.SUSPENDED, "closed"))
    request.tries("b").fails(quota(resets_in=HOUR)).gives_up(ErrorKind.LIMITED, retry_after=HOUR)


@pytest.mark.parametrize("kind", [FailureKind.MISCONFIGURED, FailureKind.NOT_FOUND])
def test_a_wrong_place_is_tried_at_one_other_host_then_at_the_next_account(
    kind: FailureKind,
) -> None:
    request = play(plan(["a", "b"])).tries("a", host=0).fails(fault(kind))
    request.tries("a", host=1).fails(fault(kind)).tries("b", host=0).succeeds()


def test_a_model_that_no_account_is_offered_is_unknown() -> None:
    missing = fault(FailureKind.NOT_FOUND, "Requested entity was not found.")
    request = play(plan(["a"])).tries("a").fails(missing).tries("a").fails(missing)
    request.gives_up(ErrorKind.UNKNOWN_MODEL, f"{OPUS}.*Requested entity")


def test_where_there_is_one_host_nothing_is_looked_for_twice() -> None:
    scene = plan(["a", "b"], one_host=True)
    play(scene).tries("a").fails(fault(FailureKind.NOT_FOUND)).tries("b").succeeds()


def test_an_account_that_lacked_a_model_comes_after_the_others_for_half_an_hour() -> None:
    scene = plan(["a", "b"], one_host=True)
    missing = fault(FailureKind.NOT_FOUND)
    play(scene).tries("a").fails(missing).tries("b").succeeds()
    play(scene, session="another").tries("b").fails(quota()).tries("a").fails(missing)
    scene.later(HOUR)
    assert {served(scene, session=f"number {n}") for n in range(4)} == {"a", "b"}


def test_an_answer_ends_the_belief_that_an_account_lacks_the_model() -> None:
    scene = plan(["a", "b"])
    request = play(scene).tries("a", host=0).fails(fault(FailureKind.NOT_FOUND))
    request.tries("a", host=1).succeeds()
    assert not scene.ledger.anybody_comes_last(scene.now)


def test_a_project_without_permission_is_no_unknown_model() -> None:
    denied = fault(FailureKind.MISCONFIGURED, "API not enabled")
    request = play(plan(["a"])).tries("a").fails(denied).tries("a").fails(denied)
    request.gives_up(ErrorKind.NO_ACCOUNT, "a: API not enabled")


# ------------------------------------------------------------------ the request itself


@pytest.mark.parametrize(
    ("kind", "told", "fallback"),
    [
        (FailureKind.BAD_REQUEST, ErrorKind.BAD_REQUEST, True),
        (FailureKind.TOO_LONG, ErrorKind.TOO_LONG, False),
    ],
)
def test_a_wrong_request_is_given_up_at_once_in_the_upstreams_words(
    kind: FailureKind, told: ErrorKind, fallback: bool
) -> None:
    asked = plan(["a", "b"], fallback=fallback)
    request = play(asked).tries("a").fails(fault(kind, "tools.0: bad"))
    request.gives_up(told, "^tools.0: bad$")


def test_a_prompt_that_is_too_long_goes_to_a_stand_in_with_a_larger_window() -> None:
    too_long = fault(FailureKind.TOO_LONG, "prompt is too long: 210000 tokens > 200000 maximum")
    wider = play(plan(["a", "b"], fallback=True)).tries("a").fails(too_long)
    wider.tries("a", model="gemini-pro-agent")
    narrower = play(plan(["a"], fallback=True), model="gemini-pro-agent")
    narrower.tries("a").fails(too_long).gives_up(ErrorKind.TOO_LONG, "prompt is too long")


def test_a_refused_feature_is_left_out_once_and_then_given_up() -> None:
    def refused(feature: str) -> Failure:
        return Failure(FailureKind.UNSUPPORTED, f"no {feature}", feature=feature)

    request = play(plan(["a", "b"])).tries("a").fails(lambda _now: refused("stop"))
    request = request.tries("a").fails(lambda _now: refused("temperature")).tries("a")
    request.fails(lambda _now: refused("stop")).gives_up(ErrorKind.BAD_REQUEST, "^no stop$")


def test_a_request_too_large_for_the_upstream_is_told_as_that() -> None:
    too_large = Failure(FailureKind.BAD_REQUEST, "payload exceeds the limit", status=413)
    request = play(plan(["a", "b"])).tries("a").fails(lambda _now: too_large)
    request.gives_up(ErrorKind.TOO_LARGE_UPSTREAM, "^payload exceeds the limit$")


def test_a_refused_seal_is_retried_once_without_thinking() -> None:
    refused = fault(FailureKind.SEAL, "Invalid `signature` in `thinking` block")
    request = play(plan(["a", "b"])).tries("a")
    assert not request.plan.strip_thinking
    request.fails(refused).tries("a")
    assert request.plan.strip_thinking
    request.fails(refused).gives_up(ErrorKind.BAD_REQUEST, "Invalid `signature`")


# ------------------------------------------------------------------ fallback and routes


def test_fallback_answers_when_the_wait_would_be_too_long() -> None:
    request = play(plan(["a"], fallback=True)).tries("a").fails(quota(resets_in=HOUR))
    request.tries("a", model=PRO).succeeds()
    assert f"fallback {OPUS} -> {PRO}" in request.plan.notes


def test_a_short_wait_comes_before_fallback() -> None:
    request = play(plan(["a"], fallback=True)).tries("a").fails(rate(hint=100))
    request.waits(100).tries("a", model=OPUS)


def test_fallback_follows_overload_and_faults() -> None:
    for failure in (capacity(), fault()):
        request = play(plan(["a"], fallback=True))
        request.tries("a").fails(failure).pauses().tries("a").fails(failure).pauses()
        request.tries("a").fails(failure).tries("a", model=PRO).succeeds()


def test_the_stand_in_has_tries_of_its_own_and_the_asked_model_names_the_error() -> None:
    scene = plan(["a"], fallback=True, fallbacks={OPUS: [PRO]})
    request = play(scene)
    for model in (OPUS, PRO):
        request.tries("a", model=model).fails(fault()).pauses()
        request.tries("a", model=model).fails(fault()).pauses()
        request.tries("a", model=model).fails(fault())
    request.gives_up(ErrorKind.UPSTREAM, f"^{OPUS}")


def test_an_exhausted_fallback_names_both_models_and_the_soonest_reset() -> None:
    request = play(plan(["a"], fallback=True, fallbacks={OPUS: [PRO]}))
    request.tries("a", model=OPUS).fails(quota(resets_in=3 * HOUR))
    request.tries("a", model=PRO).fails(quota(resets_in=HOUR))
    request.gives_up(ErrorKind.LIMITED, f"{OPUS} and on the fallback {PRO}", retry_after=HOUR)


def test_a_stand_in_that_is_free_soon_is_waited_for() -> None:
    request = play(plan(["a"], fallback=True, fallbacks={OPUS: [PRO]}))
    request.tries("a", model=OPUS).fails(quota(resets_in=3 * HOUR))
    request.tries("a", model=PRO).fails(rate(hint=30)).waits(30).tries("a", model=PRO)


def test_the_fallback_of_a_fallback_is_never_followed() -> None:
    request = play(plan(["a"], fallback=True, fallbacks={OPUS: [PRO], PRO: [FLASH, OPUS]}))
    request.tries("a", model=OPUS).fails(quota(HOUR)).tries("a", model=PRO).fails(quota(HOUR))
    request.gives_up(ErrorKind.LIMITED)


def test_stand_ins_that_nobody_serves_are_passed_over() -> None:
    scene = plan(["a"], fallback=True, live={"a": [OPUS, "gemini-3.1-pro-high"]})
    play(scene).tries("a").fails(quota(HOUR)).tries("a", model="gemini-3.1-pro-high")


def test_fallback_serves_when_every_account_needs_its_owner_for_the_model() -> None:
    scene = plan(
        [account("a", models=[OPUS]), account("b", models=[PRO])],
        fallback=True,
        fallbacks={OPUS: [PRO]},
    )
    request = play(scene).tries("a").fails(needs_owner(FailureKind.SUSPENDED, "closed"))
    request.tries("b", model=PRO).succeeds()


def test_a_route_goes_down_its_list_before_it_waits() -> None:
    steps = [RouteTarget(OPUS, account="b"), RouteTarget(FLASH)]
    scene = plan(["a", "b"], routing=Routing(routes={"fast": steps}))
    request = play(scene, "route:fast").tries("b", model=OPUS).fails(rate(hint=20))
    request.tries("a", model=FLASH).fails(fault()).tries("b", model=FLASH).succeeds()


def test_an_unknown_model_gets_no_plan() -> None:
    with pytest.raises(UnknownModel, match="cloude"):
        play(plan(["a"]), "cloude")


# ------------------------------------------------------------------ what success teaches


def test_success_ends_the_accounts_cooldown() -> None:
    scene = plan(["a"])
    play(scene).tries("a").fails(rate(hint=1)).waits(1).tries("a").succeeds()
    assert opus_limited_until(scene, "a") is None


def test_a_stream_that_breaks_after_it_began_is_held_against_the_account() -> None:
    scene = plan(["a"])
    play(scene).tries("a").succeeds().fails(rate(hint=60))
    assert opus_limited_until(scene, "a") == 60


def test_a_5xx_does_not_move_a_conversation_but_a_limit_does() -> None:
    scene = plan(["a", "b"])
    assert served(scene) == "a"
    play(scene).tries("a").fails(fault()).tries("b").succeeds()
    play(scene).tries("a").fails(rate(hint=20)).tries("b").succeeds()
    assert served(scene.later(60)) == "b"


def test_success_before_any_try_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError):
        play(plan(["a"])).succeeds()


def test_soft_limited_accounts_are_asked_last() -> None:
    scene = plan(["a", "b"]).reads_quota("a", opus=0.2).reads_quota("b", opus=0.6)
    play(scene).tries("b").fails(rate(hint=60)).tries("a").succeeds()
