"""`serve --workers N`: several processes on one port, and one that watches over them.

They share accounts.toml and the state directory as any two `serve` on one machine would.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

CHECK_EVERY = 0.2


class Supervisor:
    """So many copies of this command, which together are one server."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []
        self._told = False
        """Whether the workers have been sent a signal that ends them."""

    def run(self, count: int, *, marker: str, host: str, port: int) -> int:
        """Until a signal or a fault ends them; the worst exit code. OSError: the port is taken."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._forward)
        with _reserved(host, port) as place:
            self._start(count, marker, place.getsockname()[1])
            while all(worker.poll() is None for worker in self._workers):
                time.sleep(CHECK_EVERY)
            # One has ended. A second signal would cut off what the others still have under way.
            if not self._told:
                self._send(signal.SIGTERM)
            return max(self._exit_code(worker.wait()) for worker in self._workers)

    def _start(self, count: int, marker: str, port: int) -> None:
        command = [sys.executable, "-m", "mcp_proxy", *sys.argv[1:], "--port", str(port)]
        for number in range(count):
            environment = {**os.environ, marker: str(number)}
            # Apart from the terminal's group: a Ctrl-C would reach them twice and end them at once.
            worker = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603
            self._workers.append(worker)

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
