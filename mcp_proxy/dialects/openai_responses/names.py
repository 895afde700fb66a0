"""What the wire of Responses calls things, for both halves of the dialect.

A namespaced tool has a flat name everywhere else; here is how one becomes the other.
"""

NAME = "openai_responses"

_BETWEEN = "__"

REDACTED = "redacted_thinking:"
"""Marks, in `encrypted_content`, a blob that stands for text nobody may read: the item has no other
place for it, and the blob must come back as what it was."""


def flat_name(namespace: str | None, name: str) -> str:
    """The name of a tool as other formats, which have no namespaces, can take it."""
    return f"{namespace}{_BETWEEN}{name}" if namespace else name


def inner_name(namespace: str, flat: str) -> str:
    """The tool's name within its namespace."""
    return flat.removeprefix(namespace + _BETWEEN)
