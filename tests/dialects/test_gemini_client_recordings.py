"""Requests that real clients sent: each one parses, and none loses what it said."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_proxy.conversation import Media, Text, Thinking, ToolCall, ToolResult
from mcp_proxy.dialects import PathTarget, client_dialect

CLIENT = client_dialect("gemini")
RECORDINGS = Path(__file__).parent.parent / "recordings"
FILES = sorted([*RECORDINGS.glob("gemini-cli-*.json"), *RECORDINGS.glob("py-genai-*.json")])


def requests() -> list[Any]:
    cases = []
    for file in FILES:
        recorded = json.loads(file.read_text())
        for at, request in enumerate(recorded):
            body = request["body"]
            if body is None:
                continue
            if (original := body.get("__same_body_as_request__")) is not None:
                body = recorded[original]["body"]
            headers = {name.lower(): value for name, value in request["headers"].items()}
            cases.append(pytest.param(request["path"], body, headers, id=f"{file.stem}-{at}"))
    return cases


def test_both_clients_are_among_the_recordings():
    assert {file.name.split("-")[0] for file in FILES} == {"gemini", "py"}
    assert len(FILES) == 23


@pytest.mark.parametrize(("path", "body", "headers"), requests())
def test_recorded_request_parses_without_loss(path, body, headers):
    target = PathTarget("m", stream="stream" in path)
    if path.endswith(":countTokens"):
        conversation = CLIENT.parse_count_request(body, headers, target)
    else:
        conversation = CLIENT.parse_request(body, headers, target)

    sent = [part for content in body["contents"] for part in content["parts"]]
    parts = [part for message in conversation.messages for part in message.parts]
    assert len(parts) == len(sent)
    assert all(isinstance(part, Text | Media | Thinking | ToolCall | ToolResult) for part in parts)
    assert [part.text for part in parts if isinstance(part, Text)] == [
        part["text"] for part in sent if "text" in part
    ]
    calls = [part["functionCall"] for part in sent if "functionCall" in part]
    made = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in made] == [
        (call["id"], call["name"], call["args"]) for call in calls
    ]
    assert all(call.seal is not None and "_" not in call.seal.value for call in made)
    results = [part.call_id for part in parts if isinstance(part, ToolResult)]
    assert results == [call["id"] for call in calls]
    declared = [tool for entry in body.get("tools", ()) for tool in entry["functionDeclarations"]]
    assert [tool.name for tool in conversation.tools] == [tool["name"] for tool in declared]
    assert all(tool.schema["type"] == "object" for tool in conversation.tools)
    assert conversation.wants_stream is target.stream
    assert not conversation.extras
    assert not conversation.ignored


def recorded(stem: str, at: int) -> Any:
    body = json.loads((RECORDINGS / f"{stem}.json").read_text())[at]["body"]
    return CLIENT.parse_request(body, {}, PathTarget("m", stream=False))


def test_router_of_gemini_cli_gets_its_upper_case_schema_as_json_schema():
    output = recorded("gemini-cli-default-model", 0).output
    assert output.schema["type"] == "object"
    assert output.schema["properties"]["complexity_score"]["type"] == "integer"


def test_thinking_that_gemini_cli_asks_for():
    new, old = recorded("gemini-cli-default-model", 1), recorded("gemini-cli-plain", 0)
    assert (new.reasoning.effort, new.reasoning.visible) == ("high", True)
    assert (old.reasoning.budget, old.reasoning.visible) == (8192, True)


def test_schema_of_a_pydantic_class():
    schema = recorded("py-genai-json-schema", 0).output.schema
    assert schema["required"] == ["greeting", "steps"]
    assert schema["properties"]["steps"]["items"]["type"] == "object"
    assert "property_ordering" not in schema


def test_functions_failure_is_an_error_of_its_result():
    (result,) = recorded("py-genai-auto-tools", 1).messages[-1].parts
    assert result.is_error
    assert result.parts[0].text == "<text 189 chars>"


def test_signature_that_an_sdk_rewrote_is_the_one_it_was_given():
    (call,) = recorded("py-genai-manual-tools", 1).messages[1].parts
    assert call.seal.value == "c2lnLdZafT+ia0sZoHteF/uhYuU="
