"""The real `openai` SDK reads our bytes over a socket: streams, whole answers, errors."""

import json
from collections.abc import AsyncIterator, Callable

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcp_proxy.conversation import Media
from mcp_proxy.dialects import ReplyFrame, client_dialect
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
    fold,
)

CLIENT = client_dialect("openai_chat")
HELLO = [{"role": "user", "content": "hi"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "clock")
]
EVENTS: list[Event] = [
    Started(),
    PartOpened(0, PartKind.THINKING),
    ThinkingDelta(0, "let me "),
    ThinkingDelta(0, "see"),
    PartClosed(0),
    PartOpened(1, PartKind.TEXT),
    TextDelta(1, "Looking ☃ "),
    TextDelta(1, "up"),
    PartClosed(1),
    PartOpened(2, PartKind.MEDIA, whole=Media("image/png", "AAAA")),
    PartClosed(2),
    PartOpened(3, PartKind.TOOL_CALL, "call_a", "weather"),
    ArgumentsDelta(3, '{"city":'),
    ArgumentsDelta(3, '"Paris"}'),
    PartClosed(3),
    PartOpened(4, PartKind.TOOL_CALL, "call_b", "clock"),
    PartClosed(4),
    UsageSeen(Usage(input=7, output=5, thinking=2, cache_read=3)),
    Finished(Stop.TOOL_CALL),
]
BROKEN = ProxyError(ErrorKind.UPSTREAM, "the upstream broke")

Script = Callable[[ReplyFrame], web.Response]


def answer(frame: ReplyFrame) -> web.Response:
    """The events above, as a stream or whole, as asked."""
    if not frame.conversation.wants_stream:
        return web.json_response(CLIENT.render_reply(fold(EVENTS), frame))
    renderer = CLIENT.stream_renderer(frame)
    wire = CLIENT.keep_alive + b"".join(renderer.render([event]) for event in EVENTS)
    return web.Response(body=wire, content_type="text/event-stream")


def break_in_the_middle(frame: ReplyFrame) -> web.Response:
    renderer = CLIENT.stream_renderer(frame)
    wire = renderer.render(EVENTS[:8]) + renderer.fail(BROKEN, "req_1")
    return web.Response(body=wire, content_type="text/event-stream")


def refuse(kind: ErrorKind) -> Script:
    def script(_: ReplyFrame) -> web.Response:
        error = CLIENT.render_error(ProxyError(kind, "no"), "req_1")
        return web.json_response(error.body, status=error.status, headers=error.headers)

    return script


class Upstream:
    """A server that parses what the SDK sends and answers by script."""

    def __init__(self) -> None:
        self.script: Script = answer
        self.requests = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        conversation = CLIENT.parse_request(json.loads(await request.read()), request.headers)
        return self.script(ReplyFrame("ab" * 12, conversation.model, 1, 9, conversation))


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def sdk(upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.handle)
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


async def test_sdk_accumulates_the_stream_to_the_whole_answer(sdk):
    async with sdk.chat.completions.stream(
        model="m", messages=HELLO, tools=TOOLS, stream_options={"include_usage": True}
    ) as stream:
        async for _ in stream:
            pass
        streamed = await stream.get_final_completion()
    answered = await sdk.chat.completions.create(model="m", messages=HELLO, tools=TOOLS)

    assert streamed.id == answered.id == "chatcmpl-" + "ab" * 12
    assert streamed.usage == answered.usage
    (one,), (other,) = streamed.choices, answered.choices
    assert one.finish_reason == other.finish_reason == "tool_calls"
    assert one.message.content == other.message.content == "Looking ☃ up"
    assert one.message.reasoning_content == other.message.reasoning_content == "let me see"
    assert one.message.images == other.message.images
    assert calls_of(one) == calls_of(other)
    assert calls_of(other) == [
        ("call_a", "function", "weather", '{"city":"Paris"}'),
        ("call_b", "function", "clock", "{}"),
    ]


def calls_of(choice):
    return [
        (call.id, call.type, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls
    ]


async def test_sdk_sees_usage_once_and_only_when_it_asked(sdk):
    plain = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert [chunk async for chunk in plain if chunk.usage or not chunk.choices] == []
    counted = await sdk.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    (usage,) = [chunk.usage async for chunk in counted if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details.reasoning_tokens == 2


async def test_sdk_raises_on_a_failure_inside_the_stream(sdk, upstream):
    upstream.script = break_in_the_middle
    stream = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="the upstream broke"):
        await texts_of(stream)


async def texts_of(stream):
    return [chunk.choices[0].delta.content async for chunk in stream]


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        (ErrorKind.BAD_REQUEST, openai.BadRequestError),
        (ErrorKind.UNAUTHENTICATED, openai.AuthenticationError),
        (ErrorKind.FORBIDDEN, openai.PermissionDeniedError),
        (ErrorKind.UNKNOWN_MODEL, openai.NotFoundError),
        (ErrorKind.LIMITED, openai.RateLimitError),
        (ErrorKind.NO_ACCOUNT, openai.InternalServerError),
    ],
)
async def test_sdk_raises_its_own_exception_for_each_error(sdk, upstream, kind, raised):
    upstream.script = refuse(kind)
    with pytest.raises(raised, match="no"):
        await sdk.chat.completions.create(model="m", messages=HELLO)


async def test_sdk_does_not_repeat_what_no_retry_can_mend(sdk, upstream):
    upstream.script = refuse(ErrorKind.NO_ACCOUNT)
    with pytest.raises(openai.InternalServerError):
        await sdk.with_options(max_retries=2).chat.completions.create(model="m", messages=HELLO)
    assert upstream.requests == 1
