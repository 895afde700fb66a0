"""The web search that an upstream runs itself, as each dialect's clients ask for it."""

from mcp_proxy.conversation import Conversation, Verbatim


def search_tool(conversation: Conversation) -> Verbatim | None:
    """The declaration in its client's own spelling; None when no web search is asked for."""
    for tool in conversation.server_tools:
        if _is_search(tool):
            return tool
    return None


def _is_search(tool: Verbatim) -> bool:
    kind = tool.value.get("type")
    return "googleSearch" in tool.value or (isinstance(kind, str) and kind.startswith("web_search"))
