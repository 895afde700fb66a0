"""Private names of the HTTP library that are overridden still mean what they meant."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader

from mcp_proxy.engine.transport import Transport, _Content
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.providers import UpstreamCall
from mcp_proxy.server import client_stream


@asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]):
    """The address of a server that answers with it."""
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_connectors_still_make_their_protocols_with_this_factory():
    async with aiohttp.TCPConnector() as connector:
        assert connector._factory.func is ResponseHandler
        assert connector._factory.keywords.keys() == {"loop"}


def test_protocols_still_note_whether_reading_is_paused():
    assert "_reading_paused" in inspect.getsource(BaseProtocol.pause_reading)
    assert "_reading_paused" in inspect.getsource(BaseProtocol.resume_reading)


def test_responses_still_send_their_headers_at_once_unless_told_not_to():
    assert web.StreamResponse._send_headers_immediately is True
    assert client_stream._LateHeaders._send_headers_immediately is False
    assert "_send_headers_immediately" in inspect.getsource(web.StreamResponse)


def test_requests_still_get_their_head_and_body_from_these_three():
    made = inspect.getsource(aiohttp.ClientRequest.__init__)
    for name in ("update_headers(headers)", "update_auto_headers(", "update_body_from_data(data)"):
        assert f"self.{name}" in made
    assert "self._body.write_with_length(" in inspect.getsource(aiohttp.ClientRequest.write_bytes)


@pytest.mark.parametrize(
    ("called", "names"),
    [
        (aiohttp.TCPConnector.connect, ("req", "traces", "timeout")),
        (aiohttp.ClientRequest.send, ("conn",)),
        (aiohttp.ClientResponse.start, ("connection",)),
    ],
)
def test_what_the_session_calls_for_a_request_still_takes_just_this(called, names):
    assert tuple(inspect.signature(called).parameters) == ("self", *names)


def test_protocols_are_still_told_this_of_an_answer():
    told = inspect.signature(ResponseHandler.set_response_params).parameters
    wanted = {"read_until_eof", "read_timeout", "max_line_size", "max_field_size"}
    assert wanted < told.keys()
    assert told["auto_decompress"].default is True


async def test_a_reader_that_is_slower_than_its_upstream_pauses_and_resumes():
    size = 8 * 1024 * 1024

    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(size // 65536):
            await response.write(b"x" * 65536)
        await response.write_eof()
        return response

    async with served(flood) as url, Transport(stall=5.0) as transport:
        call = UpstreamCall(url, {}, b"")
        answer = await transport.send(call)
        received = 0
        while chunk := await answer.chunk():
            received += len(chunk)
        answer.finish()
    assert received == size


def test_readers_still_keep_what_has_come_in_these_places():
    taken = inspect.getsource(StreamReader._read_nowait_chunk)
    fed = inspect.getsource(StreamReader.feed_data)
    noted = inspect.getsource(StreamReader.end_http_chunk_receiving)
    for name in ("_buffer_offset", "_http_chunk_splits", "resume_reading()"):
        assert name in taken
    assert "self._cursor += data_len" in taken
    for name in ("self._size += data_len", "self._buffer.append(data)", "_waiter", "_high_water"):
        assert name in fed
    code = re.sub(r"#.*", "", noted)
    assert set(re.findall(r"self\.(\w+)", code)) == {
        "_http_chunk_splits",
        "_high_water_chunks",
        "_protocol",
        "total_bytes",
        "_waiter",
    }
    assert "self._read_nowait(-1)" in inspect.getsource(StreamReader.readany)
    assert "assert_timeout()" in inspect.getsource(StreamReader._read_nowait)


def test_who_waits_for_the_end_of_a_body_is_still_woken_there():
    waits = inspect.getsource(StreamReader.wait_eof)
    assert "self._eof_waiter = self._loop.create_future()" in waits
    for ends in (StreamReader.feed_eof, StreamReader.set_exception):
        assert "waiter = self._eof_waiter" in inspect.getsource(ends)
    assert "self._exception = exc" in inspect.getsource(StreamReader.set_exception)


async def test_chunks_of_any_size_come_out_as_they_were_sent():
    sizes = [1, 2, 700, 70_000, 3, *range(1, 400), 300_000, 5]
    sent = [bytes([65 + at % 26]) * size for at, size in enumerate(sizes)]

    async def pieces(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in sent:
            await response.write(piece)
            if len(piece) % 50 == 0:
                await asyncio.sleep(0.001)
        await response.write_eof()
        return response

    async with served(pieces) as url, Transport(stall=5.0) as transport:
        for _ in range(3):
            answer = await transport.send(UpstreamCall(url, {}, b""))
            assert type(answer._response.content) is _Content
            received = b""
            while chunk := await answer.chunk():
                received += chunk
                assert answer._response.content.total_bytes >= len(received)
            answer.finish()
            assert received == b"".join(sent)


def test_protocols_still_note_silence_in_these_three_places():
    for name in ("_reschedule_timeout", "_on_read_timeout", "_drop_timeout"):
        assert "self._" in inspect.getsource(getattr(ResponseHandler, name))
    rearm = inspect.getsource(ResponseHandler._reschedule_timeout)
    assert "_read_timeout_handle" in rearm
    assert "self._on_read_timeout" in rearm
    assert "_reschedule_timeout()" in inspect.getsource(ResponseHandler.data_received)


async def test_silence_is_counted_from_the_last_chunk_and_not_from_the_first():
    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(6):
            await response.write(b"x")
            await asyncio.sleep(0.25)
        await asyncio.sleep(30)
        return response

    async with served(slow) as url, Transport(stall=1.0) as transport:
        answer = await transport.send(UpstreamCall(url, {}, b""))
        received = [await answer.chunk() for _ in range(6)]
        with pytest.raises(UpstreamBroke) as broke:
            await answer.chunk()
        answer.abort()
    assert received == [b"x"] * 6
    assert broke.value.failure.kind is FailureKind.SLOW
