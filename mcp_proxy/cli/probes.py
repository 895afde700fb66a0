"""A short question in the dialect of each client, and what a right answer to it looks like.

Reads answers as the official clients do: what would make one of them fail is a `WrongAnswer` here.
Knows nothing of sockets or clocks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

JsonObject = dict[str, Any]

QUESTION = "Reply with the single word: hello"
ROOM = 2048
"""Output tokens: some models think before they say a word, and an answer cut there is empty."""

DONE = "[DONE]"


class WrongAnswer(Exception):
    """`str()` says what is not as it has to be."""


class Probe(NamedTuple):
    """One dialect: how it is asked, and how its answers are read."""

    dialect: str
    path: Callable[[str, bool], str]
    """(model, stream) -> path."""
    body: Callable[[str, bool], JsonObject]
    headers: Callable[[str], Mapping[str, str]]
    """Server's key -> headers, as this dialect's clients send it."""
    read: Callable[[JsonObject], str]
    """Answer -> its text. WrongAnswer."""
    read_stream: Callable[[Sequence[Any]], str]
    """Data of all records -> its text. WrongAnswer."""


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise WrongAnswer(what)


def _named(model: object) -> None:
    """Any name will do: what another server wrote in this API's words keeps the name it gave."""
    _expect(isinstance(model, str) and model, "it does not say which model it is of")


def _no_error(event: JsonObject) -> None:
    error = event.get("error")
    if error is None and event.get("type") == "response.failed":
        error = event["response"].get("error")
    if error is not None:
        raise WrongAnswer(f"an error in the stream: {error_text(event) or error}")


def error_text(document: object) -> str | None:
    """The message of an error in any of the dialects."""
    if not isinstance(document, dict):
        return None
    error = document.get("error") or document.get("response", {}).get("error")
    return error.get("message") if isinstance(error, dict) else None


# ---------------------------------------------------------------------------- Anthropic Messages


def _messages_body(model: str, stream: bool) -> JsonObject:
    turn = {"role": "user", "content": QUESTION}
    return {"model": model, "max_tokens": ROOM, "stream": stream, "messages": [turn]}


def _read_message(answer: JsonObject) -> str:
    _expect(answer["type"] == "message", "it is no message")
    _named(answer["model"])
    _expect(answer["stop_reason"] is not None, "it does not say why it stopped")
    _expect(answer["usage"]["output_tokens"] >= 0, "its usage is negative")
    return "".join(part["text"] for part in answer["content"] if part["type"] == "text")


def _read_message_stream(events: Sequence[Any]) -> str:
    said, opened, stop_reason = "", None, None
    _expect(events[0]["type"] == "message_start", "it does not begin with message_start")
    _named(events[0]["message"]["model"])
    for event in events:
        _no_error(event)
        match event["type"]:
            case "content_block_start":
                _expect(opened is None, "a block opens inside another")
                opened = event["index"]
            case "content_block_delta":
                _expect(opened == event["index"], "a delta outside its block")
                said += event["delta"].get("text", "")
            case "content_block_stop":
                _expect(opened == event["index"], "a block closes that was not open")
                opened = None
            case "message_delta":
                stop_reason = event["delta"]["stop_reason"]
    _expect(opened is None, "a block stays open")
    _expect(stop_reason is not None, "it does not say why it stopped")
    _expect(events[-1]["type"] == "message_stop", "it ends without message_stop")
    return said


# ------------------------------------------------------------------------ OpenAI Chat Completions


def _chat_body(model: str, stream: bool) -> JsonObject:
    turn = {"role": "user", "content": QUESTION}
    return {"model": model, "max_tokens": ROOM, "stream": stream, "messages": [turn]}


def _read_completion(answer: JsonObject) -> str:
    _expect(answer["object"] == "chat.completion", "it is no chat.completion")
    _named(answer["model"])
    _expect(answer["usage"]["total_tokens"] >= 0, "its usage is negative")
    (choice,) = answer["choices"]
    _expect(choice["finish_reason"] is not None, "it does not say why it stopped")
    return choice["message"]["content"] or ""


def _read_chunks(events: Sequence[Any]) -> str:
    said, reasons = "", []
    _expect(events[-1] == DONE, "it ends without [DONE]")
    for event in events[:-1]:
        _no_error(event)
        _expect(event["object"] == "chat.completion.chunk", "a record is no chat.completion.chunk")
        _named(event["model"])
        _expect(event["id"] == events[0]["id"], "its id changes on the way")
        for choice in event["choices"]:
            said += choice["delta"].get("content") or ""
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
    _expect(len(reasons) == 1, f"it says {len(reasons)} times why it stopped")
    return said


# ------------------------------------------------------------------------------- OpenAI Responses


def _responses_body(model: str, stream: bool) -> JsonObject:
    return {"model": model, "max_output_tokens": ROOM, "stream": stream, "input": QUESTION}


def _read_response(answer: JsonObject) -> str:
    _expect(answer["object"] == "response", "it is no response")
    _named(answer["model"])
    _expect(answer["status"] == "completed", f"its status is {answer['status']}")
    _expect(answer["usage"]["total_tokens"] >= 0, "its usage is negative")
    return "".join(
        part["text"]
        for item in answer["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def _read_response_stream(events: Sequence[Any]) -> str:
    for place, event in enumerate(events):
        _no_error(event)
        _expect(event["sequence_number"] == place, f"event {place} is out of order")
    _expect(events[0]["type"] == "response.created", "it does not begin with response.created")
    _expect(events[-1]["type"] == "response.completed", "it ends without response.completed")
    said = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    whole = _read_response(events[-1]["response"])
    _expect(said == whole, "its pieces are not the text it ends with")
    return said


# ------------------------------------------------------------------------------------------ Gemini


def _gemini_path(model: str, stream: bool) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{method}"


def _gemini_body(_model: str, _stream: bool) -> JsonObject:
    turn = {"role": "user", "parts": [{"text": QUESTION}]}
    return {"contents": [turn], "generationConfig": {"maxOutputTokens": ROOM}}


def _read_gemini(answer: JsonObject) -> str:
    return _read_gemini_stream([answer])


def _read_gemini_stream(events: Sequence[Any]) -> str:
    said = ""
    for event in events:
        _no_error(event)
        _named(event["modelVersion"])
        for candidate in event["candidates"]:
            parts = candidate.get("content", {}).get("parts", ())
            said += "".join(part.get("text", "") for part in parts if not part.get("thought"))
    last = events[-1]
    _expect(last["candidates"][0].get("finishReason"), "it does not say why it stopped")
    _expect(last["usageMetadata"]["totalTokenCount"] >= 0, "its usage is negative")
    return said


PROBES: tuple[Probe, ...] = (
    Probe(
        "anthropic",
        lambda _model, _stream: "/v1/messages",
        _messages_body,
        lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
        _read_message,
        _read_message_stream,
    ),
    Probe(
        "openai-chat",
        lambda _model, _stream: "/v1/chat/completions",
        _chat_body,
        lambda key: {"Authorization": f"Bearer {key}"},
        _read_completion,
        _read_chunks,
    ),
    Probe(
        "openai-responses",
        lambda _model, _stream: "/v1/responses",
        _responses_body,
        lambda key: {"Authorization": f"Bearer {key}"},
        _read_response,
        _read_response_stream,
    ),
    Probe(
        "gemini",
        _gemini_path,
        _gemini_body,
        lambda key: {"x-goog-api-key": key},
        _read_gemini,
        _read_gemini_stream,
    ),
)


def text_of(probe: Probe, records: Sequence[Any], *, stream: bool) -> str:
    """The words of an answer: all records of a stream, or the one document. WrongAnswer."""
    try:
        _expect(records, "it is empty")
        said = probe.read_stream(records) if stream else probe.read(records[0])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as cause:
        # Whatever is missing or of another type: a client would have stumbled at the same place.
        raise WrongAnswer(f"it has not the shape of this API ({cause!r})") from cause
    _expect(said.strip(), "it has no text")
    return said
