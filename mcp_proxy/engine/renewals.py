"""Renewals of tokens under way, and the end of a program that may not lose what they give.

A provider that renews a refresh token forgets the one before it at once: until its answer has been
saved, the new one is nowhere else.
"""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition

from mcp_proxy.account import Account

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that the end of the program waits for renewals under way."""

SOON = 1.0
"""Seconds of these after which whoever ends the program is told what it waits for."""


class Renewals:
    """Those of one program, each in a thread of its own."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._running: list[str] = []
        self._is_closed = False

    def of(self, account: Account) -> AbstractContextManager[None]:
        """Open from before the provider is asked until its answer is saved.

        CancelledError after the end has come. Who has no refresh token has none to lose.
        """
        if account.credential.refresh_token is None:
            return nullcontext()
        return self._counted(account.id)

    def close(self) -> None:
        """Lets those under way end; no other one begins."""
        with self._changed:
            self._is_closed = True
            if not self._have_ended(SOON):
                tell_of_waiting(self._running)
                self._have_ended(CLOSE_TIMEOUT - SOON)

    def _have_ended(self, seconds: float) -> bool:
        return self._changed.wait_for(lambda: not self._running, seconds)

    @contextmanager
    def _counted(self, account_id: str) -> Iterator[None]:
        with self._changed:
            if self._is_closed:
                raise CancelledError
            self._running.append(account_id)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(account_id)
                self._changed.notify_all()


def tell_of_waiting(account_ids: Iterable[str]) -> None:
    names = ", ".join(account_ids)
    log.warning("waiting for the renewed sign-in of %s; Ctrl-C now would lose it", names)
