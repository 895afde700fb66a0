"""How many decisions are kept, which ones, and for how long."""

import pytest
from placed import Clock
from served import Rig, serve, until

from mcp_proxy.demo import DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.demo.setup import demo_settings
from mcp_proxy.engine.runtime import DAY, Runtime
from mcp_proxy.server import access_log, decisions
from mcp_proxy.server.app import Server
from mcp_proxy.store.settings import Settings
from mcp_proxy.store.state import StateStore


@pytest.fixture(autouse=True)
def in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told of before somebody asks."""
    monkeypatch.setattr(access_log, "FLUSH_EVERY", 600.0)


async def kept(rig: Rig) -> list[str]:
    await rig.call("GET", "/metrics")  # which is told of everything that is over
    return sorted(rig.runtime.state.items("decisions"))


async def ids_of(rig: Rig, *models: str) -> list[str]:
    return [(await rig.messages(model=each)).headers["request-id"] for each in models]


async def test_only_the_latest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "MOST_KEPT", 3)
    async with serve(tmp_path) as rig:
        first = await ids_of(rig, *["claude-sonnet-4-6"] * 3)
        assert await kept(rig) == sorted(first)
        later = await ids_of(rig, *["claude-sonnet-4-6"] * 2)
        assert await kept(rig) == sorted([first[2], *later])
    async with serve(tmp_path) as rig:
        (last,) = await ids_of(rig, "claude-sonnet-4-6")
        assert await kept(rig) == sorted([*later, last]), "also by the next server"


async def test_of_a_burst_the_failures_are_kept_first(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "MOST_AT_ONCE", 2)
    async with serve(tmp_path) as rig:
        ids = await ids_of(rig, "gemini-3-flash", "gemini-3-flash", "gemini-3-flash", "none-such")
        found = await kept(rig)
    assert len(found) == 2
    assert ids[3] in found


async def test_of_a_burst_those_that_went_another_way_are_kept_before_the_usual(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(decisions, "MOST_AT_ONCE", 2)
    async with serve(tmp_path) as rig:
        signed_in, _ = await ids_of(rig, "gemini-3-flash", "gemini-3-flash")
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR))
        (odd,) = await ids_of(rig, "gemini-3-flash")
        await ids_of(rig, "gemini-3-flash")
        assert await kept(rig) == sorted([signed_in, odd])


async def test_after_a_week_they_are_gone(tmp_path):
    clock = Clock()
    async with DemoUpstream() as upstream:
        settings = demo_settings(upstream, Settings())
        state = StateStore.open(tmp_path)
        runtime = Runtime(demo_accounts(upstream), settings, state, clock=clock)
        async with Server(runtime, host="127.0.0.1", port=0):
            state.put("decisions", "req_1", {"at": "2026-11-21T00:00:00Z"})
            assert state.flush()
            clock.later(7.1 * DAY)
            await until(lambda: state.get("decisions", "req_1") is None)


async def test_no_body_is_kept(tmp_path):
    async with serve(tmp_path) as rig:
        await rig.messages("canary-of-the-prompt")
        await kept(rig)
        rows = rig.runtime.state.items("decisions").values()
        assert rows
        assert "canary-of-the-prompt" not in repr(rows)
