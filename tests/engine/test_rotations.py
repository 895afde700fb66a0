"""What becomes of a renewed refresh token at moments that a whole server seldom meets."""

import asyncio
import threading
from pathlib import Path

import pytest
from served import until

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.engine import rotations as rotations_module
from mcp_proxy.engine.rotations import Rotations
from mcp_proxy.store.accounts import AccountStore, credential_id
from mcp_proxy.store.locks import FileLock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import TokenCache


class Told(AccountStore):
    """The store, which tells when somebody begins to write a token of that value."""

    def __init__(self, path: Path, value: str, lock_timeout: float) -> None:
        super().__init__(path, lock_timeout=lock_timeout)
        self.value = value
        self.begun = threading.Event()

    def save_rotation(self, account_id, refresh_token, *, is_before) -> bool:
        if refresh_token.value == self.value:
            self.begun.set()
        return super().save_rotation(account_id, refresh_token, is_before=is_before)


def with_token(token: str) -> Account:
    return Account("ada", "antigravity", Credential(refresh_token=Secret(token)))


def test_an_earlier_token_that_comes_again_is_the_newest(tmp_path):
    first, second, third = map(with_token, ("token-one", "token-two", "token-three"))
    with StateStore.open(tmp_path) as state:
        rotations = Rotations(None, TokenCache(state))
        for before, renewed in ((first, second), (second, third), (third, first)):
            rotations.note(before, renewed)
            assert {*map(rotations.sign_in_of, (before, renewed))} == {credential_id(renewed)}
        assert rotations.sign_in_of(second) == credential_id(first)


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


def gone(path: Path) -> None:
    path.write_text("accounts = []")


def put_aside(path: Path) -> None:
    path.rename(path.with_name("aside"))


def half_edited(path: Path) -> None:
    path.write_text(path.read_text().replace('id = "ada"', "id = 5"))


@pytest.mark.parametrize("came_before", [True, False])
@pytest.mark.parametrize(
    ("becomes", "is_kept"), [(gone, False), (put_aside, True), (half_edited, True)]
)
async def test_a_token_is_let_go_only_when_its_account_is_surely_gone(
    tmp_path, monkeypatch, caplog, becomes, is_kept, came_before
):
    monkeypatch.setattr(rotations_module, "RETRY_EVERY", 0.0)
    first, second = map(with_token, ("token-one", "token-two"))
    path = tmp_path / "accounts.toml"
    AccountStore(path).add(first)
    with StateStore.open(tmp_path / "state") as state:
        cache = TokenCache(state)
        rotations = Rotations(AccountStore(path, lock_timeout=0.0), cache)
        rotations.note(first, second)
        with FileLock(path.with_name("accounts.toml.lock"), timeout=0.0):
            if came_before:
                await rotations.save(first, second)
            becomes(path)
        # An attempt that was given up goes on in its thread, and may hold the lock when the last
        # one is made.
        rotations._store = AccountStore(path, lock_timeout=30.0)
        caplog.clear()
        if not came_before:
            await rotations.save(first, second)
        if not is_kept:
            await until(lambda: not rotations._unsaved)
        await rotations.close()
        kept = cache.rotation(first)
        assert (kept == second.credential.refresh_token) is is_kept
        assert ("there is no account" in caplog.text) is is_kept


async def test_a_token_that_comes_after_a_new_sign_in_is_let_go(tmp_path):
    """The provider was slow, and the owner went through its consent page meanwhile."""
    first, second, other = map(with_token, ("token-one", "token-two", "token-of-another-sign-in"))
    store = AccountStore(tmp_path / "accounts.toml")
    store.add(first)
    with StateStore.open(tmp_path / "state") as state:
        rotations = Rotations(store, TokenCache(state))
        store.replace(other)
        rotations.note(first, second)
        await rotations.save(first, second)
        await rotations.close()
    assert store.load().accounts == (other,)


async def test_why_a_token_cannot_be_saved_is_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rotations_module, "RETRY_EVERY", 0.0)
    first, second = map(with_token, ("token-one", "token-two"))
    path = tmp_path / "accounts.toml"
    AccountStore(path).add(first)
    with StateStore.open(tmp_path / "state") as state:
        store = Told(path, "token-two", lock_timeout=0.0)
        rotations = Rotations(store, TokenCache(state))
        rotations.note(first, second)
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
