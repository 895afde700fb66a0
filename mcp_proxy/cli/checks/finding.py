"""What a check finds, and what it may look at."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

from mcp_proxy.cli.context import App
from mcp_proxy.store.accounts import Loaded
from mcp_proxy.store.settings import Settings

_T = TypeVar("_T")


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and will not always
    PROBLEM = "problem"  # something does not work


class Finding(NamedTuple):
    """One fact, for a person."""

    level: Level
    what: str
    mend: str | None = None
    """The command or deed that mends it. Whatever is not right has one."""


def ok(what: str) -> Finding:
    return Finding(Level.OK, what)


def warning(what: str, mend: str) -> Finding:
    return Finding(Level.WARNING, what, mend)


def problem(what: str, mend: str) -> Finding:
    return Finding(Level.PROBLEM, what, mend)


_WITH_COMMAND = re.compile(r"(.+?)[.;]? Run: ([^;]+)", re.DOTALL)
"""How messages of ours end when a command mends what they tell."""


def told(message: str, mend: str) -> tuple[str, str]:
    """What a message says, and the command at its end; `mend` for one that has none."""
    found = _WITH_COMMAND.fullmatch(message)
    return (found[1], found[2]) if found else (message, mend)


@dataclass(frozen=True, slots=True)
class Look:
    """What every check is given."""

    app: App
    env: Mapping[str, str]
    home: Path
    settings: Settings | None
    """None when they cannot be read, which is a finding of the theme `files`."""
    loaded: Loaded | None
    """None when accounts.toml cannot be read, which is a finding of the theme `accounts`."""
    online: bool = False
    """Whether other machines may be asked."""


def at_once(calls: Mapping[str, Callable[[], _T]], within: float) -> dict[str, _T | None]:
    """What each call returned, in their order; None for those that needed longer.

    The threads of these are left behind: nothing interrupts a name server that does not answer.
    """
    results: dict[str, _T] = {}

    def keep(name: str, call: Callable[[], _T]) -> None:
        results[name] = call()

    threads = [threading.Thread(target=keep, args=item, daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + within
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    return {name: results.get(name) for name in calls}
