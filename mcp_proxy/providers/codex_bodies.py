"""Responses bodies as the Codex back end takes them: what has to be there, what must not (7.5).

It streams only, keeps nothing, and refuses with a 400 whatever it does not know.
"""

from typing import Any, Final

from mcp_proxy.dialects.call_names import LONGEST_ID
from mcp_proxy.providers.body_edits import JsonObject, less

_REFUSED: Final = frozenset(
    {
        "background",
        "context_management",
        "max_completion_tokens",
        "max_output_tokens",
        "metadata",
        "previous_response_id",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "stream_options",
        "temperature",
        "top_p",
        "truncation",
        "user",
    }
)

_DEMANDED: Final[JsonObject] = {
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
}

_FAST: Final = "priority"
"""The one `service_tier` there is beside the usual one."""

_BREAKPOINT: Final = "prompt_cache_breakpoint"

_NAMELESS: Final = frozenset(
    {
        "additional_tools",
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    }
)
"""Items that are whole without an id. Nothing is stored, so an id would name nothing."""


def constrained(body: JsonObject) -> JsonObject:
    """A body with every demand met and nothing refused; its `input` is a list already."""
    kept = dict(less(body, *_REFUSED))
    instructions = kept.get("instructions")
    if kept.get("service_tier") != _FAST:
        kept.pop("service_tier", None)
    if not (kept.get("tools") or _has_tools_in_input(kept)):
        kept.pop("parallel_tool_calls", None)
    return {
        **kept,
        "instructions": instructions if isinstance(instructions, str) else "",
        **_DEMANDED,
    }


def forwarded(body: JsonObject) -> JsonObject | None:
    """A client's own body as it may go; the same object when it may go as it is.

    None when it has to be rendered: the client wants no stream, or has names that are too long and
    have to come back as they were.
    """
    given = body.get("input")
    if body.get("stream") is not True or not _is_within_lengths(body):
        return None
    items = [_said(given)] if isinstance(given, str) else _items(given)
    if items is None:
        return None
    changed = constrained({**body, "input": items})
    return body if changed == body else changed


def _has_tools_in_input(body: JsonObject) -> bool:
    """Newer models are told their tools there (client-apis.md 3.1)."""
    return any(item.get("type") == "additional_tools" for item in body["input"])


def _said(text: str) -> JsonObject:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _items(given: Any) -> list[JsonObject] | None:
    """None for what is no list of items: whoever renders it says what is wrong."""
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        return None
    return [_item(item) for item in given if item.get("type") != "item_reference"]


def _item(item: JsonObject) -> JsonObject:
    """The item as it is when there is nothing to change in it."""
    changes: JsonObject = {}
    if item.get("role") == "system":
        changes["role"] = "developer"
    content = item.get("content")
    if isinstance(content, list) and any(_has_breakpoint(part) for part in content):
        changes["content"] = [
            less(part, _BREAKPOINT) if isinstance(part, dict) else part for part in content
        ]
    changed = {**item, **changes} if changes else item
    return less(changed, "id") if _has_needless_id(item) else changed


def _has_needless_id(item: JsonObject) -> bool:
    if "id" not in item:
        return False
    return item.get("type", "message") in _NAMELESS or len(str(item["id"])) > LONGEST_ID


def _has_breakpoint(part: Any) -> bool:
    return isinstance(part, dict) and _BREAKPOINT in part


def _is_within_lengths(body: JsonObject) -> bool:
    """Whether every name of a tool and id of a call is short enough."""
    given = body.get("input")
    items = given if isinstance(given, list) else []
    tools = body.get("tools")
    named = [*items, *(tools if isinstance(tools, list) else [])]
    return all(
        len(str(holder.get(key, ""))) <= LONGEST_ID
        for holder in named
        if isinstance(holder, dict)
        for key in ("call_id", "name")
    )
