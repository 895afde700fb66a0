"""The embedded Gemini API, driven by the real SDK."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import errors, types

from mcp_proxy.demo.places import DemoPlaces

# The SDK derives its session from aiohttp's, which aiohttp does not like.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

FLASH = "gemini-3-flash-preview"
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            parameters_json_schema={
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        )
    ]
)
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as made:
        yield made


def key_of(places: DemoPlaces) -> str:
    key = places.account("gemini", "ada").credential.api_key
    assert key is not None
    return key.value


@pytest.fixture
async def api(places: DemoPlaces) -> AsyncIterator[genai.client.AsyncClient]:
    base = places.settings()["gemini"].base_urls[0]
    options = types.HttpOptions(base_url=base, api_version="v1beta")
    client = genai.Client(api_key=key_of(places), http_options=options)
    async with client.aio as made:
        yield made
    client.close()


def config(**fields: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(automatic_function_calling=BY_HAND, **fields)


async def test_text_comes_whole_and_streamed_alike(api: genai.client.AsyncClient) -> None:
    prompt = "say Good morning, world."
    whole = await api.models.generate_content(model=FLASH, contents=prompt)
    stream = await api.models.generate_content_stream(model=FLASH, contents=prompt)
    chunks = [chunk async for chunk in stream]
    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == "Good morning, world."
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert chunks[-1].candidates[0].finish_reason == "STOP"


async def test_a_tool_loop_wants_its_signature_back(api: genai.client.AsyncClient) -> None:
    asked = types.Content(role="user", parts=[types.Part(text="weather in Oslo")])
    with_tool = config(tools=[WEATHER])
    first = await api.models.generate_content(model=FLASH, contents=[asked], config=with_tool)
    turn = first.candidates[0].content
    call = first.function_calls[0]
    assert call.args == {"city": "Oslo"}
    result = types.Part.from_function_response(name=call.name, response={"output": "sunny"})
    results = types.Content(role="user", parts=[result])
    answer = await api.models.generate_content(
        model=FLASH, contents=[asked, turn, results], config=with_tool
    )
    assert answer.text == "The tool answered: “sunny”"
    turn.parts[0].thought_signature = None
    with pytest.raises(errors.ClientError, match="missing a thought_signature"):
        await api.models.generate_content(
            model=FLASH, contents=[asked, turn, results], config=with_tool
        )
    with pytest.raises(errors.ClientError, match="followed by function response turns"):
        await api.models.generate_content(
            model="gemini-2.5-flash", contents=[asked, turn, asked], config=with_tool
        )


async def test_thoughts_are_shown_when_asked_for(api: genai.client.AsyncClient) -> None:
    shown = config(thinking_config=types.ThinkingConfig(include_thoughts=True))
    answer = await api.models.generate_content(model=FLASH, contents="hello", config=shown)
    assert answer.candidates[0].content.parts[0].thought
    assert answer.usage_metadata.thoughts_token_count > 0


async def test_the_search_brings_its_sources(api: genai.client.AsyncClient) -> None:
    searching = config(tools=[types.Tool(google_search=types.GoogleSearch())])
    answer = await api.models.generate_content(model=FLASH, contents="mcproxy", config=searching)
    assert answer.candidates[0].grounding_metadata.grounding_chunks[0].web.uri


async def test_media_in_either_base64_is_taken(api: genai.client.AsyncClient) -> None:
    picture = types.Part.from_bytes(data=b"\xfb\xef\xff" * 3, mime_type="image/png")
    answer = await api.models.generate_content(model=FLASH, contents=[picture, "say seen"])
    assert answer.text == "seen"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"invented": 1}, 'Unknown name "invented"'),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "model", "parts": [{"text": "x"}]}]}, "start with a user turn"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 9, "thinkingLevel": "low"}}},
            "only set only one of thinking budget and thinking level",
        ),
        (
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "f",
                                "parameters": {
                                    "type": "object",
                                    "properties": {"a": {"type": "string", "default": "x"}},
                                },
                            }
                        ]
                    }
                ]
            },
            'Unknown name "default"',
        ),
        (
            {
                "tools": [
                    {"functionDeclarations": [{"name": "f", "parameters": {"type": "object"}}]}
                ]
            },
            "should be non-empty for OBJECT type",
        ),
    ],
)
async def test_a_wrong_request_is_refused_in_the_real_words(
    places: DemoPlaces, body: dict[str, Any], message: str
) -> None:
    hello = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    status, answer = await post(places, f"{FLASH}:generateContent", hello | body)
    assert status == 400
    assert message in answer["error"]["message"]


async def post(places: DemoPlaces, verb: str, body: dict[str, Any]) -> tuple[int, Any]:
    url = f"{places.settings()['gemini'].base_urls[0]}/v1beta/models/{verb}"
    headers = {"x-goog-api-key": key_of(places)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers) as response,
    ):
        return response.status, json.loads(await response.read())


async def test_without_alt_sse_a_list_is_streamed_also_when_it_fails(places: DemoPlaces) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "say one two three four five"}]}]}
    status, records = await post(places, f"{FLASH}:streamGenerateContent", body)
    assert status == 200
    assert len(records) > 1
    status, failed = await post(places, "gemini-none:streamGenerateContent", body)
    assert (status, failed[0]["error"]["status"]) == (404, "NOT_FOUND")


async def test_a_wrong_key_is_a_400_with_its_reason(places: DemoPlaces) -> None:
    base = places.settings()["gemini"].base_urls[0]
    with genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=base)) as client:
        async with client.aio as api:
            with pytest.raises(errors.ClientError) as caught:
                await api.models.generate_content(model=FLASH, contents="hi")
    assert caught.value.code == 400
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_a_used_up_day_names_its_quota(
    places: DemoPlaces, api: genai.client.AsyncClient
) -> None:
    places.quota("gemini").use("per-day", 1.0, resets_at=places.desk.now() + 4000)
    with pytest.raises(errors.ClientError) as caught:
        await api.models.generate_content(model=FLASH, contents="hi")
    quota = caught.value.details["error"]["details"][0]["violations"][0]["quotaId"]
    assert "PerDay" in quota


async def test_models_are_listed_in_pages_and_tokens_counted(
    api: genai.client.AsyncClient,
) -> None:
    listed = [model.name async for model in await api.models.list(config={"page_size": 3})]
    assert f"models/{FLASH}" in listed
    assert len(listed) == len(set(listed)) > 3
    counted = await api.models.count_tokens(model=FLASH, contents="x" * 400)
    assert counted.total_tokens == 101
