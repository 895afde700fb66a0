"""Building HTTP answers: ids, JSON bodies, errors in the caller's dialect, request bodies."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from aiohttp import HttpVersion11, web

from mcp_proxy.dialects import client_dialect
from mcp_proxy.engine.outcome import Outcome
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError
from mcp_proxy.strict_json import encode, nests_too_deeply
from mcp_proxy.values import stateful

log = logging.getLogger(__name__)


@stateful
class Call:
    """One HTTP request while it is being answered."""

    request: web.BaseRequest
    path: str
    dialect: str
    """In which errors are answered."""
    id: str
    extra_headers: Mapping[str, str]
    """CORS headers, when the caller's origin is allowed."""
    started: float = field(default_factory=time.perf_counter)
    model: str = "-"
    status: int = 0
    outcome: Outcome | None = None
    error: ProxyError | None = None
    allowed: str = ""
    """Methods of the path, when it was called with another one."""

    def headers(self) -> dict[str, str]:
        """Headers that every answer carries."""
        headers = {
            "request-id": self.id,
            "x-mcproxy-request-id": self.id,
            "Server": "mcproxy",
            **self.extra_headers,
        }
        if self.dialect.startswith("openai"):
            headers["x-request-id"] = self.id  # the name that OpenAI's clients know
        return headers


def json_answer(
    call: Call, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    call.status = status
    return web.Response(
        body=encode(body),
        status=status,
        content_type="application/json",
        headers={**call.headers(), **(headers or {})},
    )


def raw_answer(call: Call, body: bytes, *, headers: Mapping[str, str]) -> web.Response:
    """JSON that another server wrote."""
    call.status = 200
    return web.Response(
        body=body,
        content_type="application/json",
        headers={**call.headers(), **headers},
    )


def text_answer(call: Call, text: str) -> web.Response:
    call.status = 200
    return web.Response(text=text, content_type="text/plain", headers=call.headers())


def error_answer(call: Call, error: ProxyError) -> web.Response:
    """The error as the dialect of the called path has it."""
    reply = client_dialect(call.dialect).render_error(error, call.id)
    answer = json_answer(call, reply.body, status=reply.status, headers=reply.headers)
    if call.allowed:
        answer.headers["Allow"] = call.allowed
    if error.kind in (ErrorKind.TOO_LARGE, ErrorKind.MEDIA_TYPE):
        # The body was not read: the connection cannot carry another request.
        answer.force_close()
    return answer


def unforeseen(call: Call, cause: Exception) -> ProxyError:
    """What a client is told of an exception that nobody has caught."""
    if nests_too_deeply(cause):
        return ProxyError(ErrorKind.UPSTREAM, "the upstream's answer nests too deeply for JSON")
    # A fault of this program: the client gets the id under which the log has the trace.
    log.error("request %s failed inside mcproxy", call.id, exc_info=cause)
    return ProxyError(ErrorKind.INTERNAL, f"internal error; see the log for {call.id}")


async def read_body(request: web.BaseRequest, *, limit: int, timeout: float) -> bytes:
    """The request's body. ProxyError when it is too large, not JSON, or too slow to arrive."""
    _check_kind(request)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    content = request.content
    if content.is_eof():
        body = content.read_nowait()
        if len(body) > limit:
            raise _too_large(limit)
        return body
    chunks: list[bytes] = []
    left = limit
    _invite(request)
    try:
        async with asyncio.timeout(timeout):
            while chunk := await content.readany():
                chunks.append(chunk)
                left -= len(chunk)
                if left < 0:
                    raise _too_large(limit)
    except TimeoutError as cause:
        raise BadRequest(f"the body did not arrive within {timeout:g} s") from cause
    return b"".join(chunks)


_JSON: Final = "application/json"

_UNNAMED: Final = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})
"""What curl and the libraries of several languages say of bytes that nobody has given a type."""


def _check_kind(request: web.BaseRequest) -> None:
    """Refuses what is declared to be no JSON in UTF-8 (faults.md T2, 89, 90)."""
    headers = request.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProxyError(ErrorKind.MEDIA_TYPE, "compressed request bodies are not taken")
    if headers.get("Content-Type", _JSON) == _JSON:
        return
    kind, charset = request.content_type, request.charset
    if kind not in _UNNAMED and kind != _JSON and not kind.endswith("+json"):
        raise ProxyError(
            ErrorKind.MEDIA_TYPE, f"a body of the type {kind:.64} is not taken; send {_JSON}"
        )
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ProxyError(ErrorKind.MEDIA_TYPE, f"JSON in {charset:.64} is not taken; send UTF-8")


def _invite(request: web.BaseRequest) -> None:
    """Tells a client that waits for it to send the body (RFC 9110, 10.1.1); curl waits a second."""
    expected = request.headers.get("Expect", "").lower() == "100-continue"
    if expected and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(limit: int) -> ProxyError:
    return ProxyError(ErrorKind.TOO_LARGE, f"the body exceeds {limit} bytes")
