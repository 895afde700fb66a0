"""A `serve` of our own for as long as a client runs: started on a free port, ended with it."""

import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from mcp_proxy.cli.own_command import ENDS_WITH_PARENT, OWN_COMMAND
from mcp_proxy.errors import UserError

READY_WITHIN = 30.0
ENDED_WITHIN = 5.0
"""Seconds."""

_READY = re.compile(r"ready at (http://\S+)")
_LAST_LINES = 5


@contextmanager
def lent_server(config: Path | None, *, demo: bool) -> Iterator[str]:
    """Its URL. UserError with its own last words when it does not start."""
    command = [*OWN_COMMAND, "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--log-format", "text"]  # its last words are quoted when it does not start
    command += ["--demo"] if demo else []
    command += ["--config", str(config)] if config is not None else []
    server = subprocess.Popen(  # noqa: S603
        command,
        env={**os.environ, ENDS_WITH_PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Apart from the terminal's group: a Ctrl-C is meant for the client.
        process_group=0,
    )
    with server:
        try:
            yield _url_when_ready(server)
        finally:
            _end(server)


def _url_when_ready(server: subprocess.Popen[str]) -> str:
    found: SimpleQueue[str | None] = SimpleQueue()
    said: deque[str] = deque(maxlen=_LAST_LINES)
    # It goes on being read: a server that nobody listens to stops at a full pipe.
    reader = threading.Thread(target=_listen, args=(server.stderr, found, said), daemon=True)
    reader.start()
    try:
        url = found.get(timeout=READY_WITHIN)
    except Empty:
        raise UserError(f"the server did not start within {READY_WITHIN:g} s") from None
    if url is None:
        words = " ".join(line.strip() for line in said).removeprefix("mcproxy: ")
        raise UserError(f"the server did not start: {words}", exit_code=max(1, server.wait()))
    return url


def _listen(stream: IO[str] | None, found: "SimpleQueue[str | None]", said: "deque[str]") -> None:
    for line in stream or ():
        said.append(line)
        if (ready := _READY.search(line)) is not None:
            found.put(ready[1])
    found.put(None)


def _end(server: subprocess.Popen[str]) -> None:
    """The client is gone, so that nothing is under way that is worth waiting for."""
    server.terminate()
    try:
        server.wait(ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill()
