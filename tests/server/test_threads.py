"""Stateful threads of the newest anthropic SDK: only what is new is sent, the rest is kept here."""

import json

import pytest
from served import CLAUDE, Json, Rig, message_body, serve

from mcp_proxy.server import threads

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


async def begun(rig: Rig, **more: object) -> Json:
    """The first answer of a thread: a tool call."""
    body = message_body(
        "call get_weather", tools=[WEATHER], system="Be brief.", thread={"type": "create"}, **more
    )
    answer = await rig.post("/v1/messages", body)
    assert answer.status == 200, answer.body
    if not more.get("stream"):
        message: Json = answer.json
        return message
    first = answer.events[0][1]["message"]
    calls = [
        data["content_block"]
        for name, data in answer.events
        if name == "content_block_start" and data["content_block"]["type"] == "tool_use"
    ]
    return {"id": first["id"], "content": calls}


def continued(message: Json, **more: object) -> Json:
    call = next(block for block in message["content"] if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "18C"}
    return {
        "model": CLAUDE,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": [result]}],
        "thread": {"type": "continue", "previous_message_id": message["id"]},
        **more,
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_thread_is_continued_with_nothing_but_what_is_new(tmp_path, stream):
    async with serve(tmp_path) as rig:
        message = await begun(rig, stream=stream)
        answer = await rig.post("/v1/messages", continued(message))
        assert answer.status == 200, answer.body
        sent = rig.generations[-1].body["request"]
        roles = [content["role"] for content in sent["contents"]]
        assert roles == ["user", "model", "user"]
        assert "get_weather" in json.dumps(sent["tools"])
        assert "Be brief." in json.dumps(sent["systemInstruction"])
        again = await rig.post(
            "/v1/messages",
            {
                "model": CLAUDE,
                "max_tokens": 100,
                "messages": [{"role": "user", "content": "say bye"}],
                "thread": {"type": "continue", "previous_message_id": answer.json["id"]},
            },
        )
        assert again.status == 200, again.body
        assert len(rig.generations[-1].body["request"]["contents"]) == 5


async def test_a_thread_survives_a_restart(tmp_path):
    async with serve(tmp_path) as rig:
        message = await begun(rig)
    async with serve(tmp_path) as rig:
        assert (await rig.post("/v1/messages", continued(message))).status == 200


async def test_an_unknown_thread_is_the_404_of_the_real_api(tmp_path):
    async with serve(tmp_path) as rig:
        message = await begun(rig)
        answer = await rig.post("/v1/messages", continued({**message, "id": "msg_unknown"}))
        assert answer.status == 404
        assert answer.json["error"]["type"] == "not_found_error"
        assert "thread.previous_message_id" in answer.message
        assert len(rig.generations) == 1


async def test_a_thread_is_kept_for_a_day(tmp_path):
    async with serve(tmp_path) as rig:
        message = await begun(rig)
        now = rig.runtime.clock()
        rig.runtime.clock = lambda: now + threads.LIFETIME + 1
        assert (await rig.post("/v1/messages", continued(message))).status == 404


async def test_the_oldest_threads_go_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "MAX_THREADS", 2)
    async with serve(tmp_path) as rig:
        first, _, last = [await begun(rig) for _ in range(3)]
        assert (await rig.post("/v1/messages", continued(first))).status == 404
        assert (await rig.post("/v1/messages", continued(last))).status == 200


@pytest.mark.parametrize(
    ("thread", "param"),
    [
        ({"type": "fork"}, "thread.type"),
        ({"type": "continue"}, "thread.previous_message_id"),
        ({"type": "continue", "previous_message_id": 7}, "thread.previous_message_id"),
    ],
)
async def test_a_wrong_thread_is_named(tmp_path, thread, param):
    async with serve(tmp_path) as rig:
        answer = await rig.messages(thread=thread)
        assert answer.status == 400
        assert answer.message.startswith(f"{param}: ")
        assert rig.generations == []


async def test_the_sdks_tool_runner_works_in_a_thread(tmp_path):
    from anthropic import beta_async_tool

    @beta_async_tool
    async def get_weather(city: str = "") -> str:
        """Weather of a city."""
        return f"18C in {city}"

    async with serve(tmp_path) as rig, rig.anthropic() as client:
        runner = client.beta.messages.tool_runner(
            model=CLAUDE,
            max_tokens=200,
            tools=[get_weather],
            messages=[{"role": "user", "content": "call get_weather"}],
        )
        final = await runner.until_done()
        assert final.stop_reason == "end_turn"
        assert len(rig.generations) == 2
