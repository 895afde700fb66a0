"""A conversation by turns: what one side says in a row, for APIs in which the sides alternate."""

from collections.abc import Iterator, Sequence

from mcp_proxy.conversation import Message


def runs(messages: Sequence[Message]) -> Iterator[tuple[bool, Sequence[Message]]]:
    """Neighbours of one side, and whether it is the model's; nearly always just one message."""
    run: list[Message] = []
    was_model = False
    for message in messages:
        is_model = message.role == "assistant"
        if run and is_model is not was_model:
            yield was_model, run
            run = []
        run.append(message)
        was_model = is_model
    if run:
        yield was_model, run
