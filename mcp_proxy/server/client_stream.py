"""The client's side of a stream: committed late, kept alive in silence, dropped when stuck."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping

from aiohttp import web

TICK = 2.5
"""Seconds between looks at a stream."""

PING_AFTER = 10.0
"""Seconds of silence after which a keep-alive is due; with TICK it comes within 10-12.5 s."""


class _LateHeaders(web.StreamResponse):
    """Sends its headers together with the first bytes of the body: one packet, not two."""

    _send_headers_immediately = False


class ClientStream:
    """A streamed response. Nothing is sent before `commit`."""

    def __init__(
        self, request: web.BaseRequest, *, keep_alive: bytes, write_timeout: float
    ) -> None:
        self._request = request
        self._protocol = request.protocol
        self._sign = keep_alive
        self._write_timeout = write_timeout
        self._response: web.StreamResponse | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last_write = 0.0
        self._writing_since: float | None = None
        self._has_written = False
        """Whether the head is out, too."""
        self._is_chunked = False
        self._ping: asyncio.Task[None] | None = None

    @property
    def committed(self) -> bool:
        """Whether the client has been promised a 200."""
        return self._response is not None

    @property
    def _committed(self) -> web.StreamResponse:
        if self._response is None:
            raise RuntimeError("the stream is not committed yet")
        return self._response

    def commit_after(
        self, seconds: float, headers: Callable[[], Mapping[str, str]], content_type: str
    ) -> None:
        """Commits by itself then, with a sign of life, unless `decide` is called before."""
        self._timer = self._loop.call_later(seconds, self._begin_early, headers, content_type)

    async def decide(self) -> bool:
        """Ends `commit_after`. Whether it has committed."""
        if self._ping is not None:
            await self._ping
        if self._response is None:
            self.stop()
        return self.committed

    async def commit(self, headers: Mapping[str, str], content_type: str) -> None:
        """Decides for a 200; its headers go out with the first `write`."""
        response = _LateHeaders(
            headers={
                **headers,
                "Content-Type": content_type,
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        self._response = response
        await response.prepare(self._request)
        self._is_chunked = response.headers.get("Transfer-Encoding") == "chunked"
        if self._protocol.transport is not None:
            # Each piece goes out at once, not together with those of other streams that come next.
            self._protocol.transport.set_write_buffer_limits(high=0)
        self._last_write = time.monotonic()
        self._timer = self._loop.call_later(TICK, self._look)

    async def write(self, data: bytes) -> None:
        """Sends bytes, waiting while the client is slow. ConnectionError when it is gone."""
        if self._ping is not None:
            await self._ping
        self._writing_since = time.monotonic()
        await self._committed.write(data)
        self._last_write = time.monotonic()
        self._writing_since = None
        self._has_written = True

    @property
    def is_free(self) -> bool:
        """Whether `write_now` may be used: not at the start, and not while the client is slow."""
        return self._has_written and self._ping is None and not self._protocol.writing_paused

    def write_now(self, data: bytes) -> None:
        """Sends bytes without waiting, while `is_free`. ConnectionError when the client is gone."""
        if not data:
            return
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        # What the library's writer does, which only a task may call.
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
        self._last_write = time.monotonic()

    def hand_over(self) -> None:
        """From here on the bytes are another server's: no sign of life may come between them."""
        self._sign = b""

    async def end(self, data: bytes = b"") -> web.StreamResponse:
        """The last bytes and the regular end of the response."""
        self.stop()
        if self._ping is not None:
            await self._ping
        self._writing_since = time.monotonic()
        await self._committed.write_eof(data)
        return self._committed

    def stop(self) -> None:
        """No more keep-alives. Safe to call at any time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(TICK, self._look)
        now = time.monotonic()
        if self._writing_since is not None:
            if now - self._writing_since > self._write_timeout and self._request.transport:
                # The client does not read: waiting longer would hold an account's place for it.
                self._request.transport.abort()
        elif now - self._last_write >= PING_AFTER and self._sign and self._ping is None:
            self._start(self._send_ping())

    def _begin_early(self, headers: Callable[[], Mapping[str, str]], content_type: str) -> None:
        self._start(self._commit_early(headers(), content_type))

    async def _commit_early(self, headers: Mapping[str, str], content_type: str) -> None:
        if self._timer is None:
            return  # stopped in the moment in which this began
        await self.commit(headers, content_type)
        if self._sign:
            await self._send_ping()

    def _start(self, sign_of_life: Coroutine[None, None, None]) -> None:
        self._ping = self._loop.create_task(sign_of_life)
        self._ping.add_done_callback(self._ping_done)

    async def _send_ping(self) -> None:
        self._last_write = self._writing_since = time.monotonic()
        await self._committed.write(self._sign)
        self._writing_since = None

    def _ping_done(self, task: asyncio.Task[None]) -> None:
        self._ping = None
        # A client that left is noticed by whoever writes next.
        if not task.cancelled():
            task.exception()
