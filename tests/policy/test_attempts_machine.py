"""What no sequence of failures, waits and requests may break, whoever sends what and when."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from playbook import (
    OPUS,
    PRO,
    Scene,
    Transcript,
    capacity,
    fault,
    needs_owner,
    plan,
    play,
    quota,
    rate,
)

from mcp_proxy.account import Candidate
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.policy.attempts import BURST_WAITS
from mcp_proxy.policy.models import info
from mcp_proxy.policy.patience import MARGIN, SPREAD
from mcp_proxy.policy.selection import STRATEGIES
from mcp_proxy.policy.steps import GiveUp, Step, Try, Wait

LIMITS = {FailureKind.RATE, FailureKind.QUOTA}
FAULTS = {
    FailureKind.UPSTREAM,
    FailureKind.NETWORK,
    FailureKind.SLOW,
    FailureKind.EMPTY,
    FailureKind.CAPACITY,
}
MOST_WAITING = 120.0

hints = st.one_of(st.none(), st.floats(min_value=-5, max_value=1e6))
failures: st.SearchStrategy[Callable[[float], Failure]] = st.one_of(
    st.builds(rate, hints),
    st.builds(quota, hints),
    st.builds(capacity, hints),
    st.builds(fault, st.sampled_from(sorted(FAULTS - {FailureKind.CAPACITY}))),
    st.builds(fault, st.sampled_from([FailureKind.AUTH_EXPIRED, FailureKind.SEAL])),
    st.builds(
        fault,
        st.sampled_from([FailureKind.MISCONFIGURED, FailureKind.NOT_FOUND, FailureKind.UNTRUSTED]),
    ),
    st.builds(
        needs_owner,
        st.sampled_from([FailureKind.AUTH_REVOKED, FailureKind.SUSPENDED]),
        st.just("x"),
    ),
)


class Requests(RuleBasedStateMachine):
    """Several requests in turn over one ledger, with other requests' failures in between."""

    @initialize(
        accounts=st.integers(min_value=1, max_value=4),
        strategy=st.sampled_from(STRATEGIES),
        fallback=st.booleans(),
    )
    def begin(self, accounts: int, strategy: str, fallback: bool) -> None:
        names = [f"account-{number}" for number in range(accounts)]
        self.scene: Scene = plan(
            names, strategy=strategy, fallback=fallback, fallbacks={OPUS: [PRO], PRO: [OPUS]}
        )
        self.request: Transcript | None = None

    @rule(session=st.sampled_from(["", "one", "two"]))
    def ask(self, session: str) -> None:
        self.request = play(self.scene, session=session)
        self.waited = 0.0
        self.rounds = 0
        self.faults: dict[str, int] = {}
        self.open: Candidate | None = None
        self.again: Candidate | None = None
        self.models: set[str] = set()
        self.advance()

    @precondition(lambda self: self.request is not None and self.open is not None)
    @rule(make=failures, took=st.floats(min_value=0, max_value=40))
    def fail(self, make: Callable[[float], Failure], took: float) -> None:
        assert self.request is not None
        assert self.open is not None
        self.scene.now += took
        failure = make(self.scene.now)
        if failure.kind in FAULTS:
            model = self.open.model
            self.faults[model] = self.faults.get(model, 0) + 1
        # Which rules may come back to the account they just left:
        self.again = self.open
        self.request.plan.failed(failure, self.scene.now)
        self.open = None
        self.advance()

    @precondition(lambda self: self.request is not None and self.open is not None)
    @rule()
    def succeed(self) -> None:
        assert self.request is not None
        self.request.succeeds()
        self.request = None

    @rule(
        make=failures,
        which=st.integers(min_value=0, max_value=3),
        model=st.sampled_from([OPUS, PRO]),
    )
    def another_request_fails(
        self, make: Callable[[float], Failure], which: int, model: str
    ) -> None:
        account = self.scene.accounts[which % len(self.scene.accounts)]
        failure = make(self.scene.now)
        self.scene.ledger.observe_failure(account.id, info(model), failure, self.scene.now)

    @rule(seconds=st.floats(min_value=0, max_value=1e5))
    def time_passes(self, seconds: float) -> None:
        if self.request is None or self.open is not None:
            self.scene.now += seconds

    def advance(self) -> None:
        """Follows the plan through its waits to the next try or to the end."""
        assert self.request is not None
        for _ in range(400):
            step: Step = self.request.plan.next(self.scene.now)
            if isinstance(step, Wait):
                self.wait(step)
            elif isinstance(step, Try):
                self.check_try(step)
                return
            else:
                self.check_end(step)
                self.request = None
                return
        raise AssertionError("the plan goes on and on")

    def wait(self, step: Wait) -> None:
        assert step.seconds >= 0
        self.scene.now += step.seconds
        self.waited += step.seconds
        self.rounds += 1

    def check_try(self, step: Try) -> None:
        candidate = step.candidate
        self.open = candidate
        self.models.add(candidate.model)
        assert self.scene.ledger.mark_of(candidate.account) is None
        if self.limited(candidate):
            # Only its own burst may be gone back to, and never while quota is spent.
            assert candidate == self.again
            until = self.scene.ledger.limited_until(
                candidate.account.id, info(candidate.model), self.scene.now
            )
            assert until is not None
            assert until - self.scene.now < 3

    def check_end(self, step: GiveUp) -> None:
        assert str(step.error)
        assert self.request is not None
        assert self.request.plan.next(self.scene.now) == step

    def limited(self, candidate: Candidate) -> bool:
        until = self.scene.ledger.limited_until(
            candidate.account.id, info(candidate.model), self.scene.now
        )
        return until is not None

    @invariant()
    def faults_end_after_three_tries_of_a_model(self) -> None:
        if getattr(self, "request", None) is not None:
            assert all(count <= 3 for count in self.faults.values())
            # Whoever goes on after the third asks another model.
            assert self.open is None or self.faults.get(self.open.model, 0) < 3

    @invariant()
    def waits_stay_within_the_longest_allowed(self) -> None:
        if getattr(self, "request", None) is not None:
            pauses = 2 * 2 * 5.0  # two models, two pauses each, an overload's hint at most
            assert self.waited <= MOST_WAITING + pauses + self.rounds * (MARGIN + SPREAD)

    @invariant()
    def only_the_model_asked_for_and_with_fallback_its_stand_in_are_tried(self) -> None:
        if getattr(self, "request", None) is not None:
            assert self.models <= ({OPUS, PRO} if self.scene.rules.fallback else {OPUS})


Requests.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestRequests = Requests.TestCase


@settings(max_examples=200, deadline=None)
@given(
    st.integers(min_value=1, max_value=4),
    st.lists(st.one_of(st.builds(rate, hints), st.builds(quota, hints)), min_size=1, max_size=60),
)
def test_limits_ask_each_account_once_between_two_waits(
    accounts: int, limits: list[Callable[[float], Failure]]
) -> None:
    scene = plan([f"account-{number}" for number in range(accounts)])
    request = play(scene)
    asked: list[str] = []
    bursts: dict[str, int] = {}
    remaining = iter(limits)
    while not isinstance(step := request.plan.next(scene.now), GiveUp):
        if isinstance(step, Wait):
            scene.now += step.seconds
            if "every account" in step.reason:
                asked.clear()
            elif asked:
                bursts[asked[-1]] = bursts.get(asked[-1], 0) + 1
                asked.pop()
            continue
        account_id = step.candidate.account.id
        assert account_id not in asked
        asked.append(account_id)
        failure = next(remaining, quota(1e6))
        request.fails(failure)
    assert all(count <= BURST_WAITS for count in bursts.values())
