"""One upstream answer on its way: bytes -> records -> events, and what is learned on the side."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from mcp_proxy.dialects import StreamParser
from mcp_proxy.dialects.broken import empty
from mcp_proxy.engine.passing import Passage
from mcp_proxy.engine.transport import UpstreamAnswer
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import (
    NO_USAGE,
    Event,
    Finished,
    PartKind,
    PartOpened,
    Started,
    Stop,
    UpstreamBroke,
    UpstreamSaidError,
    UsageSeen,
)
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.providers import JsonObject, Provider
from mcp_proxy.sse import SseReader
from mcp_proxy.strict_json import decode, encode, nests_too_deeply

_DOCUMENT_STARTS = b"{["
_STREAM_STARTS = b":deir\xef"
"""Of a comment, of the names of fields, of a byte order mark; of no JSON document."""

DONE = b"[DONE]"
"""What OpenAI's streams end with; the only data of any API here that is not JSON."""


class Answering:
    """An answer in progress. Has to be closed."""

    def __init__(
        self,
        answer: UpstreamAnswer,
        place: Provider,
        parser: StreamParser,
        collector: SealCollector,
        *,
        stall: float,
        clock: Callable[[], float],
        shows: Callable[[PartOpened], bool] | None = None,
        passage: Passage | None = None,
    ) -> None:
        """`stall`: seconds without an event after which the upstream counts as hung.

        `shows`: whether the client sees anything of a part, else it is no content; None: it sees
        all. `passage`: the bytes themselves are wanted if they are of the kind that was asked for,
        see `take_bytes`; the events then only tell what is in them.
        """
        self._answer = answer
        self._place = place
        self._parser = parser
        self._collector = collector
        self.found_seals = collector.found
        """Rows for the state table "seals" that were not given before."""
        self._clock = clock
        self._shows = shows
        self._reader = SseReader()
        # Asked for SSE, some upstreams answer with one JSON document or a list of records; asked
        # for a document, some with SSE.
        is_document = "json" in answer.headers.get("Content-Type", "")
        self._document: bytearray | None = bytearray() if is_document else None
        self._is_known = False
        self._passage = passage
        self._stall = stall
        self._heard_at = time.monotonic()
        self._last_fed = 0
        """Place of the record that was read last, among those of its chunk."""
        self._begun = False
        self._broken: UpstreamBroke | None = None
        self._left: list[Event] | None = None
        """Events of the last chunk that was not passed through."""
        self.first: list[Event] = []
        """Events up to the first content; to be handled before those of `more`."""
        self.finished = False
        self.ended = False
        """The upstream has nothing more to send."""
        self.told = False
        """The upstream itself said, among the bytes that were kept, that its answer broke."""
        self.usage = NO_USAGE

    async def begin(self) -> None:
        """Reads until there is content. Raises UpstreamBroke while another attempt is possible."""
        while not self._begun:
            events = await self._read()
            self.first += events
            self._begun = self._has_content(events)
            if self.finished and not self._begun:
                _refuse_silence(events[-1])
                self._begun = True
        if self._passage is not None:
            started = next((event for event in self.first if type(event) is Started), None)
            self._passage.answers_as(started.model if started is not None else None)

    async def more(self, through: Callable[[list[Event]], bool] | None = None) -> list[Event]:
        """Events of the next chunk, perhaps none; only while not `finished`.

        `through` is given those of each chunk before it in the moment in which it comes. False: it
        does not take them, so they are returned. The end is always returned.
        """
        if self._broken is not None:
            raise self._broken
        if through is not None and not self._parser.may_end:
            self._left = None
            await self._answer.pour(partial(self._pass, through))
            if self._left is not None:
                return self._left
        return await self._read()

    def _pass(self, through: Callable[[list[Event]], bool], chunk: bytes) -> bool:
        """Whether the next chunk may go the same way."""
        events = self._events_of(chunk)
        if self.finished or self.ended or self._broken is not None or not through(events):
            self._left = events
            return False
        return not self._parser.may_end

    def take_bytes(self) -> bytes:
        """What was read since the last call: whole records, or the whole document."""
        if self._passage is None:
            return b""
        if self._document is None:
            return self._passage.take()
        return self._passage.whole(bytes(self._document))

    @property
    def is_passed(self) -> bool:
        """Whether the bytes can go on as they are. Not otherwise than before, once it has begun."""
        return self._passage is not None

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the upstream's answer."""
        return self._answer.headers

    def found_before_its_end(self) -> list[tuple[str, JsonObject]]:
        """The same rows of an answer that is not read to its end, or has none."""
        if not self.finished:
            events: list[Event] = []
            with suppress(UpstreamBroke):
                self._parser.close(events)
            self._collector.add(events)
        return self.found_seals()

    def close(self) -> None:
        """Gives the connection back; one in the middle of an answer is closed."""
        if self.finished:
            self._answer.finish()
        else:
            self._answer.abort()

    async def _read(self) -> list[Event]:
        parser = self._parser
        try:
            chunk = await (self._answer.rest() if parser.may_end else self._answer.chunk())
        except UpstreamBroke:
            if not (self.finished or parser.may_end):
                raise
            chunk = b""  # the answer is whole; how its connection ends is nobody's business
        return self._events_of(chunk)

    def _events_of(self, chunk: bytes) -> list[Event]:
        """Those of a chunk; b"" is the end."""
        events: list[Event] = []
        parser = self._parser
        if chunk:
            if not self._is_known:
                self._look_at(chunk)
        else:
            self.ended = True
        try:
            if self._document is None:
                self._feed_chunk(chunk, events)
            elif chunk:
                self._document += chunk
            else:
                self._feed_document(self._document, events)
            if parser.may_end and chunk and self._answer.at_end and self._reader.is_between:
                self.ended = True
            if self.ended:
                self._close(events)
        except UpstreamBroke as broke:
            # What came before the fault belongs to the client, and content among it means that
            # the answer has begun, also when both arrived in one chunk.
            if not events or not (self._begun or self._has_content(events)):
                raise
            # The end of the bytes is not the end of what there is to hear.
            self._broken, self.ended = broke, False
        if events:
            self._heard_at = time.monotonic()
            self._collector.add(events)
            if type(events[-1]) is Finished:
                self._finish(events)
        elif time.monotonic() - self._heard_at > self._stall:
            # Comments keep a connection open and say nothing, as does half a document: only events
            # count.
            raise UpstreamBroke(
                Failure(FailureKind.SLOW, "the upstream sent no event for too long")
            )
        return events

    def _look_at(self, chunk: bytes) -> None:
        """Of which kind the answer is: its first byte knows better than its content type."""
        first = chunk.lstrip()[:1]
        if not first:
            return
        self._is_known = True
        if first in _DOCUMENT_STARTS:
            self._document = self._document or bytearray()
        elif first in _STREAM_STARTS:
            self._document = None
        if self._passage is not None and self._passage.wants_stream != (self._document is None):
            self._passage = None

    def _feed_chunk(self, chunk: bytes, events: list[Event]) -> None:
        """A chunk of a stream, or its end."""
        records = self._reader.feed(chunk) if chunk else self._reader.close()
        passage = self._passage
        try:
            self._feed(records, events)
        except UpstreamBroke as broke:
            if passage is not None:
                # What the upstream itself says of it goes on, too.
                is_told = self.told or broke.failure.kind is FailureKind.EMPTY
                passage.add_first(chunk, self._last_fed + is_told)
            raise
        if passage is not None and chunk:
            passage.add(chunk, is_whole=self._reader.is_between)

    def _feed(self, records: list[bytes], events: list[Event]) -> None:
        """The hot path: once for every chunk of every stream."""
        feed, envelope = self._parser.feed, self._place.envelope
        together = _decoded_together(records) if len(records) > 1 else None
        at = 0
        try:
            for at, record in enumerate(together or records):  # noqa: B007 - read at the end
                if type(record) is bytes:
                    if record == DONE:
                        self._done(events)
                        continue
                    record = _decoded(record)
                if type(record) is not dict:
                    raise UpstreamBroke(_upstream("a stream record is not a JSON object"))
                inner = record.get(envelope)
                if inner is None:
                    if record.get("error"):
                        raise UpstreamBroke(self._failure_in(record))
                    inner = record
                try:
                    feed(inner, events)
                except UpstreamSaidError as said:
                    raise UpstreamBroke(self._failure_in(said.record)) from said
        finally:
            self._last_fed = at

    def _done(self, events: list[Event]) -> None:
        if self._passage is not None:
            self._passage.said_done = True
        self._parser.close(events)

    def _feed_document(self, document: bytearray, events: list[Event]) -> None:
        if not document.strip():
            return
        value = _decoded(document)
        if type(value) is list:
            # No client asks for one but Gemini's, of whom nothing is forwarded.
            self._passage = None
        for record in value if type(value) is list else [value]:
            if type(record) is not dict:
                raise UpstreamBroke(_upstream("the upstream's answer is not a JSON object"))
            inner = record.get(self._place.envelope, record)
            if inner.get("error"):
                raise UpstreamBroke(self._failure_in(inner))
            try:
                feed = self._parser.feed if type(value) is list else self._parser.feed_whole
                feed(inner, events)
            except UpstreamSaidError as said:
                raise UpstreamBroke(self._failure_in(said.record)) from said

    def _has_content(self, events: list[Event]) -> bool:
        shows = self._shows
        for event in events:
            if type(event) is PartOpened and (
                shows is None or event.kind is PartKind.TEXT or shows(event)
            ):
                return True
        return False

    def _close(self, events: list[Event]) -> None:
        was_finished = self.finished or (bool(events) and type(events[-1]) is Finished)
        self._parser.close(events)
        if self._passage is not None:
            self._passage.end(was_finished=was_finished)

    def _finish(self, events: list[Event]) -> None:
        self.finished = True
        for event in events:
            if type(event) is UsageSeen:
                self.usage = event.usage

    def _failure_in(self, record: JsonObject) -> Failure:
        """An error object inside a 200: its own code or type says which status it would have."""
        self.told = True
        try:
            body = encode(record)
        except TypeError as cause:
            if not nests_too_deeply(cause):
                raise
            return _upstream("the upstream sent an error that cannot be read: it nests too deeply")
        return self._place.read_failure(HTTPStatus.OK, {}, body, now=self._clock())


def _decoded(text: bytes | bytearray) -> Any:
    try:
        return decode(text)
    except orjson.JSONDecodeError as cause:
        raise UpstreamBroke(_broken_json(cause)) from cause


def _decoded_together(records: list[bytes]) -> list[Any] | None:
    """The values of all records, for a sixth less than one by one.

    None when that cannot be: one by one they show which of them is broken.
    """
    if records[-1] == DONE:
        return None
    try:
        values: list[Any] = decode(b"[%b]" % b",".join(records))
    except orjson.JSONDecodeError:
        return None
    return values if len(values) == len(records) else None


def _refuse_silence(end: Event) -> None:
    """Raises UpstreamBroke for an end of an answer without content that nothing accounts for."""
    if type(end) is Finished and end.stop is Stop.END:
        raise empty()


def _broken_json(cause: orjson.JSONDecodeError) -> Failure:
    return _upstream(f"the upstream sent broken JSON: {cause.msg}")


def _upstream(detail: str) -> Failure:
    return Failure(FailureKind.UPSTREAM, detail)
