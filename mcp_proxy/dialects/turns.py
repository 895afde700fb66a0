"""A conversation by turns: what one side says in a row, for APIs in which the sides alternate."""

from collections.abc import Iterator, Sequence

from mcp_proxy.conversation import Message


def runs(messages: Sequence[Message]) -> Iterator[tuple[bool, Sequence[Message]]]:
    """Neighbours of one side, and whether it is the model's; nearly always just one message."""
    start, end = 0, len(messages)
    while start < end:
        is_model = messages[start].role == "assistant"
        stop = start + 1
        while stop < end and (messages[stop].role == "assistant") is is_model:
            stop += 1
        yield is_model, messages[start:stop]
        start = stop
