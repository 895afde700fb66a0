"""An account's Cloud project: given, found once, made when there is none, remembered."""

import asyncio
from dataclasses import replace

import pytest
from running import running, signed_in_anew

from mcp_proxy.account import Account
from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.signin import project as discovery

ADA = [DemoAccount("ada")]


async def project_of(runtime: Runtime, account: Account) -> str | None:
    return await runtime.projects.of(account, await runtime.tokens.fresh(account))


def asked(upstream: DemoUpstream, verb: str = "loadCodeAssist") -> int:
    return sum(verb in call.path for call in upstream.requests)


async def test_a_crowd_looks_for_the_project_once(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        [account] = runtime.accounts
        found = await asyncio.gather(*(project_of(runtime, account) for _ in range(30)))
        assert set(found) == {"demo-project-ada"}
        assert asked(upstream) == 1


async def test_a_project_is_remembered_over_a_restart_and_for_that_sign_in_only(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        for _ in range(2):
            async with running(upstream, tmp_path) as runtime:
                assert await project_of(runtime, runtime.accounts[0]) == "demo-project-ada"
        assert asked(upstream) == 1
        anew = [signed_in_anew(upstream, "ada")]
        async with running(upstream, tmp_path, accounts=anew) as runtime:
            await project_of(runtime, anew[0])
        assert asked(upstream) == 2


async def test_a_project_in_the_file_is_taken_as_it_is(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        [account] = demo_accounts(upstream)
        given = [replace(account, project="mine")]
        async with running(upstream, tmp_path, accounts=given) as runtime:
            assert await project_of(runtime, given[0]) == "mine"
        assert not upstream.requests


@pytest.mark.parametrize("as_object", [True, False])
async def test_an_account_without_a_project_gets_one_made(tmp_path, monkeypatch, as_object):
    monkeypatch.setattr(discovery, "POLL_PAUSES", (0.01,) * 5)
    people = [DemoAccount("ada", onboarded=False, polls=3, project_as_object=as_object)]
    async with DemoUpstream(people) as upstream, running(upstream, tmp_path) as runtime:
        assert await project_of(runtime, runtime.accounts[0]) == "demo-project-ada"
        assert asked(upstream, "onboardUser") == 3


async def test_a_search_that_fails_is_told_to_all_and_made_again_by_the_next(tmp_path):
    async with DemoUpstream(ADA) as upstream, running(upstream, tmp_path) as runtime:
        [account] = runtime.accounts
        upstream.play(Fault(FaultKind.SERVER_ERROR, path="loadCodeAssist"))
        results = await asyncio.gather(
            *(project_of(runtime, account) for _ in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [UpstreamBroke] * 3
        assert {result.failure.kind for result in results} == {FailureKind.UPSTREAM}
        assert await project_of(runtime, account) == "demo-project-ada"


async def test_a_project_that_was_disowned_is_forgotten_on_disk_too(tmp_path):
    async with DemoUpstream(ADA) as upstream:
        async with running(upstream, tmp_path) as runtime:
            await project_of(runtime, runtime.accounts[0])
            runtime.projects.forget(runtime.accounts[0])
        async with running(upstream, tmp_path) as runtime:
            await project_of(runtime, runtime.accounts[0])
        assert asked(upstream) == 2
