"""The state machine of one request: whom to ask next, when to wait, when to give up. No I/O.

The caller alternates `next` with `failed` or `succeeded`. Rules, in the order they are applied:

1. A request that an upstream calls wrong is given up at once; no other account would take it. A
   feature that it refuses is left out once; a prompt that is too long may go to a wider stand-in.
2. Limits: each account that can serve is asked at most once. A hint under 3 s is waited for on
   the same account, twice at most; then, and with a longer one, the next account is asked.
3. Faults: `fault_tries` tries for a model in all, other accounts and other hosts first. An
   overloaded model is the same for everybody, so its retries stay with the account. A host whose
   certificate is not accepted is not asked again.
4. An account that only its owner can mend is marked, and the next one asked.
5. Nobody left but limited accounts: wait for the soonest while that is within `max_wait`.
6. Else, with `fallback`, the stand-ins of the model asked for, by the same rules.
7. Else one error, which says what a person can do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zlib import crc32

from mcp_proxy.account import Account, Candidate
from mcp_proxy.errors import Failure, FailureKind, ProxyError
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy import models, refusals
from mcp_proxy.policy.durations import spell_duration
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.routes import Stage
from mcp_proxy.policy.selection import Busy, Chooser, Situation
from mcp_proxy.policy.standing import Mark, MarkKind
from mcp_proxy.values import value

BURST_HINT: Final = 3.0
BURST_WAITS: Final = 2
MARGIN: Final = 0.1
"""Seconds added to every wait for a limit: clocks differ, and a moment too early costs a try."""
SPREAD: Final = 0.4
"""Seconds over which conversations that wait for the same moment are spread."""
SHORTEST_ROUND: Final = 1.0
"""Seconds between two rounds through the accounts, whatever the upstream says."""

MOST_CONSIDERED: Final = 20
"""Candidates that are told of a request; with thousands of accounts nobody reads them all."""

RETRY_WINDOW: Final = 30.0
"""Seconds after which a fault is no longer answered by another try (contract 4, Answers)."""
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


@value
class Rules:
    """Settings that an attempt obeys."""

    max_wait: float = 120.0
    """Seconds a request may wait for limits, all waits together."""
    soft_limit: float | None = 0.2
    fallback: bool = False
    fault_tries: int = 3


class Try(NamedTuple):
    candidate: Candidate
    host: int
    """Which of the provider's addresses: 0, 1, …; the caller takes it modulo their number."""


class Wait(NamedTuple):
    seconds: float
    reason: str
    for_anybody: bool = False
    """It is over as soon as somebody else may have come."""


class Considered(NamedTuple):
    """An account and model that might have answered."""

    account: str
    model: str
    reason: str
    """Why it is not asked; empty when it could be."""


class GiveUp(NamedTuple):
    error: ProxyError


Step = Try | Wait | GiveUp


@dataclass(slots=True)
class _Trail:
    """What happened to one account with one model in this request."""

    host: int = 0
    bursts: int = 0
    spent: bool = False
    """Limited; not asked again before the next wait for everybody."""
    faulted: bool = False
    refreshed: bool = False
    moved: bool = False
    refused: set[str] = field(default_factory=set)
    """Features that it does not take."""
    out: Failure | None = None
    """Why it is not asked again at all."""


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
        self.asked = stages[0].model
        self.attempts = 0
        self.notes: list[str] = []
        """Facts for the access log, in order."""
        self.strip_thinking = False
        """The upstream refused a seal: the next try has to go without thinking blocks."""
        self._own = tuple(stages)
        self._stages = self._own
        self._fallbacks = fallbacks
        self._fell_back = False
        self._ledger = ledger
        self._chooser = chooser
        self._rules = rules
        self._session_key = session_key
        self._busy = busy
        self._info = info
        self._can_move = can_move
        self._window_ends = now + RETRY_WINDOW
        self._waited = 0.0
        self._tried_at = now
        self._needed_window = 0
        """Tokens that a stand-in must be able to take; 0: any will do."""
        self._trails: dict[tuple[str, str], _Trail] = {}
        self._fault_counts: dict[str, int] = {}
        self._dead: dict[str, Failure] = {}
        """Models that used up their tries, with the last failure."""
        self._pause: Wait | None = None
        self._again: _Again | None = None
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
                self._verdict = self._conclusion(now)
        return GiveUp(self._verdict)

    def look_again(self, stages: Sequence[Stage], unused: float) -> None:
        """After a wait: who there is may have changed. `unused`: seconds that it was shorter."""
        self._own = self._stages = tuple(stages)
        if self._fell_back:
            self._stages += self._stand_ins()
        self._waited -= unused
        self._window_ends -= unused

    def failed(self, failure: Failure, now: float) -> None:
        """The last try gave no answer. The ledger learns of it too."""
        candidate = self._tried()
        account = candidate.account
        self.notes.append(f"{account.id}: {failure.kind}")
        self._ledger.observe_failure(account.id, self._info(candidate), failure, now)
        _AFTER[failure.kind](self, failure, now)

    def succeeded(self, now: float) -> None:
        """The last try's answer has begun."""
        candidate = self._tried()
        account_id = candidate.account.id
        passing = bool(self._fault_counts) or self._ledger.anybody_rests(now)
        self._ledger.observe_success(account_id, self._info(candidate), now)
        model = models.info(candidate.key)
        self._chooser.bound(self._session_key, model, account_id, now, passing=passing)

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The models that the name asked for leads to, best first; stand-ins included once used."""
        return tuple(stage.model for stage in self._stages)

    def considered(self, now: float) -> list[Considered]:
        """Everybody who might have been asked, in order, with why each was not asked (again).

        For telling it afterwards; at most MOST_CONSIDERED, however many accounts there are.
        """
        found: list[Considered] = []
        for stage in self._stages:
            for candidate in stage.candidates:
                reason = self._why_not(stage, candidate, now)
                found.append(Considered(candidate.account.id, candidate.model, reason))
                if len(found) == MOST_CONSIDERED:
                    return found
            found += [Considered(each.id, stage.model, "disabled") for each in stage.disabled]
        return found[:MOST_CONSIDERED]

    def _why_not(self, stage: Stage, candidate: Candidate, now: float) -> str:
        """Empty for one who could be asked."""
        mark = self._ledger.mark_of(candidate.account)
        if mark is not None:
            return f"{mark.kind}: {mark.reason}"
        trail = self._trails.get((candidate.account.id, candidate.model))
        if trail is not None and trail.out is not None:
            return f"{trail.out.kind}: {trail.out.detail}"
        dead = self._dead.get(stage.model)
        if dead is not None:
            return f"{dead.kind}: {dead.detail}"
        until = self._limited_until(candidate, now)
        return "" if until is None else f"limited for {spell_duration(until - now)}"

    # ------------------------------------------------------------------ whom to ask

    def _try(self, candidate: Candidate, now: float) -> Try:
        stands_in = self._last is None or self._last.model != candidate.model
        if stands_in and candidate.fallback_from is not None:
            self.notes.append(f"fallback {candidate.fallback_from} -> {candidate.model}")
        self._last = candidate
        self._tried_at = now
        self.attempts += 1
        self._chooser.picked(candidate.account.id, now)
        trail = self._trails.get((candidate.account.id, candidate.model))
        return Try(candidate, 0 if trail is None else trail.host)

    def _same_again(self, again: _Again, now: float) -> Candidate | None:
        """The account that a rule wants to ask again, unless others have spoilt it meanwhile."""
        self._again = None
        if self._ledger.mark_of(again.candidate.account) is not None:
            return None
        until = self._limited_until(again.candidate, now)
        return again.candidate if until is None or until - now < again.despite else None

    def _choose(self, now: float) -> Candidate | None:
        for stage in self._stages:
            if stage.model not in self._dead:
                usable = [c for c in stage.candidates if self._usable(c, now)]
                if usable:
                    return self._best(usable, now, is_ordered=stage.is_ordered)
        return None

    def _usable(self, candidate: Candidate, now: float) -> bool:
        trail = self._trails.get((candidate.account.id, candidate.model))
        if trail is not None and (trail.spent or trail.out is not None):
            return False
        return (
            self._limited_until(candidate, now) is None
            and self._ledger.mark_of(candidate.account) is None
        )

    def _best(self, usable: list[Candidate], now: float, *, is_ordered: bool) -> Candidate:
        """Those without a recent fault first; among equals the strategy decides, or their order."""
        calm = usable
        if self._fault_counts:
            calm = [c for c in calm if not self._faulted(c)] or calm
        if self._ledger.anybody_comes_last(now):
            calm = [c for c in calm if not self._comes_last(c, now)] or calm
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
        trail = self._trail(candidate)
        hint = None if failure.retry_at is None else max(failure.retry_at - now, 0.0)
        burst = hint is not None and hint < BURST_HINT and trail.bursts < BURST_WAITS
        if hint is not None and burst and self._affordable(hint):
            trail.bursts += 1
            self._pause = self._wait(hint, f"{candidate.account.id}: burst on {candidate.model}")
            # The ledger keeps it cooled a little longer than the upstream asked for.
            self._again = _Again(candidate, despite=BURST_HINT)
        else:
            trail.spent = True

    def _after_fault(self, failure: Failure, now: float) -> None:
        candidate = self._tried()
        tries = self._fault_counts.get(candidate.key, 0) + 1
        self._fault_counts[candidate.key] = tries
        pause = _pause(failure, tries, now)
        if tries >= self._rules.fault_tries or not self._is_time_left(now + pause, now):
            self._dead[candidate.key] = failure
            return
        trail = self._trail(candidate)
        trail.faulted = True
        if failure.kind is not FailureKind.EMPTY:
            trail.host += 1
        if failure.kind in _SAME_ACCOUNT:
            self._again = _Again(candidate)
        else:
            other = self._choose(now)
            if other is not None and not self._faulted(other):
                return
        self._pause = Wait(pause, f"{candidate.account.id}: {failure.kind}")

    def _after_distrust(self, failure: Failure, now: float) -> None:
        """Neither time nor another of its hosts would help; another account may be elsewhere."""
        candidate = self._tried()
        self._trail(candidate).out = failure
        tries = self._fault_counts.get(candidate.key, 0) + 1
        self._fault_counts[candidate.key] = tries
        if tries >= self._rules.fault_tries:
            self._dead[candidate.key] = failure

    def _after_expiry(self, failure: Failure, now: float) -> None:
        """The caller gets a fresh token; a second refusal is not a matter of age."""
        candidate = self._tried()
        trail = self._trail(candidate)
        if trail.refreshed:
            trail.out = failure
        else:
            trail.refreshed = True
            self._again = _Again(candidate)

    def _after_missing(self, failure: Failure, now: float) -> None:
        """Wrong project, wrong host, or a model this account does not have: one other host."""
        candidate = self._tried()
        trail = self._trail(candidate)
        may_move = self._can_move(candidate.account) and self._is_time_left(now, now)
        if trail.moved or not may_move:
            trail.out = failure
        else:
            trail.moved = True
            trail.host += 1
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
        trail = self._trail(self._tried())
        if failure.feature is None or failure.feature in trail.refused:
            self._verdict = refusals.refused(failure)
        else:
            trail.refused.add(failure.feature)
            self._again = _Again(self._tried())

    def _after_too_long(self, failure: Failure, now: float) -> None:
        """No account takes it; a model with a larger window might, if the map has one."""
        window = self._info(self._tried()).context_window
        self._dead[self._tried().key] = failure
        self._needed_window = max(self._needed_window, window + 1)

    def _after_seal(self, failure: Failure, now: float) -> None:
        if self.strip_thinking:
            self._verdict = refusals.refused(failure)
        else:
            self.strip_thinking = True
            self._again = _Again(self._tried())

    # ------------------------------------------------------------------ nobody left

    def _wait_for_opening(self, now: float) -> Wait | None:
        """A wait for the account that is free soonest, after which all may be asked once more."""
        opens_at = self._opens_at(now)
        if opens_at is None:
            return None
        seconds = max(opens_at - now, SHORTEST_ROUND)
        if not self._affordable(seconds):
            return None
        for trail in self._trails.values():
            trail.spent = False
        wait = self._wait(seconds, f"every account is limited for {spell_duration(seconds)}")
        self.notes.append(f"waited {wait.seconds:.1f} s")
        return wait._replace(for_anybody=True)

    def _opens_at(self, now: float) -> float | None:
        """When the first of the accounts that are merely limited is free; None: there is none."""
        moments = (self._limited_until(candidate, now) or now for candidate in self._waiting())
        return min(moments, default=None)

    def _waiting(self) -> list[Candidate]:
        """Those for whom nothing but time is needed."""
        return [
            candidate
            for stage in self._stages
            if stage.model not in self._dead
            for candidate in stage.candidates
            if self._trail(candidate).out is None
            and self._ledger.mark_of(candidate.account) is None
        ]

    def _fall_back(self, now: float) -> bool:
        """Adds the stand-ins, once. After a fault only while there is still time to retry."""
        late = bool(self._dead) and now > self._window_ends
        if not self._rules.fallback or self._fell_back or late:
            return False
        self._fell_back = True
        more = self._stand_ins()
        self._stages = self._own + more
        return bool(more)

    def _stand_ins(self) -> tuple[Stage, ...]:
        own = {stage.model for stage in self._own}
        return tuple(
            stage
            for stage in self._fallbacks(self.asked)
            if stage.model not in own and self._is_wide_enough(stage)
        )

    def _is_wide_enough(self, stage: Stage) -> bool:
        return all(
            self._info(candidate).context_window >= self._needed_window
            for candidate in stage.candidates
        )

    def _conclusion(self, now: float) -> ProxyError:
        """The one error that tells why. What became of the model asked for decides."""
        for stage in self._own:
            if stage.model in self._dead:
                if self._dead[stage.model].kind is FailureKind.TOO_LONG:
                    return refusals.refused(self._dead[stage.model])
                return refusals.faulty(stage.model, self._dead[stage.model], self.attempts, now)
        opens_at = self._opens_at(now)
        if opens_at is not None:
            # In the order of the stages, each once.
            limited = list(dict.fromkeys(candidate.key for candidate in self._waiting()))
            return refusals.limited(limited, opens_at, now)
        left_out = [
            trail.out
            for stage in self._own
            for candidate in stage.candidates
            if (trail := self._trail(candidate)).out is not None
        ]
        if left_out and all(failure.kind is FailureKind.NOT_FOUND for failure in left_out):
            return refusals.not_found(self.asked, left_out[-1])
        if left_out and all(failure.kind is FailureKind.UNTRUSTED for failure in left_out):
            return refusals.faulty(self.asked, left_out[-1], self.attempts, now)
        return refusals.no_account(self.asked, self._reasons())

    def _reasons(self) -> list[tuple[Account, Mark | Failure | None]]:
        """Why each account of the model asked for is out; None: its owner disabled it."""
        reasons: list[tuple[Account, Mark | Failure | None]] = []
        for stage in self._own:
            for candidate in stage.candidates:
                mark = self._ledger.mark_of(candidate.account)
                reasons.append((candidate.account, mark or self._trail(candidate).out))
            reasons += [(account, None) for account in stage.disabled]
        return reasons

    # ------------------------------------------------------------------ small questions

    def _tried(self) -> Candidate:
        if self._last is None:
            raise RuntimeError("nothing has been tried yet")
        return self._last

    def _trail(self, candidate: Candidate) -> _Trail:
        return self._trails.setdefault((candidate.account.id, candidate.model), _Trail())

    def _faulted(self, candidate: Candidate) -> bool:
        trail = self._trails.get((candidate.account.id, candidate.model))
        return trail is not None and trail.faulted

    def _comes_last(self, candidate: Candidate, now: float) -> bool:
        return self._ledger.comes_last(candidate.account.id, self._info(candidate), now)

    def _limited_until(self, candidate: Candidate, now: float) -> float | None:
        return self._ledger.limited_until(candidate.account.id, self._info(candidate), now)

    def _is_time_left(self, begins_at: float, now: float) -> bool:
        """Whether another try that takes as long as the last one would end in time."""
        return begins_at + (now - self._tried_at) <= self._window_ends

    def _affordable(self, seconds: float) -> bool:
        return self._waited + seconds <= self._rules.max_wait

    def _wait(self, seconds: float, reason: str) -> Wait:
        """A wait for a limit. It counts against `max_wait`, and not as time spent on retries."""
        self._waited += seconds
        spread = SPREAD * crc32(self._session_key.encode("utf-8", "replace")) / 2**32
        wait = Wait(seconds + MARGIN + spread, reason)
        self._window_ends += wait.seconds
        return wait


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
