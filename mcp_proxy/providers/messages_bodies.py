"""Messages bodies for places that serve Claude and are not Anthropic: Vertex AI, Copilot.

They refuse what they do not know, so betas and fields of a client's own body are picked from a
list, and what would need Anthropic's servers is left out (providers.md 5, 8.5). Pure: an object
that needs no change is the same object.
"""

from collections.abc import Callable, Collection, Mapping
from operator import is_
from typing import Any, Final

from mcp_proxy.providers.body_edits import JsonObject, less
from mcp_proxy.providers.loose_json import objects
from mcp_proxy.values import value

VERSION: Final = "2023-06-01"
"""`anthropic-version` of bodies that every vendor takes."""
INTERLEAVED: Final = "interleaved-thinking-2025-05-14"


@value
class Terms:
    """What a place does not take of a Messages body."""

    fields: frozenset[str]
    """Top-level fields that have to go."""
    server_tools: tuple[str, ...]
    """Prefixes of the types of tools that the place cannot run."""
    cache_fields: frozenset[str]
    """Fields of `cache_control` that may stay."""


def on_terms(body: JsonObject, terms: Terms) -> JsonObject:
    """The body without what the place does not take."""
    kept = _runnable(less(body, *terms.fields), terms.server_tools)
    return _plainly_cached(kept, terms.cache_fields)


def betas(headers: Mapping[str, str], body: JsonObject | None, allowed: Collection[str]) -> str:
    """`anthropic-beta` as the place may see it, "" for none.

    A client's own headers decide for a body of its own, a rendered `body` for itself.
    """
    if body is not None:
        return needed_beta(body)
    asked = (beta.strip() for beta in headers.get("anthropic-beta", "").split(","))
    return ",".join(dict.fromkeys(beta for beta in asked if beta in allowed))


def needed_beta(body: JsonObject) -> str:
    """A rendered body's; without it a budgeted model thinks once per turn, not between calls."""
    has_budget = body.get("thinking", {}).get("type") == "enabled"
    return INTERLEAVED if has_budget and body.get("tools") else ""


def has_addresses(body: JsonObject) -> bool:
    """Whether any picture or document is given by URL or file id, which only Anthropic fetches."""
    return any(
        _is_elsewhere(block)
        for message in objects(body.get("messages"))
        for block in objects(message.get("content"))
    )


def _is_elsewhere(block: JsonObject) -> bool:
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") in ("url", "file"):
        return True
    return any(map(_is_elsewhere, objects(block.get("content"))))


# Tools that the place cannot run


def _runnable(body: JsonObject, prefixes: tuple[str, ...]) -> JsonObject:
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body
    left_out = [tool for tool in objects(tools) if str(tool.get("type", "")).startswith(prefixes)]
    if not left_out:
        return body
    kept = [tool for tool in tools if tool not in left_out]
    changed = {**body, "tools": kept}
    choice = body.get("tool_choice")
    names = {tool.get("name") for tool in left_out}
    if not kept or (isinstance(choice, dict) and choice.get("name") in names):
        changed.pop("tool_choice", None)
    if not kept:
        del changed["tools"]
    return changed


# cache_control

_HOLDING_BLOCKS: Final = frozenset({"system", "tools", "messages", "content"})


def _plainly_cached(body: JsonObject, allowed: frozenset[str]) -> JsonObject:
    """Wherever it may stand: the request, its system blocks, tools, messages' blocks, results'."""

    def plain(holder: Any) -> Any:
        if not isinstance(holder, dict):
            return holder
        for place in _HOLDING_BLOCKS & holder.keys():
            holder = _changed(holder, place, plain)
        control = holder.get("cache_control")
        if not isinstance(control, dict) or control.keys() <= allowed:
            return holder
        kept = {name: value for name, value in control.items() if name in allowed}
        return {**holder, "cache_control": kept}

    changed: JsonObject = plain(body)
    return changed


def _changed(holder: JsonObject, place: str, change: Callable[[Any], Any]) -> JsonObject:
    items = holder.get(place)
    if not isinstance(items, list):
        return holder
    changed = list(map(change, items))
    return holder if all(map(is_, changed, items)) else {**holder, place: changed}
