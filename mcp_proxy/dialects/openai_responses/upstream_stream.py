"""Responses stream records -> events (client-apis.md 3.3, providers.md 7.6 and 8.5).

Items are told apart by `output_index` alone: at Copilot an item's id is another in every event.
What an item's deltas left out is taken from the item when it is done, and items without any events
from the finished response. The order of what is shown is `upstream_line.Line`'s.
"""

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from mcp_proxy.conversation import Conversation, JsonObject, Media, Seal, Verbatim
from mcp_proxy.dialects.broken import broken, cut_off, empty, unreadable
from mcp_proxy.dialects.call_names import CallIds
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.upstream_findings import Findings, read_usage
from mcp_proxy.dialects.openai_responses.upstream_line import Item, Line
from mcp_proxy.dialects.openai_responses.upstream_tools import Toolbox
from mcp_proxy.dialects.stop_cutter import StopCutter
from mcp_proxy.events import (
    Event,
    Finished,
    PartKind,
    Started,
    Stop,
    TextDelta,
    UpstreamSaidError,
    UsageSeen,
)
from mcp_proxy.model import ModelInfo

_SECTION_BREAK: Final = "\n\n"
"""Between the parts of a summary, which are paragraphs with headings of their own."""

# Calling a named tuple's class runs a Python-level __new__; this makes the same object in half
# the time, and there is one for every record of a stream.
_new = tuple.__new__


class ResponsesStreamParser:
    """Implements `StreamParser`."""

    may_end = False

    def __init__(self, conversation: Conversation, model: ModelInfo) -> None:
        self._conversation = conversation
        self._origin = model.origin
        self._toolbox: Toolbox | None = None
        stops = conversation.sampling.stop
        self._line = Line(StopCutter(stops) if any(stops) else None)
        self._findings = Findings()
        self._call_ids = CallIds("call_")
        self._last_index = 0
        self._refused = self._started = self._finished = False

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        """Appends the events of one record; nothing after `Finished`."""
        try:
            kind = record.get("type")
            line = self._line
            # One more piece of the text that is shown: nearly every record of a stream.
            if (
                kind == "response.output_text.delta"
                and record.get("output_index") == line.streaming
            ):
                if piece := record["delta"]:
                    out.append(_new(TextDelta, (line.at, piece)))
                return
            handle = _HANDLERS.get(kind)
            if handle is not None and not self._finished:
                if not self._started:
                    self._start(record, out)
                handle(self, record, out)
        except (AttributeError, KeyError, TypeError) as cause:
            raise unreadable() from cause

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        """All events of a response object."""
        ending = _ENDING_OF.get(document.get("status", "completed"))
        if ending is None or not isinstance(document.get("output"), list):
            raise broken("the upstream's answer is not a finished response")
        self.feed({"type": ending, "response": document}, out)

    def close(self, out: list[Event]) -> None:
        """Raises UpstreamBroke when the terminal event never came."""
        if not self._finished:
            raise cut_off()

    # The beginning of the answer, and of an item

    def _start(self, record: JsonObject, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            response = record.get("response") or {}
            out.append(Started(response.get("id"), response.get("model")))

    def _added(self, record: JsonObject, out: list[Event]) -> None:
        told = record["item"]
        self._last_index = self._index(record)
        item = self._line.item(self._last_index, told["type"])
        if item is not None and item.kind is PartKind.TOOL_CALL:
            self._name(item, told)
            self._line.begin(item, out)

    def _name(self, item: Item, told: JsonObject) -> None:
        if item.name or not told.get("name"):
            return
        toolbox = self._toolbox = self._toolbox or Toolbox(self._conversation)
        item.name = toolbox.original_name(told["name"])
        item.call_id = self._call_ids.unique(told.get("call_id") or told.get("id"))

    def _index(self, record: JsonObject) -> int:
        index = record.get("output_index")
        return index if type(index) is int else self._last_index

    # Content, as it comes

    def _text(self, record: JsonObject, out: list[Event]) -> None:
        item = self._line.item(self._index(record), "message")
        if item is not None:
            self._line.add(item, record["delta"], out)

    def _refusal(self, record: JsonObject, out: list[Event]) -> None:
        self._refused = True
        self._text(record, out)

    def _summary(self, record: JsonObject, out: list[Event]) -> None:
        self._thought(record, "summary", record.get("summary_index"), out)

    def _raw_thought(self, record: JsonObject, out: list[Event]) -> None:
        self._thought(record, "content", record.get("content_index"), out)

    def _thought(self, record: JsonObject, source: str, part: object, out: list[Event]) -> None:
        """Where an upstream gives both, the thoughts and their summary, the first one counts."""
        item, piece = self._line.item(self._index(record), "reasoning"), record["delta"]
        if item is None or not piece:
            return
        last, now = item.section or (source, part), (source, part)
        if last[0] == source:
            item.section = now
            self._line.add(item, piece if last == now else _SECTION_BREAK + piece, out)

    def _arguments(self, record: JsonObject, out: list[Event]) -> None:
        item = self._line.item(self._index(record), "function_call")
        if item is not None:
            self._line.add(item, record["delta"], out)

    def _input(self, record: JsonObject, out: list[Event]) -> None:
        item = self._line.item(self._index(record), "custom_tool_call")
        if item is not None:
            self._add_free_text(item, record["delta"], out)

    def _add_free_text(self, item: Item, text: str, out: list[Event]) -> None:
        """A piece of the text of a custom call, as a piece of the object that stands for it."""
        if text:
            head = "" if item.has_content else '{"input":"'
            self._line.add(item, head + orjson.dumps(text).decode()[1:-1], out)

    def _annotation(self, record: JsonObject, out: list[Event]) -> None:
        self._findings.add_citation(record["annotation"])

    # What is in an item when it is done

    def _done(self, record: JsonObject, out: list[Event]) -> None:
        self._take(self._index(record), record["item"], out)
        self._line.advance(out)

    def _take(self, index: int, told: JsonObject, out: list[Event]) -> None:
        """Takes from a finished item what its deltas left out."""
        kind = told["type"]
        item = self._line.item(index, kind)
        if item is None or item.is_done or item.type != kind:
            return
        _READERS.get(kind, ResponsesStreamParser._read_other)(self, item, told, out)
        item.is_cut = told.get("status") == "incomplete"
        item.is_done = True

    def _read_message(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        texts = []
        for part in told.get("content") or ():
            self._refused = self._refused or part.get("type") == "refusal"
            texts.append(part.get("text") or part.get("refusal") or "")
            for annotation in part.get("annotations") or ():
                self._findings.add_citation(annotation)
        if not item.has_content:
            self._line.add(item, "".join(texts), out)

    def _read_reasoning(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        if not item.has_content:
            shown = told.get("summary") or told.get("content") or ()
            self._line.add(item, _SECTION_BREAK.join(part["text"] for part in shown), out)
        encrypted = told.get("encrypted_content")
        if encrypted:
            item.seal = Seal(self._origin, encrypted)

    def _read_call(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        self._name(item, told)
        if not item.has_content:
            self._line.add(item, told.get("arguments") or "", out)

    def _read_custom_call(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        self._name(item, told)
        if not item.has_content:
            self._add_free_text(item, told.get("input") or "", out)

    def _read_image(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        if told.get("result"):
            item.whole = Media(f"image/{told.get('output_format') or 'png'}", told["result"])

    def _read_search(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        self._findings.add_call(told)

    def _read_other(self, item: Item, told: JsonObject, out: list[Event]) -> None:
        item.whole = Verbatim(NAME, told)

    # The end

    def _completed(self, record: JsonObject, out: list[Event]) -> None:
        self._finish(record["response"], None, out)

    def _incomplete(self, record: JsonObject, out: list[Event]) -> None:
        response = record["response"]
        reason = (response.get("incomplete_details") or {}).get("reason")
        filtered = reason == "content_filter"
        self._finish(response, Stop.REFUSAL if filtered else Stop.LENGTH, out)

    def _failed(self, record: JsonObject, out: list[Event]) -> None:
        error = record["response"].get("error")
        raise UpstreamSaidError({"error": error or {"message": "the response failed"}})

    def _error(self, record: JsonObject, out: list[Event]) -> None:
        error = {key: record[key] for key in ("code", "message", "param") if key in record}
        raise UpstreamSaidError({"error": error or {"message": "the stream failed"}})

    def _finish(self, response: JsonObject, stop: Stop | None, out: list[Event]) -> None:
        """`stop`: why the answer was broken off; None: it came to its end."""
        line = self._line
        self._take_output(response.get("output") or [], out)
        line.end(out, is_cut=stop is not None)
        if not (line.seen or stop or line.stopped_by):
            raise empty()
        for search in self._findings.searches():
            line.add_search(search, out)
        out.append(UsageSeen(read_usage(response.get("usage") or {}, self._findings.count)))
        out.append(self._ending(stop))
        self._finished = True

    def _take_output(self, output: Sequence[JsonObject], out: list[Event]) -> None:
        """Items of the finished response of which too little came, or nothing.

        Their place in the list is their index, unless the upstream counts in another way; so none
        is taken that may have been shown already. Codex leaves the list empty (providers.md 7.5).
        """
        line = self._line
        has_more = len(output) > len(line)
        for index, told in enumerate(output):
            if line.has(index) or (has_more and not line.has_had(index)):
                self._take(index, told, out)

    def _ending(self, stop: Stop | None) -> Finished:
        stopped_by = self._line.stopped_by
        if stopped_by is not None:
            return Finished(Stop.STOP_SEQUENCE, stopped_by)
        if stop is not None:
            return Finished(stop)
        if PartKind.TOOL_CALL in self._line.seen:
            return Finished(Stop.TOOL_CALL)
        return Finished(Stop.REFUSAL if self._refused else Stop.END)


_Handler = Callable[[ResponsesStreamParser, JsonObject, list[Event]], None]
_Reader = Callable[[ResponsesStreamParser, Item, JsonObject, list[Event]], None]

_HANDLERS: Final[dict[object, _Handler]] = {
    "response.created": ResponsesStreamParser._start,
    "response.output_item.added": ResponsesStreamParser._added,
    "response.output_text.delta": ResponsesStreamParser._text,
    "response.refusal.delta": ResponsesStreamParser._refusal,
    "response.reasoning_summary_text.delta": ResponsesStreamParser._summary,
    "response.reasoning_text.delta": ResponsesStreamParser._raw_thought,
    "response.function_call_arguments.delta": ResponsesStreamParser._arguments,
    "response.custom_tool_call_input.delta": ResponsesStreamParser._input,
    "response.output_text.annotation.added": ResponsesStreamParser._annotation,
    "response.output_item.done": ResponsesStreamParser._done,
    "response.completed": ResponsesStreamParser._completed,
    "response.incomplete": ResponsesStreamParser._incomplete,
    "response.failed": ResponsesStreamParser._failed,
    "error": ResponsesStreamParser._error,
}
"""Every other type is progress of which clients see nothing, or one place's own (`codex.*`)."""

_READERS: Final[dict[str, _Reader]] = {
    "message": ResponsesStreamParser._read_message,
    "reasoning": ResponsesStreamParser._read_reasoning,
    "function_call": ResponsesStreamParser._read_call,
    "custom_tool_call": ResponsesStreamParser._read_custom_call,
    "image_generation_call": ResponsesStreamParser._read_image,
    "web_search_call": ResponsesStreamParser._read_search,
}

_ENDING_OF: Final[dict[object, str]] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}
"""Status of a response -> the event that it would end a stream with."""
