"""A turn as Chat Completions writes it: one document, or chunks. Source: client-apis.md 2."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcp_proxy.demo.generation import CHARACTERS_PER_TOKEN
from mcp_proxy.demo.places.desk import Granted
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.demo.script import Call, in_pieces
from mcp_proxy.ids import new_id
from mcp_proxy.sse import sse_record
from mcp_proxy.strict_json import encode

HIDDEN_REASONING = 16
"""Tokens that are counted for reasoning nobody sees."""

_DONE = sse_record(b"[DONE]")
_FINISH = {"STOP": "stop", "OTHER": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
_PIECE = 12


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """In what servers of this API differ."""

    reasoning: str | None = None
    """The field with reasoning text; None: it is never shown."""
    reports_usage: bool = False
    """Usage comes although nobody asked for it."""
    splits: bool = False
    """Tool calls come in a choice of their own, as Claude's do at Copilot (providers.md 8.5)."""
    freeform: frozenset[str] = frozenset()
    """Tools that take a text and no JSON."""


def completion(granted: Granted, style: ChatStyle, created: int) -> bytes:
    """The whole answer."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "refusal": None, "content": None, **message},
            "logprobs": None,
            "finish_reason": _finish(granted),
        }
        for index, message in enumerate(_messages(granted, style))
    ]
    head = _head(granted, created) | {"object": "chat.completion"}
    return encode(head | {"choices": choices, "usage": chat_usage(granted)})


def completion_stream(
    granted: Granted, style: ChatStyle, created: int, *, with_usage: bool
) -> list[bytes]:
    """The same as chunks. `with_usage`: asked for by `stream_options`."""
    head = _head(granted, created) | {"object": "chat.completion.chunk"}
    rest: JsonObject = {"usage": None} if with_usage else {}
    chunks = [
        head | {"choices": [{"index": index, "delta": delta, "finish_reason": None}]} | rest
        for index, delta in _deltas(granted, style)
    ]
    for index in range(len(_messages(granted, style))):
        end = {"index": index, "delta": {}, "finish_reason": _finish(granted)}
        chunks.append(head | {"choices": [end]} | rest)
    if with_usage or style.reports_usage:
        chunks.append(head | {"choices": [], "usage": chat_usage(granted)})
    return [*(sse_record(encode(chunk)) for chunk in chunks), _DONE]


def chat_usage(granted: Granted) -> JsonObject:
    reasoning = reasoning_tokens(granted)
    written = written_tokens(granted) + reasoning
    return {
        "prompt_tokens": granted.prompt,
        "completion_tokens": written,
        "total_tokens": granted.prompt + written,
        "prompt_tokens_details": {"cached_tokens": granted.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def reasoning_tokens(granted: Granted) -> int:
    if not granted.asked.thinks:
        return 0
    return -(-len(granted.turn.thoughts) // CHARACTERS_PER_TOKEN) or HIDDEN_REASONING


def written_tokens(granted: Granted) -> int:
    """Text and calls; no reasoning."""
    turn = granted.turn
    said = sum(map(len, turn.pieces)) + sum(len(encode(call.arguments)) for call in turn.calls)
    return -(-said // CHARACTERS_PER_TOKEN)


def _head(granted: Granted, created: int) -> JsonObject:
    return {
        "id": "chatcmpl-" + new_id(),
        "created": created,
        "model": granted.asked.model.id,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def _messages(granted: Granted, style: ChatStyle) -> list[JsonObject]:
    """One message, or two where calls have a choice of their own."""
    turn = granted.turn
    text = "".join(turn.pieces)
    said: JsonObject = {
        "content": text or (None if turn.calls else ""),
        "annotations": _annotations(granted),
    }
    if style.reasoning and turn.thoughts:
        said[style.reasoning] = turn.thoughts
    if not turn.calls:
        return [said]
    calls = {"tool_calls": [_call(call, style) for call in turn.calls]}
    return [said, calls] if style.splits and text else [said | calls]


def _deltas(granted: Granted, style: ChatStyle) -> Iterator[tuple[int, JsonObject]]:
    """(index of the choice, delta) in order."""
    turn = granted.turn
    yield 0, {"role": "assistant", "content": ""}
    if style.reasoning:
        for piece in in_pieces(turn.thoughts):
            yield 0, {style.reasoning: piece}
    for piece in turn.pieces:
        yield 0, {"content": piece}
    calling = 1 if style.splits and turn.pieces else 0
    for index, call in enumerate(turn.calls):
        for delta in _call_deltas(index, _call(call, style)):
            yield calling, delta
    if turn.grounding is not None:
        yield 0, {"annotations": _annotations(granted)}


def _call_deltas(index: int, call: JsonObject) -> Iterator[JsonObject]:
    """Name and id first, then the text in pieces."""
    kind = call["type"]
    field = "arguments" if kind == "function" else "input"
    text: str = call[kind][field]
    opening = {"index": index, **call, kind: {**call[kind], field: ""}}
    yield {"tool_calls": [opening]}
    for at in range(0, len(text), _PIECE):
        yield {"tool_calls": [{"index": index, kind: {field: text[at : at + _PIECE]}}]}


def _call(call: Call, style: ChatStyle) -> JsonObject:
    identifier = "call_" + new_id()
    if call.name in style.freeform:
        inner = {"name": call.name, "input": call.arguments["input"]}
        return {"id": identifier, "type": "custom", "custom": inner}
    arguments = encode(call.arguments).decode()
    function = {"name": call.name, "arguments": arguments}
    return {"id": identifier, "type": "function", "function": function}


def _annotations(granted: Granted) -> list[JsonObject]:
    if granted.turn.grounding is None:
        return []
    end = sum(map(len, granted.turn.pieces))
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": end,
                "url": chunk["web"]["uri"],
                "title": chunk["web"]["title"],
            },
        }
        for chunk in granted.turn.grounding["groundingChunks"]
    ]


def _finish(granted: Granted) -> str:
    return "tool_calls" if granted.turn.calls else _FINISH.get(granted.turn.finish, "stop")
