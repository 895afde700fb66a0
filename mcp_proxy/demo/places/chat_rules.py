"""Refuses a Chat Completions request as OpenAI would. Source: client-apis.md 2, providers.md 2."""

from collections.abc import Iterator
from typing import Any

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.chat_reading import chat_tokens, text_of
from mcp_proxy.demo.places.openai_errors import (
    invalid,
    missing,
    too_long,
    unsupported_parameter,
    wrong_value,
)
from mcp_proxy.demo.places.openai_tools import (
    identifier_problem,
    reasoning_problems,
    schema_problems,
    tool_problems,
)
from mcp_proxy.demo.refusals import Answer, JsonObject

FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "seed",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "metadata",
        "store",
        "service_tier",
        "modalities",
        "audio",
        "prediction",
        "web_search_options",
        "moderation",
        "functions",
        "function_call",
    }
)
_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_USER_PARTS = ("text", "image_url", "input_audio", "file")
_ASSISTANT_PARTS = ("text", "refusal")
_PARTS = {
    "user": _USER_PARTS,
    "assistant": _ASSISTANT_PARTS,
    "tool": ("text",),
    "system": ("text",),
    "developer": ("text",),
    "function": ("text",),
}
_MOST_STOPS = 4


def problems(body: JsonObject, model: DemoModel) -> Iterator[Answer]:
    """Everything that OpenAI itself refuses."""
    for name in body.keys() - FIELDS:
        yield invalid(f"Unrecognized request argument supplied: {name}")
    yield from common_problems(body)
    yield from _tokens(body, model)
    effort = body.get("reasoning_effort")
    yield from reasoning_problems(body, model, effort=effort, field="reasoning_effort")
    if not model.levels and effort is not None:
        yield invalid("Unrecognized request argument supplied: reasoning_effort")
    if model.levels and body.get("stop") is not None:
        yield unsupported_parameter("stop")
    yield from _format(body)
    tokens = chat_tokens(body)
    if tokens > model.window:
        yield too_long(tokens, model.window)


def common_problems(body: JsonObject) -> Iterator[Answer]:
    """What every server of this API refuses: a conversation or tools that make no sense."""
    messages = body.get("messages")
    if messages is None:
        yield missing("messages")
        return
    if not messages:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        yield invalid(text, "messages", "empty_array")
    for at, message in enumerate(messages):
        yield from _message(message, f"messages[{at}]")
    yield from _pairs(messages)
    yield from _tools(body)
    if body.get("stream_options") is not None and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        yield invalid(text, "stream_options")


def _message(message: JsonObject, path: str) -> Iterator[Answer]:
    role = message.get("role")
    if role not in _ROLES:
        yield wrong_value(f"{path}.role", role, _ROLES)
        return
    content = message.get("content")
    if content is None and role != "assistant":
        yield invalid(
            "Invalid value for 'content': expected a string, got null.", f"{path}.content"
        )
    if content is None and role == "assistant" and not message.get("tool_calls"):
        yield invalid(
            "Invalid value for 'content': expected a string, got null.", f"{path}.content"
        )
    if message.get("tool_calls") == []:
        text = f"Invalid '{path}.tool_calls': empty array. Expected an array with minimum length 1."
        yield invalid(text, f"{path}.tool_calls", "empty_array")
    for at, part in enumerate(content if isinstance(content, list) else ()):
        yield from _part(part, role, f"{path}.content[{at}]")
    for at, call in enumerate(message.get("tool_calls") or ()):
        yield from identifier_problem(call.get("id"), f"{path}.tool_calls[{at}].id")
        yield from _call(call, f"{path}.tool_calls[{at}]")
    if role == "tool":
        yield from identifier_problem(message.get("tool_call_id"), f"{path}.tool_call_id")


def _part(part: JsonObject, role: str, path: str) -> Iterator[Answer]:
    kind = part.get("type")
    if kind == "image_url" and role != "user":
        yield invalid(
            "Image URLs are only allowed for messages with role 'user', but this message with "
            f"role '{role}' contains an image URL.",
            path,
            "invalid_value",
        )
    elif kind not in _PARTS[role]:
        yield wrong_value(f"{path}.type", kind, _PARTS[role])
    elif kind == "image_url" and not _is_image((part.get("image_url") or {}).get("url")):
        yield invalid("Invalid image URL.", f"{path}.image_url.url", "invalid_image_url")


def _is_image(url: Any) -> bool:
    return isinstance(url, str) and url.startswith(("data:image/", "https://", "http://"))


def _call(call: JsonObject, path: str) -> Iterator[Answer]:
    kind = call.get("type")
    if kind not in ("function", "custom"):
        yield wrong_value(f"{path}.type", kind, ("function", "custom"))
        return
    inner = call.get(kind) or {}
    text = inner.get("arguments" if kind == "function" else "input")
    if not inner.get("name"):
        yield missing(f"{path}.{kind}.name")
    if not isinstance(text, str):
        yield invalid(
            f"Invalid type for '{path}.{kind}.arguments': expected a string.",
            f"{path}.{kind}.arguments",
            "invalid_type",
        )


def _pairs(messages: list[JsonObject]) -> Iterator[Answer]:
    """Tool messages directly behind the calls that they answer, all of them."""
    waiting: list[str] = []
    for at, message in enumerate(messages):
        if message.get("role") == "tool":
            identifier = message.get("tool_call_id")
            if identifier not in waiting:
                yield invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'.",
                    f"messages.[{at}].role",
                )
            else:
                waiting.remove(identifier)
            continue
        yield from _unanswered(waiting)
        waiting = [call.get("id", "") for call in message.get("tool_calls") or ()]
    yield from _unanswered(waiting)


def _unanswered(waiting: list[str]) -> Iterator[Answer]:
    if waiting:
        yield invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(waiting)}",
            "messages",
        )


def _tools(body: JsonObject) -> Iterator[Answer]:
    tools = body.get("tools")
    if tools == []:
        text = "Invalid 'tools': empty array. Expected an array with minimum length 1."
        yield invalid(text, "tools", "empty_array")
    for at, tool in enumerate(tools or ()):
        kind = tool.get("type")
        if kind not in ("function", "custom") or kind not in tool:
            yield wrong_value(f"tools[{at}].type", kind, ("function", "custom"))
            return
    functions = [tool["function"] for tool in tools or () if tool["type"] == "function"]
    yield from tool_problems(
        [
            (
                function.get("name", ""),
                function.get("parameters") or {"type": "object", "additionalProperties": False},
                bool(function.get("strict")),
            )
            for function in functions
        ],
        "function.",
    )
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) is not None:
                only = f"'{name}' is only allowed when 'tools' are specified."
                yield invalid(f"Invalid value for '{name}': {only}", name)


def _tokens(body: JsonObject, model: DemoModel) -> Iterator[Answer]:
    if model.levels and body.get("max_tokens") is not None:
        yield unsupported_parameter("max_tokens", "max_completion_tokens")
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted is not None and wanted > model.max_output:
        yield invalid(
            f"max_tokens is too large: {wanted}. This model supports at most {model.max_output} "
            "completion tokens, whereas you provided a larger number.",
            "max_tokens",
            "invalid_value",
        )
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > _MOST_STOPS:
        text = (
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}."
        )
        yield invalid(text, "stop", "array_above_max_length")


def _format(body: JsonObject) -> Iterator[Answer]:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        said = " ".join(text_of(message.get("content")) for message in body["messages"])
        if "json" not in said.lower():
            yield invalid(
                "'messages' must contain the word 'json' in some form, to use 'response_format' "
                "of type 'json_object'.",
                "messages",
            )
    if wanted.get("type") == "json_schema":
        inner = wanted.get("json_schema") or {}
        if not inner.get("name"):
            yield missing("response_format.json_schema.name")
        yield from schema_problems(
            inner.get("name", ""),
            inner.get("schema") or {},
            strict=bool(inner.get("strict")),
            param="response_format",
        )
