"""accounts.toml under several processes, and under kill -9."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.store.accounts import AccountStore

PROCESSES = 8
CHANGES = 15

COUNT_UP = """
import sys
from pathlib import Path
from mcp_proxy.store.accounts import AccountStore
# A busy machine may let one of them wait for very long.
store, name = AccountStore(Path(sys.argv[1]), lock_timeout=50.0), sys.argv[2]
for number in range(int(sys.argv[3])):
    with store._editing() as entries:
        entries[0]["shared"] += 1
    store.update_fields(name, {"count": number + 1})
"""

WRITE_ON = """
import sys
from itertools import count
from pathlib import Path
from mcp_proxy.store.accounts import AccountStore
store = AccountStore(Path(sys.argv[1]))
for number in count():
    store.update_fields("a", {"project": f"p{number}", "padding": "x" * 20_000})
    print(number, flush=True)
"""


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def account(name: str, **extras: object) -> Account:
    credential = Credential(refresh_token=Secret("x"))
    return Account(name, "antigravity", credential, extras=extras)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c" / "accounts.toml"


def test_no_change_of_eight_processes_is_lost(file: Path) -> None:
    store = AccountStore(file)
    store.add(account("shared", shared=0))
    names = [f"a{number}" for number in range(PROCESSES)]
    for name in names:
        store.add(account(name))
    writers = [run(COUNT_UP, file, name, CHANGES) for name in names]
    assert [writer.communicate() and writer.returncode for writer in writers] == [0] * PROCESSES
    first, *others = store.load().accounts
    assert first.extras["shared"] == PROCESSES * CHANGES
    assert [each.extras["count"] for each in others] == [CHANGES] * PROCESSES


def test_a_killed_writer_leaves_a_whole_file_and_no_lock(file: Path) -> None:
    store = AccountStore(file, lock_timeout=2.0)
    store.add(account("a"))
    for rounds in range(4):
        with run(WRITE_ON, file) as writer:
            assert writer.stdout is not None
            for _ in range(rounds * 3 + 1):
                last = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
        (entry,) = tomllib.loads(file.read_text())["accounts"]
        assert int(entry["project"].removeprefix("p")) >= last
    store.set_enabled("a", False)
    names = sorted(each.name for each in file.parent.iterdir())
    assert names == ["accounts.toml", "accounts.toml.lock"]
