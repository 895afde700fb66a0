"""A turn as Cloud Code puts it on the wire: the records of a stream, or one document.

Signatures are placed as each family places them: Claude's on an empty thought part at the end of
the thinking, Gemini's on the first function call of a turn or on a text part. Everything that does
not change between calls is encoded once. Source: cloudcode.md 4.1, 5.1, 5.3.
"""

import base64
import secrets
from functools import lru_cache

from mcp_proxy.demo import signatures
from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.generation import CHARACTERS_PER_TOKEN
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.demo.script import Call, Turn, in_pieces
from mcp_proxy.strict_json import encode

EMPTY_TEXT = b'{"text":""}'


class Envelope:
    """The constant parts of every record of one answer."""

    __slots__ = ("_foot", "_head", "response_id", "trace_id")

    def __init__(self, model: DemoModel, *, bare: bool = False) -> None:
        """`bare`: without Cloud Code's envelope, as the public APIs answer."""
        self.response_id = _response_id(model)
        self.trace_id = secrets.token_hex(8)
        rest = encode({"modelVersion": model.id, "responseId": self.response_id})
        self._head = b"data: " if bare else b'data: {"response":'
        end = b"" if bare else b',"traceId":"' + self.trace_id.encode() + b'"}'
        self._foot = rest[1:] + end + b"\n\n"

    def record(self, parts: bytes, ending: bytes = b"", usage: bytes = b"") -> bytes:
        """One record with these parts; `ending` and `usage` are more fields, commas included."""
        return (
            self._head
            + b'{"candidates":[{"content":{"role":"model","parts":['
            + parts
            + b"]}"
            + ending
            + b"}],"
            + usage
            + self._foot
        )

    def last(self, parts: bytes, turn: Turn, usage: JsonObject) -> bytes:
        """The record that says how it ended and what it cost."""
        ending = b',"finishReason":"' + turn.finish.encode() + b'"'
        if turn.grounding is not None:
            ending += b',"groundingMetadata":' + encode(turn.grounding)
        return self.record(parts, ending, b'"usageMetadata":' + encode(usage) + b",")


def stream(
    turn: Turn, model: DemoModel, *, thinks: bool, usage: JsonObject, bare: bool = False
) -> list[bytes]:
    """Every record of a streamed answer, in order."""
    envelope = Envelope(model, bare=bare)
    records = [envelope.record(part) for part in _thought_parts(turn.thoughts, model)]
    records += map(envelope.record, _text_parts(turn.pieces))
    records += [envelope.record(part) for part in _call_parts(turn.calls, model, thinks=thinks)]
    if turn.image is not None:
        records.append(envelope.record(_image_part(turn.image)))
    records.append(envelope.last(_closing_part(turn, model, thinks=thinks), turn, usage))
    return records


def document(
    turn: Turn, model: DemoModel, *, thinks: bool, usage: JsonObject, bare: bool = False
) -> bytes:
    """The answer of generateContent, which leaves thinking out in Cloud Code (pitfall 1)."""
    parts = [encode({"thought": True, "text": turn.thoughts})] if bare and turn.thoughts else []
    if turn.pieces:
        parts.append(encode({"text": "".join(turn.pieces)}))
    parts += _call_parts(turn.calls, model, thinks=thinks)
    if turn.image is not None:
        parts.append(_image_part(turn.image))
    whole = Envelope(model, bare=bare).last(b",".join(parts), turn, usage)
    return whole.removeprefix(b"data: ").rstrip()


def usage_of(turn: Turn, *, prompt: int, cached: int) -> JsonObject:
    """usageMetadata; the prompt's count includes what came from the cache."""
    said = sum(map(len, turn.pieces)) + sum(len(encode(call.arguments)) for call in turn.calls)
    candidates = -(-said // CHARACTERS_PER_TOKEN)
    thoughts = -(-len(turn.thoughts) // CHARACTERS_PER_TOKEN)
    found = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates + thoughts,
    }
    if thoughts:
        found["thoughtsTokenCount"] = thoughts
    if cached:
        found["cachedContentTokenCount"] = cached
    return found


def call_part(call: Call, model: DemoModel, signature: str | None) -> bytes:
    """A function call with an id of the family's kind."""
    prefix = "toolu_vrtx_01" if model.family == "claude" else "call_"
    body: JsonObject = {"id": prefix + secrets.token_hex(11), "name": call.name}
    if call.arguments:
        body["args"] = call.arguments  # the real one leaves `args` out when there are none
    part: JsonObject = {"functionCall": body}
    if signature is not None:
        part["thoughtSignature"] = signature
    return encode(part)


@lru_cache(maxsize=64)
def _text_parts(pieces: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(encode({"text": piece}) for piece in pieces)


def _thought_parts(thoughts: str, model: DemoModel) -> list[bytes]:
    if not thoughts:
        return []
    parts = [encode({"thought": True, "text": piece}) for piece in in_pieces(thoughts)]
    if model.family == "claude":
        signature = signatures.issue("claude", thoughts)
        parts.append(encode({"thought": True, "text": "", "thoughtSignature": signature}))
    return parts


def _call_parts(calls: tuple[Call, ...], model: DemoModel, *, thinks: bool) -> list[bytes]:
    signed = thinks and model.is_gemini
    return [
        call_part(
            call, model, signatures.issue("gemini", call.name) if signed and not nth else None
        )
        for nth, call in enumerate(calls)
    ]


def _closing_part(turn: Turn, model: DemoModel, *, thinks: bool) -> bytes:
    if model.kind is Kind.GEMINI_3 and thinks and not turn.calls:
        return encode({"text": "", "thoughtSignature": signatures.issue("gemini", "text")})
    return EMPTY_TEXT


def _image_part(image: str) -> bytes:
    return encode({"inlineData": {"mimeType": "image/png", "data": image}})


def _response_id(model: DemoModel) -> str:
    if model.family == "claude":
        return "msg_vrtx_01" + secrets.token_hex(11)
    return base64.urlsafe_b64encode(secrets.token_bytes(17)).rstrip(b"=").decode()
