"""Parts of an answer put in order: one open at a time, numbered without gaps.

Servers stream parallel calls side by side, and text beside calls. The first call is passed on as it
comes; what comes meanwhile for others waits until that call's arguments are complete.
"""

from collections import deque
from collections.abc import Callable

from mcp_proxy.conversation import Media, Seal, WebSearch
from mcp_proxy.dialects.broken import bad_arguments, broken
from mcp_proxy.dialects.cut_json import ending_of
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    PartClosed,
    PartKind,
    PartOpened,
    TextDelta,
    ThinkingDelta,
)

_DELTAS: dict[PartKind, type[TextDelta] | type[ThinkingDelta]] = {
    PartKind.TEXT: TextDelta,
    PartKind.THINKING: ThinkingDelta,
}


class Call:
    """One tool call, as far as it has come."""

    __slots__ = ("id", "is_begun", "is_over", "name", "pieces", "seal", "sent_id", "sent_name")

    def __init__(self, sent_id: str) -> None:
        self.sent_id = sent_id
        self.sent_name = ""
        """Id and name as the upstream says them; those below are the client's."""
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.seal: Seal | None = None
        self.is_begun = False
        self.is_over = False

    def is_complete(self) -> bool:
        """Whether the arguments are a whole object; looked for only when it may be the end."""
        last = self.pieces[-1].rstrip()[-1:] if self.pieces else ""
        return last in ("}", "") and bool(self.pieces) and ending_of("".join(self.pieces)) == ""


class _Prose:
    """Text or thoughts that wait."""

    __slots__ = ("kind", "pieces")

    def __init__(self, kind: PartKind) -> None:
        self.kind = kind
        self.pieces: list[str] = []


class _Whole:
    """A part that does not stream, and waits."""

    __slots__ = ("kind", "whole")

    def __init__(self, kind: PartKind, whole: Media | WebSearch) -> None:
        self.kind = kind
        self.whole = whole


class Parts:
    """The parts of one answer.

    `prose_at` is the place of the text or thoughts that are open, -1 while none are; `delta` makes
    the event of one more piece of them.
    """

    def __init__(self, seal_of_thoughts: Callable[[], Seal | None]) -> None:
        self.prose_at = -1
        self.delta: type[TextDelta] | type[ThinkingDelta] = TextDelta
        self.seen: set[PartKind] = set()
        self.was_cut = False
        """Whether a call's arguments had to be completed."""
        self._seal_of_thoughts = seal_of_thoughts
        self._at = -1
        self._open: PartKind | None = None
        self._call: Call | None = None
        self._waiting: deque[Call | _Prose | _Whole] = deque()

    @property
    def in_call(self) -> bool:
        return self._call is not None

    def prose(self, kind: PartKind, piece: str, out: list[Event]) -> None:
        """A piece of text or of thoughts."""
        if self._call is not None:
            last = self._waiting[-1] if self._waiting else None
            if not isinstance(last, _Prose) or last.kind is not kind:
                last = _Prose(kind)
                self._waiting.append(last)
            last.pieces.append(piece)
            self._advance(out)
            return
        if self._open is not kind:
            self._opens(PartOpened(self._at + 1, kind), out)
        if piece:
            out.append(_DELTAS[kind](self._at, piece))

    def whole(self, kind: PartKind, whole: Media | WebSearch, out: list[Event]) -> None:
        self._waiting.append(_Whole(kind, whole))
        self._advance(out)

    def begin(self, call: Call, out: list[Event]) -> None:
        """A call whose name is known; the pieces it has go with it."""
        call.is_begun = True
        self.seen.add(PartKind.TOOL_CALL)
        self._waiting.append(call)
        self._advance(out)

    def arguments(self, call: Call, piece: str, out: list[Event]) -> None:
        """A piece of the arguments of a call, which may not have begun."""
        if call.is_over:
            if piece and not piece.isspace():
                raise broken("the upstream's tool call went on after its arguments were complete")
            return
        if not piece:
            return
        call.pieces.append(piece)
        if call is self._call:
            out.append(ArgumentsDelta(self._at, piece))
            if self._waiting:
                self._advance(out)

    def finish(self, out: list[Event]) -> None:
        """Everything that waits, in order; nothing is open after it."""
        self._closes(out)
        while self._waiting:
            self._show(self._waiting.popleft(), out)
            self._closes(out)

    def _advance(self, out: list[Event]) -> None:
        """Shows what waits, up to a call that is not complete."""
        while self._waiting and (self._call is None or self._call.is_complete()):
            self._show(self._waiting.popleft(), out)

    def _show(self, part: "Call | _Prose | _Whole", out: list[Event]) -> None:
        place = self._at + 1
        if isinstance(part, Call):
            self._opens(PartOpened(place, PartKind.TOOL_CALL, part.id, part.name), out)
            self._call = part
            out.extend([ArgumentsDelta(place, piece) for piece in part.pieces if piece])
        elif isinstance(part, _Prose):
            self._opens(PartOpened(place, part.kind), out)
            out.append(_DELTAS[part.kind](place, "".join(part.pieces)))
        else:
            self._opens(PartOpened(place, part.kind, whole=part.whole), out)

    def _opens(self, opened: PartOpened, out: list[Event]) -> None:
        self._closes(out)
        out.append(opened)
        self._at, self._open = opened.at, opened.kind
        if opened.kind in _DELTAS:
            self.prose_at, self.delta = opened.at, _DELTAS[opened.kind]
        self.seen.add(opened.kind)

    def _closes(self, out: list[Event]) -> None:
        if self._open is None:
            return
        seal: Seal | None = None
        if self._call is not None:
            seal = self._end_call(self._call, out)
        elif self._open is PartKind.THINKING:
            seal = self._seal_of_thoughts()
        out.append(PartClosed(self._at, seal))
        self._open, self._call, self.prose_at = None, None, -1

    def _end_call(self, call: Call, out: list[Event]) -> Seal | None:
        """The call's pieces have to join to an object, also when the answer was cut."""
        text = "".join(call.pieces)
        ending = ending_of(text)
        if ending is None:
            raise bad_arguments()
        if ending:
            self.was_cut = self.was_cut or bool(text.strip())
            out.append(ArgumentsDelta(self._at, ending))
        call.is_over = True
        return call.seal
