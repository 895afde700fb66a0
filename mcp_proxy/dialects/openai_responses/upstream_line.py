"""Output items of one answer in a line: one is shown as it comes, the others wait for their turn.

Upstreams may have several items under way at once; neutral events have one part open at a time.
Knows nothing of records: pieces of content come in, events go out.
"""

from typing import Final

from mcp_proxy.conversation import Media, Seal, Verbatim, WebSearch
from mcp_proxy.dialects.broken import bad_arguments, broken
from mcp_proxy.dialects.cut_json import ending_of
from mcp_proxy.dialects.stop_cutter import StopCutter
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    PartClosed,
    PartKind,
    PartOpened,
    TextDelta,
    ThinkingDelta,
)

_KINDS: Final = {
    "message": PartKind.TEXT,
    "reasoning": PartKind.THINKING,
    "function_call": PartKind.TOOL_CALL,
    "custom_tool_call": PartKind.TOOL_CALL,
    "image_generation_call": PartKind.MEDIA,
    "web_search_call": PartKind.SEARCH,
}
"""Item type -> part; every other type is for clients of this dialect only."""

_DELTAS: Final[dict[PartKind, type[TextDelta | ThinkingDelta | ArgumentsDelta]]] = {
    PartKind.TEXT: TextDelta,
    PartKind.THINKING: ThinkingDelta,
    PartKind.TOOL_CALL: ArgumentsDelta,
}

NOTHING: Final = -1
"""In place of an index: no item."""

# Calling a named tuple's class runs a Python-level __new__; this makes the same object faster.
_new = tuple.__new__


class Item:
    """One output item, from its first event until its part is closed."""

    __slots__ = (
        "arguments",
        "call_id",
        "has_content",
        "held",
        "index",
        "is_cut",
        "is_done",
        "is_open",
        "kind",
        "name",
        "seal",
        "section",
        "type",
        "whole",
    )

    def __init__(self, index: int, item_type: str) -> None:
        self.index = index
        self.type = item_type
        self.kind = _KINDS.get(item_type, PartKind.VERBATIM)
        self.call_id = self.name = ""
        self.held: list[str] = []
        """Content that came while another item was shown."""
        self.arguments: list[str] = []
        """What has been shown of a call's arguments."""
        self.section: tuple[str, object] | None = None
        """Which source of reasoning, and which part of it, the last piece was of."""
        self.seal: Seal | None = None
        self.whole: Media | Verbatim | None = None
        self.has_content = self.is_open = self.is_done = False
        self.is_cut = False
        """It ended only because the whole answer did."""

    @property
    def can_be_shown(self) -> bool:
        """A call cannot before its name is known."""
        return self.kind is not PartKind.TOOL_CALL or self.name != ""

    @property
    def is_unseen(self) -> bool:
        """Whether nothing of it has come, so that another may still go before it."""
        return not (self.is_open or self.has_content or self.is_done)

    def rest_of_arguments(self) -> str:
        """What makes the shown arguments an object. Raises UpstreamBroke when nothing does."""
        if not self.name:
            raise broken("the upstream's tool call has no name", FailureKind.EMPTY)
        if self.type == "custom_tool_call":
            return '"}' if self.has_content else '{"input":""}'
        ending = ending_of("".join(self.arguments))
        # Only an answer that ran out of tokens may end within its arguments.
        if ending is None or (ending and self.has_content and not self.is_cut):
            raise bad_arguments(FailureKind.EMPTY)
        return ending


class Line:
    """The items in the order in which they are shown, and the parts that they become."""

    __slots__ = ("_cutter", "_gone", "_live", "_waiting", "at", "seen", "streaming")

    def __init__(self, cutter: StopCutter | None) -> None:
        self._cutter = cutter
        self._waiting: dict[int, Item] = {}
        """By output index: the item that is shown, and those after it."""
        self._live: Item | None = None
        self._gone: set[int] = set()
        self.at = -1
        """Number of the part that was opened last."""
        self.seen: set[PartKind] = set()
        self.streaming = NOTHING
        """Index of the item whose text goes out untouched as it comes."""

    @property
    def stopped_by(self) -> str | None:
        """The stop sequence that has ended the answer for its client."""
        return self._cutter.hit if self._cutter is not None else None

    def item(self, index: int, item_type: str) -> Item | None:
        """The item of that index, made if it is new; None for one that is closed already."""
        if index in self._gone:
            return None
        item = self._waiting.get(index)
        if item is None:
            item = self._waiting[index] = Item(index, item_type)
            if self._live is None or (index < self._live.index and self._live.is_unseen):
                self._live = item
        return item

    def has(self, index: int) -> bool:
        """Whether the item of that index is not closed yet."""
        return index in self._waiting

    def has_had(self, index: int) -> bool:
        return index in self._gone

    def __len__(self) -> int:
        """Items so far."""
        return len(self._waiting) + len(self._gone)

    def begin(self, item: Item, out: list[Event]) -> None:
        """Opens an item of which nothing has come yet, if it is its turn."""
        if item is self._live and not item.is_open and self.stopped_by is None:
            self._open(item, out)

    def add(self, item: Item, piece: str, out: list[Event]) -> None:
        """Shows a piece of an item's content, or holds it until it is the item's turn."""
        if not piece:
            return
        item.has_content = True
        if item is not self._live or not item.can_be_shown:
            item.held.append(piece)
        else:
            self._show(item, piece, out)

    def advance(self, out: list[Event]) -> None:
        """Closes what is done, in order, and shows what was held back of the next."""
        while self._live is not None and self._live.is_done:
            live = self._live
            self._show_held(live, out)
            self._close(live, out)
            del self._waiting[live.index]
            self._gone.add(live.index)
            self._live = self._waiting[min(self._waiting)] if self._waiting else None
            if self._live is not None and self._live.can_be_shown:
                self._show_held(self._live, out)

    def end(self, out: list[Event], *, is_cut: bool) -> None:
        """Closes everything. `is_cut`: what has not ended by itself was broken off."""
        for item in self._waiting.values():
            item.is_cut = item.is_cut or (is_cut and not item.is_done)
            item.is_done = True
        self.advance(out)

    def add_search(self, search: WebSearch, out: list[Event]) -> None:
        """A part of its own, after all items."""
        self.at += 1
        out.append(PartOpened(self.at, PartKind.SEARCH, whole=search))
        out.append(PartClosed(self.at))

    def _show_held(self, item: Item, out: list[Event]) -> None:
        held, item.held = item.held, []
        if item.kind is PartKind.TOOL_CALL and item.name:
            self.begin(item, out)
        for piece in held:
            self._show(item, piece, out)

    def _show(self, item: Item, piece: str, out: list[Event]) -> None:
        if self.stopped_by is not None:
            return
        if self._cutter is not None and item.kind is PartKind.TEXT:
            piece = self._cutter.feed(piece)
            if not piece:
                return
        if not item.is_open:
            # Even if the stop sequence is in this very piece: what is before it is shown.
            self._open(item, out)
        if item.kind is PartKind.TOOL_CALL:
            item.arguments.append(piece)
        out.append(_new(_DELTAS[item.kind], (self.at, piece)))

    def _open(self, item: Item, out: list[Event]) -> None:
        self.at += 1
        item.is_open = True
        self.seen.add(item.kind)
        out.append(PartOpened(self.at, item.kind, item.call_id, item.name, item.whole))
        if item.kind is PartKind.TEXT and self._cutter is None:
            self.streaming = item.index

    def _close(self, item: Item, out: list[Event]) -> None:
        self.streaming = NOTHING
        if self._cutter is not None and item.kind is PartKind.TEXT:
            self._show_rest(item, self._cutter.close(), out)
        if item.kind is PartKind.TOOL_CALL and self.stopped_by is None:
            self._show_rest(item, item.rest_of_arguments(), out)
        if item.seal is not None or item.whole is not None:
            self.begin(item, out)
        if item.is_open:
            out.append(PartClosed(self.at, item.seal))

    def _show_rest(self, item: Item, rest: str, out: list[Event]) -> None:
        """What is known only now that the item has ended."""
        if rest:
            if not item.is_open:
                self._open(item, out)
            out.append(_new(_DELTAS[item.kind], (self.at, rest)))
