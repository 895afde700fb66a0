"""A Cloud Code upstream that costs next to nothing: raw HTTP over uvloop, answers encoded ahead.

How a generation is answered is named in the request's last text (see `marker`), so the same body
works directly and through any proxy. Beside generations it serves what a proxy asks first: a
token, the project, the models (protocols/cloudcode.md 2.2, 2.3, 5.1, 6.8). A process of its own:
`python -m tests.bench.upstream` prints its URL. It checks nothing; `mcp_proxy/demo/` does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import uvloop

EVENTS = 200
"""Records of a full stream, the one with the finish reason included."""

BURST = 20
"""Records per write of a stream in bursts; a full stream has each record in a write of its own.
Both are at full speed. Reading is slower than writing here, so a proxy finds about five records of
a full stream at a time, which makes the bare pass-through cost seven to ten times a small request,
as it did where the targets come from (0.9 ms and 93 us)."""

PACE = 0.010
SLOW = 2.0

STAMP_DIGITS = 20
STAMP = b"sent@"
"""Precedes the send time (CLOCK_MONOTONIC, nanoseconds) in the text of a paced record."""

MODELS = ("claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-3-flash")

_MARK = b"bench-answer:"
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"

Send = Callable[[bytes], None]


def marker(answer: str) -> str:
    """What a request's last text has to hold to be given `answer`."""
    return f"{_MARK.decode()}{answer};"


def record(text: str, *, at: int = 1, finish: str | None = None) -> bytes:
    """One record as Cloud Code writes it: usage in each, CRLF line ends."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}}
    if finish is not None:
        candidate["finishReason"] = finish
    response = {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 1200,
            "candidatesTokenCount": at,
            "totalTokenCount": 1200 + at,
        },
        "modelVersion": "claude-sonnet-4-6",
        "responseId": "msg_vrtx_01BenchBenchBenchBench",
    }
    return (
        b"data: %b\r\n\r\n"
        % json.dumps(
            {"response": response, "traceId": "5b3f1c0de4a89f21"}, separators=(",", ":")
        ).encode()
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream(group: int) -> tuple[bytes, ...]:
    texts = [f" word{at} and some" for at in range(EVENTS - 1)]
    records = [record(text, at=at + 1) for at, text in enumerate(texts)]
    records.append(record(" end.", at=EVENTS, finish="STOP"))
    groups = [b"".join(records[at : at + group]) for at in range(0, EVENTS, group)]
    return (_HEAD + chunk(groups[0]), *map(chunk, groups[1:-1]), chunk(groups[-1]) + _END)


_KILOBYTE = ('The quick brown fox jumps over the lazy dog, then "sits" down.\n' * 17)[:1024]
_SMALL = _HEAD + chunk(record(_KILOBYTE, at=256, finish="STOP")) + _END
_FULL = _stream(1)
_BURSTS = _stream(BURST)
_FIRST = _HEAD + chunk(record("Well,"))
_SLOW_RECORD = chunk(record(" still here"))
_STAMPED = record(f" {STAMP.decode()}{'0' * STAMP_DIGITS}")
_STAMP_AT = _STAMPED.index(b"0" * STAMP_DIGITS)


def _stamped(_at: int) -> bytes:
    now = b"%020d" % time.monotonic_ns()
    return chunk(_STAMPED[:_STAMP_AT] + now + _STAMPED[_STAMP_AT + STAMP_DIGITS :])


def _document(value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


_FACTS = {
    "maxTokens": 200_000,
    "maxOutputTokens": 64_000,
    "quotaInfo": {"remainingFraction": 1.0, "resetTime": "2099-01-01T00:00:00Z"},
}
DOCUMENTS = {
    b"/token": _document({"access_token": "bench", "expires_in": 86_400, "token_type": "Bearer"}),
    b":loadCodeAssist": _document(
        {"cloudaicompanionProject": "bench", "currentTier": {"id": "free-tier"}}
    ),
    b":fetchAvailableModels": _document({"models": dict.fromkeys(MODELS, _FACTS)}),
}


class Connection(asyncio.Protocol):
    """One connection. Requests come one after another, each with a Content-Length."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._awaited = 0
        """Bytes of head and body of the request that is coming in; 0 before its head is there."""
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, _cause: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._awaited:
            head_end = self._received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            self._awaited = head_end + 4 + _body_length(bytes(self._received[:head_end]))
        if len(self._received) >= self._awaited:
            request, self._received, self._awaited = self._received, bytearray(), 0
            self._answer(request)

    def _answer(self, request: bytearray) -> None:
        path = bytes(request[: request.index(b"\r\n")]).split(b" ")[1]
        for ending, document in DOCUMENTS.items():
            if path.endswith(ending):
                self._transport.write(document)
                return
        mark = request.rfind(_MARK) + len(_MARK)
        ANSWERS[bytes(request[mark : request.index(b";", mark)])](self)

    def small(self) -> None:
        self._transport.write(_SMALL)

    def full_stream(self) -> None:
        self._write_next(iter(_FULL))

    def bursts(self) -> None:
        self._write_next(iter(_BURSTS))

    def paced(self) -> None:
        self._transport.write(_FIRST)
        self._tick(self._loop.time() + PACE, PACE, _stamped, 0)

    def slow(self) -> None:
        self._transport.write(_FIRST)
        self._tick(self._loop.time() + SLOW, SLOW, lambda _: _SLOW_RECORD, 0)

    def _write_next(self, groups: Iterable[bytes]) -> None:
        """One group per turn of the loop, so that each is a write of its own."""
        for group in groups:
            self._transport.write(group)
            self._timer = self._loop.call_soon(self._write_next, groups)
            return

    def _tick(self, due: float, every: float, make: Callable[[int], bytes], at: int) -> None:
        """Writes a record at each due time until the connection is closed."""
        if at:
            self._transport.write(make(at))
        self._timer = self._loop.call_at(due, self._tick, due + every, every, make, at + 1)


ANSWERS: dict[bytes, Callable[[Connection], None]] = {
    b"small": Connection.small,
    b"stream": Connection.full_stream,
    b"bursts": Connection.bursts,
    b"paced": Connection.paced,
    b"slow": Connection.slow,
}


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(f"ready at http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(serve()))
