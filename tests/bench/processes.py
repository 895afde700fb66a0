"""The processes of a benchmark: upstream, floor and the real program, each alone so that its CPU
time and memory can be read from outside.

The program runs in a home directory of its own, with one account whose addresses are the
upstream's. Its log goes to a file, as it would under a service manager.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from .figures import DIRECT, FLOOR, PROXY

ROOT: Final = Path(__file__).parent.parent.parent
START_TIMEOUT: Final = 20.0
STOP_TIMEOUT: Final = 20.0

_URL = re.compile(r"http://127\.0\.0\.1:\d+")

_ACCOUNTS = """\
version = 1

[[accounts]]
id = "bench"
provider = "antigravity"
email = "bench@example.com"
refresh_token = "bench-refresh-token"
project = "bench-project"
base_url = "{upstream}"
token_url = "{upstream}/token"
"""

_CONFIG = """\
[limits]
concurrency = 1000

[providers.antigravity]
client_id = "bench-client"
client_secret = "bench-client-secret"
"""


class DidNotStart(Exception):
    """A process ended, or stayed silent, before it named its URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running process that answers requests."""

    name: str
    url: str
    process: psutil.Process
    log: Path

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)


@contextmanager
def upstream(home: Path) -> Iterator[Target]:
    command = [sys.executable, "-m", "tests.bench.upstream"]
    with _running(DIRECT, command, home / "upstream") as target:
        yield target


@contextmanager
def floor(home: Path, upstream_url: str) -> Iterator[Target]:
    command = [sys.executable, "-m", "tests.bench.floor", upstream_url]
    with _running(FLOOR, command, home / "floor") as target:
        yield target


@contextmanager
def mcproxy(home: Path, upstream_url: str, *, profile: Path | None = None) -> Iterator[Target]:
    """`mcproxy serve` on a free port; under cProfile when `profile` is where to write to."""
    place = home / "mcproxy"
    place.mkdir(mode=0o700, exist_ok=True)
    for name, text in (("accounts.toml", _ACCOUNTS), ("config.toml", _CONFIG)):
        file = place / name
        file.write_text(text.format(upstream=upstream_url) if name == "accounts.toml" else text)
        file.chmod(0o600)
    profiler = [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
    command = [sys.executable, *profiler, "-m", "mcp_proxy", "serve", "--port", "0"]
    with _running(PROXY, command, place) as target:
        yield target


@contextmanager
def lost_to_host() -> Iterator[Callable[[], float]]:
    """Afterwards: the share of the time this machine had work for that others of its host took.

    Known on Linux in a virtual machine; else 0.
    """
    began = psutil.cpu_times()
    ended = began

    def share() -> float:
        passed = {
            name: getattr(ended, name) - getattr(began, name)
            for name in ("user", "system", "irq", "softirq", "steal")
            if hasattr(began, name)
        }
        return passed.get("steal", 0.0) / (sum(passed.values()) or 1.0)

    try:
        yield share
    finally:
        ended = psutil.cpu_times()


def can_pin() -> bool:
    """Whether there is a core to give away, and the system lets us."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


@contextmanager
def pinned(targets: Sequence[Target], *, apart_from: Target) -> Iterator[None]:
    """The targets share the first core; `apart_from` and this process have the others."""
    everywhere = os.sched_getaffinity(0)
    first, *others = sorted(everywhere)
    try:
        _confine({os.getpid()}, others)
        _confine(_threads(apart_from), others)
        for target in targets:
            _confine(_threads(target), [first])
        yield
    finally:
        for target in (apart_from, *targets):
            _confine(_threads(target), everywhere)
        _confine({os.getpid()}, everywhere)


def _threads(target: Target) -> set[int]:
    return {thread.id for thread in target.process.threads()}


def _confine(threads: Iterable[int], cores: Iterable[int]) -> None:
    for thread in threads:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.sched_setaffinity(thread, cores)


@contextmanager
def _running(name: str, command: Sequence[str], place: Path) -> Iterator[Target]:
    """The process from its ready line on; SIGTERM ends it, so that a profile is written."""
    place.mkdir(mode=0o700, exist_ok=True)
    log = place / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(place), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = _ready_url(process, log)
        yield Target(name, url, psutil.Process(process.pid), log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        found = _URL.search(log.read_text(errors="replace"))
        if found is not None:
            return found[0]
        time.sleep(0.002)
    raise DidNotStart(f"{process.args!r}: {log.read_text(errors='replace')[-2000:]}")


def _environment(place: Path) -> dict[str, str]:
    """As an installed program has it: byte code is cached, and no setting comes from outside."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    return kept | {
        "HOME": str(place),
        "ACCOUNTS_CONFIG_PATH": str(place / "accounts.toml"),
        "MCPROXY_CONFIG": str(place / "config.toml"),
        "MCPROXY_STATE_DIR": str(place / "state"),
    }
