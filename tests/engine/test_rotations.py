"""What becomes of a renewed refresh token at moments that a whole server seldom meets."""

import asyncio
import threading
from pathlib import Path

from served import until

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.engine import rotations as rotations_module
from mcp_proxy.engine.rotations import Rotations
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.locks import FileLock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import TokenCache


class Told(AccountStore):
    """The store, which tells when somebody begins to write a token of that value."""

    def __init__(self, path: Path, value: str, lock_timeout: float) -> None:
        super().__init__(path, lock_timeout=lock_timeout)
        self.value = value
        self.begun = threading.Event()

    def update_fields(self, account_id, fields) -> None:
        if fields["refresh_token"] == self.value:
            self.begun.set()
        super().update_fields(account_id, fields)


def with_token(token: str) -> Account:
    return Account("ada", "antigravity", Credential(refresh_token=Secret(token)))


async def test_a_token_that_comes_while_the_one_before_is_saved_is_not_lost(tmp_path, monkeypatch):
    """What is kept for the next process is sealed with what that process will find in the file."""
    monkeypatch.setattr(rotations_module, "RETRY_EVERY", 0.0)
    first, second, third = map(with_token, ("token-one", "token-two", "token-three"))
    path = tmp_path / "accounts.toml"
    AccountStore(path).add(first)
    with StateStore.open(tmp_path / "state") as state:
        cache = TokenCache(state)
        rotations = Rotations(AccountStore(path, lock_timeout=0.0), cache)
        with FileLock(path.with_name("accounts.toml.lock"), timeout=0.0):
            rotations.note(first, second)
            await rotations.save(first, second)
            rotations._store = store = Told(path, "token-two", lock_timeout=30.0)
            assert await asyncio.to_thread(store.begun.wait, 30.0)
            rotations.note(second, third)
            await rotations.save(second, third)
            monkeypatch.setattr(rotations_module, "RETRY_EVERY", 3600.0)
        await until(lambda: "token-two" in path.read_text())
        [in_file] = AccountStore(path).load().accounts
        await until(lambda: cache.rotation(in_file) == third.credential.refresh_token)
        assert rotations.newest(in_file).credential == third.credential
        await rotations.close()
        assert "token-three" in path.read_text()
        assert not cache.rotations()


async def test_why_a_token_cannot_be_saved_is_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rotations_module, "RETRY_EVERY", 0.0)
    first, second = map(with_token, ("token-one", "token-two"))
    path = tmp_path / "accounts.toml"
    AccountStore(path).add(first)
    with StateStore.open(tmp_path / "state") as state:
        store = Told(path, "token-two", lock_timeout=0.0)
        rotations = Rotations(store, TokenCache(state))
        with FileLock(path.with_name("accounts.toml.lock"), timeout=0.0):
            await rotations.save(first, second)
            for _ in range(3):
                store.begun.clear()
                assert await asyncio.to_thread(store.begun.wait, 30.0)
        await until(lambda: not rotations._unsaved)
        assert "token-two" in path.read_text()
        await rotations.close()
    assert [each.levelname for each in caplog.records if each.levelname == "ERROR"] == ["ERROR"]
    assert "still locked" in caplog.text
