"""Every valid request that a real client sent is answered over every upstream dialect.

Recorded histories carry signatures and encrypted reasoning that no upstream here has issued; a
first refusal for that is mended on the way and never reaches the client.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from placed import Placed, placed
from served import Json, settings_with

RECORDINGS = Path(__file__).parent / "recordings"

UPSTREAMS = {
    "anthropic": ("anthropic", "claude-sonnet-4-6"),
    "openai_chat": ("openai-compatible", "qwen3:8b"),
    "openai_responses": ("codex", "gpt-5.5"),
    "gemini": ("gemini", "gemini-3-flash-preview"),
}

CLIENTS = {
    "claude-code": "claude-code-*.json",
    "anthropic-sdk": "py-anthropic-*.json",
    "langchain-anthropic": "langchain-anthropic*.json",
    "openai-sdk": "py-openai-*.json",
    "langchain-openai": "langchain-openai*.json",
    "llm": "llm-*.json",
    "aider": "aider-*.json",
    "codex": "codex-*.json",
    "gemini-cli": "gemini-cli-*.json",
    "google-genai": "py-genai-*.json",
}

GENERATING = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
ACTIONS = (":generateContent", ":streamGenerateContent")


def recorded(pattern: str) -> Iterator[tuple[str, Json]]:
    """(name, request) of every generation request that stands alone, each kind of body once."""
    seen: set[str] = set()
    for file in sorted(RECORDINGS.glob(pattern)):
        for at, request in enumerate(json.loads(file.read_text())):
            body = request["body"] or {}
            path = request["path"]
            if path not in GENERATING and not path.endswith(ACTIONS):
                continue
            if "__same_body_as_request__" in body:
                continue
            if body.get("thread", {}).get("type") == "continue":
                continue
            shape = json.dumps([path, body], sort_keys=True)[:200_000]
            if shape not in seen:
                seen.add(shape)
                yield f"{file.stem}-{at}", request


def sent_headers(request: Json) -> dict[str, str]:
    """What the client sent, but for what belongs to its own connection."""
    connection = {"host", "content-length", "connection", "accept-encoding"}
    return {k: v for k, v in request["headers"].items() if k.lower() not in connection}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_every_recorded_request_is_answered(tmp_path, client, upstream):
    provider, model = UPSTREAMS[upstream]
    wrong = {}
    requests = list(recorded(CLIENTS[client]))
    settings = settings_with(aliases={"*": (f"{provider}/{model}",)})
    async with (
        placed(tmp_path, provider, settings=settings) as rig,
        aiohttp.ClientSession() as http,
    ):
        await rig.runtime.learn_models(5)
        for name, request in requests:
            problem = await trouble(http, rig, request)
            if problem is not None:
                wrong[name] = problem
    assert requests
    assert wrong == {}


async def trouble(http: aiohttp.ClientSession, rig: Placed, request: Json) -> Any:
    """What is wrong with the answer to one request; None when nothing is."""
    url = rig.url + request["path"] + (f"?{request['query']}" if request["query"] else "")
    async with http.post(url, json=request["body"], headers=sent_headers(request)) as response:
        body = await response.read()
        if response.status != 200:
            return response.status, body[:400]
        is_stream = response.content_type == "text/event-stream"
    if not is_stream:
        return None if json.loads(body) else body
    last = [line for line in body.decode().splitlines() if line.startswith("data: ")][-1]
    return None if any(end in last for end in ENDS) and '"error":{' not in last else last[:400]


ENDS = ("message_stop", "[DONE]", "response.completed", "finishReason", "response.incomplete")
"""How whole streams of each API end."""
