"""What servers refuse of a request: left out once it is known, and known from then on."""

from typing import Any

import pytest
from asking import Asker, asking

from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.demo.refusals import Answer

Json = dict[str, Any]

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

CHAT: Json = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_completion_tokens": 500,
    "stream": True,
    "stream_options": {"include_usage": True},
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "seed": 7,
    "user": "u",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
    },
    "tools": [
        {
            "type": "function",
            "function": {"name": "weather", "parameters": WEATHER, "strict": True},
        }
    ],
}
MESSAGES: Json = {
    "max_tokens": 2000,
    "temperature": 0.5,
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "tools": [{"name": "weather", "input_schema": WEATHER, "strict": True}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
}
BODIES = {"openai_chat": CHAT, "anthropic": MESSAGES}
MODEL = "qwen3:8b"


async def ask(client: Asker, api: str, text: str, model: str = MODEL) -> list[Json]:
    """Asks for everything at once; the bodies that the server was sent for it."""
    before = len(client.rig.generations)
    body = {"model": model, "messages": [{"role": "user", "content": text}], **BODIES[api]}
    answer = await client.post(api, model, body)
    assert answer.status == 200, answer.body
    return [call.body for call in client.rig.generations[before:]]


REJECTED = [
    ("openai_chat", "stream_options"),
    ("openai_chat", "temperature"),
    ("openai_chat", "max_completion_tokens"),
    ("openai_chat", "response_format"),
    ("openai_chat", "parallel_tool_calls"),
    ("openai_chat", "reasoning_effort"),
    ("openai_chat", "seed"),
    ("anthropic", "stream_options"),
    ("anthropic", "max_tokens"),
    ("anthropic", "temperature"),
    ("anthropic", "response_format"),
    ("anthropic", "reasoning_effort"),
    ("anthropic", "parallel_tool_calls"),
]


@pytest.mark.parametrize(("api", "field"), REJECTED)
async def test_a_field_that_a_server_refuses_is_left_out_from_then_on(tmp_path, api, field):
    async with DemoPlaces() as places:
        places.reject(field)
        async with asking(tmp_path, "openai-compatible", places=places) as client:
            bodies = await ask(client, api, "say one")
            assert [field in body for body in bodies] == [True, False]
            (body,) = await ask(client, api, "say two")
            assert field not in body
            assert len(body) >= len(bodies[0]) - 2, "nothing else has gone"
            accounts = client.rig.runtime.accounts
        async with asking(tmp_path, accounts=accounts, places=places) as client:
            (body,) = await ask(client, api, "say three")
            assert field not in body, "a restart does not forget it"


async def test_several_refusals_are_learned_one_after_the_other(tmp_path):
    async with asking(tmp_path, "openai-compatible") as client:
        fields = ("stream_options", "temperature", "seed", "reasoning_effort")
        client.rig.places.reject(*fields)
        assert len(await ask(client, "openai_chat", "say one")) == 5
        (body,) = await ask(client, "openai_chat", "say two")
        assert not set(fields) & body.keys()


async def test_one_servers_refusal_is_nothing_to_another(tmp_path):
    async with DemoPlaces() as one, DemoPlaces() as other:
        elsewhere = other.account("openai-compatible", "other")
        one.reject("temperature")
        people = [one.account("openai-compatible", "one"), elsewhere]
        async with asking(tmp_path, accounts=people, places=one) as client:
            for number in range(6):
                await ask(client, "openai_chat", f"say {number}")
        sent = [call.body for call in one.requests if call.body]
        assert sent
        assert ["temperature" in body for body in sent].count(True) == 1
        spared = [call.body for call in other.requests if call.body]
        assert spared
        assert all("temperature" in body for body in spared)


@pytest.mark.parametrize("api", ["openai_chat", "anthropic"])
async def test_strict_tools_are_left_out_where_they_are_refused(tmp_path, api):
    async with asking(tmp_path, "openai-compatible") as client:
        text = "Unknown parameter: 'tools[0].function.strict'."
        param = "tools[0].function.strict"
        error = {"message": text, "type": "invalid_request_error", "param": param}
        client.rig.places.play("openai-compatible", Answer(400, {"error": error}))
        first, second = await ask(client, api, "say one")
        assert "strict" in first["tools"][0]["function"]
        assert "strict" not in second["tools"][0]["function"]
        (third,) = await ask(client, api, "say two")
        assert "strict" not in third["tools"][0]["function"]


async def test_a_schema_that_a_server_refuses_is_asked_for_in_words(tmp_path):
    async with asking(tmp_path, "openai-compatible") as client:
        client.rig.places.reject("response_format")
        _, body = await ask(client, "openai_chat", "a person")
        assert '"name"' in str(body["messages"])


@pytest.mark.parametrize("model", ["gpt-5.4", "o3", "gpt-4.1"])
@pytest.mark.parametrize("api", ["openai_chat", "anthropic"])
async def test_openais_models_that_reason_are_spared_what_they_refuse(tmp_path, api, model):
    async with asking(tmp_path, "openai") as client:
        first = await ask(client, api, "say one", model)
        assert len(first) <= 3
        (body,) = await ask(client, api, "say two", model)
        assert ("temperature" in body) is (model == "gpt-4.1")


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-4-6"])
@pytest.mark.parametrize("provider", ["anthropic"])
async def test_claudes_that_take_no_sampling_are_spared_it(tmp_path, provider, model):
    async with asking(tmp_path, provider) as client:
        assert len(await ask(client, "openai_chat", "say one", model)) <= 2
        assert len(await ask(client, "openai_chat", "say two", model)) == 1


async def test_what_nobody_can_leave_out_is_told_as_the_server_said_it(tmp_path):
    async with asking(tmp_path, "openai-compatible") as client:
        client.rig.places.reject("messages")
        answer = await client.ask(MODEL, api="openai_chat")
        assert answer.status == 400
        assert "Unsupported parameter: 'messages'" in answer.message
        assert len(client.asked) == 2, "as it came, and rewritten"
