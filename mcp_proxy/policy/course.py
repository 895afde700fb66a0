"""What one request has met so far, and who is left to be asked."""

from collections.abc import Callable, Iterable
from dataclasses import field

from mcp_proxy.account import Candidate
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.lineup import Lineup
from mcp_proxy.policy.standing import Mark
from mcp_proxy.values import stateful


@stateful
class Trail:
    """What happened to one account with one model in this request."""

    moved_by: int = 0
    """Hosts that it was moved on by for reasons of its own."""
    bursts: int = 0
    spent: bool = False
    """Limited; not asked again before the next wait for everybody."""
    faulted: bool = False
    refreshed: bool = False
    refused: set[str] = field(default_factory=set)
    """Features that it does not take."""
    out: Failure | None = None
    """Why it is not asked again at all."""


_UNTOUCHED = Trail()

_Place = tuple[str, str | None]
"""A provider, or a server of its kind: what has the same hosts for all of its accounts."""


def _place(candidate: Candidate) -> _Place:
    return candidate.account.provider, candidate.account.base_url


class Course:
    """The trails of a request's candidates, seen together with what the ledger holds of them."""

    __slots__ = ("_broken_hosts", "_info", "_ledger", "_trails", "dead", "fault_counts", "lineup")

    def __init__(
        self, lineup: Lineup, ledger: Ledger, info: Callable[[Candidate], ModelInfo]
    ) -> None:
        self.lineup = lineup
        self.dead: dict[str, Failure] = {}
        """Models that used up their tries, with the last failure."""
        self._ledger = ledger
        self._info = info
        self._trails: dict[tuple[str, str], Trail] = {}
        self.fault_counts: dict[str, int] = {}
        """Tries that failed, by model."""
        self._broken_hosts: dict[_Place, int] = {}
        """How many hosts of a place have failed in this request."""

    # ------------------------------------------------------------------ what happened

    def trail(self, candidate: Candidate) -> Trail:
        """The candidate's trail, to be written on."""
        return self._trails.setdefault((candidate.account.id, candidate.model), Trail())

    def met(self, candidate: Candidate) -> Trail:
        """The candidate's trail, only to be read."""
        return self._trails.get((candidate.account.id, candidate.model), _UNTOUCHED)

    def count_fault(self, candidate: Candidate) -> int:
        """How many tries of the candidate's model have failed, this one included."""
        tries = self.fault_counts.get(candidate.key, 0) + 1
        self.fault_counts[candidate.key] = tries
        return tries

    def pass_over(self, candidate: Candidate, failure: Failure) -> None:
        """It could not be asked at all, which is no try; whoever answers only stands in for it."""
        self.trail(candidate).out = failure
        self.fault_counts.setdefault(candidate.key, 0)

    def host(self, candidate: Candidate) -> int:
        """Which of its hosts to ask. Accounts of one place share them, and a fault of one."""
        if not self._trails:
            return 0
        return self._broken_hosts.get(_place(candidate), 0) + self.met(candidate).moved_by

    def leave_host(self, candidate: Candidate) -> None:
        """The host that was asked is broken, whoever asks it."""
        place = _place(candidate)
        self._broken_hosts[place] = self._broken_hosts.get(place, 0) + 1

    def begin_round(self) -> None:
        """Those that were limited may be asked once more."""
        for trail in self._trails.values():
            trail.spent = False

    # ------------------------------------------------------------------ who is left

    def usable(self, candidates: Iterable[Candidate], now: float) -> list[Candidate]:
        """Those that may be asked now."""
        info, is_open = self._info, self._ledger.is_open
        usable = []
        for each in candidates:
            trail = self.met(each) if self._trails else _UNTOUCHED
            if trail.spent or trail.out is not None:
                continue
            if is_open(each.account, info(each), now):
                usable.append(each)
        return usable

    def calm(self, usable: list[Candidate], now: float) -> list[Candidate]:
        """Those without a recent fault, if there are such."""
        calm = usable
        if self.fault_counts:
            calm = [each for each in calm if not self.met(each).faulted] or calm
        if self._ledger.anybody_comes_last(now):
            calm = [each for each in calm if not self._comes_last(each, now)] or calm
        return calm

    def waiting(self) -> list[Candidate]:
        """Those for whom nothing but time is needed."""
        return [
            candidate
            for stage in self.lineup.stages
            if stage.model not in self.dead
            for candidate in stage.candidates
            if self.met(candidate).out is None and self.mark_of(candidate) is None
        ]

    def opens_at(self, now: float) -> float | None:
        """When the first of those that are merely limited is free; None: there is none."""
        moments = (self.limited_until(candidate, now) or now for candidate in self.waiting())
        return min(moments, default=None)

    def limited_until(self, candidate: Candidate, now: float) -> float | None:
        return self._ledger.limited_until(candidate.account.id, self._info(candidate), now)

    def mark_of(self, candidate: Candidate) -> Mark | None:
        return self._ledger.mark_of(candidate.account)

    def _comes_last(self, candidate: Candidate, now: float) -> bool:
        return self._ledger.comes_last(candidate.account.id, self._info(candidate), now)
