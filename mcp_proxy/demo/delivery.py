"""How the bytes of an answer leave: at once or paced, cut, stalled, in odd sizes.

The one file that touches sockets itself.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

_AT_ONCE = 64 * 1024
"""Bytes handed to the socket in one go when nothing is paced."""

_MOMENT = 0.02
"""Seconds in which the other side can read what came before a reset; a reset may discard it."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST instead of FIN."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The records of one stream and the manner in which they are written."""

    records: list[bytes]
    pace: float | None = None
    """Records a second; None: as fast as the socket takes them."""
    stall_at: int = 0
    """`stall` seconds of silence lie before this record, or this piece where `sizes` cut."""
    stall: float = 0.0
    is_cut: bool = False
    """The connection is reset after the last record instead of ended."""
    content_type: str = "text/event-stream"
    sizes: tuple[int, ...] = ()
    """Sizes of the pieces that the bytes are cut into, used in turn; empty: whole records."""
    flushes: bool = False
    """Every record is handed to the socket on its own."""
    headers: Mapping[str, str] = field(default_factory=dict)


async def deliver(request: web.Request, delivery: Delivery) -> web.StreamResponse:
    """Writes the stream as the delivery says."""
    response = web.StreamResponse(
        headers={"content-type": delivery.content_type, **delivery.headers}
    )
    await response.prepare(request)
    if delivery.pace or delivery.stall or delivery.sizes or delivery.flushes:
        await _write_slowly(response, delivery)
    else:
        await _write_fast(response, delivery.records)
    if delivery.is_cut:
        await asyncio.sleep(_MOMENT)
        reset(request)
        return response
    await response.write_eof()
    return response


def reset(request: web.Request) -> None:
    """Resets the connection (RST), so that the other side sees a failure and not an end."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def _write_fast(response: web.StreamResponse, records: list[bytes]) -> None:
    pending: list[bytes] = []
    size = 0
    for record in records:
        pending.append(record)
        size += len(record)
        if size >= _AT_ONCE:
            await response.write(b"".join(pending))
            pending.clear()
            size = 0
    if pending:
        await response.write(b"".join(pending))


async def _write_slowly(response: web.StreamResponse, delivery: Delivery) -> None:
    pause = 1 / delivery.pace if delivery.pace else 0.0
    for at, record in enumerate(_cut(delivery.records, delivery.sizes)):
        if delivery.stall and at == delivery.stall_at:
            await asyncio.sleep(delivery.stall)
        await response.write(record)
        await asyncio.sleep(pause)


def _cut(records: list[bytes], sizes: tuple[int, ...]) -> list[bytes]:
    if not sizes:
        return records
    whole = b"".join(records)
    pieces = []
    start = turn = 0
    while start < len(whole):
        end = start + sizes[turn % len(sizes)]
        pieces.append(whole[start:end])
        start, turn = end, turn + 1
    return pieces
