"""The client that drives a target: raw HTTP/1.1, as little work per answer as measuring allows.

Knows nothing of dialects. An answer is checked for its status and its complete end; `ask` keeps
the body for whoever wants to look into it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from .upstream import STAMP, STAMP_DIGITS

_CHUNKED_END = b"\r\n0\r\n\r\n"


class BadAnswer(Exception):
    """The target did not give a complete 200."""


@dataclass(slots=True)
class Sample:
    """What one run against one target gave. Seconds."""

    elapsed: float
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    """From the request to the first bytes of the answer's body."""


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._chunked = False
        self._missing = 0
        """Body bytes still to come of an answer with a Content-Length."""
        self._tail = b""
        self._done: asyncio.Future[None] | None = None
        self._watch: Callable[[bytes], None] | None = None
        self.first_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, cause: Exception | None) -> None:
        self._fail(f"the connection was lost: {cause}")

    async def send(self, request: bytes, watch: Callable[[bytes], None] | None = None) -> None:
        """Returns when the whole answer is there; `watch` sees its body bytes, framing included.

        Raises BadAnswer for anything but a complete 200.
        """
        self._head.clear()
        self.first_at = 0.0
        self._watch = watch
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._done

    def close(self) -> None:
        self._done = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.first_at:
            self._head += data
            data = self._body_start()
            if not data:
                return
            self.first_at = time.perf_counter()
        if self._watch is not None:
            self._watch(data)
        if self._chunked:
            self._tail = self._tail + data if len(data) < len(_CHUNKED_END) else data
            ended = self._tail.endswith(_CHUNKED_END)
        else:
            self._missing -= len(data)
            ended = self._missing <= 0
        if ended and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _body_start(self) -> bytes:
        """Body bytes that came with the head; none while the head is incomplete."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head = bytes(self._head[:end]).lower()
        if not head.startswith(b"http/1.1 200"):
            self._fail(bytes(self._head[:2000]).decode(errors="replace"))
        self._chunked = b"transfer-encoding: chunked" in head
        self._tail = b"\r\n"
        if not self._chunked:
            self._missing = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return bytes(self._head[end + 4 :])

    def _fail(self, reason: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(BadAnswer(reason))


async def connect(url: str) -> Client:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Client, parts.hostname or "", parts.port or 80)
    return client


async def ask(url: str, request: bytes) -> bytes:
    """The body of one answer, with its chunk framing."""
    client, found = await connect(url), bytearray()
    await client.send(request, found.extend)
    client.close()
    return bytes(found)


async def closed_loop(url: str, request: bytes, *, clients: int, seconds: float) -> Sample:
    """Each client sends its next request when it has its answer, for so many seconds."""
    connections = [await connect(url) for _ in range(clients)]
    started = time.perf_counter()
    sample = Sample(0.0)

    async def drive(client: Client) -> None:
        while (sent := time.perf_counter()) - started < seconds:
            await client.send(request)
            sample.latencies.append(time.perf_counter() - sent)
            sample.first_bytes.append(client.first_at - sent)

    await asyncio.gather(*map(drive, connections))
    sample.elapsed = time.perf_counter() - started
    for client in connections:
        client.close()
    return sample


async def event_delays(
    url: str, request: bytes, *, streams: int, seconds: float, between: float
) -> list[float]:
    """Seconds from the upstream's send to here, of every stamped event of open streams.

    Streams begin `between` seconds apart, so that their events do not all fall on one moment.
    """
    delays: list[float] = []
    width = len(STAMP)

    def watch(data: bytes) -> None:
        now = time.monotonic_ns()
        at = data.find(STAMP)
        while at >= 0:
            stamp = data[at + width : at + width + STAMP_DIGITS]
            if len(stamp) == STAMP_DIGITS:
                delays.append((now - int(stamp)) / 1e9)
            at = data.find(STAMP, at + width)

    async with Open(url, request, watch) as streams_open:
        await streams_open.add(streams, between=between)
        await asyncio.sleep(0.2)
        delays.clear()
        await asyncio.sleep(seconds)
        streams_open.check()
    return delays


class Open:
    """Streams that stay open until the block ends."""

    def __init__(
        self, url: str, request: bytes, watch: Callable[[bytes], None] | None = None
    ) -> None:
        self._url = url
        self._request = request
        self._watch = watch
        self._clients: list[Client] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Open":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def add(self, streams: int, *, between: float = 0.0) -> None:
        """Opens so many more and returns when each has had its first event."""
        for _ in range(streams):
            client = await connect(self._url)
            self._clients.append(client)
            self._tasks.append(asyncio.create_task(client.send(self._request, self._watch)))
            await asyncio.sleep(between)
        while not all(client.first_at for client in self._clients):
            self.check()
            await asyncio.sleep(0.01)

    def check(self) -> None:
        """Raises BadAnswer when one has ended."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise BadAnswer("a stream that should stay open ended")
