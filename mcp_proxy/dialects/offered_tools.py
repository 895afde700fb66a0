"""What of a client's tools an upstream is offered: each name once, and only what may be called."""

from collections.abc import Iterable

from mcp_proxy.conversation import Conversation, Tool


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Declared twice: the first counts, upstreams refuse a second one."""
    named: dict[str, Tool] = {}
    for tool in tools:
        named.setdefault(tool.name, tool)
    return named


def callable_by_name(conversation: Conversation) -> dict[str, Tool]:
    """Without those that the client's choice rules out, where a choice cannot name several."""
    allowed = conversation.tool_choice.names
    tools = conversation.tools
    return by_name(tool for tool in tools if tool.name in allowed) if allowed else by_name(tools)
