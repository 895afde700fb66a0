"""Every valid request that a real client sent is answered, whole and as a stream.

The recordings were made with answers of another server, so thinking in their histories carries
signatures that no upstream here has issued, and their models are not all served: both are what
users' requests look like on the day they switch to this proxy.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import TWO, Json, Rig, serve, settings_with

RECORDINGS = Path(__file__).parent / "recordings"
GENERATING = {"/v1/messages", "/v1/chat/completions"}
ALIASES = {"gpt-4o*": ("gemini-3-flash",), "gpt-5-codex": ("claude-sonnet-4-5",)}

CLIENTS = {
    "claude-code": "claude-code-*.json",
    "anthropic-sdk": "py-anthropic-*.json",
    "langchain-anthropic": "langchain-anthropic*.json",
    "aider-anthropic": "aider-anthropic*.json",
    "openai-sdk": "py-openai-*.json",
    "langchain-openai": "langchain-openai*.json",
    "llm": "llm-*.json",
    "aider-openai": "aider-openai*.json",
}


def recorded(pattern: str) -> Iterator[tuple[str, Json]]:
    """(name, request) of every recorded request that stands alone and is no mere repetition."""
    for file in sorted(RECORDINGS.glob(pattern)):
        for at, request in enumerate(json.loads(file.read_text())):
            body = request["body"] or {}
            if (
                "__same_body_as_request__" in body
                or body.get("thread", {}).get("type") == "continue"
            ):
                continue
            yield f"{file.stem}-{at}", request


def sent_headers(request: Json) -> dict[str, str]:
    """What the client sent, but for what belongs to its own connection."""
    connection = {"host", "content-length", "connection", "accept-encoding"}
    return {k: v for k, v in request["headers"].items() if k.lower() not in connection}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_every_recorded_request_is_answered(tmp_path, client, stream):
    wrong = {}
    settings = settings_with(aliases=ALIASES)
    async with serve(tmp_path, people=TWO, settings=settings, calls_per_bucket=1000) as rig:
        requests = [pair for pair in recorded(CLIENTS[client]) if pair[1]["path"] in GENERATING]
        for name, request in requests:
            problem = await trouble(rig, request, stream=stream)
            if problem is not None:
                wrong[name] = problem
    assert requests
    assert wrong == {}


async def trouble(rig: Rig, request: Json, *, stream: bool) -> Any:
    """What is wrong with the answer to one request; None when nothing is."""
    body = {**request["body"], "stream": stream}
    if not stream:
        body.pop("stream_options", None)
    path = request["path"] + (f"?{request['query']}" if request["query"] else "")
    answer = await rig.post(path, body, sent_headers(request))
    if answer.status != 200:
        return answer.status, answer.body
    if not stream:
        whole = answer.json
        return None if whole["model"] == body["model"] else whole
    events = answer.events
    if request["path"] == "/v1/messages":
        return None if events[-1][0] == "message_stop" else events
    return None if events[-1][1] == "[DONE]" and "error" not in events[-2][1] else events


async def test_recorded_probes_and_counts_are_answered_without_the_upstream(tmp_path):
    asked = 0
    async with serve(tmp_path) as rig:
        for name, request in recorded("claude-code-*.json"):
            if request["path"] == "/":
                answer = await rig.call(request["method"], "/", None, sent_headers(request))
            elif request["path"] == "/v1/messages/count_tokens":
                answer = await rig.post(request["path"], request["body"], sent_headers(request))
                assert answer.json["input_tokens"] > 0, name
            else:
                continue
            asked += 1
            assert answer.status == 200, (name, answer.body)
        assert asked > 40
        assert not rig.upstream.requests
