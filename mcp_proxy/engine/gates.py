"""How many calls an account carries at once: a cap with a fair queue, not a storm of 429s."""

import asyncio
from collections import deque


class _Gate:
    """Calls in flight at one account, and those that wait for a place, in order of arrival."""

    __slots__ = ("alone", "inside", "waiting")

    def __init__(self) -> None:
        self.inside = 0
        self.alone = False
        """One call at a time: its upstream said that more are too many."""
        self.waiting: deque[asyncio.Future[None]] = deque()

    def admit(self, limit: int) -> None:
        """Gives the free places to those who wait longest."""
        limit = 1 if self.alone else limit
        while self.waiting and self.inside < limit:
            first = self.waiting.popleft()
            if not first.done():
                self.inside += 1
                first.set_result(None)


class Gates:
    """One first-come-first-served gate per account."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, _Gate] = {}

    def load(self, account_id: str) -> int:
        """Calls in flight and waiting."""
        gate = self._gates.get(account_id)
        return 0 if gate is None else gate.inside + len(gate.waiting)

    def set_limit(self, limit: int) -> None:
        """Counts from now on. Nobody who is inside is sent away."""
        self._limit = limit
        for gate in self._gates.values():
            gate.admit(limit)

    def narrow(self, account_id: str) -> None:
        """From now on the account gets one call at a time (providers.md 1, code 1302)."""
        self._gates.setdefault(account_id, _Gate()).alone = True

    async def enter(self, account_id: str) -> bool:
        """Waits for a place; True when there was something to wait for.

        Every `enter` that returned needs one `leave`.
        """
        gate = self._gates.get(account_id)
        if gate is None:
            gate = self._gates[account_id] = _Gate()
        if gate.inside < (1 if gate.alone else self._limit) and not gate.waiting:
            gate.inside += 1
            return False
        place = asyncio.get_running_loop().create_future()
        gate.waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                gate.waiting.remove(place)
            else:  # cancelled in the moment in which the place was given: it goes to the next
                self.leave(account_id)
            raise
        return True

    def leave(self, account_id: str) -> None:
        gate = self._gates[account_id]
        gate.inside -= 1
        if gate.waiting:
            gate.admit(self._limit)
