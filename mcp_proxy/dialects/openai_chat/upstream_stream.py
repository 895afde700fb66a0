"""Chat Completions stream records -> events, as OpenAI and its many kin send them.

The tolerance rules of providers.md 3, each at its place: what a delta may hold, how calls are told
apart (`upstream_calls.py`), where usage is (`upstream_usage.py`), when an answer is complete.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from mcp_proxy.conversation import Conversation, JsonObject, Media, Seal, SearchHit, WebSearch
from mcp_proxy.dialects.broken import broken, cut_off, empty, unreadable
from mcp_proxy.dialects.call_names import SentNames
from mcp_proxy.dialects.inline_data import is_data_url, read_data_url
from mcp_proxy.dialects.openai_chat.seals import Details, text_of
from mcp_proxy.dialects.openai_chat.think_tags import ThinkTags
from mcp_proxy.dialects.openai_chat.upstream_calls import Calls
from mcp_proxy.dialects.openai_chat.upstream_messages import is_openais
from mcp_proxy.dialects.openai_chat.upstream_parts import Parts
from mcp_proxy.dialects.openai_chat.upstream_usage import read_usage, usage_in
from mcp_proxy.errors import BadRequest, FailureKind
from mcp_proxy.events import (
    Event,
    Finished,
    PartKind,
    Started,
    Stop,
    UpstreamSaidError,
    UsageSeen,
)
from mcp_proxy.model import Family, ModelInfo

_STOPS: Final = {
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "MAX_TOKENS"), Stop.LENGTH
    ),
    **dict.fromkeys(
        ("content_filter", "refusal", "safety", "sensitive", "SAFETY", "recitation"), Stop.REFUSAL
    ),
}
"""finish_reason -> Stop; every other one (stop, eos, end_turn, ...) is an ordinary end."""

_BROKEN: Final = {
    "insufficient_system_resource": FailureKind.CAPACITY,  # DeepSeek
    "network_error": FailureKind.UPSTREAM,  # Z.AI
    "error": FailureKind.UPSTREAM,  # OpenRouter
}

_REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text")

# Calling a named tuple's class runs a Python-level __new__; this makes the same object in half
# the time, and there is one for every record of a stream.
_new = tuple.__new__


class ChatStreamParser:
    """Implements `StreamParser`.

    The last events are emitted with the record that has the usage once there is a finish reason,
    so they do not wait for the connection to close; without usage they come at the end.
    """

    may_end = False

    def __init__(self, conversation: Conversation, model: ModelInfo) -> None:
        self._model = model
        self._stops = conversation.sampling.stop
        self._parts = Parts(self._seal_of_thoughts)
        names = SentNames(tool.name for tool in conversation.tools)
        self._calls = Calls(
            self._parts, names, model.origin, only_one=not conversation.tool_choice.parallel
        )
        # Hosted models have their thoughts apart; a tag in their text is the text's.
        is_hosted = is_openais(model) or model.family in (Family.CLAUDE, Family.GEMINI)
        self._tags = None if is_hosted else ThinkTags()
        self._open_field = ""
        """The field whose pieces belong to the open part as they are."""
        self._details: Details | None = None
        self._hits: dict[str, SearchHit] = {}
        self._usage: JsonObject | None = None
        self._reason: str | None = None
        self._stop_string: str | None = None
        self._was_refused = False
        self._says_null = False
        self._started = False
        self._finished = False

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        """Appends the events of one record; nothing after `Finished`."""
        at = self._parts.prose_at
        if at >= 0:
            # One more piece of what is open and nothing else: nearly every record of a stream.
            try:
                (choice,) = record["choices"]
                delta = choice["delta"]
                text = delta[self._open_field]
                if (
                    text.__class__ is str
                    and text
                    and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
                    and choice.get("finish_reason") is None
                    and not record.get("usage")
                ):
                    out.append(_new(self._parts.delta, (at, text)))
                    return
            except (AttributeError, KeyError, TypeError, ValueError):
                pass  # not as simple as that
        if not self._finished:
            try:
                self._record(record, out)
            except (AttributeError, KeyError, TypeError, ValueError, BadRequest) as cause:
                raise unreadable() from cause

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        """A `chat.completion`: its messages are deltas that came at once."""
        if document.get("choices"):
            self._reason = "stop"  # until it says otherwise: a document is complete
        self.feed(document, out)
        self.close(out)

    def close(self, out: list[Event]) -> None:
        """Raises UpstreamBroke when the finish reason never came."""
        if self._finished:
            return
        if self._reason is None:
            raise cut_off()
        self._finish(out)

    # One record

    def _record(self, record: JsonObject, out: list[Event]) -> None:
        choices = record.get("choices")
        if choices is None and ("message" in record or "detail" in record):
            # Old vLLM's {"object": "error", ...} and the like.
            raise UpstreamSaidError({"error": record})
        for choice in choices or ():
            self._choice(choice, record, out)
        usage = usage_in(record)
        if usage is not None:
            self._usage = usage
            if self._reason is not None:
                self._finish(out)

    def _choice(self, choice: JsonObject, record: JsonObject, out: list[Event]) -> None:
        """Several choices are one answer in pieces: only one was asked for (Copilot, 8.5)."""
        if not self._started:
            self._started = True
            out.append(Started(record.get("id") or None, record.get("model") or None))
        delta = choice.get("delta") or choice.get("message")
        if delta:
            self._delta(delta, choice.get("index") or 0, out)
        reason = choice.get("finish_reason")
        if reason is None:
            self._says_null = True
        else:
            self._ends(reason, choice)

    def _ends(self, reason: str, choice: JsonObject) -> None:
        if reason in _BROKEN:
            error = choice.get("error")
            if isinstance(error, dict):
                raise UpstreamSaidError({"error": error})
            raise broken(f"the upstream gave up on its answer: {reason}", _BROKEN[reason])
        # An empty reason is an end only to servers that say null before it.
        if reason or self._says_null:
            self._reason = reason or "stop"
        said = choice.get("stop_reason")  # vLLM names the string that was hit
        if isinstance(said, str) and said in self._stops:
            self._stop_string = said

    def _delta(self, delta: JsonObject, choice_at: int, out: list[Event]) -> None:
        """Thoughts come before text, and text before calls, where one delta has several."""
        self._thoughts(delta, out)
        content = delta.get("content")
        if content:
            self._content(content, out)
        if refusal := delta.get("refusal"):
            self._was_refused, self._open_field = True, "refusal"
            self._parts.prose(PartKind.TEXT, _text(refusal), out)
        for image in delta.get("images") or ():
            self._image(image, out)
        if delta.get("tool_calls") or delta.get("function_call"):
            self._end_tags(out)
            self._calls.add(delta, choice_at, out)
        if annotations := delta.get("annotations"):
            self._cited(annotations)

    # Thoughts

    def _thoughts(self, delta: JsonObject, out: list[Event]) -> None:
        details = delta.get("reasoning_details")
        field = next((field for field in _REASONING_FIELDS if delta.get(field)), "")
        text = delta[field] if field else text_of(details or ())
        if text:
            self._open_field = field
            self._parts.prose(PartKind.THINKING, _text(text), out)
        opaque = delta.get("reasoning_opaque")
        if (details or opaque) and not self._parts.in_call:
            self._keep_details(details, opaque, out)

    def _keep_details(self, details: Any, opaque: Any, out: list[Event]) -> None:
        """Sealed thoughts without text are thoughts all the same."""
        if self._details is None:
            self._details = Details()
        if details:
            self._details.add(details)
        if opaque:
            self._details.opaque = _text(opaque)
        if self._model.issuer and self._details.is_sealed():
            self._parts.prose(PartKind.THINKING, "", out)

    def _seal_of_thoughts(self) -> Seal | None:
        """Only of models whose seals are known to be good in one place alone (`issuer`)."""
        details, self._details = self._details, None
        if details is None or not self._model.issuer or not details.is_sealed():
            return None
        return Seal(self._model.origin, details.seal())

    # Text and pictures

    def _content(self, content: Any, out: list[Event]) -> None:
        if isinstance(content, list):
            self._open_field = ""
            for part in content:
                self._content_part(part, out)
        elif self._tags is None:
            self._open_field = "content"
            self._parts.prose(PartKind.TEXT, _text(content), out)
        else:
            self._open_field = ""
            self._prose(self._tags.feed(_text(content)), out)
            if self._tags.is_over:
                self._tags = None

    def _content_part(self, part: JsonObject, out: list[Event]) -> None:
        """Mistral's lists: text, and thoughts that are lists again."""
        thoughts = part.get("thinking")
        if isinstance(thoughts, list):
            kind, text = PartKind.THINKING, text_of(thoughts)
        else:
            kind, text = PartKind.TEXT, _text(part.get("text") or "")
        if text:
            self._parts.prose(kind, text, out)

    def _prose(self, pieces: Iterable[tuple[bool, str]], out: list[Event]) -> None:
        for is_thought, piece in pieces:
            self._parts.prose(PartKind.THINKING if is_thought else PartKind.TEXT, piece, out)

    def _end_tags(self, out: list[Event]) -> None:
        if self._tags is not None:
            self._prose(self._tags.close(), out)
            self._tags = None

    def _image(self, image: JsonObject, out: list[Event]) -> None:
        """A generated image, as OpenRouter has it."""
        url = _text(image["image_url"]["url"])
        if is_data_url(url):
            mime_type, data = read_data_url(url, ("images",))
            media = Media(mime_type or "image/png", data)
        else:
            media = Media("image/*", url=url)
        self._parts.whole(PartKind.MEDIA, media, out)

    def _cited(self, annotations: Iterable[JsonObject]) -> None:
        for annotation in annotations:
            cited = annotation.get("url_citation") or {}
            url = cited.get("url")
            if isinstance(url, str) and url not in self._hits:
                title, text = cited.get("title") or "", cited.get("content") or ""
                self._hits[url] = SearchHit(url, _text(title), _text(text))

    # The end

    def _finish(self, out: list[Event]) -> None:
        self._end_tags(out)
        if self._hits:
            found = WebSearch((), tuple(self._hits.values()))
            self._parts.whole(PartKind.SEARCH, found, out)
        self._parts.finish(out)
        stop = self._stop()
        if stop is Stop.END and not self._parts.seen:
            raise empty()
        usage = read_usage(self._usage or {})
        if self._hits and not usage.searches:
            usage = replace(usage, searches=1)
        out.append(UsageSeen(usage))
        is_string = stop is Stop.STOP_SEQUENCE
        out.append(Finished(stop, self._stop_string if is_string else None))
        self._finished = True

    def _stop(self) -> Stop:
        """Calls count more than the reason, which is often plain "stop" beside them."""
        stop = _STOPS.get(self._reason or "", Stop.END)
        if stop is Stop.LENGTH and self._parts.was_cut:
            return stop
        if PartKind.TOOL_CALL in self._parts.seen:
            return Stop.TOOL_CALL
        if self._was_refused:
            return Stop.REFUSAL
        if stop is Stop.END and self._stop_string is not None:
            return Stop.STOP_SEQUENCE
        return stop


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise TypeError("a text field without text")
