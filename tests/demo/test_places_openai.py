"""The embedded OpenAI API and the plain server of its shape, driven by the real SDK."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from mcp_proxy.demo.places import Answer, DemoPlaces

PLAIN = "gpt-4o"
REASONS = "gpt-5.4"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FLAT = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
NESTED = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
SEALED = {"store": False, "include": ["reasoning.encrypted_content"]}


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as made:
        yield made


@pytest.fixture
async def api(places: DemoPlaces) -> AsyncIterator[openai.AsyncOpenAI]:
    key = places.account("openai", "ada").credential.api_key
    assert key is not None
    base = places.settings()["openai"].base_urls[0]
    async with openai.AsyncOpenAI(api_key=key.value, base_url=base, max_retries=0) as made:
        yield made


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": PLAIN, "messages": [{"role": "user", "content": text}], **fields}


async def test_chat_text_comes_whole_and_streamed_alike(api: openai.AsyncOpenAI) -> None:
    whole = await api.chat.completions.create(**said("say Good morning, world."))
    chunks = [
        chunk
        async for chunk in await api.chat.completions.create(
            **said("say Good morning, world."),
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert whole.choices[0].message.content == text == "Good morning, world."
    assert whole.usage == chunks[-1].usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"


async def test_usage_is_streamed_only_when_asked_for(api: openai.AsyncOpenAI) -> None:
    stream = await api.chat.completions.create(**said("hi"), stream=True)
    assert not [chunk async for chunk in stream if chunk.usage or not chunk.choices]


async def test_a_chat_tool_loop_ends_in_the_quoted_results(api: openai.AsyncOpenAI) -> None:
    asked = said("weather in Oslo and Rome, in parallel", tools=[NESTED])
    async with api.chat.completions.stream(**asked) as stream:
        turn = (await stream.get_final_completion()).choices[0]
    assert turn.finish_reason == "tool_calls"
    calls = turn.message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    history = [
        *asked["messages"],
        turn.message.model_dump(include={"role", "tool_calls"}, exclude={"parsed"}),
        *({"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls),
    ]
    answer = await api.chat.completions.create(**{**asked, "messages": history})
    assert answer.choices[0].message.content == "The tool answered: “sunny”\n“sunny”"
    added = [*history, {"role": "user", "content": "and a picture of it"}]
    again = await api.chat.completions.create(**{**asked, "messages": added})
    assert again.choices[0].message.content == answer.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        await api.chat.completions.create(**{**asked, "messages": history[:-1]})


async def test_a_freeform_tool_is_called_with_text(api: openai.AsyncOpenAI) -> None:
    tool = {"type": "custom", "custom": {"name": "run_script"}}
    answer = await api.chat.completions.create(**said("call run_script", tools=[tool]))
    call = answer.choices[0].message.tool_calls[0]
    assert (call.type, call.custom.name) == ("custom", "run_script")


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"model": REASONS, "max_tokens": 9}, "unsupported_parameter", "max_completion_tokens"),
        ({"model": REASONS, "temperature": 0.5}, "unsupported_value", "Only the default (1)"),
        ({"model": REASONS, "top_p": 0.5}, "unsupported_parameter", "'top_p'"),
        ({"model": REASONS, "reasoning_effort": "max"}, "unsupported_value", "'max'"),
        ({"reasoning_effort": "low"}, None, "Unrecognized request argument supplied"),
        ({"extra_body": {"top_k": 4}}, None, "Unrecognized request argument supplied: top_k"),
        ({"messages": []}, "empty_array", "minimum length 1"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value", "'king'"),
        ({"parallel_tool_calls": True}, None, "only allowed when 'tools' are specified"),
        ({"stop": list("abcde")}, "array_above_max_length", "maximum length 4"),
        ({"response_format": {"type": "json_object"}}, None, "must contain the word 'json'"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "invalid_value",
            "does not match pattern",
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
            None,
            "must be a response to a preceeding message",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "strict": True,
                            "parameters": {"type": "object", "properties": {}},
                        },
                    }
                ]
            },
            "invalid_function_parameters",
            "'additionalProperties' is required",
        ),
    ],
)
async def test_a_wrong_chat_request_is_refused_in_the_real_words(
    api: openai.AsyncOpenAI, fields: dict[str, Any], code: str | None, message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await api.chat.completions.create(**said("hello", **fields))
    assert caught.value.code == code
    assert message in caught.value.body["message"]


async def test_reasoning_goes_on_through_a_tool_loop_of_responses(
    api: openai.AsyncOpenAI,
) -> None:
    asked = {
        "model": REASONS,
        "input": [{"role": "user", "content": "weather in Oslo"}],
        "tools": [FLAT],
        "reasoning": {"effort": "low", "summary": "auto"},
        **SEALED,
    }
    async with api.responses.stream(**asked) as stream:
        first = await stream.get_final_response()
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    assert first.output[0].summary[0].text
    call = first.output[1]
    kept = [item.model_dump(exclude_none=True) for item in first.output]
    kept[1].pop("parsed_arguments", None)
    history = [
        *asked["input"],
        *kept,
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    answer = await api.responses.create(**{**asked, "input": history})
    assert answer.output_text == "The tool answered: “sunny”"
    forged = [dict(item) for item in history]
    forged[1]["encrypted_content"] = "Zm9yZ2Vk"
    with pytest.raises(openai.BadRequestError) as caught:
        await api.responses.create(**{**asked, "input": forged})
    assert caught.value.code == "invalid_encrypted_content"
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
        await api.responses.create(**{**asked, "input": history[:-1]})
    with pytest.raises(openai.BadRequestError, match="without its required following item"):
        await api.responses.create(**{**asked, "input": history[:2]})


async def test_responses_stream_and_whole_say_the_same(api: openai.AsyncOpenAI) -> None:
    asked = {"model": PLAIN, "input": "say Good morning, world."}
    whole = await api.responses.create(**asked)
    async with api.responses.stream(**asked) as stream:
        final = await stream.get_final_response()
    assert whole.output_text == final.output_text == "Good morning, world."
    assert whole.usage == final.usage


async def test_a_cut_response_is_incomplete(api: openai.AsyncOpenAI) -> None:
    answer = await api.responses.create(model=PLAIN, input="words=200", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extra_body": {"stop": ["x"]}}, "Unknown parameter: 'stop'."),
        ({"previous_response_id": "resp_1"}, "Previous response with id 'resp_1' not found."),
        ({"max_output_tokens": 1}, "integer below minimum value"),
        ({"reasoning": {"effort": "low"}}, "'reasoning.effort' is not supported"),
        ({"input": [{"type": "telepathy"}]}, "Invalid value: 'telepathy'."),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
            "Supported values are: 'output_text', 'refusal'.",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "No tool call found for function call output with call_id c.",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "strict": True,
                        "parameters": {"type": "object", "properties": {}},
                    }
                ]
            },
            "'additionalProperties' is required",
        ),
    ],
)
async def test_a_wrong_responses_request_is_refused_in_the_real_words(
    api: openai.AsyncOpenAI, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await api.responses.create(**{"model": PLAIN, "input": "hello", **fields})
    assert message in caught.value.body["message"]


async def test_wrong_keys_and_models_are_named(api: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await api.chat.completions.create(**said("hi", model="gpt-none"))
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as wrong:
        await api.with_options(api_key="sk-wrong").models.list()
    assert wrong.value.code == "invalid_api_key"


async def test_rate_and_billing_are_told_apart(places: DemoPlaces, api: openai.AsyncOpenAI) -> None:
    now = places.desk.now()
    places.quota("openai").use("requests", 1.0, resets_at=now + 20)
    with pytest.raises(openai.RateLimitError) as limited:
        await api.chat.completions.create(**said("hi"))
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    places.quota("openai").use("credit", 1.0, resets_at=now + 10**6)
    with pytest.raises(openai.RateLimitError) as broke:
        await api.chat.completions.create(**said("hi"))
    assert broke.value.code == "insufficient_quota"


async def test_images_are_made_by_the_image_model(api: openai.AsyncOpenAI) -> None:
    made = await api.images.generate(model="gpt-image-1", prompt="a fox")
    assert made.data[0].b64_json.startswith("iVBOR")


async def test_the_plain_server_needs_no_key_and_shows_its_reasoning(places: DemoPlaces) -> None:
    base = places.settings()["openai-compatible"].base_urls[0]
    async with openai.AsyncOpenAI(api_key="unused", base_url=base, max_retries=0) as api:
        ids = [model.id async for model in api.models.list()]
        answer = await api.chat.completions.create(**said("say hello", model=ids[0]))
        assert answer.choices[0].message.content == "hello"
        assert answer.choices[0].message.reasoning.startswith("Let me consider")
        with pytest.raises(openai.NotFoundError, match="try pulling it first"):
            await api.chat.completions.create(**said("hi", model="none"))
        places.reject("stream_options")
        with pytest.raises(openai.BadRequestError, match="stream_options"):
            await api.chat.completions.create(
                **said("hi", model=ids[0]), stream=True, stream_options={"include_usage": True}
            )
    assert places.requests[-1].account == "anonymous"


async def test_a_played_answer_may_have_any_shape(
    places: DemoPlaces, api: openai.AsyncOpenAI
) -> None:
    places.play("openai", Answer(503, "<html>busy</html>", {"content-type": "text/html"}), times=2)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await api.chat.completions.create(**said("hi"))
    assert (await api.chat.completions.create(**said("say x"))).choices[0].message.content == "x"
