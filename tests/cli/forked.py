"""The command line as many processes, quickly: each is a fork of one that has imported everything.

Run as a program it is that one process. It takes orders over a socket: arguments, variables, a
directory, and three file descriptors; what it forks becomes `mcproxy` with those. How Python
encodes what it prints is decided when it starts, so that there is one such process for each locale.
"""

import fcntl
import json
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

_ORDER = 1 << 20
_ROWS = 50


class Printed(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str
    """Nothing at a terminal, where both are one."""


class Forks:
    """A process that becomes `mcproxy` as often as it is told to."""

    def __init__(self, channel: socket.socket, variables: Mapping[str, str]) -> None:
        self._channel = channel
        self._variables = variables

    def at_terminal(self, columns: int, *words: str, home: Path, **variables: str) -> Printed:
        """On a terminal of that width, with nobody at the keyboard."""
        main, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        (shown,), code = self._run(words, home, variables, (terminal, terminal), [main])
        return Printed(code, shown.replace("\r\n", "\n"), "")

    def piped(self, *words: str, home: Path, **variables: str) -> Printed:
        """Where nobody looks."""
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        (stdout, stderr), code = self._run(words, home, variables, (out_end, err_end), [out, err])
        return Printed(code, stdout, stderr)

    def _run(
        self,
        words: Sequence[str],
        home: Path,
        variables: Mapping[str, str],
        ends: tuple[int, int],
        read: Sequence[int],
    ) -> tuple[list[str], int]:
        order = {
            "words": words,
            "cwd": str(home),
            "env": {**self._variables, "HOME": str(home), **variables},
        }
        nobody = os.open(os.devnull, os.O_RDONLY)
        socket.send_fds(self._channel, [json.dumps(order).encode()], [nobody, *ends])
        for each in {nobody, *ends}:
            os.close(each)
        texts = [each.decode() for each in _read_all(read)]
        return texts, self._channel.recv(1)[0]


@contextmanager
def forks(**variables: str) -> Iterator[Forks]:
    """Such a process, with these variables and what Python needs to be found."""
    own, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ORDER)
    with own:
        with others:
            process = subprocess.Popen(
                [sys.executable, __file__, str(others.fileno())],
                env={**env, **variables},
                pass_fds=[others.fileno()],
                # Streams that begin as pipes may become terminals; of files Python knows more.
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        yield Forks(own, {**env, "TERM": "xterm-256color", **variables})
    said = process.communicate(timeout=10)
    assert (process.returncode, said) == (0, (b"", b""))


def _read_all(descriptors: Sequence[int]) -> list[bytes]:
    """All of each until everybody has closed it, which at a terminal is an error."""
    found = dict.fromkeys(descriptors, b"")
    open_ones = set(descriptors)
    while open_ones:
        for each in select.select(open_ones, (), ())[0]:
            try:
                piece = os.read(each, 1 << 16)
            except OSError:
                piece = b""
            found[each] += piece
            if not piece:
                open_ones.remove(each)
                os.close(each)
    return [found[each] for each in descriptors]


def _import_everything() -> None:
    from mcp_proxy.cli import VERBS

    for verb in VERBS.values():
        import_module(verb.place.partition(":")[0])
    for name in ("rich.console", "rich.live", "rich.status", "mcp_proxy.cli.layout"):
        import_module(name)
    for name in ("mcp_proxy.engine.runtime", "mcp_proxy.server.app", "mcp_proxy.demo.play"):
        import_module(name)


def _take_orders(channel: socket.socket) -> None:
    while True:
        order, descriptors, _, _ = socket.recv_fds(channel, _ORDER, 3)
        if not order:
            return
        child = os.fork()
        if not child:
            _become(json.loads(order), descriptors)
        for each in descriptors:
            os.close(each)
        _, status = os.waitpid(child, 0)
        channel.send(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))


def _become(order: Mapping[str, object], descriptors: Sequence[int]) -> None:
    from mcp_proxy.cli import run

    for number, each in enumerate(descriptors):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(str(order["cwd"]))
    sys.argv[:] = ["mcproxy", *order["words"]]
    code = 1
    try:
        code = run(sys.argv[1:])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - this process must not go on as the one it is a copy of
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _import_everything()
    _take_orders(socket.socket(fileno=int(sys.argv[1])))
