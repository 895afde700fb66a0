"""A Chat Completions request as the script sees it. Checks nothing: chat_rules.py does."""

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


def read_chat(body: JsonObject, model: DemoModel, *, shows: bool) -> Generation:
    """The facts of a request that has passed validation. `shows`: reasoning is part of answers."""
    messages: list[JsonObject] = body["messages"]
    calling, only = _choice(body.get("tool_choice"))
    wanted = body.get("response_format") or {}
    thinks = bool(model.levels) and body.get("reasoning_effort") != "none"
    stop = body.get("stop") or ()
    return Generation(
        model=model,
        prompt=_last_prompt(messages),
        results=_last_results(messages),
        tools=_tools(body, only),
        calling=calling,
        searches=body.get("web_search_options") is not None,
        thinks=thinks,
        shows_thoughts=thinks and shows,
        leaks_thoughts=False,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or model.max_output,
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        wants_json=wanted.get("type") in ("json_object", "json_schema"),
        schema=(wanted.get("json_schema") or {}).get("schema"),
        session=session_of(messages[0]),
    )


def chat_tokens(body: JsonObject) -> int:
    """What the request costs to read."""
    characters = characters_of(body["messages"]) + characters_of(body.get("tools"))
    return max(characters // CHARACTERS_PER_TOKEN, 1)


def text_of(content: Any) -> str:
    """The text of a message's content, written either way."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def freeform_names(body: JsonObject) -> frozenset[str]:
    """Tools that take a text and no JSON."""
    return frozenset(
        tool["custom"]["name"] for tool in body.get("tools") or () if tool["type"] == "custom"
    )


def _last_prompt(messages: list[JsonObject]) -> str:
    for message in reversed(messages):
        if message["role"] == "user" and (text := spoken(text_of(message["content"]))):
            return text
    return ""


def _last_results(messages: list[JsonObject]) -> tuple[str, ...]:
    """Since the model spoke last; what a person adds behind them takes nothing away."""
    found: list[str] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        if message["role"] == "tool":
            found.append(text_of(message["content"]))
    return tuple(reversed(found))


def _choice(choice: Any) -> tuple[str, frozenset[str] | None]:
    """How tools are called, and which alone may be."""
    if choice is None or isinstance(choice, str):
        return _CALLING[choice or "auto"], None
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = frozenset(tool[tool["type"]]["name"] for tool in allowed["tools"])
        return _CALLING[allowed["mode"]], names
    return "ANY", frozenset({choice[choice["type"]]["name"]})


def _tools(body: JsonObject, only: frozenset[str] | None) -> tuple[Declaration, ...]:
    offered = []
    for tool in body.get("tools") or ():
        inner = tool[tool["type"]]
        schema = FREEFORM if tool["type"] == "custom" else inner.get("parameters")
        if only is None or inner["name"] in only:
            offered.append(declared(inner["name"], inner.get("description"), schema))
    return tuple(offered)
