"""Access tokens at rest, and the lock around getting one."""

import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.store.locks import FileLock, account_lock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import CachedToken, TokenCache, open_token, seal_token

WORK = Account("work", "antigravity", Credential(refresh_token=Secret("1//refresh")))
TOKEN = Secret("ya29.canary-access-token")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_token_is_on_the_disk_when_put_returns(directory: Path) -> None:
    with StateStore.open(directory) as one, StateStore.open(directory) as other:
        TokenCache(one).put(WORK, CachedToken(TOKEN, 1234.5, "https://host"))
        assert TokenCache(other).get(WORK) == (TOKEN, 1234.5, "https://host")


def test_the_state_alone_gives_no_token_away(directory: Path) -> None:
    with StateStore.open(directory) as state:
        TokenCache(state).put(WORK, CachedToken(TOKEN, 1.0))
    content = b"".join(each.read_bytes() for each in directory.iterdir() if each.is_file())
    assert b"canary" not in content
    assert b"1//refresh" not in content


def test_a_new_sign_in_cannot_read_the_old_ones_token(directory: Path) -> None:
    again = replace(WORK, credential=Credential(refresh_token=Secret("1//other")))
    with StateStore.open(directory) as state:
        cache = TokenCache(state)
        cache.put(WORK, CachedToken(TOKEN, 1.0))
        assert cache.get(again) is None
        cache.drop(WORK)
        assert cache.get(WORK) is None


def test_a_borrowed_login_is_not_kept(directory: Path) -> None:
    borrowed = replace(WORK, credential=Credential(source="antigravity-app"))
    with StateStore.open(directory) as state:
        TokenCache(state).put(borrowed, CachedToken(TOKEN, 1.0))
        assert TokenCache(state).get(borrowed) is None
        assert state.items("tokens") == {}


DAMAGED = [{}, {"sealed": 5, "expires_at": 1}, {"sealed": "x", "expires_at": 1}, {"sealed": ""}]


@pytest.mark.parametrize("row", DAMAGED)
def test_a_damaged_row_is_no_token(directory: Path, row: dict[str, object]) -> None:
    with StateStore.open(directory) as state:
        state.put("tokens", "work", row)
        assert TokenCache(state).get(WORK) is None


def test_a_sealed_token_belongs_to_one_account_and_never_looks_alike() -> None:
    sealed = seal_token(WORK, TOKEN)
    assert open_token(WORK, sealed) == TOKEN
    assert seal_token(WORK, TOKEN) != sealed
    with pytest.raises(ValueError, match="another sign-in"):
        open_token(replace(WORK, id="other"), sealed)


def test_a_lock_keeps_threads_and_processes_out(directory: Path) -> None:
    take = (
        "import sys; from pathlib import Path; from mcp_proxy.store.locks import account_lock\n"
        "with account_lock(Path(sys.argv[1]), 'work', timeout=0.05): pass"
    )
    with account_lock(directory, "work"):
        command = [sys.executable, "-c", take, str(directory)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "still locked by process" in process.stderr
        with pytest.raises(UserError, match="still locked"):
            account_lock(directory, "work", timeout=0.02).__enter__()
        with account_lock(directory, "other", timeout=0.02):
            pass
    assert subprocess.run(command, check=False).returncode == 0


def test_a_lock_may_be_taken_in_one_thread_and_left_in_another(directory: Path) -> None:
    lock = account_lock(directory, "work")
    taking = threading.Thread(target=lock.__enter__)
    taking.start()
    taking.join()
    lock.__exit__(None, None, None)
    with account_lock(directory, "work", timeout=0.02):
        pass


def test_an_account_is_refreshed_even_where_no_lock_can_be_made() -> None:
    with account_lock(Path("/proc/mcproxy"), "work"):
        pass
    with pytest.raises(UserError, match="cannot be locked"), FileLock(Path("/proc/mcproxy/x.lock")):
        pass


@contextmanager
def full_disk() -> Iterator[None]:
    """Files can be made, and nothing written to them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_lock_is_held_on_a_full_disk_too(directory: Path) -> None:
    with full_disk(), account_lock(directory, "work"):  # noqa: SIM117 - the lock is taken twice
        with pytest.raises(UserError, match="still locked by process unknown"):
            account_lock(directory, "work", timeout=0.02).__enter__()
    with full_disk(), FileLock(directory / "state.lock"):
        pass
