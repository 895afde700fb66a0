"""How late the event loop gets to what is due: whatever blocks it delays every stream at once.

Somebody has to ask for it: a timer runs from one scrape to the next and ends some time after the
last, so that a server that nobody watches is not woken for it.
"""

import asyncio
from typing import Final

LOOK_EVERY: Final = 0.5
LOOKS: Final = 600
"""How often it looks before it takes the last scrape for the last: five minutes."""


class LoopLag:
    """The loop that runs when `worst` is first asked for is the one that is looked at."""

    def __init__(self, *, every: float = LOOK_EVERY, looks: int = LOOKS) -> None:
        self._every = every
        self._looks = looks
        self._left = 0
        self._worst = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def worst(self) -> float:
        """Seconds by which the latest look since the last call was late; 0 at the first call."""
        worst, self._worst = self._worst, 0.0
        self._left = self._looks
        if self._timer is None:
            self._wait()
        return round(worst, 6)

    @property
    def is_looking(self) -> bool:
        """Whether somebody has scraped lately."""
        return self._timer is not None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._every
        self._timer = loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        self._timer = None
        self._worst = max(self._worst, asyncio.get_running_loop().time() - due)
        self._left -= 1
        if self._left > 0:
            self._wait()
