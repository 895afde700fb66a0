"""A score from 0 to 100 for how well an account has been doing; the hybrid strategy reads it.

Numbers of cloudcode.md 7.3: start at 70, +1 for an answer, -10 for a limit, -20 for a fault, and
ten points an hour for being left alone, since an account that is never asked cannot recover.
"""

from typing import Final

START: Final = 70.0
HIGHEST: Final = 100.0
ANSWER: Final = 1.0
LIMIT: Final = -10.0
FAULT: Final = -20.0
PER_HOUR: Final = 10.0


class Health:
    """Scores by account id. In memory: after a restart everybody gets a new chance."""

    __slots__ = ("_scores",)

    def __init__(self) -> None:
        self._scores: dict[str, tuple[float, float]] = {}

    def of(self, account_id: str, now: float) -> float:
        score, at = self._scores.get(account_id, (START, now))
        return min(HIGHEST, score + max(0.0, now - at) * PER_HOUR / 3600)

    def add(self, account_id: str, points: float, now: float) -> None:
        held = self._scores.get(account_id)
        if points > 0.0 and held is not None and held[0] == HIGHEST:
            return  # and stays so
        score = max(0.0, min(HIGHEST, self.of(account_id, now) + points))
        self._scores[account_id] = (score, now)

    def forget(self, account_id: str) -> None:
        self._scores.pop(account_id, None)
