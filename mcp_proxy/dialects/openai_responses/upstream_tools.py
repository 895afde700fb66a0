"""Tools for upstreams that speak Responses: flat declarations, names they take, the choice.

Section numbers are those of protocols/client-apis.md.
"""

from typing import Any, Final

from mcp_proxy.conversation import Conversation, JsonObject, Tool, Verbatim
from mcp_proxy.dialects.call_names import SentNames
from mcp_proxy.dialects.offered_tools import by_name
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_tools import grammar_note
from mcp_proxy.dialects.search_tools import search_tool
from mcp_proxy.dialects.sent_schemas import parameters

_MODES: Final = {"auto": "auto", "any": "required", "none": "none"}


class Toolbox:
    """The tools of one request, and their names: the client's <-> the upstream's, one to one.

    Made from the conversation alone, so that the request and its answer agree on the names.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._tools = by_name(conversation.tools)
        names = SentNames(self._tools)
        self.sent_name = names.sent
        self.original_name = names.original

    def declarations(self) -> list[JsonObject]:
        """Raises BadRequest for a schema that cannot be written within bounds."""
        declared = [self._declaration(tool) for tool in self._tools.values()]
        search = search_tool(self._conversation)
        return declared if search is None else [*declared, _search(search)]

    def is_freeform(self, name: str) -> bool:
        """Whether the client's tool of this name takes plain text."""
        tool = self._tools.get(name)
        return tool is not None and tool.freeform is not None

    def choice(self) -> str | JsonObject:
        """`tool_choice` (3.1)."""
        choice = self._conversation.tool_choice
        if choice.mode != "any" or not choice.names:
            return _MODES[choice.mode]
        named = [self._named(name) for name in choice.names]
        if len(named) == 1:
            return named[0]
        return {"type": "allowed_tools", "mode": "required", "tools": named}

    def _named(self, name: str) -> JsonObject:
        return {"type": self._kind(name), "name": self.sent_name(name)}

    def _kind(self, name: str) -> str:
        return "custom" if self.is_freeform(name) else "function"

    def _declaration(self, tool: Tool) -> JsonObject:
        declaration = self._named(tool.name)
        if tool.freeform is not None:
            described = tool.description.removesuffix(grammar_note(tool.freeform).strip()).strip()
            if tool.freeform:
                declaration["format"] = tool.freeform
        else:
            described = tool.description
            schema, is_strict = parameters(tool)
            declaration["parameters"] = schema
            # Left out it would mean true here, and with true other schemas are refused.
            declaration["strict"] = bool(tool.strict) and is_strict
        if described:
            declaration["description"] = described
        return declaration


def _search(tool: Verbatim) -> JsonObject:
    """Web search with what of the client's wishes has the same meaning here."""
    asked = tool.value
    if tool.dialect == NAME:
        return asked
    declaration: JsonObject = {"type": "web_search"}
    where = _location(asked.get("user_location"))
    if where:
        declaration["user_location"] = {"type": "approximate", **where}
    if asked.get("search_context_size"):
        declaration["search_context_size"] = asked["search_context_size"]
    if asked.get("allowed_domains"):
        declaration["filters"] = {"allowed_domains": asked["allowed_domains"]}
    return declaration


def _location(asked: Any) -> JsonObject:
    """Flat in Anthropic's spelling, one level deeper in Chat Completions'."""
    if not isinstance(asked, dict):
        return {}
    inner = asked.get("approximate")
    place = inner if isinstance(inner, dict) else asked
    return {key: place[key] for key in ("city", "country", "region", "timezone") if place.get(key)}
