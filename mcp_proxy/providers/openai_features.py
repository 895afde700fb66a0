"""Features of bodies of OpenAI's formats that servers refuse, and doing without them.

How servers say it is in `openai_refusals.py`, what is common to all formats in `features.py`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from mcp_proxy.conversation import OutputFormat
from mcp_proxy.dialects.wording import json_instruction
from mcp_proxy.providers.body_edits import Edit, JsonObject, dropping, each, less, renaming
from mcp_proxy.providers.features import DROPPED


def _system_role(message: JsonObject) -> JsonObject:
    return {**message, "role": "system"} if message.get("role") == "developer" else message


_NO_PICTURE: Final = {"type": "text", "text": "[an image: this model takes text only]"}


def _text_only(message: JsonObject) -> JsonObject:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [_NO_PICTURE if part.get("type") == "image_url" else part for part in content]
    return {**message, "content": kept}


def _short_ids(message: JsonObject) -> JsonObject:
    """Mistral takes ids of exactly nine letters and digits."""
    if "tool_call_id" in message:
        return {**message, "tool_call_id": _short(message["tool_call_id"])}
    if message.get("tool_calls"):
        calls = [{**call, "id": _short(call["id"])} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    return message


def _short(call_id: str) -> str:
    return sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _with_reasoning(message: JsonObject) -> JsonObject:
    """Where a thinking model wants its thoughts back and they are gone: none that it can read."""
    if message.get("role") != "assistant" or "reasoning_content" in message:
        return message
    return {**message, "reasoning_content": ""}


def _loose(tool: JsonObject) -> JsonObject:
    """Left out, it means false in Chat Completions, and true in Responses' flat functions."""
    if tool.get("type") == "function" and "function" not in tool:
        return {**tool, "strict": False}
    function = tool.get("function")
    if isinstance(function, dict):
        tool = {**tool, "function": less(function, "strict")}
    return less(tool, "strict")


def _any_json(body: JsonObject) -> JsonObject:
    """Any JSON in place of a schema, which is told in words."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return body
    return {**_json_in_words(body), "response_format": {"type": "json_object"}}


def _json_in_words(body: JsonObject) -> JsonObject:
    """The wish for JSON as an instruction, where a server has no field for it."""
    wanted = body.get("response_format") or {}
    bare = less(body, "response_format")
    if wanted.get("type") not in ("json_object", "json_schema"):
        return bare
    schema = (wanted.get("json_schema") or {}).get("schema")
    asked = json_instruction(OutputFormat(schema or None))
    return {**bare, "messages": _instructed(bare.get("messages", []), asked)}


def _instructed(messages: list[JsonObject], text: str) -> list[JsonObject]:
    """With one more instruction, in the first message: several servers take just one of them."""
    first = messages[0] if messages else {}
    if first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    content = first.get("content") or ""
    if isinstance(content, list):
        content = [*content, {"type": "text", "text": text}]
    else:
        content = f"{content}\n\n{text}"
    return [{**first, "content": content}, *messages[1:]]


ADAPTATIONS: Final[Mapping[str, Edit]] = {
    **DROPPED,
    "max_tokens->max_completion_tokens": renaming("max_tokens", "max_completion_tokens"),
    "max_completion_tokens->max_tokens": renaming("max_completion_tokens", "max_tokens"),
    "max_tokens": dropping("max_tokens", "max_completion_tokens", "max_output_tokens"),
    "stream": dropping("stream", "stream_options"),
    "developer->system": each("messages", _system_role),
    "images": each("messages", _text_only),
    "reasoning_content": each("messages", dropping("reasoning_content", "reasoning_details")),
    "+reasoning_content": each("messages", _with_reasoning),
    "short_call_ids": each("messages", _short_ids),
    "strict": each("tools", _loose),
    "response_format": _json_in_words,
    "response_format.json_schema": _any_json,
}
