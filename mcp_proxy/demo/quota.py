"""Quota that falls as it is used: per account and bucket, in steps of a fifth, back after a window.

Counts calls, not tokens, so that a person can watch it and a test can foretell it. The clock is an
argument. Source: cloudcode.md 6.8.
"""

import math
from dataclasses import dataclass

STEPS = 5
"""The real upstream reports 1, 0.8, 0.6, 0.4, 0.2 and then nothing at all."""


@dataclass(slots=True)
class Bucket:
    """One account's calls for the models that share a bucket."""

    calls: int
    left: float
    resets_at: float | None = None
    """Set by the first use of a window."""

    def fraction(self) -> float:
        """What is left, in the steps that are reported; above zero reads as at least one step."""
        return math.ceil(self.left / self.calls * STEPS) / STEPS


class Quota:
    """All accounts' buckets."""

    def __init__(self, *, calls: int, window: float) -> None:
        """`calls` per bucket and `window` (seconds), unless `allow` says otherwise for one."""
        self._calls = calls
        self._window = window
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def allow(self, account: str, bucket: str, calls: int) -> None:
        """Gives this account's bucket another size, full."""
        self._buckets[account, bucket] = Bucket(calls, calls)

    def set_left(self, account: str, bucket: str, fraction: float, resets_at: float) -> None:
        """As if the rest had been used; 0 makes the next call a 429 until `resets_at`."""
        found = self._bucket(account, bucket)
        found.left = found.calls * fraction
        found.resets_at = resets_at

    def wait(self, account: str, bucket: str, now: float) -> float | None:
        """Seconds until the bucket serves again; None when it does now."""
        found = self._refilled(account, bucket, now)
        if found.left > 0 or found.resets_at is None:
            return None
        return found.resets_at - now

    def use(self, account: str, bucket: str, now: float) -> None:
        """One call was served."""
        found = self._refilled(account, bucket, now)
        found.left = max(found.left - 1, 0)
        if found.resets_at is None:
            found.resets_at = now + self._window

    def reading(self, account: str, bucket: str, now: float) -> tuple[float, float]:
        """(remaining fraction, reset time) as they are reported."""
        found = self._refilled(account, bucket, now)
        return found.fraction(), found.resets_at or now + self._window

    def _bucket(self, account: str, bucket: str) -> Bucket:
        found = self._buckets.get((account, bucket))
        if found is None:
            found = self._buckets[account, bucket] = Bucket(self._calls, self._calls)
        return found

    def _refilled(self, account: str, bucket: str, now: float) -> Bucket:
        found = self._bucket(account, bucket)
        if found.resets_at is not None and now >= found.resets_at:
            found.left = found.calls
            found.resets_at = None
        return found
