"""The state machine of one request: whom to ask next, when to wait, when to give up. No I/O.

The caller alternates `next` with `failed` or `succeeded`. Rules, in the order they are applied:

1. A request that an upstream calls wrong is given up at once; no other account would take it. A
   feature that it refuses is left out once; a prompt that is too long may go to a wider stand-in.
2. Limits: each account that can serve is asked at most once. A hint under 3 s is waited for on
   the same account, twice at most; then, and with a longer one, the next account is asked.
3. Faults: `fault_tries` tries for a model in all, other accounts and other hosts first. An
   overloaded model is the same for everybody, so its retries stay with the account. A host whose
   certificate is not accepted is not asked again. An account for which there is no token just
   now is passed over, which is no try.
4. An account that only its owner can mend is marked, and the next one asked.
5. Nobody left but limited accounts: wait for the soonest while that is within `max_wait`.
6. Else, with `fallback`, the stand-ins of the model asked for, by the same rules.
7. Else one error, which says what a person can do.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Candidate
from mcp_proxy.errors import Failure, FailureKind, ProxyError
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy import models, refusals
from mcp_proxy.policy.conclusions import MOST_CONSIDERED, conclusion, considered
from mcp_proxy.policy.course import Course
from mcp_proxy.policy.durations import spell_duration
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.lineup import Lineup
from mcp_proxy.policy.patience import Patience
from mcp_proxy.policy.routes import Stage
from mcp_proxy.policy.selection import Busy, Chooser, Situation
from mcp_proxy.policy.standing import Mark, MarkKind
from mcp_proxy.policy.steps import Considered, GiveUp, Rules, Step, Try, Wait

BURST_HINT: Final = 3.0
_JUDGED_WITHIN: Final = 0.01
"""Seconds from reading an answer to judging it, by which a hint has become shorter."""
BURST_WAITS: Final = 2
SHORTEST_ROUND: Final = 1.0
"""Seconds between two rounds through the accounts, whatever the upstream says."""

LONGEST_CAPACITY_HINT: Final = 5.0

_PAUSES: Final[Mapping[FailureKind, tuple[float, ...]]] = {
    FailureKind.UPSTREAM: (0.25, 0.5, 1.0),
    FailureKind.NETWORK: (0.25, 0.5, 1.0),
    FailureKind.SLOW: (0.25, 0.5, 1.0),
    FailureKind.EMPTY: (0.5, 1.0),
    FailureKind.CAPACITY: (0.5, 1.0, 2.0),
}
"""Seconds before the next try at the same account, by tries so far."""

_SAME_ACCOUNT: Final = frozenset({FailureKind.EMPTY, FailureKind.CAPACITY})

_MARKS: Final[Mapping[FailureKind, MarkKind]] = {
    FailureKind.AUTH_REVOKED: "invalid",
    FailureKind.SUSPENDED: "suspended",
    FailureKind.VERIFICATION: "verification",
}


def mark_for(failure: Failure, credential_id: str, now: float) -> Mark | None:
    """The mark that an account earns by a failure that only its owner can mend; else None."""
    kind = _MARKS.get(failure.kind)
    return Mark(kind, failure.detail, now, credential_id, failure.url) if kind else None


class _Again(NamedTuple):
    """An account that a rule wants to ask once more."""

    candidate: Candidate
    despite: float = 0.0
    """Seconds of cooldown that do not keep it from it."""


def catalogued(candidate: Candidate) -> ModelInfo:
    """What is known of a candidate's model without having asked its upstream."""
    return models.info(candidate.model, candidate.account.provider)


class AttemptPlan:
    """One request's way through the accounts."""

    def __init__(
        self,
        stages: Sequence[Stage],
        fallbacks: Callable[[str], Sequence[Stage]],
        *,
        ledger: Ledger,
        chooser: Chooser,
        rules: Rules,
        session_key: str,
        busy: Busy,
        now: float,
        info: Callable[[Candidate], ModelInfo] = catalogued,
        can_move: Callable[[Account], bool] = lambda _: True,
    ) -> None:
        """`fallbacks`: stages that may stand in for a model; asked once, and only when needed.

        `can_move`: whether another try of the same account may go to another host or project.
        """
        self.attempts = 0
        self.notes: list[str] = []
        """Facts for the access log, in order."""
        self.strip_thinking = False
        """The upstream refused a seal: the next try has to go without thinking blocks."""
        self._lineup = Lineup(stages, fallbacks, info)
        self.asked: Final = self._lineup.asked
        """The best of the models that the name asked for leads to."""
        self._course = Course(self._lineup, ledger, info)
        self._ledger = ledger
        self._chooser = chooser
        self._rules = rules
        self._began_at = self._tried_at = now
        self._session_key = session_key
        self._busy = busy
        self._info = info
        self._can_move = can_move
        self._pause: Wait | None = None
        self._again: _Again | None = None
        self._despite = 0.0
        """Seconds of cooldown that did not keep the last try from being made."""
        self._passing = False
        """The conversation's own account cannot for a moment: whoever answers stands in."""
        self._last: Candidate | None = None
        self._verdict: ProxyError | None = None

    # ------------------------------------------------------------------ the three calls

    def next(self, now: float) -> Step:
        """What to do now. Once it has given up it stays with that."""
        while self._verdict is None:
            if self._pause is not None:
                pause, self._pause = self._pause, None
                return pause
            candidate = None
            if self._again is not None:
                candidate = self._same_again(self._again, now)
            candidate = candidate or self._choose(now)
            if candidate is not None:
                return self._try(candidate, now)
            wait = self._wait_for_opening(now)
            if wait is not None:
                return wait
            if not self._fall_back(now):
                self._verdict = conclusion(self._course, self.attempts, now)
        return GiveUp(self._verdict)

    def look_again(self, stages: Sequence[Stage], unused: float) -> None:
        """Who there is may have changed. `unused`: seconds that the last wait was shorter."""
        self._lineup.renew(stages)
        self._patience.waited_less(unused)

    def queued(self, stages: Sequence[Stage], seconds: float, now: float) -> bool:
        """The try had to wait for its turn. Whether it is still to be made; else it never was."""
        candidate = self._tried()
        self._lineup.renew(stages)
        self._patience.queued(seconds)
        self._tried_at = now
        if self._lineup.has(candidate) and self._is_open(candidate, self._despite, now):
            return True
        self.attempts -= 1
        return False

    def failed(self, failure: Failure, now: float) -> None:
        """The last try gave no answer. The ledger learns of it too."""
        candidate = self._tried()
        account = candidate.account
        self.notes.append(f"{account.id}: {failure.kind}")
        self._ledger.observe_failure(
            account.id, self._info(candidate), failure, now, asked_at=self._tried_at
        )
        _AFTER[failure.kind](self, failure, now)

    def succeeded(self, now: float) -> None:
        """The last try's answer has begun."""
        candidate = self._tried()
        account_id = candidate.account.id
        has_faults = bool(self._course.fault_counts)
        passing = self._passing or has_faults or self._ledger.anybody_rests(now)
        self._ledger.observe_success(account_id, self._info(candidate), now)
        model = models.info(candidate.key)
        self._chooser.bound(self._session_key, model, account_id, now, passing=passing)

    @property
    def limited(self) -> list[Account]:
        """Accounts for whom nothing but time is needed; as many as are told of a request."""
        return [candidate.account for candidate in self._course.waiting()[:MOST_CONSIDERED]]

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The models that the name asked for leads to, best first; stand-ins included once used."""
        return tuple(stage.model for stage in self._lineup.stages)

    def considered(self, now: float) -> list[Considered]:
        """Who might have been asked, with why each was not; for telling it afterwards."""
        return considered(self._course, now)

    # ------------------------------------------------------------------ how long

    @cached_property
    def _patience(self) -> Patience:
        """Made when something goes wrong: most requests need none."""
        return Patience(self._rules.max_wait, self._session_key, self._began_at)

    def seconds_left(self, now: float) -> float:
        """For tries, when one has to be prepared first."""
        return self._patience.left(now)

    def _has_time(self, begins_at: float, now: float) -> bool:
        """Whether another try that takes as long as the last one would end in time."""
        return self._patience.has_time(begins_at, now - self._tried_at)

    # ------------------------------------------------------------------ whom to ask

    def _try(self, candidate: Candidate, now: float) -> Try:
        stands_in = self._last is None or self._last.model != candidate.model
        if stands_in and candidate.fallback_from is not None:
            self.notes.append(f"fallback {candidate.fallback_from} -> {candidate.model}")
        self._last = candidate
        self._tried_at = now
        self.attempts += 1
        self._chooser.picked(candidate.account.id, now)
        return Try(candidate, self._course.host(candidate))

    def _same_again(self, again: _Again, now: float) -> Candidate | None:
        """The account that a rule wants to ask again, if it still is there and free."""
        self._again = None
        self._despite = again.despite
        candidate = self._lineup.present(again.candidate)
        if candidate is None or not self._is_open(candidate, again.despite, now):
            return None
        return candidate

    def _is_open(self, candidate: Candidate, despite: float, now: float) -> bool:
        """Whether neither a mark nor a limit longer than `despite` keeps it from being asked."""
        if self._course.mark_of(candidate) is not None:
            return False
        until = self._course.limited_until(candidate, now)
        return until is None or until - now < despite

    def _choose(self, now: float) -> Candidate | None:
        self._despite, self._passing = 0.0, False
        for stage in self._lineup.stages:
            if stage.model not in self._course.dead:
                usable = self._course.usable(stage.candidates, now)
                if usable:
                    if len(usable) < len(stage.candidates):
                        self._passing = self._home_bursts(stage, now)
                    return self._best(usable, now, is_ordered=stage.is_ordered)
        return None

    def _home_bursts(self, stage: Stage, now: float) -> bool:
        """Whether the conversation's own account is limited for no longer than a burst lasts."""
        home = self._chooser.home(self._session_key, models.info(stage.model))
        for candidate in stage.candidates if home is not None else ():
            if candidate.account.id == home:
                until = self._course.limited_until(candidate, now)
                return until is not None and until - now < BURST_HINT
        return False

    def _best(self, usable: list[Candidate], now: float, *, is_ordered: bool) -> Candidate:
        """Those without a recent fault first; among equals the strategy decides, or their order."""
        calm = self._course.calm(usable, now) if len(usable) > 1 else usable
        if len(calm) == 1 or is_ordered:
            return calm[0]
        situation = Situation(
            self._session_key,
            models.info(calm[0].key),
            self._info,
            self._ledger,
            self._busy,
            self._rules.soft_limit,
            now,
        )
        return self._chooser.choose(calm, situation)

    # ------------------------------------------------------------------ what a failure leads to

    def _after_limit(self, failure: Failure, now: float) -> None:
        candidate = self._tried()
        trail = self._course.trail(candidate)
        hint = None if failure.retry_at is None else max(failure.retry_at - now, 0.0)
        is_short = hint is not None and hint < BURST_HINT - _JUDGED_WITHIN
        burst = is_short and trail.bursts < BURST_WAITS
        if hint is not None and burst and self._patience.can_wait(hint):
            trail.bursts += 1
            reason = f"{candidate.account.id}: burst on {candidate.model}"
            self._pause = self._patience.wait(hint, reason)
            # The ledger keeps it cooled a little longer than the upstream asked for.
            self._again = _Again(candidate, despite=BURST_HINT)
        else:
            trail.spent = True

    def _after_fault(self, failure: Failure, now: float) -> None:
        candidate = self._tried()
        if failure.unsent:
            self._pass_over(failure, now)
            return
        tries = self._course.count_fault(candidate)
        pause = _pause(failure, tries, now)
        if tries >= self._rules.fault_tries or not self._has_time(now + pause, now):
            self._course.dead[candidate.key] = failure
            return
        self._course.trail(candidate).faulted = True
        if failure.kind is not FailureKind.EMPTY:
            self._course.leave_host(candidate)
        if failure.kind in _SAME_ACCOUNT:
            self._again = _Again(candidate)
        else:
            other = self._choose(now)
            if other is not None and not self._course.met(other).faulted:
                return
        self._pause = Wait(pause, f"{candidate.account.id}: {failure.kind}")

    def _after_distrust(self, failure: Failure, now: float) -> None:
        """Neither time nor another of its hosts would help; another account may be elsewhere."""
        candidate = self._tried()
        if failure.unsent:
            self._pass_over(failure, now)
            return
        self._course.trail(candidate).out = failure
        tries = self._course.count_fault(candidate)
        if tries >= self._rules.fault_tries:
            self._course.dead[candidate.key] = failure

    def _pass_over(self, failure: Failure, now: float) -> None:
        candidate = self._tried()
        self._course.pass_over(candidate, failure)
        if self._patience.is_over(now):
            self._course.dead[candidate.key] = failure

    def _after_expiry(self, failure: Failure, now: float) -> None:
        """The caller gets a fresh token; a second refusal is not a matter of age."""
        candidate = self._tried()
        trail = self._course.trail(candidate)
        if trail.refreshed:
            trail.out = failure
        else:
            trail.refreshed = True
            self._again = _Again(candidate)

    def _after_missing(self, failure: Failure, now: float) -> None:
        """Wrong project, wrong host, or a model this account does not have: one other host."""
        candidate = self._tried()
        trail = self._course.trail(candidate)
        may_move = self._can_move(candidate.account) and self._has_time(now, now)
        if trail.moved_by or not may_move:
            trail.out = failure
        else:
            trail.moved_by = 1
            self._again = _Again(candidate)

    def _after_mark(self, failure: Failure, now: float) -> None:
        account = self._tried().account
        mark = mark_for(failure, self._ledger.credential_id(account), now)
        if mark is not None:
            self._ledger.mark(account.id, mark)

    def _after_refusal(self, failure: Failure, now: float) -> None:
        self._verdict = refusals.refused(failure)

    def _after_unsupported(self, failure: Failure, now: float) -> None:
        """The caller leaves the feature out from now on; each is refused once at most."""
        trail = self._course.trail(self._tried())
        if failure.feature is None or failure.feature in trail.refused:
            self._verdict = refusals.refused(failure)
        else:
            trail.refused.add(failure.feature)
            self._again = _Again(self._tried())

    def _after_too_long(self, failure: Failure, now: float) -> None:
        """No account takes it; a model with a larger window might, if the map has one."""
        self._course.dead[self._tried().key] = failure
        self._lineup.need_window_beyond(self._info(self._tried()).context_window)

    def _after_seal(self, failure: Failure, now: float) -> None:
        if self.strip_thinking:
            self._verdict = refusals.refused(failure)
        else:
            self.strip_thinking = True
            self._again = _Again(self._tried())

    # ------------------------------------------------------------------ nobody left

    def _wait_for_opening(self, now: float) -> Wait | None:
        """A wait for the account that is free soonest, after which all may be asked once more."""
        opens_at = self._course.opens_at(now)
        if opens_at is None:
            return None
        seconds = max(opens_at - now, SHORTEST_ROUND)
        if not self._patience.can_wait(seconds):
            return None
        self._course.begin_round()
        reason = f"every account is limited for {spell_duration(seconds)}"
        wait = self._patience.wait(seconds, reason)
        self.notes.append(f"waited {wait.seconds:.1f} s")
        return wait._replace(for_anybody=True)

    def _fall_back(self, now: float) -> bool:
        """Whether stand-ins came; after a fault only while there is still time to retry."""
        late = bool(self._course.dead) and self._patience.is_over(now)
        return self._rules.fallback and not late and self._lineup.fall_back()

    def _tried(self) -> Candidate:
        if self._last is None:
            raise RuntimeError("nothing has been tried yet")
        return self._last


def _pause(failure: Failure, tries: int, now: float) -> float:
    """Seconds before the next try at the same account; an overloaded model may name its own."""
    if failure.kind is FailureKind.CAPACITY and failure.retry_at is not None:
        hint = max(failure.retry_at - now, 0.0)
        if hint <= LONGEST_CAPACITY_HINT:
            return hint
    pauses = _PAUSES[failure.kind]
    return pauses[min(tries, len(pauses)) - 1]


_AFTER: Final[Mapping[FailureKind, Callable[[AttemptPlan, Failure, float], None]]] = {
    FailureKind.RATE: AttemptPlan._after_limit,
    FailureKind.QUOTA: AttemptPlan._after_limit,
    FailureKind.CAPACITY: AttemptPlan._after_fault,
    FailureKind.UPSTREAM: AttemptPlan._after_fault,
    FailureKind.EMPTY: AttemptPlan._after_fault,
    FailureKind.NETWORK: AttemptPlan._after_fault,
    FailureKind.UNTRUSTED: AttemptPlan._after_distrust,
    FailureKind.SLOW: AttemptPlan._after_fault,
    FailureKind.AUTH_EXPIRED: AttemptPlan._after_expiry,
    FailureKind.AUTH_REVOKED: AttemptPlan._after_mark,
    FailureKind.VERIFICATION: AttemptPlan._after_mark,
    FailureKind.SUSPENDED: AttemptPlan._after_mark,
    FailureKind.MISCONFIGURED: AttemptPlan._after_missing,
    FailureKind.NOT_FOUND: AttemptPlan._after_missing,
    FailureKind.BAD_REQUEST: AttemptPlan._after_refusal,
    FailureKind.TOO_LONG: AttemptPlan._after_too_long,
    FailureKind.UNSUPPORTED: AttemptPlan._after_unsupported,
    FailureKind.SEAL: AttemptPlan._after_seal,
}
"""Every kind has its rule; a new kind without one fails the test that walks them."""
