"""One upstream answer on its way: bytes -> records -> events, and what is learned on the side."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from mcp_proxy.dialects import StreamParser
from mcp_proxy.dialects.broken import empty
from mcp_proxy.engine.transport import UpstreamAnswer
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import (
    NO_USAGE,
    Event,
    Finished,
    PartOpened,
    Stop,
    UpstreamBroke,
    UpstreamSaidError,
    UsageSeen,
)
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.providers import JsonObject, Provider
from mcp_proxy.sse import SseReader
from mcp_proxy.strict_json import decode, encode

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
        keeps_bytes: bool = False,
    ) -> None:
        """`stall`: seconds without an event after which the upstream counts as hung.

        `shows`: whether the client sees anything of a part, else it is no content; None: it sees
        all. `keeps_bytes`: the bytes themselves are wanted, see `take_bytes`; the events then only
        tell what is in them.
        """
        self._answer = answer
        self._place = place
        self._parser = parser
        self._collector = collector
        self._clock = clock
        self._shows = shows
        self._reader = SseReader()
        # Asked for SSE, some upstreams answer with one JSON document or a list of records.
        is_document = "json" in answer.headers.get("Content-Type", "")
        self._document: bytearray | None = bytearray() if is_document else None
        self._stall = stall
        self._heard_at = time.monotonic()
        self._bytes: list[bytes] | None = [] if keeps_bytes else None
        self._begun = False
        self._broken: UpstreamBroke | None = None
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

    async def more(self) -> list[Event]:
        """Events of the next chunk, perhaps none; only while not `finished`."""
        if self._broken is not None:
            raise self._broken
        return await self._read()

    def take_bytes(self) -> bytes:
        """What came since the last call, as it came.

        Until the end only whole lines: should the rest of one never come, whatever is written
        after it is still understood.
        """
        kept = self._bytes
        if not kept:
            return b""
        taken = kept[0] if len(kept) == 1 else b"".join(kept)
        end = len(taken) if self.ended or self.told else taken.rfind(b"\n") + 1
        self._bytes = [taken[end:]] if end < len(taken) else []
        return taken[:end]

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the upstream's answer."""
        return self._answer.headers

    def found_seals(self) -> list[tuple[str, JsonObject]]:
        """Rows for the state table "seals" that were not given before."""
        return self._collector.found()

    def close(self) -> None:
        """Gives the connection back; one in the middle of an answer is closed."""
        if self.finished:
            self._answer.finish()
        else:
            self._answer.abort()

    async def _read(self) -> list[Event]:
        events: list[Event] = []
        try:
            chunk = await self._answer.chunk()
        except UpstreamBroke:
            if not self.finished:
                raise
            chunk = b""  # the answer is whole; how its connection ends is nobody's business
        if chunk:
            if self._bytes is not None:
                self._bytes.append(chunk)
        else:
            self.ended = True
        try:
            if self._document is None:
                self._feed(self._reader.feed(chunk) if chunk else self._reader.close(), events)
            elif chunk:
                self._document += chunk
            else:
                self._feed_document(self._document, events)
            if not chunk:
                self._parser.close(events)
        except UpstreamBroke as broke:
            # What came before the fault belongs to the client, and content among it means that
            # the answer has begun, also when both arrived in one chunk.
            if not events or not (self._begun or self._has_content(events)):
                raise
            self._broken = broke
        if events:
            self._heard_at = time.monotonic()
            self._collector.add(events)
            if type(events[-1]) is Finished:
                self._finish(events)
        elif self._document is None and time.monotonic() - self._heard_at > self._stall:
            # Comments keep a connection open and say nothing: only events count.
            raise UpstreamBroke(
                Failure(FailureKind.SLOW, "the upstream sent no event for too long")
            )
        return events

    def _feed(self, records: list[bytes], events: list[Event]) -> None:
        """The hot path: once for every chunk of every stream."""
        feed, envelope = self._parser.feed, self._place.envelope
        together = _decoded_together(records)
        for at, data in enumerate(records):
            try:
                record = decode(data) if together is None else together[at]
            except orjson.JSONDecodeError as cause:
                if data == DONE:
                    self._parser.close(events)
                    continue
                raise UpstreamBroke(_broken_json(cause)) from cause
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

    def _feed_document(self, document: bytearray, events: list[Event]) -> None:
        if not document.strip():
            return
        try:
            value = decode(document)
        except orjson.JSONDecodeError as cause:
            raise UpstreamBroke(_broken_json(cause)) from cause
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
        return any(type(each) is PartOpened and (shows is None or shows(each)) for each in events)

    def _finish(self, events: list[Event]) -> None:
        self.finished = True
        for event in events:
            if type(event) is UsageSeen:
                self.usage = event.usage

    def _failure_in(self, record: JsonObject) -> Failure:
        """An error object inside a 200: its own code or type says which status it would have."""
        self.told = True
        return self._place.read_failure(HTTPStatus.OK, {}, encode(record), now=self._clock())


def _decoded_together(records: list[bytes]) -> list[Any] | None:
    """The values of all records, for a sixth less than one by one.

    None when that cannot be: one by one they show which of them is broken.
    """
    if len(records) < 2 or records[-1] == DONE:
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
