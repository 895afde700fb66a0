"""Events -> GenerateContentResponse chunks: SSE or one growing JSON list (client-apis.md 4.3).

Everything around a piece of text is made once per stream. A call goes out whole when it closes:
this wire has no deltas for arguments. No comments, no event names: google-genai fails on them.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import orjson

from mcp_proxy.conversation import Text, Thinking
from mcp_proxy.dialects import EVENT_STREAM, JsonObject, ReplyFrame
from mcp_proxy.dialects.gemini.client_errors import error_body
from mcp_proxy.dialects.gemini.client_reply import Answer
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)

KEEP_ALIVE: Final = b"\n"
"""An empty line: SDKs skip it between records, and JSON readers between values."""

_BETWEEN: Final = b",\r\n"
"""Ahead of every element of a list but the first, which has "[" there."""

# orjson's name looked up once: the text branch is the hot path of every stream.
_dumps = orjson.dumps


class GeminiStream:
    """The renderer of one answer."""

    __slots__ = (
        "_answer",
        "_array",
        "_begun",
        "_end",
        "_head",
        "_hidden",
        "_open",
        "_part_head",
        "_part_tail",
        "_pieces",
        "_text_head",
        "_text_tail",
        "_thought_tail",
        "content_type",
    )

    def __init__(self, frame: ReplyFrame) -> None:
        self._array = frame.conversation.wants_array
        self.content_type = "application/json" if self._array else EVENT_STREAM
        self._head, self._end = (_BETWEEN, b"\n") if self._array else (b"data: ", b"\n\n")
        self._answer = Answer(frame)
        self._part_head = self._head + b'{"candidates":[{"content":{"parts":['
        facts = b'"modelVersion":%b,"responseId":%b}' % (_dumps(frame.model), _dumps(frame.id))
        self._part_tail = b'],"role":"model"},"index":0}],' + facts + self._end
        self._text_head = self._part_head + b'{"text":'
        self._text_tail = b"}" + self._part_tail
        shown = self._answer.shows_thoughts
        self._thought_tail = b',"thought":true}' + self._part_tail if shown else None
        self._begun = False
        """Whether the list of an array has its opening bracket."""
        self._open: PartOpened | None = None
        self._pieces: list[str] = []
        """Arguments of the open call."""
        self._hidden = False
        """Whether the open thought has text that the client does not see."""

    def render(self, events: Sequence[Event]) -> bytes:
        """Bytes of a batch of events; may be empty. Never called after `Finished`."""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                if event.text:
                    self._answer.has_content = True
                    out.append(self._text_head + _dumps(event.text) + self._text_tail)
            elif type(event) is ThinkingDelta:
                if event.text:
                    out.append(self._thought(event.text))
            else:
                out.append(self._RENDER[type(event)](self, event))
        return self._listed(b"".join(out))

    def fail(self, error: ProxyError, request_id: str) -> bytes:
        """The in-stream error; SDKs know it by its first key."""
        return self._listed(self._record(error_body(error))) + self._closing()

    def _listed(self, data: bytes) -> bytes:
        if self._begun or not self._array or not data:
            return data
        self._begun = True
        return b"[" + data[len(_BETWEEN) :]

    def _closing(self) -> bytes:
        return b"]" if self._array else b""

    def _record(self, response: JsonObject) -> bytes:
        return self._head + _dumps(response) + self._end

    def _part(self, part: JsonObject | None) -> bytes:
        """A chunk of one part, if the client is to see it."""
        if part is None:
            return b""
        self._answer.has_content = True
        return self._part_head + _dumps(part) + self._part_tail

    def _thought(self, text: str) -> bytes:
        if self._thought_tail is None:
            self._hidden = True
            return b""
        self._answer.has_content = True
        return self._text_head + _dumps(text) + self._thought_tail

    # Events other than deltas of text

    def _nothing(self, _event: Started) -> bytes:
        return b""

    def _opened(self, event: PartOpened) -> bytes:
        self._open, self._pieces, self._hidden = event, [], False
        return b"" if event.whole is None else self._part(self._answer.whole(event.whole))

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        self._pieces.append(event.json)
        return b""

    def _closed(self, event: PartClosed) -> bytes:
        """What only the end of a part can tell: a whole call, or the seal of what has gone out."""
        opened, self._open = self._open, None
        if opened is None or opened.whole is not None:
            return b""
        if opened.kind is PartKind.TOOL_CALL:
            arguments = "".join(self._pieces)
            return self._part(self._answer.call(opened.id, opened.name, arguments, event.seal))
        if event.seal is None or self._hidden:
            return b""
        rest = Thinking if opened.kind is PartKind.THINKING else Text
        return self._part(self._answer.part(rest("", event.seal)))

    def _counted(self, event: UsageSeen) -> bytes:
        self._answer.usage = event.usage
        return b""

    def _finished(self, event: Finished) -> bytes:
        return self._record(self._answer.end([], event.stop)) + self._closing()

    # Any: each method takes the one event type that it is listed under.
    _RENDER: ClassVar[dict[type[Event], Callable[["GeminiStream", Any], bytes]]] = {
        Started: _nothing,
        PartOpened: _opened,
        ArgumentsDelta: _arguments,
        PartClosed: _closed,
        UsageSeen: _counted,
        Finished: _finished,
    }
