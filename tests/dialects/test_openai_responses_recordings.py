"""Requests that real clients sent to /v1/responses: all parse, and none loses what it said."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_proxy.conversation import Media, Text, Thinking, ToolCall, ToolResult
from mcp_proxy.dialects import client_dialect

RECORDINGS = Path(__file__).parent.parent / "recordings"
PATTERNS = ("codex-*.json", "py-openai-responses-*.json", "langchain-openai-responses.json")
FILES = sorted(path for pattern in PATTERNS for path in RECORDINGS.glob(pattern))


def requests() -> list[Any]:
    cases = []
    for file in FILES:
        recorded = json.loads(file.read_text())
        for at, request in enumerate(recorded):
            body = request["body"]
            if (original := body.get("__same_body_as_request__")) is not None:
                body = recorded[original]["body"]
            headers = {name.lower(): value for name, value in request["headers"].items()}
            cases.append(pytest.param(body, headers, id=f"{file.stem}-{at}"))
    return cases


def items_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    given = body["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def texts_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content if part["type"].endswith("_text")]


def flat_names(tools: list[dict[str, Any]], prefix: str = "") -> list[str]:
    names = []
    for tool in tools:
        if tool["type"] == "namespace":
            names += flat_names(tool["tools"], f"{tool['name']}__")
        elif tool["type"] in ("function", "custom"):
            names.append(prefix + tool["name"])
    return names


def test_every_client_is_among_the_recordings():
    assert {file.name.split("-")[0] for file in FILES} == {"codex", "py", "langchain"}
    assert len(requests()) > 60


@pytest.mark.parametrize(("body", "headers"), requests())
def test_recorded_request_parses_without_loss(body, headers):
    conversation = client_dialect("openai_responses").parse_request(body, headers)

    items = items_of(body)
    parts = [part for message in conversation.messages for part in message.parts]
    said = [item["content"] for item in items if "role" in item and "content" in item]
    if "instructions" in body:
        said.insert(0, body["instructions"])
    assert [part.text for part in (*conversation.system, *parts) if isinstance(part, Text)] == [
        text for content in said for text in texts_of(content)
    ]
    assert [part.id for part in parts if isinstance(part, ToolCall)] == [
        item["call_id"] for item in items if item.get("type", "").endswith("_call")
    ]
    assert [part.call_id for part in parts if isinstance(part, ToolResult)] == [
        item["call_id"] for item in items if item.get("type", "").endswith("_output")
    ]
    assert [part.seal.value for part in parts if isinstance(part, Thinking)] == [
        item["encrypted_content"] for item in items if item.get("type") == "reasoning"
    ]
    brought = [tool for item in items for tool in item.get("tools", ())]
    assert [tool.name for tool in conversation.tools] == flat_names(body.get("tools", []) + brought)
    assert conversation.model == body["model"]
    assert conversation.wants_stream is body.get("stream", False)


@pytest.mark.parametrize(("body", "headers"), requests())
def test_codex_names_its_session_and_others_name_none(body, headers):
    conversation = client_dialect("openai_responses").parse_request(body, headers)
    assert conversation.session == body.get("prompt_cache_key")
    assert (conversation.session is not None) is headers["user-agent"].startswith("codex")


def parsed(name: str, at: int = 0) -> Any:
    request = json.loads((RECORDINGS / f"{name}.json").read_text())[at]
    return client_dialect("openai_responses").parse_request(request["body"], {})


def test_image_that_codex_attaches_is_read():
    (image,) = [
        part
        for message in parsed("codex-image").messages
        for part in message.parts
        if isinstance(part, Media)
    ]
    assert image.mime_type == "image/png"
    assert image.data


def test_schema_that_codex_wants_is_read():
    output = parsed("codex-output-schema").output
    assert output.name == "codex_output_schema"
    assert output.schema["type"] == "object"


def test_free_text_loop_of_codex_is_one_call_and_one_result():
    conversation = parsed("codex-gpt-6-sol-tool-loop", 1)
    *_, answer, result = conversation.messages
    call = answer.parts[-1]
    assert isinstance(call, ToolCall)
    assert json.loads(call.arguments)["input"].startswith("const r = await")
    assert [part.call_id for part in result.parts] == [call.id]
    assert result.parts[0].parts


def test_tools_that_nobody_here_can_run_are_named():
    assert "tools[8] (tool_search)" in parsed("codex-gpt-5.5-tool-loop").ignored
