"""Conversations in short, for suites that render them or call providers with them."""

from typing import Any

from mcp_proxy.conversation import Conversation, Message, Part, Role, Text


def user(*parts: Part | str) -> Message:
    return _said("user", parts)


def assistant(*parts: Part | str) -> Message:
    return _said("assistant", parts)


def _said(role: Role, parts: tuple[Part | str, ...]) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def talk(*messages: Message, dialect: str = "anthropic", **fields: Any) -> Conversation:
    """Of these messages; without any, somebody says hi."""
    return Conversation(dialect, "m", messages or (user("hi"),), **fields)
