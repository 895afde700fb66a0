"""Account x model standings: who may be asked for what, and what that belief rests on.

Knows nothing of HTTP or disks: callers hand in the time and what an upstream reported, and get
told which rows changed. Rules (cloudcode.md 6.4, 6.8, 7.4; faults.md 3.2):

1. A rate limit cools one model of one account, spent quota the whole bucket.
2. Load, networks and bad requests say nothing about an account. Three 5xx within a minute let it
   rest: it is then tried after the others, but never waited for. So is one whose upstream has
   said that it lacks the model.
3. One burst of 429s is one strike, and so are those to calls that were under way at it.
4. No hint is believed for longer than six hours; then whoever asks finds out.
5. A success, or a fresh figure above zero, ends a cooldown at once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from mcp_proxy.account import Account
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy import health, models
from mcp_proxy.policy.forecast import Forecast, forecast, soonest
from mcp_proxy.policy.health import Health
from mcp_proxy.policy.observations import (
    BACKOFF,
    after_answer,
    after_figure,
    after_limit,
    after_refill,
)
from mcp_proxy.policy.standing import (
    JsonObject,
    Mark,
    Standing,
    State,
    mark_from_json,
    mark_to_json,
    standing_from_json,
    standing_to_json,
)

__all__ = ["Ledger", "Mark", "QuotaLike", "Standing", "State"]

FAULTS_TO_REST: Final = 3
FAULTS_WITHIN: Final = 60.0
REST: Final = 60.0
_TIRING: Final = frozenset(
    {FailureKind.UPSTREAM, FailureKind.MISCONFIGURED, FailureKind.AUTH_EXPIRED}
)
"""Of these an account has to rest; a token that expires once is none too many."""

LACKS: Final = 1800.0
"""Seconds for which an upstream's word that it lacks a model is believed (providers.md 7.7)."""

_EVERY_MODEL: Final = "*"
_WINDOW: Final = "window:"

OnChange = Callable[[str, str, JsonObject | None], None]
"""(table, key, row); a row of None is to be removed."""


class QuotaLike(Protocol):
    """One figure in a quota answer; `providers.QuotaReading` is one, and says what it is of."""

    @property
    def model(self) -> str | None: ...
    @property
    def window(self) -> str | None: ...
    @property
    def bucket(self) -> str | None: ...
    @property
    def remaining(self) -> float | None: ...
    @property
    def resets_at(self) -> float | None: ...


class Window(NamedTuple):
    """A span whose figure is shared: by all models of an account, or by those of a bucket."""

    name: str
    bucket: str | None

    @property
    def row(self) -> str:
        return f"{_WINDOW}{self.name}" + (f"@{self.bucket}" if self.bucket else "")


def _ignore(_table: str, _key: str, _row: JsonObject | None) -> None:
    """For ledgers that nobody keeps."""


class Ledger:
    """Everything known about accounts beyond their files."""

    def __init__(
        self,
        *,
        credential_id: Callable[[Account], str],
        on_change: OnChange = _ignore,
        on_opened: Callable[[], None] = lambda: None,
    ) -> None:
        """`credential_id`: fingerprint of an account's credential; binds marks to it.

        `on_opened` is called when a limit has ended before its time.
        """
        self.credential_id = credential_id
        self.health = Health()
        self._on_change = on_change
        self._on_opened = on_opened
        self._standings: dict[str, dict[str, Standing]] = {}
        """By account id, then by row name; rows of one account are read together, and often."""
        self._names: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._windows: dict[str, tuple[Window, ...]] = {}
        """Spans over which an account's figures are counted, by account id; few have any."""
        self._marks: dict[str, Mark] = {}
        self._touched: set[str] = set()
        self._faults: dict[str, deque[float]] = {}
        self._lacking: dict[tuple[str, str], float] = {}
        """(account id, model id) -> until when its upstream is believed to lack the model."""

    # ------------------------------------------------------------------ what upstreams report

    def observe_quota(
        self, account_id: str, readings: Iterable[QuotaLike], now: float, source: str
    ) -> None:
        """Figures of a quota answer that was asked for at `now`."""
        refilled = set()
        shared_left: dict[str | None, float] = {}
        for reading in readings:
            remaining = reading.remaining
            if remaining is None and reading.resets_at is not None:
                remaining = 0.0  # pitfall 49: the upstream leaves a zero out
            if remaining is None:
                continue
            remaining = min(1.0, max(0.0, remaining))
            if reading.model is None:
                window = Window(reading.window or "quota", reading.bucket)
                self._see(account_id, window.row, remaining, reading.resets_at, now, source)
                least = min(remaining, shared_left.get(reading.bucket, 1.0))
                shared_left[reading.bucket] = least
                continue
            self._see(account_id, reading.model, remaining, reading.resets_at, now, source)
            if remaining > 0:
                refilled.add(_scope_key(Scope.BUCKET, models.info(reading.model)))
        refilled |= {_shared_row(bucket) for bucket, left in shared_left.items() if left > 0}
        for name in refilled:
            held = self._known(account_id, name, now)
            self._put(account_id, name, after_refill(held, now, source), now)

    def observe_failure(
        self,
        account_id: str,
        model: ModelInfo,
        failure: Failure,
        now: float,
        *,
        asked_at: float | None = None,
    ) -> None:
        """A call that failed, made at `asked_at`, else just now.

        Most failures say nothing about an account and change nothing.
        """
        if failure.kind in BACKOFF:
            self.health.add(account_id, health.LIMIT, now)
            name = _scope_key(failure.scope, model)
            held = self._known(account_id, name, now)
            asked_at = now if asked_at is None else asked_at
            fresh = after_limit(held, failure, now, asked_at=asked_at)
            self._put(account_id, name, fresh, now)
        elif failure.kind in _TIRING:
            self.health.add(account_id, health.FAULT, now)
            self._faults.setdefault(account_id, deque(maxlen=FAULTS_TO_REST)).append(now)
        elif failure.kind is FailureKind.NOT_FOUND and failure.scope is Scope.MODEL:
            self._lacking[account_id, model.id] = now + LACKS

    def observe_success(self, account_id: str, model: ModelInfo, now: float) -> None:
        """An answer began: whatever was held against the account for this model is over."""
        self.health.add(account_id, health.ANSWER, now)
        self._faults.pop(account_id, None)
        self._lacking.pop((account_id, model.id), None)
        rows = self._standings.get(account_id, _NO_ROWS)
        for name in self._row_names(account_id, model):
            standing = rows.get(name)
            if standing is not None:
                self._put(account_id, name, after_answer(standing, now), now)
        if model.id not in rows:
            # Where nobody tells what is left, an answer is all that shows that it serves.
            self._put(account_id, model.id, after_answer(_NOTHING, now), now)

    # ------------------------------------------------------------------ what is believed now

    def standing(self, account_id: str, model: ModelInfo) -> Standing:
        """The model's own row, for showing; empty when nothing is known."""
        return self._held(account_id, model.id)

    def evidence(self, account_id: str, model: ModelInfo) -> Standing:
        """Of the rows that concern a model, the one that changed last; for `limits --why`."""
        return max(self._rows(account_id, model), key=lambda row: row.changed_at, default=_NOTHING)

    def is_open(self, account: Account, model: ModelInfo, now: float) -> bool:
        """Whether neither a mark nor a limit keeps the account from being asked for the model."""
        is_marked = bool(self._marks) and self.mark_of(account) is not None
        return not is_marked and self.limited_until(account.id, model, now) is None

    def limited_until(self, account_id: str, model: ModelInfo, now: float) -> float | None:
        """When the account may be asked for the model again; None: now."""
        rows = self._standings.get(account_id)
        if rows is None:
            return None
        latest: float | None = None
        for name in self._row_names(account_id, model):
            until = rows[name].limited_until if name in rows else None
            if until is not None and until > now and (latest is None or until > latest):
                latest = latest if rows[name].is_ahead(now) else until
        return latest

    def remaining(self, account_id: str, model: ModelInfo, now: float) -> float | None:
        """The newest figure that is still worth something, as a fraction; None: unknown."""
        figure = self.figure(account_id, model, now)
        return None if figure is None else figure.remaining

    def figure(self, account_id: str, model: ModelInfo, now: float) -> Standing | None:
        """The row behind `remaining`: the newest one with a figure whose reset has not passed.

        Of several windows the one with least left decides, since each of them can end the use.
        """
        newest: Standing | None = None
        for row in self._rows(account_id, model, windows=False):
            if row.remaining_now(now) is None:
                continue
            if newest is None or (row.remaining_at or 0.0) > (newest.remaining_at or 0.0):
                newest = row
        if account_id not in self._windows:
            return newest
        figures = [newest] if newest is not None else []
        figures += [row for _, row in self.windows(account_id, model)]
        left = [(row.remaining_now(now), row) for row in figures]
        known = [(remaining, row) for remaining, row in left if remaining is not None]
        return min(known, key=lambda each: each[0])[1] if known else None

    def windows(
        self, account_id: str, model: ModelInfo | None = None
    ) -> list[tuple[Window, Standing]]:
        """The account's shared figures; only those that `model` draws on, when it is given."""
        rows = self._standings.get(account_id, {})
        return [
            (window, rows[window.row])
            for window in self._windows.get(account_id, ())
            if window.row in rows
            and (model is None or window.bucket is None or window.bucket == model.bucket)
        ]

    def forecast(self, account_id: str, model: ModelInfo, now: float) -> Forecast | None:
        """What becomes of the model's quota: of all figures that it draws on, the first to end.

        None: nothing can be told, or nothing is left.
        """
        figure = self.figure(account_id, model, now)
        if figure is None or not figure.remaining:
            return None
        shared = [row for _, row in self.windows(account_id, model)]
        known = [row for row in shared if row.remaining_now(now) is not None and row is not figure]
        return soonest([forecast(row, now) for row in (figure, *known)])

    def soft_limited(
        self, account: Account, model: ModelInfo, soft_limit: float | None, now: float
    ) -> bool:
        """Whether little enough is left to use the account last. Unknown is never little."""
        threshold = soft_threshold(account, soft_limit)
        if threshold is None:
            return False
        remaining = self.remaining(account.id, model, now)
        return remaining is not None and remaining <= threshold

    def anybody_rests(self, now: float) -> bool:
        """Whether it is worth asking `resting` of each account."""
        return bool(self._faults) and any(self.resting(each, now) for each in self._faults)

    def resting(self, account_id: str, now: float) -> bool:
        """Whether it broke so often in the last minute that others should be asked first."""
        faults = self._faults.get(account_id)
        if faults is None or len(faults) < FAULTS_TO_REST:
            return False
        return faults[-1] - faults[0] <= FAULTS_WITHIN and now - faults[-1] < REST

    def anybody_comes_last(self, now: float) -> bool:
        """Whether it is worth asking `comes_last` of each account."""
        return bool(self._lacking) or (bool(self._faults) and self.anybody_rests(now))

    def comes_last(self, account_id: str, model: ModelInfo, now: float) -> bool:
        """Whether others should be asked for the model first: it rests, or it lacks the model."""
        return self.lacks(account_id, model, now) or self.resting(account_id, now)

    def lacks(self, account_id: str, model: ModelInfo, now: float) -> bool:
        """Whether its upstream has said lately that it does not have the model."""
        return now < self._lacking.get((account_id, model.id), 0.0)

    def state_of(
        self, account: Account, model: ModelInfo, now: float, soft_limit: float | None
    ) -> State:
        """The one word for an account and a model, the same wherever it is shown."""
        if not account.enabled:
            return State.DISABLED
        if self.mark_of(account) is not None:
            return State.INVALID
        remaining = self.remaining(account.id, model, now)
        if remaining == 0 or self._out_of_quota(account.id, model, now):
            return State.EXHAUSTED
        if self.limited_until(account.id, model, now) or self.resting(account.id, now):
            return State.COOLING_DOWN
        if remaining is None:
            held = self._held(account.id, model.id)
            has_served = held.last_success_at is not None and held.remaining_at is None
            return State.READY if has_served else State.UNKNOWN
        soft = self.soft_limited(account, model, soft_limit, now)
        return State.SOFT_LIMITED if soft else State.READY

    def account_state(
        self, account: Account, served: Iterable[ModelInfo], now: float, soft_limit: float | None
    ) -> State:
        """The best that the account can do with any of its models; for `/health` and `list`."""
        if not account.enabled:
            return State.DISABLED
        if self.mark_of(account) is not None:
            return State.INVALID
        states = {self.state_of(account, model, now, soft_limit) for model in served}
        return next((state for state in State if state in states), State.UNKNOWN)

    # ------------------------------------------------------------------ marks

    def mark(self, account_id: str, mark: Mark) -> None:
        """Takes an account out until its owner acts."""
        if self._marks.get(account_id) != mark:
            self._marks[account_id] = mark
            self._touched.add(account_id)
            self._on_change("marks", account_id, mark_to_json(mark))

    def clear_mark(self, account_id: str) -> None:
        if self._marks.pop(account_id, None) is not None:
            self._touched.add(account_id)
            self._on_change("marks", account_id, None)

    def mark_of(self, account: Account) -> Mark | None:
        """The mark that the account's present credential has earned."""
        mark = self._marks.get(account.id)
        if mark is None or mark.credential_id != self.credential_id(account):
            return None
        return mark

    # ------------------------------------------------------------------ keeping

    def take_touched(self) -> set[str]:
        """Ids of the accounts of which anything was learned since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def restore(
        self,
        standings: Mapping[str, Any] | None = None,
        marks: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes in stored rows, at the start or later when another process may have written.

        A standing counts when it is newer than the one held. `marks` is the whole table: a mark
        that is not in it has been cleared elsewhere. Damaged rows are passed over.
        """
        for joined, row in (standings or {}).items():
            account_id, _, name = joined.partition("|")
            stored = standing_from_json(row)
            held = self._held(account_id, name)
            if stored is not None and name and stored.changed_at > held.changed_at:
                self._hold(account_id, name, stored)
        if marks is not None:
            read = {account_id: mark_from_json(row) for account_id, row in marks.items()}
            known = {account_id: mark for account_id, mark in read.items() if mark}
            either = self._marks.keys() | known.keys()
            self._touched |= {each for each in either if self._marks.get(each) != known.get(each)}
            self._marks = known

    def forget(self, account_id: str) -> None:
        """Drops everything about an account that has been removed."""
        self.clear_mark(account_id)
        self.forget_standings(account_id)

    def forget_standings(self, account_id: str) -> None:
        """Drops what was said of an account that is somebody else's by now."""
        self._faults.pop(account_id, None)
        self._lacking = {key: end for key, end in self._lacking.items() if key[0] != account_id}
        self.health.forget(account_id)
        self._windows.pop(account_id, None)
        for name in self._standings.pop(account_id, {}):
            self._on_change("standings", f"{account_id}|{name}", None)

    # ------------------------------------------------------------------ rows

    def _see(
        self,
        account_id: str,
        name: str,
        remaining: float,
        resets_at: float | None,
        now: float,
        source: str,
    ) -> None:
        held = self._known(account_id, name, now)
        fresh = after_figure(held, remaining, resets_at, now, source)
        self._put(account_id, name, fresh, now)

    def _out_of_quota(self, account_id: str, model: ModelInfo, now: float) -> bool:
        return any(
            row.limit_kind is FailureKind.QUOTA and row.limited_now(now) is not None
            for row in self._rows(account_id, model)
        )

    def _rows(
        self, account_id: str, model: ModelInfo, *, windows: bool = True
    ) -> Iterable[Standing]:
        rows = self._standings.get(account_id)
        if rows is None:
            return ()
        names = self._row_names(account_id if windows else "", model)
        return [rows[name] for name in names if name in rows]

    def _row_names(self, account_id: str, model: ModelInfo) -> tuple[str, ...]:
        """Names of the rows that concern a model: its own, its bucket's, the whole account's."""
        key = model.id, model.bucket
        names = self._names.get(key)
        if names is None:
            bucket = _scope_key(Scope.BUCKET, model)
            names = self._names[key] = tuple(dict.fromkeys((model.id, bucket, _EVERY_MODEL)))
        windows = self._windows.get(account_id)
        if windows is None:
            return names
        shared = [w.row for w in windows if w.bucket is None or w.bucket == model.bucket]
        return (*names, *shared)

    def _held(self, account_id: str, name: str) -> Standing:
        rows = self._standings.get(account_id)
        return _NOTHING if rows is None else rows.get(name, _NOTHING)

    def _known(self, account_id: str, name: str, now: float) -> Standing:
        """The row, unless the clock was put back since it was written."""
        held = self._held(account_id, name)
        return _NOTHING if held.is_ahead(now) else held

    def _hold(self, account_id: str, name: str, standing: Standing) -> None:
        self._standings.setdefault(account_id, {})[name] = standing
        self._touched.add(account_id)
        if name.startswith(_WINDOW):
            window, _, bucket = name.removeprefix(_WINDOW).partition("@")
            held = Window(window, bucket or None)
            known = self._windows.get(account_id, ())
            if held not in known:
                self._windows[account_id] = (*known, held)

    def _put(self, account_id: str, name: str, standing: Standing | None, now: float) -> None:
        """Holds and tells what an observation changed; None: it changed nothing."""
        if standing is None:
            return
        if standing.changed_at != now:
            standing = replace(standing, changed_at=now)
        was_limited = self._held(account_id, name).limited_now(now) is not None
        self._hold(account_id, name, standing)
        self._on_change("standings", f"{account_id}|{name}", standing_to_json(standing))
        if was_limited and standing.limited_now(now) is None:
            self._on_opened()


def soft_threshold(account: Account, soft_limit: float | None) -> float | None:
    """The account's own limit, else the general one; without a general one there is none at all."""
    if soft_limit is None or account.soft_limit is None:
        return soft_limit
    return account.soft_limit


_NOTHING: Final = Standing()
_NO_ROWS: Final[Mapping[str, Standing]] = {}


def _scope_key(scope: Scope, model: ModelInfo) -> str:
    """Name of the row that a limit of this scope belongs to."""
    if scope is Scope.ACCOUNT:
        return _EVERY_MODEL
    if scope is Scope.BUCKET and model.bucket is not None:
        return _shared_row(model.bucket)
    return model.id


def _shared_row(bucket: str | None) -> str:
    """Name of the row of all models of a bucket; without one, of all models."""
    return _EVERY_MODEL if bucket is None else f"bucket:{bucket}"
