"""How many calls an account carries at once: a cap with a fair queue, not a storm of 429s."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gates:
    """One first-come-first-served gate per account."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._load: dict[str, int] = {}

    def load(self, account_id: str) -> int:
        """Calls in flight and waiting."""
        return self._load.get(account_id, 0)

    async def enter(self, account_id: str) -> None:
        """Waits for a place. Every `enter` that returned needs one `leave`."""
        gate = self._gates.get(account_id)
        if gate is None:
            gate = self._gates[account_id] = asyncio.Semaphore(self._limit)
        self._load[account_id] = self._load.get(account_id, 0) + 1
        try:
            await gate.acquire()
        except BaseException:
            self._load[account_id] -= 1
            raise

    def leave(self, account_id: str) -> None:
        self._load[account_id] -= 1
        self._gates[account_id].release()

    @asynccontextmanager
    async def entered(self, account_id: str) -> AsyncIterator[None]:
        await self.enter(account_id)
        try:
            yield
        finally:
            self.leave(account_id)
