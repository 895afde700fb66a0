"""Programs of the system, found by name and asked. What they say when they fail is passed on."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mcp_proxy.errors import UserError

PATIENCE = 120.0
"""Seconds. Starting a service ends when it is ready, which its manager bounds at 90."""


class Answer(NamedTuple):
    """How a program ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """Its complaint in one line."""
        return " ".join((self.stderr or self.stdout).split()) or f"it ended with {self.code}"


def ask(command: Sequence[str], *, bare: bool = False) -> Answer:
    """Run it to its end. UserError when it is not there or does not end.

    `bare`: as a manager would, without the directory and the variables of this shell.
    """
    program = found(command[0])
    try:
        done = subprocess.run(  # noqa: S603
            [program, *command[1:]],
            # Its words are read by us: in the language that we know.
            env={**({} if bare else os.environ), "LC_ALL": "C.UTF-8"},
            cwd="/" if bare else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise UserError(f"`{shlex.join(command)}` did not end in {PATIENCE:.0f} s") from cause
    except OSError as cause:
        raise UserError(f"{program} cannot be run: {cause.strerror}") from cause
    return Answer(done.returncode, done.stdout, done.stderr)


def run(command: Sequence[str]) -> str:
    """The same for a command that has to succeed; what it printed."""
    answer = ask(command)
    if answer.code != 0:
        raise UserError(f"`{shlex.join(command)}` failed: {answer.reason}")
    return answer.stdout


def show(command: Sequence[str]) -> int:
    """Run it with our own output for its; its exit code."""
    program = found(command[0])
    return subprocess.run([program, *command[1:]], check=False).returncode  # noqa: S603


def found(name: str) -> str:
    """The whole path of a program. UserError when there is none."""
    program = shutil.which(name)
    if program is None:
        raise UserError(
            f"{name} is not on this machine, so mcproxy cannot manage a service here. `mcproxy "
            "service install --dry-run` shows what it would write; `mcproxy serve` needs no service"
        )
    return str(Path(program).absolute())
