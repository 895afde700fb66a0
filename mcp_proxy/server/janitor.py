"""Closes connections that never bring a whole request head.

The HTTP library bounds idle keep-alive connections and this program bounds bodies; a client that
sends half a head and then nothing would otherwise hold its connection for ever.
"""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web


class Janitor:
    """Watches the connections that have not yet brought their first request."""

    def __init__(self, *, header_timeout: float) -> None:
        self._timeout = header_timeout
        self._waiting: dict[asyncio.Protocol, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watching(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """The server's protocol factory, with every new connection noted."""

        def make() -> asyncio.Protocol:
            protocol = server()
            self._waiting[protocol] = time.monotonic()
            return protocol

        return make

    def seen(self, protocol: asyncio.Protocol) -> None:
        """A request of this connection has arrived."""
        self._waiting.pop(protocol, None)

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout / 4, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        due = time.monotonic() - self._timeout
        for protocol, since in list(self._waiting.items()):
            transport = getattr(protocol, "transport", None)
            if transport is None or since < due:
                del self._waiting[protocol]
                if transport is not None:
                    transport.close()
