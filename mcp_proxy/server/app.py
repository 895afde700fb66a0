"""The HTTP server: routes, the checks before them, the log line after them, start and drain."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from types import TracebackType

from aiohttp import web

from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.ids import new_id
from mcp_proxy.server import admin, gemini, generate, health, images, limits, models, responses
from mcp_proxy.server.access import Cors, Door
from mcp_proxy.server.access_log import AccessLog
from mcp_proxy.server.answers import Call, error_answer, unforeseen
from mcp_proxy.server.decisions import Decisions
from mcp_proxy.server.janitor import Janitor
from mcp_proxy.server.metrics import Metrics, scraped
from mcp_proxy.store.settings import ServerSettings, Settings

Handler = Callable[[Runtime, Call], Awaitable[web.StreamResponse]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Handlers by path and method."""

CLIENT_CLOSED = 499
"""Logged as the status of a request whose client went away; never sent."""

IDLE_FAREWELL = 0.05
"""Seconds. The HTTP library waits them out for connections on which nothing happens any more."""

ROUTES: Routes = {
    "/": {"GET": health.probe, "HEAD": health.probe, "POST": health.probe},
    "/health": {"GET": health.health, "HEAD": health.health},
    "/v1/messages": {"POST": generate.generate},
    "/v1/messages/count_tokens": {"POST": generate.count_tokens},
    "/v1/chat/completions": {"POST": generate.generate},
    "/v1/responses": {"POST": generate.generate, "GET": responses.socket},
    "/v1/responses/input_tokens": {"POST": generate.count_tokens},
    "/v1/images/generations": {"POST": images.generate_images},
    "/v1/models": {"GET": models.every},
    "/v1beta/models": {"GET": models.every},
    "/account-limits": {"GET": limits.account_limits},
    "/refresh-token": {"POST": admin.refresh_token},
}

PREFIXES: Routes = {
    **{
        f"/{version}/{place}": {"GET": models.one, "POST": gemini.act}
        for version in ("v1", "v1alpha", "v1beta", "v1beta1")
        for place in ("models/", "publishers/", "projects/")
    },
    "/v1/responses/": {"GET": responses.stored, "DELETE": responses.stored},
    "/api/event_logging/": {"POST": health.probe},
}
"""Paths with a tail; the tail may itself contain slashes."""

SHORT_FORMS = {
    "/messages": "/v1/messages",
    "/messages/count_tokens": "/v1/messages/count_tokens",
    "/chat/completions": "/v1/chat/completions",
    "/models": "/v1/models",
    "/responses": "/v1/responses",
    "/images/generations": "/v1/images/generations",
}
"""What clients call when their base URL lacks the /v1 that their API's other clients add."""

METRICS = "/metrics"
"""Beside the table: its figures are those of one server."""

OPEN_PATHS = frozenset({"/health"})
"""Reachable without a key."""


class Server:
    """One listening server. `async with` starts it and, at the end, lets streams finish."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        host: str,
        port: int,
        reuse_port: bool = False,
    ) -> None:
        self._runtime = runtime
        self._host = host
        self._port = port
        self._reuse_port = reuse_port
        settings = runtime.settings.server
        self._door = _door(host, settings)
        runtime.on_new_settings.append(self._change_door)
        self._metrics = Metrics()
        self._routes: Routes = {**ROUTES, METRICS: {"GET": self._scraped}}
        self._log = AccessLog(Decisions(runtime).keep, self._metrics.count)
        self._busy: dict[asyncio.Task[object], Call] = {}
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._janitor = Janitor(header_timeout=settings.read_timeout)
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=settings.idle_timeout,
            lingering_time=2.0,
            max_line_size=16 * 1024,
            max_field_size=16 * 1024,
        )
        self._listening: list[asyncio.Server] = []

    @property
    def url(self) -> str:
        """Where clients reach it. Only while it is started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def port(self) -> int:
        """The port that it really has; only while it is started."""
        if not self._listening:
            raise RuntimeError("the server is not started")
        port: int = self._listening[0].sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.stop(drain=0.0)

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Opens the runtime and accepts connections, on sockets that listen already if there are
        any. OSError when the address is taken."""
        listen = partial(
            asyncio.get_running_loop().create_server,
            self._janitor.watching(self._server),
            backlog=1024,
            start_serving=False,
        )
        if sockets:
            self._listening = [await listen(sock=each) for each in sockets]
        else:
            reuse_port = self._reuse_port or None
            self._listening = [await listen(self._host, self._port, reuse_port=reuse_port)]
        await self._runtime.start()
        for each in self._listening:
            await each.start_serving()
        self._janitor.start()
        self._log.start()

    async def stop(self, *, drain: float) -> None:
        """Accepts nothing more, lets open answers end for `drain` seconds, then closes."""
        self._draining = True
        for each in self._listening:
            each.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                await self._idle.wait()
        for task in tuple(self._busy):
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=2.0)
        await self._server.shutdown(IDLE_FAREWELL)
        self._janitor.stop()
        self._log.flush()
        await self._runtime.close()

    def _change_door(self, settings: Settings) -> None:
        """Keys and origins count at once; address and time-outs are those of the start."""
        self._door = _door(self._host, settings.server)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._janitor.seen(request.protocol)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are handled in tasks")
        call = self._call(request)
        self._busy[task] = call
        if len(self._busy) == 1:
            self._idle.clear()
        status = CLIENT_CLOSED
        try:
            response = await self._answer(call)
            status = call.status
        except ConnectionError:
            # The client left while it was written to; there is nobody to answer.
            request.protocol.force_close()
            return web.Response(status=CLIENT_CLOSED)
        else:
            return response
        finally:
            del self._busy[task]
            if not self._busy:
                self._idle.set()
            self._log.add(call, status)

    def _call(self, request: web.BaseRequest) -> Call:
        path, dialect = place_of(request.path)
        origin = request.headers.get("Origin")
        return Call(
            request=request,
            path=path,
            dialect=dialect or dialect_of(path, request),
            id=f"req_{new_id()}",
            extra_headers=self._door.cors.headers_for(origin) if origin else {},
        )

    async def _answer(self, call: Call) -> web.StreamResponse:
        try:
            handler = self._admit(call)
            return await handler(self._runtime, call)
        except ProxyError as error:
            call.error = error
            return error_answer(call, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            is_gone = call.request.transport is None
            if not self._draining or call.status or is_gone or task is None:
                raise
            # It was we who ended it, and the client is owed an answer.
            task.uncancel()
            call.error = ProxyError(ErrorKind.OVERLOADED, "mcproxy was stopped", retry_after=5.0)
            return error_answer(call, call.error)
        except ConnectionError:
            raise
        except Exception as cause:  # noqa: BLE001 - the last line of defence
            call.error = unforeseen(call, cause)
            return error_answer(call, call.error)

    def _admit(self, call: Call) -> Handler:
        """The handler of an admissible request. Raises ProxyError for any other."""
        request = call.request
        self._door.check_host(request.headers, request.raw_path)
        if request.method == "OPTIONS":
            return self._preflight
        self._door.check_origin(request.headers)
        if self._door.keys and call.path not in OPEN_PATHS:
            query_key = request.query.get("key") if call.dialect == "gemini" else None
            self._door.check_key(request.headers, query_key)
        self._runtime.loop_guard.check(request.headers)
        if self._draining:
            raise ProxyError(ErrorKind.OVERLOADED, "mcproxy is shutting down", retry_after=5.0)
        methods = self._routes.get(call.path)
        return (methods and methods.get(request.method)) or _routed(call, self._routes)

    async def _scraped(self, runtime: Runtime, call: Call) -> web.StreamResponse:
        self._log.flush()
        # The scrape itself is not counted among those that it counts.
        others = [each for each in self._busy.values() if each is not call]
        return scraped(self._metrics, runtime, call, others)

    async def _preflight(self, _runtime: Runtime, call: Call) -> web.StreamResponse:
        allowed = self._door.cors.preflight_for(call.request.headers.get("Origin"))
        if not allowed:
            raise ProxyError(ErrorKind.FORBIDDEN, "cross-origin requests are not allowed here")
        call.status = 204
        return web.Response(status=204, headers={**call.headers(), **allowed})


def _door(host: str, settings: ServerSettings) -> Door:
    cors = Cors(
        origins=frozenset(settings.cors_origins),
        methods=settings.cors_allow_methods,
        headers=settings.cors_allow_headers,
        max_age=settings.cors_max_age,
    )
    return Door.of(host, settings.api_keys, cors)


def _routed(call: Call, routes: Routes) -> Handler:
    methods = routes.get(call.path)
    if methods is None:
        for prefix, found in PREFIXES.items():
            if call.path.startswith(prefix) and len(call.path) > len(prefix):
                methods = found
                break
        else:
            raise ProxyError(ErrorKind.NOT_FOUND, f"there is nothing at {call.path[:128]}")
    handler = methods.get(call.request.method)
    if handler is None:
        call.allowed = ", ".join(methods)
        raise ProxyError(ErrorKind.METHOD, f"{call.path} takes {call.allowed}")
    return handler


@lru_cache(maxsize=256)
def place_of(path: str) -> tuple[str, str | None]:
    """The path as the route table spells it, and the dialect that answers there, whoever asks."""
    path = _normal(path)
    for dialect, beginnings in _DIALECTS.items():
        if path.startswith(beginnings):
            return path, dialect
    return path, None


def _normal(path: str) -> str:
    """As the route table spells it: clients double slashes and versions."""
    while "//" in path:
        path = path.replace("//", "/")
    if path.startswith("/v1/v1/"):
        path = path[3:]
    if len(path) > 1:
        path = path.rstrip("/") or "/"
    return SHORT_FORMS.get(path, path)


_DIALECTS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("/v1/messages",),
    "gemini": ("/v1alpha/", "/v1beta/", "/v1beta1/", "/v1/projects/", "/v1/publishers/"),
    "openai_responses": ("/v1/responses",),
    "openai_chat": ("/v1/chat/", "/v1/images/"),
}
"""How the paths of each API begin, as far as no other has such."""


def dialect_of(path: str, request: web.BaseRequest) -> str:
    """The dialect that answers on a path that several APIs share, also when that is an error.

    It goes by the client's headers (client-apis.md 0).
    """
    if path.startswith("/v1/models"):
        is_action = request.method == "POST" and ":" in path
        if is_action or models.speaks_gemini(request.headers, request.query):
            return "gemini"
    return "anthropic" if "anthropic-version" in request.headers else "openai_chat"
