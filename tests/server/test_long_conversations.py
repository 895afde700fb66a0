"""Conversations that are long enough for the server to know them again with the next turn."""

import json
import logging

import pytest
from served import CLAUDE, GEMINI, TWO, Answer, Json, Rig, serve

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.dialects import client_dialect, upstream_dialect
from mcp_proxy.dialects.recent_messages import SHORTEST, RecentMessages
from mcp_proxy.policy import models
from mcp_proxy.strict_json import encode, read_object

TOOL = {"name": "run_command", "input_schema": {"type": "object", "properties": {}}}


def history(turns: int, name: object) -> list[Json]:
    """A question of that name, calls and their results; after each the user asks for words."""
    messages: list[Json] = [{"role": "user", "content": f"say what the files say – {name}"}]
    for at in range(turns):
        call = {"type": "tool_use", "id": f"toolu_{at}", "name": TOOL["name"], "input": {"at": at}}
        found = f"file {at}: " + 60 * "the cache is stale; "
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": found}
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
            {"role": "user", "content": [result, {"type": "text", "text": "say done"}]},
        ]
    return messages


def request(turns: int, model: str = CLAUDE, *, name: object = "all", **more: object) -> bytes:
    """As Claude Code writes it."""
    messages = history(turns, name)
    body = {"model": model, "messages": messages, "max_tokens": 99, "tools": [TOOL], **more}
    written = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(written) > SHORTEST
    return written


def contents(body: bytes, model: str) -> Json:
    """What the upstream is to be sent of a request."""
    conversation = client_dialect("anthropic").parse_request(read_object(body), {})
    rendered = upstream_dialect("gemini").render_request(conversation, models.info(model))
    found: Json = json.loads(encode(rendered["contents"]))
    return found


async def ask(rig: Rig, body: bytes, path: str = "/v1/messages") -> Answer:
    answer = await rig.call("POST", path, body)
    assert answer.status == 200, answer.body
    return answer


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages of each request had not to be read."""
    counts: list[int] = []
    resumed = RecentMessages._resumed

    def watched(recent: RecentMessages, body: bytes, count: int, *more: object) -> Json | None:
        counts.append(count)
        return resumed(recent, body, count, *more)

    monkeypatch.setattr(RecentMessages, "_resumed", watched)
    return counts


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_the_upstream_is_sent_all_of_it_with_each_turn(tmp_path, known, model, stream):
    async with serve(tmp_path) as rig:
        for turns in range(18, 23):
            body = request(turns, model, name=tmp_path, stream=stream)
            await ask(rig, body)
            sent = rig.generations[-1].body["request"]["contents"]
            assert sent == contents(body, model)
    assert known == [37, 39, 41, 43]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_another_account_is_sent_the_same(tmp_path, known, model):
    async with serve(tmp_path, people=TWO) as rig:
        for turns in (18, 19, 20):
            rig.upstream.play(Fault(FaultKind.CAPACITY), Fault(FaultKind.SERVER_ERROR))
            body = request(turns, model, name=tmp_path)
            await ask(rig, body)
            sent = [call.body["request"]["contents"] for call in rig.generations[-3:]]
            assert sent == 3 * [contents(body, model)]
    assert known == [36, 36, 37, 38, 38, 39, 40, 40]


async def test_a_thread_has_its_whole_history(tmp_path):
    async with serve(tmp_path) as rig:
        await ask(rig, request(18))
        message = (await ask(rig, request(18, thread={"type": "create"}))).json
        follow = {"type": "continue", "previous_message_id": message["id"]}
        more = [{"role": "user", "content": "say more " + SHORTEST * "and "}]
        body = {"model": CLAUDE, "max_tokens": 99, "messages": more, "thread": follow}
        for _ in range(2):
            await ask(rig, encode(body))
            sent = rig.generations[-1].body["request"]["contents"]
            assert sent[:37] == contents(request(18), CLAUDE)
            assert len(sent) == 39


async def test_its_prompt_is_counted_alike(tmp_path):
    async with serve(tmp_path) as rig:
        before = (await ask(rig, request(20), "/v1/messages/count_tokens")).json
        for turns in (18, 19):
            await ask(rig, request(turns), "/v1/messages/count_tokens")
        assert (await ask(rig, request(20), "/v1/messages/count_tokens")).json == before


async def test_debugging_shows_the_whole_request(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "mcp_proxy.server.generate")
    async with serve(tmp_path) as rig:
        for turns in (18, 19):
            caplog.clear()
            await ask(rig, request(turns))
            (line,) = [each for each in caplog.messages if " request: " in each]
            assert all(f"file {at}: " in line for at in range(turns))
