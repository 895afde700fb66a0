"""Stream events, the neutral model of an answer, and the two functions that tie stream to reply.

An answer is a sequence of parts, one open at a time, numbered from 0 without gaps (`at`). Parsers
of upstreams that interleave put them in order, so every renderer can rely on

    Started  (PartOpened  delta*  PartClosed)*  UsageSeen*  Finished | Failed

Events are named tuples: immutable, and the cheapest object Python can make; one is made for
every chunk of a stream.
"""

from collections.abc import Iterable, Iterator
from dataclasses import field
from enum import StrEnum
from typing import Final, NamedTuple

from mcp_proxy.conversation import (
    JsonObject,
    Media,
    Part,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.values import stateful, value


class Stop(StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    TOOL_CALL = "tool_call"
    STOP_SEQUENCE = "stop_sequence"
    REFUSAL = "refusal"


class PartKind(StrEnum):
    TEXT = "text"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"
    MEDIA = "media"
    SEARCH = "search"
    VERBATIM = "verbatim"


@value
class Usage:
    """Tokens. `input` excludes what a cache gave or took; `output` includes thinking."""

    input: int = 0
    output: int = 0
    thinking: int = 0
    cache_read: int = 0
    cache_write: int = 0
    searches: int = 0
    """Web searches that the upstream ran."""

    @property
    def prompt(self) -> int:
        """Every token of the prompt, cached or not."""
        return self.input + self.cache_read + self.cache_write


NO_USAGE: Final = Usage()


class Started(NamedTuple):
    """The upstream has begun to answer."""

    id: str | None = None
    model: str | None = None


class PartOpened(NamedTuple):
    at: int
    kind: PartKind
    id: str = ""
    """Call id of a tool call."""
    name: str = ""
    """Tool name of a tool call."""
    whole: Media | Verbatim | Thinking | WebSearch | None = None
    """Parts that do not stream arrive complete: media, searches, verbatim, redacted thinking."""


class TextDelta(NamedTuple):
    at: int
    text: str


class ThinkingDelta(NamedTuple):
    at: int
    text: str


class ArgumentsDelta(NamedTuple):
    """A piece of a tool call's JSON arguments; the pieces of a part join to one object."""

    at: int
    json: str


class PartClosed(NamedTuple):
    at: int
    seal: Seal | None = None


class UsageSeen(NamedTuple):
    """Cumulative usage so far; the last one counts."""

    usage: Usage


class Finished(NamedTuple):
    stop: Stop
    stop_sequence: str | None = None


class Failed(NamedTuple):
    """The stream broke. Nothing follows."""

    failure: Failure


def is_shown(opened: PartOpened, dialect: str, reasoning: Reasoning) -> bool:
    """Whether a client of that dialect, with that wish for thinking, sees anything of a part."""
    if opened.kind is PartKind.THINKING:
        return reasoning.mode != "off"
    return not isinstance(opened.whole, Verbatim) or opened.whole.dialect == dialect


Event = (
    Started
    | PartOpened
    | TextDelta
    | ThinkingDelta
    | ArgumentsDelta
    | PartClosed
    | UsageSeen
    | Finished
    | Failed
)


@value
class Reply:
    """A whole answer."""

    parts: tuple[Part, ...]
    stop: Stop
    usage: Usage = Usage()
    id: str | None = None
    model: str | None = None
    stop_sequence: str | None = None


class UpstreamBroke(Exception):
    """The upstream failed after it had begun; carries the `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class UpstreamSaidError(Exception):
    """A stream has an error record; `record` is an object with the key "error".

    Raised by parsers of dialects whose error records have a shape of their own. What the error
    means is for the provider to say, as if it had come with its own status.
    """

    def __init__(self, record: JsonObject) -> None:
        super().__init__("the upstream sent an error inside its answer")
        self.record = record


_NOT_STARTED: Final = Started()


@stateful
class Folder:
    """`fold` with a memory, for callers that get events in pieces."""

    parts: list[Part] = field(default_factory=list)
    usage: Usage = NO_USAGE
    _opened: PartOpened | None = None
    _pieces: list[str] = field(default_factory=list)
    _started: Started = _NOT_STARTED
    _finished: Finished | None = None

    def add(self, events: Iterable[Event]) -> None:
        """Raises UpstreamBroke on `Failed`."""
        for event in events:
            # Nearly all are pieces, and matching a class pattern costs five times as much.
            if type(event) is TextDelta or type(event) is ThinkingDelta:
                self._pieces.append(event.text)
            elif type(event) is ArgumentsDelta:
                self._pieces.append(event.json)
            elif type(event) is PartOpened:
                self._opened, self._pieces = event, []
            elif type(event) is PartClosed:
                self._close(event.seal)
            elif type(event) is UsageSeen:
                self.usage = event.usage
            elif type(event) is Started:
                self._started = event
            elif type(event) is Finished:
                self._finished = event
            elif type(event) is Failed:
                raise UpstreamBroke(event.failure)

    def _close(self, seal: Seal | None) -> None:
        opened = self._opened
        if opened is None:
            return
        text = "".join(self._pieces)
        match opened.kind:
            case PartKind.TEXT:
                self.parts.append(Text(text, seal))
            case PartKind.THINKING:
                self.parts.append(
                    opened.whole if isinstance(opened.whole, Thinking) else Thinking(text, seal)
                )
            case PartKind.TOOL_CALL:
                self.parts.append(ToolCall(opened.id, opened.name, text or "{}", seal))
            case _:
                if opened.whole is not None:
                    self.parts.append(opened.whole)
        self._opened = None

    def reply(self) -> Reply:
        """The whole answer. Raises UpstreamBroke when the stream ended without `Finished`."""
        if self._finished is None:
            raise UpstreamBroke(
                Failure(FailureKind.UPSTREAM, "the upstream's answer ended before it was complete")
            )
        return Reply(
            parts=tuple(self.parts),
            stop=self._finished.stop,
            usage=self.usage,
            id=self._started.id,
            model=self._started.model,
            stop_sequence=self._finished.stop_sequence,
        )


def fold(events: Iterable[Event]) -> Reply:
    """The reply that a stream of events amounts to. Raises UpstreamBroke on a failed or cut one."""
    folder = Folder()
    folder.add(events)
    return folder.reply()


def unfold(reply: Reply) -> Iterator[Event]:
    """The stream of events that amounts to a reply; `fold(unfold(reply)) == reply`."""
    yield Started(reply.id, reply.model)
    for index, part in enumerate(reply.parts):
        match part:
            case Text(text, seal):
                yield PartOpened(index, PartKind.TEXT)
                if text:
                    yield TextDelta(index, text)
                yield PartClosed(index, seal)
            case Thinking(redacted=True):
                yield PartOpened(index, PartKind.THINKING, whole=part)
                yield PartClosed(index)
            case Thinking(text, seal):
                yield PartOpened(index, PartKind.THINKING)
                if text:
                    yield ThinkingDelta(index, text)
                yield PartClosed(index, seal)
            case ToolCall():
                yield PartOpened(index, PartKind.TOOL_CALL, part.id, part.name)
                yield ArgumentsDelta(index, part.arguments)
                yield PartClosed(index, part.seal)
            case Media():
                yield PartOpened(index, PartKind.MEDIA, whole=part)
                yield PartClosed(index)
            case WebSearch():
                yield PartOpened(index, PartKind.SEARCH, whole=part)
                yield PartClosed(index)
            case Verbatim():
                yield PartOpened(index, PartKind.VERBATIM, whole=part)
                yield PartClosed(index)
    yield UsageSeen(reply.usage)
    yield Finished(reply.stop, reply.stop_sequence)
