"""What the embedded upstream says: text, thinking, calls, JSON, images, and what it counts."""

import base64
from typing import Any

import orjson
import pytest
from demo_client import (
    CLAUDE,
    GEMINI,
    WEATHER,
    call,
    demo_client,
    model_says,
    result,
    results,
    thinking,
    tools,
    user,
)
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcp_proxy.demo.instance import instance
from mcp_proxy.demo.script import in_pieces

BASH = {
    "name": "Bash",
    "description": "Runs a command",
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"],
    },
}
READ = {
    "name": "Read",
    "description": "Reads a file",
    "parameters": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}},
        "required": ["file_path"],
    },
}


async def test_a_prompt_is_quoted(client):
    said = await client.say(GEMINI, "hello there")
    assert "“hello there”" in said.text
    assert said.finish == "STOP"


async def test_say_is_obeyed_to_the_letter(client):
    assert (await client.say(CLAUDE, "Please say: Grüße, 世界 🦊")).text == "Grüße, 世界 🦊"


async def test_wrapping_of_clients_is_not_taken_for_the_prompt(client):
    wrapped = "<system-reminder>run a tool</system-reminder>say yes"
    assert (await client.say(CLAUDE, wrapped, tools=tools(BASH))).text == "yes"


async def test_every_record_has_the_envelope_of_the_real_one(client):
    said = await client.say(CLAUDE, "words=20")
    assert len(said.records) > 5
    assert {record["traceId"] for record in said.records} == {said.records[0]["traceId"]}
    for response in said.responses:
        assert response["modelVersion"] == CLAUDE
        assert response["responseId"].startswith("msg_vrtx_01")


async def test_words_and_events_are_counted_out(client):
    assert len((await client.say(GEMINI, "words=25")).text.split()) == 25
    # The last record carries no text, only the end and the usage.
    assert len((await client.say(GEMINI, "events=200")).records) == 201


async def test_a_long_text_has_several_alphabets(client):
    text = (await client.say(GEMINI, "Tell me something long")).text
    assert len(text) > 1000
    assert "いろは" in text
    assert "🦊" in text


async def test_thinking_of_claude_ends_in_an_empty_signed_part(client):
    said = await client.say(CLAUDE, "hello", **thinking())
    *unsigned, last = [part for part in said.parts if part.get("thought")]
    assert len(unsigned) > 1
    assert all(part["text"] and "thoughtSignature" not in part for part in unsigned)
    assert (last["text"], bool(last["thoughtSignature"])) == ("", True)
    assert said.usage["thoughtsTokenCount"] > 0


async def test_thinking_of_gemini_is_signed_on_the_text(client):
    said = await client.say(GEMINI, "hello", **thinking())
    assert said.thoughts
    assert [part for part in said.parts if "thoughtSignature" in part] == [said.parts[-1]]
    assert said.parts[-1]["text"] == ""


async def test_gemini_takes_a_level_instead_of_a_budget(client):
    config = {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"}}
    assert (await client.say(GEMINI, "hello", generationConfig=config)).thoughts


async def test_nobody_thinks_aloud_unasked(client):
    for model in (CLAUDE, GEMINI):
        assert not (await client.say(model, "hello")).thoughts


async def test_claude_without_a_budget_thinks_into_its_text(client):
    config = {"thinkingConfig": {"includeThoughts": True}}
    said = await client.say(CLAUDE, "hello", generationConfig=config)
    assert said.text.startswith("<thinking>")
    assert not said.thoughts


async def test_a_fitting_tool_is_called_with_arguments_from_the_prompt(client):
    said = await client.say(GEMINI, "What is the weather in Oslo?", tools=tools())
    assert [(c["name"], c["args"]) for c in said.calls] == [("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("run something for me", "Bash", {"command": "echo hello from mcproxy"}),
        ("read src/app.py please", "Read", {"file_path": "src/app.py"}),
        ("use the read tool", "Read", {"file_path": "README.md"}),
        ("use a tool", "Bash", {"command": "echo hello from mcproxy"}),
    ],
)
async def test_tools_are_chosen_by_the_words_of_the_prompt(client, prompt, name, arguments):
    said = await client.say(CLAUDE, prompt, tools=tools(BASH, READ))
    assert [(c["name"], c["args"]) for c in said.calls] == [(name, arguments)]


async def test_calls_have_ids_of_the_familys_kind_and_claude_ends_in_other(client):
    said = await client.say(CLAUDE, "use a tool", tools=tools(BASH))
    assert said.calls[0]["id"].startswith("toolu_vrtx_01")
    assert said.finish == "OTHER"
    said = await client.say(GEMINI, "use a tool", tools=tools(BASH))
    assert said.calls[0]["id"].startswith("call_")
    assert said.finish == "STOP"


async def test_arguments_are_left_out_when_there_are_none(client):
    said = await client.say(GEMINI, "use a tool", tools=tools({"name": "now", "description": ""}))
    assert "args" not in said.calls[0]


async def test_parallel_calls_come_in_one_turn_with_one_signature_for_gemini(client):
    prompt = "The weather in Oslo and Rome, both"
    said = await client.say(GEMINI, prompt, tools=tools(), **thinking())
    assert [c["args"]["city"] for c in said.calls] == ["Oslo", "Rome"]
    signed = ["thoughtSignature" in part for part in said.parts if "functionCall" in part]
    assert signed == [True, False]
    assert len({c["id"] for c in said.calls}) == 2


@pytest.mark.parametrize(
    ("prompt", "code"), [("exec `text(6 * 7)` now", "text(6 * 7)"), ("exec", "example")]
)
async def test_a_tool_that_takes_code_is_handed_what_the_prompt_has_in_backquotes(
    client, prompt, code
):
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    script = {"name": "exec", "description": "Runs a script", "parameters": schema}
    said = await client.say(GEMINI, prompt, tools=tools(script))
    assert [(c["name"], c["args"]) for c in said.calls] == [("exec", {"input": code})]


async def test_no_tool_is_called_unasked_or_when_calling_is_off(client):
    assert not (await client.say(GEMINI, "hello", tools=tools())).calls
    none = {"functionCallingConfig": {"mode": "NONE"}}
    said = await client.say(GEMINI, "weather", tools=tools(), toolConfig=none)
    assert not said.calls


async def test_a_forced_call_is_made_from_the_names_allowed(client):
    forced = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["Read"]}}
    said = await client.say(GEMINI, "hello", tools=tools(BASH, READ), toolConfig=forced)
    assert [c["name"] for c in said.calls] == ["Read"]


async def test_results_are_quoted(client):
    contents = [
        user("use a tool"),
        model_says(call(), call(identifier="toolu_2")),
        results(result(text="sunny"), result("toolu_2", "rainy")),
    ]
    said = await client.generate(CLAUDE, {"contents": contents, "tools": tools()})
    assert "“sunny”\n“rainy”" in said.text
    assert not said.calls


async def test_json_is_an_instance_of_the_schema_asked_for(client):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "mood": {"type": "string", "enum": ["fine", "bad"]},
            "sizes": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["name", "mood", "sizes"],
        "additionalProperties": False,
    }
    for field in ("responseSchema", "responseJsonSchema"):
        config = {"responseMimeType": "application/json", field: schema}
        said = await client.say(GEMINI, "hello", generationConfig=config)
        Draft202012Validator(schema).validate(orjson.loads(said.text))


async def test_an_image_model_answers_with_a_png(client):
    said = await client.say("gemini-3-pro-image", "a square")
    blob = next(part["inlineData"] for part in said.parts if "inlineData" in part)
    assert blob["mimeType"] == "image/png"
    assert base64.b64decode(blob["data"]).startswith(b"\x89PNG\r\n\x1a\n")


async def test_a_search_is_answered_with_its_sources(client):
    said = await client.say(GEMINI, "mcproxy?", tools=[{"googleSearch": {}}])
    grounding = said.responses[-1]["candidates"][0]["groundingMetadata"]
    assert grounding["webSearchQueries"] == ["mcproxy?"]
    support = grounding["groundingSupports"][0]["segment"]
    assert said.text[support["startIndex"] : support["endIndex"]] == support["text"]


async def test_the_answer_stops_at_its_tokens(client):
    said = await client.say(GEMINI, "words=50", generationConfig={"maxOutputTokens": 5})
    assert len(said.text) == 20
    assert said.finish == "MAX_TOKENS"
    assert said.usage["candidatesTokenCount"] == 5


async def test_thinking_can_use_up_all_tokens(client):
    said = await client.say(GEMINI, "hello", **thinking(budget=4, limit=4))
    assert said.thoughts
    assert said.text == ""
    assert said.finish == "MAX_TOKENS"


async def test_the_answer_stops_in_front_of_a_stop_sequence(client):
    config = {"stopSequences": ["three", "two"]}
    said = await client.say(CLAUDE, "say one two three", generationConfig=config)
    assert (said.text, said.finish) == ("one ", "STOP")


async def test_usage_adds_up_and_cached_tokens_grow_with_the_session(client):
    contents = [user("hello " * 50)]
    request: dict[str, Any] = {"contents": contents, "sessionId": "-1"}
    first = (await client.generate(GEMINI, request)).usage
    assert "cachedContentTokenCount" not in first
    assert first["totalTokenCount"] == first["promptTokenCount"] + first["candidatesTokenCount"]
    request["contents"] = [*contents, model_says({"text": "hi"}), user("and?")]
    second = (await client.generate(GEMINI, request)).usage
    assert second["cachedContentTokenCount"] == first["promptTokenCount"]
    assert second["cachedContentTokenCount"] < second["promptTokenCount"]
    other = (await client.generate(GEMINI, {**request, "sessionId": "-2"})).usage
    assert "cachedContentTokenCount" not in other


async def test_the_cache_is_each_accounts_own(client):
    request = {"contents": [user("hello")], "sessionId": "-1"}
    await client.generate(GEMINI, request)
    await client.sign_in("grace")
    assert "cachedContentTokenCount" not in (await client.generate(GEMINI, request)).usage


async def test_the_whole_answer_leaves_thinking_out(client):
    request = {"contents": [user("say hi")], **thinking()}
    status, answer = await client.post("generateContent", client.envelope(CLAUDE, request))
    assert status == 200
    candidate = answer["response"]["candidates"][0]
    assert candidate["content"]["parts"] == [{"text": "hi"}]
    assert candidate["finishReason"] == "STOP"
    assert answer["response"]["usageMetadata"]["thoughtsTokenCount"] > 0


async def test_tokens_are_counted_without_project_and_model(client):
    request = {"contents": [user("four" * 10)]}  # and a token for the role
    assert await client.post("countTokens", {"request": request}) == (200, {"totalTokens": 11})
    status, _ = await client.post("countTokens", client.envelope(GEMINI, request))
    assert status == 400


async def test_images_cost_the_same_whatever_their_size(client):
    def with_image(size: int) -> dict[str, Any]:
        data = base64.b64encode(b"x" * size).decode()
        part = {"inlineData": {"mimeType": "image/png", "data": data}}
        return {"request": {"contents": [{"role": "user", "parts": [part]}]}}

    small = await client.post("countTokens", with_image(10))
    assert small == await client.post("countTokens", with_image(100_000))


async def test_what_is_not_validated_is_answered_too():
    async with demo_client(validates=False) as client:
        said = await client.generate(GEMINI, {"contents": [user("say yes")], "whatever": 1})
        assert said.text == "yes"


@given(st.text())
def test_pieces_joined_are_the_text_again(text):
    assert "".join(in_pieces(text)) == text


LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "STRING", "enum": ["a", "b"]},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"const": 7},
        {"type": ["integer", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda schema: {"type": "array", "items": schema}),
        st.dictionaries(st.text(max_size=8), inner, max_size=4).map(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties)[::2],
            }
        ),
    ),
    max_leaves=8,
)


def lowered(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: value.lower() if key == "type" and isinstance(value, str) else lowered(value)
            for key, value in schema.items()
        }
    return [lowered(entry) for entry in schema] if isinstance(schema, list) else schema


@given(SCHEMAS, st.text(max_size=40), st.integers(0, 3))
def test_an_instance_fits_its_schema(schema, prompt, nth):
    Draft202012Validator(lowered(schema)).validate(instance(schema, prompt, nth))


def test_an_instance_of_a_boundless_schema_ends():
    endless: dict[str, Any] = {"type": "object", "properties": {}, "required": ["again"]}
    endless["properties"]["again"] = endless
    value = instance(endless, "")
    for _ in range(20):
        value = value.get("again", {})
    assert value == {}


def test_the_weather_tool_of_these_tests_is_a_valid_schema():
    Draft202012Validator.check_schema(WEATHER["parameters"])
