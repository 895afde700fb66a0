"""Limits, refused accounts and stand-ins, as clients see them: which account, which status."""

import asyncio
import time
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from served import CLAUDE, GEMINI, ONE, TWO, Rig, serve, settings_with, until

from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.engine.media import MediaFetcher
from mcp_proxy.store.accounts import Loaded

TOOL = {"name": "run_command", "input_schema": {"type": "object", "properties": {}}}
VERIFY = "https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=demo"


def empty(rig: Rig, account: str, bucket: str = "claude", *, for_seconds: float) -> None:
    """The upstream refuses the account's calls for that long."""
    rig.upstream.quota.set_left(account, bucket, 0, time.time() + for_seconds)


# ------------------------------------------------------------------------------ another attempt


async def test_the_next_account_is_sent_the_same_with_a_picture_fetched_once(tmp_path):
    fetches = []

    async def picture(request: web.BaseRequest) -> web.Response:
        fetches.append(request.path)
        return web.Response(body=b"\x89PNG\r\n\x1a\n", content_type="image/png")

    async with serve(tmp_path, people=TWO) as rig, RawTestServer(picture) as site:
        rig.runtime.media = MediaFetcher(allow=lambda _: True)
        await rig.call("GET", "/v1/models")  # so that the model is the same one for both
        rig.upstream.play(Fault(FaultKind.QUOTA, account="ada", seconds=900))
        rig.upstream.play(Fault(FaultKind.QUOTA, account="grace", seconds=0.01))
        source = {"type": "url", "url": f"http://127.0.0.1:{site.port}/cat.png"}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "say what it is"}]
        messages = [{"role": "user", "content": content}]
        answer = await rig.messages(messages=messages, system="Be brief.", tools=[TOOL])
        assert answer.status == 200, answer.body
        sent = [call.body["request"] for call in rig.generations]
    assert set(rig.asked) == {"ada", "grace"}
    assert fetches == ["/cat.png"]
    for request in sent:
        del request["sessionId"]  # the account's own
    assert sent[0]["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "image/png"
    assert all(request == sent[0] for request in sent)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_the_next_account_is_sent_the_same_history(tmp_path, model, stream):
    """It is read again from the client's bytes, for in between it is not held."""
    calls = [{"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": {"deep": [1]}}]
    results = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "it is 21\u00b0"}]
    messages = [
        {"role": "user", "content": "say what the tool says"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, *calls]},
        {"role": "user", "content": results},
    ]
    fields = {"system": "Be brief.", "tools": [TOOL], "temperature": 0.5}
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.CAPACITY), Fault(FaultKind.SERVER_ERROR))
        answer = await rig.messages(model=model, messages=messages, stream=stream, **fields)
        assert answer.status == 200, answer.body
        sent = [call.body["request"] for call in rig.generations]
    assert len(sent) == 3
    for request in sent:
        del request["sessionId"]  # the account's own
    assert sent[0]["contents"][1]["parts"][1]["functionCall"]["args"] == {"deep": [1]}
    assert all(request == sent[0] for request in sent)


# ------------------------------------------------------------------------------------ limits


async def test_a_burst_is_waited_for_on_the_same_account(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.RATE_LIMIT, seconds=0.2))
        answer = await rig.messages()
        assert answer.status == 200
        assert rig.asked[0] == rig.asked[1]


async def test_an_account_out_of_quota_hands_over_at_once_and_is_left_alone(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, account="ada", seconds=900, times=None))
        answers = [await rig.messages(f"say {number}") for number in range(4)]
        assert {answer.headers["x-mcproxy-account"] for answer in answers} == {"grace"}
        assert rig.asked.count("ada") <= 1
        assert (await rig.messages("say x", GEMINI)).status == 200


async def test_a_limit_of_one_model_family_leaves_the_other_alone(tmp_path):
    async with serve(tmp_path, people=ONE, settings=settings_with(limits={"max_wait": 0})) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, model=CLAUDE, seconds=900))
        assert (await rig.messages()).status == 429
        assert (await rig.messages(model="claude-opus-4-6-thinking")).status == 429, "one bucket"
        assert (await rig.messages(model=GEMINI)).status == 200
        assert len(rig.generations) == 2, "the second Claude was not even asked for"


async def test_all_accounts_limited_for_long_is_a_429_that_says_until_when(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        empty(rig, "ada", for_seconds=900)
        empty(rig, "grace", for_seconds=600)
        began = time.monotonic()
        answer = await rig.messages(stream=True)
        assert time.monotonic() - began < 2
        assert answer.status == 429
        assert answer.json["error"]["type"] == "rate_limit_error"
        assert answer.message.startswith("RESOURCE_EXHAUSTED: ")
        assert 590 < int(answer.headers["retry-after"]) <= 601
        assert answer.headers["x-should-retry"] == "false"
        assert sorted(rig.asked) == ["ada", "grace"]
        chat = await rig.chat(model=CLAUDE)
        assert chat.status == 429
        assert chat.json["error"]["type"] == "rate_limit_error"
        assert chat.json["error"]["code"] == "rate_limit_exceeded"
        assert len(rig.generations) == 2, "known limits are not asked about again"


async def test_a_wait_that_an_sdk_should_sit_out_is_not_called_pointless(tmp_path):
    async with serve(tmp_path, people=ONE, settings=settings_with(limits={"max_wait": 0})) as rig:
        empty(rig, "ada", for_seconds=30)
        answer = await rig.messages()
        assert answer.status == 429
        assert 25 < int(answer.headers["retry-after"]) <= 31
        assert "x-should-retry" not in answer.headers


async def test_a_short_limit_of_all_accounts_is_waited_for(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, seconds=3.05, times=2))
        began = time.monotonic()
        answer = await rig.messages()
        assert answer.status == 200
        assert 2.9 < time.monotonic() - began < 6
        assert sorted(rig.asked[:2]) == ["ada", "grace"]
        assert len(rig.generations) == 3


async def test_an_account_that_comes_is_asked_by_those_who_wait(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        ada, grace = rig.runtime.accounts
        rig.runtime.take(Loaded((ada,)))
        rig.upstream.play(Fault(FaultKind.QUOTA, seconds=60, times=None, account="ada"))
        waiting = asyncio.create_task(rig.messages())
        await until(lambda: rig.asked == ["ada"])
        rig.runtime.take(Loaded((ada, grace)))
        answer = await waiting
        assert answer.status == 200
        assert answer.headers["x-mcproxy-account"] == "grace"


async def test_an_account_that_goes_is_not_waited_for(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        [ada] = rig.runtime.accounts
        rig.upstream.play(Fault(FaultKind.QUOTA, seconds=60))
        waiting = asyncio.create_task(rig.messages())
        await until(lambda: rig.asked == ["ada"])
        rig.runtime.take(Loaded((replace(ada, enabled=False),)))
        answer = await waiting
        assert answer.status == 503
        assert "accounts enable ada" in answer.message
        assert rig.asked == ["ada"]


def leave_only(rig: Rig, account_id: str) -> None:
    """The owner disables the other accounts."""
    accounts = (replace(each, enabled=each.id == account_id) for each in rig.runtime.accounts)
    rig.runtime.take(Loaded(tuple(accounts)))


@pytest.mark.parametrize(
    "fault", [Fault(FaultKind.RATE_LIMIT, seconds=0.3), Fault(FaultKind.CAPACITY)]
)
async def test_an_account_that_goes_during_a_pause_is_not_gone_back_to(tmp_path, fault):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(fault)
        asking = asyncio.create_task(rig.messages())
        await until(lambda: len(rig.asked) == 1)
        other = "grace" if rig.asked == ["ada"] else "ada"
        leave_only(rig, other)
        answer = await asking
        assert answer.headers["x-mcproxy-account"] == other
        assert rig.asked[1:] == [other]


async def test_an_account_that_goes_during_a_call_is_not_asked_after_it(tmp_path):
    async with serve(tmp_path, people=TWO, settings=settings_with(limits={"stall": 0.3})) as rig:
        rig.upstream.play(Fault(FaultKind.HANG, seconds=30))
        asking = asyncio.create_task(rig.messages())
        await until(lambda: len(rig.asked) == 1)
        leave_only(rig, rig.asked[0])
        assert (await asking).status == 200
        assert rig.asked[0] == rig.asked[1]


async def test_who_queues_at_an_account_that_goes_is_served_by_another(tmp_path):
    settings = settings_with(limits={"concurrency": 1})
    async with serve(tmp_path, people=TWO, settings=settings) as rig:
        home = (await rig.messages()).headers["x-mcproxy-account"]
        other = "grace" if home == "ada" else "ada"
        rig.upstream.play(Fault(FaultKind.HANG, seconds=5.0, account=home))
        holding = asyncio.create_task(rig.messages())
        await until(lambda: rig.runtime.gates.load(home) == 1)
        queued = asyncio.create_task(rig.messages())
        await until(lambda: rig.runtime.gates.load(home) == 2)
        leave_only(rig, other)
        answer = await queued
        assert answer.headers["x-mcproxy-account"] == other
        assert not holding.done(), "what is under way goes on"
        holding.cancel()
        await until(lambda: rig.runtime.gates.load(home) == 0)


async def test_a_limit_that_ends_early_is_not_waited_for(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, seconds=60))
        waiting = asyncio.create_task(rig.messages())
        await until(lambda: rig.asked == ["ada"])
        model = rig.runtime.models.get(rig.runtime.accounts[0], CLAUDE)
        limited = rig.runtime.ledger.limited_until
        await until(lambda: limited("ada", model, rig.runtime.clock()) is not None)
        await until(lambda: not rig.runtime.quota._running)  # what was asked for before it
        await rig.runtime.quota.refresh(list(rig.runtime.accounts), max_age=0.0)
        assert (await waiting).status == 200


async def test_the_figures_of_accounts_that_are_limited_are_asked_for(tmp_path):
    """Nobody would learn else that their quota is there again, and nobody would use them."""
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, seconds=900))
        assert (await rig.messages()).status == 429
        await until(lambda: rig.runtime.quota.read_at("ada") is not None)
        rig.runtime.quota.forget("ada")
        assert (await rig.messages()).status == 429
        await until(lambda: rig.runtime.quota.read_at("ada") is not None)
        assert (await rig.messages()).status == 200


ONE_AT_A_TIME = settings_with(limits={"concurrency": 1, "max_wait": 0})


@pytest.mark.parametrize(
    ("kind", "people", "status"),
    [
        (FaultKind.QUOTA, ONE, 429),
        (FaultKind.SUSPENDED, ONE, 503),
        (FaultKind.SUSPENDED, TWO, 200),
        (FaultKind.QUOTA, TWO, 200),
    ],
)
async def test_those_who_queue_for_an_account_hear_what_the_first_was_told(
    tmp_path, kind, people, status
):
    async with serve(tmp_path, people=people, settings=ONE_AT_A_TIME) as rig:
        rig.upstream.play(Fault(kind, account="ada", seconds=900, times=None))
        answers = await asyncio.gather(*(rig.messages("the same words") for _ in range(6)))
        assert {answer.status for answer in answers} == {status}
        assert rig.asked.count("ada") == 1


async def test_time_in_a_queue_is_told_and_is_not_the_proxys_own(tmp_path):
    async with serve(tmp_path, people=ONE, settings=ONE_AT_A_TIME) as rig:
        rig.upstream.play(Fault(FaultKind.HANG, seconds=0.5))
        first = asyncio.create_task(rig.messages("first"))
        await until(lambda: rig.asked == ["ada"])
        second = await rig.messages("second")
        assert (second.status, (await first).status) == (200, 200)
        rig.server._log.flush()
        [row] = [
            row
            for row in rig.runtime.state.items("decisions").values()
            if [step["kind"] for step in row["steps"]] == ["wait", "attempt"]
        ]
    assert row["steps"][0]["result"] == "ada: waited for a place"
    assert row["steps"][0]["ms"] > 200 > row["ms"]["own"]


@pytest.mark.usefixtures("hasty")
async def test_a_host_that_broke_is_not_asked_by_the_next_account(tmp_path):
    people = tuple(DemoAccount(name) for name in ("ada", "grace", "hedy"))
    async with serve(tmp_path, people=people, hosts=("first", "second")) as rig:
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR, path="/first/", times=None))
        for number in range(3):
            assert (await rig.messages(f"say {number}")).status == 200
        asked = [call.path.split("/")[1] for call in rig.generations]
    assert asked == ["first", "second"] * 3


async def test_a_host_that_cannot_be_reached_costs_one_request_and_not_each(tmp_path, unused_port):
    async with serve(tmp_path, people=ONE) as rig:
        place = rig.runtime.settings.providers["antigravity"]
        both = (f"http://127.0.0.1:{unused_port}", rig.upstream.url)
        there = {"antigravity": replace(place, base_urls=both)}
        rig.runtime.settings = replace(rig.runtime.settings, providers=there)
        for number in range(3):
            assert (await rig.messages(f"say {number}")).status == 200
        rig.server._log.flush()
        attempts = [
            [step["result"] for step in row["steps"] if step["kind"] == "attempt"]
            for row in rig.runtime.state.items("decisions").values()
        ]
    assert attempts == [["network", "answered"], ["answered"], ["answered"]]


async def test_a_storm_of_refusals_counts_as_one(tmp_path):
    """Twenty requests at once meet a 429 without a hint: the account rests once, not for hours."""
    async with serve(tmp_path, people=ONE, settings=settings_with(limits={"max_wait": 0})) as rig:
        rig.upstream.play(Fault(FaultKind.GENERIC_LIMIT, times=None))
        answers = await asyncio.gather(*(rig.messages(f"say {n}") for n in range(20)))
        assert {answer.status for answer in answers} == {429}
        assert max(int(answer.headers["retry-after"]) for answer in answers) <= 61


async def test_capacity_marks_nobody(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.CAPACITY))
        assert (await rig.messages()).status == 200
        limits = (await rig.call("GET", "/account-limits")).json
        assert {row["state"] for row in limits["accounts"][0]["models"]} == {"ready"}


async def test_an_account_at_its_soft_limit_is_used_last(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.quota.set_left("ada", "claude", 0.2, time.time() + 9000)
        limits = (await rig.call("GET", "/account-limits")).json
        states = {row["id"]: row["models"][0]["state"] for row in limits["accounts"]}
        assert states == {"ada": "soft-limited", "grace": "ready"}
        for number in range(4):
            await rig.messages(f"say {number}")
        assert set(rig.asked) == {"grace"}
        rig.upstream.play(Fault(FaultKind.QUOTA, account="grace", seconds=900))
        last = await rig.messages("say more")
        assert last.headers["x-mcproxy-account"] == "ada", "last, but used"


async def test_conversations_stay_and_different_ones_spread(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        for _ in range(3):
            for text in ("say first", "say second"):
                await rig.messages(text)
        assert rig.asked[0] != rig.asked[1]
        assert rig.asked == rig.asked[:2] * 3


# ---------------------------------------------------------------------------------- fallback


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_model_that_is_out_is_stood_in_for_and_the_answer_says_so(tmp_path, stream):
    async with serve(tmp_path, people=TWO, settings=settings_with(fallback=True)) as rig:
        for account in ("ada", "grace"):
            empty(rig, account, for_seconds=9000)
        answer = await rig.messages("say hi", "claude-sonnet-4-6", stream=stream)
        assert answer.status == 200
        assert answer.headers["x-mcproxy-model"] == GEMINI
        assert answer.headers["x-mcproxy-fallback"] == f"claude-sonnet-4-6 -> {GEMINI}"
        assert b'"model":"claude-sonnet-4-6"' in answer.body


async def test_a_model_that_stays_broken_is_stood_in_for_too(tmp_path):
    async with serve(tmp_path, people=TWO, settings=settings_with(fallback=True)) as rig:
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR, model=CLAUDE, times=None))
        answer = await rig.messages()
        assert answer.headers["x-mcproxy-fallback"] == f"{CLAUDE} -> {GEMINI}"
        assert len(rig.generations) == 4, "three tries, and one of the other model"


async def test_without_fallback_nobody_stands_in(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        empty(rig, "ada", for_seconds=9000)
        assert (await rig.messages()).status == 429


# ------------------------------------------------------------------- accounts that are refused


async def test_a_refused_token_is_refreshed_once(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        await rig.messages()
        rig.upstream.identity.expire("ada")
        assert (await rig.messages()).status == 200
        assert rig.upstream.identity.refreshes["ada"] == 2
        assert len(rig.generations) == 2, "the refused call did not count as one"


async def test_a_401_that_stays_is_not_passed_on_as_the_clients_own(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.UNAUTHORIZED, times=None))
        answer = await rig.messages()
        assert answer.status == 503
        assert "mcproxy accounts" in answer.message
        assert rig.upstream.identity.refreshes["ada"] == 2
        rig.upstream.faults.clear()
        assert (await rig.messages()).status == 200, "nothing was held against the account"


@pytest.mark.parametrize("kind", [FaultKind.VERIFICATION, FaultKind.SUSPENDED])
async def test_an_account_that_its_owner_must_mend_is_taken_out(tmp_path, kind):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(kind, account="ada", times=None))
        rig.upstream.play(Fault(kind, account="grace", times=None))
        answer = await rig.messages()
        assert answer.status == 503
        assert answer.json["error"]["type"] == "api_error"
        assert answer.headers["x-should-retry"] == "false"
        assert "ada" in answer.message
        assert "mcproxy accounts verify ada" in answer.message
        assert (VERIFY in answer.message) == (kind is FaultKind.VERIFICATION)
        assert (await rig.chat()).json["error"]["type"] == "server_error"
        assert sorted(rig.asked) == ["ada", "grace"], "each was asked once, and then left alone"

        health = (await rig.call("GET", "/health")).json
        assert health["accounts"]["invalid"] == 2
        rows = (await rig.call("GET", "/account-limits")).json["accounts"]
        assert [row["state"] for row in rows] == ["invalid", "invalid"]
        assert all(row["reason"] for row in rows)
        assert rows[0]["url"] == (VERIFY if kind is FaultKind.VERIFICATION else None)


async def test_the_next_account_answers_for_one_that_is_taken_out(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.VERIFICATION))
        answer = await rig.messages()
        assert answer.status == 200
        assert answer.headers["x-mcproxy-account"] == rig.asked[1] != rig.asked[0]


async def test_a_sign_in_that_is_gone_names_the_command_that_mends_it(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.identity.revoke("ada")
        answer = await rig.messages()
        assert answer.status == 503
        assert "mcproxy accounts add --provider antigravity --id ada" in answer.message


async def test_without_accounts_the_answer_says_how_to_add_one(tmp_path):
    async with serve(tmp_path, accounts=[]) as rig:
        answer = await rig.messages()
        assert answer.status == 503
        assert "mcproxy accounts add" in answer.message


async def test_a_disabled_account_is_not_asked_and_named_with_its_command(tmp_path):
    async with DemoUpstream(ONE) as upstream:
        [account] = demo_accounts(upstream)
        off = [replace(account, enabled=False)]
        async with serve(tmp_path, upstream=upstream, accounts=off) as rig:
            answer = await rig.messages()
            assert answer.status == 503
            assert "mcproxy accounts enable ada" in answer.message
            assert not upstream.requests


async def test_a_project_that_the_upstream_disowns_is_looked_for_again(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        await rig.messages()
        rig.upstream.play(Fault(FaultKind.PROJECT))
        assert (await rig.messages()).status == 200
        looked = [call for call in rig.upstream.requests if "loadCodeAssist" in call.path]
        assert len(looked) == 2


# ----------------------------------------------------------------------------- bad requests


async def test_a_refused_tool_schema_is_named_by_the_clients_own_name(tmp_path):
    tools = [
        {"name": name, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
        for name in ("first", "second")
    ]
    text = (
        "GenerateContentRequest.tools[0].function_declarations[1].parameters.properties[a].type: "
        "must be specified"
    )
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST, text=text))
        answer = await rig.messages(tools=tools)
        assert answer.status == 400
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert "second" in answer.message
        assert "must be specified" in answer.message
        assert len(rig.generations) == 1, "no other account would take it"


async def test_a_prompt_that_is_too_long_says_it_as_clients_read_it(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(
            Fault(FaultKind.BAD_REQUEST, text="prompt is too long: 250000 tokens > 200000 maximum")
        )
        answer = await rig.messages()
        assert answer.status == 400
        assert answer.message.startswith("prompt is too long: 250000 tokens > 200000 maximum")


async def test_a_refused_signature_costs_the_thinking_and_not_the_conversation(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(
            Fault(
                FaultKind.BAD_REQUEST,
                text="messages.1.content.0: Invalid `signature` in `thinking` block",
            )
        )
        assert (await rig.messages()).status == 200
        assert len(rig.generations) == 2


async def test_a_place_of_thinking_that_is_refused_costs_the_thinking_of_the_answer(tmp_path):
    text = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`"
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST, text=text))
        assert (await rig.messages(thinking={"type": "adaptive"})).status == 200
        asked = ["thinkingConfig" in str(call.body) for call in rig.generations]
        assert asked == [True, False]


# ---------------------------------------------------------------------------------- crowds


async def test_an_account_never_carries_more_calls_than_its_cap_and_is_fair(tmp_path):
    settings = settings_with(limits={"concurrency": 2})
    async with serve(tmp_path, people=ONE, settings=settings, calls_per_bucket=100) as rig:
        await rig.messages()
        rig.upstream.play(Fault(FaultKind.HANG, seconds=0.15, times=None))
        begun = len(rig.generations)
        asking = []
        for number in range(6):
            asking.append(asyncio.create_task(rig.messages(f"say {number}")))
            await until(lambda expected=number + 1: rig.runtime.gates.load("ada") == expected)
        seen = [len(rig.generations) - begun]
        while not all(task.done() for task in asking):
            await asyncio.sleep(0.01)
            under_way = len(rig.generations) - begun - sum(task.done() for task in asking)
            seen.append(under_way)
        assert max(seen) == 2
        said = [
            call.body["request"]["contents"][0]["parts"][0]["text"]
            for call in rig.generations[begun:]
        ]
        assert said == [f"say {number}" for number in range(6)], "first come, first served"
        assert {task.result().status for task in asking} == {200}
        assert rig.runtime.gates.load("ada") == 0


async def test_a_crowd_spreads_over_the_accounts(tmp_path):
    people = [DemoAccount(name) for name in ("ada", "grace", "mary")]
    async with serve(tmp_path, people=people) as rig:
        answers = await asyncio.gather(*(rig.messages(f"say {n}") for n in range(30)))
        assert {answer.status for answer in answers} == {200}
        assert sorted(rig.asked.count(person.id) for person in people) == [10, 10, 10]
        assert rig.upstream.identity.refreshes == {"ada": 1, "grace": 1, "mary": 1}
