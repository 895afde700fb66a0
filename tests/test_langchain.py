"""LangChain's chat models over every upstream dialect, forwarded where both are the same.

Its packages wrap the SDKs that test_pairs.py drives, but ask differently: structured output is a
forced tool to some, an answer's schema to others, and a tool loop is written in LangChain's own
messages. Skipped one by one where a package is not installed.
"""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from placed import Placed, placed
from pydantic import BaseModel
from talkers import PNG
from test_pairs import UPSTREAMS

messages = pytest.importorskip("langchain_core.messages", reason="langchain is not installed")
tools = pytest.importorskip("langchain_core.tools", reason="langchain is not installed")


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    mood: Literal["good", "bad"]


@tools.tool
def get_weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"{city}: 18C and sunny for {days} days"


@tools.tool
def read_file(path: str) -> str:
    """The content of a file."""
    raise FileNotFoundError(path)


PATIENCE = itertools.count(30)
"""Seconds; never the same twice. LangChain keeps connections for good by address and timeout, and
the port of an earlier test may come again."""


def chat_anthropic(url: str, model: str, **fields: Any) -> Any:
    package = pytest.importorskip("langchain_anthropic")
    fields = {"max_tokens": 8000, "timeout": next(PATIENCE), **fields}
    return package.ChatAnthropic(model=model, base_url=url, api_key="x", max_retries=0, **fields)


def chat_openai(url: str, model: str, **fields: Any) -> Any:
    package = pytest.importorskip("langchain_openai")
    fields = {"use_responses_api": False, "stream_usage": True, **fields}
    fields["timeout"] = next(PATIENCE)
    return package.ChatOpenAI(
        model=model, base_url=f"{url}/v1", api_key="x", max_retries=0, **fields
    )


def openai_responses(url: str, model: str, **fields: Any) -> Any:
    return chat_openai(url, model, use_responses_api=True, **fields)


def google_genai(url: str, model: str, **fields: Any) -> Any:
    package = pytest.importorskip("langchain_google_genai")
    return package.ChatGoogleGenerativeAI(
        model=model, base_url=url, api_key="x", max_retries=0, **fields
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of LangChain's chat models."""

    make: Callable[..., Any]
    close: Callable[[Any], Awaitable[None]]
    thinking: dict[str, Any]
    """The fields that make it think."""


KINDS = {
    "anthropic": Kind(
        chat_anthropic,
        lambda chat: chat._async_client.close(),
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    "openai_chat": Kind(
        chat_openai, lambda chat: chat.root_async_client.close(), {"reasoning_effort": "low"}
    ),
    "openai_responses": Kind(
        openai_responses,
        lambda chat: chat.root_async_client.close(),
        {
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        },
    ),
    "gemini": Kind(
        google_genai,
        lambda chat: chat.client.aio.aclose(),
        {"include_thoughts": True, "thinking_budget": 2048},
    ),
}
PAIRS = [pytest.param((api, up), id=f"{api}-over-{up}") for api in KINDS for up in UPSTREAMS]
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
GREETING = "Grüße, 世界 🦊 — done"


@dataclass(slots=True)
class Pair:
    """A kind of chat model, and the upstream it ends at."""

    kind: Kind
    model: str
    rig: Placed
    made: list[Any] = field(default_factory=list)

    def chat(self, *, thinks: bool = False) -> Any:
        fields = self.kind.thinking if thinks else {}
        self.made.append(self.kind.make(self.rig.url, self.model, **fields))
        return self.made[-1]

    async def close(self) -> None:
        for chat in self.made:
            await self.kind.close(chat)


@pytest.fixture(params=PAIRS)
async def pair(request, tmp_path):
    api, upstream = request.param
    provider, model = UPSTREAMS[upstream]
    async with placed(tmp_path, provider) as rig:
        pair = Pair(KINDS[api], model, rig)
        yield pair
        await pair.close()


@pytest.fixture
def chat(pair):
    return pair.chat()


async def test_an_answer_is_the_same_whole_and_streamed(chat):
    asked = [messages.SystemMessage("Be brief."), messages.HumanMessage(f"say {GREETING}")]
    whole = await chat.ainvoke(asked)
    assert whole.text == GREETING
    assert whole.usage_metadata["input_tokens"] > 0
    pieces = [piece async for piece in chat.astream(asked)]
    assert len(pieces) > 1
    joined = sum(pieces[1:], pieces[0])
    assert joined.text == GREETING
    assert joined.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


@BOTH_WAYS
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
async def test_a_tool_loop_in_langchains_messages_goes_there_and_back(pair, thinks, stream):
    bound = pair.chat(thinks=thinks).bind_tools([get_weather])
    history = [messages.HumanMessage("weather in Oslo please")]
    history.append(await said(bound, history, stream=stream))
    (call,) = history[-1].tool_calls
    assert call["name"] == "get_weather"
    assert call["args"]["city"] == "Oslo"
    history.append(await get_weather.ainvoke(call))
    final = await said(bound, history, stream=stream)
    assert "18C and sunny" in final.text
    assert not final.tool_calls


@BOTH_WAYS
async def test_parallel_calls_of_which_one_failed_are_answered_together(chat, stream):
    bound = chat.bind_tools([get_weather, read_file])
    history = [messages.HumanMessage("call get_weather and read_file, both")]
    history.append(await said(bound, history, stream=stream))
    weather, read = history[-1].tool_calls
    history += [
        await get_weather.ainvoke(weather),
        messages.ToolMessage("no such file", tool_call_id=read["id"], status="error"),
    ]
    final = await said(bound, history, stream=stream)
    assert "18C and sunny" in final.text
    assert "no such file" in final.text


async def test_an_image_in_langchains_own_form_arrives(pair):
    picture = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    content = [{"type": "text", "text": "say seen"}, picture]
    answer = await pair.chat().ainvoke([messages.HumanMessage(content)])
    assert answer.text == "seen"
    sent = pair.rig.generations[-1].raw.decode()
    assert PNG in sent.replace("-", "+").replace("_", "/"), "Gemini's clients write it URL-safe"


async def test_structured_output_is_what_was_asked_for(chat):
    found = await chat.with_structured_output(Person).ainvoke("a person")
    assert isinstance(found, Person)


async def test_structured_output_by_a_forced_tool_is_what_was_asked_for(chat):
    asking = chat.with_structured_output(Person, method="function_calling")
    assert isinstance(await asking.ainvoke("a person"), Person)


async def said(chat: Any, history: list[Any], *, stream: bool) -> Any:
    if not stream:
        return await chat.ainvoke(history)
    pieces = [piece async for piece in chat.astream(history)]
    return sum(pieces[1:], pieces[0])
