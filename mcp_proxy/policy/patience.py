"""How long one request may go on: limits may be waited for, faults may be answered by new tries."""

from typing import Final
from zlib import crc32

from mcp_proxy.policy.steps import Wait

RETRY_WINDOW: Final = 30.0
"""Seconds after which a fault is no longer answered by another try (contract 4, Answers)."""

MARGIN: Final = 0.1
"""Seconds added to every wait for a limit: clocks differ, and a moment too early costs a try."""
SPREAD: Final = 0.4
"""Seconds over which conversations that wait for the same moment are spread."""


class Patience:
    """The time of one request. Waiting, for a limit or for a turn, is not time spent on tries."""

    __slots__ = ("_beyond", "_max_wait", "_session_key", "_waited", "_window_ends")

    def __init__(self, max_wait: float, session_key: str, now: float) -> None:
        self._max_wait = max_wait
        self._session_key = session_key
        self._waited = 0.0
        self._beyond = 0.0
        self._window_ends = now + RETRY_WINDOW

    def can_wait(self, seconds: float) -> bool:
        return self._waited + seconds <= self._max_wait

    def wait(self, seconds: float, reason: str) -> Wait:
        """A wait for a limit; it counts from now on."""
        self._waited += seconds
        spread = SPREAD * crc32(self._session_key.encode("utf-8", "replace")) / 2**32
        self._beyond = MARGIN + spread
        wait = Wait(seconds + self._beyond, reason)
        self._window_ends += wait.seconds
        return wait

    def waited_less(self, seconds: float) -> None:
        """The last wait was shorter by so much, of which what it had beyond its limit is first."""
        self._waited -= max(seconds - self._beyond, 0.0)
        self._window_ends -= seconds

    def queued(self, seconds: float) -> None:
        """A try had to wait for its turn before it began."""
        self._window_ends += seconds

    def has_time(self, begins_at: float, seconds: float) -> bool:
        """Whether a try that takes so long would end in time."""
        return begins_at + seconds <= self._window_ends

    def left(self, now: float) -> float:
        """Seconds in which a try has to begin."""
        return max(self._window_ends - now, 0.0)

    def is_over(self, now: float) -> bool:
        """Whether it is too late for a fault to be answered by another try."""
        return now > self._window_ends
