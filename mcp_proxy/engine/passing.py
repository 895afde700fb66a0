"""An upstream's own bytes on their way to a client of the same API.

They stay as they are, but for the model's name when the client knows it by another one, and for
usage that an OpenAI client has not asked for.

Whole records go on, and only those that could be read: what is written after them is then
understood wherever the upstream broke off, and an end is told once it is known to be one.
"""

import re
from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.engine.json_bytes import place_of, with_model
from mcp_proxy.strict_json import decode, encode

_BLANK: Final = (b"\n\n", b"\n\r\n", b"\r\r")
"""What parts records; a carriage return goes with either neighbour."""

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")

_ENDS: Final = {
    "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "openai_chat": b"data: [DONE]\n\n",
}
"""The last records of streams that some upstreams end without; those of other APIs say so much
that there is no answer without them."""

_MODEL_IS_IN: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("message",),
    "openai_chat": (),
    "openai_responses": ("response",),
}
"""Of what in a record the model's name is a member. Gemini's `modelVersion` is no such name: it
tells which version of the model has answered."""

_MODEL: Final = b'"model"'
_USAGE: Final = b'"usage"'
_COUNTED: Final = re.compile(rb'"usage"\s*:\s*\{')


class Passage:
    """The bytes of one answer that were read and not yet written."""

    def __init__(self, asked: Conversation) -> None:
        self.wants_stream = asked.wants_stream
        self.said_done = False
        """Whether OpenAI's last record came."""
        self._dialect = asked.dialect
        self._model = asked.model
        self._is_renamed = False
        """Whether the upstream calls the model by another name than the client."""
        self._drops_usage = not asked.wants_usage
        self._head: tuple[bytes, bytes] | None = None
        """How a record begins that was renamed, and how it began after it."""
        self._ready: list[bytes] = []
        self._held = bytearray()
        """The beginning of a record."""

    def answers_as(self, model: str | None) -> None:
        """By which name the upstream calls its model, if it does."""
        self._is_renamed = model not in (None, self._model) and self._dialect in _MODEL_IS_IN

    def add(self, chunk: bytes, *, is_whole: bool) -> None:
        """A chunk whose records could be read; `is_whole`: it ends where one of them does."""
        held = self._held
        if is_whole and not held:
            self._ready.append(chunk)
            return
        searched = max(len(held) - 3, 0)
        held += chunk
        end = len(held) if is_whole else _end_of_whole(held, searched)
        if end:
            self._ready.append(bytes(held[:end]))
            del held[:end]

    def add_first(self, chunk: bytes, count: int) -> None:
        """Only so many of the records that a chunk completes."""
        text = bytes(self._held) + chunk
        self._held.clear()
        end = 0
        for blank in _BLANK_LINE.finditer(text):
            count -= _has_data(text[end : blank.start()])
            if count < 0:
                break
            end = blank.end()
        self._ready.append(text[:end])
        if count > 0 and _has_data(text[end:]):
            self._ready.append(text[end:] + b"\n\n")

    def end(self, *, was_finished: bool) -> None:
        """The upstream has ended well. `was_finished`: it had said so before it did."""
        if self._held:
            self._ready.append(bytes(self._held) + b"\n\n")
            self._held.clear()
        is_told = self.said_done if self._dialect == "openai_chat" else was_finished
        if not is_told:
            self._ready.append(_ENDS.get(self._dialect, b""))

    def take(self) -> bytes:
        """What came since the last call, with the client's name of the model.

        Usage that was not asked for is left out.
        """
        ready = self._ready
        if not ready:
            return b""
        self._ready = []
        records = ready[0] if len(ready) == 1 else b"".join(ready)
        names = self._is_renamed and _MODEL in records
        counts = self._drops_usage and _USAGE in records and _COUNTED.search(records) is not None
        return self._edited(records, counts=counts) if names or counts else records

    def whole(self, document: bytes) -> bytes:
        """An answer that is one document."""
        if not self._is_renamed:
            return document
        return with_model(document, decode(document), self._model)

    def _edited(self, records: bytes, *, counts: bool) -> bytes:
        head = self._head
        if head is not None and not counts and records.count(_MODEL) == records.count(head[0]):
            # Records of Chat Completions begin alike, up to the name: what was found once is
            # replaced in all of them without reading them again.
            return records.replace(*head)
        blank = b"\r\n\r\n" if b"\r\n\r\n" in records else b"\n\n"
        pieces = [
            self._edited_record(piece + blank) for piece in records.removesuffix(blank).split(blank)
        ]
        return b"".join(pieces)

    def _edited_record(self, record: bytes) -> bytes:
        found = [line for line in record.splitlines() if line.startswith(b"data:")]
        if len(found) != 1 or (_MODEL not in record and _USAGE not in record):
            return record
        data = found[0].removeprefix(b"data:").strip()
        parsed = decode(data)
        edited = self._renamed(data, parsed) if self._is_renamed else data
        if self._drops_usage and parsed.get("usage"):
            if not parsed.get("choices"):
                return b""
            edited = _without_usage(edited)
        return record.replace(data, edited, 1)

    def _renamed(self, data: bytes, parsed: JsonObject) -> bytes:
        parents = _MODEL_IS_IN[self._dialect]
        holder = parsed.get(parents[0]) if parents else parsed
        if not isinstance(holder, dict) or holder.get("model") in (None, self._model):
            return data
        place = place_of(data, *parents, "model")
        if place is None:
            holder["model"] = self._model
            return encode(parsed)
        renamed = data[: place.start] + encode(self._model)
        if not parents:
            self._head = b"data: " + data[: place.stop], b"data: " + renamed
        return renamed + data[place.stop :]


def _end_of_whole(text: bytearray, start: int) -> int:
    """The place after the last blank line, of which nothing is before `start`; 0: there is none.

    Text that ends with one is not asked about; a last carriage return may be half of a line end.
    """
    found = [(at, len(blank)) for blank in _BLANK if (at := text.rfind(blank, start, -1)) >= 0]
    return sum(max(found, default=(0, 0)))


def _without_usage(data: bytes) -> bytes:
    place = place_of(data, "usage")
    if place is None:
        return encode({**decode(data), "usage": None})
    return data[: place.start] + b"null" + data[place.stop :]


def _has_data(record: bytes) -> bool:
    return any(line.startswith(b"data") for line in record.splitlines())
