"""Refuses a Responses request as OpenAI would. Source: client-apis.md 3.1, providers.md 2, 7.5."""

from collections.abc import Iterator
from typing import Any

from mcp_proxy.demo import signatures
from mcp_proxy.demo.catalogue import DemoModel
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
from mcp_proxy.demo.places.responses_reading import items_of, responses_tokens
from mcp_proxy.demo.refusals import Answer, JsonObject

FIELDS = frozenset(
    {
        "model",
        "input",
        "instructions",
        "max_output_tokens",
        "temperature",
        "top_p",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tool_calls",
        "reasoning",
        "text",
        "store",
        "previous_response_id",
        "conversation",
        "include",
        "truncation",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "background",
        "prompt",
        "top_logprobs",
        "context_management",
        "moderation",
        "client_metadata",
    }
)
_ROLES = ("assistant", "system", "developer", "user")
_INPUT_PARTS = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT_PARTS = ("output_text", "refusal")
_ITEM_FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "message": (frozenset({"role", "content"}), frozenset({"id", "status", "phase"})),
    "function_call": (
        frozenset({"call_id", "name", "arguments"}),
        frozenset({"id", "status", "namespace"}),
    ),
    "function_call_output": (frozenset({"call_id", "output"}), frozenset({"id", "status"})),
    "custom_tool_call": (frozenset({"call_id", "name", "input"}), frozenset({"id", "status"})),
    "custom_tool_call_output": (frozenset({"call_id", "output"}), frozenset({"id"})),
    "reasoning": (
        frozenset({"summary"}),
        frozenset({"id", "content", "encrypted_content", "status"}),
    ),
    "web_search_call": (frozenset(), frozenset({"id", "status", "action"})),
    "item_reference": (frozenset({"id"}), frozenset()),
    "additional_tools": (frozenset({"role", "tools"}), frozenset({"id"})),
}
"""Kinds of items: the fields they must and those they may have."""
_ID_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "reasoning": "rs",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
}
_CALLS = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
}
_TOOLS = (
    "function",
    "custom",
    "namespace",
    "web_search",
    "web_search_preview",
    "tool_search",
    "local_shell",
    "shell",
    "apply_patch",
    "image_generation",
    "mcp",
)
_FEWEST_TOKENS = 16


def problems(body: JsonObject, model: DemoModel, *, signer: str = "gpt") -> Iterator[Answer]:
    """Everything that is refused. `signer`: whose encrypted reasoning is good here."""
    for name in body.keys() - FIELDS:
        yield invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if body.get("input") in (None, "", []):
        yield missing("input")
        return
    items = items_of(body)
    for at, item in enumerate(items):
        yield from _item(item, f"input[{at}]", body, signer)
    yield from _pairs(items)
    yield from _reasoning_is_followed(items)
    yield from _tools(body)
    yield from _numbers(body, model)
    effort = (body.get("reasoning") or {}).get("effort")
    if not model.levels and body.get("reasoning"):
        yield unsupported_parameter("reasoning.effort")
    yield from reasoning_problems(body, model, effort=effort, field="reasoning.effort")
    yield from _format(body)
    tokens = responses_tokens(body)
    if tokens > model.window:
        yield too_long(tokens, model.window)


def _item(item: JsonObject, path: str, body: JsonObject, signer: str) -> Iterator[Answer]:
    kind = item["type"]
    if kind not in _ITEM_FIELDS:
        yield wrong_value(path, kind, tuple(_ITEM_FIELDS))
        return
    needed, optional = _ITEM_FIELDS[kind]
    for name in sorted(needed - item.keys()):
        yield missing(f"{path}.{name}")
    for name in sorted(item.keys() - needed - optional - {"type"}):
        text = f"Unknown parameter: '{path}.{name}'."
        yield invalid(text, f"{path}.{name}", "unknown_parameter")
    yield from _item_id(item, path, body)
    if kind == "message":
        yield from _message(item, path)
    elif kind == "reasoning":
        yield from _reasoning(item, path, body, signer)
    elif "call_id" in item:
        yield from identifier_problem(item["call_id"], f"{path}.call_id")


def _item_id(item: JsonObject, path: str, body: JsonObject) -> Iterator[Answer]:
    identifier = item.get("id")
    if identifier is None:
        return
    kind = item["type"]
    if kind == "item_reference":
        text = f"Item with id '{identifier}' not found."
        if body.get("store") is False:
            text += " Items are not persisted when `store` is set to false."
        yield invalid(text, "input")
        return
    yield from identifier_problem(identifier, f"{path}.id")
    prefix = _ID_PREFIXES.get(kind)
    if prefix and not str(identifier).startswith(prefix):
        text = f"Invalid '{path}.id': '{identifier}'. Expected an ID that begins with '{prefix}'."
        yield invalid(text, f"{path}.id", "invalid_value")


def _message(item: JsonObject, path: str) -> Iterator[Answer]:
    role = item.get("role")
    if role not in _ROLES:
        yield wrong_value(f"{path}.role", role, _ROLES)
        return
    allowed = _OUTPUT_PARTS if role == "assistant" else _INPUT_PARTS
    content = item.get("content")
    for at, part in enumerate(content if isinstance(content, list) else ()):
        yield from _part(part, allowed, f"{path}.content[{at}]")


def _part(part: JsonObject, allowed: tuple[str, ...], path: str) -> Iterator[Answer]:
    kind = part.get("type")
    if kind not in allowed:
        yield wrong_value(f"{path}.type", kind, allowed)
    elif kind == "input_image" and not isinstance(part.get("image_url", ""), str):
        text = f"Invalid type for '{path}.image_url': expected an image URL, but got an object."
        yield invalid(text, f"{path}.image_url", "invalid_type")
    elif kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
        yield missing(f"{path}.text")


def _reasoning(item: JsonObject, path: str, body: JsonObject, signer: str) -> Iterator[Answer]:
    sealed = item.get("encrypted_content")
    if sealed is None:
        if body.get("store") is False:
            yield invalid(
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` "
                "is set to false. Try again with `store` set to true, or remove this item from "
                "your input.",
                "input",
            )
    elif not signatures.is_genuine(sealed, signer):
        yield invalid(
            f"The encrypted content for item {item.get('id')} could not be verified.",
            None,
            "invalid_encrypted_content",
        )


def _pairs(items: list[JsonObject]) -> Iterator[Answer]:
    """As many outputs as calls, each behind its own."""
    waiting: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind in _CALLS.values():
            waiting[item.get("call_id", "")] = kind
        elif kind in _CALLS and waiting.pop(item.get("call_id", ""), None) != _CALLS[kind]:
            label, identifier = kind.replace("_", " "), item.get("call_id")
            text = f"No tool call found for {label} with call_id {identifier}."
            yield invalid(text, "input")
    for identifier, kind in waiting.items():
        label = "custom tool call" if kind == "custom_tool_call" else "function call"
        yield invalid(f"No tool output found for {label} {identifier}.", "input")


def _reasoning_is_followed(items: list[JsonObject]) -> Iterator[Answer]:
    for item, after in zip(items, [*items[1:], {}], strict=True):
        if item["type"] != "reasoning":
            continue
        follows = after.get("type") in (
            "reasoning",
            "function_call",
            "custom_tool_call",
            "web_search_call",
        ) or (after.get("type") == "message" and after.get("role") == "assistant")
        if not follows:
            yield invalid(
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required "
                "following item.",
                "input",
            )


def _tools(body: JsonObject) -> Iterator[Answer]:
    tools: list[JsonObject] = body.get("tools") or []
    for at, tool in enumerate(tools):
        kind = tool.get("type")
        if kind not in _TOOLS:
            yield wrong_value(f"tools[{at}].type", kind, _TOOLS)
        if kind in ("function", "custom") and not tool.get("name"):
            yield missing(f"tools[{at}].name")
    functions = [tool for tool in tools if tool.get("type") == "function" and tool.get("name")]
    # Left out, `strict` means strict here, and the schema is made to fit (client-apis.md 3.1).
    yield from tool_problems(
        [(tool["name"], _schema(tool), tool.get("strict") is True) for tool in functions], ""
    )
    names = [tool.get("name") for tool in tools if tool.get("name")]
    for name in {name for name in names if names.count(name) > 1}:
        yield invalid(f"Duplicate tool name: '{name}'.", "tools", "invalid_value")
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none") and not tools:
        text = "Tool choice must be 'auto' or 'none' when no tools are given."
        yield invalid(text, "tool_choice", "invalid_value")
    if isinstance(choice, dict) and "name" in choice and choice["name"] not in names:
        text = f"Tool choice '{choice['name']}' not found in 'tools' parameter."
        yield invalid(text, "tool_choice", "invalid_value")


def _schema(tool: JsonObject) -> JsonObject:
    parameters: Any = tool.get("parameters")
    return parameters or {"type": "object", "additionalProperties": False}


def _numbers(body: JsonObject, model: DemoModel) -> Iterator[Answer]:
    wanted = body.get("max_output_tokens")
    if wanted is None:
        return
    if wanted < _FEWEST_TOKENS:
        yield invalid(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{_FEWEST_TOKENS}, but got {wanted} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    elif wanted > model.max_output:
        yield invalid(
            f"max_output_tokens is too large: {wanted}. This model supports at most "
            f"{model.max_output} output tokens.",
            "max_output_tokens",
            "invalid_value",
        )


def _format(body: JsonObject) -> Iterator[Answer]:
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") != "json_schema":
        return
    if not wanted.get("name"):
        yield missing("text.format.name")
    yield from schema_problems(
        wanted.get("name", ""),
        wanted.get("schema") or {},
        strict=bool(wanted.get("strict")),
        param="text.format.schema",
    )
