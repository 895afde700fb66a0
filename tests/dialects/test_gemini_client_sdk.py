"""The real google-genai SDK reads our bytes over a socket: streams, whole answers, chats, errors.

Its warning is about how it uses its HTTP library."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google import genai
from google.genai import errors, types

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Seal,
    SearchHit,
    Text,
    ToolCall,
    ToolResult,
    WebSearch,
)
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
from mcp_proxy.model import Family, ModelInfo, ThinkingSpec
from mcp_proxy.server import gemini

pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)

CLIENT = client_dialect("gemini")
SEARCHED = WebSearch(("weather",), (SearchHit("https://a.org", "A"),))
THOUGHT: list[Event] = [
    PartOpened(0, PartKind.THINKING),
    ThinkingDelta(0, "let me "),
    ThinkingDelta(0, "see"),
    PartClosed(0, Seal("gpt", "gAAAAAB-_x|no base64")),
]
ANSWER: list[Event] = [
    Started(),
    *THOUGHT,
    PartOpened(1, PartKind.SEARCH, whole=SEARCHED),
    PartClosed(1),
    PartOpened(2, PartKind.TEXT),
    TextDelta(2, "Sunny ☃ "),
    TextDelta(2, "today"),
    PartClosed(2),
    PartOpened(3, PartKind.MEDIA, whole=Media("image/png", "AAAA")),
    PartClosed(3),
    UsageSeen(Usage(input=7, output=5, thinking=2, cache_read=3)),
    Finished(Stop.END),
]
CALLS: list[Event] = [
    Started(),
    *THOUGHT,
    PartOpened(1, PartKind.TOOL_CALL, "call_a", "weather"),
    ArgumentsDelta(1, '{"city":'),
    ArgumentsDelta(1, '"Paris"}'),
    PartClosed(1, Seal("gemini", "c2lnL+8/")),
    PartOpened(2, PartKind.TOOL_CALL, "call_b", "weather"),
    ArgumentsDelta(2, '{"city":"Rome"}'),
    PartClosed(2),
    UsageSeen(Usage(input=7, output=5)),
    Finished(Stop.TOOL_CALL),
]
BROKEN = ProxyError(ErrorKind.UPSTREAM, "the upstream broke")
MODEL = ModelInfo("gemini-2.5-pro", Family.GEMINI, "Gemini 2.5 Pro", 1000, 100, ThinkingSpec())

Script = Callable[[ReplyFrame], web.Response]


def answering(events: list[Event]) -> Script:
    """The events as a stream or whole, as asked."""

    def script(frame: ReplyFrame) -> web.Response:
        if not frame.conversation.wants_stream:
            return web.json_response(CLIENT.render_reply(fold(events), frame))
        renderer = CLIENT.stream_renderer(frame)
        records = [renderer.render([event]) + CLIENT.keep_alive for event in events]
        return _streamed(b"".join(records), renderer.content_type)

    return script


def break_in_the_middle(frame: ReplyFrame) -> web.Response:
    renderer = CLIENT.stream_renderer(frame)
    wire = renderer.render(ANSWER[:8]) + renderer.fail(BROKEN, "req_1")
    return _streamed(wire, renderer.content_type)


def _streamed(wire: bytes, content_type: str) -> web.Response:
    return web.Response(body=wire, headers={"Content-Type": content_type})


def refuse(kind: ErrorKind) -> Script:
    def script(_: ReplyFrame) -> web.Response:
        error = CLIENT.render_error(ProxyError(kind, "no"), "req_1")
        return web.json_response(error.body, status=error.status, headers=error.headers)

    return script


class Upstream:
    """A server that parses what the SDK sends and answers by script."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.seen: list[Conversation] = []

    async def act(self, request: web.Request) -> web.Response:
        target, action = gemini.target_of(request.path, request.query)
        body = json.loads(await request.read())
        if action == gemini.COUNT:
            counted = CLIENT.parse_count_request(body, request.headers, target)
            return web.json_response({"totalTokens": len(counted.identity())})
        conversation = CLIENT.parse_request(body, request.headers, target)
        self.seen.append(conversation)
        script = self.scripts.pop(0) if self.scripts else answering(ANSWER)
        return script(ReplyFrame("ab" * 12, conversation.model, 1, lambda: 9, conversation))

    async def list(self, request: web.Request) -> web.Response:
        rows = [gemini.model_row(name, MODEL, []) for name in ("gemini-2.5-pro", "a/b", "c")]
        return web.json_response(gemini.page_of(rows, request.query))


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def sdk(upstream: Upstream) -> AsyncIterator[Any]:
    app = web.Application()
    app.router.add_get("/{version}/models", upstream.list)
    app.router.add_post("/{version}/models/{action:.+}", upstream.act)
    async with TestServer(app) as server:
        options = types.HttpOptions(base_url=str(server.make_url("/")))
        async with genai.Client(api_key="x", http_options=options).aio as client:
            yield client


SHOWING = types.GenerateContentConfig(
    thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
)


async def test_sdk_reads_the_stream_and_the_whole_answer_alike(sdk):
    asked = {"model": "gemini-2.5-pro", "contents": "hi", "config": SHOWING}
    chunks = [chunk async for chunk in await sdk.models.generate_content_stream(**asked)]
    answer = await sdk.models.generate_content(**asked)

    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.text and not part.thought) == answer.text
    assert answer.text == "Sunny ☃ today"
    assert "".join(part.text for part in parts if part.thought) == "let me see"
    whole = answer.candidates[0].content.parts
    assert (whole[0].text, whole[0].thought) == ("let me see", True)
    assert [part.inline_data for part in parts if part.inline_data] == [whole[2].inline_data]
    assert whole[2].inline_data.data == b"\x00\x00\x00"
    assert chunks[-1].candidates[0].finish_reason == answer.candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata == answer.usage_metadata
    assert answer.usage_metadata.prompt_token_count == 10
    assert answer.usage_metadata.candidates_token_count == 3
    assert answer.usage_metadata.thoughts_token_count == 2
    assert answer.usage_metadata.cached_content_token_count == 3
    assert answer.usage_metadata.total_token_count == 15
    grounding = answer.candidates[0].grounding_metadata
    assert grounding.web_search_queries == ["weather"]
    assert grounding.grounding_chunks[0].web.uri == "https://a.org"
    assert chunks[-1].candidates[0].grounding_metadata == grounding
    assert {chunk.response_id for chunk in chunks} == {"ab" * 12}


async def test_sdk_returns_calls_results_and_signatures_as_it_was_given_them(sdk, upstream):
    def weather(city: str) -> str:
        """Tells the weather."""
        return f"{city}: sunny"

    upstream.scripts = [answering(CALLS)]
    config = types.GenerateContentConfig(
        tools=[weather], thinking_config=types.ThinkingConfig(include_thoughts=True)
    )
    answer = await sdk.models.generate_content(model="m", contents="hi", config=config)

    assert answer.text == "Sunny ☃ today"
    first, second = upstream.seen
    assert [tool.name for tool in first.tools] == ["weather"]
    assert first.tools[0].schema["properties"]["city"]["type"] == "string"
    calling, results = second.messages[1:]
    thought, one, other = calling.parts
    assert thought.seal == Seal("", "gAAAAAB-_x|no base64")
    assert one == ToolCall("call_a", "weather", '{"city":"Paris"}', Seal("", "c2lnL+8/"))
    assert other == ToolCall("call_b", "weather", '{"city":"Rome"}')
    assert results.parts == (
        ToolResult("call_a", (Text("Paris: sunny"),), name="weather"),
        ToolResult("call_b", (Text("Rome: sunny"),), name="weather"),
    )


async def test_sdk_keeps_a_streamed_turn_in_the_history_of_its_chat(sdk, upstream):
    chat = sdk.chats.create(model="m", config=SHOWING)
    async for _ in await chat.send_message_stream("hi"):
        pass
    await chat.send_message("again")

    asked, told, again = upstream.seen[-1].messages
    assert asked == Message("user", (Text("hi"),))
    assert again == Message("user", (Text("again"),))
    assert told.role == "assistant"
    thought, text, picture = told.parts
    assert (thought.text, thought.seal) == ("let me see", Seal("", "gAAAAAB-_x|no base64"))
    assert text == Text("Sunny ☃ today")
    assert picture == Media("image/png", "AAAA")


async def test_sdk_sends_pictures_that_we_read(sdk, upstream):
    picture = types.Part.from_bytes(data=bytes(range(250, 256)), mime_type="image/png")
    await sdk.models.generate_content(model="m", contents=[picture, "what is it?"])
    (message,) = upstream.seen[-1].messages
    assert message.parts == (Media("image/png", "+vv8/f7/"), Text("what is it?"))


async def test_sdk_raises_on_a_failure_inside_the_stream(sdk, upstream):
    upstream.scripts = [break_in_the_middle]
    stream = await sdk.models.generate_content_stream(model="m", contents="hi")
    with pytest.raises(errors.ServerError, match="the upstream broke") as caught:
        [chunk async for chunk in stream]
    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")


async def test_sdk_sees_a_refusal_as_a_blocked_prompt(sdk, upstream):
    upstream.scripts = [answering([Started(), UsageSeen(Usage(1, 1)), Finished(Stop.REFUSAL)])]
    answer = await sdk.models.generate_content(model="m", contents="hi")
    assert answer.candidates is None
    assert answer.prompt_feedback.block_reason == "SAFETY"


@pytest.mark.parametrize(
    ("kind", "raised", "status"),
    [
        (ErrorKind.BAD_REQUEST, errors.ClientError, "INVALID_ARGUMENT"),
        (ErrorKind.UNAUTHENTICATED, errors.ClientError, "UNAUTHENTICATED"),
        (ErrorKind.UNKNOWN_MODEL, errors.ClientError, "NOT_FOUND"),
        (ErrorKind.LIMITED, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (ErrorKind.NO_ACCOUNT, errors.ServerError, "UNAVAILABLE"),
        (ErrorKind.SLOW, errors.ServerError, "DEADLINE_EXCEEDED"),
    ],
)
async def test_sdk_raises_its_own_exception_for_each_error(sdk, upstream, kind, raised, status):
    upstream.scripts = [refuse(kind)]
    with pytest.raises(raised, match="no") as caught:
        await sdk.models.generate_content(model="m", contents="hi")
    assert caught.value.status == status


async def test_sdk_counts_tokens(sdk):
    counted = await sdk.models.count_tokens(model="m", contents="four")
    assert counted.total_tokens == 4


async def test_sdk_lists_models_page_by_page(sdk):
    pager = await sdk.models.list(config={"page_size": 2})
    models = [model async for model in pager]
    assert [model.name for model in models] == ["models/gemini-2.5-pro", "models/a/b", "models/c"]
    assert models[0].display_name == "Gemini 2.5 Pro"
    assert (models[0].input_token_limit, models[0].output_token_limit) == (1000, 100)
    assert "generateContent" in models[0].supported_actions
