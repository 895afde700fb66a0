"""Several workers, one voice: the service manager hears what all of them have said.

A unit with `NotifyAccess=main` listens to its first process only, and rightly: the server is ready
when all its workers are, and hangs when one of them does.
"""

import select
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from mcp_proxy.server.notify import Notifier

LONGEST_MESSAGE = 4096


class Chorus:
    """A notify socket for each worker. Entered, it listens; without a manager it only waits."""

    def __init__(self, manager: Notifier, count: int) -> None:
        self._manager = manager
        self._count = count
        self._parts: list[socket.socket] = []
        self._said: dict[bytes, set[int]] = {}
        """What a message is about -> who has sent one since all of them had."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._manager.is_heard:
            # A directory of our own: nobody else may speak for a worker.
            directory = Path(self._open.enter_context(TemporaryDirectory(prefix="mcproxy-")))
            for number in range(self._count):
                part = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._open.enter_context(part)
                part.bind(str(directory / str(number)))
                self._parts.append(part)
        return self

    def __exit__(self, *_failure: object) -> None:
        self._open.close()

    def variables(self, worker: int) -> Mapping[str, str]:
        """What this worker has to find in its environment."""
        if not self._parts:
            return {}
        return {"NOTIFY_SOCKET": self._parts[worker].getsockname()}

    def listen(self, seconds: float, alive: frozenset[int]) -> None:
        """Passes on, for so long, what all who are alive have said. No signal cuts it short."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            heard, _, _ = select.select(self._parts, (), (), left)
            for part in heard:
                self._hear(self._parts.index(part), part.recv(LONGEST_MESSAGE), alive)

    def _hear(self, worker: int, message: bytes, alive: frozenset[int]) -> None:
        about = message.partition(b"=")[0]
        said = self._said.setdefault(about, set())
        said.add(worker)
        if said >= alive:
            said.clear()
            self._manager.pass_on(message)
