"""What the service manager is told, in the words of sd_notify(3). Knows nothing of HTTP.

Without a manager every call is silent, so that nobody has to ask whether there is one.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from typing import Self

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds. The manager reads at once; one that is stuck must not hold up what is served."""


class Notifier:
    """The way to the service manager of this process."""

    def __init__(self, address: str | None = None, *, watchdog: float | None = None) -> None:
        """`address` as in `$NOTIFY_SOCKET`; `watchdog`: seconds of silence that end us."""
        self._address = _socket_address(address or "")
        self._watchdog = watchdog

    @classmethod
    def of_process(cls, env: Mapping[str, str], *, pid: int) -> Self:
        """The manager that these variables name. `pid` is whom it watches, if anybody."""
        return cls(env.get("NOTIFY_SOCKET"), watchdog=_watchdog_seconds(env, pid))

    def ready(self, status: str) -> None:
        """It serves: for the first time, or again after `reloading`."""
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """It reads its files; `ready` has to follow."""
        # Type=notify-reload needs the time, to tell this answer from one to an earlier signal.
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str, *, within: float) -> None:
        """It has begun to end, and asks for so many seconds, whatever the unit grants."""
        self.send("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={within * 1e6:.0f}")

    def feed_watchdog(self) -> None:
        """Shows, as long as the event loop turns, that it does: twice as often as is demanded."""
        if self._watchdog is not None:
            self.send("WATCHDOG=1")
            asyncio.get_running_loop().call_later(self._watchdog / 2, self.feed_watchdog)

    @property
    def is_heard(self) -> bool:
        return bool(self._address)

    def send(self, *assignments: str) -> None:
        """One message. A manager that is gone is no reason to stop serving."""
        self.pass_on("\n".join(assignments).encode())

    def pass_on(self, message: bytes) -> None:
        """A message as another process of ours has worded it."""
        if not self.is_heard:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.sendto(message, self._address)
        except OSError as error:
            log.debug("the service manager was not told %r: %s", message, error)


def _socket_address(address: str) -> str:
    """The address as the socket module has it; empty for none, and for vsock and the like."""
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else ""


def _watchdog_seconds(env: Mapping[str, str], pid: int) -> float | None:
    """sd_watchdog_enabled(3): `$WATCHDOG_PID` absent means whoever reads it."""
    if env.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    interval = env.get("WATCHDOG_USEC", "")
    return int(interval) / 1e6 if interval.isdecimal() and int(interval) else None
