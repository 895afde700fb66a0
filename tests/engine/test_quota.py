"""Quota figures: read when they are old and wanted, few at a time, and never a condition."""

import asyncio
import time
from dataclasses import replace

from running import Clock, file_of, running
from served import serve, until

from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind
from mcp_proxy.engine import quota as quota_module
from mcp_proxy.errors import FailureKind
from mcp_proxy.policy.models import info

ADA = [DemoAccount("ada")]
FLASH = info("gemini-3-flash")
CLAUDE = info("claude-sonnet-4-6")


def polls(upstream: DemoUpstream) -> int:
    return sum("fetchAvailableModels" in call.path for call in upstream.requests)


async def test_figures_of_many_accounts_are_read_a_few_at_a_time(tmp_path):
    people = [DemoAccount(f"account-{number}") for number in range(12)]
    async with DemoUpstream(people) as upstream, running(upstream, tmp_path) as runtime:
        for account in runtime.accounts:
            await runtime.projects.of(account, await runtime.tokens.fresh(account))
        upstream.play(Fault(FaultKind.HANG, path="fetchAvailableModels", seconds=0.1, times=None))
        began = time.monotonic()
        reading = asyncio.create_task(runtime.quota.refresh(list(runtime.accounts)))
        await until(lambda: polls(upstream) == quota_module.AT_ONCE == 4)
        assert await reading == {}
        assert polls(upstream) == 12
        assert time.monotonic() - began >= 0.3, "in three rounds"


async def test_figures_are_read_again_when_they_are_old(tmp_path):
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        accounts = list(runtime.accounts)
        await asyncio.gather(*(runtime.quota.refresh(accounts) for _ in range(5)))
        clock.now += quota_module.MAX_AGE - 1
        await runtime.quota.refresh(accounts)
        assert polls(upstream) == 1
        await runtime.quota.refresh(accounts, max_age=10)
        assert polls(upstream) == 2
        clock.now += quota_module.MAX_AGE
        await runtime.quota.refresh(accounts)
        assert polls(upstream) == 3
        assert runtime.quota.read_at("ada") == clock.now


async def test_an_account_in_use_has_its_figures_read_behind_the_requests(tmp_path):
    async with serve(tmp_path, people=ADA) as rig:
        for _ in range(5):
            await rig.messages()
        await until(lambda: rig.runtime.quota.read_at("ada") is not None)
        assert polls(rig.upstream) == 1
        now = rig.runtime.clock()
        assert rig.runtime.ledger.remaining("ada", FLASH, now) == 1


async def test_a_fresh_figure_ends_a_cooldown(tmp_path):
    clock = Clock()
    async with (
        DemoUpstream(ADA, now=clock) as upstream,
        running(upstream, tmp_path, clock=clock) as runtime,
    ):
        upstream.quota.set_left("ada", "claude", 0, clock.now + 7200)
        await runtime.quota.refresh(list(runtime.accounts))
        assert runtime.ledger.limited_until("ada", CLAUDE, clock.now) == clock.now + 7200
        clock.now += 400
        upstream.quota.set_left("ada", "claude", 1, clock.now + 7200)
        await runtime.quota.refresh(list(runtime.accounts))
        assert runtime.ledger.limited_until("ada", CLAUDE, clock.now) is None


async def test_a_quota_endpoint_that_is_down_has_no_effect(tmp_path):
    async with serve(tmp_path, people=ADA) as rig:
        for kind in (FaultKind.SERVER_ERROR, FaultKind.HTML, FaultKind.RESET, FaultKind.QUOTA):
            rig.upstream.play(Fault(kind, path="fetchAvailableModels"))
            failures = await rig.runtime.quota.refresh(list(rig.runtime.accounts), max_age=0)
            assert failures.keys() == {"ada"}
            assert (await rig.messages()).status == 200
        assert (await rig.call("GET", "/health")).json["accounts"]["invalid"] == 0
        assert await rig.runtime.quota.refresh(list(rig.runtime.accounts), max_age=0) == {}


async def test_a_poll_that_outlives_its_account_leaves_nothing_behind(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            [account] = runtime.accounts
            upstream.play(Fault(FaultKind.HANG, path="fetchAvailableModels", seconds=0.2))
            waiting = asyncio.create_task(runtime.quota.refresh([account]))
            await until(lambda: polls(upstream) == 1)
            store.remove("ada")
            await runtime.reload()
            assert await waiting == {}, "who waits is told of no failure"
            await asyncio.sleep(0.3)
            assert not runtime.models.is_read(account)
            assert runtime.quota.read_at("ada") is None
            assert not runtime.state.items("standings")


async def test_a_poll_of_an_earlier_address_says_nothing_of_the_next_one(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            hang = Fault(FaultKind.HANG, path="fetchAvailableModels", seconds=0.2, times=2)
            upstream.play(hang)
            [before] = runtime.accounts
            first = asyncio.create_task(runtime.quota.refresh([before]))
            await until(lambda: polls(upstream) == 1)
            store.replace(replace(before, base_url=upstream.url))
            await runtime.reload()
            [account] = runtime.accounts
            assert not runtime.models.is_read(account)
            second = asyncio.create_task(runtime.quota.refresh([account]))
            assert await first == {}
            assert runtime.quota.tried_within("ada", 60.0) is False, "the second one is under way"
            assert not runtime.models.is_read(account)
            assert await second == {}
            assert runtime.models.is_read(account)


async def test_a_refused_token_is_renewed_for_a_quota_call_as_for_any_other(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        await runtime.quota.refresh(list(runtime.accounts))
        upstream.identity.expire("ada")
        assert await runtime.quota.refresh(list(runtime.accounts), max_age=0) == {}
        assert upstream.identity.refreshes["ada"] == 2


async def test_an_account_that_is_turned_away_is_marked_by_a_poll_too(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        upstream.play(Fault(FaultKind.VERIFICATION, path="fetchAvailableModels"))
        failures = await runtime.quota.refresh(list(runtime.accounts))
        assert failures["ada"].kind is FailureKind.VERIFICATION
        mark = runtime.ledger.mark_of(runtime.accounts[0])
        assert mark is not None
        assert mark.url is not None
