"""What was read of the last few conversations: a client sends all of one again with every turn.

So the messages of the turn before are found again by the bytes that they were read of, and only
what follows them is read. That is sound for any JSON: where an object's text stands in a list, that
very object stands there, whatever comes after it.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

import orjson

from mcp_proxy.conversation import Message
from mcp_proxy.ids import new_id
from mcp_proxy.strict_json import JsonObject, decode, encode, read_object

SHORTEST: Final = 16 * 1024
"""Bytes of a request that is worth it: shorter ones are read in less time than is spent here."""

MOST: Final = 8
"""Conversations that are kept: a client's own and those of its helpers are a few."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of JSON of all of them; what was read of it occupies as much again."""

_BRANCH: Final = 4
"""Messages at the end of a conversation that clients still change with the next turn."""

_KEY: Final = b'"messages":['
_PLACE: Final = new_id()
"""Stands where messages were that need not be read; no request has the same there by accident."""


class _Kept:
    """The beginning of a conversation."""

    __slots__ = ("head", "messages", "pieces", "size")

    def __init__(self, head: bytes, pieces: list[bytes], messages: tuple[Message, ...]) -> None:
        self.head = head
        """Of a request, up to its first message."""
        self.pieces = pieces
        """JSON of each message, with the comma after it."""
        self.messages = messages
        self.size = sum(map(len, pieces))

    def match(self, body: bytes) -> tuple[int, int]:
        """How many of the messages the body begins with, and where what follows them begins."""
        if not body.startswith(self.head):
            return 0, 0
        at = len(self.head)
        for count, piece in enumerate(self.pieces):
            if not body.startswith(piece, at):
                return count, at
            at += len(piece)
        return len(self.pieces), at


class Resumed(list[Any]):
    """`messages` of a request, without those `before` that were read with an earlier one."""

    __slots__ = ("_at", "_body", "_kept", "_recent", "before")

    def __init__(
        self,
        rest: Sequence[Any],
        before: tuple[Message, ...],
        recent: "RecentMessages",
        kept: _Kept,
        body: bytes,
        at: int,
    ) -> None:
        """`at`: where in the `body` the rest begins."""
        super().__init__(rest)
        self.before = before
        self._recent = recent
        self._kept = kept
        self._body = body
        self._at = at

    def keep(self, messages: tuple[Message, ...]) -> None:
        """For the next turn. `messages`: what was made of all of them."""
        kept, count, at = self._kept, len(self.before), self._at
        pieces = []
        for message in self:
            try:
                piece = encode(message)
            except orjson.JSONEncodeError:
                break  # it nests more deeply than can be written
            if not self._body.startswith(piece, at):
                break  # the client writes JSON in another way
            pieces.append(piece + b",")
            at += len(piece) + 1
        if pieces != kept.pieces[count:]:
            known = messages[: count + len(pieces)]
            self._recent.keep(_Kept(kept.head, kept.pieces[:count] + pieces, known), kept, count)


class RecentMessages:
    """Those of one dialect's requests, which have them in a list of that name."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def read(self, body: bytes) -> JsonObject:
        """The request, `messages` being `Resumed` when that may save work. Raises BadRequest."""
        if len(body) < SHORTEST:
            return read_object(body)
        count, at, kept = 0, 0, None
        for each in self._kept:
            matched, end = each.match(body)
            if matched > count:
                count, at, kept = matched, end, each
        if kept is not None:
            self._kept.remove(kept)
            self._kept.insert(0, kept)
            request = self._resumed(body, count, at, kept)
            if request is not None:
                return request
        return self._begun(body)

    def keep(self, kept: _Kept, before: _Kept, count: int) -> None:
        """`before`: what it has so many messages of, and takes the place of unless it branches."""
        if before in self._kept and len(before.pieces) - count <= _BRANCH:
            self._kept.remove(before)
        self._kept.insert(0, kept)
        while len(self._kept) > MOST or sum(each.size for each in self._kept) > MOST_BYTES:
            self._kept.pop()

    def _resumed(self, body: bytes, count: int, at: int, kept: _Kept) -> JsonObject | None:
        """None when it is not what it seems to be; then all of it has to be read."""
        try:
            request: Any = decode(b'%b"%b",%b' % (kept.head, _PLACE.encode(), body[at:]))
        except orjson.JSONDecodeError:
            return None
        messages = request.get("messages")
        # A key that is repeated counts the last time, and those read before would not be in it.
        if type(messages) is not list or len(messages) < 2 or messages[0] != _PLACE:
            return None
        before = kept.messages[:count]
        request["messages"] = Resumed(messages[1:], before, self, kept, body, at)
        return cast(JsonObject, request)

    def _begun(self, body: bytes) -> JsonObject:
        request = read_object(body)
        messages = request.get("messages")
        if type(messages) is list and messages:
            head = _head(request)
            if head is not None and body.startswith(head):
                kept = _Kept(head, [], ())
                request["messages"] = Resumed(messages, (), self, kept, body, len(head))
        return request


def _head(request: JsonObject) -> bytes | None:
    """How the body begins, up to its first message, if its client writes JSON as we do."""
    before: JsonObject = {}
    for name, value in request.items():
        if name == "messages":
            break
        before[name] = value
    try:
        fields = encode(before)[:-1]
    except orjson.JSONEncodeError:
        return None
    return fields + (b"," if before else b"") + _KEY
