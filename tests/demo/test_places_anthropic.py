"""The embedded Anthropic API, driven by the real SDK."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from mcp_proxy.demo.places import Answer, DemoPlaces

OLDER = "claude-opus-4-5-20251101"
NEWER = "claude-opus-5-5"
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as made:
        yield made


@pytest.fixture
async def api(places: DemoPlaces) -> AsyncIterator[anthropic.AsyncAnthropic]:
    account = places.account("anthropic", "ada")
    assert account.credential.api_key is not None
    async with anthropic.AsyncAnthropic(
        api_key=account.credential.api_key.value,
        base_url=places.settings()["anthropic"].base_urls[0],
        max_retries=0,
    ) as made:
        yield made


def asked(text: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": OLDER, "max_tokens": 1024, "messages": messages, **fields}


async def test_text_comes_whole_and_streamed_alike(api: anthropic.AsyncAnthropic) -> None:
    whole = await api.messages.create(**asked("say Good morning, world."))
    async with api.messages.stream(**asked("say Good morning, world.")) as stream:
        final = await stream.get_final_message()
    assert whole.content[0].text == final.content[0].text == "Good morning, world."
    assert whole.stop_reason == final.stop_reason == "end_turn"
    assert whole.usage.output_tokens == final.usage.output_tokens > 0


async def test_a_tool_loop_with_thinking_ends_in_the_quoted_result(
    api: anthropic.AsyncAnthropic,
) -> None:
    first = asked("weather in Oslo, please", tools=[WEATHER], **THINKING)
    async with api.messages.stream(**first) as stream:
        turn = await stream.get_final_message()
    assert [block.type for block in turn.content] == ["thinking", "text", "tool_use"]
    assert turn.stop_reason == "tool_use"
    call = turn.content[-1]
    assert call.input == {"city": "Oslo"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history = [
        *first["messages"],
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in turn.content]},
        {"role": "user", "content": [result]},
    ]
    answer = await api.messages.create(**{**first, "messages": history})
    assert answer.content[-1].text == "The tool answered: “sunny”"
    forged = [dict(block) for block in history[1]["content"]]
    forged[0]["signature"] = "Zm9yZ2Vk"
    history[1] = {"role": "assistant", "content": forged}
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature` in `thinking` block"):
        await api.messages.create(**{**first, "messages": history})


async def test_two_parallel_calls_unless_forbidden(api: anthropic.AsyncAnthropic) -> None:
    prompt = "weather in Oslo and Rome, both in parallel"
    both = await api.messages.create(**asked(prompt, tools=[WEATHER]))
    assert [b.input for b in both.content[1:]] == [{"city": "Oslo"}, {"city": "Rome"}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    one = await api.messages.create(**asked(prompt, tools=[WEATHER], tool_choice=choice))
    assert len(one.content) == 2


async def test_the_search_is_played_as_a_pair_of_blocks(api: anthropic.AsyncAnthropic) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    async with api.messages.stream(**asked("mcproxy", tools=[search])) as stream:
        final = await stream.get_final_message()
    kinds = [block.type for block in final.content]
    assert kinds == ["server_tool_use", "web_search_tool_result", "text"]
    assert final.content[1].tool_use_id == final.content[0].id
    assert final.usage.server_tool_use.web_search_requests == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"invented": 1}, "invented: Extra inputs are not permitted"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "String should match pattern"),
        ({"messages": []}, "at least one message is required"),
        ({"max_tokens": 10**6}, "maximum allowed number of output tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported"),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
        (
            {"messages": [{"role": "user", "content": [{"type": "telepathy"}]}]},
            "Input tag 'telepathy' found using 'type'",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
                    },
                    {"role": "user", "content": "b"},
                ]
            },
            "`tool_use` ids were found without `tool_result` blocks immediately after: t1",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "x"}],
                    }
                ]
            },
            "unexpected `tool_use_id` found in `tool_result` blocks: t9",
        ),
    ],
)
async def test_a_wrong_request_is_refused_in_the_real_words(
    api: anthropic.AsyncAnthropic, fields: dict[str, Any], message: str
) -> None:
    known = asked("hello") | {k: v for k, v in fields.items() if k != "invented"}
    extra = {"invented": 1} if "invented" in fields else None
    with pytest.raises(anthropic.BadRequestError) as caught:
        await api.messages.create(**known, extra_body=extra, timeout=30)
    assert message in caught.value.body["error"]["message"]


async def test_the_newest_version_refuses_sampling_and_the_older_takes_it(
    api: anthropic.AsyncAnthropic,
) -> None:
    warm = {"temperature": 0.5}
    newest = {"anthropic-version": "2026-10-21"}
    older = {"anthropic-version": "2023-06-01"}
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs"):
        await api.messages.create(**asked("hi"), extra_body=warm, extra_headers=newest)
    await api.messages.create(**asked("hi"), extra_body=warm, extra_headers=older)
    with pytest.raises(anthropic.BadRequestError, match="`temperature` is not supported"):
        await api.messages.create(**asked("hi", model=NEWER), extra_body=warm, extra_headers=older)


async def test_wrong_keys_and_models_are_named(
    places: DemoPlaces, api: anthropic.AsyncAnthropic
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        await api.messages.create(**asked("hi", model="claude-none"))
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        await api.with_options(api_key="sk-ant-wrong").messages.create(**asked("hi"))


async def test_a_used_up_window_is_a_429_with_its_reset(
    places: DemoPlaces, api: anthropic.AsyncAnthropic
) -> None:
    places.quota("anthropic").use("tokens", 1.0, resets_at=places.desk.now() + 30, account="ada")
    with pytest.raises(anthropic.RateLimitError) as caught:
        await api.messages.create(**asked("hi"))
    headers = caught.value.response.headers
    assert 28 <= int(headers["retry-after"]) <= 30
    assert headers["anthropic-ratelimit-tokens-remaining"] == "0"


async def test_played_answers_come_first_and_once(
    places: DemoPlaces, api: anthropic.AsyncAnthropic
) -> None:
    places.play("anthropic", Answer(529, {"type": "error", "error": {"type": "x", "message": "y"}}))
    with pytest.raises(anthropic.APIStatusError) as caught:
        await api.messages.create(**asked("hi"))
    assert caught.value.status_code == 529
    assert (await api.messages.create(**asked("say x"))).content[0].text == "x"
    places.play_stream("anthropic", [b"event: error\n", b'data: {"type":"error"}\n\n'])
    with pytest.raises(anthropic.APIError):
        async with api.messages.stream(**asked("hi")) as stream:
            await stream.get_final_message()


async def test_models_and_tokens_are_counted_and_calls_remembered(
    places: DemoPlaces, api: anthropic.AsyncAnthropic
) -> None:
    ids = [model.id async for model in api.models.list(limit=3)]
    assert OLDER in ids
    counted = await api.messages.count_tokens(
        model=OLDER, messages=[{"role": "user", "content": "x" * 400}]
    )
    assert counted.input_tokens > 100
    call = places.requests[-1]
    assert (call.provider, call.account) == ("anthropic", "ada")
    assert call.headers["Anthropic-Version"] == "2026-10-21"


async def test_a_marked_conversation_is_read_from_the_cache_next_time(
    api: anthropic.AsyncAnthropic,
) -> None:
    text = {"type": "text", "text": "word " * 1200, "cache_control": {"type": "ephemeral"}}
    body = asked("hi") | {"messages": [{"role": "user", "content": [text]}]}
    first, second = [(await api.messages.create(**body)).usage for _ in range(2)]
    assert first.cache_creation_input_tokens > 1024
    assert second.cache_read_input_tokens > 1024
