"""Sends upstream calls. The only file that opens connections to providers.

Whatever goes wrong on the wire leaves here as `UpstreamBroke` with a classified `Failure`; what an
answer *means* is the provider's business. Time-outs bound connecting and silence, never a healthy
stream; redirects are not followed, because a redirected POST would carry keys to another origin.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from mcp_proxy import trust
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.providers import UpstreamCall

CONNECT_TIMEOUT = 10.0
"""Seconds for DNS, TCP and TLS together; a host that takes longer is down for a person waiting."""

LINGER = 1.0
"""Seconds in which the end of a complete answer may arrive without costing the connection."""

END_WITHIN = 3.0
"""Seconds in which an answer that may be over goes on, or its end arrives; else it was all."""

MAX_ERROR_BODY = 256 * 1024
"""Bytes read of an answer that is not a success; real error bodies have a few KB."""

ERROR_WITHIN = 10.0
"""Seconds that the body of such an answer may take; what it began with says enough."""

MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes read of an answer that is one document."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class UpstreamAnswer:
    """One answer in progress. Whoever got it must `finish` or `abort` it."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        if type(response.content) is aiohttp.StreamReader:  # and not that of a body of nothing
            response.content.__class__ = _Content
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunk(self) -> bytes:
        """The next bytes, as many as there are; b"" at the end. Raises UpstreamBroke."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as cause:
            raise UpstreamBroke(_failure_of(cause, self._response.url.host or "")) from cause

    async def pour(self, take: Callable[[bytes], bool]) -> None:
        """Gives `take` every chunk in the moment in which it comes, until it says no.

        Returns then, and at the end; at once when a chunk is there already. `chunk` goes on from
        there. Raises UpstreamBroke, and whatever `take` raises.
        """
        content = self._response.content
        if type(content) is not _Content:
            return
        try:
            problem = await content.pour(take)
        except (aiohttp.ClientError, OSError, TimeoutError) as cause:
            raise UpstreamBroke(_failure_of(cause, self._response.url.host or "")) from cause
        if problem is not None:
            raise problem

    async def rest(self) -> bytes:
        """What still comes of an answer that may be over; b"" also when nothing does in time.

        Raises UpstreamBroke.
        """
        try:
            async with asyncio.timeout(END_WITHIN):
                return await self.chunk()
        except TimeoutError:
            return b""

    @property
    def at_end(self) -> bool:
        """Whether all of it has come and was taken."""
        return self._response.content.at_eof()

    async def document(self, limit: int = MAX_DOCUMENT, within: float | None = None) -> bytes:
        """The whole body, cut at `limit` bytes and after `within` seconds. Raises UpstreamBroke."""
        found = bytearray()
        try:
            async with asyncio.timeout(within):
                while len(found) < limit and (chunk := await self.chunk()):
                    found += chunk
        except TimeoutError:
            self.abort()  # nobody takes the rest
        return bytes(found[:limit])

    def finish(self) -> None:
        """Gives the connection back. The content is known to be complete.

        The end of the body may still be on its way, right behind the last record. When it comes
        the connection returns to the pool by itself; when it does not, the connection is closed.
        """
        if self._response.content.at_eof():
            self._response.release()
        else:
            asyncio.get_running_loop().call_later(LINGER, self._response.close)

    def abort(self) -> None:
        """Closes the connection, so that the upstream stops working for nobody."""
        self._response.close()


class _Content(aiohttp.StreamReader):
    """The library's reader of a body, for who always takes all there is.

    It notes where each HTTP chunk ends, and takes them from its buffer one by one, which is an
    eighth of what a stream of small events costs. The library makes it by itself, so an instance
    becomes one of these when its answer has begun.
    """

    __slots__ = ()

    def begin_http_chunk_receiving(self) -> None:
        """Nobody asks."""

    def end_http_chunk_receiving(self) -> None:
        """Nobody asks. Its data has been told of when it came."""

    async def pour(self, take: Callable[[bytes], bool]) -> Exception | None:
        """See `UpstreamAnswer.pour`. What `take` raised, if it did.

        A task that waited for each chunk would be woken two turns of the loop after it has come.
        """
        if self._buffer or self._eof or self._exception is not None:
            return None
        protocol = cast(_Handler, self._protocol)
        problem: Exception | None = None

        def came(*, is_paused: bool) -> None:
            nonlocal problem
            if not self._buffer:
                return
            try:
                if not is_paused and take(self._emptied()):
                    return
            except Exception as cause:  # noqa: BLE001 - for the task that waits below
                problem = cause
            protocol.came = None
            waiter, self._eof_waiter = self._eof_waiter, None
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        protocol.came = came
        try:
            await self.wait_eof()
        except Exception:
            if problem is None:
                raise
        finally:
            if protocol.came is came:
                protocol.came = None
        return problem

    def _read_nowait(self, n: int) -> bytes:
        if n != -1 or self._buffer_offset:
            return super()._read_nowait(n)
        self._timer.assert_timeout()
        data = self._emptied()
        self._protocol.resume_reading()
        return data

    def _emptied(self) -> bytes:
        """All there is; one that was paused has to be told."""
        buffer = self._buffer
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        self._cursor += len(data)
        if self._http_chunk_splits:
            self._http_chunk_splits.clear()
        return data


class _Handler(ResponseHandler):
    """The library's protocol, which tells of what comes, without two costs of each chunk.

    Its stream reader asks to resume after every chunk that was read, and each time an empty chunk
    is parsed and the transport woken, an eighth of the cost of a stream, though nothing was paused.
    And every chunk would cancel the timer of silence and set another; here a chunk notes the time,
    and the timer, when it fires, looks how long ago that was.
    """

    _heard_at = 0.0

    came: Callable[..., None] | None = None
    """Is called when bytes have come and were parsed; with `is_paused`, whether that is all that
    is read before something of it is taken."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.came is not None:
            self.came(is_paused=self._reading_paused)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tells who reads a body, too, that no HTTP has come: the library leaves them waiting."""
        super().set_exception(exc, *cause)
        body = self._payload
        if type(exc) is HttpProcessingError and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("no HTTP within a body"), exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _reschedule_timeout(self) -> None:
        self._heard_at = self._loop.time()
        if self._read_timeout_handle is None:
            super()._reschedule_timeout()

    def _on_read_timeout(self) -> None:
        self._read_timeout_handle = None
        patience = self._read_timeout
        if patience is None:
            return
        left = self._heard_at + patience - self._loop.time()
        if left > 0.0:
            self._read_timeout_handle = self._loop.call_later(left, self._on_read_timeout)
        else:
            super()._on_read_timeout()


class _Connector(aiohttp.TCPConnector):
    """A connector whose connections are `_Handler`s."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        made: Callable[..., ResponseHandler] = _Handler
        self._factory = partial(made, loop=self._loop)


class _Request(aiohttp.ClientRequest):
    """A request with the headers that its call carries and no others, and bytes for a body."""

    def update_headers(self, headers: Any) -> None:
        """Takes them as they are, behind the name of the host."""
        self.headers = CIMultiDict({"Host": self.url.host_port_subcomponent, **headers})

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Adds none."""

    def update_body_from_data(self, body: bytes, _stacklevel: int = 3) -> None:
        """Takes it as what it is; the library would look for its kind."""
        if body or self.method not in self.GET_METHODS:
            self.headers["Content-Length"] = str(len(body))
        if body:
            self._body = aiohttp.BytesPayload(body)


class Transport:
    """The shared connection pool."""

    def __init__(self, *, stall: float) -> None:
        """`stall`: seconds of silence after which an upstream counts as hung."""
        self._timeout = _patience(stall)
        self._connector: _Connector | None = None
        self._proxies: dict[str, str] = {}
        self._proxy_of_host: dict[str, str | None] = {}

    async def __aenter__(self) -> "Transport":
        self._proxies = getproxies()
        # Concurrency is bounded per account, where limits are; a pool limit would deadlock slow
        # streams against each other.
        self._connector = _Connector(limit=0, ttl_dns_cache=60, keepalive_timeout=50)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._connector is not None:
            await self._connector.close()

    def set_stall(self, seconds: float) -> None:
        """Counts for calls from now on."""
        self._timeout = _patience(seconds)

    async def send(self, call: UpstreamCall, *, silence: float | None = None) -> UpstreamAnswer:
        """The answer once its headers are there, whatever its status. Raises UpstreamBroke.

        `silence`: seconds without a byte, when not the usual.
        """
        if self._connector is None:
            raise RuntimeError("the transport is not open")
        proxy = call.proxy or self._proxy_for(call.url)
        is_plain = proxy is None and call.url.startswith("http:")
        try:
            request = _Request(
                call.method,
                _url(call.url),
                headers=call.headers,
                data=call.body,
                proxy=None if proxy is None else _url(proxy),
                ssl=True if is_plain else trust.authorities(),
            )
            limit = self._timeout if silence is None else _patience(silence)
            return UpstreamAnswer(await _response(request, self._connector, limit))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as cause:
            raise UpstreamBroke(_failure_of(cause, _host(call))) from cause

    @asynccontextmanager
    async def opened(self, call: UpstreamCall, *, timeout: float) -> AsyncIterator[UpstreamAnswer]:
        """`send` for short calls: `timeout` seconds in all, and the connection is given back."""
        try:
            async with asyncio.timeout(timeout):
                answer = await self.send(call)
                try:
                    yield answer
                finally:
                    answer.finish()
        except TimeoutError as cause:
            raise UpstreamBroke(_failure_of(cause, _host(call))) from cause

    def _proxy_for(self, url: str) -> str | None:
        if not self._proxies:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in LOOPBACK:
            return None
        if host not in self._proxy_of_host:
            proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
            self._proxy_of_host[host] = None if proxy_bypass(host) else proxy
        return self._proxy_of_host[host]


async def _response(
    request: _Request, connector: _Connector, patience: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    """What the library's session does for a request, without all that no call here wants.

    Redirects, cookies, authentication, traces, middlewares, attempts of its own: looking for them
    is a sixteenth of the instructions of a small request.
    """
    try:
        connection = await connector.connect(request, traces=[], timeout=patience)
    except TimeoutError as cause:
        raise aiohttp.ConnectionTimeoutError("no connection in time") from cause
    protocol, response = connection.protocol, None
    if protocol is None:
        raise aiohttp.ServerDisconnectedError
    try:
        protocol.set_response_params(
            read_until_eof=True,
            read_timeout=patience.sock_read,
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        )
        response = await request.send(connection)
        return await response.start(connection)
    except BaseException:
        if response is not None:
            response.close()
        connection.close()
        raise


@lru_cache(maxsize=256)
def _url(text: str) -> URL:
    return URL(text)


def _host(call: UpstreamCall) -> str:
    return urlsplit(call.url).hostname or ""


def _patience(stall: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=stall)


def _reason(cause: OSError) -> str:
    return cause.strerror or type(cause).__name__


def _failure_of(cause: BaseException, host: str) -> Failure:
    """The library's exception in our words. The message names the host, never the URL's query."""
    match cause:
        case aiohttp.ClientHttpProxyError():
            text = f"the outbound proxy refused the connection to {host} (HTTP {cause.status})"
            return Failure(FailureKind.NETWORK, text)
        case aiohttp.ClientProxyConnectionError():
            place = f"{cause.host}:{cause.port}"
            text = f"no connection to the outbound proxy {place}: {_reason(cause)}"
            return Failure(FailureKind.NETWORK, text)
        case aiohttp.ServerTimeoutError() | TimeoutError():
            if "connect" in str(cause).lower():
                return Failure(FailureKind.NETWORK, f"{host} did not accept a connection in time")
            return Failure(FailureKind.SLOW, f"{host} stayed silent for too long")
        case aiohttp.ClientConnectorCertificateError():
            refusal = trust.not_trusted(host, cause.certificate_error)
            return Failure(FailureKind.UNTRUSTED, str(refusal))
        case aiohttp.ClientConnectorSSLError():
            return Failure(FailureKind.NETWORK, f"no TLS with {host}: {trust.why(cause.os_error)}")
        case ssl.SSLError():
            return Failure(FailureKind.NETWORK, f"TLS with {host} broke: {trust.why(cause)}")
        case aiohttp.ClientConnectorError() | OSError():
            return Failure(FailureKind.NETWORK, f"no connection to {host}: {_reason(cause)}")
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return Failure(FailureKind.UPSTREAM, f"{host} cut its answer off")
        case _:
            text = f"{host} sent something that is not HTTP ({type(cause).__name__})"
            return Failure(FailureKind.UPSTREAM, text)
