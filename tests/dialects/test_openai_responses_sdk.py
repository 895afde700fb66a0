"""The real `openai` SDK reads our bytes over a socket: streams, whole and parsed ones, errors."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest
from openai_wire import SDK_EXCEPTIONS, Upstream, sdk_against

from mcp_proxy.conversation import Media, Seal, SearchHit, Thinking, WebSearch
from mcp_proxy.dialects import client_dialect
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

ASKED: dict[str, Any] = {
    "model": "m",
    "input": "hi",
    "reasoning": {"effort": "low", "summary": "auto"},
    "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "patch"},
    ],
}
EVENTS: list[Event] = [
    Started(),
    PartOpened(0, PartKind.THINKING),
    ThinkingDelta(0, "let me "),
    ThinkingDelta(0, "see"),
    PartClosed(0, Seal("gpt", "sealed")),
    PartOpened(1, PartKind.SEARCH, whole=WebSearch(("q",), (SearchHit("https://x.test", "X"),))),
    PartClosed(1),
    PartOpened(2, PartKind.TEXT),
    TextDelta(2, "Looking ☃ "),
    TextDelta(2, "up"),
    PartClosed(2),
    PartOpened(3, PartKind.MEDIA, whole=Media("image/png", "AAAA")),
    PartClosed(3),
    PartOpened(4, PartKind.TOOL_CALL, "call_a", "weather"),
    ArgumentsDelta(4, '{"city":'),
    ArgumentsDelta(4, '"Paris"}'),
    PartClosed(4),
    PartOpened(5, PartKind.TOOL_CALL, "call_b", "patch"),
    ArgumentsDelta(5, '{"input":"*** Begin"}'),
    PartClosed(5),
    UsageSeen(Usage(input=7, output=5, thinking=2, cache_read=3)),
    Finished(Stop.TOOL_CALL),
]
JSON_EVENTS: list[Event] = [
    Started(),
    PartOpened(0, PartKind.TEXT),
    TextDelta(0, '{"greeting":'),
    TextDelta(0, '"hello"}'),
    PartClosed(0),
    UsageSeen(Usage(input=1, output=1)),
    Finished(Stop.END),
]


class Out(pydantic.BaseModel):
    greeting: str


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(client_dialect("openai_responses"), EVENTS)


@pytest.fixture
async def sdk(upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_against(upstream, "/v1/responses") as client:
        yield client


async def test_sdk_accumulates_the_stream_to_the_whole_answer(sdk):
    async with sdk.responses.stream(**ASKED) as stream:
        seen = [event.type async for event in stream]
        streamed = await stream.get_final_response()
    answered = await sdk.responses.create(**ASKED)

    assert seen[-1] == "response.completed"
    assert streamed.output_text == answered.output_text == "Looking ☃ up"
    assert [item.type for item in answered.output] == [
        "reasoning",
        "web_search_call",
        "message",
        "image_generation_call",
        "function_call",
        "custom_tool_call",
    ]
    theirs, ours = streamed.to_dict(), answered.to_dict()
    for item in theirs["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    assert theirs == ours


async def test_sdk_reads_every_kind_of_item(sdk):
    answered = await sdk.responses.create(**ASKED)
    reasoning, searched, message, image, function, custom = answered.output
    assert (reasoning.summary[0].text, reasoning.encrypted_content) == ("let me see", "sealed")
    assert searched.action.queries == ["q"]
    (cited,) = message.content[0].annotations
    assert (cited.url, cited.title) == ("https://x.test", "X")
    assert image.result == "AAAA"
    assert (function.call_id, function.arguments) == ("call_a", '{"city":"Paris"}')
    assert (custom.call_id, custom.input) == ("call_b", "*** Begin")
    assert answered.usage.input_tokens == 10
    assert answered.usage.input_tokens_details.cached_tokens == 3
    assert answered.usage.output_tokens_details.reasoning_tokens == 2


async def test_sdk_sends_an_answer_back_without_loss(sdk, upstream):
    first = await sdk.responses.create(**ASKED)
    results = [
        {"type": "function_call_output", "call_id": "call_a", "output": "18C"},
        {"type": "custom_tool_call_output", "call_id": "call_b", "output": "done"},
    ]
    history = [{"role": "user", "content": "hi"}, *first.output, *results]
    await sdk.responses.create(**{**ASKED, "input": history})

    _, answer, returned = upstream.asked[-1].conversation.messages
    thinking, searched, *rest = answer.parts
    _, _, *sent = fold(EVENTS).parts
    assert thinking == Thinking("let me see", Seal("", "sealed"))
    assert searched.value["type"] == "web_search_call"
    assert rest == sent
    assert [part.call_id for part in returned.parts] == ["call_a", "call_b"]


async def test_sdk_parses_a_structured_answer(sdk, upstream):
    upstream.script = upstream.answer_with(JSON_EVENTS)
    parsed = await sdk.responses.parse(model="m", input="hi", text_format=Out)
    async with sdk.responses.stream(model="m", input="hi", text_format=Out) as stream:
        streamed = await stream.get_final_response()
    assert parsed.output_parsed == streamed.output_parsed == Out(greeting="hello")
    assert upstream.asked[0].conversation.output.name == "Out"


async def test_sdk_sees_a_failure_inside_the_stream(sdk, upstream):
    upstream.script = upstream.break_after(EVENTS[:9])
    stream = await sdk.responses.create(**ASKED, stream=True)
    *_, last = [event async for event in stream]
    assert last.type == "response.failed"
    assert last.response.error.message == "the upstream broke"


@pytest.mark.parametrize(("kind", "raised"), SDK_EXCEPTIONS)
async def test_sdk_raises_its_own_exception_for_each_error(sdk, upstream, kind, raised):
    upstream.script = upstream.refuse(kind)
    with pytest.raises(raised, match="no"):
        await sdk.responses.create(**ASKED)
