"""Records of a Messages stream -> events (client-apis.md 1.5).

Blocks may be interleaved on the wire; here one is open at a time, in the order in which they began,
and what belongs to a later one waits. Text blocks open with their first text, so an empty one is
none; a search is one part, made of its query and its result.
"""

from typing import Any, Final

import orjson

from mcp_proxy.conversation import Conversation, Seal, SearchHit, Thinking, Verbatim, WebSearch
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.anthropic.upstream_request import sent_names
from mcp_proxy.dialects.anthropic.upstream_usage import read_usage
from mcp_proxy.dialects.broken import bad_arguments, cut_off, empty, unreadable
from mcp_proxy.dialects.cut_json import ending_of
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    ThinkingDelta,
    UpstreamSaidError,
    UsageSeen,
)
from mcp_proxy.model import ModelInfo
from mcp_proxy.strict_json import JsonObject, encode

_STOPS: Final = {
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.LENGTH,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "refusal": Stop.REFUSAL,
}
"""stop_reason -> Stop; every other one is an end, or a tool call when there is one (5.1)."""

_SEARCH: Final = "web_search"

# Calling a named tuple's class runs a Python-level __new__; this makes the same object in half
# the time, and there is one for every record of a stream.
_new = tuple.__new__

_TEXT: Final = PartKind.TEXT
_THINKING: Final = PartKind.THINKING
_TOOL_CALL: Final = PartKind.TOOL_CALL


class MessagesStreamParser:
    """Implements `StreamParser`."""

    may_end = False

    def __init__(self, conversation: Conversation, model: ModelInfo) -> None:
        self._original_name = sent_names(conversation).original
        self._origin = model.origin
        self._at = -1
        """Number of the part that is open, or was last."""
        self._open: PartKind | None = None
        """The part that deltas go to; None between parts, and in a text block without text yet."""
        self._index: int | None = None
        """The upstream's number of the block that is open."""
        self._block: JsonObject = {}
        """That block, as it began."""
        self._pieces: list[str] = []
        """JSON of the open block's input so far."""
        self._signature = ""
        self._waiting: dict[int, list[JsonObject]] = {}
        """Records of blocks that began while another was open, in order."""
        self._searches: dict[str, str] = {}
        """Searches whose result has not come: id -> query."""
        self._seen: set[PartKind] = set()
        self._usage: JsonObject = {}
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        self._started = False
        self._finished = False

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        """Appends the events of one record; nothing after `Finished`."""
        try:
            kind = record["type"]
            if kind == "content_block_delta" and record["index"] == self._index:
                delta = record["delta"]
                # One more piece of the open part: nearly every record of a stream.
                if self._open is _TEXT and delta["type"] == "text_delta":
                    if text := delta["text"]:
                        out.append(_new(TextDelta, (self._at, text)))
                elif self._open is _THINKING and delta["type"] == "thinking_delta":
                    if text := delta["thinking"]:
                        out.append(_new(ThinkingDelta, (self._at, text)))
                else:
                    self._delta(delta, out)
            elif not self._finished:
                self._record(kind, record, out)
        except (AttributeError, TypeError, KeyError) as cause:
            if "type" not in record:
                # Z.AI reports failures with status 200, in a shape of its own.
                raise UpstreamSaidError({"error": record}) from cause
            raise unreadable() from cause

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        """A whole message is a stream whose blocks are complete when they begin."""
        content = document.get("content")
        if not isinstance(content, list):
            raise UpstreamSaidError({"error": document})
        self.feed({"type": "message_start", "message": document}, out)
        for index, block in enumerate(content):
            self.feed({"type": "content_block_start", "index": index, "content_block": block}, out)
            self.feed({"type": "content_block_stop", "index": index}, out)
        self.feed({"type": "message_delta", "delta": document}, out)
        self.close(out)

    def close(self, out: list[Event]) -> None:
        """Raises UpstreamBroke when the reason for the end never came."""
        if self._finished:
            return
        if self._reason is None:
            raise cut_off()
        self._finish(out)

    # Records. The methods below run once per block and for what is rare, not once per record.

    def _record(self, kind: str, record: JsonObject, out: list[Event]) -> None:
        match kind:
            case "content_block_start":
                index = record["index"]
                if self._index is None:
                    self._begin(index, record["content_block"], out)
                elif index != self._index:
                    self._waiting.setdefault(index, [record])
            case "content_block_delta" | "content_block_stop":
                index = record["index"]
                if index == self._index:
                    self._end(out)
                    self._go_on(out)
                elif index in self._waiting:
                    self._waiting[index].append(record)
            case "message_start":
                message = record["message"]
                self._start(out, message.get("id"), message.get("model"))
                self._count(message.get("usage"))
            case "message_delta":
                self._count(record.get("usage"))
                delta = record["delta"]
                self._reason = delta.get("stop_reason") or self._reason
                self._stop_sequence = delta.get("stop_sequence") or self._stop_sequence
            case "message_stop":
                self.close(out)
            case _:
                pass  # ping, and what is younger than this file

    def _start(self, out: list[Event], name: str | None = None, model: str | None = None) -> None:
        if not self._started:
            self._started = True
            out.append(Started(name, model))

    def _count(self, usage: JsonObject | None) -> None:
        """Cumulative; what a later record leaves out or does not know stays as it was."""
        for name, value in (usage or {}).items():
            if value or name not in self._usage:
                self._usage[name] = value

    def _go_on(self, out: list[Event]) -> None:
        """Takes the block up that has waited longest, as far as it has come."""
        while self._waiting and self._index is None:
            index = next(iter(self._waiting))
            for record in self._waiting.pop(index):
                match record["type"]:
                    case "content_block_start":
                        self._begin(index, record["content_block"], out)
                    case "content_block_delta":
                        self._delta(record["delta"], out)
                    case _:
                        self._end(out)

    # Blocks

    def _begin(self, index: int, block: JsonObject, out: list[Event]) -> None:
        self._start(out)
        self._index, self._block = index, block
        self._pieces, self._signature = [], ""
        match block["type"]:
            case "text":
                self._text(block.get("text"), out)
            case "thinking":
                self._opens(_THINKING, out)
                self._signature = block.get("signature") or ""
                if text := block.get("thinking"):
                    out.append(ThinkingDelta(self._at, text))
            case "tool_use":
                self._opens(_TOOL_CALL, out, block["id"], self._original_name(block["name"]))
            case _:
                pass  # said when it is complete

    def _opens(self, kind: PartKind, out: list[Event], call_id: str = "", name: str = "") -> None:
        self._at += 1
        self._open = kind
        self._seen.add(kind)
        out.append(PartOpened(self._at, kind, call_id, name))

    def _text(self, text: str | None, out: list[Event]) -> None:
        if text:
            if self._open is None:
                self._opens(_TEXT, out)
            out.append(TextDelta(self._at, text))

    def _delta(self, delta: JsonObject, out: list[Event]) -> None:
        match delta["type"]:
            case "thinking_delta" if self._open is _THINKING:
                out.append(ThinkingDelta(self._at, delta["thinking"]))
            case "input_json_delta":
                if piece := delta["partial_json"]:
                    self._pieces.append(piece)
                    if self._open is _TOOL_CALL:
                        out.append(_new(ArgumentsDelta, (self._at, piece)))
            case "text_delta" if self._block["type"] == "text":
                self._text(delta["text"], out)
            case "signature_delta":
                self._signature = delta["signature"]
            case _:
                pass  # citations, for which there is no event

    def _end(self, out: list[Event]) -> None:
        block, opened = self._block, self._open
        self._index = self._open = None
        if opened is _TOOL_CALL:
            self._end_arguments(block, out)
        if opened is not None:
            seal = Seal(self._origin, self._signature) if self._signature else None
            out.append(PartClosed(self._at, seal))
        elif block["type"] != "text":
            self._whole(block, out)

    def _end_arguments(self, block: JsonObject, out: list[Event]) -> None:
        """The arguments that came at once, or what the limit of tokens has cut off of them."""
        if not self._pieces:
            rest = encode(block.get("input") or {}).decode()
        else:
            ending = ending_of("".join(self._pieces))
            if ending is None:
                raise bad_arguments()
            rest = ending
        if rest:
            out.append(ArgumentsDelta(self._at, rest))

    # Blocks that are one event: redacted thinking, searches, and what only this dialect knows

    def _whole(self, block: JsonObject, out: list[Event]) -> None:
        match block["type"]:
            case "redacted_thinking":
                seal = Seal(self._origin, block["data"])
                self._says(PartKind.THINKING, Thinking("", seal, redacted=True), out)
            case "server_tool_use" if block.get("name") == _SEARCH:
                self._searches[block["id"]] = str(self._input(block).get("query") or "")
            case "web_search_tool_result":
                query = self._searches.pop(block["tool_use_id"], "")
                search = _search(block["tool_use_id"], query, block.get("content"))
                self._says(PartKind.SEARCH, search, out)
            case _:
                whole = {**block, "input": self._input(block)} if self._pieces else block
                self._says(PartKind.VERBATIM, Verbatim(NAME, whole), out)

    def _input(self, block: JsonObject) -> JsonObject:
        if not self._pieces:
            return block.get("input") or {}
        text = "".join(self._pieces)
        ending = ending_of(text)
        found: JsonObject = {} if ending is None else orjson.loads(text + ending)
        return found

    def _says(
        self, kind: PartKind, whole: Thinking | WebSearch | Verbatim, out: list[Event]
    ) -> None:
        self._at += 1
        self._seen.add(kind)
        out.append(PartOpened(self._at, kind, whole=whole))
        out.append(PartClosed(self._at))

    # The end

    def _finish(self, out: list[Event]) -> None:
        self._start(out)
        while self._index is not None:
            self._end(out)
            self._go_on(out)
        for name, query in self._searches.items():
            self._says(PartKind.SEARCH, WebSearch((query,), id=name), out)
        stop = _STOPS.get(self._reason or "")
        if stop is None:
            stop = Stop.TOOL_CALL if _TOOL_CALL in self._seen else Stop.END
        if stop is Stop.END and not self._seen:
            raise empty()
        sequence = self._stop_sequence if stop is Stop.STOP_SEQUENCE else None
        out.append(UsageSeen(read_usage(self._usage)))
        out.append(Finished(stop, sequence))
        self._finished = True


def _search(name: str, query: str, content: Any) -> WebSearch:
    """A search that failed has an object in place of its list of hits."""
    hits = tuple(
        SearchHit(hit["url"], hit.get("title") or "")
        for hit in (content if isinstance(content, list) else ())
        if isinstance(hit, dict) and isinstance(hit.get("url"), str)
    )
    return WebSearch((query,) if query else (), hits, name)
