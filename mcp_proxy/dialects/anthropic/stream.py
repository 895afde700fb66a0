"""Events of one answer -> the Messages API's server-sent events (client-apis.md 1.5).

Order is the events' own order, one block at a time. Blocks are numbered here, not by the events:
a part that the client is not to see takes no number.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from mcp_proxy.dialects import EVENT_STREAM, ReplyFrame
from mcp_proxy.dialects.anthropic.errors import error_body
from mcp_proxy.dialects.anthropic.reply import (
    message_id,
    signature,
    stop_fields,
    usage_so_far,
    whole_blocks,
)
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
from mcp_proxy.sse import sse_record
from mcp_proxy.strict_json import JsonObject, encode

PING = sse_record(b'{"type":"ping"}', "ping")

_MESSAGE_STOP = sse_record(b'{"type":"message_stop"}', "message_stop")

_DELTA_FIELD = {
    PartKind.TEXT: ("text_delta", "text"),
    PartKind.THINKING: ("thinking_delta", "thinking"),
    PartKind.TOOL_CALL: ("input_json_delta", "partial_json"),
}
_DELTA_TAIL = b"}}\n\n"


class MessageStream:
    """Renders one answer.

    A delta is bytes put together around its JSON text: everything before the text is the same for
    all deltas of a block and is made when the block opens.
    """

    content_type = EVENT_STREAM

    __slots__ = ("_at", "_delta_head", "_frame", "_has_arguments", "_kind", "_usage")

    def __init__(self, frame: ReplyFrame) -> None:
        self._frame = frame
        self._at = -1
        """Number of the block that is open, or was last."""
        self._kind: PartKind | None = None
        """What is open and has deltas; None between blocks and in a block that came whole."""
        self._delta_head: bytes | None = None
        """None while the client is not to see the deltas."""
        self._has_arguments = False
        self._usage = NO_USAGE

    def render(self, events: Sequence[Event]) -> bytes:
        """Bytes of a batch of events; may be empty. Never called after `Finished`."""
        out: list[bytes] = []
        texts: list[bytes] = []
        for event in events:
            if type(event) is TextDelta or type(event) is ThinkingDelta:
                if self._delta_head is not None:
                    texts.append(encode(event.text))
            else:
                if texts:
                    out.append(self._deltas(texts))
                    texts.clear()
                out.append(self._RENDER[type(event)](self, event))
        if texts:
            out.append(self._deltas(texts))
        return b"".join(out)

    def _deltas(self, texts: Sequence[bytes]) -> bytes:
        """Those of the open block, around these JSON texts."""
        head = self._delta_head or b""
        return head + (_DELTA_TAIL + head).join(texts) + _DELTA_TAIL

    def fail(self, error: ProxyError, request_id: str) -> bytes:
        """The in-stream error, in place of message_delta and message_stop."""
        return _record(error_body(error, request_id))

    def _start(self, _event: Started) -> bytes:
        message: JsonObject = {
            "id": message_id(self._frame),
            "type": "message",
            "role": "assistant",
            "model": self._frame.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": self._frame.prompt_estimate(),
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 1,
            },
        }
        return _record({"type": "message_start", "message": message})

    def _open(self, event: PartOpened) -> bytes:
        reasoning = self._frame.conversation.reasoning
        if event.whole is not None:
            blocks = whole_blocks(event.whole, reasoning)
            return b"".join([self._open_block(block) + self._close_block() for block in blocks])
        if event.kind is PartKind.THINKING and reasoning.mode == "off":
            return b""
        self._kind = event.kind
        self._has_arguments = False
        opening = self._open_block(_EMPTY_BLOCK[event.kind](event))
        hidden = event.kind is PartKind.THINKING and not reasoning.visible
        self._delta_head = None if hidden else self._head(*_DELTA_FIELD[event.kind])
        return opening

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        if not event.json or self._delta_head is None:
            return b""
        self._has_arguments = True
        return self._delta_head + encode(event.json) + _DELTA_TAIL

    def _close(self, event: PartClosed) -> bytes:
        kind, self._kind = self._kind, None
        head, self._delta_head = self._delta_head, None
        match kind:
            case None:
                return b""
            case PartKind.THINKING:
                sealed = self._head("signature_delta", "signature")
                return sealed + encode(signature(event.seal)) + _DELTA_TAIL + self._close_block()
            case PartKind.TOOL_CALL if head is not None and not self._has_arguments:
                return head + b'"{}"' + _DELTA_TAIL + self._close_block()
            case _:
                return self._close_block()

    def _count(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _finish(self, event: Finished) -> bytes:
        end = {
            "type": "message_delta",
            "delta": stop_fields(event.stop, event.stop_sequence),
            "usage": usage_so_far(self._usage, self._frame),
        }
        return _record(end) + _MESSAGE_STOP

    def _open_block(self, block: JsonObject) -> bytes:
        self._at += 1
        return _record({"type": "content_block_start", "index": self._at, "content_block": block})

    def _close_block(self) -> bytes:
        return (
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
            % self._at
        )

    def _head(self, delta_type: str, field: str) -> bytes:
        """A delta of the open block up to where its text begins."""
        return (
            "event: content_block_delta\n"
            f'data: {{"type":"content_block_delta","index":{self._at},'
            f'"delta":{{"type":"{delta_type}","{field}":'
        ).encode()

    # Any: each method takes the one event type that it is listed under.
    _RENDER: ClassVar[dict[type[Event], Callable[["MessageStream", Any], bytes]]] = {
        Started: _start,
        PartOpened: _open,
        ArgumentsDelta: _arguments,
        PartClosed: _close,
        UsageSeen: _count,
        Finished: _finish,
    }


_EMPTY_BLOCK: dict[PartKind, Callable[[PartOpened], JsonObject]] = {
    PartKind.TEXT: lambda _: {"type": "text", "text": ""},
    PartKind.THINKING: lambda _: {"type": "thinking", "thinking": "", "signature": ""},
    PartKind.TOOL_CALL: lambda opened: {
        "type": "tool_use",
        "id": opened.id,
        "name": opened.name,
        "input": {},
    },
}


def _record(event: JsonObject) -> bytes:
    return sse_record(encode(event), event["type"])
