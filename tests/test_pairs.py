"""Every client API over every upstream dialect, each through the real SDK: sixteen pairs.

Where both are the same the request is forwarded; it has to look the same from outside.
"""

import json

import pytest
from placed import placed
from talkers import APIS, PNG, Talker, Wish, talker

from mcp_proxy.demo.places import Answer

pytestmark = pytest.mark.usefixtures("hasty")

UPSTREAMS = {
    "anthropic": ("anthropic", "claude-sonnet-4-6"),
    "openai_chat": ("openai-compatible", "qwen3:8b"),
    "openai_responses": ("codex", "gpt-5.5"),
    "gemini": ("gemini", "gemini-3-flash-preview"),
}
"""Dialect -> a provider that speaks it, and a model that thinks there."""

PAIRS = [pytest.param((api, up), id=f"{api}-over-{up}") for api in APIS for up in UPSTREAMS]
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(params=PAIRS)
async def pair(request, tmp_path):
    api, upstream = request.param
    provider, model = UPSTREAMS[upstream]
    async with placed(tmp_path, provider) as rig:
        yield api, upstream, model, rig


def talking(pair, model: str | None = None):
    api, _, own, rig = pair
    return talker(api, rig.url, model or own)


async def test_text_is_the_same_streamed_and_whole(pair):
    async with talking(pair) as whole, talking(pair) as streamed:
        said = await whole.ask("say Grüße, 世界 🦊 — done", Wish(system="Be brief."))
        assert said.text == "Grüße, 世界 🦊 — done"
        assert said.stop == "end"
        assert said.prompt > 0
        assert said.output > 0
        other = await streamed.ask(
            "say Grüße, 世界 🦊 — done", Wish(system="Be brief.", stream=True)
        )
        assert other.gist == said.gist
        assert other.output == said.output
        # Forwarded, the two requests differ in what they ask for, and upstreams count that.
        assert abs(other.prompt - said.prompt) <= 2


@BOTH_WAYS
async def test_a_tool_loop_goes_there_and_back(pair, stream):
    wish = Wish(stream=stream, tools=True)
    async with talking(pair) as client:
        said = await client.ask("weather in Oslo please", wish)
        (call,) = said.calls
        assert call.name == "get_weather"
        assert isinstance(call.arguments["city"], str)
        assert said.stop == "tool"
        final = await client.answer({call.id: "18C and sunny"}, wish)
        assert "18C and sunny" in final.text
        assert final.stop == "end"


@BOTH_WAYS
async def test_parallel_calls_are_told_apart(pair, stream):
    wish = Wish(stream=stream, tools=True)
    async with talking(pair) as client:
        said = await client.ask("call get_weather and read_file, both", wish)
        assert [call.name for call in said.calls] == ["get_weather", "read_file"]
        assert len({call.id for call in said.calls}) == 2
        results = {call.id: f"result of {call.name}" for call in said.calls}
        final = await client.answer(results, wish)
        assert "result of get_weather" in final.text
        assert "result of read_file" in final.text


@BOTH_WAYS
async def test_thinking_is_shown_and_survives_a_tool_loop(pair, stream):
    _, upstream, _, rig = pair
    wish = Wish(stream=stream, tools=True, thinks=True)
    async with talking(pair) as client:
        said = await client.ask("weather in Oslo please", wish)
        assert "consider" in said.thought
        (call,) = said.calls
        final = await client.answer({call.id: "18C"}, wish)
        assert "18C" in final.text
        assert SEALED[upstream] in json.dumps(rig.generations[-1].body)


SEALED = {
    "anthropic": '"signature": "',
    "openai_chat": "Let me consider",
    "openai_responses": '"encrypted_content": "',
    "gemini": '"thoughtSignature": "',
}
"""What the second request of a loop carries back to the upstream."""


@BOTH_WAYS
async def test_an_answer_follows_its_schema(pair, stream):
    async with talking(pair) as client:
        said = await client.ask("a person", Wish(stream=stream, schema=True))
        found = json.loads(said.text)
        assert isinstance(found["name"], str)
        assert isinstance(found["age"], int)


async def test_an_image_arrives(pair):
    _, _, _, rig = pair
    async with talking(pair) as client:
        said = await client.ask("say seen", Wish(image=True))
        assert said.text == "seen"
        body = json.dumps(rig.generations[-1].body)
        assert PNG in body or PNG.replace("+", "-").replace("/", "_") in body


@BOTH_WAYS
async def test_an_answer_that_is_cut_by_its_limit_says_so(pair, stream):
    said_so = pair[1] != "openai_responses"  # Codex takes no limit; the next test asks OpenAI
    async with talking(pair) as client:
        said = await client.ask("words=400", Wish(stream=stream, max_tokens=40))
        assert (said.stop == "length") is said_so


@BOTH_WAYS
@pytest.mark.parametrize("api", APIS)
async def test_openai_says_so_too(tmp_path, api, stream):
    async with placed(tmp_path, "openai") as rig, talker(api, rig.url, "gpt-5.5") as client:
        said = await client.ask("words=400", Wish(stream=stream, max_tokens=40))
        assert said.stop == "length"


async def test_a_long_conversation_is_taken(pair):
    async with talking(pair) as client:
        client.recall(60)
        said = await client.ask("say still here", Wish())
        assert said.text == "still here"


async def test_a_model_that_nobody_has_is_a_404_in_the_clients_words(pair):
    async with talking(pair, "no-such-model") as client:
        assert await status_of(client) == 404


async def status_of(client: Talker, wish: Wish = Wish()) -> int:  # noqa: B008 - it is frozen
    with pytest.raises(Exception, match=r".+") as raised:
        await client.ask("say hi", wish)
    error = raised.value
    found = getattr(error, "status_code", None) or getattr(error, "code", None)
    assert isinstance(found, int), repr(error)
    return found


@BOTH_WAYS
@pytest.mark.parametrize(("upstreams", "told"), [(400, 400), (500, 502), (503, 503)])
async def test_what_the_upstream_refuses_is_told_with_a_status_of_the_clients_api(
    pair, stream, upstreams, told
):
    api, upstream, _, rig = pair
    error = {"code": upstreams, "message": "no such thing", "type": "invalid_request_error"}
    body = {"type": "error", "error": error} if upstream == "anthropic" else {"error": error}
    rig.places.play(UPSTREAMS[upstream][0], Answer(upstreams, body), times=5)
    async with talking(pair) as client:
        status = await status_of(client, Wish(stream=stream))
    # Anthropic has a status of its own for what is overloaded.
    assert status == (529 if told == 503 and api == "anthropic" else told)
