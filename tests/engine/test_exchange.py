"""One request on its way: addresses in their order, and answers of unusual make."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from aiohttp import web
from served import ONE, Answer, Rig, serve, until

from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.engine import exchange
from mcp_proxy.engine.exchange import _disowns_project
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy import patience
from mcp_proxy.strict_json import encode


def record(part: dict[str, object]) -> dict[str, object]:
    """A whole answer of one part."""
    content = {"role": "model", "parts": [part]}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9}
    return {
        "response": {
            "candidates": [{"content": content, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }
    }


RECORD = record({"text": "hello"})


def by_host(rig: Rig) -> list[str]:
    """The first path segment of each generation call, which here names the host."""
    return [call.path.split("/")[1] for call in rig.generations]


@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.RESET, FaultKind.PROJECT])
async def test_a_second_address_is_asked_when_the_first_fails(tmp_path, kind):
    async with serve(tmp_path, people=ONE, hosts=("daily", "prod")) as rig:
        rig.upstream.play(Fault(kind, path="/daily/v1internal:streamGenerate", times=None))
        assert (await rig.messages()).status == 200
        assert by_host(rig) == ["daily", "prod"]


async def test_the_first_address_is_enough_while_it_answers(tmp_path):
    async with serve(tmp_path, people=ONE, hosts=("daily", "prod")) as rig:
        assert (await rig.messages()).status == 200
        assert by_host(rig) == ["daily"]


async def test_accounts_whose_token_endpoint_is_down_cost_no_try_and_no_host(tmp_path, unused_port):
    people = [DemoAccount(name) for name in ("ada", "bob", "carl", "dan", "grace")]
    nowhere = f"http://127.0.0.1:{unused_port}/token"
    async with DemoUpstream(people) as upstream:
        *without, grace = demo_accounts(upstream)
        accounts = [*(replace(each, token_url=nowhere) for each in without), grace]
        hosts = ("daily", "prod")
        async with serve(tmp_path, upstream=upstream, accounts=accounts, hosts=hosts) as rig:
            for number in range(5):
                answer = await rig.messages(f"say {number}")
                assert answer.status == 200, answer.body
            assert by_host(rig) == ["daily"] * 5
            assert set(rig.asked) == {"grace"}


async def test_a_token_is_waited_for_no_longer_than_there_is_time_to_use_it(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "RETRY_WINDOW", 0.2)
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.HANG, path="/token", seconds=1.0))
        answer = await rig.messages()
        assert answer.status == 504
        assert "no token for ada in time" in answer.message
        await until(lambda: not rig.runtime.tokens._running)
        assert (await rig.messages()).status == 200, "the token came, and was kept"


async def test_quota_figures_come_from_the_first_address_that_has_them(tmp_path):
    async with serve(tmp_path, people=ONE, hosts=("daily", "prod")) as rig:
        rig.upstream.play(Fault(FaultKind.HTML, path="/daily/v1internal:fetchAvailable"))
        assert await rig.runtime.quota.refresh(list(rig.runtime.accounts)) == {}


# --------------------------------------------------------------------------- answers as they come

SSE = "text/event-stream"
JSON = "application/json"


async def answer_to(tmp_path, kind: str, body: bytes, *, stream: bool) -> Answer:
    """What a client gets when every generation is answered with this."""

    async def generate(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": kind})

    return await answer_when(tmp_path, generate, stream=stream)


async def answer_when(tmp_path, generate, *, stream: bool) -> Answer:
    """What a client gets of an upstream whose generations are answered by this."""
    app = web.Application()
    app.add_routes([web.post("/v1internal:streamGenerateContent", generate)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with DemoUpstream(ONE) as sign_in:
            [account] = demo_accounts(sign_in)
            there = replace(account, base_url=f"http://127.0.0.1:{port}", project="p")
            async with serve(tmp_path, upstream=sign_in, accounts=[there]) as rig:
                return await rig.messages(stream=stream, thinking={"type": "disabled"})
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "told"), [(500, 502), (429, 429)])
async def test_an_error_that_never_ends_is_one_all_the_same(tmp_path, monkeypatch, status, told):
    monkeypatch.setattr(exchange, "ERROR_WITHIN", 0.1)

    async def generate(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=status, headers={"Retry-After": "9000"})
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b" ")
                await asyncio.sleep(0.02)
        return answer

    async with asyncio.timeout(8):
        assert (await answer_when(tmp_path, generate, stream=True)).status == told


def sse(*records: object) -> bytes:
    return b"".join(b"data: %s\n\n" % encode(record) for record in records)


GOOD = {
    "a stream": (SSE, sse(RECORD)),
    "a stream with an end mark": (SSE, sse(RECORD) + b"data: [DONE]\n\n"),
    "a stream with comments and names": (SSE, b": hello\n\nevent: x\nid: 1\n" + sse(RECORD)),
    "a stream without its last blank line": (SSE, sse(RECORD).rstrip()),
    "a stream after a mark of byte order": (SSE, b"\xef\xbb\xbf" + sse(RECORD)),
    "a stream of another type": ("text/plain", sse(RECORD)),
    "one JSON document": (JSON, encode(RECORD)),
    "a list of records": (JSON, encode([RECORD])),
}
BAD = {
    "nothing": (SSE, b""),
    "an empty document": (JSON, b""),
    "half a document": (JSON, encode(RECORD)[:-5]),
    "a document that is no object": (JSON, b'"hello"'),
    "a record that is no object": (SSE, b"data: [1]\n\n"),
    "a page": ("text/html", b"<html>Sign in to the hotel's network</html>"),
    "bytes": (SSE, b"\x00\xff" * 100),
    "an error object": (SSE, sse({"error": {"code": 500, "message": "No.", "status": "INTERNAL"}})),
    "nothing but hidden thoughts": (SSE, sse(record({"text": "hm", "thought": True}))),
    "nothing but a part for others": (SSE, sse(record({"executableCode": {"code": "1"}}))),
    "an error that is a text": (SSE, sse({"error": "No."})),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("case", GOOD)
async def test_an_answer_is_understood_in_whatever_form_it_comes(tmp_path, case, stream):
    answer = await answer_to(tmp_path, *GOOD[case], stream=stream)
    assert answer.status == 200, answer.body
    assert b'"hello"' in answer.body
    assert b'"input_tokens":7' in answer.body


async def test_what_is_no_answer_is_a_502_with_a_reason(tmp_path):
    # All at once: each is tried three times, with pauses.
    answers = await asyncio.gather(
        *(answer_to(tmp_path / case, *BAD[case], stream=True) for case in BAD)
    )
    assert {
        case: answer.status for case, answer in zip(BAD, answers, strict=True)
    } == dict.fromkeys(BAD, 502)
    for answer in answers:
        assert answer.json["error"]["type"] == "api_error"
        assert "in 3 attempts: " in answer.message


@pytest.mark.parametrize(
    ("kind", "scope", "disowned"),
    [
        (FailureKind.MISCONFIGURED, Scope.MODEL, True),
        (FailureKind.NOT_FOUND, Scope.ACCOUNT, True),
        (FailureKind.NOT_FOUND, Scope.MODEL, False),
        (FailureKind.UPSTREAM, Scope.ACCOUNT, False),
    ],
)
def test_a_project_is_looked_for_anew_only_when_it_was_disowned(kind, scope, disowned):
    assert _disowns_project(Failure(kind, "no", scope=scope)) is disowned
