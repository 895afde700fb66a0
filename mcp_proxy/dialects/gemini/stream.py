"""Gemini stream records -> events.

The state machine of protocols/cloudcode.md 5.2: one part open at a time; a part stays open until
one of another kind comes. Thinking stays open until then because its signature may arrive late,
or only with the part that follows.
"""

from dataclasses import replace
from typing import Any, Final

import orjson

from mcp_proxy.conversation import Conversation, Media, Seal, Verbatim, WebSearch
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.broken import broken, cut_off, empty, unreadable
from mcp_proxy.dialects.call_names import CallIds, legal_id
from mcp_proxy.dialects.gemini.grounding import read_grounding
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.dialects.gemini.tools import Toolbox
from mcp_proxy.dialects.token_counts import token_count, token_counts
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)
from mcp_proxy.jsonschema import without_placeholders
from mcp_proxy.model import ModelInfo

_STOPS: Final = {
    "MAX_TOKENS": Stop.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "PROHIBITED_CONTENT",
            "BLOCKLIST",
            "SPII",
            "LANGUAGE",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        Stop.REFUSAL,
    ),
}
"""finishReason -> Stop; every other one (STOP, OTHER, ...) is an ordinary end (5.3)."""

_BROKEN_TURN: Final = {
    "MALFORMED_FUNCTION_CALL": FailureKind.EMPTY,
    "UNEXPECTED_TOOL_CALL": FailureKind.EMPTY,
    "TOO_MANY_TOOL_CALLS": FailureKind.EMPTY,
    "MALFORMED_RESPONSE": FailureKind.EMPTY,
    "NO_IMAGE": FailureKind.EMPTY,
    "MISSING_THOUGHT_SIGNATURE": FailureKind.SEAL,
}
"""The turn came to nothing; worth another try unless there is text already."""

_BROKEN_OFF: Final = frozenset(
    {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"}
)
"""Those of them after which text is no answer either: what it led up to is missing (5.3)."""

_CONTENT: Final = frozenset({PartKind.TEXT, PartKind.TOOL_CALL, PartKind.MEDIA, PartKind.VERBATIM})

# Calling a named tuple's class runs a Python-level __new__; this makes the same object in half
# the time, and there is one for every record of a stream. All of its values have to be given.
_new = tuple.__new__

_TEXT: Final = PartKind.TEXT
_THINKING: Final = PartKind.THINKING


class GeminiStreamParser:
    """Implements `StreamParser`.

    No record is known to be the last: some models give a finish reason and usage with each of
    theirs, and the last of both count (5.1). So the last events come with the end of the stream.
    """

    def __init__(self, conversation: Conversation, model: ModelInfo) -> None:
        self._conversation = conversation
        self._model = model
        self._toolbox: Toolbox | None = None
        self._at = -1
        self._open: PartKind | None = None
        self._seal: Seal | None = None
        self._carried: Seal | None = None
        self._seen: set[PartKind] = set()
        self._call_ids: CallIds | None = None
        self._started = False
        self._reason: str | None = None
        self._repeats = False
        """Whether each record has a finish reason, so that none says anything of the end."""
        self._grounding: Any = None
        self._usage: JsonObject | None = None
        self._last: JsonObject = {}
        """The one with the finish reason, or what has come after it."""
        self._finished = False
        self.may_end = False

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        """Appends the events of one record; nothing after `Finished`."""
        try:
            try:
                candidate = record["candidates"][0]
                parts = candidate["content"]["parts"]
            except (KeyError, IndexError, TypeError):
                self._no_content(record)
            else:
                for part in parts or ():
                    # One more piece of the open part: nearly every part of a stream.
                    if (
                        self._open is _TEXT
                        and len(part) == 1
                        and (text := part.get("text"))
                        and type(text) is str
                    ):
                        out.append(_new(TextDelta, (self._at, text)))
                    elif (
                        self._open is _THINKING
                        and len(part) == 2
                        and self._seal is None
                        and part.get("thought")
                        and (text := part.get("text"))
                        and type(text) is str
                    ):
                        out.append(_new(ThinkingDelta, (self._at, text)))
                    else:
                        self._part(part, record, out)
                if "groundingMetadata" in candidate:
                    self._grounding = candidate["groundingMetadata"]
                if "finishReason" in candidate and (reason := candidate["finishReason"]):
                    self._repeats = self._reason is not None
                    self._reason = reason
            if "usageMetadata" in record:
                self._usage = record["usageMetadata"]
            if self._reason is not None:
                self._last = record
                self.may_end = not self._repeats and self._is_counted()
        except (AttributeError, TypeError, KeyError) as cause:
            raise unreadable() from cause

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        """A document is one record that has everything."""
        self.feed(document, out)
        self.close(out)

    def close(self, out: list[Event]) -> None:
        """Raises UpstreamBroke when the finish reason never came."""
        if self._finished:
            return
        if self._reason is None:
            if self._open is PartKind.TOOL_CALL:
                self._closes(out)  # calls come whole, and their clients may act on them
            raise cut_off()
        self._finish(out)

    def _no_content(self, record: JsonObject) -> None:
        """A record of the end, of usage alone, of a refused prompt, or of a failure."""
        candidates = record.get("candidates")
        if candidates:
            self._grounding = candidates[0].get("groundingMetadata") or self._grounding
            self._reason = candidates[0].get("finishReason") or self._reason
        elif "error" in record:
            error = record["error"]
            message = error.get("message") if isinstance(error, dict) else error
            raise broken(f"the upstream failed: {message}"[:2048])
        elif record.get("promptFeedback", {}).get("blockReason"):
            self._reason = "PROHIBITED_CONTENT"

    # Parts. The methods below run once per part and for what is rare, not once per record.

    def _part(self, part: JsonObject, record: JsonObject, out: list[Event]) -> None:
        if self._finished:
            return
        if not self._started:
            self._start(record, out)
        # Read before an empty text is passed over: Gemini signs those, too (pitfall 16).
        signature = part.get("thoughtSignature") or part.get("thought_signature")
        seal = Seal(self._model.origin, signature) if signature else None
        text = part.get("text") or ""
        if type(text) is not str:
            raise TypeError("a text part without text")
        if call := part.get("functionCall"):
            self._call(call, seal, out)
        elif part.get("thought"):
            self._thought(text, seal, out)
        elif blob := part.get("inlineData"):
            self._opens(PartKind.MEDIA, seal, out, whole=Media(blob["mimeType"], blob["data"]))
        elif text:
            self._text(text, seal, out)
        elif seal is not None:
            self._signature_alone(seal)
        elif part and "text" not in part:
            self._opens(PartKind.VERBATIM, None, out, whole=Verbatim(NAME, part))

    def _start(self, record: JsonObject, out: list[Event]) -> None:
        self._started = True
        out.append(_new(Started, (record.get("responseId"), record.get("modelVersion"))))

    def _thought(self, text: str, seal: Seal | None, out: list[Event]) -> None:
        # A signature ends a block of thoughts: unsigned ones after it begin another.
        ended = self._seal is not None and self._seal != seal
        if self._open is not PartKind.THINKING or (text and ended):
            if not text and seal is None:
                return
            self._opens(PartKind.THINKING, None, out)
        if text:
            out.append(ThinkingDelta(self._at, text))
        self._seal = seal or self._seal

    def _text(self, text: str, seal: Seal | None, out: list[Event]) -> None:
        if self._open is not PartKind.TEXT:
            self._opens(PartKind.TEXT, seal or self._carried, out)
            self._carried = None
        out.append(_new(TextDelta, (self._at, text)))
        self._seal = seal or self._seal

    def _signature_alone(self, seal: Seal) -> None:
        """It belongs to the open part; after thoughts, to an unsigned call that follows, too."""
        if self._open is None or self._open is PartKind.THINKING:
            self._carried = seal
        if self._open is not None:
            self._seal = self._seal or seal

    def _call(self, call: JsonObject, seal: Seal | None, out: list[Event]) -> None:
        if PartKind.TOOL_CALL in self._seen and not self._conversation.tool_choice.parallel:
            return  # the upstream has no switch for it: only the first call counts
        toolbox = self._toolbox = self._toolbox or Toolbox(self._conversation.tools, self._model)
        name = toolbox.original_name(call["name"])
        self._call_ids = self._call_ids or CallIds("toolu_")
        told = call.get("id")
        call_id = self._call_ids.unique(legal_id(told) if type(told) is str else None)
        seal = seal or self._carried
        self._carried = None
        self._opens(PartKind.TOOL_CALL, seal, out, call_id=call_id, name=name)
        arguments = call.get("args") or {}
        if type(arguments) is not dict:
            raise TypeError("the arguments of a call are not an object")
        without_placeholders(arguments, toolbox.placeholders(name))
        out.append(ArgumentsDelta(self._at, orjson.dumps(arguments).decode()))

    def _opens(
        self,
        kind: PartKind,
        seal: Seal | None,
        out: list[Event],
        *,
        call_id: str = "",
        name: str = "",
        whole: Media | Verbatim | WebSearch | None = None,
    ) -> None:
        """Closes what is open and opens a part; `seal` is the one that came with it."""
        if self._open is not None:
            self._closes(out, following=seal)
        self._at += 1
        out.append(_new(PartOpened, (self._at, kind, call_id, name, whole)))
        self._open, self._seal = kind, seal
        self._seen.add(kind)

    def _closes(self, out: list[Event], *, following: Seal | None = None) -> None:
        seal = self._seal
        if seal is None and self._open is PartKind.THINKING:
            # For clients that keep signatures on thinking only; the renderer puts it back in place.
            seal = following
        out.append(_new(PartClosed, (self._at, seal)))
        self._open = self._seal = None

    # The end

    def _is_counted(self) -> bool:
        """Whether the usage counts the answer, too, or there is nothing to be counted.

        The total counts it by what it has more than the prompt.
        """
        usage = self._usage
        return not self._seen or (
            isinstance(usage, dict)
            and (
                usage.get("candidatesTokenCount") is not None
                or usage.get("totalTokenCount") is not None
            )
        )

    def _finish(self, out: list[Event]) -> None:
        reason = self._reason or ""
        called = PartKind.TOOL_CALL in self._seen
        stop = Stop.TOOL_CALL if called else _STOPS.get(reason, Stop.END)
        is_off = reason in _BROKEN_OFF and not called
        if is_off or (reason in _BROKEN_TURN and not self._seen & _CONTENT):
            detail = f"the upstream gave up on its answer: {reason}"
            raise broken(detail, _BROKEN_TURN[reason])
        if stop is Stop.END and not self._seen:
            raise empty()
        if not self._started:
            self._start(self._last, out)
        search = read_grounding(self._grounding) if self._grounding is not None else None
        if search is not None:
            self._opens(PartKind.SEARCH, None, out, whole=search)
        if self._open is not None:
            self._closes(out)
        usage = _read_usage(self._usage or {})
        if search is not None:
            usage = replace(usage, searches=max(len(search.queries), 1))
        out.append(_new(UsageSeen, (usage,)))
        out.append(_new(Finished, (stop, None)))
        self._finished = True


_COUNTED: Final = (
    "promptTokenCount",
    "cachedContentTokenCount",
    "thoughtsTokenCount",
    "candidatesTokenCount",
)


def _read_usage(usage: JsonObject) -> Usage:
    """The prompt count includes what was cached; the candidates' excludes thoughts (5.4)."""
    prompt, cached, thoughts, shown = token_counts(usage, _COUNTED)
    if not shown:
        tools = token_count(usage, "toolUsePromptTokenCount")
        shown = max(token_count(usage, "totalTokenCount") - prompt - tools - thoughts, 0)
    return Usage(
        input=max(prompt - cached, 0),
        output=shown + thoughts,
        thinking=thoughts,
        cache_read=cached,
    )
