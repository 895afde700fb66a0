"""Streams that end at stop sequences which their upstream was not told of, since it takes few.

Stands around a parser, so that streams without such sequences know nothing of it.
"""

from collections.abc import Callable, Sequence

from mcp_proxy.dialects import JsonObject, StreamParser
from mcp_proxy.dialects.stop_cutter import StopCutter
from mcp_proxy.events import (
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    UsageSeen,
)


class CutStreamParser:
    """Implements `StreamParser`: the events of another one, up to the first of `stops`."""

    def __init__(self, parser: StreamParser, stops: Sequence[str]) -> None:
        self._parser = parser
        self._cutter = StopCutter(stops)
        self._text: PartOpened | None = None
        """The text that is open. It is told of with its first piece: there may be none to show."""
        self._is_shown = False

    @property
    def may_end(self) -> bool:
        return self._parser.may_end

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        self._pass_on(lambda found: self._parser.feed(record, found), out)

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        self._pass_on(lambda found: self._parser.feed_whole(document, found), out)

    def close(self, out: list[Event]) -> None:
        self._pass_on(self._parser.close, out)

    def _pass_on(self, read: Callable[[list[Event]], None], out: list[Event]) -> None:
        found: list[Event] = []
        try:
            read(found)
        finally:
            # Also what came before a fault.
            for event in found:
                self._add(event, out)

    def _add(self, event: Event, out: list[Event]) -> None:
        hit = self._cutter.hit
        if type(event) is TextDelta:
            self._show(self._cutter.feed(event.text), out)
        elif type(event) is PartOpened and event.kind is PartKind.TEXT and hit is None:
            self._text, self._is_shown = event, False
        elif type(event) is PartClosed and self._text is not None:
            self._show(self._cutter.close(), out)
            if self._is_shown:
                # A seal was made for the whole text.
                out.append(event if hit is None else PartClosed(event.at))
            self._text = None
        elif type(event) is Finished and hit is not None:
            out.append(Finished(Stop.STOP_SEQUENCE, hit))
        elif hit is None or type(event) is UsageSeen or type(event) is Started:
            out.append(event)

    def _show(self, piece: str, out: list[Event]) -> None:
        if not piece or self._text is None:
            return
        if not self._is_shown:
            self._is_shown = True
            out.append(self._text)
        out.append(TextDelta(self._text.at, piece))
