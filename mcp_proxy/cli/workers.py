"""`serve --workers N`: several processes on one port, and one that watches over them.

They share accounts.toml and the state directory as any two `serve` on one machine would.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

from mcp_proxy.cli.chorus import Chorus
from mcp_proxy.cli.own_command import ENDS_WITH_PARENT, OWN_COMMAND
from mcp_proxy.server.notify import Notifier

log = logging.getLogger("mcp_proxy.serve")

CHECK_EVERY = 0.2


class Supervisor:
    """So many copies of this command, which together are one server."""

    def __init__(self, manager: Notifier, count: int, *, marker: str) -> None:
        """`marker`: the variable that tells each of them its number."""
        self._manager = manager
        self._count = count
        self._marker = marker
        self._workers: list[subprocess.Popen[bytes]] = []
        self._told = False
        """Whether the workers have been sent a signal that ends them."""

    def run(self, sockets: Sequence[socket.socket], *, host: str, port: int) -> int:
        """Until a signal or a fault ends them; the worst exit code. OSError: the port is taken.

        `sockets` listen already, and are for the workers to use; without them each opens the port.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        with ExitStack() as kept:
            if not sockets:
                place = kept.enter_context(_reserved(host, port))
                port = place.getsockname()[1]
            chorus = kept.enter_context(Chorus(self._manager, self._count))
            self._start(port, [each.fileno() for each in sockets], chorus)
            # Not before: it is ignored until then, by the workers, too, who inherit that.
            signal.signal(signal.SIGHUP, self._forward)
            while len(self._alive()) == self._count:
                chorus.listen(CHECK_EVERY, self._alive())
            # One has ended. A second signal would cut off what the others still have under way.
            if not self._told:
                log.error("a worker has ended by itself; the server ends with it")
                self._send(signal.SIGTERM)
            while alive := self._alive():
                chorus.listen(CHECK_EVERY, alive)
            return max(self._exit_code(worker.wait()) for worker in self._workers)

    def _start(self, port: int, descriptors: Sequence[int], chorus: Chorus) -> None:
        command = [*OWN_COMMAND, *sys.argv[1:], "--port", str(port)]
        for number in range(self._count):
            environment = {**os.environ, **chorus.variables(number), self._marker: str(number)}
            environment[ENDS_WITH_PARENT] = str(os.getpid())
            # Apart from the terminal's group: a Ctrl-C would reach them twice and end them at once.
            worker = subprocess.Popen(  # noqa: S603
                command, env=environment, process_group=0, pass_fds=descriptors
            )
            self._workers.append(worker)
            if self._told:  # while it was made: nobody has sent it on to this one
                worker.terminate()
                return

    def _alive(self) -> frozenset[int]:
        numbered = enumerate(self._workers)
        return frozenset(number for number, worker in numbered if worker.poll() is None)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self._told = self._told or number != signal.SIGHUP
        self._send(number)

    def _send(self, number: int) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(number)

    def _exit_code(self, code: int) -> int:
        if code >= 0:
            return code
        # Killed by a signal: by ours, before it was ready for one, or by somebody else's.
        return 0 if self._told and -code in (signal.SIGTERM, signal.SIGINT) else 1


def _reserved(host: str, port: int) -> socket.socket:
    """A socket that keeps the port for the workers and takes no connections itself."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    place = socket.socket(family, kind, protocol)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(address)
    except BaseException:
        place.close()
        raise
    return place
