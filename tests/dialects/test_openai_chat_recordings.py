"""Requests that real clients sent: each one parses, and none loses what it said."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_proxy.conversation import Text, ToolCall, ToolResult
from mcp_proxy.dialects import client_dialect

RECORDINGS = Path(__file__).parent.parent / "recordings"
PATTERNS = ("py-openai-*.json", "langchain-openai*.json", "llm-*.json", "aider-openai*.json")
FILES = sorted(
    path
    for pattern in PATTERNS
    for path in RECORDINGS.glob(pattern)
    if "responses" not in path.name
)


def chat_requests() -> list[Any]:
    cases = []
    for file in FILES:
        recorded = json.loads(file.read_text())
        for at, request in enumerate(recorded):
            if request["path"] != "/v1/chat/completions":
                continue
            body = request["body"]
            if (original := body.get("__same_body_as_request__")) is not None:
                body = recorded[original]["body"]
            headers = {name.lower(): value for name, value in request["headers"].items()}
            cases.append(pytest.param(body, headers, id=f"{file.stem}-{at}"))
    return cases


def test_every_client_of_the_issue_is_among_the_recordings():
    names = {file.name.split("-")[0] for file in FILES}
    assert names == {"py", "langchain", "llm", "aider"}
    assert len(FILES) == 17


@pytest.mark.parametrize(("body", "headers"), chat_requests())
def test_recorded_request_parses_without_loss(body, headers):
    conversation = client_dialect("openai_chat").parse_request(body, headers)

    parts = [part for message in conversation.messages for part in message.parts]
    texts = [part.text for part in (*conversation.system, *parts) if isinstance(part, Text)]
    assert texts == [
        text
        for message in body["messages"]
        if message["role"] != "tool"
        for text in texts_of(message["content"])
    ]
    assert [part.id for part in parts if isinstance(part, ToolCall)] == [
        call["id"] for message in body["messages"] for call in message.get("tool_calls") or ()
    ]
    assert [part.call_id for part in parts if isinstance(part, ToolResult)] == [
        message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"
    ]
    assert [tool.name for tool in conversation.tools] == [
        tool["function"]["name"] for tool in body.get("tools", ())
    ]
    assert conversation.model == body["model"]
    assert conversation.wants_stream is body.get("stream", False)
    assert not conversation.extras
    assert not conversation.ignored


def texts_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if part["type"] == "text"]
