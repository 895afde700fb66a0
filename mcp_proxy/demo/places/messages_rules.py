"""Refuses a Messages request as the real API would. Source: client-apis.md 1, providers.md 6.

What a conversation must be (results beside calls, genuine signatures) is Claude's own rule wherever
it is served, so `claude_rules` decides it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from mcp_proxy.demo import claude_rules
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.messages_reading import (
    blocks_of,
    messages_tokens,
    thinking_is_on,
)
from mcp_proxy.demo.refusals import JsonObject

NEWEST = "2026-10-21"
VERSIONS = ("2023-06-01", NEWEST)

_FIELDS = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "stream",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "cache_control",
        "service_tier",
        "speed",
        "container",
        "context_management",
        "mcp_servers",
        "diagnostics",
        "inference_geo",
        "user_profile_id",
    }
)
_NEEDS_BETA = {"output_format", "context_management", "mcp_servers"}
_SAMPLING = ("temperature", "top_p", "top_k")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_BLOCKS: dict[str, dict[str, tuple[str, ...]]] = {
    "user": {
        "text": ("text",),
        "image": ("source",),
        "document": ("source",),
        "search_result": ("source", "title", "content"),
        "tool_result": ("tool_use_id",),
        "container_upload": ("file_id",),
    },
    "assistant": {
        "text": ("text",),
        "thinking": ("thinking", "signature"),
        "redacted_thinking": ("data",),
        "tool_use": ("id", "name", "input"),
        "server_tool_use": ("id", "name", "input"),
        "web_search_tool_result": ("tool_use_id", "content"),
        "document": ("source",),
    },
}
"""Kinds of blocks by role, with the fields that each must have."""
_OPTIONAL = {
    "text": {"citations"},
    "document": {"title", "context", "citations"},
    "search_result": {"citations"},
    "tool_result": {"content", "is_error"},
    "tool_use": {"caller"},
    "server_tool_use": {"caller"},
    "web_search_tool_result": {"caller"},
}


def problems(
    body: JsonObject, model: DemoModel, *, version: str, betas: frozenset[str], signer: str | None
) -> Iterator[str]:
    """Texts of everything wrong, in the order in which it is found.

    `signer`: whose signatures are good here; None: nobody looks at them.
    """
    yield from _fields(body, betas)
    shape = list(_shape(body))
    yield from shape
    if shape:
        return
    yield from _sampling(body, model, version)
    yield from _newest(body, version)
    yield from _thinking(body, model)
    yield from _tools(body)
    yield from _conversation(body, signer)
    tokens = messages_tokens(body)
    if tokens > model.window:
        yield f"prompt is too long: {tokens} tokens > {model.window} maximum"


def _fields(body: JsonObject, betas: frozenset[str]) -> Iterator[str]:
    for name in body:
        if name not in _FIELDS or (name in _NEEDS_BETA and not betas):
            yield f"{name}: Extra inputs are not permitted"


def _shape(body: JsonObject) -> Iterator[str]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        yield "messages: Field required"
        return
    if not messages:
        yield "messages: at least one message is required"
    system = body.get("system")
    for at, block in enumerate(system if isinstance(system, list) else ()):
        if block.get("type") != "text":
            yield f"system.{at}.type: Input should be 'text'"
        elif not block.get("text"):
            yield "system: text content blocks must be non-empty"
    for at, message in enumerate(messages):
        yield from _message(message, f"messages.{at}")


def _message(message: JsonObject, path: str) -> Iterator[str]:
    role = message.get("role")
    if role == "system":
        return
    if role not in _BLOCKS:
        yield f"{path}.role: Input should be 'user', 'assistant' or 'system'"
        return
    for name in message.keys() - {"role", "content"}:
        yield f"{path}.{name}: Extra inputs are not permitted"
    content = message.get("content")
    if not isinstance(content, str | list):
        yield f"{path}.content: Field required"
    elif not content:
        yield f"{path}: all messages must have non-empty content"
    for at, block in enumerate(content if isinstance(content, list) else ()):
        yield from _block(block, _BLOCKS[role], f"{path}.content.{at}")


def _block(block: JsonObject, kinds: dict[str, tuple[str, ...]], path: str) -> Iterator[str]:
    kind = block.get("type", "")
    if kind not in kinds:
        names = ", ".join(f"'{name}'" for name in kinds)
        yield (
            f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected "
            f"tags: {names}"
        )
        return
    needed = kinds[kind]
    for name in needed:
        if name not in block:
            yield f"{path}.{kind}.{name}: Field required"
    allowed = {"type", "cache_control", *needed} | _OPTIONAL.get(kind, set())
    for name in block.keys() - allowed:
        yield f"{path}.{kind}.{name}: Extra inputs are not permitted"
    if "cache_control" in block and kind in ("thinking", "redacted_thinking"):
        yield f"{path}.{kind}.cache_control: Extra inputs are not permitted"
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        yield f"{path}.tool_use.input: Input should be a valid dictionary"
    if kind in ("image", "document"):
        yield from _source(block.get("source") or {}, kind, f"{path}.{kind}.source")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        inner = {name: fields for name, fields in _BLOCKS["user"].items() if name != kind}
        inner["tool_reference"] = ("tool_name",)
        for at, entry in enumerate(block["content"]):
            yield from _block(entry, inner, f"{path}.tool_result.content.{at}")


def _source(source: JsonObject, kind: str, path: str) -> Iterator[str]:
    how = source.get("type")
    if how not in ("base64", "url", "file", "text", "content"):
        yield (
            f"{path}: Input tag '{how}' found using 'type' does not match any of the expected tags"
        )
    if how != "base64":
        return
    if kind == "image" and source.get("media_type") not in _MEDIA_TYPES:
        names = ", ".join(f"'{name}'" for name in sorted(_MEDIA_TYPES))
        yield f"{path}.base64.media_type: Input should be {names}"
    if kind == "document" and source.get("media_type") != "application/pdf":
        yield f"{path}.base64.media_type: Input should be 'application/pdf'"
    try:
        base64.b64decode(source.get("data") or "", validate=True)
    except binascii.Error:
        yield f"{path}.base64: invalid base64 data"


def _sampling(body: JsonObject, model: DemoModel, version: str) -> Iterator[str]:
    if version == NEWEST:
        for name in _SAMPLING:
            if name in body:
                yield f"{name}: Extra inputs are not permitted"
        return
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        yield "temperature: range: 0..1"
    is_new = model.budgets is None  # 5.x: only the default is tolerated (providers.md 6)
    if is_new and temperature not in (None, 1):
        yield f"`temperature` is not supported by {model.id}"
    if is_new and (body.get("top_p") is not None or body.get("top_k") is not None):
        yield f"`top_p` and `top_k` are not supported by {model.id}"
    elif temperature is not None and body.get("top_p") is not None:
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if thinking_is_on(body):
        if temperature not in (None, 1):
            yield "`temperature` may only be set to 1 when thinking is enabled."
        if body.get("top_k") is not None:
            yield "`top_k` must be unset when thinking is enabled."


def _newest(body: JsonObject, version: str) -> Iterator[str]:
    if version != NEWEST:
        return
    for at, message in enumerate(body["messages"]):
        for nth, block in enumerate(blocks_of(message)):
            path = f"messages.{at}.content.{nth}"
            match message["role"], block["type"]:
                case "assistant", "document":
                    yield f"{path}: `document` blocks are not permitted in assistant messages"
                case "user", "text" if block.get("citations"):
                    yield f"{path}.text.citations: Extra inputs are not permitted"


def _thinking(body: JsonObject, model: DemoModel) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    effort = (body.get("output_config") or {}).get("effort")
    if effort is not None and effort not in model.levels:
        yield f"output_config.effort: `{effort}` is not supported by {model.id}"
    kind = thinking.get("type")
    if kind == "adaptive" and not model.levels:
        yield "adaptive thinking is not supported on this model"
    choice = (body.get("tool_choice") or {}).get("type")
    if thinking_is_on(body) and choice in ("any", "tool"):
        yield "Thinking may not be enabled when tool_choice forces tool use."
    if kind != "enabled":
        return
    if model.budgets is None:
        yield (
            '"thinking.type.enabled" is not supported for this model. Use '
            '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        yield "thinking.enabled.budget_tokens: Field required"
    elif budget < model.budgets[0]:
        yield (
            "thinking.enabled.budget_tokens: Input should be greater than or equal to "
            f"{model.budgets[0]}"
        )
    elif budget >= (body.get("max_tokens") or 0):
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."


def _tools(body: JsonObject) -> Iterator[str]:
    seen: set[str] = set()
    for at, tool in enumerate(body.get("tools") or ()):
        name = tool.get("name", "")
        if name in seen:
            yield "tools: Tool names must be unique."
        seen.add(name)
        if tool.get("type") in (None, "custom"):
            yield from _custom_tool(tool, f"tools.{at}.custom")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        yield "tool_choice: may only be specified while providing tools"
    elif choice.get("type") not in ("auto", "any", "tool", "none"):
        yield "tool_choice: Input tag does not match any of the expected tags"
    elif choice["type"] == "tool" and choice.get("name") not in seen:
        yield f"Tool '{choice.get('name')}' not found in provided tools"


def _custom_tool(tool: JsonObject, path: str) -> Iterator[str]:
    if not _NAME.fullmatch(tool.get("name", "")):
        yield f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        yield f"{path}.input_schema: Field required"
    elif schema.get("type") != "object":
        yield f"{path}.input_schema.type: Input should be 'object'"
    elif any(union in schema for union in ("anyOf", "oneOf", "allOf")):
        yield (
            f"{path}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
            "top level"
        )


def _conversation(body: JsonObject, signer: str | None) -> Iterator[str]:
    contents = _as_contents(body["messages"])
    if contents and contents[0]["role"] == "model":
        yield 'messages: first message must use the "user" role'
    thinking = thinking_is_on(body) and signer is not None
    for problem in claude_rules.problems(contents, thinking=thinking, family=signer or "claude"):
        if signer is not None or "thinking" not in problem:
            yield problem
    if _cache_points(body) > 4:
        yield "A maximum of 4 blocks with cache_control may be provided."


def _as_contents(messages: list[JsonObject]) -> list[JsonObject]:
    """The conversation as `claude_rules` reads it; neighbours of one role are one message."""
    contents: list[JsonObject] = []
    for message in messages:
        if message["role"] == "system":
            continue
        role = "model" if message["role"] == "assistant" else "user"
        parts = [_PARTS.get(block["type"], _other)(block) for block in blocks_of(message)]
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _other(_block: JsonObject) -> JsonObject:
    return {"inlineData": {}}


_PARTS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "text": lambda block: {"text": block["text"]},
    "thinking": lambda block: {
        "thought": True,
        "text": block["thinking"],
        "thoughtSignature": block["signature"],
    },
    "redacted_thinking": lambda block: {
        "thought": True,
        "text": "",
        "thoughtSignature": block["data"],
    },
    "tool_use": lambda block: {"functionCall": {"id": block["id"], "name": block["name"]}},
    "tool_result": lambda block: {"functionResponse": {"id": block["tool_use_id"]}},
}


def _cache_points(body: JsonObject) -> int:
    lists = [body.get("tools"), body.get("system"), *map(blocks_of, body["messages"])]
    return sum(
        "cache_control" in entry
        for entries in lists
        if isinstance(entries, list)
        for entry in entries
    )
