"""A Responses request as the script sees it. Checks nothing: responses_rules.py does."""

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
from mcp_proxy.demo.places.openai_tools import FREEFORM, declared
from mcp_proxy.demo.refusals import JsonObject

_CALLING = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def read_responses(body: JsonObject, model: DemoModel) -> Generation:
    """The facts of a request that has passed validation."""
    items = items_of(body)
    calling, only = _choice(body.get("tool_choice"))
    reasoning = body.get("reasoning") or {}
    wanted = (body.get("text") or {}).get("format") or {}
    thinks = bool(model.levels) and reasoning.get("effort") != "none"
    prompt = _last_prompt(items)
    tools = tuple(_tools(body.get("tools") or (), only))
    return Generation(
        model=model,
        prompt=prompt,
        results=_last_results(items),
        tools=tools,
        calling=calling,
        searches=_searches(body) and (not tools or "search" in prompt.lower()),
        thinks=thinks,
        shows_thoughts=thinks and reasoning.get("summary") is not None,
        leaks_thoughts=False,
        max_tokens=body.get("max_output_tokens") or model.max_output,
        stops=(),
        wants_json=wanted.get("type") in ("json_object", "json_schema"),
        schema=wanted.get("schema"),
        session=session_of(body.get("instructions"), items[0]) if items else None,
    )


def items_of(body: JsonObject) -> list[JsonObject]:
    """The input as items, whichever way it was written."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [{"type": "message", **item} for item in given or ()]


def responses_tokens(body: JsonObject) -> int:
    """What the request costs to read."""
    parts = (body.get("instructions"), body.get("input"), body.get("tools"))
    return max(sum(map(characters_of, parts)) // CHARACTERS_PER_TOKEN, 1)


def freeform_names(body: JsonObject) -> frozenset[str]:
    """Tools that take a text and no JSON."""
    return frozenset(
        tool["name"] for tool in body.get("tools") or () if tool.get("type") == "custom"
    )


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text") or f"[{part.get('type')}]" for part in content)
    return content or ""


def _last_prompt(items: list[JsonObject]) -> str:
    for item in reversed(items):
        if item["type"] == "message" and item["role"] == "user":
            for text in reversed(_texts(item["content"])):
                if said := spoken(text):
                    return said
    return ""


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part.get("text") or "" for part in content]


def _last_results(items: list[JsonObject]) -> tuple[str, ...]:
    """Since the model spoke last; what a person adds behind them takes nothing away."""
    found: list[str] = []
    for item in reversed(items):
        if item["type"] in _OUTPUTS:
            found.append(text_of(item["output"]))
        elif item.get("role", "assistant") == "assistant":
            break
    return tuple(reversed(found))


def _choice(choice: Any) -> tuple[str, frozenset[str] | None]:
    if choice is None or isinstance(choice, str):
        return _CALLING[choice or "auto"], None
    if choice["type"] == "allowed_tools":
        names = frozenset(tool.get("name", "") for tool in choice["tools"])
        return _CALLING[choice["mode"]], names
    if "name" in choice:
        return "ANY", frozenset({choice["name"]})
    return "AUTO", None


def _tools(tools: Any, only: frozenset[str] | None) -> Iterator[Declaration]:
    for tool in tools:
        name = tool.get("name", "")
        if only is not None and name not in only:
            continue
        if tool["type"] == "function":
            yield declared(name, tool.get("description"), tool.get("parameters"))
        elif tool["type"] == "custom":
            yield declared(name, tool.get("description"), FREEFORM)


def _searches(body: JsonObject) -> bool:
    return any(
        str(tool.get("type", "")).startswith("web_search") for tool in body.get("tools") or ()
    )
