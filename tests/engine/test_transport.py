"""Calls on the wire: what goes out, what comes back, and every fault in our own words."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from mcp_proxy.engine.transport import Transport, UpstreamAnswer
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.providers import UpstreamCall

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def host(talk: Talk, *, reads: int | None = None) -> AsyncIterator[str]:
    """A server that says what it is told to; gives its address. It speaks after so many bytes, or
    after the head of a request."""

    visits: list[tuple[asyncio.Task[None] | None, asyncio.StreamWriter]] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((asyncio.current_task(), writer))
        with suppress(OSError, asyncio.IncompleteReadError):
            await (reader.readexactly(reads) if reads else reader.readuntil(b"\r\n\r\n"))
            await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for visit, writer in visits:
            writer.transport.abort()
            assert visit is not None
            await visit


def saying(*pieces: bytes) -> Talk:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return talk


def dripping(status: str) -> Talk:
    """A body that comes byte by byte and never ends."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        while not writer.transport.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)

    return talk


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def failure(url: str, *, stall: float = 5.0, **call: str) -> tuple[FailureKind, str]:
    """What a call that goes wrong is said to be."""
    async with Transport(stall=stall) as transport:
        sent = UpstreamCall(url=url, headers={}, body=b"{}", **call)
        with pytest.raises(UpstreamBroke) as caught:
            await whole(transport, sent)
    return caught.value.failure.kind, caught.value.failure.detail


async def whole(transport: Transport, call: UpstreamCall) -> bytes:
    """The body, without a limit to the time for all of it."""
    answer = await transport.send(call)
    try:
        return await answer.document()
    finally:
        answer.abort()


@pytest.mark.parametrize(
    ("method", "body", "beside"),
    [
        ("POST", b"{}", {b"content-length: 2", b"content-type: application/octet-stream"}),
        ("POST", b"", {b"content-length: 0", b"content-type: application/octet-stream"}),
        ("GET", b"", set()),
    ],
)
async def test_only_the_headers_of_the_call_go_out(method, body, beside):
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        heard.extend(await reader.readexactly(len(body)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(listen, "127.0.0.1", 0) as listening,
        Transport(stall=5) as transport,
    ):
        place = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        call = UpstreamCall(f"http://{place}/a?b=c", {"X-One": "1"}, body, method)
        async with transport.opened(call, timeout=5) as answer:
            assert await answer.document() == b"ok"
    head, sent = bytes(heard).split(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == f"{method} /a?b=c HTTP/1.1".encode()
    assert {line.lower() for line in lines} == {f"host: {place}".encode(), b"x-one: 1", *beside}
    assert sent == body


async def test_a_short_call_has_a_time_for_all_of_it():
    async with host(dripping("200 OK")) as url, Transport(stall=5) as transport:
        with pytest.raises(UpstreamBroke) as caught:
            async with transport.opened(UpstreamCall(url, {}, b"{}"), timeout=0.2) as answer:
                await answer.document()
    assert caught.value.failure.kind is FailureKind.SLOW


async def test_a_redirect_is_not_followed():
    async with (
        host(saying(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n")) as url,
        Transport(stall=5) as transport,
    ):
        call = UpstreamCall(url=url, headers={}, body=b"{}")
        async with transport.opened(call, timeout=5) as answer:
            assert answer.status == 302


async def test_an_error_body_without_end_is_cut():
    async with (
        host(saying(b"HTTP/1.1 500 No\r\n\r\n", *[b"x" * 65536] * 20)) as url,
        Transport(stall=5) as transport,
    ):
        answer = await transport.send(UpstreamCall(url=url, headers={}, body=b"{}"))
        assert len(await answer.document(100_000)) == 100_000
        answer.finish()


async def test_an_error_body_that_drips_is_taken_as_far_as_it_has_come():
    async with host(dripping("500 No")) as url, Transport(stall=5) as transport:
        answer = await transport.send(UpstreamCall(url=url, headers={}, body=b"{}"))
        async with asyncio.timeout(3):
            assert set(await answer.document(100_000, within=0.1)) == set(b"x")


CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
CHUNK = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf"


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (saying(), FailureKind.UPSTREAM),
        (saying(CUT), FailureKind.UPSTREAM),
        (saying(CHUNK), FailureKind.UPSTREAM),
        (saying(b"SSH-2.0-OpenSSH_9\r\n\r\n"), FailureKind.UPSTREAM),
        (saying(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), FailureKind.UPSTREAM),
        (silent, FailureKind.SLOW),
    ],
    ids=["hangs up", "cut", "cut in a chunk", "no HTTP", "a header without end", "silent"],
)
async def test_what_goes_wrong_on_the_wire_is_named(talk, kind):
    async with host(talk) as url:
        found, detail = await failure(f"{url}/path?secret=token", stall=0.2)
    assert found is kind
    assert "127.0.0.1" in detail
    assert "secret" not in detail


async def test_silence_in_the_middle_counts_and_a_slow_stream_does_not():
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(6):
            writer.write(b"x")
            await asyncio.sleep(0.1)

    async def then_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await reader.read()

    async with host(slow) as url, Transport(stall=0.3) as transport:
        body = await whole(transport, UpstreamCall(url=url, headers={}, body=b"{}"))
        assert body == b"xxxxxx", "twice as long as the time-out for silence"
    async with host(then_silent) as url:
        assert (await failure(url, stall=0.2))[0] is FailureKind.SLOW


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_what_is_no_http_within_a_body_ends_it_at_once(hangs_up):
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await begun.wait()
        writer.write(b"no number")
        if not hangs_up:
            await reader.read()

    async with host(talk) as url, asked(url, stall=60.0) as answer, asyncio.timeout(10):
        assert await answer.chunk() == b"one"
        begun.set()
        with pytest.raises(UpstreamBroke) as broke:
            await answer.chunk()
    assert broke.value.failure.kind is FailureKind.UPSTREAM
    assert "cut its answer off" in broke.value.failure.detail


async def test_the_rest_of_what_may_be_over_is_not_waited_for_without_bound(monkeypatch):
    taken = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await taken.wait()
        writer.write(b"more")
        await reader.read()

    async with host(talk) as url, Transport(stall=5.0) as transport:
        answer = await transport.send(UpstreamCall(url=url, headers={}, body=b"{}"))
        assert await answer.chunk() == b"first"
        taken.set()
        assert await answer.rest() == b"more"
        monkeypatch.setattr("mcp_proxy.engine.transport.END_WITHIN", 0.01)
        assert await answer.rest() == b""
        assert not answer.at_end
        answer.abort()


@asynccontextmanager
async def asked(url: str, *, stall: float = 5.0) -> AsyncIterator[UpstreamAnswer]:
    async with Transport(stall=stall) as transport:
        answer = await transport.send(UpstreamCall(url=url, headers={}, body=b"{}"))
        yield answer
        answer.abort()


PIECES = [b"%d, " % at * (1 + at % 7) for at in range(60)]


def framed(framing: str) -> list[bytes]:
    """A response in pieces; its body is PIECES, however it is framed."""
    head = b"HTTP/1.1 200 OK\r\n"
    if framing == "length":
        length = b"content-length: %d\r\n\r\n" % len(b"".join(PIECES))
        return [head + length, *PIECES]
    if framing == "close":
        return [head + b"\r\n", *PIECES]
    if framing == "gzip":
        packer = zlib.compressobj(wbits=31)
        packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in PIECES]
        head += b"content-encoding: gzip\r\n"
        chunks = [*packed, packer.flush()]
    else:
        chunks = PIECES
    head += b"transfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks), b"0\r\n\r\n"]


@pytest.mark.parametrize("framing", ["chunks", "length", "close", "gzip"])
@pytest.mark.parametrize("at_once", [1, 3, 1000], ids=["single", "in threes", "all together"])
@pytest.mark.parametrize("refuses", [1, 4, 10**6], ids=["each", "every fourth", "nothing"])
async def test_nothing_is_lost_between_what_is_poured_and_what_is_read(framing, at_once, refuses):
    sent = framed(framing)

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(sent), at_once):
            writer.write(b"".join(sent[at : at + at_once]))
            await asyncio.sleep(0)

    received: list[bytes] = []

    def take(chunk: bytes) -> bool:
        received.append(chunk)
        return bool(len(received) % refuses)

    async with host(talk) as url, asked(url) as answer, asyncio.timeout(10):
        while True:
            await answer.pour(take)
            if not (chunk := await answer.chunk()):
                break
            received.append(chunk)
        assert answer.at_end
    assert b"".join(received) == b"".join(PIECES)


async def test_what_comes_is_poured_before_the_next_turn_of_the_loop_is_over():
    go_on = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece in (b"one", b"two"):
            await go_on.wait()
            go_on.clear()
            writer.write(piece)
        await reader.read()

    poured: list[bytes] = []

    def take(chunk: bytes) -> bool:
        poured.append(chunk)
        assert asyncio.current_task() is None, "no task was woken for it"
        go_on.set()
        return len(poured) < 2

    async with host(talk) as url, asked(url) as answer:
        go_on.set()
        await answer.pour(take)
    assert poured == [b"one", b"two"]


@pytest.mark.parametrize("ends", [True, False], ids=["with the end", "in the middle"])
async def test_what_is_raised_over_a_chunk_reaches_who_waits(ends):
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
        await begun.wait()
        writer.write(b"bad" if ends else b"b")
        await reader.read()

    def take(_chunk: bytes) -> bool:
        raise ConnectionResetError("of somebody else's connection")

    async with host(talk) as url, asked(url) as answer:
        begun.set()
        with pytest.raises(ConnectionResetError, match="somebody else"):
            await answer.pour(take)


@pytest.mark.parametrize(
    ("then", "kind"),
    [(b"", FailureKind.UPSTREAM), (b"x", FailureKind.UPSTREAM), (None, FailureKind.SLOW)],
    ids=["cut", "broken", "silent"],
)
async def test_what_goes_wrong_is_named_also_where_it_is_poured(then, kind):
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await begun.wait()
        writer.write(b"3\r\ncut\r\n")
        if then is None:
            await reader.read()
        else:
            writer.write(then)

    poured: list[bytes] = []
    stall = 1.0 if kind is FailureKind.SLOW else 60.0
    async with host(talk) as url, asked(url, stall=stall) as answer:
        begun.set()
        with pytest.raises(UpstreamBroke) as broke:
            await answer.pour(lambda chunk: poured.append(chunk) is None)
    assert broke.value.failure.kind is kind
    assert b"".join(poured) == b"cut"


async def test_nobody_there_is_a_matter_of_the_network(unused_port):
    kind, detail = await failure(f"http://127.0.0.1:{unused_port}")
    assert kind is FailureKind.NETWORK
    assert "127.0.0.1" in detail
    assert (await failure("https://no-such-host.invalid/"))[0] is FailureKind.NETWORK


async def test_a_certificate_that_is_none_is_a_matter_of_the_network():
    async with host(saying(b"plain text"), reads=1) as url:
        kind, _ = await failure(url.replace("http://", "https://"))
    assert kind is FailureKind.NETWORK


async def test_an_outbound_proxy_that_is_not_there_is_named(unused_port):
    proxy = f"http://127.0.0.1:{unused_port}"
    kind, detail = await failure("http://upstream.example/", proxy=proxy)
    assert kind is FailureKind.NETWORK
    assert f"outbound proxy 127.0.0.1:{unused_port}" in detail


async def test_an_outbound_proxy_that_refuses_is_named():
    async with host(saying(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")) as proxy:
        kind, detail = await failure("https://upstream.example/", proxy=proxy)
    assert kind is FailureKind.NETWORK
    assert "outbound proxy" in detail
    assert "407" in detail


async def test_proxies_of_the_environment_are_used_but_for_this_machine(monkeypatch):
    async with host(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("NO_PROXY", "inside.example")
        monkeypatch.setenv("no_proxy", "inside.example")
        async with Transport(stall=5) as transport:
            call = UpstreamCall(url="http://outside.example/", headers={}, body=b"{}")
            async with transport.opened(call, timeout=5) as answer:
                assert await answer.document() == b"proxy"
            with pytest.raises(UpstreamBroke):
                await transport.send(
                    UpstreamCall(url="http://inside.example/", headers={}, body=b"{}")
                )
        async with (
            host(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nme")) as here,
            Transport(stall=5) as transport,
        ):
            assert await whole(transport, UpstreamCall(url=here, headers={}, body=b"{}")) == b"me"
