"""`/metrics`, read by the parser of Prometheus' own client."""

import asyncio
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import CLAUDE, GEMINI, ONE, Rig, serve, settings_with, until

from mcp_proxy.account import Account, Secret
from mcp_proxy.demo import DemoUpstream, demo_accounts
from mcp_proxy.demo.faults import Fault, FaultKind
from mcp_proxy.server.loop_lag import LoopLag
from mcp_proxy.server.metrics import _sample

FAMILIES = {
    "mcproxy_build_info",
    "mcproxy_requests",
    "mcproxy_upstream_attempts",
    "mcproxy_tokens",
    "mcproxy_fallbacks",
    "mcproxy_auth_failures",
    "mcproxy_refresh",
    "mcproxy_client_disconnects",
    "mcproxy_request_duration_seconds",
    "mcproxy_time_to_first_event_seconds",
    "mcproxy_account_quota_remaining_ratio",
    "mcproxy_cooldown_seconds",
    "mcproxy_account_state",
    "mcproxy_active_requests",
    "mcproxy_active_streams",
    "mcproxy_inflight_bytes",
    "mcproxy_event_loop_lag_seconds",
    "process_cpu_seconds",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
}
"""As the parser names them: counters without their _total."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(rig: Rig) -> Samples:
    answer = await rig.call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, "told twice"
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


async def test_requests_attempts_and_tokens_are_counted(tmp_path):
    async with serve(tmp_path) as rig:
        await rig.messages()
        await rig.messages(stream=True)
        rig.upstream.play(Fault(FaultKind.QUOTA, account="ada", seconds=900))
        rig.upstream.play(Fault(FaultKind.QUOTA, account="grace", seconds=900))
        assert (await rig.chat()).status == 429
        found = await scraped(rig)
        where = {"provider": "antigravity", "model": CLAUDE}
        asked = {"dialect": "anthropic", "code": "200", **where}
        assert value(found, "mcproxy_requests_total", **asked) == 2
        answered = {"provider": "antigravity", "outcome": "answered"}
        assert value(found, "mcproxy_upstream_attempts_total", **answered) == 2
        limited = {"provider": "antigravity", "outcome": "quota"}
        assert value(found, "mcproxy_upstream_attempts_total", **limited) == 2
        assert (value(found, "mcproxy_tokens_total", type="output", **where) or 0) > 0
        count = value(found, "mcproxy_request_duration_seconds_count", dialect="anthropic")
        assert count == 2
        infinite = {"dialect": "anthropic", "le": "+Inf"}
        assert value(found, "mcproxy_time_to_first_event_seconds_bucket", **infinite) == 2
        cooled = {"provider": "antigravity", "account": "ada", "model": GEMINI}
        assert (value(found, "mcproxy_cooldown_seconds", **cooled) or 0) > 600
        assert value(found, "mcproxy_active_requests") == 0
        assert value(found, "mcproxy_active_streams") == 0


async def test_an_attempt_counts_for_the_provider_that_was_asked(tmp_path, unused_port):
    dead = Account(
        "dead", "openai-compatible", base_url=f"http://127.0.0.1:{unused_port}/v1", models=("m",)
    )
    settings = settings_with(routes={"both": ({"model": "m"}, {"model": CLAUDE})})
    async with DemoUpstream() as upstream:
        accounts = (dead, *demo_accounts(upstream))
        async with serve(tmp_path, upstream=upstream, accounts=accounts, settings=settings) as rig:
            assert (await rig.messages(model="both")).status == 200
            found = await scraped(rig)
    name = "mcproxy_upstream_attempts_total"
    assert value(found, name, provider="openai-compatible", outcome="network")
    assert value(found, name, provider="antigravity", outcome="answered") == 1
    assert value(found, name, provider="antigravity", outcome="network") is None


async def test_names_that_lead_nowhere_are_counted_without_their_name(tmp_path):
    async with serve(tmp_path) as rig:
        assert (await rig.messages(model="no-such-model")).status == 404
        assert (await rig.messages(model="nor-this-one")).status == 404
        found = await scraped(rig)
    asked = {"dialect": "anthropic", "provider": "-", "model": "-", "code": "404"}
    assert value(found, "mcproxy_requests_total", **asked) == 2
    assert not any("no-such-model" in str(labels) for _, labels in found)


async def test_refreshes_are_counted_as_they_end(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        await rig.messages()
        found = await scraped(rig)
        name = "mcproxy_refresh_total"
        assert value(found, name, provider="antigravity", outcome="refreshed") == 1
        attempts = {"provider": "antigravity", "outcome": "refreshed"}
        assert value(found, "mcproxy_upstream_attempts_total", **attempts) is None
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token"))
        rig.upstream.play(Fault(FaultKind.UNAUTHORIZED))
        await rig.messages()
        found = await scraped(rig)
        assert value(found, name, provider="antigravity", outcome="network") == 1


async def test_an_answer_under_way_is_an_active_stream(tmp_path):
    async with serve(tmp_path) as rig:
        rig.upstream.play(Fault(FaultKind.HANG, seconds=0.5))
        asking = asyncio.create_task(rig.messages(stream=True))
        await until(lambda: rig.runtime.gates.load("ada") + rig.runtime.gates.load("grace"))
        found = await scraped(rig)
        assert value(found, "mcproxy_active_streams") == 1
        assert value(found, "mcproxy_active_requests") == 1
        assert (value(found, "mcproxy_inflight_bytes") or 0) > 50
        await asking


async def test_a_loop_that_was_held_up_is_told_once(tmp_path):
    lag = LoopLag(every=0.01, looks=3)
    assert lag.worst() == 0
    time.sleep(0.06)  # noqa: ASYNC251 - it is what must not happen
    await until(lambda: lag._worst)
    assert lag.worst() >= 0.04
    assert lag.worst() < 0.04
    await until(lambda: not lag.is_looking)


async def test_every_family_has_a_type_and_the_names_of_the_design(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.call("GET", "/metrics")
        families = {
            each.name: each for each in text_string_to_metric_families(answer.body.decode())
        }
    assert families.keys() == FAMILIES
    assert all(each.type != "unknown" and each.documentation for each in families.values())


async def test_accounts_are_in_exactly_one_state(tmp_path):
    async with serve(tmp_path) as rig:
        await rig.call("GET", "/account-limits")
        found = await scraped(rig)
        for account in ("ada", "grace"):
            states = [
                held
                for (name, labels), held in found.items()
                if name == "mcproxy_account_state" and ("account", account) in labels
            ]
            assert sum(states) == 1
            where = {"provider": "antigravity", "account": account, "model": CLAUDE}
            assert value(found, "mcproxy_account_quota_remaining_ratio", **where) == 1


async def test_fallbacks_and_refused_keys_are_counted(tmp_path):
    settings = settings_with(server={"api_keys": ()}, fallback=True)
    async with serve(tmp_path, settings=settings) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, model="gemini-3-pro-high", times=None))
        assert (await rig.messages(model="gemini-3-pro-high")).status == 200
        await rig.call("POST", "/v1/messages", b"{}", {"Origin": "https://evil.example"})
        found = await scraped(rig)
        pair = {"from": "gemini-3-pro-high", "to": "claude-opus-4-5-thinking"}
        assert value(found, "mcproxy_fallbacks_total", **pair) == 1
        assert value(found, "mcproxy_auth_failures_total", reason="forbidden") == 1


async def test_a_server_with_a_key_shows_nothing_without_it(tmp_path):
    settings = settings_with(server={"api_keys": (Secret("the-servers-own-key-1"),)})
    async with serve(tmp_path, settings=settings) as rig:
        refused = await rig.call("GET", "/metrics")
        assert refused.status == 401
        assert b"mcproxy_build_info" not in refused.body
        rig.headers["Authorization"] = "Bearer the-servers-own-key-1"
        found = await scraped(rig)
    assert value(found, "mcproxy_auth_failures_total", reason="unauthenticated") == 1


async def test_it_is_there_to_be_read_only(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.call("POST", "/metrics", b"{}")
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("awkward", ['a"b', "a\\b", "a\nb", "plain"])
def test_labels_survive_whatever_is_in_them(awkward):
    text = _sample("m", ("x",), (awkward,), 1) + "\n"
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"x": awkward}
