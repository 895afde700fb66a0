"""A turn as the Responses API writes it: a response object, or its events.

Source: client-apis.md 3.2, 3.3; providers.md 7.5 (empty output), 8.5 (rotating ids).
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mcp_proxy.demo import signatures
from mcp_proxy.demo.places.chat_writing import reasoning_tokens, written_tokens
from mcp_proxy.demo.places.desk import Granted
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.demo.script import Call, in_pieces
from mcp_proxy.ids import new_id
from mcp_proxy.sse import sse_record
from mcp_proxy.strict_json import encode

_PIECE = 12
_BLOB_BYTES = 300


@dataclass(frozen=True, slots=True)
class ResponsesStyle:
    """In what places of this API differ."""

    signer: str = "gpt"
    rotates: bool = False
    """Every event of an item has another id for it."""
    empties: bool = False
    """The completed response comes without its output."""
    freeform: frozenset[str] = frozenset()
    """Tools that take a text and no JSON."""


_Event = tuple[str, JsonObject]


def response(granted: Granted, body: JsonObject, style: ResponsesStyle, created: int) -> bytes:
    """The whole answer."""
    items = [item for item, _pieces in _items(granted, body, style)]
    return encode(_finished(granted, body, created, "resp_" + new_id(), items))


def response_stream(
    granted: Granted, body: JsonObject, style: ResponsesStyle, created: int
) -> list[bytes]:
    """The same as events."""
    identifier = "resp_" + new_id()
    started = _frame(granted, body, created, identifier, "in_progress")
    events: list[_Event] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
    ]
    output = []
    for index, (item, pieces) in enumerate(_items(granted, body, style)):
        output.append(item)
        for kind, fields in _WRITERS[item["type"]](item, pieces):
            events.append((kind, {"output_index": index, **fields}))
    ended = _finished(granted, body, created, identifier, [] if style.empties else output)
    events.append((f"response.{ended['status']}", {"response": ended}))
    return [
        _record(kind, number, _rotated(fields) if style.rotates else fields)
        for number, (kind, fields) in enumerate(events)
    ]


def _record(kind: str, number: int, fields: JsonObject) -> bytes:
    return sse_record(encode({"type": kind, "sequence_number": number, **fields}), kind)


def _rotated(fields: JsonObject) -> JsonObject:
    """The event with fresh ids of its item (8.5)."""
    rotated = dict(fields)
    if "item_id" in rotated:
        rotated["item_id"] = secrets.token_urlsafe(_BLOB_BYTES)
    if "item" in rotated:
        rotated["item"] = {**rotated["item"], "id": secrets.token_urlsafe(_BLOB_BYTES)}
    return rotated


def _items(
    granted: Granted, body: JsonObject, style: ResponsesStyle
) -> Iterator[tuple[JsonObject, tuple[str, ...]]]:
    """Finished items with the pieces in which their text is streamed."""
    turn = granted.turn
    if granted.asked.thinks:
        yield _reasoning(turn.thoughts, body, style), in_pieces(turn.thoughts)
    if turn.grounding is not None:
        query = turn.grounding["webSearchQueries"][0]
        action = {"type": "search", "query": query}
        call = {"type": "web_search_call", "id": "ws_" + new_id(), "status": "completed"}
        yield call | {"action": action}, ()
    if turn.finish == "SAFETY":
        refusal = {"type": "refusal", "refusal": "I cannot help with that."}
        yield _message(refusal), ("I cannot help with that.",)
    elif turn.pieces:
        part = {
            "type": "output_text",
            "text": "".join(turn.pieces),
            "annotations": _annotations(granted),
            "logprobs": [],
        }
        yield _message(part), turn.pieces
    for call_made in turn.calls:
        yield _call(call_made, style)


def _reasoning(thoughts: str, body: JsonObject, style: ResponsesStyle) -> JsonObject:
    summary = [{"type": "summary_text", "text": thoughts}] if thoughts else []
    item: JsonObject = {"type": "reasoning", "id": "rs_" + new_id(), "summary": summary}
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = signatures.issue(style.signer, thoughts)
    return item


def _message(part: JsonObject) -> JsonObject:
    return {
        "type": "message",
        "id": "msg_" + new_id(),
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _call(call: Call, style: ResponsesStyle) -> tuple[JsonObject, tuple[str, ...]]:
    item: JsonObject = {"call_id": "call_" + new_id(), "name": call.name, "status": "completed"}
    if call.name in style.freeform:
        text: str = call.arguments["input"]
        item |= {"type": "custom_tool_call", "id": "ctc_" + new_id(), "input": text}
    else:
        text = encode(call.arguments).decode()
        item |= {"type": "function_call", "id": "fc_" + new_id(), "arguments": text}
    return item, tuple(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))


def _write_reasoning(item: JsonObject, pieces: tuple[str, ...]) -> Iterator[_Event]:
    opening = {"type": "reasoning", "id": item["id"], "summary": []}
    yield "response.output_item.added", {"item": opening}
    for part in item["summary"]:
        where = {"item_id": item["id"], "summary_index": 0}
        empty = {"type": "summary_text", "text": ""}
        yield "response.reasoning_summary_part.added", {**where, "part": empty}
        for piece in pieces:
            yield "response.reasoning_summary_text.delta", {**where, "delta": piece}
        yield "response.reasoning_summary_text.done", {**where, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**where, "part": part}
    yield "response.output_item.done", {"item": item}


def _write_message(item: JsonObject, pieces: tuple[str, ...]) -> Iterator[_Event]:
    yield "response.output_item.added", {"item": {**item, "status": "in_progress", "content": []}}
    part: JsonObject = item["content"][0]
    kind, field = ("output_text", "text") if "text" in part else ("refusal", "refusal")
    where = {"item_id": item["id"], "content_index": 0}
    more: JsonObject = {"logprobs": []} if kind == "output_text" else {}
    empty = {**part, field: ""} | ({"annotations": []} if more else {})
    yield "response.content_part.added", {**where, "part": empty}
    for piece in pieces:
        yield f"response.{kind}.delta", {**where, "delta": piece, **more}
    for at, annotation in enumerate(part.get("annotations", ())):
        fields = {**where, "annotation_index": at, "annotation": annotation}
        yield "response.output_text.annotation.added", fields
    yield f"response.{kind}.done", {**where, field: part[field], **more}
    yield "response.content_part.done", {**where, "part": part}
    yield "response.output_item.done", {"item": item}


def _call_writer(
    field: str, events: str
) -> Callable[[JsonObject, tuple[str, ...]], Iterator[_Event]]:
    def write(item: JsonObject, pieces: tuple[str, ...]) -> Iterator[_Event]:
        opening = {**item, field: "", "status": "in_progress"}
        yield "response.output_item.added", {"item": opening}
        for piece in pieces:
            yield f"response.{events}.delta", {"item_id": item["id"], "delta": piece}
        done = {"item_id": item["id"], field: item[field]}
        if field == "arguments":
            done["name"] = item["name"]
        yield f"response.{events}.done", done
        yield "response.output_item.done", {"item": item}

    return write


def _write_search(item: JsonObject, _pieces: tuple[str, ...]) -> Iterator[_Event]:
    yield "response.output_item.added", {"item": {**item, "status": "in_progress"}}
    for step in ("in_progress", "searching", "completed"):
        yield f"response.web_search_call.{step}", {"item_id": item["id"]}
    yield "response.output_item.done", {"item": item}


_WRITERS: dict[str, Callable[[JsonObject, tuple[str, ...]], Iterator[_Event]]] = {
    "reasoning": _write_reasoning,
    "message": _write_message,
    "function_call": _call_writer("arguments", "function_call_arguments"),
    "custom_tool_call": _call_writer("input", "custom_tool_call_input"),
    "web_search_call": _write_search,
}


def _frame(
    granted: Granted, body: JsonObject, created: int, identifier: str, status: str
) -> JsonObject:
    return {
        "id": identifier,
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": granted.asked.model.id,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "metadata": body.get("metadata") or {},
    }


def _finished(
    granted: Granted, body: JsonObject, created: int, identifier: str, output: list[JsonObject]
) -> JsonObject:
    is_cut = granted.turn.finish == "MAX_TOKENS"
    status = "incomplete" if is_cut else "completed"
    ended = _frame(granted, body, created, identifier, status)
    if is_cut:
        ended["incomplete_details"] = {"reason": "max_output_tokens"}
    return ended | {"output": output, "usage": _usage(granted)}


def _usage(granted: Granted) -> JsonObject:
    reasoning = reasoning_tokens(granted)
    written = written_tokens(granted) + reasoning
    return {
        "input_tokens": granted.prompt,
        "input_tokens_details": {"cached_tokens": granted.cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": granted.prompt + written,
    }


def _annotations(granted: Granted) -> list[JsonObject]:
    if granted.turn.grounding is None:
        return []
    end = sum(map(len, granted.turn.pieces))
    return [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": end,
            "url": chunk["web"]["uri"],
            "title": chunk["web"]["title"],
        }
        for chunk in granted.turn.grounding["groundingChunks"]
    ]
