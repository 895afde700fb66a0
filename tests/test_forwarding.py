"""Client and upstream speak alike: bytes go through untouched, and are learned from on the way."""

# ruff: noqa: E501 - answers are shown as they are sent

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from placed import placed
from served import Json, settings_with

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.engine.json_bytes import with_model
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.app import Server
from mcp_proxy.sse import SseReader

MESSAGE = b"""event: message_start
data: {"type": "message_start", "message": {"id":"msg_1","type":"message","role":"assistant","model":"alias","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}}

: a comment that no renderer of ours would write
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi \\u00fc"},"unknown":1.50}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":33}}

event: message_stop
data: {"type":"message_stop"}

"""
CHAT = b"""data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"alias","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"alias","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}], "x": 0.10}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"alias","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"alias","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":33,"total_tokens":45}}

data: [DONE]

"""
GEMINI = b"""data: {"candidates": [{"content": {"parts": [{"text": "Hi"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 12,"totalTokenCount": 12},"modelVersion": "m"}\r
\r
data: {"candidates": [{"content": {"parts": [{"text": "!"}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 12,"candidatesTokenCount": 33,"totalTokenCount": 45},"modelVersion": "m"}\r
\r
"""
WHOLE = {
    "anthropic": b"""{"id":"msg_1", "type":"message","role":"assistant","model":"alias","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":33}, "new": 1.0}""",
    "openai-compatible": b"""{"id":"c1","object":"chat.completion","created":1,"model":"alias","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}], "usage":{"prompt_tokens":12,"completion_tokens":33,"total_tokens":45}, "new": 1.0}""",
    "gemini": b"""{"candidates": [{"content": {"parts": [{"text": "Hi"}],"role": "model"},"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 12,"candidatesTokenCount": 33,"totalTokenCount": 45}, "new": 1.0}""",
}
RESPONSE = b"""{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"alias","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}], "usage":{"input_tokens":12,"output_tokens":33,"total_tokens":45}, "new": 1.0}"""
RESPONSES = (
    b"""event: response.created
data: {"type":"response.created","sequence_number":0, "response": {"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"alias","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi","unknown":1.50}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":4,"response":"""
    + RESPONSE
    + b"}\n\n"
)
WHOLE["openai"] = RESPONSE
STREAMED = {
    "anthropic": MESSAGE,
    "openai-compatible": CHAT,
    "openai": RESPONSES,
    "gemini": GEMINI,
}

BODIES = {
    "anthropic": b'{ "max_tokens": 9,\n "model" : "alias", "temperature": 0.10, "stream": %s, "messages": [{"role": "user", "content": "the \\"model\\" is \\u00fc"}], "future": {"x": 1e2} }',
    "openai-compatible": b'{ "messages": [{"role":"user","content":"hi"}], "model":"alias", "stream": %s, "stream_options": {"include_usage": true}, "future": [1.0] }',
    "openai": b'{ "input": "hi", "model":"alias", "stream": %s, "future": [1.0] }',
    "gemini": b'{ "contents": [{"role": "user", "parts": [{"text": "hi"}]}], "future": 1.0 }',
}
MODELS = {
    "anthropic": "claude-sonnet-4-6",
    "openai-compatible": "llama",
    "openai": "gpt-4.1",
    "gemini": "gemini-2.5-pro",
}
ANY_CUT = pytest.mark.parametrize("cut", [1, 7, 64, 100_000])
"""Bytes of a chunk."""

PROVIDERS = pytest.mark.parametrize("provider", MODELS)


def path_of(provider: str, *, stream: bool) -> str:
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return {
        "anthropic": "/v1/messages?beta=true",
        "openai-compatible": "/v1/chat/completions",
        "openai": "/v1/responses",
        "gemini": f"/v1beta/models/alias:{action}",
    }[provider]


@dataclass(slots=True)
class RawUpstream:
    """Keeps requests as they came, answers with what it was given, byte by byte."""

    answer: bytes = b""
    content_type: str = "text/event-stream"
    status: int = 200
    cut: int = 64
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            rows = [{"id": model, "name": f"models/{model}"} for model in MODELS.values()]
            return web.json_response({"data": rows, "models": rows})
        self.bodies.append(await request.read())
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        self.paths.append(request.path_qs)
        response = web.StreamResponse(status=self.status, headers=self.headers)
        response.content_type = self.content_type
        await response.prepare(request)
        for at in range(0, len(self.answer), self.cut):
            await response.write(self.answer[at : at + self.cut])
            await asyncio.sleep(0)
        return response


@dataclass(slots=True)
class Forwarding:
    upstream: RawUpstream
    runtime: Runtime
    url: str
    http: aiohttp.ClientSession

    async def post(
        self, provider: str, *, stream: bool, headers: Json | None = None, body: bytes | None = None
    ) -> tuple[int, bytes, Json]:
        sent = BODIES[provider] if body is None else body
        if b"%s" in sent:
            sent = sent % (b"true" if stream else b"false")
        url = self.url + path_of(provider, stream=stream)
        async with self.http.post(url, data=sent, headers=headers) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return response.status, await response.read(), found


@asynccontextmanager
async def forwarding(state: Path, provider: str, **answer: object) -> AsyncIterator[Forwarding]:
    upstream = RawUpstream()
    for name, value in answer.items():
        setattr(upstream, name, value)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", upstream.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    account = Account(
        "one",
        provider,
        Credential(api_key=Secret("sk-own-key")),
        base_url=f"http://127.0.0.1:{port}",
        models=(MODELS[provider],),
    )
    settings = settings_with(aliases={"alias": (MODELS[provider],)})
    runtime = Runtime.for_accounts([account], settings, state)
    try:
        async with (
            Server(runtime, host="127.0.0.1", port=0) as server,
            aiohttp.ClientSession() as http,
        ):
            yield Forwarding(upstream, runtime, server.url, http)
    finally:
        await runner.cleanup()


def records_of(body: bytes) -> list[Json]:
    reader = SseReader()
    return [json.loads(data) for data in (*reader.feed(body), *reader.close()) if data != b"[DONE]"]


@PROVIDERS
@ANY_CUT
async def test_a_streams_bytes_are_the_upstreams_own(tmp_path, provider, cut):
    answer = STREAMED[provider]
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        status, body, headers = await rig.post(provider, stream=True)
        assert status == 200
        assert body == answer
        assert headers["x-mcproxy-account"] == "one"
        assert headers["x-mcproxy-model"] == MODELS[provider]


@PROVIDERS
async def test_a_whole_answers_bytes_are_the_upstreams_own(tmp_path, provider):
    answer = WHOLE[provider]
    async with forwarding(
        tmp_path, provider, answer=answer, content_type="application/json"
    ) as rig:
        status, body, _ = await rig.post(provider, stream=False)
        assert (status, body) == (200, answer)


SENT_AS = pytest.mark.parametrize(
    "content_type", ["application/json", "text/event-stream", "text/plain"]
)


@pytest.mark.parametrize(
    ("provider", "whole"), [*WHOLE.items(), ("gemini", b"[%b]" % WHOLE["gemini"])]
)
@SENT_AS
async def test_a_document_in_place_of_a_stream_is_made_one(tmp_path, provider, whole, content_type):
    async with forwarding(tmp_path, provider, answer=whole, content_type=content_type) as rig:
        status, body, headers = await rig.post(provider, stream=True)
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        records = records_of(body)
        assert "Hi" in str(records)
        assert "error" not in [name for record in records for name in record]


@PROVIDERS
@SENT_AS
async def test_a_stream_in_place_of_a_document_is_made_one(tmp_path, provider, content_type):
    answer = STREAMED[provider]
    async with forwarding(tmp_path, provider, answer=answer, content_type=content_type) as rig:
        status, body, headers = await rig.post(provider, stream=False)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert "Hi" in str(json.loads(body))


async def test_a_list_in_place_of_one_document_is_made_one(tmp_path):
    answer = b"\n [%b]" % WHOLE["gemini"]
    kind = {"answer": answer, "content_type": "application/json"}
    async with forwarding(tmp_path, "gemini", **kind) as rig:
        status, body, _ = await rig.post("gemini", stream=False)
        assert (status, type(json.loads(body))) == (200, dict)


@pytest.mark.parametrize("provider", ["anthropic", "openai-compatible", "openai"])
@pytest.mark.parametrize("stream", [True, False])
async def test_only_the_models_name_changes_on_the_way_up(tmp_path, provider, stream):
    async with forwarding(tmp_path, provider, answer=STREAMED[provider]) as rig:
        if not stream:
            rig.upstream.answer, rig.upstream.content_type = WHOLE[provider], "application/json"
        await rig.post(provider, stream=stream)
        sent = BODIES[provider] % (b"true" if stream else b"false")
        assert rig.upstream.bodies == [
            sent.replace(b'"alias"', b'"%s"' % MODELS[provider].encode())
        ]


NAMED_ANEW = pytest.mark.parametrize("provider", ["anthropic", "openai-compatible", "openai"])


@NAMED_ANEW
@ANY_CUT
async def test_a_streams_model_is_the_one_that_was_asked_for(tmp_path, provider, cut):
    whole = STREAMED[provider]
    answer = whole.replace(b'"model":"alias"', b'"model": "its-own-2027"')
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post(provider, stream=True)
        assert body == answer.replace(b"its-own-2027", b"alias")


@NAMED_ANEW
async def test_a_whole_answers_model_is_the_one_that_was_asked_for(tmp_path, provider):
    answer = WHOLE[provider].replace(b'"alias"', b'"its-own"')
    kind = {"answer": answer, "content_type": "application/json"}
    async with forwarding(tmp_path, provider, **kind) as rig:
        _, body, _ = await rig.post(provider, stream=False)
        assert body == WHOLE[provider]


async def test_what_a_model_says_of_models_stays_as_it_is(tmp_path):
    said = json.dumps('{"model":"its-own"} and "usage":{}')
    text = CHAT.replace(b'"model":"alias"', b'"model":"its-own"').replace(b'"Hi"', said.encode())
    inner = b'"x": {"model":"its-own","usage":{"a":1}}'
    answer = text.replace(b'"x": 0.10', inner)
    async with forwarding(tmp_path, "openai-compatible", answer=answer) as rig:
        _, body, _ = await rig.post("openai-compatible", stream=True)
        assert said.encode() in body
        assert inner in body
        assert {record["model"] for record in records_of(body)} == {"alias"}


@ANY_CUT
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
async def test_usage_that_was_not_asked_for_is_not_told(tmp_path, cut, line_end, caplog):
    caplog.set_level("INFO", "mcp_proxy.access")
    counts = b'"prompt_tokens":12,"completion_tokens":33,"completion_tokens_details":{"a":"}"}'
    counted = b',"usage": {' + counts + b"}}\n\n"
    with_counts = without_usage(CHAT).replace(b"}]}\n\n", b"}]" + counted)
    last = CHAT[CHAT.index(b"data: ", CHAT.index(b'"stop"')) :]
    answer = (with_counts.removesuffix(ENDS["openai-compatible"]) + last).replace(b"\n", line_end)
    asked = BODIES["openai-compatible"].replace(b"include_usage", b"include_nothing")
    async with forwarding(tmp_path, "openai-compatible", answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post("openai-compatible", stream=True, body=asked)
        expected = without_usage(CHAT).replace(b"}]}\n\n", b'}],"usage": null}\n\n')
        assert body == expected.replace(b"\n", line_end)
    assert "in=12 out=33" in caplog.text


async def test_geminis_model_is_in_the_path_and_its_body_is_untouched(tmp_path):
    async with forwarding(tmp_path, "gemini", answer=GEMINI) as rig:
        await rig.post("gemini", stream=True)
        assert rig.upstream.bodies == [BODIES["gemini"]]
        assert rig.upstream.paths == ["/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"]


@PROVIDERS
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_usage_is_learned_from_the_bytes_that_pass(tmp_path, provider, stream, caplog):
    caplog.set_level("INFO", "mcp_proxy.access")
    kind = {"answer": STREAMED[provider]}
    if not stream:
        kind = {"answer": WHOLE[provider], "content_type": "application/json"}
    async with forwarding(tmp_path, provider, **kind) as rig:
        await rig.post(provider, stream=stream)
    assert "in=12 out=33" in caplog.text


async def test_headers_go_both_ways_by_allow_list(tmp_path):
    told = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-21T10:00:00Z",
        "anthropic-organization-id": "org",
        "set-cookie": "a=b",
        "x-internal": "secret",
    }
    async with forwarding(tmp_path, "anthropic", answer=MESSAGE, headers=told) as rig:
        mine = {
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "context-1m-2025-08-07,new-2027",
            "x-api-key": "the proxy's own key",
            "Authorization": "Bearer the proxy's own key",
            "X-Private": "1",
            "Cookie": "a=b",
        }
        _, _, headers = await rig.post("anthropic", stream=True, headers=mine)
        (seen,) = rig.upstream.seen
        assert seen["x-api-key"] == "sk-own-key"
        assert seen["anthropic-version"] == "2023-06-01"
        assert seen["anthropic-beta"] == "context-1m-2025-08-07,new-2027"
        assert not {"authorization", "x-private", "cookie"} & seen.keys()
        assert headers["anthropic-ratelimit-requests-remaining"] == "49"
        assert headers["anthropic-organization-id"] == "org"
        assert not {"set-cookie", "x-internal"} & headers.keys()
        account = rig.runtime.accounts[0]
        model = rig.runtime.models.get(account, MODELS["anthropic"])
        remaining = rig.runtime.ledger.remaining(account.id, model, 0.0)
        assert remaining == pytest.approx(0.98)


@PROVIDERS
@pytest.mark.parametrize("cut", [5, 100_000])
@pytest.mark.parametrize("beyond", range(1, 60, 7))
async def test_wherever_a_stream_is_cut_what_follows_is_understood(tmp_path, provider, cut, beyond):
    whole = STREAMED[provider]
    said = re.compile(rb"\r?\n\r?\n").search(whole, whole.index(b"Hi")).end()
    async with forwarding(tmp_path, provider, answer=whole[: said + beyond], cut=cut) as rig:
        _, body, _ = await rig.post(provider, stream=True)
        assert body.startswith(whole[:said])
        reader = SseReader()
        records = [json.loads(data) for data in (*reader.feed(body), *reader.close())]
        assert "error" in str(records[-1])
        assert body.endswith(b"\n\n")


@pytest.mark.parametrize("provider", ["anthropic", "openai-compatible"])
async def test_a_stream_that_is_cut_ends_with_an_error_of_its_dialect(tmp_path, provider):
    whole = STREAMED[provider]
    half = whole[: whole.index(b"\n\n", whole.index(b"Hi")) + 2]
    async with forwarding(tmp_path, provider, answer=half) as rig:
        status, body, _ = await rig.post(provider, stream=True)
        assert status == 200
        assert body.startswith(half)
        rest = body[len(half) :]
        assert b'"error"' in rest
        json.loads(rest.rpartition(b"data: ")[2])


ENDS = {
    "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "openai-compatible": b"data: [DONE]\n\n",
}


def without_usage(stream: bytes) -> bytes:
    return re.sub(rb'data: [^\n]*"choices":\[\][^\n]*\n\n', b"", stream)


@pytest.mark.parametrize(
    ("provider", "whole"),
    [
        ("anthropic", MESSAGE.replace(ENDS["anthropic"], b"") + ENDS["anthropic"]),
        ("openai-compatible", CHAT),
        ("openai-compatible", without_usage(CHAT)),
    ],
    ids=["anthropic", "chat", "chat without usage"],
)
@ANY_CUT
async def test_a_last_record_that_the_upstream_leaves_out_is_told_all_the_same(
    tmp_path, provider, whole, cut
):
    answer = whole.removesuffix(ENDS[provider])
    assert answer != whole
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post(provider, stream=True)
        assert body == whole


@PROVIDERS
@ANY_CUT
async def test_a_last_record_counts_without_its_blank_line(tmp_path, provider, cut):
    answer = STREAMED[provider].rstrip()
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post(provider, stream=True)
        assert body == answer + b"\n\n"


@ANY_CUT
async def test_done_is_told_only_of_an_answer_that_is_complete(tmp_path, cut):
    begun = CHAT[: CHAT.index(b"\n\n", CHAT.index(b"Hi")) + 2]
    answer = begun + ENDS["openai-compatible"]
    async with forwarding(tmp_path, "openai-compatible", answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post("openai-compatible", stream=True)
        assert body.startswith(begun)
        assert b"[DONE]" not in body
        (error,) = records_of(body[len(begun) :])
        assert "ended before it was complete" in error["error"]["message"]


@PROVIDERS
@ANY_CUT
@pytest.mark.parametrize("broken", [b'data: {"bro', b"data: 7", b'event: x\ndata: {"a":1,}'])
async def test_a_record_that_cannot_be_read_does_not_reach_the_client(
    tmp_path, provider, cut, broken
):
    """A client's parser would fail on it before it saw the error that follows."""
    whole = STREAMED[provider]
    said = re.compile(rb"\r?\n\r?\n").search(whole, whole.index(b"Hi")).end()
    answer = whole[:said] + broken + b"\n\n" + whole[said:]
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        _, body, _ = await rig.post(provider, stream=True)
        assert body.startswith(whole[:said])
        assert broken not in body
        assert "error" in str(records_of(body)[-1])


async def test_an_error_inside_a_forwarded_stream_is_told_in_the_upstreams_words(tmp_path):
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    begun = MESSAGE.partition(b"event: content_block_stop")[0]
    async with forwarding(tmp_path, "anthropic", answer=begun + error) as rig:
        _, body, _ = await rig.post("anthropic", stream=True)
        assert body == begun + error


async def test_what_breaks_before_any_content_is_tried_again(tmp_path):
    error = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Internal"}}\n\n'
    begun = MESSAGE.partition(b": a comment")[0]
    async with forwarding(tmp_path, "anthropic", answer=begun + error) as rig:
        status, body, _ = await rig.post("anthropic", stream=True)
        assert status == 502
        assert json.loads(body)["type"] == "error"
        assert len(rig.upstream.bodies) == 3


async def test_what_a_server_refuses_as_it_is_goes_there_once_more_rewritten(tmp_path):
    async with placed(tmp_path, "anthropic") as rig, aiohttp.ClientSession() as http:
        body = {
            "model": "claude-sonnet-4-6",
            "max_tokens": 1_000_000_000,
            "messages": [{"role": "user", "content": "say hi"}],
            "tools": [{"name": "with space", "input_schema": {}}],
        }
        async with http.post(f"{rig.url}/v1/messages", json=body) as answer:
            assert answer.status == 200, await answer.text()
        first, second = rig.generations
        assert first.body["max_tokens"] == 1_000_000_000
        assert second.body["max_tokens"] == 64_000


async def test_what_is_wrong_either_way_is_refused_after_two_tries(tmp_path):
    error = b'{"type":"error","error":{"type":"invalid_request_error","message":"no such thing"}}'
    kind = {"answer": error, "content_type": "application/json", "status": 400}
    async with forwarding(tmp_path, "anthropic", **kind) as rig:
        status, body, _ = await rig.post("anthropic", stream=False)
        assert status == 400
        assert json.loads(body)["error"]["message"] == "no such thing"
        assert len(rig.upstream.bodies) == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x.png", "http://10.0.0.1/x", "http://localhost/"]
)
async def test_nobody_is_made_to_fetch_what_the_client_could_not(tmp_path, url):
    picture = {"type": "image_url", "image_url": {"url": url}}
    body = {"model": "alias", "messages": [{"role": "user", "content": [picture]}]}
    async with forwarding(tmp_path, "openai-compatible", answer=CHAT) as rig:
        status, _, _ = await rig.post(
            "openai-compatible", stream=True, body=json.dumps(body).encode()
        )
        assert status == 400
        assert rig.upstream.bodies == []


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"old"}',
        b'{ "x" : 1 , "model"  :  "old" , "y": 1.50 }',
        b'{"messages":[{"model":"not this"}],"model":"old"}',
        b'{"model":"old","tools":[{"schema":{"properties":{"model":{"type":"string"}}}}]}',
        b'{"text":"\\"model\\":\\"x\\"","model":"old"}',
        b'{"model":"o\\u006cd","z":1e4}',
    ],
)
def test_the_models_name_is_replaced_where_it_counts_and_nothing_else(raw):
    parsed = orjson.loads(raw)
    changed = with_model(raw, parsed, "new")
    assert orjson.loads(changed) == {**parsed, "model": "new"}
    assert changed == raw.replace(b'"old"', b'"new"').replace(b'"o\\u006cd"', b'"new"')


@given(
    st.dictionaries(
        st.sampled_from(["model", "a", "messages", '"model"']),
        st.recursive(
            st.text(max_size=5) | st.integers(-9, 9) | st.just("model"),
            lambda inner: st.dictionaries(st.sampled_from(["model", "b"]), inner, max_size=2),
        ),
        max_size=4,
    ),
    st.text(max_size=6),
)
def test_any_body_means_the_same_but_for_its_model(body, name):
    body = {**body, "model": name}
    raw = json.dumps(body, indent=1).encode()
    assert orjson.loads(with_model(raw, body, "new")) == {**body, "model": "new"}


BARE_CUTS = {
    "anthropic": (MESSAGE, b'"unknown":1.50}'),
    "openai-compatible": (CHAT, b'"x": 0.10}'),
    "openai": (RESPONSES, b'"unknown":1.50}'),
}
"""A stream, and what of it comes last: all of a record but its blank line."""


@pytest.mark.parametrize("provider", BARE_CUTS)
@ANY_CUT
async def test_a_cut_before_a_blank_line_is_an_error_to_the_client(tmp_path, provider, cut):
    whole, last = BARE_CUTS[provider]
    answer = whole[: whole.index(last) + len(last)]
    async with forwarding(tmp_path, provider, answer=answer, cut=cut) as rig:
        status, body, _ = await rig.post(provider, stream=True)
        assert status == 502 or b"error" in body or b"failed" in body, body[-200:]
