"""The stream a client sees: its order, when it begins, how it is kept alive and how it ends."""

import asyncio
import gc
import json
import socket
from dataclasses import replace
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from served import (
    CLAUDE,
    GEMINI,
    ONE,
    THINKER,
    TWO,
    Answer,
    message_body,
    serve,
    settings_with,
    strict_records,
    until,
)

from mcp_proxy.conversation import Text
from mcp_proxy.demo import DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.server import client_stream, generate
from mcp_proxy.server.client_stream import ClientStream

TOOL = {"name": "run_command", "input_schema": {"type": "object", "properties": {}}}
THINKING = {"type": "enabled", "budget_tokens": 2000}
CANARY = "canary in the prompt"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are committed, looked at and kept alive in hundredths of the usual time."""
    monkeypatch.setattr(generate, "COMMIT_AFTER", 0.1)
    monkeypatch.setattr(client_stream, "TICK", 0.025)
    monkeypatch.setattr(client_stream, "PING_AFTER", 0.1)


def names(answer: Answer) -> list[str | None]:
    """Event names, runs of the same one drawn together."""
    return [name for name, _ in groupby(name for name, _ in answer.events)]


async def test_a_messages_stream_has_the_documented_order(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.messages("run it", THINKER, stream=True, tools=[TOOL], thinking=THINKING)
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert names(answer) == [
        "message_start",
        *block * 3,
        "message_delta",
        "message_stop",
    ]
    data = [data for _, data in answer.events]
    assert [d["content_block"]["type"] for d in data if d["type"] == "content_block_start"] == [
        "thinking",
        "text",
        "tool_use",
    ]
    indexes = [d["index"] for d in data if "index" in d]
    assert indexes == sorted(indexes)
    assert set(indexes) == {0, 1, 2}
    of_thinking = [d["delta"]["type"] for d in data if d.get("index") == 0 and "delta" in d]
    assert of_thinking[-1] == "signature_delta"
    assert of_thinking.count("signature_delta") == 1
    assert all(d["type"] == name for name, d in answer.events)


async def test_usage_is_estimated_at_the_start_and_told_at_the_end(tmp_path):
    async with serve(tmp_path) as rig:
        first = (await rig.messages("say " + "word " * 500, stream=True)).events
        again = (await rig.messages("say " + "word " * 500, stream=True)).events
    truth = first[-2][1]["usage"]
    assert truth["input_tokens"] > 500
    assert truth["output_tokens"] > 1
    guess = first[0][1]["message"]["usage"]["input_tokens"]
    assert 0.9 * truth["input_tokens"] <= guess <= 2 * truth["input_tokens"]
    # The first answer has taught how this model counts, and the second prompt was cached.
    end = again[-2][1]["usage"]
    whole = end["input_tokens"] + end["cache_read_input_tokens"]
    assert end["cache_read_input_tokens"] > 0
    assert whole == truth["input_tokens"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_every_answer_tells_who_gave_it(tmp_path, stream):
    settings = settings_with(aliases={"fast": (GEMINI,)})
    async with serve(tmp_path, people=ONE, settings=settings) as rig:
        for answer in (
            await rig.messages(model="fast", stream=stream),
            await rig.chat(model="fast", stream=stream),
        ):
            assert answer.headers["x-mcproxy-account"] == "ada"
            assert answer.headers["x-mcproxy-provider"] == "antigravity"
            assert answer.headers["x-mcproxy-model"] == GEMINI
            assert "x-mcproxy-fallback" not in answer.headers
            assert answer.headers["request-id"] == answer.headers["x-mcproxy-request-id"]
            assert answer.headers["request-id"].startswith("req_")
            assert b'"model":"fast"' in answer.body


async def test_the_chat_stream_ends_with_done_and_has_usage_only_when_asked(tmp_path):
    async with serve(tmp_path) as rig:
        bare = (await rig.chat(stream=True)).events
        asked = (await rig.chat(stream=True, stream_options={"include_usage": True})).events
    assert bare[-1] == asked[-1] == (None, "[DONE]")
    assert not any("usage" in data for _, data in bare[:-1])
    assert asked[-2][1]["choices"] == []
    assert asked[-2][1]["usage"]["total_tokens"] > 0


# ------------------------------------------------------------------- waiting and keep-alives


@pytest.mark.usefixtures("impatient")
async def test_a_slow_answer_is_begun_early_and_kept_alive(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.HANG, seconds=0.6, times=2))
        answer = await rig.messages(stream=True)
        assert names(answer)[:2] == ["ping", "message_start"]
        assert sum(name == "ping" for name, _ in answer.events) >= 2
        assert names(answer)[-1] == "message_stop"
        assert "x-mcproxy-account" not in answer.headers, "nobody knew it yet"
        chat = await rig.chat(stream=True)
        assert chat.events[0] == (None, None), "a comment keeps OpenAI's clients waiting"
        assert chat.events[-1] == (None, "[DONE]")


@pytest.mark.usefixtures("impatient")
async def test_silence_in_the_middle_is_filled_with_pings(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.STALL, after=1, seconds=0.5))
        answer = await rig.messages("say one two three four five six", stream=True)
    assert names(answer)[0] == "message_start"
    between = names(answer)
    assert "ping" in between[between.index("content_block_delta") :]
    assert between[-1] == "message_stop"


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_an_open_stream_does_not_hold_what_was_asked(tmp_path, model):
    """A conversation takes a megabyte, and its answer may go on for minutes."""
    asked = f"say one two three {CANARY}"
    async with serve(tmp_path, people=ONE) as rig, aiohttp.ClientSession() as http:
        rig.upstream.play(Fault(FaultKind.STALL, after=1, seconds=30))
        body = message_body(asked, model, stream=True, system=[{"type": "text", "text": asked}])
        async with http.post(f"{rig.url}/v1/messages", json=body) as answer:
            await answer.content.readany()
            assert texts_held() == 0
            assert rig.runtime.gates.load("ada") == 1, "it is still open"


def texts_held() -> int:
    """How many texts with the canary are alive in this process."""
    gc.collect()
    found = (each for each in gc.get_objects() if type(each) is Text)
    return sum(CANARY in text.text for text in found)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_whose_answer_has_not_begun_does_not_hold_what_was_asked(tmp_path, stream):
    """Only its bytes: another account may have to be asked."""
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.STALL, after=0, seconds=30))
        asking = asyncio.create_task(rig.messages(f"say one {CANARY}", stream=stream))
        await until(lambda: rig.generations)
        assert texts_held() == 0
        assert not asking.done()
        asking.cancel()


@pytest.mark.usefixtures("impatient")
async def test_a_wait_for_a_limit_is_kept_alive_and_then_answered(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.RATE_LIMIT, seconds=0.5))
        answer = await rig.messages(stream=True)
    assert answer.status == 200
    assert names(answer)[:2] == ["ping", "message_start"]
    assert names(answer)[-1] == "message_stop"


@pytest.mark.usefixtures("impatient")
async def test_a_failure_after_an_early_begin_is_told_inside_the_stream(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.RATE_LIMIT, seconds=0.3), Fault(FaultKind.BAD_REQUEST))
        answer = await rig.messages(stream=True)
        assert answer.status == 200
        assert names(answer) == ["ping", "error"]
        assert answer.events[-1][1]["error"]["type"] == "invalid_request_error"
        assert answer.events[-1][1]["request_id"] == answer.headers["request-id"]


async def test_an_error_before_the_first_event_is_a_status_and_no_stream(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST, text="No such thing.", times=2))
        for ask in (rig.messages, rig.chat):
            answer = await ask(stream=True)
            assert answer.status == 400
            assert answer.headers["Content-Type"].startswith("application/json")
            assert answer.headers["x-should-retry"] == "false"
            assert "No such thing." in answer.message


# --------------------------------------------------------------------------- broken answers

BROKEN = [FaultKind.CUT, FaultKind.GARBAGE, FaultKind.ERROR_INSIDE, FaultKind.NO_FINISH]


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_that_breaks_ends_with_one_error_and_nothing_after_it(tmp_path, kind):
    async with serve(tmp_path) as rig:
        rig.upstream.play(Fault(kind, after=2, pace=100, times=2))
        answer = await rig.messages("say one two three four five six seven eight", stream=True)
        assert answer.status == 200
        assert names(answer)[0] == "message_start"
        assert names(answer)[-1] == "error"
        assert "message_stop" not in names(answer)
        assert answer.events[-1][1]["error"]["type"] in {"api_error", "overloaded_error"}

        chat = await rig.chat("say one two three four five six seven eight", stream=True)
        assert chat.events[-1][1] != "[DONE]"
        assert chat.events[-1][1]["error"]["message"]
        assert len(rig.generations) == 2, "what has begun is never begun again"


@pytest.mark.parametrize("kind", [*BROKEN, FaultKind.NOTHING, FaultKind.RESET, FaultKind.HTML])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_breaks_before_any_content_is_tried_again(tmp_path, kind, stream):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.play(Fault(kind, after=0))
        answer = await rig.messages(stream=stream)
        assert answer.status == 200
        assert sorted(rig.asked) == ["ada", "grace"], "by the other account, at once"
        assert b"error" not in answer.body


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_whole_answer_is_never_half_an_answer(tmp_path, kind):
    text = "one two three four five six seven eight"
    async with serve(tmp_path) as rig:
        rig.upstream.play(Fault(kind, after=2))
        answer = await rig.messages(f"say {text}")
        assert answer.json["content"] == [{"type": "text", "text": text}]
        assert len(rig.generations) == 2


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_empty_answer_is_asked_for_again(tmp_path, stream):
    async with serve(tmp_path) as rig:
        rig.upstream.play(Fault(FaultKind.EMPTY))
        answer = await rig.messages(stream=stream)
        assert answer.status == 200
        assert b"hi" in answer.body
        assert rig.asked[0] == rig.asked[1], "it is no fault of the account"


PERSISTENT: list[tuple[Fault, int, str, int]] = [
    (Fault(FaultKind.SERVER_ERROR, times=None), 502, "api_error", 502),
    (Fault(FaultKind.HTML, times=None), 502, "api_error", 502),
    (Fault(FaultKind.RESET, times=None), 502, "api_error", 502),
    (Fault(FaultKind.NO_FINISH, after=0, times=None), 502, "api_error", 502),
    (Fault(FaultKind.EMPTY, times=None), 502, "api_error", 502),
    (Fault(FaultKind.CAPACITY, times=None), 529, "overloaded_error", 503),
    (Fault(FaultKind.HANG, seconds=30, times=None), 504, "timeout_error", 504),
]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("fault", "status", "kind", "chat_status"), PERSISTENT)
async def test_what_stays_broken_is_given_up_after_three_tries(
    tmp_path, fault, status, kind, chat_status
):
    async with serve(tmp_path, settings=settings_with(limits={"stall": 0.2})) as rig:
        rig.upstream.play(fault)
        answer, chat = await asyncio.gather(rig.messages(stream=True), rig.chat())
        assert answer.status == status
        assert answer.json["error"]["type"] == kind
        assert answer.headers["request-id"] == answer.json["request_id"]
        assert chat.status == chat_status
        assert chat.json["error"]["type"] == "server_error"
        assert len(rig.generations) == 6


# ------------------------------------------------------------------------ clients that leave


class RawUpstream:
    """Answers every generation with the first record of a stream, and waits to be left."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.calls = 0
        self.left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"streamGenerateContent" not in head:
            writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        self.calls += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + self._first)
        # Nothing more is sent: what comes is the end of the connection.
        assert await reader.read() == b""
        self.left.set()
        writer.close()


FIRST = b'data: {"response":{"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}}\n\n'


@pytest.mark.parametrize(
    ("first", "stream"),
    [(FIRST, True), (b"", True), (FIRST, False)],
    ids=["in the middle of a stream", "before anything came", "while a whole answer is gathered"],
)
async def test_a_client_that_leaves_ends_the_call_upstream_within_a_second(tmp_path, first, stream):
    raw = RawUpstream(first)
    listening = await asyncio.start_server(raw.answer, "127.0.0.1", 0)
    async with DemoUpstream(ONE) as sign_in, listening:
        port = listening.sockets[0].getsockname()[1]
        [account] = demo_accounts(sign_in)
        there = replace(account, base_url=f"http://127.0.0.1:{port}", project="p")
        async with serve(tmp_path, upstream=sign_in, accounts=[there]) as rig:
            await rig.call("GET", "/health")
            tasks = len(asyncio.all_tasks())
            asking = asyncio.create_task(rig.messages(stream=stream))
            await until(lambda: raw.calls)
            assert rig.runtime.gates.load("ada") == 1
            asking.cancel()
            async with asyncio.timeout(1.0):
                await raw.left.wait()
            await until(lambda: rig.runtime.gates.load("ada") == 0)
            assert raw.calls == 1, "nobody is asked on behalf of a client that is gone"
            await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_a_client_that_leaves_while_it_is_written_to_is_nobodys_fault(tmp_path, caplog):
    async with serve(tmp_path, people=ONE) as rig:
        for _ in range(3):
            asking = await rig.http.post(
                f"{rig.url}/v1/messages", json=message_body("pace=400 events=4000", stream=True)
            )
            await asking.content.readany()
            asking.close()
            await until(lambda: rig.runtime.gates.load("ada") == 0)
        assert (await rig.messages()).status == 200
    assert len(rig.generations) == 4, "nothing was tried again, and the account was not set aside"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


SOME = 10
"""Events that may be written by a task before those that come next need none."""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(("count", "is_slow"), [(90, False), (700, True)], ids=["fast", "slow"])
async def test_a_stream_arrives_whole_in_its_order(tmp_path, monkeypatch, count, is_slow, version):
    waited = 0

    class Watched(ClientStream):
        async def commit(self, *told: Any) -> None:
            await super().commit(*told)
            if is_slow:  # and its system keeps little
                sock = self._request.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        async def write(self, data: bytes) -> None:
            nonlocal waited
            waited += 1
            await super().write(data)

    monkeypatch.setattr(generate, "ClientStream", Watched)
    body = json.dumps(message_body(f"pace=2000 events={count}", stream=True)).encode()
    async with serve(tmp_path, people=ONE) as rig:
        place = urlsplit(rig.url)
        sock = socket.socket()
        if is_slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((place.hostname, place.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
        head = f"POST /v1/messages HTTP/{version}\r\nHost: {place.netloc}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        is_chunked = b"chunked" in await reader.readuntil(b"\r\n\r\n")
        if is_slow:
            await until(lambda: waited > SOME)  # it is not free any more
        received = b""
        while piece := await reader.read(65536):
            received += piece
        writer.close()
        assert (waited > SOME) == is_slow
        whole = await rig.messages(f"events={count}", stream=True)
    assert is_chunked == (version == "1.1")
    found = [data for _, data in strict_records(unchunked(received) if is_chunked else received)]
    assert texts(found) == texts([data for _, data in whole.events])
    assert found[-1] == {"type": "message_stop"}


def texts(events: list[Any]) -> list[str]:
    return [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]


def unchunked(body: bytes) -> bytes:
    found, rest = b"", body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            assert rest == b"\r\n"
            return found
        found += rest[: int(size, 16)]
        assert rest[int(size, 16) :].startswith(b"\r\n")
        rest = rest[int(size, 16) + 2 :]


@pytest.mark.parametrize("waits", ["a sign of life", "data"])
async def test_a_client_that_reads_nothing_is_dropped_whatever_it_is_sent(monkeypatch, waits):
    monkeypatch.setattr(client_stream, "TICK", 0.05)
    monkeypatch.setattr(client_stream, "PING_AFTER", 0.2)
    ended = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        client = ClientStream(request, keep_alive=b"event: ping\n\n", write_timeout=0.5)
        try:
            await client.commit({}, "text/event-stream")
            writer: Any = client._committed._payload_writer
            while not request.protocol._paused:
                writer.buffer_size = 0  # so that these do not wait
                await client.write(b"x" * 8192)
            if waits == "data":
                writer.buffer_size = 2**16
            else:
                writer.buffer_size = 2**16 - 10
                await asyncio.sleep(1.0)  # and nothing comes from upstream
            await client.write(b"more")
            return await client.end()
        finally:
            client.stop()
            ended.set()

    async with RawTestServer(answer) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await ended.wait()
        writer.close()
