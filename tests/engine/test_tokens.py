"""Access tokens: one refresh for a crowd, nothing lost, and what a failure means and what not."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from running import Clock, file_of, running, signed_in_anew
from served import serve, until

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.engine import lenders, rotations
from mcp_proxy.engine import tokens as tokens_module
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.signin import local_apps
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.locks import FileLock, account_lock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import CachedToken, TokenCache

ADA = [DemoAccount("ada")]
ROTATING = [DemoAccount("ada", rotates=True)]


async def failure_of(runtime: Runtime, account: Account) -> FailureKind:
    with pytest.raises(UpstreamBroke) as caught:
        await runtime.tokens.fresh(account)
    return caught.value.failure.kind


async def crowd(runtime: Runtime, size: int) -> set[str]:
    """The tokens that so many tasks get at once."""
    [account] = runtime.accounts
    tokens = await asyncio.gather(*(runtime.tokens.fresh(account) for _ in range(size)))
    return {token.value for token in tokens}


# ------------------------------------------------------------------------------- one refresh


async def test_a_hundred_tasks_share_one_refresh(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        assert len(await crowd(runtime, 100)) == 1
        assert upstream.identity.refreshes["ada"] == 1


@pytest.mark.parametrize("people", [ADA, ROTATING], ids=["", "rotating"])
@pytest.mark.parametrize("lifetime", [3599.0, 60.0])
async def test_two_runtimes_on_one_state_directory_share_one_refresh(tmp_path, people, lifetime):
    people = [replace(people[0], token_lifetime=lifetime)]
    async with DemoUpstream(people) as upstream, AsyncExitStack() as stack:
        store = file_of(upstream, tmp_path / "accounts.toml")
        pair = [
            await stack.enter_async_context(running(upstream, tmp_path / "state", store=store))
            for _ in range(2)
        ]
        got = await asyncio.gather(*(crowd(runtime, 50) for runtime in pair))
        assert got[0] == got[1]
        assert upstream.identity.refreshes["ada"] == 1
        for runtime in pair:
            runtime.take(store.load())
        upstream.identity.expire("ada")
        for runtime in pair:
            [account] = runtime.accounts
            runtime.tokens.reject(account, await runtime.tokens.fresh(account))
        again = await asyncio.gather(*(crowd(runtime, 50) for runtime in pair))
        assert again[0] == again[1] != got[0]
        assert upstream.identity.refreshes["ada"] == 2


@pytest.mark.parametrize("people", [ADA, ROTATING], ids=["", "rotating"])
async def test_a_refresh_that_is_forced_takes_no_token_of_another_process(tmp_path, people):
    async with DemoUpstream(people) as upstream, AsyncExitStack() as stack:
        store = file_of(upstream, tmp_path / "accounts.toml")
        pair = [
            await stack.enter_async_context(running(upstream, tmp_path / "state", store=store))
            for _ in range(2)
        ]
        for count, runtime in enumerate((*pair, *pair), 1):
            [account] = runtime.accounts
            await runtime.tokens.renew(account)
            assert upstream.identity.refreshes["ada"] == count


async def test_a_refresh_that_is_forced_while_another_waits_is_made(tmp_path):
    """The one that waits would end with what another process has got meanwhile."""
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        [account] = runtime.accounts
        with account_lock(tmp_path, "ada"):
            waiting = asyncio.create_task(runtime.tokens.fresh(account))
            await until(lambda: runtime.tokens._running)
            forced = asyncio.create_task(runtime.tokens.renew(account))
            got = CachedToken(Secret("ya29.other-process"), runtime.clock() + 3600)
            TokenCache(runtime.state).put(account, got)
            await asyncio.sleep(0)
        assert await waiting != got.token
        await forced
        assert upstream.identity.refreshes["ada"] == 1


async def test_a_task_that_leaves_does_not_end_the_refresh_of_the_others(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        [account] = runtime.accounts
        upstream.play(Fault(FaultKind.HANG, path="/token", seconds=0.2))
        first = asyncio.create_task(runtime.tokens.fresh(account))
        second = asyncio.create_task(runtime.tokens.fresh(account))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).value.startswith("ya29.")
        assert upstream.identity.refreshes["ada"] == 1


async def test_a_token_outlives_a_restart(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        for _ in range(2):
            async with running(upstream, tmp_path) as runtime:
                await crowd(runtime, 1)
        assert upstream.identity.refreshes["ada"] == 1


async def test_a_token_is_renewed_before_it_ends_and_nobody_waits_for_that(tmp_path):
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        [account] = runtime.accounts
        first = await runtime.tokens.fresh(account)
        clock.now += 3599 - tokens_module.EARLY - 1
        assert await runtime.tokens.fresh(account) == first
        clock.now += 2
        upstream.play(Fault(FaultKind.HANG, path="/token", seconds=0.05))
        assert await runtime.tokens.fresh(account) == first, "it is still good"
        await until(lambda: upstream.identity.refreshes["ada"] == 2)
        await until(lambda: not runtime.tokens._running)
        assert await runtime.tokens.fresh(account) != first


# ---------------------------------------------------------------------------------- rotation


async def test_a_rotated_token_is_in_the_file_before_it_is_used(tmp_path):
    async with DemoUpstream(ROTATING) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            for _ in range(3):
                [account] = runtime.accounts
                token = await runtime.tokens.fresh(account)
                assert upstream.refresh_token("ada") in store.path.read_text()
                runtime.tokens.reject(account, token)
        # A used token that came again would have withdrawn everything.
        assert upstream.identity.refreshes["ada"] == 3


async def test_a_rotated_token_is_saved_as_soon_as_the_file_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(rotations, "RETRY_EVERY", 0.05)
    async with DemoUpstream(ROTATING) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            whole = store.path.read_text()
            store.path.write_text(whole + "broken")
            await crowd(runtime, 5)
            assert store.path.read_text() == whole + "broken", "never overwritten"
            store.path.write_text(whole)
            await until(lambda: upstream.refresh_token("ada") in store.path.read_text())


def hasty_store(upstream: DemoUpstream, directory: Path) -> AccountStore:
    """One that does not wait for who holds the lock."""
    return AccountStore(file_of(upstream, directory / "accounts.toml").path, lock_timeout=0.01)


def unwritable(store: AccountStore) -> FileLock:
    """While it is held the file can be read and not be written, as on a disk that is full."""
    return FileLock(store.path.with_name("accounts.toml.lock"), timeout=0.0)


async def test_a_rotated_token_that_cannot_be_saved_is_used_all_the_same(tmp_path, monkeypatch):
    """A used one that came again would withdraw everything, and the file has nothing else."""
    monkeypatch.setattr(rotations, "RETRY_EVERY", 0.05)
    async with DemoUpstream(ROTATING) as upstream:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            before = path.read_text()
            with unwritable(store):
                for _ in range(3):
                    [account] = runtime.accounts
                    runtime.tokens.reject(account, await runtime.tokens.fresh(account))
                    await runtime.reload()
                assert path.read_text() == before
            assert upstream.identity.refreshes["ada"] == 3
            await until(lambda: upstream.refresh_token("ada") in path.read_text())
            await until(lambda: not runtime.tokens._cache.rotations())


async def test_a_rotated_token_outlives_a_program_that_could_not_save_it(tmp_path):
    async with DemoUpstream(ROTATING) as upstream:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        with unwritable(store):
            async with running(upstream, tmp_path / "state", store=store) as runtime:
                await runtime.tokens.fresh(runtime.accounts[0])
        assert upstream.refresh_token("ada") not in path.read_text()
        assert upstream.refresh_token("ada") not in everything_in(tmp_path / "state")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            [account] = runtime.accounts
            runtime.tokens.reject(account, await runtime.tokens.fresh(account))
            await runtime.tokens.fresh(account)
        assert upstream.refresh_token("ada") in path.read_text()
        assert not runtime.tokens._cache.rotations()


async def test_processes_that_cannot_save_a_rotated_token_go_on_from_each_others(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(rotations, "RETRY_EVERY", 0.05)
    async with DemoUpstream(ROTATING) as upstream, AsyncExitStack() as stack:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        pair = [
            await stack.enter_async_context(running(upstream, tmp_path / "state", store=store))
            for _ in range(2)
        ]
        with unwritable(store):
            for runtime in (*pair, *pair):
                await runtime.tokens.renew(runtime.accounts[0])
        assert upstream.identity.refreshes["ada"] == 4
        await until(lambda: upstream.refresh_token("ada") in path.read_text())
        await until(lambda: not any(each._rotations._unsaved for each in pair))
        assert upstream.refresh_token("ada") in path.read_text()


async def test_what_another_process_has_got_last_is_what_is_saved(tmp_path, monkeypatch):
    """It may have ended since, as `accounts verify` does."""
    monkeypatch.setattr(rotations, "RETRY_EVERY", 0.05)
    async with DemoUpstream(ROTATING) as upstream:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            with unwritable(store):
                await runtime.tokens.renew(runtime.accounts[0])
                [in_file] = store.load().accounts
                with StateStore.open(tmp_path / "state") as others:
                    TokenCache(others).put_rotation(in_file, Secret("1//of-another-process"))
            await until(lambda: "1//of-another-process" in path.read_text())
            await until(lambda: not runtime._rotations._unsaved)
        assert "1//of-another-process" in path.read_text()


def everything_in(directory: Path) -> str:
    return "".join(file.read_text("latin-1") for file in directory.iterdir() if file.is_file())


async def test_a_new_sign_in_beats_one_that_could_not_be_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(rotations, "RETRY_EVERY", 0.05)
    async with DemoUpstream(ROTATING) as upstream:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            with unwritable(store):
                await runtime.tokens.fresh(runtime.accounts[0])
            new = signed_in_anew(upstream, "ada")
            store.replace(new)
            await runtime.reload()
            assert runtime.accounts[0].credential == new.credential
            assert not runtime.tokens._cache.rotations()
        assert new.credential.refresh_token.value in path.read_text()


async def test_nothing_is_kept_of_an_account_that_goes_while_its_token_is_renewed(tmp_path, caplog):
    async with DemoUpstream(ROTATING) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            await until(lambda: not runtime.tokens._running)
            upstream.play(Fault(FaultKind.HANG, path="/token", seconds=0.2))
            [account] = runtime.accounts
            renewing = asyncio.create_task(runtime.tokens.renew(account))
            await until(lambda: runtime.tokens._running)
            store.remove("ada")
            await runtime.reload()
            await renewing
            assert not runtime.tokens._cache.rotations()
    assert "is not saved" not in caplog.text


async def test_a_rotated_token_outlives_a_slip_in_the_entry_of_its_account(tmp_path):
    async with DemoUpstream(ROTATING) as upstream:
        store = hasty_store(upstream, tmp_path)
        path = store.path
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            with unwritable(store):
                await runtime.tokens.fresh(runtime.accounts[0])
                good = path.read_text()
                path.write_text(good.replace('"antigravity"', '"antigravty"'))
                await runtime.reload()
                assert not runtime.accounts
                path.write_text(good)
                await runtime.reload()
            [account] = runtime.accounts
            assert account.credential.refresh_token == Secret(upstream.refresh_token("ada"))
        assert upstream.refresh_token("ada") in path.read_text()


async def test_a_token_that_another_process_got_is_taken_in_the_pause_after_a_failure(tmp_path):
    """`accounts verify` may just have said that the account works."""
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        [account] = runtime.accounts
        upstream.identity.revoke("ada")
        assert await failure_of(runtime, account) is FailureKind.AUTH_REVOKED
        with StateStore.open(tmp_path) as others:
            got = CachedToken(Secret("ya29.verified"), runtime.clock() + 3600)
            TokenCache(others).put(account, got)
        assert await runtime.tokens.fresh(account) == got.token


async def test_the_end_of_the_program_waits_for_a_rotation(tmp_path):
    async with DemoUpstream(ROTATING) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            upstream.play(Fault(FaultKind.HANG, path="/token", seconds=0.2))
            waiting = asyncio.create_task(runtime.tokens.fresh(runtime.accounts[0]))
            await until(lambda: runtime.tokens._running)
        await waiting
        assert upstream.refresh_token("ada") in store.path.read_text()


# ---------------------------------------------------------------------------------- failures


@pytest.mark.usefixtures("hasty")
async def test_a_token_endpoint_that_is_down_never_takes_an_account_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens_module, "PAUSE_AFTER_FAILURE", 0.05)
    async with serve(tmp_path, people=ADA) as rig:
        for kind in (FaultKind.SERVER_ERROR, FaultKind.RESET, FaultKind.HTML):
            rig.upstream.play(Fault(kind, path="/token", times=None))
            answer = await rig.messages()
            assert answer.status == 502
            assert (await rig.call("GET", "/health")).json["accounts"]["invalid"] == 0
            rig.upstream.faults.clear()
            await asyncio.sleep(0.06)
        assert (await rig.messages()).status == 200


async def test_a_good_token_outlives_a_failing_endpoint(tmp_path):
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        [account] = runtime.accounts
        token = await runtime.tokens.fresh(account)
        upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token", times=None))
        clock.now += 3500
        for _ in range(3):
            assert await runtime.tokens.fresh(account) == token
            await until(lambda: not runtime.tokens._running)
        clock.now += 100
        assert await failure_of(runtime, account) is FailureKind.NETWORK


async def test_a_failing_endpoint_is_not_hammered_and_found_again_in_time(tmp_path):
    assert tokens_module.PAUSE_AFTER_FAILURE < 15
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        [account] = runtime.accounts
        upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token", times=2))
        assert await failure_of(runtime, account) is FailureKind.NETWORK
        assert await failure_of(runtime, account) is FailureKind.NETWORK
        assert len(upstream.faults) == 1, "the second time nobody was asked"
        upstream.faults.clear()
        clock.now += tokens_module.PAUSE_AFTER_FAILURE
        assert (await runtime.tokens.fresh(account)).value.startswith("ya29.")


async def test_a_clock_that_is_put_back_does_not_lengthen_the_pause_after_a_failure(tmp_path):
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        [account] = runtime.accounts
        upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token"))
        assert await failure_of(runtime, account) is FailureKind.NETWORK
        clock.now -= 3600
        assert (await runtime.tokens.fresh(account)).value.startswith("ya29.")


async def test_a_withdrawn_sign_in_marks_the_account_until_there_is_another(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        upstream.identity.revoke("ada")
        for _ in range(2):
            async with serve(tmp_path, upstream=upstream) as rig:
                assert (await rig.messages()).status == 503
                health = (await rig.call("GET", "/health")).json
                assert health["accounts"]["invalid"] == 1
        assert len(rig.upstream.requests) == 0
        anew = [signed_in_anew(upstream, "ada")]
        async with serve(tmp_path, upstream=upstream, accounts=anew) as rig:
            assert (await rig.messages()).status == 200


async def test_a_sign_in_that_was_renewed_meanwhile_is_read_from_the_file(tmp_path):
    """The owner signs in anew; the running server has not looked at the file yet."""
    async with DemoUpstream(ADA) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            upstream.identity.revoke("ada")
            store.replace(signed_in_anew(upstream, "ada"))
            assert len(await crowd(runtime, 10)) == 1


# ------------------------------------------------ a new sign-in while the one before it is renewed


@pytest.fixture
async def renewing_late(tmp_path, request):
    """A server whose account is renewed slowly, and was signed in anew while that went on.

    With what comes of the renewal, and the account as its owner left it.
    """
    people, is_revoked = request.param
    async with DemoUpstream(people) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            upstream.play(Fault(FaultKind.HANG, path="/token", seconds=0.3))
            late = asyncio.create_task(runtime.tokens.fresh(runtime.accounts[0]))
            await until(lambda: not upstream.faults)
            if is_revoked:
                upstream.identity.revoke("ada")
            store.replace(new := signed_in_anew(upstream, "ada"))
            yield upstream, store, runtime, late, new
            await asyncio.gather(late, return_exceptions=True)


@pytest.mark.parametrize("renewing_late", [(ROTATING, False)], indirect=True)
@pytest.mark.parametrize("is_reloaded", [True, False])
async def test_a_late_rotation_does_not_undo_a_new_sign_in(renewing_late, is_reloaded):
    upstream, store, runtime, late, new = renewing_late
    if is_reloaded:
        await runtime.reload()
    await late
    assert store.load().accounts == (new,)
    await runtime.reload()
    assert runtime.accounts == (new,)
    await runtime.tokens.fresh(new)
    assert upstream.refresh_token("ada") in store.path.read_text()


@pytest.mark.parametrize("renewing_late", [(ADA, False), (ROTATING, False)], indirect=True)
async def test_a_new_sign_in_does_not_get_the_token_of_the_one_before(renewing_late):
    _, _, runtime, late, new = renewing_late
    await runtime.reload()
    assert await runtime.tokens.fresh(new) != await late
    assert runtime.tokens.at_hand(new) != await late


@pytest.mark.parametrize("renewing_late", [(ADA, True)], indirect=True)
async def test_what_ends_a_sign_in_says_nothing_about_the_next_one(renewing_late):
    _, _, runtime, late, new = renewing_late
    await runtime.reload()
    assert await runtime.tokens.fresh(new) == await late


# --------------------------------------------------------------------- the installed app's login


BORROWED = Account("app", "antigravity", Credential(source="antigravity-app"))


class App:
    """The Antigravity app on this machine, by its database."""

    def __init__(self, upstream: DemoUpstream, directory: Path) -> None:
        self.upstream = upstream
        self.database = directory / "state.vscdb"
        self.own_state = directory / "app"
        with self.opened() as database:
            database.execute("CREATE TABLE ItemTable (key TEXT PRIMARY KEY, value TEXT)")

    @contextmanager
    def opened(self):
        with closing(sqlite3.connect(self.database)) as database, database:
            yield database

    async def sign_in(self) -> None:
        """Also what it does when its token has run out."""
        [ada] = demo_accounts(self.upstream)
        async with running(self.upstream, self.own_state, accounts=[ada]) as runtime:
            await runtime.tokens.renew(ada)
            token = await runtime.tokens.fresh(ada)
        status = f'{{"email": "ada@example.com", "apiKey": "{token.value}"}}'
        with self.opened() as database:
            database.execute(
                "REPLACE INTO ItemTable VALUES ('antigravityAuthStatus', ?)", (status,)
            )

    def sign_out(self) -> None:
        with self.opened() as database:
            database.execute("DELETE FROM ItemTable")


@pytest.fixture
async def app(tmp_path, monkeypatch):
    """The app, signed in."""
    monkeypatch.setattr(lenders, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(tokens_module, "PAUSE_AFTER_FAILURE", 0.0)
    async with DemoUpstream(ADA) as upstream:
        app = App(upstream, tmp_path)
        monkeypatch.setenv("ANTIGRAVITY_STATE_DB", str(app.database))
        await app.sign_in()
        yield app


def borrowing(app: App, tmp_path: Path):
    return serve(tmp_path / "state", upstream=app.upstream, accounts=[BORROWED])


async def test_the_apps_login_is_read_again_when_it_is_refused(app, tmp_path):
    async with borrowing(app, tmp_path) as rig:
        assert (await rig.messages()).status == 200
        app.upstream.identity.expire("ada")
        await app.sign_in()
        assert (await rig.messages()).status == 200
        refreshes = app.upstream.identity.refreshes["ada"]
        assert refreshes == 2, "the app alone refreshed"


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_an_account_of_the_app_is_back_when_the_app_is_signed_in_again(
    app, tmp_path, is_restarted
):
    app.sign_out()
    async with borrowing(app, tmp_path) as rig:
        answer = await rig.messages()
        assert answer.status == 503
        assert "mcproxy accounts add --from antigravity-app --id app" in answer.message
        assert rig.runtime.ledger.mark_of(BORROWED).kind == "invalid"
        if not is_restarted:
            await app.sign_in()
            await until(lambda: rig.runtime.ledger.mark_of(BORROWED) is None)
            assert (await rig.messages()).status == 200
    if is_restarted:
        await app.sign_in()
        async with borrowing(app, tmp_path) as rig:
            await until(lambda: rig.runtime.ledger.mark_of(BORROWED) is None)
            assert (await rig.messages()).status == 200


async def test_an_account_of_the_app_is_not_back_with_a_login_that_was_refused(app, tmp_path):
    async with running(app.upstream, tmp_path / "state", accounts=[BORROWED]) as runtime:
        refused = await runtime.tokens.fresh(BORROWED)
        runtime.tokens.reject(BORROWED, refused)
        assert not await runtime.tokens.is_lent_again(BORROWED)
        await app.sign_in()
        assert await runtime.tokens.is_lent_again(BORROWED)
        assert await runtime.tokens.fresh(BORROWED) != refused


@pytest.mark.usefixtures("hasty")
async def test_a_database_that_the_app_is_writing_takes_no_account_out(app, tmp_path, monkeypatch):
    monkeypatch.setattr(local_apps, "PATIENCE", 0.0)
    async with borrowing(app, tmp_path) as rig:
        with closing(sqlite3.connect(app.database, isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
            assert (await rig.messages()).status == 502
        assert rig.runtime.ledger.mark_of(BORROWED) is None
        assert (await rig.messages()).status == 200
