"""Clients that other people make, run as they are when they are on this machine.

Each runs in an empty home and with proxies where nobody listens, so that whatever it says to others
than the server under test fails at once instead of leaving the machine.
"""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Ran

_NOWHERE = "http://127.0.0.1:9"
_PATIENCE = 50.0
"""Seconds; a run takes three, most of them to start."""


@dataclass(frozen=True, slots=True)
class Program:
    """One such client."""

    title: str
    variable: str
    """Names its file, where it is not on the PATH."""
    command: str

    @property
    def file(self) -> str | None:
        return os.environ.get(self.variable) or shutil.which(self.command)

    @property
    def needed(self) -> pytest.MarkDecorator:
        """Skips what cannot run without it, and says what is missing."""
        where = f"neither {self.variable} nor `{self.command}` on the PATH"
        return pytest.mark.skipif(
            self.file is None, reason=f"{self.title} is not installed ({where})"
        )

    async def run(self, home: Path, *arguments: str, **environment: str) -> Ran:
        """Runs it to its end, beside the loop of the test: a server in it goes on serving."""
        return await asyncio.to_thread(self._run, home, arguments, environment)

    def _run(self, home: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> Ran:
        done = subprocess.run(
            [str(self.file), *arguments],
            cwd=home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "HTTP_PROXY": _NOWHERE,
                "HTTPS_PROXY": _NOWHERE,
                "NO_PROXY": "127.0.0.1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)
