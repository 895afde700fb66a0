"""A request that this server has sent to itself."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from served import CLAUDE, settings_with, until

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.engine.loop_guard import LoopGuard
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.providers import UpstreamCall, provider
from mcp_proxy.server.app import Server

CALL = UpstreamCall("http://127.0.0.1:8080/v1/messages", {"x-api-key": "k"}, b"{}")


def test_a_call_without_tls_is_known_again_and_no_other() -> None:
    guard = LoopGuard(Path("/state"))
    marked = guard.marked(CALL, provider("anthropic"))
    assert marked.headers.keys() == {"x-api-key", "Via"}
    with pytest.raises(ProxyError) as caught:
        LoopGuard(Path("/state")).check({"Via": f"1.1 other, {marked.headers['Via']}"})
    assert caught.value.kind is ErrorKind.LOOP
    LoopGuard(Path("/elsewhere")).check(marked.headers)
    guard.check({})
    guard.check({"Via": "1.1 squid"})


def test_nothing_is_told_to_those_who_cannot_be_this_server() -> None:
    guard = LoopGuard(Path("/state"))
    away = replace(CALL, url="https://api.anthropic.com/v1/messages")
    assert guard.marked(away, provider("anthropic")) is away
    assert guard.marked(CALL, provider("antigravity")) is CALL


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("place", ["anthropic", "openai-compatible"])
async def test_an_account_that_leads_back_here_is_told_of(tmp_path, place, stream):
    account = Account(
        "self", place, Credential(api_key=Secret("k" * 20)), base_url="x", models=(CLAUDE,)
    )
    runtime = Runtime.for_accounts((account,), settings_with(), tmp_path)
    path = "" if place == "anthropic" else "/v1"
    async with (
        Server(runtime, host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as http,
    ):
        runtime.accounts = (replace(account, base_url=f"{server.url}{path}"),)
        runtime._redirect()
        body = {
            "model": CLAUDE,
            "max_tokens": 99,
            "stream": stream,
            "messages": [{"role": "user", "content": "hi"}],
        }
        way = "/v1/messages" if place == "anthropic" else "/v1/chat/completions"
        async with http.post(f"{server.url}{way}", json=body) as answer:
            assert answer.status == 502
            assert "leads back to it" in await answer.text()
        await until(lambda: not runtime.gates.load("self"))
