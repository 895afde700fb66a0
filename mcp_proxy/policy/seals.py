"""Thought signatures: whose they are, when they may be sent again, how they outlive the request.

A signature is worth something only to the model family that made it, and a wrong one makes the
upstream refuse the whole conversation. So every signature and every tool call is remembered when
it is issued, and what nobody here has issued is not sent (protocols/cloudcode.md 4.2-4.5). Clients
that cannot carry signatures get theirs back by the tool call: by its conversation, its id, and what
it calls, for some upstreams use an id again, and thinking must never reach another conversation. An
id that cannot be anybody else's finds them, too, when the conversation has lost its beginning.

Knows nothing of storage: rows go out through `SealCollector.found` and come in through a `get`.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import is_
from typing import Any, Final, NamedTuple, Protocol

import orjson

from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    Conversation,
    Message,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    PartClosed,
    PartKind,
    PartOpened,
    TextDelta,
    ThinkingDelta,
)
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.values import value

JsonObject = dict[str, Any]

_MOST_ALIKE: Final = 32
"""Calls of one id that are remembered, where an upstream uses its ids again."""

_SHORTEST_UNIQUE: Final = 16
"""Characters of an id that was made not to be made again; `call_1` comes in every conversation."""

_KEYS_KEPT: Final = 4096
"""Calls whose keys are at hand: each turn asks for those of its whole history again."""


class CallSeal(NamedTuple):
    """What came with a tool call and has to go back with it."""

    signature: str
    thoughts: tuple[Thinking, ...] = ()
    """Claude signs its thinking, not its calls: what it thought in the answer up to this one."""
    since: int = 0
    """How many of the thoughts came after the call before."""


class SealLookup(Protocol):
    """What is remembered of signatures that were issued through this proxy."""

    def origin_of(self, signature: str) -> str | None:
        """The family that made the signature."""
        ...

    def text_of(self, signature: str) -> str | None:
        """The thinking that it belongs to, where the client was not shown it."""
        ...

    def of_call(self, origin: str, identity: str, call: ToolCall) -> CallSeal | None:
        """What a family's model gave with that very call, in the conversation of that identity."""
        ...


def settle(
    conversation: Conversation,
    model: ModelInfo,
    lookup: SealLookup,
    *,
    identity: str,
    keeps_unsigned: bool = False,
) -> tuple[Conversation, list[str]]:
    """The conversation with just those seals that `model` takes, and notes of what was left out.

    The same object when nothing has to go or come: a seal that may stay is left as it is, since
    what stays is the model's by definition. `identity`: the conversation's, as it was when it came,
    by which its calls are remembered. `keeps_unsigned`: thinking without a seal may stay,
    too, where the upstream's dialect has none.
    """
    messages = conversation.messages
    work: _Settling | None = None
    restores_from = len(messages)
    settled: list[Message] | None = None
    for index, message in enumerate(messages):
        if message.role == "assistant":
            if work is None:
                work = _Settling(model, lookup, identity, keeps_unsigned=keeps_unsigned)
                if model.family is not Family.GEMINI:
                    # Where thinking is signed, that of the open loop has to be there.
                    restores_from = _open_loop(messages)
            restores = index >= restores_from
            if not restores and work.is_plain(message.parts):
                continue
            fitting = work.message(message, restores=restores)
            if fitting is not message:
                settled = settled or list(messages)
                settled[index] = fitting
    if work is None or settled is None:
        return conversation, []
    return replace(conversation, messages=tuple(settled)), work.notes()


def has_foreign_thinking(
    conversation: Conversation, model: ModelInfo, lookup: SealLookup, *, wants_signed: bool
) -> bool:
    """Whether `model` would refuse the history as it is: for a seal that is known to be another's.

    Or, with `wants_signed`, for thinking that has none.
    """
    for message in conversation.messages:
        for part in message.parts:
            if type(part) is Thinking or type(part) is ToolCall:
                seal = part.seal
                if seal is None:
                    if wants_signed and type(part) is Thinking:
                        return True
                elif lookup.origin_of(seal.value) not in (None, model.origin):
                    return True
    return False


def disowned(
    conversation: Conversation, model: ModelInfo, lookup: SealLookup, *, identity: str
) -> list[tuple[str, JsonObject]]:
    """Rows after which nothing of what `model` was sent to seal this history is sent once more.

    For histories that it takes without. Which signature it was that it refused, no upstream says.
    """
    rows: dict[str, JsonObject] = {}
    for message in conversation.messages:
        for part in message.parts:
            if not isinstance(part, Thinking | Text | ToolCall):
                continue
            seal = part.seal
            if seal is not None and lookup.origin_of(seal.value) in (None, model.origin):
                rows[_signature_key(seal.value)] = {"origin": UNKNOWN_ORIGIN}
            if isinstance(part, ToolCall) and lookup.of_call(model.origin, identity, part):
                rows[_call_key(model.origin, identity, part.id)] = {"calls": []}
                rows[_id_key(model.origin, part.id)] = {"at": ""}
    return list(rows.items())


def _open_loop(messages: Sequence[Message]) -> int:
    """Where the tool loop begins that the next answer goes on with.

    Models that sign their thinking have no use for that of turns before it, and want it within. It
    goes on for as long as results come back, whatever the user says beside them.
    """
    goes_on = True
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role == "assistant":
            if not goes_on:
                return index + 1
        elif index + 1 == len(messages) or messages[index + 1].role == "assistant":
            goes_on = _has_results(message)
        else:
            goes_on = goes_on or _has_results(message)
    return 0


def _has_results(message: Message) -> bool:
    for part in message.parts:  # noqa: SIM110 - once per turn of a history; `any` takes twice as long
        if type(part) is ToolResult:
            return True
    return False


class _Settling:
    """One pass over a conversation; counts what it leaves out."""

    def __init__(
        self, model: ModelInfo, lookup: SealLookup, identity: str, *, keeps_unsigned: bool
    ) -> None:
        self._origin = model.origin
        # Gemini signs its calls and texts, everybody else the thinking.
        self._signs_calls = model.family is Family.GEMINI
        self._lookup = lookup
        self._identity = identity
        self._keeps_unsigned = keeps_unsigned
        self._thinking_dropped = 0
        self._seals_dropped = 0
        self._restored = 0

    def notes(self) -> list[str]:
        counts = (
            (self._thinking_dropped, "thinking without a signature of this model family left out"),
            (self._seals_dropped, "signature of another or unknown model family left out"),
            (self._restored, "signature restored from an earlier answer"),
        )
        return [f"{text} ({count})" for count, text in counts if count]

    def message(self, message: Message, *, restores: bool) -> Message:
        """An assistant's message; the same object when it may stay as it is."""
        parts: Sequence[Part] = message.parts
        if not self.is_plain(message.parts):
            parts = self._fitting(message.parts)
        if restores:
            parts = self._with_thinking(parts)
        if parts is message.parts:
            return message
        if len(parts) == len(message.parts) and all(map(is_, parts, message.parts)):
            return message
        return Message(message.role, tuple(parts))

    def is_plain(self, parts: tuple[Part, ...]) -> bool:
        """Whether there is only text and calls without seals, as in nearly all of a history."""
        for part in parts:
            if type(part) is ToolCall:
                if self._signs_calls or part.seal is not None:
                    return False
            elif type(part) is not Text or part.seal is not None:
                return False
        return True

    def _fitting(self, parts: tuple[Part, ...]) -> list[Part]:
        fitting: list[Part] = []
        before: Part | None = None
        for part in parts:
            before = self._call(part, before) if type(part) is ToolCall else self._part(part)
            if before is not None:
                fitting.append(before)
        return fitting

    def _part(self, part: Part) -> Part | None:
        if isinstance(part, Thinking):
            if self._is_own(part.seal):
                return self._with_text(part)
            if part.seal is None and self._keeps_unsigned:
                return part
            self._thinking_dropped += 1
            return None
        if isinstance(part, Text) and part.seal is not None and not self._is_own(part.seal):
            self._seals_dropped += 1
            return Text(part.text)
        return part

    def _with_text(self, thinking: Thinking) -> Thinking:
        """With what it says, which a client that asked not to see it could not return."""
        if thinking.text or thinking.redacted or thinking.seal is None:
            return thinking
        text = self._lookup.text_of(thinking.seal.value)
        return replace(thinking, text=text) if text else thinking

    def _call(self, call: ToolCall, before: Part | None) -> ToolCall:
        # Where thinking is signed, a signature on a call is of another family.
        if self._signs_calls:
            if self._is_own(call.seal):
                return call
            if isinstance(before, Thinking) and before.seal is not None:
                return replace(call, seal=before.seal)  # the client has carried it there
            known = self._known(call)
            if known and not known.thoughts:
                self._restored += 1
                return replace(call, seal=Seal(self._origin, known.signature))
        if call.seal is None:
            return call
        self._seals_dropped += 1
        return replace(call, seal=None)

    def _known(self, call: ToolCall) -> CallSeal | None:
        return self._lookup.of_call(self._origin, self._identity, call)

    def _is_own(self, seal: Seal | None) -> bool:
        if seal is None:
            return False
        return (seal.origin or self._lookup.origin_of(seal.value)) == self._origin

    def _with_thinking(self, parts: Sequence[Part]) -> Sequence[Part]:
        """With what preceded the calls put back, for clients that could not carry it."""
        calls: list[tuple[int, CallSeal | None]] = []
        found = False
        for at, part in enumerate(parts):
            if type(part) is Thinking:
                return parts
            if type(part) is ToolCall:
                known = self._known(part)
                found = found or known is not None
                calls.append((at, known))
        return self._with_thoughts(parts, calls) if found else parts

    def _with_thoughts(
        self, parts: Sequence[Part], calls: Sequence[tuple[int, CallSeal | None]]
    ) -> Sequence[Part]:
        """The parts with the thoughts of these calls, that stand at these places."""
        restored = list(parts)
        for number, (at, known) in reversed(list(enumerate(calls))):
            if known is None:
                continue
            # What preceded the first call preceded everything else, too.
            place, first = (at, len(known.thoughts) - known.since) if number else (0, 0)
            thoughts = known.thoughts[first:]
            if thoughts:
                self._restored += 1
                restored[place:place] = thoughts
        return restored


class SealCollector:
    """Watches the events of one answer for what has to be remembered."""

    def __init__(self, model: ModelInfo, identity: str, *, shows_thinking: bool = True) -> None:
        """`identity`: the conversation's, which tells its calls from those of others.

        `shows_thinking`: the client is given the text, so that it can return it.
        """
        self._identity = identity
        self._shows_thinking = shows_thinking
        # Gemini's thoughts are summaries that never go back.
        self._keeps_thinking = model.family is not Family.GEMINI
        self._found: list[tuple[str, JsonObject]] = []
        self._opened: PartOpened | None = None
        self._pieces: list[str] = []
        self._thoughts: list[Thinking] = []
        self._thoughts_told = 0
        """How many of them came before the last call."""

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is TextDelta:
                continue  # nearly all of a stream, so they are passed over first
            if type(event) is ThinkingDelta:
                if self._keeps_thinking:
                    self._pieces.append(event.text)
            elif type(event) is ArgumentsDelta:
                self._pieces.append(event.json)
            elif type(event) is PartOpened:
                self._opened = event
                self._pieces.clear()
            elif type(event) is PartClosed:
                self._close(event.seal)

    def found(self) -> list[tuple[str, JsonObject]]:
        """Key and value of every row to store that was not given before."""
        found, self._found = self._found, []
        return found

    def _close(self, seal: Seal | None) -> None:
        opened = self._opened
        if opened is None:
            return
        if isinstance(opened.whole, Thinking):
            seal = opened.whole.seal
        if seal is not None:
            self._remember_signature(opened, seal)
        if opened.kind is PartKind.TOOL_CALL:
            self._remember_call(opened, seal)
        self._opened = None

    def _remember_signature(self, opened: PartOpened, seal: Seal) -> None:
        row: JsonObject = {"origin": str(seal.origin)}
        if opened.kind is PartKind.THINKING and self._keeps_thinking:
            text = "".join(self._pieces)
            is_redacted = isinstance(opened.whole, Thinking) and opened.whole.redacted
            self._thoughts.append(Thinking(text, seal, is_redacted))
            if text and not self._shows_thinking:
                row["thinking"] = text
        self._found.append((_signature_key(seal.value), row))

    def _remember_call(self, opened: PartOpened, seal: Seal | None) -> None:
        thoughts = self._thoughts if seal is None else []
        if thoughts:
            seal = thoughts[-1].seal
        since, self._thoughts_told = len(thoughts) - self._thoughts_told, len(self._thoughts)
        is_unique = len(opened.id) >= _SHORTEST_UNIQUE
        # Without a name a conversation is nobody's: what is remembered of it might go to another.
        if seal is None or not (self._identity or is_unique):
            return
        arguments = "".join(self._pieces)
        # Digests tell whether a call is this one: as its client was told it, and as it was meant.
        call: JsonObject = {
            "told": _digest(opened.name, arguments),
            "meant": _digest(opened.name, _canonical(arguments)),
            "signature": seal.value,
        }
        if thoughts:
            call["thoughts"] = [
                [each.text, each.seal.value, each.redacted] for each in thoughts if each.seal
            ]
            call["since"] = since
        key = _call_key(seal.origin, self._identity or seal.value, opened.id)
        self._found.append((key, {"calls": [call]}))
        if is_unique:
            self._found.append((_id_key(seal.origin, opened.id), {"at": key}))


@value
class StoredSeals:
    """`SealLookup` over the rows that `SealCollector` found."""

    get: Callable[[str], JsonObject | None]

    def origin_of(self, signature: str) -> str | None:
        row = self.get(_signature_key(signature))
        return row["origin"] if row is not None else None

    def text_of(self, signature: str) -> str | None:
        row = self.get(_signature_key(signature))
        return row.get("thinking") if row is not None else None

    def of_call(self, origin: str, identity: str, call: ToolCall) -> CallSeal | None:
        row = self.get(_call_key(origin, identity, call.id)) or self._of_id(origin, call.id)
        if row is None:
            return None
        made = _made(row["calls"], call)
        if made is None or not made["signature"]:
            return None
        thoughts = tuple(
            Thinking(text, Seal(origin, signature), redacted)
            for text, signature, redacted in made.get("thoughts", ())
        )
        return CallSeal(made["signature"], thoughts, made.get("since", 0))

    def _of_id(self, origin: str, call_id: str) -> JsonObject | None:
        """The row of a call whose conversation is no longer known by its name."""
        if len(call_id) < _SHORTEST_UNIQUE:
            return None
        place = self.get(_id_key(origin, call_id))
        return self.get(place["at"]) if place is not None and place["at"] else None

    def joined(self, key: str, found: JsonObject) -> JsonObject:
        """The row to store for one that was found: a call stays beside others of its id."""
        if "at" in found:
            row = self.get(key) or found
            # In two conversations it is nobody's: each has to know its own.
            return found if row["at"] == found["at"] else {"at": ""}
        if "calls" not in found:
            return found
        [call] = found["calls"]
        row = self.get(key) or found
        others = [made for made in row["calls"] if made["meant"] != call["meant"]]
        if any(_is_other_answer(made, call) for made in row["calls"]):
            # Of calls that are alike nobody can tell which of the answers a client has.
            call = {"told": call["told"], "meant": call["meant"], "signature": ""}
        return {"calls": [*others, call][-_MOST_ALIKE:]}


def _is_other_answer(made: JsonObject, call: JsonObject) -> bool:
    return bool(made["meant"] == call["meant"] and made["signature"] != call["signature"])


def _made(calls: Iterable[JsonObject], call: ToolCall) -> JsonObject | None:
    """The one of these calls that this is, however its client has written the arguments down."""
    told = _digest(call.name, call.arguments)
    for made in calls:
        if made["told"] == told:
            return made  # nearly always, and without reading them
    meant = _digest(call.name, _canonical(call.arguments))
    return next((made for made in calls if made["meant"] == meant), None)


def _signature_key(signature: str) -> str:
    return "sig:" + hashlib.sha256(signature.encode()).hexdigest()


@lru_cache(maxsize=_KEYS_KEPT)
def _call_key(origin: str, identity: str, call_id: str) -> str:
    return "call:" + _digest(origin, identity, call_id)


@lru_cache(maxsize=_KEYS_KEPT)
def _id_key(origin: str, call_id: str) -> str:
    return "id:" + _digest(origin, call_id)


def _digest(*texts: str) -> str:
    joined = "\n".join(texts).encode("utf-8", "replace")
    return hashlib.blake2b(joined, digest_size=16).hexdigest()


def _canonical(arguments: str) -> str:
    """The same text for arguments that mean the same: with other spaces, escapes, order, or 1.0
    for 1. It is only compared, so that the same may be done to what looks like it within a text."""
    try:
        sorted_text = orjson.dumps(orjson.loads(arguments or "{}"), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return arguments
    text = sorted_text.decode()
    return text.replace(".0,", ",").replace(".0}", "}").replace(".0]", "]")
