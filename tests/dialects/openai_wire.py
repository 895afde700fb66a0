"""The real `openai` SDK against a server that reads and answers with one of our dialects."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import openai
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcp_proxy.dialects import ClientDialect, ReplyFrame
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import Event, fold

Script = Callable[[ReplyFrame], web.Response]


class Upstream:
    """Parses what the SDK sends and answers by script."""

    def __init__(self, dialect: ClientDialect, events: list[Event]) -> None:
        self.dialect = dialect
        self.script = self.answer_with(events)
        self.asked: list[ReplyFrame] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        conversation = self.dialect.parse_request(body, request.headers)
        frame = ReplyFrame("ab" * 12, conversation.model, 1, lambda: 9, conversation)
        self.asked.append(frame)
        return self.script(frame)

    def answer_with(self, events: list[Event]) -> Script:
        """These events, as a stream or whole, as asked."""

        def script(frame: ReplyFrame) -> web.Response:
            if not frame.conversation.wants_stream:
                return web.json_response(self.dialect.render_reply(fold(events), frame))
            renderer = self.dialect.stream_renderer(frame)
            wire = self.dialect.keep_alive + b"".join(renderer.render([each]) for each in events)
            return web.Response(body=wire, headers={"content-type": renderer.content_type})

        return script

    def break_after(self, events: list[Event]) -> Script:
        def script(frame: ReplyFrame) -> web.Response:
            renderer = self.dialect.stream_renderer(frame)
            broken = ProxyError(ErrorKind.UPSTREAM, "the upstream broke")
            wire = renderer.render(events) + renderer.fail(broken, "req_1")
            return web.Response(body=wire, headers={"content-type": renderer.content_type})

        return script

    def refuse(self, kind: ErrorKind) -> Script:
        def script(_: ReplyFrame) -> web.Response:
            error = self.dialect.render_error(ProxyError(kind, "no"), "req_1")
            return web.json_response(error.body, status=error.status, headers=error.headers)

        return script


@asynccontextmanager
async def sdk_against(upstream: Upstream, path: str) -> AsyncIterator[openai.AsyncOpenAI]:
    app = web.Application()
    app.router.add_post(path, upstream.handle)
    async with (
        TestServer(app) as server,
        openai.AsyncOpenAI(
            api_key="x",
            base_url=str(server.make_url("/v1")),
            max_retries=0,
            _strict_response_validation=True,
        ) as client,
    ):
        yield client


SDK_EXCEPTIONS = [
    (ErrorKind.BAD_REQUEST, openai.BadRequestError),
    (ErrorKind.UNAUTHENTICATED, openai.AuthenticationError),
    (ErrorKind.FORBIDDEN, openai.PermissionDeniedError),
    (ErrorKind.UNKNOWN_MODEL, openai.NotFoundError),
    (ErrorKind.LIMITED, openai.RateLimitError),
    (ErrorKind.NO_ACCOUNT, openai.InternalServerError),
]
