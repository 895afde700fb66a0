"""How long quick verbs keep people waiting, and what they do not load.

Processor time rather than the clock on the wall: nothing of it is waiting, and a machine that is
busy with other things does not change it much. A bare interpreter is measured in the same test.
"""

import os
import statistics
import subprocess
import sys

import pytest
from harness import Home

from mcp_proxy.cli import VERBS

RUNS = 7
COMPLETE = {"_MCPROXY_COMPLETE": "1"}

HEAVY = {"aiohttp", "asyncio", "google", "google_auth_oauthlib", "requests", "rich", "ssl"}
"""What comes with networks and tables; none of it is needed to say what there is."""

WORDS = {
    "--version": (["--version"], {}, 0.150),
    "--help": (["--help"], {}, 0.150),
    "completing a verb": (["a"], COMPLETE, 0.150),
    "completing an account": (["limits", ""], COMPLETE, 0.150),
    "completing an option": (["accounts", "add", "--"], COMPLETE, 0.150),
    "accounts list": (["accounts", "list"], {}, 0.250),
}


def seconds(arguments: list[str], variables: dict[str, str]) -> float:
    """Processor time of one run."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.usefixtures("home")
def test_it_starts_within_its_budget(what: str) -> None:
    arguments, variables, budget = WORDS[what]
    pairs = [
        (seconds(["-c", "pass"], {}), seconds(["-m", "mcp_proxy", *arguments], variables))
        for _ in range(RUNS)
    ]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert ours - bare < budget, f"{what}: {ours - bare:.3f} s more than a bare interpreter"


def loaded(arguments: list[str], variables: dict[str, str]) -> set[str]:
    """The heavy modules that a run loads."""
    code = (
        "import sys; from mcp_proxy.cli import run\n"
        "code = run(sys.argv[1:])\n"
        f"print(*({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *arguments]
    env = {**os.environ, **variables}
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.usefixtures("home")
def test_it_loads_nothing_of_networks(what: str) -> None:
    arguments, variables, _ = WORDS[what]
    assert loaded(arguments, variables) <= ({"rich"} if what == "accounts list" else set())


@pytest.mark.parametrize("verb", VERBS)
def test_completing_behind_a_verb_loads_nothing_of_networks(verb: str, home: Home) -> None:
    home.configure("[aliases]\n")
    assert loaded([verb, "-"], COMPLETE) == set()
