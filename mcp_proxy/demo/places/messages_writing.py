"""A turn as the Messages API writes it: one message, or events. Source: client-apis.md 1.4, 1.5."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcp_proxy.demo import signatures
from mcp_proxy.demo.generation import CHARACTERS_PER_TOKEN
from mcp_proxy.demo.places.desk import SMALLEST_CACHED, Granted
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.demo.script import in_pieces
from mcp_proxy.ids import new_id
from mcp_proxy.sse import sse_record
from mcp_proxy.strict_json import encode

_STOP_REASONS = {
    "STOP": "end_turn",
    "OTHER": "tool_use",
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "refusal",
}
_PIECE = 12
"""Characters of JSON in one delta of a tool's arguments."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block when it opens, its deltas, and as it stands in a whole message."""

    opening: JsonObject
    deltas: tuple[JsonObject, ...]
    whole: JsonObject


def message(granted: Granted, model: str, *, signer: str | None) -> bytes:
    """The whole answer. `signer`: whose signatures these are; None: this place signs nothing."""
    content = [block.whole for block in _blocks(granted, signer)]
    return encode(
        _frame(model, content, _usage(granted, written=_written(granted)))
        | {"stop_reason": _stop_reason(granted), "stop_sequence": granted.turn.stopped_by}
    )


def message_stream(granted: Granted, model: str, *, signer: str | None) -> list[bytes]:
    """The same as events."""
    start = {
        "type": "message_start",
        "message": _frame(model, [], _usage(granted, written=1)) | {"stop_reason": None},
    }
    ending: JsonObject = {
        "type": "message_delta",
        "delta": {
            "stop_reason": _stop_reason(granted),
            "stop_sequence": granted.turn.stopped_by,
        },
        "usage": _usage(granted, written=_written(granted)),
    }
    events: list[JsonObject] = [start]
    for index, block in enumerate(_blocks(granted, signer)):
        events += _events(index, block)
        if index == 0:
            events.append({"type": "ping"})
    events += [ending, {"type": "message_stop"}]
    return [sse_record(encode(event), event["type"]) for event in events]


def _events(index: int, block: _Block) -> Iterator[JsonObject]:
    yield {"type": "content_block_start", "index": index, "content_block": block.opening}
    for delta in block.deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _frame(model: str, content: list[JsonObject], usage: JsonObject) -> JsonObject:
    return {
        "id": "msg_01" + new_id(),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_sequence": None,
        "usage": usage,
    }


def _blocks(granted: Granted, signer: str | None) -> Iterator[_Block]:
    turn, asked = granted.turn, granted.asked
    if asked.thinks and turn.finish != "SAFETY":
        yield _thinking(turn.thoughts, signer)
    if turn.grounding is not None:
        yield from _search(turn.grounding)
    if turn.pieces:
        yield _text(turn.pieces)
    for call in turn.calls:
        yield _tool_use(call.name, call.arguments)


def _thinking(thoughts: str, signer: str | None) -> _Block:
    signature = signatures.issue(signer, thoughts) if signer else ""
    deltas: list[JsonObject] = [
        {"type": "thinking_delta", "thinking": piece} for piece in in_pieces(thoughts)
    ]
    deltas.append({"type": "signature_delta", "signature": signature})
    opening = {"type": "thinking", "thinking": "", "signature": ""}
    return _Block(opening, tuple(deltas), opening | {"thinking": thoughts, "signature": signature})


def _text(pieces: tuple[str, ...]) -> _Block:
    deltas = tuple({"type": "text_delta", "text": piece} for piece in pieces)
    return _Block({"type": "text", "text": ""}, deltas, {"type": "text", "text": "".join(pieces)})


def _tool_use(name: str, arguments: JsonObject) -> _Block:
    opening = {"type": "tool_use", "id": "toolu_01" + new_id(), "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": ""}]
    if arguments:
        text = encode(arguments).decode()
        deltas += [
            {"type": "input_json_delta", "partial_json": text[at : at + _PIECE]}
            for at in range(0, len(text), _PIECE)
        ]
    return _Block(opening, tuple(deltas), opening | {"input": arguments})


def _search(grounding: JsonObject) -> Iterator[_Block]:
    identifier = "srvtoolu_01" + new_id()
    query = encode({"query": grounding["webSearchQueries"][0]}).decode()
    opening = {
        "type": "server_tool_use",
        "id": identifier,
        "name": "web_search",
        "input": {},
    }
    asked = opening | {"input": {"query": grounding["webSearchQueries"][0]}}
    yield _Block(opening, ({"type": "input_json_delta", "partial_json": query},), asked)
    found: JsonObject = {
        "type": "web_search_tool_result",
        "tool_use_id": identifier,
        "content": [
            {
                "type": "web_search_result",
                "url": chunk["web"]["uri"],
                "title": chunk["web"]["title"],
                "encrypted_content": signatures.issue("claude", chunk["web"]["uri"]),
                "page_age": None,
            }
            for chunk in grounding["groundingChunks"]
        ],
    }
    yield _Block(found, (), found)


def _stop_reason(granted: Granted) -> str:
    if granted.turn.stopped_by is not None:
        return "stop_sequence"
    if granted.turn.calls:
        return "tool_use"
    return _STOP_REASONS.get(granted.turn.finish, "end_turn")


def _written(granted: Granted) -> int:
    turn = granted.turn
    characters = (
        len(turn.thoughts)
        + sum(map(len, turn.pieces))
        + sum(len(encode(call.arguments)) for call in turn.calls)
    )
    return -(-characters // CHARACTERS_PER_TOKEN)


def _usage(granted: Granted, *, written: int) -> JsonObject:
    """The prompt is counted in three parts: read from the cache, written to it, neither."""
    caches = granted.asked.session is not None and granted.prompt >= SMALLEST_CACHED
    fresh = granted.prompt - granted.cached
    usage: JsonObject = {
        "input_tokens": min(fresh, 3) if caches else fresh,
        "cache_creation_input_tokens": max(fresh - 3, 0) if caches else 0,
        "cache_read_input_tokens": granted.cached,
        "output_tokens": written,
        "service_tier": "standard",
    }
    if granted.turn.grounding is not None:
        usage["server_tool_use"] = {"web_search_requests": 1}
    return usage
