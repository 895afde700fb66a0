"""`serve --workers N`: several processes on one port, and one that watches over them.

They share accounts.toml and the state directory as any two `serve` on one machine would.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

CHECK_EVERY = 0.2


def supervise(count: int, marker: str) -> int:
    """Runs `count` copies of this command until a signal ends them; the worst exit code."""
    command = [sys.executable, "-m", "mcp_proxy", *sys.argv[1:]]
    workers = [
        subprocess.Popen(command, env={**os.environ, marker: str(number)})  # noqa: S603
        for number in range(count)
    ]

    def forward(number: int, _frame: FrameType | None) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    while all(worker.poll() is None for worker in workers):
        time.sleep(CHECK_EVERY)
    # One has ended, by a signal that reached all or by a fault: together they are one server.
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    return max(abs(worker.wait()) for worker in workers)
