"""Turns that were rendered with an earlier request of a conversation: the next has nearly all of
them again.

They are known by their messages, which are the very objects where who reads the request knew them,
too (`recent_messages`). What a turn becomes is decided by them, by those before, and by the `key`.
"""

from collections import deque
from itertools import islice
from typing import Any, Final

import orjson

from mcp_proxy.conversation import Message
from mcp_proxy.strict_json import encode

SHORTEST: Final = 32
"""Messages of a conversation for which it is worth it."""

MOST: Final = 8
"""Conversations that are kept: a client's own and those of its helpers are a few."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of JSON of all of them."""

Called = tuple[int, str, str]
"""Of a call: its place among the calls, and its id and name as they are sent."""


class Begun:
    """The turns of a conversation as far as they are rendered: each is a run of one side's."""

    __slots__ = ("called", "calls", "ends", "key", "messages", "sizes", "turns")

    def __init__(self, key: object, messages: tuple[Message, ...]) -> None:
        self.key = key
        self.messages = messages
        """Of this request, or of the one that it is kept of."""
        self.turns: list[Any] = []
        """What is kept of them is `orjson.Fragment`s."""
        self.sizes: list[int] = []
        """Bytes of the fragments."""
        self.ends: list[int] = []
        """How many messages there are up to the end of each."""
        self.calls: list[int] = []
        """How many calls there are up to the end of each."""
        self.called: dict[str, Called] = {}
        """By the client's id."""

    @property
    def end(self) -> int:
        """The message that follows."""
        return self.ends[-1] if self.ends else 0

    def add(self, turn: object, messages: int) -> None:
        """A turn of so many messages, whose calls are in `called`."""
        self.turns.append(turn)
        self.ends.append(self.end + messages)
        self.calls.append(len(self.called))

    def shared(self, messages: tuple[Message, ...]) -> int:
        """How many turns these messages begin with, too, and something follows them."""
        same = 0
        for mine, other in zip(self.messages, messages, strict=False):
            if mine is not other:
                break
            same += 1
        count = 0
        for end in self.ends[: len(self.sizes)]:
            if end > same or end >= len(messages):
                break
            count += 1
        if count:
            end = self.ends[count - 1]
            if _is_models(messages[end]) is _is_models(messages[end - 1]):
                count -= 1  # the same side speaks on
        return count

    def until(self, count: int, messages: tuple[Message, ...]) -> "Begun":
        """So many turns of it, to be gone on with for these messages."""
        begun = Begun(self.key, messages)
        if count:
            begun.turns = self.turns[:count]
            begun.sizes = self.sizes[:count]
            begun.ends = self.ends[:count]
            begun.calls = self.calls[:count]
            begun.called = dict(islice(self.called.items(), self.calls[count - 1]))
        return begun


class RecentTurns:
    """Those of the last few conversations."""

    __slots__ = ("_kept", "_seen")

    def __init__(self) -> None:
        self._kept: list[Begun] = []
        self._seen: deque[Message] = deque(maxlen=MOST)
        """First messages. One that is never seen again was not known to who read the request."""

    def begun(self, key: object, messages: tuple[Message, ...]) -> Begun:
        """The longest beginning of the messages that is known; nothing, it may be."""
        best, most = Begun(key, messages), 0
        for each in self._kept:
            if each.messages[0] is messages[0] and each.key == key:
                count = each.shared(messages)
                if count > most:
                    best, most = each, count
        if most:
            self._kept.remove(best)
            self._kept.insert(0, best)
        return best.until(most, messages)

    def keep(self, begun: Begun) -> None:
        """All turns but the last, which the next request may change or go on with."""
        first = begun.messages[0]
        if not any(each is first for each in self._seen):
            self._seen.append(first)
            return
        known = len(begun.sizes)
        for at in range(known, len(begun.turns) - 1):
            try:
                json = encode(begun.turns[at])
            except orjson.JSONEncodeError:
                break  # it nests more deeply than can be written; whoever writes it says so
            begun.turns[at] = orjson.Fragment(json)
            begun.sizes.append(len(json))
        if len(begun.sizes) == known:
            return
        self._kept = [each for each in self._kept if each.shared(begun.messages) < len(each.sizes)]
        self._kept.insert(0, begun)
        while len(self._kept) > MOST or sum(sum(each.sizes) for each in self._kept) > MOST_BYTES:
            self._kept.pop()


def _is_models(message: Message) -> bool:
    return message.role == "assistant"
