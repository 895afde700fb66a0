"""An Anthropic Messages request as the script sees it. Checks nothing: messages_rules.py does."""

from collections.abc import Iterator
from typing import Any

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.generation import (
    CHARACTERS_PER_TOKEN,
    Declaration,
    Generation,
    characters_of,
    spoken,
)
from mcp_proxy.demo.places.desk import session_of
from mcp_proxy.demo.refusals import JsonObject

_CALLING = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}


def read_messages(body: JsonObject, model: DemoModel) -> Generation:
    """The facts of a request that has passed validation."""
    messages: list[JsonObject] = body["messages"]
    choice = body.get("tool_choice") or {}
    schema = _schema(body)
    thinks = thinking_is_on(body)
    display = (body.get("thinking") or {}).get("display")
    prompt = _last_prompt(messages)
    tools = _tools(body, choice.get("name"))
    return Generation(
        model=model,
        prompt=prompt,
        results=_last_results(messages),
        tools=tools,
        calling=_CALLING[choice.get("type", "auto")],
        searches=searches(body) and (not tools or "search" in prompt.lower()),
        thinks=thinks,
        shows_thoughts=thinks and display != "omitted",
        leaks_thoughts=False,
        max_tokens=body.get("max_tokens") or model.max_output,
        stops=tuple(body.get("stop_sequences") or ()),
        wants_json=schema is not None,
        schema=schema,
        session=session_of(body.get("system"), messages[0]) if _caches(body) else None,
    )


def one_call_only(body: JsonObject) -> bool:
    return bool((body.get("tool_choice") or {}).get("disable_parallel_tool_use"))


def messages_tokens(body: JsonObject) -> int:
    """What the request costs to read."""
    parts = (body.get("system"), body.get("messages"), body.get("tools"))
    return max(sum(map(characters_of, parts)) // CHARACTERS_PER_TOKEN, 1)


def thinking_is_on(body: JsonObject) -> bool:
    return (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")


def searches(body: JsonObject) -> bool:
    """Whether the API's own web search is on offer."""
    return any(
        str(tool.get("type", "")).startswith("web_search_") for tool in body.get("tools") or ()
    )


def blocks_of(message: JsonObject) -> list[JsonObject]:
    """The content as blocks, whichever way it was written."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def _last_prompt(messages: list[JsonObject]) -> str:
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        for block in reversed(blocks_of(message)):
            if block["type"] == "text" and (text := spoken(block["text"])):
                return text
    return ""


def _last_results(messages: list[JsonObject]) -> tuple[str, ...]:
    return tuple(
        _text(block.get("content"))
        for block in blocks_of(messages[-1])
        if block["type"] == "tool_result"
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(block.get("text") or f"[{block['type']}]" for block in content or ())


def _tools(body: JsonObject, only: str | None) -> tuple[Declaration, ...]:
    return tuple(
        Declaration(tool["name"], tool.get("description") or "", tool["input_schema"])
        for tool in body.get("tools") or ()
        if "input_schema" in tool and only in (None, tool["name"])
    )


def _schema(body: JsonObject) -> JsonObject | None:
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    schema: JsonObject | None = wanted.get("schema")
    return schema


def _caches(body: JsonObject) -> bool:
    return "cache_control" in body or any(
        "cache_control" in entry
        for part in (body.get("system"), body.get("tools"), *_all_content(body))
        if isinstance(part, list)
        for entry in part
    )


def _all_content(body: JsonObject) -> Iterator[Any]:
    return (message.get("content") for message in body["messages"])
