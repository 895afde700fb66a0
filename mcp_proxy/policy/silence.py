"""Turns in which nothing is said that the upstream could be sent, and what becomes of them.

Upstreams refuse them. They are left out, which joins what the other side says before and after
them; a dot is said instead where that would make another conversation of it
(protocols/cloudcode.md 3.3).
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from mcp_proxy.conversation import Message, Text, Thinking, ToolResult, Verbatim, WebSearch

_DOT: Final = (Text("."),)


def without_silence(messages: tuple[Message, ...], dialect: str) -> tuple[Message, ...]:
    """The messages without turns of nothing. The same object when every message says something.

    Expects calls and results to be paired. `dialect`: the upstream's.
    """
    for message in messages:
        # How nearly all begin is looked at here; a long history is hundreds of them.
        first = message.parts[0] if message.parts else None
        if type(first) is ToolResult or (
            type(first) is Text and first.text and not first.text.isspace()
        ):
            continue
        if not _says_something(message, dialect):
            break
    else:
        return messages
    spoken: list[Message] = []
    last: list[Message] = []
    is_passed_over = False
    for is_model, run in groupby(messages, _is_models):
        turn = list(run)
        if not any(_says_something(message, dialect) for message in turn):
            is_passed_over = True
            continue
        if not is_model and _hands_in_results(last):
            # Joined with the results, this would be said within their tool loop.
            spoken.append(Message("assistant", _DOT))
        spoken += turn
        last, is_passed_over = turn, False
    if is_passed_over and last and _is_models(last[0]):
        # Without a turn after it the model would go on with the answer that it has given.
        spoken.append(Message("user", _DOT))
    return tuple(spoken)


def _is_models(message: Message) -> bool:
    return message.role == "assistant"


def _hands_in_results(messages: Iterable[Message]) -> bool:
    return any(type(part) is ToolResult for message in messages for part in message.parts)


def _says_something(message: Message, dialect: str) -> bool:
    """Whether there is anything in it that is sent by itself.

    Thinking goes with what it led to: Claude refuses a message of nothing else, signed or not.
    """
    for part in message.parts:
        if type(part) is Text:
            if part.text and not part.text.isspace():
                return True
        elif type(part) is Verbatim:
            if part.dialect == dialect:
                return True
        elif type(part) is not Thinking and type(part) is not WebSearch:
            return True
    return False
