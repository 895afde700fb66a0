"""The real `openai` SDK reads our bytes over a socket: streams, whole answers, errors."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai_wire import SDK_EXCEPTIONS, Upstream, sdk_against

from mcp_proxy.conversation import Media
from mcp_proxy.dialects import client_dialect
from mcp_proxy.errors import ErrorKind
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
)

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


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(client_dialect("openai_chat"), EVENTS)


@pytest.fixture
async def sdk(upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_against(upstream, "/v1/chat/completions") as client:
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
    upstream.script = upstream.break_after(EVENTS[:8])
    stream = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="the upstream broke"):
        await texts_of(stream)


async def texts_of(stream):
    return [chunk.choices[0].delta.content async for chunk in stream]


@pytest.mark.parametrize(("kind", "raised"), SDK_EXCEPTIONS)
async def test_sdk_raises_its_own_exception_for_each_error(sdk, upstream, kind, raised):
    upstream.script = upstream.refuse(kind)
    with pytest.raises(raised, match="no"):
        await sdk.chat.completions.create(model="m", messages=HELLO)


async def test_sdk_does_not_repeat_what_no_retry_can_mend(sdk, upstream):
    upstream.script = upstream.refuse(ErrorKind.NO_ACCOUNT)
    with pytest.raises(openai.InternalServerError):
        await sdk.with_options(max_retries=2).chat.completions.create(model="m", messages=HELLO)
    assert len(upstream.asked) == 1
