"""Events -> Chat Completions chunks (client-apis.md 2.3).

Everything constant is made once per stream or per call, so that a text event costs one look at its
type and one JSON string. Legacy and custom calls are told apart when they open, not per piece.
"""

from collections.abc import Sequence

import orjson

from mcp_proxy.conversation import JsonObject, Media, WebSearch
from mcp_proxy.dialects import EVENT_STREAM, ReplyFrame
from mcp_proxy.dialects.openai_chat.reply import (
    Manner,
    annotations,
    answer_id,
    image_object,
    usage_object,
)
from mcp_proxy.dialects.openai_errors import error_body
from mcp_proxy.dialects.openai_tools import free_text
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import (
    NO_USAGE,
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

_DONE = b"data: [DONE]\n\n"
_NO_FINISH = b',"finish_reason":null}]}\n\n'
_TEXT_END = b"}" + _NO_FINISH

# orjson's name looked up once: the text branch is the hot path of every stream.
_dumps = orjson.dumps


class ChatStream:
    """The renderer of one answer."""

    content_type = EVENT_STREAM

    def __init__(self, frame: ReplyFrame) -> None:
        conversation = frame.conversation
        self._manner = Manner.of(conversation)
        self._wants_usage = conversation.wants_usage
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
            _dumps(answer_id(frame)),
            frame.created,
            _dumps(frame.model),
        )
        # With usage asked for, every chunk but the one that carries it says null.
        between = b'"usage":null,' if self._wants_usage else b""
        self._choice = self._head + between + b'"choices":[{"index":0,"delta":'
        self._text = self._choice + b'{"content":'
        thinking = self._choice + b'{"reasoning_content":'
        self._thinking = thinking if self._manner.shows_thinking else None
        self._usage = NO_USAGE
        self._calls = 0
        self._images = 0
        self._call: _Call | None = None

    def render(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TextDelta):
                out.append(self._text + _dumps(event.text) + _TEXT_END)
            elif isinstance(event, ThinkingDelta):
                if self._thinking:
                    out.append(self._thinking + _dumps(event.text) + _TEXT_END)
            elif isinstance(event, ArgumentsDelta):
                if self._call:
                    out.append(self._call.piece(event.json))
            else:
                out.append(self._other(event))
        return b"".join(out)

    def fail(self, error: ProxyError, request_id: str) -> bytes:
        # No [DONE] after it: clients would take that for a complete answer.
        return b"data: " + _dumps(error_body(error)) + b"\n\n"

    def _other(self, event: Event) -> bytes:
        match event:
            case Started():
                return self._delta({"role": "assistant", "content": ""})
            case PartOpened(kind=PartKind.TOOL_CALL):
                return self._open_call(event)
            case PartOpened(whole=Media() as image):
                self._images += 1
                return self._delta({"images": [image_object(image, self._images - 1)]})
            case PartOpened(whole=WebSearch() as search):
                return self._delta({"annotations": annotations(search)}) if search.hits else b""
            case PartClosed():
                return self._close_call()
            case UsageSeen(usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finish(event)
            case _:
                return b""

    def _delta(self, delta: JsonObject) -> bytes:
        return self._choice + _dumps(delta) + _NO_FINISH

    def _open_call(self, opened: PartOpened) -> bytes:
        at, self._calls = self._calls, self._calls + 1
        if self._manner.legacy and at:
            return b""
        if self._manner.legacy:
            self._call = _Call(self._choice + b'{"function_call":{"arguments":', b"}}" + _NO_FINISH)
            return self._delta({"function_call": {"name": opened.name, "arguments": ""}})
        entry: JsonObject = {"index": at, "id": opened.id}
        start = self._choice + b'{"tool_calls":[{"index":%d,' % at
        end = b"}}]}" + _NO_FINISH
        if opened.name in self._manner.custom:
            self._call = _CustomCall(start + b'"custom":{"input":', end)
            entry |= {"type": "custom", "custom": {"name": opened.name, "input": ""}}
        else:
            self._call = _Call(start + b'"function":{"arguments":', end)
            entry |= {"type": "function", "function": {"name": opened.name, "arguments": ""}}
        return self._delta({"tool_calls": [entry]})

    def _close_call(self) -> bytes:
        call, self._call = self._call, None
        return call.close() if call else b""

    def _finish(self, finished: Finished) -> bytes:
        reason = _dumps(self._manner.finish_reason(finished.stop))
        end = self._choice + b'{},"finish_reason":' + reason + b"}]}\n\n"
        if self._wants_usage:
            end += self._head + b'"choices":[],"usage":' + _dumps(usage_object(self._usage))
            end += b"}\n\n"
        return end + _DONE


class _Call:
    """The open call: its arguments go out piece by piece."""

    __slots__ = ("_begun", "_end", "_start")

    def __init__(self, start: bytes, end: bytes) -> None:
        self._start = start
        self._end = end
        self._begun = False

    def piece(self, json: str) -> bytes:
        if json:
            self._begun = True
        return self._start + _dumps(json) + self._end

    def close(self) -> bytes:
        """A call without arguments is still a call with an empty object."""
        return b"" if self._begun else self._start + b'"{}"' + self._end


class _CustomCall(_Call):
    """The open custom call: its text can be taken out of the JSON only when that is whole."""

    __slots__ = ("_pieces",)

    def __init__(self, start: bytes, end: bytes) -> None:
        super().__init__(start, end)
        self._pieces: list[str] = []

    def piece(self, json: str) -> bytes:
        self._pieces.append(json)
        return b""

    def close(self) -> bytes:
        text = free_text("".join(self._pieces) or "{}")
        return self._start + _dumps(text) + self._end
