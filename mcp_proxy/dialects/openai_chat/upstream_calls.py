"""Which tool call a delta belongs to, for servers that say it in all kinds of ways.

By index, by id, by position in the list, or not at all; with id and name once or every time; in
pieces or whole, as text or as an object (providers.md 3). The order is `upstream_parts.py`'s.
"""

from typing import Any

from mcp_proxy.conversation import JsonObject, Seal
from mcp_proxy.dialects.call_names import LONGEST_ID, CallIds, SentNames, legal, within
from mcp_proxy.dialects.openai_chat.seals import call_signature
from mcp_proxy.dialects.openai_chat.upstream_parts import Call, Parts
from mcp_proxy.events import Event
from mcp_proxy.strict_json import encode

_Place = tuple[int, int]
"""Choice, and index in it."""

_LEGACY = -1
"""Index of the one `function_call` of the old form."""


class Calls:
    """The calls of one answer."""

    def __init__(self, parts: Parts, names: SentNames, origin: str, *, only_one: bool) -> None:
        self._parts = parts
        self._names = names
        self._origin = origin
        self._only_one = only_one
        self._at: dict[_Place, Call] = {}
        """The latest call of each place."""
        self._by_id: dict[str, Call] = {}
        self._first: Call | None = None
        self._ids = CallIds("call_")

    def add(self, delta: JsonObject, choice_at: int, out: list[Event]) -> None:
        """The calls of one delta."""
        for position, entry in enumerate(delta.get("tool_calls") or ()):
            function = entry.get("function") or entry.get("custom") or {}
            index = entry.get("index")
            told = index if type(index) is int else None
            call = self._call_of(entry, function, (choice_at, position), told)
            self._take(call, entry, function, out)
        if legacy := delta.get("function_call"):
            call = self._at.get((choice_at, _LEGACY)) or self._new((choice_at, _LEGACY), "")
            self._take(call, {}, legacy, out)

    def _call_of(
        self, entry: JsonObject, function: JsonObject, place: _Place, told: int | None
    ) -> Call:
        sent_id, name = entry.get("id") or "", function.get("name") or ""
        if told is not None:
            place = place[0], told
        known = self._at.get(place)
        if told is None and sent_id:
            known = self._by_id.get(sent_id) or (None if name else known)
        if known is None or _is_another(known, sent_id, name, function):
            return self._new(place, sent_id)
        return known

    def _new(self, place: _Place, sent_id: str) -> Call:
        call = self._at[place] = Call(sent_id)
        if sent_id:
            self._by_id[sent_id] = call
        self._first = self._first or call
        return call

    def _take(self, call: Call, entry: JsonObject, function: JsonObject, out: list[Event]) -> None:
        if self._only_one and call is not self._first:
            return  # not every server heeds parallel_tool_calls: only the first call counts
        call.sent_id = call.sent_id or entry.get("id") or ""
        call.sent_name = call.sent_name or function.get("name") or ""
        if signature := call_signature(entry):
            call.seal = Seal(self._origin, signature)
        piece = _arguments(function, is_first=not call.pieces)
        self._parts.arguments(call, piece, out)
        if call.sent_name and not call.is_begun:
            call.name = self._names.original(call.sent_name)
            call.id = self._ids.unique(within(LONGEST_ID, legal(call.sent_id)))
            self._parts.begin(call, out)


def _is_another(known: Call, sent_id: str, name: str, function: JsonObject) -> bool:
    """Whether this begins a call of its own in the place of a known one.

    Some servers give every call the index 0; without ids, a call that has all its arguments and is
    named again with more of them is the next one.
    """
    if not name:
        return False
    if sent_id and known.sent_id:
        return sent_id != known.sent_id
    if known.sent_name and name != known.sent_name:
        return True
    return bool(function.get("arguments")) and known.is_complete()


def _arguments(function: JsonObject, *, is_first: bool) -> str:
    value: Any = function.get("arguments")
    if value is None:
        return ""
    if isinstance(value, dict):
        return encode(value).decode()
    if type(value) is not str:
        raise TypeError("arguments that are neither text nor an object")
    # Whole calls without arguments.
    return "" if is_first and value == "null" else value
