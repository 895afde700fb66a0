"""Reply -> GenerateContentResponse (client-apis.md 4.2), and what its chunks share with it.

`render_reply` and the stream build from the same `Answer`, so one cannot say what the other does
not.
"""

from collections.abc import Sequence
from typing import Final

from mcp_proxy.conversation import (
    Media,
    Part,
    Seal,
    SearchHit,
    Text,
    Thinking,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.dialects import JsonObject, ReplyFrame
from mcp_proxy.dialects.gemini.client_signatures import write_signature
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.events import NO_USAGE, Reply, Stop, Usage
from mcp_proxy.strict_json import decode

_FINISH: Final = {
    Stop.END: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    # Calls are known by their parts; the reason is that of an ordinary end.
    Stop.TOOL_CALL: "STOP",
    Stop.STOP_SEQUENCE: "STOP",
    Stop.REFUSAL: "SAFETY",
}

_EMPTY: Final[JsonObject] = {"text": ""}
"""What an end without content carries: to SDKs a content without parts is no valid answer, and
they drop its turn from the history."""


def render_reply(reply: Reply, frame: ReplyFrame) -> JsonObject:
    """The whole answer as one response."""
    answer = Answer(frame)
    parts = [part for part in map(answer.part, reply.parts) if part is not None]
    answer.usage = reply.usage
    answer.has_content = bool(parts)
    return answer.end(parts, reply.stop)


class Answer:
    """One answer's parts as the client sees them, and what has to be said at its end.

    Methods that give a part give None for one that this client is not to see.
    """

    def __init__(self, frame: ReplyFrame) -> None:
        reasoning = frame.conversation.reasoning
        self._frame = frame
        self._searches: list[WebSearch] = []
        self._hides_thinking = reasoning.mode == "off"
        self.shows_thoughts = reasoning.visible and not self._hides_thinking
        self.has_content = False
        self.usage = NO_USAGE

    def part(self, part: Part) -> JsonObject | None:
        match part:
            case Text(text, seal):
                return _signed({"text": text}, seal) if text or seal else None
            case Thinking(text, seal, redacted=False):
                return self._thought(text, seal)
            case ToolCall(call_id, name, arguments, seal):
                return self.call(call_id, name, arguments, seal)
            case Thinking() | Media() | WebSearch() | Verbatim():
                return self.whole(part)
            case _:
                return None

    def _thought(self, text: str, seal: Seal | None) -> JsonObject | None:
        """A seal is worth nothing without the text that it was made for, unless there is none."""
        if self._hides_thinking or (text and not self.shows_thoughts) or not (text or seal):
            return None
        return _signed({"text": text, "thought": True}, seal)

    def call(self, call_id: str, name: str, arguments: str, seal: Seal | None) -> JsonObject:
        function = {"id": call_id, "name": name, "args": decode(arguments or "{}")}
        return _signed({"functionCall": function}, seal)

    def whole(self, part: Media | Verbatim | Thinking | WebSearch) -> JsonObject | None:
        """A part that does not stream. Searches have their place at the end of the answer."""
        match part:
            case Media(mime_type, data, None):
                return {"inlineData": {"mimeType": mime_type, "data": data}}
            case Media(mime_type, _, url):
                return {"fileData": {"mimeType": mime_type, "fileUri": url}}
            case WebSearch():
                self._searches.append(part)
                return None
            case Thinking(_, seal) if seal is not None and not self._hides_thinking:
                signature = write_signature(seal, redacted=True)
                return {"text": "", "thought": True, "thoughtSignature": signature}
            case Verbatim(dialect, value) if dialect == NAME:
                return value
            case _:
                return None

    def end(self, parts: list[JsonObject], stop: Stop) -> JsonObject:
        """The last response of a stream or the only one, with its parts and how it ended.

        A refusal without any content is a blocked prompt, and that has no candidate.
        """
        end: JsonObject = {}
        if stop is Stop.REFUSAL and not self.has_content:
            end["promptFeedback"] = {"blockReason": "SAFETY"}
        else:
            end["candidates"] = [self._candidate(parts, stop)]
        end["usageMetadata"] = _usage_object(self.usage, self._frame)
        end["modelVersion"] = self._frame.model
        end["responseId"] = self._frame.id
        return end

    def _candidate(self, parts: list[JsonObject], stop: Stop) -> JsonObject:
        candidate: JsonObject = {
            "content": {"parts": parts or [_EMPTY], "role": "model"},
            "finishReason": _FINISH[stop],
            "index": 0,
        }
        if self._searches:
            candidate["groundingMetadata"] = _grounding(self._searches)
        return candidate


def _signed(part: JsonObject, seal: Seal | None) -> JsonObject:
    if seal is not None:
        part["thoughtSignature"] = write_signature(seal)
    return part


def _usage_object(usage: Usage, frame: ReplyFrame) -> JsonObject:
    """The prompt includes what was cached, the candidates' tokens exclude thoughts (5.2).

    An upstream that counted no prompt at all has not counted; our own estimate stands then.
    """
    prompt = usage.prompt or frame.prompt_estimate()
    thoughts = min(usage.thinking, usage.output)
    counted: JsonObject = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output - thoughts,
        "totalTokenCount": prompt + usage.output,
    }
    if thoughts:
        counted["thoughtsTokenCount"] = thoughts
    if usage.cache_read:
        counted["cachedContentTokenCount"] = usage.cache_read
    return counted


def _grounding(searches: Sequence[WebSearch]) -> JsonObject:
    """What was asked and found; and of the answer, what rests on which page."""
    hits = [hit for search in searches for hit in search.hits]
    grounding: JsonObject = {
        "webSearchQueries": [query for search in searches for query in search.queries],
        "groundingChunks": [_chunk(hit) for hit in hits],
    }
    supports = [
        {"segment": {"text": hit.text}, "groundingChunkIndices": [at]}
        for at, hit in enumerate(hits)
        if hit.text
    ]
    if supports:
        grounding["groundingSupports"] = supports
    return grounding


def _chunk(hit: SearchHit) -> JsonObject:
    return {"web": {"uri": hit.url, "title": hit.title}}
