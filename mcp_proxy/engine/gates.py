"""How many calls an account carries at once: a cap with a fair queue, not a storm of 429s."""

import asyncio
from collections import deque
from contextlib import suppress


class _Gate:
    """Calls in flight at one account, and those that wait for a place, in order of arrival."""

    __slots__ = ("alone", "inside", "waiting")

    def __init__(self) -> None:
        self.inside = 0
        self.alone = False
        """One call at a time: its upstream said that more are too many."""
        self.waiting: deque[asyncio.Future[bool]] = deque()
        """Each is told whether it has a place, or is sent away."""

    def admit(self, limit: int) -> None:
        """Gives the free places to those who wait longest."""
        limit = 1 if self.alone else limit
        while self.waiting and self.inside < limit:
            first = self.waiting.popleft()
            if not first.done():
                self.inside += 1
                first.set_result(True)

    def dismiss(self) -> None:
        """Sends those away who wait."""
        while self.waiting:
            first = self.waiting.popleft()
            if not first.done():
                first.set_result(False)


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

    def enter_now(self, account_id: str) -> bool:
        """Takes a place if there is a free one that nobody waits for; then it needs one `leave`."""
        gate = self._gates.get(account_id)
        if gate is None:
            gate = self._gates[account_id] = _Gate()
        is_free = gate.inside < (1 if gate.alone else self._limit) and not gate.waiting
        gate.inside += is_free
        return is_free

    async def enter(self, account_id: str) -> bool:
        """Waits for a place. Every `enter` that gave one needs one `leave`.

        False: sent away without one, because the account is not to be asked any more.
        """
        if self.enter_now(account_id):
            return True
        gate = self._gates[account_id]
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        gate.waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):  # passed over by `admit` in this very moment
                    gate.waiting.remove(place)
            elif place.result():  # cancelled in the moment in which it was given: the next has it
                self.leave(account_id)
            raise

    def dismiss(self, account_id: str) -> None:
        """Sends those away who wait for the account. Whoever is inside stays."""
        gate = self._gates.get(account_id)
        if gate is not None:
            gate.dismiss()

    def leave(self, account_id: str) -> None:
        gate = self._gates[account_id]
        gate.inside -= 1
        if gate.waiting:
            gate.admit(self._limit)
