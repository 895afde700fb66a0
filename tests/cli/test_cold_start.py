"""How long quick verbs keep people waiting, and what they and a server's start do not load.

Processor time rather than the clock on the wall: nothing of it is waiting, and a machine that is
busy with other things does not change it as much. A bare interpreter and one that loads click are
measured in the same test, in turns with ours: the first is not ours to pay for, and the second
tells how slow the machine is. One that has had a bad moment is asked again.
"""

import os
import signal
import statistics
import subprocess
import sys

import pytest
from harness import Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import VERBS
from mcp_proxy.store.state import StateStore

RUNS = 5
TRIES = 3

CLICK = 0.0375
"""Seconds that click takes to load where the budgets below hold as they are: twice as long as on
the machine that they were made for. Where it takes longer, they grow by as much."""

COMPLETE = {"_MCPROXY_COMPLETE": "words"}

HEAVY = {"aiohttp", "asyncio", "google", "google_auth_oauthlib", "requests", "rich", "ssl"}
"""What comes with networks and tables; none of it is needed to say what there is."""

TOO_MUCH = HEAVY | {"http", "mcp_proxy.engine", "mcp_proxy.providers", "mcp_proxy.store.settings"}
"""And what takes longer to load than a word takes to be completed."""

WORDS = {
    "--version": (["--version"], {}, 0.150),
    "--help": (["--help"], {}, 0.150),
    "completing a verb": (["a"], COMPLETE, 0.150),
    "completing an option": (["accounts", "add", "--"], COMPLETE, 0.150),
    "completing an account": (["accounts", "remove", ""], COMPLETE, 0.150),
    "completing a provider": (["accounts", "add", "--provider", ""], COMPLETE, 0.150),
    "completing a client": (["run", ""], COMPLETE, 0.150),
    "completing a model": (["run", "codex", "--model", ""], COMPLETE, 0.150),
    "accounts list": (["accounts", "list"], {}, 0.250),
}


@pytest.fixture
def in_use(home: Home) -> None:
    """Files as somebody has them, so that there is something to read."""
    home.add(*(Account(f"key-{n}", "zai", Credential(api_key=Secret("k"))) for n in range(5)))
    home.configure('[aliases]\nfast = "glm-4.7"\n')
    with StateStore.open(home.paths.state) as state:
        state.put("models", "key-1", {"provider": "zai", "models": ["glm-4.7", "glm-4.6"]})


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


def longer_than_bare(*runs: tuple[list[str], dict[str, str]]) -> list[float]:
    """Seconds that the middle run of each takes more than that of a bare interpreter, in turns."""
    rounds = [[seconds(*run) for run in ((["-c", "pass"], {}), *runs)] for _ in range(RUNS)]
    bare, *others = (statistics.median(column) for column in zip(*rounds, strict=True))
    return [other - bare for other in others]


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.usefixtures("in_use")
def test_it_starts_within_its_budget(what: str) -> None:
    arguments, variables, budget = WORDS[what]
    ours = ["-m", "mcp_proxy", *arguments], variables
    tried = []
    for _ in range(TRIES):
        click, taken = longer_than_bare((["-c", "import click"], {}), ours)
        allowed = budget * max(1.0, click / CLICK)
        if taken < allowed:
            return
        tried.append(f"{taken:.3f} s where {allowed:.3f} are allowed")
    pytest.fail(f"{what}: {', '.join(tried)}, more than a bare interpreter")


def loaded(arguments: list[str], variables: dict[str, str]) -> set[str]:
    """What a run loads of what it should not."""
    code = (
        "import sys; from mcp_proxy.cli import run\n"
        "code = run(sys.argv[1:])\n"
        f"print('loaded', *({TOO_MUCH!r} & sys.modules.keys()), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *arguments]
    env = {**os.environ, **variables}
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    return set(ran.stderr.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.usefixtures("in_use")
def test_it_loads_no_more_than_it_needs(what: str) -> None:
    arguments, variables, _ = WORDS[what]
    found = loaded(arguments, variables)
    assert not (found & HEAVY - {"rich"} if what == "accounts list" else found)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.usefixtures("in_use")
def test_completing_behind_a_verb_loads_nothing_of_networks(verb: str) -> None:
    assert not loaded([verb, "-"], COMPLETE) & HEAVY


LATER = {
    "google",
    "mcp_proxy.demo",
    "mcp_proxy.dialects.anthropic",
    "mcp_proxy.dialects.gemini",
    "mcp_proxy.dialects.openai_chat",
    "mcp_proxy.dialects.openai_responses",
    "requests",
    "rich",
}
"""What a server needs for some requests or accounts, if ever: not before it listens."""


@pytest.mark.usefixtures("in_use")
def test_a_server_is_ready_before_it_loads_what_only_some_requests_need() -> None:
    code = (
        "import atexit, sys; from mcp_proxy.cli import run\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "run(['serve', '--port', '0'])"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        ready = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert "http://127.0.0.1:" in ready
    assert process.returncode == 0
    modules = set(said.split())
    assert "mcp_proxy.server.app" in modules
    assert not modules & LATER
