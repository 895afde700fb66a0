"""Events -> the event sequence of a Responses stream (client-apis.md 3.3), and the whole answer.

A delta is bytes put together around its JSON text: all that is the same for the deltas of an item
is made when the item opens. The end of a text is held back until something follows: only then is
it known which pages it cites, and whether it was cut short.
"""

from collections.abc import Iterable, Sequence

import orjson

from mcp_proxy.conversation import JsonObject, Media, SearchHit, Thinking, Verbatim, WebSearch
from mcp_proxy.dialects import EVENT_STREAM, ReplyFrame
from mcp_proxy.dialects.openai_responses.answer import (
    ended,
    failed,
    is_complete,
    response_object,
)
from mcp_proxy.dialects.openai_responses.output import (
    Callables,
    MessageItem,
    OpenItem,
    Place,
    ReasoningItem,
    Said,
    done,
)
from mcp_proxy.dialects.openai_responses.whole_items import whole_item
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import (
    NO_USAGE,
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Reply,
    Started,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
    unfold,
)

# orjson's name looked up once: deltas are the hot path of every stream.
_dumps = orjson.dumps

_TAIL = b',"sequence_number":%d}\n\n'


def render_reply(reply: Reply, frame: ReplyFrame) -> JsonObject:
    """The whole answer: the response object with which its stream would end."""
    stream = ResponseStream(frame)
    stream.render(tuple(unfold(reply)))
    return stream.response


class ResponseStream:
    """The renderer of one answer."""

    content_type = EVENT_STREAM

    def __init__(self, frame: ReplyFrame) -> None:
        reasoning = frame.conversation.reasoning
        self.response = response_object(frame)
        """As it is so far; after `Finished`, as it is to stay."""
        self._answer = frame.id
        self._thinks = reasoning.mode != "off"
        self._shows_thinking = self._thinks and reasoning.visible
        self._callables = Callables(frame.conversation)
        self._sequence = 0
        self._places = 0
        self._output: list[JsonObject] = []
        self._usage = NO_USAGE
        self._kind: PartKind | None = None
        """Of the part that is open."""
        self._item: OpenItem | None = None
        """None between parts, while a text is empty, and while the client is not to see a part."""
        self._pieces: list[str] = []
        self._delta: bytes | None = None
        """The record of a delta, to be filled with its text and number; None until the first one of
        an item, before which there may be more to say."""
        self._held: tuple[MessageItem, str] | None = None
        """A text that is over but not said to be."""
        self._held_searches: list[WebSearch] = []
        """Searches right behind that text: it cites what they found."""
        self._uncited: list[SearchHit] = []
        """What searches found before any text; the next one cites it."""

    def render(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                or type(event) is ArgumentsDelta
                or type(event) is ThinkingDelta
            ):
                piece = event[1]
                self._pieces.append(piece)
                if self._delta is None or not piece:
                    out.append(self._first_delta(piece))
                else:
                    out.append(self._delta % (_dumps(piece), self._sequence))
                    self._sequence += 1
            else:
                out.append(self._other(event))
        return b"".join(out)

    def fail(self, error: ProxyError, request_id: str) -> bytes:
        # The SDK refuses a stream that begins with anything but `response.created`.
        out = (b"" if self._sequence else self._start()) + self._settle()
        response = failed(self.response, self._output, error)
        return out + self._record(Said("response.failed", {"response": response}))

    def _other(self, event: Event) -> bytes:
        match event:
            case PartOpened(whole=None):
                return self._settle() + self._open(event)
            case PartOpened(whole=WebSearch() as search):
                return self._search(search)
            case PartOpened(whole=whole) if whole is not None:
                return self._settle() + self._whole(whole)
            case PartClosed():
                return self._close(event)
            case UsageSeen(usage):
                self._usage = usage
                return b""
            case Started():
                return self._start()
            case Finished():
                return self._finish(event)
            case _:
                return b""

    def _start(self) -> bytes:
        said = {"response": orjson.Fragment(_dumps(self.response))}
        return self._records((Said("response.created", said), Said("response.in_progress", said)))

    # Parts that grow

    def _open(self, opened: PartOpened) -> bytes:
        self._kind, self._delta = opened.kind, None
        if opened.kind is PartKind.TOOL_CALL:
            return self._begin(self._callables.open(self._next_place(), opened))
        if opened.kind is PartKind.THINKING and self._shows_thinking:
            return self._begin(ReasoningItem(self._next_place()))
        # A text begins with its first letter: empty ones are there for their seals alone.
        return b""

    def _begin(self, item: OpenItem) -> bytes:
        self._item = item
        return self._records(item.opening())

    def _first_delta(self, piece: str) -> bytes:
        if not piece:
            return b""
        out = b""
        if self._item is None and self._kind is PartKind.TEXT:
            out = self._begin(MessageItem(self._next_place()))
        if self._item is None or not self._item.streams:
            return out
        return out + self._begin_text(self._item, piece)

    def _begin_text(self, item: OpenItem, piece: str) -> bytes:
        out = self._records(item.before_text())
        # An item's id is the answer's own, so nothing else in the head can look like a format.
        self._delta = _head(item.delta)[:-1] + b',"delta":%b' + item.delta_end + _TAIL
        out += self._delta % (_dumps(piece), self._sequence)
        self._sequence += 1
        return out

    def _close(self, closed: PartClosed) -> bytes:
        item, self._item = self._item, None
        kind, self._kind = self._kind, None
        text = "".join(self._pieces)
        self._pieces.clear()
        if item is None:
            # Not a seal whose text is withheld: it would come back with none, and be refused.
            shows_seal = kind is PartKind.THINKING and self._thinks and closed.seal and not text
            return self._whole(Thinking("", closed.seal)) if shows_seal else b""
        if isinstance(item, MessageItem):
            self._held = item, text
            return b""
        if isinstance(item, ReasoningItem):
            item.seal = closed.seal
        return self._end(item, text)

    def _end(self, item: OpenItem, text: str) -> bytes:
        out = b""
        if not text:
            text = item.default
            if text and item.streams:
                out = self._begin_text(item, text)
        said, finished = item.closing(text)
        return out + self._records(said) + self._done(item.place, finished)

    # Parts that come whole

    def _whole(self, whole: Media | Verbatim | Thinking | WebSearch) -> bytes:
        if isinstance(whole, Thinking) and not self._thinks:
            return b""
        if isinstance(whole, Media) and whole.url is not None:
            link = TextDelta(0, f"![{whole.name or 'image'}]({whole.url})")
            return self.render((PartOpened(0, PartKind.TEXT), link, PartClosed(0)))
        place = Place(self._answer, self._places)
        found = whole_item(whole, place)
        if found is None:
            return b""
        self._places += 1
        said, item = found
        return self._records(said) + self._done(place, item)

    def _search(self, search: WebSearch) -> bytes:
        if self._held is not None:
            self._held_searches.append(search)
            return b""
        self._uncited += search.hits
        return self._whole(search)

    def _settle(self, *, complete: bool = True) -> bytes:
        """The end of the text that is held back, and the searches behind it."""
        if self._held is None:
            return b""
        (item, text), self._held = self._held, None
        searches, self._held_searches = self._held_searches, []
        item.hits = [*self._uncited, *(hit for search in searches for hit in search.hits)]
        self._uncited = []
        item.status = "completed" if complete else "incomplete"
        return self._end(item, text) + b"".join([self._whole(search) for search in searches])

    def _finish(self, finished: Finished) -> bytes:
        complete = is_complete(finished.stop)
        out = self._settle(complete=complete)
        self.response = ended(self.response, self._output, self._usage, finished.stop)
        kind = "response.completed" if complete else "response.incomplete"
        return out + self._record(Said(kind, {"response": self.response}))

    # Records

    def _next_place(self) -> Place:
        self._places += 1
        return Place(self._answer, self._places - 1)

    def _done(self, place: Place, item: JsonObject) -> bytes:
        self._output.append(item)
        return self._record(done(place, item))

    def _records(self, said: Iterable[Said]) -> bytes:
        return b"".join([self._record(each) for each in said])

    def _record(self, said: Said) -> bytes:
        record = _head(said)[:-1] + _TAIL % self._sequence
        self._sequence += 1
        return record


def _head(said: Said) -> bytes:
    """The record of an event as far as its own fields go, closing brace included."""
    data = _dumps({"type": said.type, **said.fields})
    return b"event: " + said.type.encode() + b"\ndata: " + data
