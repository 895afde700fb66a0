"""Requests that real clients sent: each one parses, and none loses what it said."""

import json
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from mcp_proxy.conversation import Conversation, Media, Text, Thinking, ToolCall, ToolResult
from mcp_proxy.dialects.anthropic import CLIENT

RECORDINGS = Path(__file__).parent.parent / "recordings"
PATTERNS = (
    "claude-code-*.json",
    "py-anthropic-*.json",
    "langchain-anthropic*.json",
    "aider-anthropic*.json",
)
FILES = sorted(path for pattern in PATTERNS for path in RECORDINGS.glob(pattern))
PARSE = {
    "/v1/messages": CLIENT.parse_request,
    "/v1/messages/count_tokens": CLIENT.parse_count_request,
}


def requests() -> list[Any]:
    """The recorded requests, those included whose history the server is to have kept."""
    cases = []
    for file in FILES:
        recorded = json.loads(file.read_text())
        for at, request in enumerate(recorded):
            body = request["body"]
            if request["path"] not in PARSE:
                continue
            if (original := body.get("__same_body_as_request__")) is not None:
                body = recorded[original]["body"]
            cases.append(pytest.param({**request, "body": body}, id=f"{file.stem}-{at}"))
    return cases


def parse(request: dict[str, Any]) -> Conversation:
    return PARSE[request["path"]](request["body"], CIMultiDict(request["headers"]))


def test_every_client_is_among_the_recordings():
    assert len(FILES) == 64
    assert {file.name.split("-")[0] for file in FILES} == {"claude", "py", "langchain", "aider"}


@pytest.mark.parametrize("request_", requests())
def test_recorded_request_parses_without_loss(request_):
    body = request_["body"]
    conversation = parse(request_)

    assert [message.role for message in conversation.messages] == [
        message["role"] for message in body["messages"]
    ]
    for message, sent in zip(conversation.messages, body["messages"], strict=True):
        blocks = blocks_of(sent["content"])
        assert [type(part) for part in message.parts] == [TYPES[block["type"]] for block in blocks]
        for part, block in zip(message.parts, blocks, strict=True):
            assert said(part) == said_by_client(block)
    assert [tool.name for tool in conversation.tools] == [
        tool["name"] for tool in body.get("tools", ()) if "input_schema" in tool
    ]
    assert [tool.value for tool in conversation.server_tools] == [
        tool for tool in body.get("tools", ()) if "input_schema" not in tool
    ]
    assert conversation.model == body["model"]
    assert conversation.sampling.max_tokens == body.get("max_tokens")
    assert conversation.wants_stream is body.get("stream", False)
    assert set(conversation.extras) <= {"context_management", "metadata", "thread"}


TYPES = {
    "text": Text,
    "image": Media,
    "document": Media,
    "thinking": Thinking,
    "redacted_thinking": Thinking,
    "tool_use": ToolCall,
    "tool_result": ToolResult,
}


def blocks_of(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def said(part: Any) -> tuple[Any, ...]:
    match part:
        case Text(text):
            return (text,)
        case Media(data=data):
            return (data,)
        case Thinking(text, seal):
            return (text, seal.value)
        case ToolCall(call_id, name, arguments):
            return (call_id, name, json.loads(arguments))
        case ToolResult(call_id, parts, is_error):
            return (call_id, [said(inner)[0] for inner in parts], is_error)


def said_by_client(block: dict[str, Any]) -> tuple[Any, ...]:
    match block["type"]:
        case "text":
            return (block["text"],)
        case "image" | "document":
            return (block["source"]["data"],)
        case "thinking":
            return (block["thinking"], block["signature"])
        case "redacted_thinking":
            return ("", block["data"])
        case "tool_use":
            return (block["id"], block["name"], block["input"])
        case "tool_result":
            inner = [said_by_client(part)[0] for part in blocks_of(block["content"])]
            return (block["tool_use_id"], inner, block.get("is_error", False))


@pytest.mark.parametrize(
    "request_", [case for case in requests() if case.id.startswith("claude-code")]
)
def test_claude_code_is_recognised_again_and_its_attribution_line_is_gone(request_):
    conversation = parse(request_)
    assert conversation.session == request_["headers"]["X-Claude-Code-Session-Id"]
    assert [text.text for text in conversation.system] == [
        block["text"]
        for block in blocks_of(request_["body"].get("system", []))
        if not block["text"].startswith("x-anthropic-billing-header")
    ]
