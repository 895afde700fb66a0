"""Which of the accounts that can serve a request is asked first: three strategies, one interface.

Accounts that are limited, marked or disabled never get here. What all strategies share: an account
at or below its soft limit comes after those above it, and unknown quota never counts against one.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from mcp_proxy.account import Candidate
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.ledger import Ledger, OnChange, soft_threshold
from mcp_proxy.values import value

Busy = Callable[[str], int]
"""Account id -> calls in flight."""

Stored = Callable[[str], Mapping[str, Any] | None]
"""A stored row by its key."""

MOST_SESSIONS: Final = 10_000
RECENT: Final = 900.0
"""Seconds for which a new conversation counts as load of the account that got it."""

STAY_BONUS: Final = 150.0
LONGEST_IDLE: Final = 3600.0
UNKNOWN_QUOTA: Final = 0.5


@value
class Situation:
    """What a choice is made from, beside the candidates themselves."""

    session_key: str
    model: ModelInfo
    """The model asked for; conversations are bound by its bucket."""
    info: Callable[[Candidate], ModelInfo]
    """The model as each account has it."""
    ledger: Ledger
    busy: Busy
    soft_limit: float | None
    now: float


class Chooser(Protocol):
    """A strategy. Holds what it has to remember between requests."""

    def choose(self, candidates: Sequence[Candidate], at: Situation) -> Candidate:
        """The best of one or more candidates. Changes nothing."""
        ...

    def picked(self, account_id: str, now: float) -> None:
        """A call to this account is about to be made."""
        ...

    def bound(
        self, session_key: str, model: ModelInfo, account_id: str, now: float, *, passing: bool
    ) -> None:
        """The conversation was answered by this account.

        `passing`: its own account could not for a reason that will pass in a moment, so this one
        only stood in (a 5xx must not cost the conversation its prompt cache).
        """
        ...

    def home(self, session_key: str, model: ModelInfo) -> str | None:
        """The account that the conversation lives on; None where that means nothing."""
        ...

    def look_again(self) -> None:
        """Another process may have moved conversations."""
        ...


class _Sessions:
    """Which account a conversation lives on, for each quota bucket that it uses.

    By bucket, because one conversation may use a large and a small model, and a limit of one must
    not tear the other from its prompt cache. An empty session key is nobody's conversation.
    """

    def __init__(self, on_change: OnChange, stored: Stored) -> None:
        self._on_change = on_change
        self._stored = stored
        self._accounts: OrderedDict[str, str] = OrderedDict()
        """Those that were seen since the last look at what is stored."""
        self._recent: deque[tuple[float, str]] = deque()
        self._recent_counts: Counter[str] = Counter()

    def home(self, session_key: str, model: ModelInfo) -> str | None:
        return self._held(_row_key(session_key, model)) if session_key else None

    def _held(self, key: str) -> str | None:
        found = self._accounts.get(key)
        if found is None:
            row = self._stored(key)
            held = row.get("account") if row is not None else None
            if isinstance(held, str):
                found = self._accounts[key] = held
                self._bound_memory()
        return found

    def bound(
        self, session_key: str, model: ModelInfo, account_id: str, now: float, *, passing: bool
    ) -> None:
        if not session_key:
            return
        key = _row_key(session_key, model)
        held = self._accounts.get(key) or self._held(key)
        if held is not None:
            self._accounts.move_to_end(key)
        if held == account_id or (held is not None and passing):
            return
        self._accounts[key] = account_id
        self._recent.append((now, account_id))
        self._recent_counts[account_id] += 1
        self._on_change("sessions", key, {"account": account_id})
        self._bound_memory()

    def _bound_memory(self) -> None:
        """What is forgotten here is still stored."""
        while len(self._accounts) > MOST_SESSIONS:
            self._accounts.popitem(last=False)

    def _lately(self, now: float) -> Mapping[str, int]:
        """Account id -> conversations that came to it lately."""
        while self._recent and now - self._recent[0][0] > RECENT:
            _, account_id = self._recent.popleft()
            self._recent_counts[account_id] -= 1
        return self._recent_counts

    def look_again(self) -> None:
        self._accounts.clear()


class Sticky(_Sessions):
    """A conversation stays where it is while that account can serve; new ones are spread."""

    def choose(self, candidates: Sequence[Candidate], at: Situation) -> Candidate:
        home = self.home(at.session_key, at.model)
        if home is not None:
            for candidate in candidates:
                if candidate.account.id == home and _reserve(candidate, at) == _ENOUGH:
                    return candidate
        recent = self._lately(at.now)

        def rank(candidate: Candidate) -> tuple[int, float, bool, int]:
            account_id = candidate.account.id
            # Calls in flight count as well: their conversations are bound only once they succeed.
            load = recent.get(account_id, 0) + at.busy(account_id)
            return (*_reserve(candidate, at), account_id != home, load)

        return min(candidates, key=rank)

    def picked(self, account_id: str, now: float) -> None:
        """Nothing to remember: load is counted from bindings and calls in flight."""


class RoundRobin:
    """Each account in turn: the one that has waited longest for its turn is first."""

    def __init__(self, _on_change: OnChange, _stored: Stored) -> None:
        self._turn = 0
        self._last_turn: dict[str, int] = {}

    def choose(self, candidates: Sequence[Candidate], at: Situation) -> Candidate:
        return min(
            candidates,
            key=lambda candidate: (
                *_reserve(candidate, at),
                self._last_turn.get(candidate.account.id, 0),
            ),
        )

    def picked(self, account_id: str, now: float) -> None:
        self._turn += 1
        self._last_turn[account_id] = self._turn

    def bound(
        self, session_key: str, model: ModelInfo, account_id: str, now: float, *, passing: bool
    ) -> None:
        """Conversations mean nothing here."""

    def home(self, session_key: str, model: ModelInfo) -> str | None:
        """Nor have they a home."""

    def look_again(self) -> None:
        """Each process has turns of its own."""


class Hybrid(_Sessions):
    """The best score of health, quota, idleness and load, staying while scores are close.

    The weights are those of cloudcode.md 7.3; in place of a bucket of 50 tokens that guesses at
    load, each call in flight and each new conversation costs what one of those tokens is worth.
    A conversation's own account is scored as if fully idle and unburdened, and with a bonus: only
    markedly better health or quota makes it move.
    """

    def __init__(self, on_change: OnChange, stored: Stored) -> None:
        super().__init__(on_change, stored)
        self._used_at: dict[str, float] = {}

    def choose(self, candidates: Sequence[Candidate], at: Situation) -> Candidate:
        home = self.home(at.session_key, at.model)
        recent = self._lately(at.now)

        def rank(candidate: Candidate) -> tuple[int, float, float]:
            account_id = candidate.account.id
            score = self._merit(candidate, at)
            if account_id == home:
                score += 0.1 * LONGEST_IDLE + STAY_BONUS
            else:
                load = recent.get(account_id, 0) + at.busy(account_id)
                score += 0.1 * self._idle(account_id, at.now) - 10.0 * load
            return (*_reserve(candidate, at), -score)

        return min(candidates, key=rank)

    @staticmethod
    def _merit(candidate: Candidate, at: Situation) -> float:
        account_id = candidate.account.id
        remaining = at.ledger.remaining(account_id, at.info(candidate), at.now)
        quota = UNKNOWN_QUOTA if remaining is None else remaining
        return 2.0 * at.ledger.health.of(account_id, at.now) + 3.0 * 100.0 * quota

    def _idle(self, account_id: str, now: float) -> float:
        used_at = self._used_at.get(account_id)
        return LONGEST_IDLE if used_at is None else min(max(now - used_at, 0.0), LONGEST_IDLE)

    def picked(self, account_id: str, now: float) -> None:
        self._used_at[account_id] = now


_STRATEGIES: Final[Mapping[str, Callable[[OnChange, Stored], Chooser]]] = {
    "sticky": Sticky,
    "round-robin": RoundRobin,
    "hybrid": Hybrid,
}

STRATEGIES: Final = tuple(_STRATEGIES)


def _ignore(_table: str, _key: str, _row: dict[str, Any] | None) -> None:
    """For choosers that nobody keeps."""


def _nothing(_key: str) -> dict[str, Any] | None:
    """What is stored for them."""
    return None


def chooser(strategy: str, on_change: OnChange = _ignore, stored: Stored = _nothing) -> Chooser:
    """A fresh chooser of that strategy. KeyError when there is none of the name.

    `stored`: a row of the `sessions` table by its key; `on_change` gets those to be stored.
    """
    return _STRATEGIES[strategy](on_change, stored)


_ENOUGH: Final = (0, 0.0)


def _reserve(candidate: Candidate, at: Situation) -> tuple[int, float]:
    """Sorts accounts with enough left before those at their soft limit, and these by fullness."""
    remaining = at.ledger.remaining(candidate.account.id, at.info(candidate), at.now)
    if remaining is None:
        return _ENOUGH
    threshold = soft_threshold(candidate.account, at.soft_limit)
    if remaining > 0 and (threshold is None or remaining > threshold):
        return _ENOUGH
    return (1, -remaining)


def _row_key(session_key: str, model: ModelInfo) -> str:
    return f"{session_key}|{model.bucket or model.id}"
