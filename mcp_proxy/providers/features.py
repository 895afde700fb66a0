"""Features of a request that some servers refuse, and the body without them.

A server that refuses one says so in a 400 once; from then on its requests go without (providers.md
section 3). Names are those of the field, `a->b` for what has another name there, `+a` for what a
server misses. How servers say it is in `feature_refusals.py`.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from mcp_proxy.conversation import OutputFormat
from mcp_proxy.dialects.wording import json_instruction

JsonObject = dict[str, Any]


def _without(*fields: str) -> Callable[[JsonObject], JsonObject]:
    def drop(body: JsonObject) -> JsonObject:
        return {name: value for name, value in body.items() if name not in fields}

    return drop


def _renamed(old: str, new: str) -> Callable[[JsonObject], JsonObject]:
    def rename(body: JsonObject) -> JsonObject:
        return {new if name == old else name: value for name, value in body.items()}

    return rename


def _each(
    field: str, change: Callable[[JsonObject], JsonObject]
) -> Callable[[JsonObject], JsonObject]:
    def rewrite(body: JsonObject) -> JsonObject:
        items = body.get(field)
        return {**body, field: [change(item) for item in items]} if items else body

    return rewrite


def _system_role(message: JsonObject) -> JsonObject:
    return {**message, "role": "system"} if message.get("role") == "developer" else message


_NO_PICTURE: Final = {"type": "text", "text": "[an image: this model takes text only]"}


def _text_only(message: JsonObject) -> JsonObject:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [_NO_PICTURE if part.get("type") == "image_url" else part for part in content]
    return {**message, "content": kept}


def _without_reasoning(message: JsonObject) -> JsonObject:
    return {name: value for name, value in message.items() if name not in _REASONING_FIELDS}


_REASONING_FIELDS: Final = ("reasoning_content", "reasoning_details")


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
    bare = {name: value for name, value in tool.items() if name != "strict"}
    function = bare.get("function")
    if isinstance(function, dict):
        bare["function"] = {name: value for name, value in function.items() if name != "strict"}
    return bare


def _any_json(body: JsonObject) -> JsonObject:
    """Any JSON in place of a schema, which is told in words."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return body
    return {**_json_in_words(body), "response_format": {"type": "json_object"}}


def _json_in_words(body: JsonObject) -> JsonObject:
    """The wish for JSON as an instruction, where a server has no field for it."""
    wanted = body.get("response_format") or {}
    bare = {name: value for name, value in body.items() if name != "response_format"}
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


DROPPABLE: Final = (
    "stream_options",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "metadata",
    "store",
    "service_tier",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "tool_choice",
    "truncation",
    "include",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
)
"""Top-level fields without which the request still means nearly the same."""

ADAPTATIONS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    **{field: _without(field) for field in DROPPABLE},
    "max_tokens->max_completion_tokens": _renamed("max_tokens", "max_completion_tokens"),
    "max_completion_tokens->max_tokens": _renamed("max_completion_tokens", "max_tokens"),
    "max_tokens": _without("max_tokens", "max_completion_tokens", "max_output_tokens"),
    "stream": _without("stream", "stream_options"),
    "developer->system": _each("messages", _system_role),
    "images": _each("messages", _text_only),
    "reasoning_content": _each("messages", _without_reasoning),
    "+reasoning_content": _each("messages", _with_reasoning),
    "short_call_ids": _each("messages", _short_ids),
    "strict": _each("tools", _loose),
    "response_format": _json_in_words,
    "response_format.json_schema": _any_json,
}

DIALECT: Final = "dialect:"
"""Prefix of the name of a dialect that a place does not speak for a model."""


def adapted(body: JsonObject, avoided: frozenset[str]) -> JsonObject:
    """The body without what is avoided; the same object when there is nothing to do."""
    for name in sorted(avoided & ADAPTATIONS.keys()):
        body = ADAPTATIONS[name](body)
    return body
