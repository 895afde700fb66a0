"""Mends what clients do to a history, so that no upstream refuses it for its form.

Every tool call has to be followed directly by its result, exactly one; and Claude wants a tool
loop to begin with signed thinking while thinking is on (protocols/cloudcode.md 3.4, 4.6). Runs
after `seals.settle`, whose seals it relies on. Linear in the number of parts.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import Final

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from mcp_proxy.model import Family
from mcp_proxy.policy.silence import without_silence
from mcp_proxy.values import stateful

_NO_RESULT: Final = "No result: the tool call was interrupted before it finished."
_STRAY_RESULT: Final = "Result of an earlier tool call that is no longer shown:\n"


def repair(
    conversation: Conversation, family: Family, dialect: str | None = None
) -> tuple[Conversation, list[str]]:
    """The conversation with calls and results paired, and notes of what was done.

    The same object when there is nothing to do. `dialect`: the upstream's, when the conversation
    is to be rendered in it; one that goes on as it came keeps its empty turns.
    """
    notes: list[str] = []
    if _is_plain_talk(conversation.messages):
        return conversation, notes
    if not _is_paired(conversation.messages):
        pairing = _Pairing(conversation.messages)
        conversation = replace(conversation, messages=pairing.messages())
        notes += pairing.notes()
    if dialect is not None:
        # Before thinking is judged: a turn that is left out may have parted two tool loops.
        spoken = without_silence(conversation.messages, dialect)
        if spoken is not conversation.messages:
            conversation = replace(conversation, messages=spoken)
    mode = conversation.reasoning.mode
    if (
        family is Family.CLAUDE
        and mode != "off"
        and _thinking_would_be_refused(conversation.messages)
    ):
        # Inventing turns that close the loop would put words into the conversation; doing without
        # thinking for one request changes nothing in it.
        off = replace(conversation.reasoning, mode="off")
        conversation = replace(conversation, reasoning=off)
        if mode is not None:
            notes.append("thinking is off for this request: its tool loop began without any")
    return conversation, notes


def _is_plain_talk(messages: Sequence[Message]) -> bool:
    """Whether there is nothing but words, the last of them the user's: nothing can be amiss."""
    for message in messages:
        parts = message.parts
        if not parts:
            return False
        for part in parts:
            if type(part) is not Text or not part.text or part.text.isspace():
                return False
    return bool(messages) and messages[-1].role != "assistant"


def _is_paired(messages: Iterable[Message]) -> bool:
    """Whether every call has its one result before the assistant speaks again."""
    seen: set[str] = set()
    open_calls: set[str] = set()
    was_assistant = False
    for message in messages:
        is_assistant = message.role == "assistant"
        if is_assistant and not was_assistant and open_calls:
            return False
        was_assistant = is_assistant
        for part in message.parts:
            if type(part) is ToolCall:
                call_id = part.id
                if not is_assistant or not call_id or call_id in seen:
                    return False
                seen.add(call_id)
                open_calls.add(call_id)
            elif type(part) is ToolResult:
                if is_assistant or part.call_id not in open_calls:
                    return False
                open_calls.remove(part.call_id)
    return not open_calls


@stateful
class _Slot:
    """One call, and the result that it gets."""

    call: ToolCall
    id: str
    """Unique in the conversation; differs from `call.id` when the client used that twice."""
    result: ToolResult | None = None


@stateful
class _Stray:
    """A result that found no call in the turn where it stands."""

    result: ToolResult
    turn: int
    is_needless: bool = False
    """Its call has another result, or it went to its call in an earlier turn."""


@stateful
class _Turn:
    """A run of assistant messages, and the messages up to the next such run."""

    calling: list[Message] = field(default_factory=list)
    following: list[Message] = field(default_factory=list)
    slots: list[_Slot] = field(default_factory=list)
    fates: list[_Stray | None] = field(default_factory=list)
    """One for each result in `following`; None: it went to its call."""


def _turns(messages: Iterable[Message]) -> list[_Turn]:
    turns = [_Turn()]
    for message in messages:
        if message.role != "assistant":
            turns[-1].following.append(message)
        elif turns[-1].following:
            turns.append(_Turn([message]))
        else:
            turns[-1].calling.append(message)
    return turns


class _Pairing:
    """Pairs what is there, turn by turn, and makes up the results that are missing."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._turns = _turns(messages)
        self._uses: defaultdict[str, int] = defaultdict(int)
        self._taken: set[str] = set()
        self._strays: defaultdict[str, deque[_Stray]] = defaultdict(deque)
        self._moved = self._made_up = self._dropped = self._told = 0
        for number, turn in enumerate(self._turns):
            self._open_slots(turn)
            self._fill_slots(turn, number)
        for number, turn in enumerate(self._turns):
            self._fill_from_elsewhere(turn, number)
        self._sort_out_strays()

    def notes(self) -> list[str]:
        counts = (
            (self._moved, "tool result moved to its call"),
            (self._made_up, "tool call without a result given one"),
            (self._dropped, "needless tool result left out"),
            (self._told, "tool result without a call turned into text"),
        )
        return [f"{text} ({count})" for count, text in counts if count]

    def messages(self) -> tuple[Message, ...]:
        return tuple(
            message
            for turn in self._turns
            for message in (*self._calling(turn), *self._following(turn))
        )

    def _open_slots(self, turn: _Turn) -> None:
        for message in turn.calling:
            for part in message.parts:
                if isinstance(part, ToolCall):
                    turn.slots.append(_Slot(part, self._unique(part.id)))

    def _unique(self, call_id: str) -> str:
        base = chosen = call_id or "call"
        while chosen in self._taken:
            self._uses[base] += 1
            chosen = f"{base}_{self._uses[base] + 1}"
        self._taken.add(chosen)
        return chosen

    def _fill_slots(self, turn: _Turn, number: int) -> None:
        waiting: defaultdict[str, deque[_Slot]] = defaultdict(deque)
        for slot in turn.slots:
            waiting[slot.call.id].append(slot)
        for result in _results(turn.following):
            slots = waiting[result.call_id]
            if slots:
                slots.popleft().result = result
                turn.fates.append(None)
            else:
                stray = _Stray(result, number)
                turn.fates.append(stray)
                self._strays[result.call_id].append(stray)

    def _fill_from_elsewhere(self, turn: _Turn, number: int) -> None:
        """A call's result may come turns later; never before the call."""
        for slot in turn.slots:
            if slot.result is not None:
                continue
            strays = self._strays[slot.call.id]
            while strays and strays[0].turn < number:
                strays.popleft()
            if strays:
                stray = strays.popleft()
                stray.is_needless = True
                slot.result = stray.result
                self._moved += 1
            else:
                slot.result = ToolResult(slot.id, (Text(_NO_RESULT),), is_error=True)
                self._made_up += 1

    def _sort_out_strays(self) -> None:
        """What a call has had already is needless; what has no call at all is told as text."""
        called = {slot.call.id for turn in self._turns for slot in turn.slots}
        for turn in self._turns:
            for stray in turn.fates:
                if stray is None or stray.is_needless:
                    continue
                if stray.result.call_id in called:
                    stray.is_needless = True
                    self._dropped += 1
                else:
                    self._told += 1

    def _calling(self, turn: _Turn) -> list[Message]:
        slots = iter(turn.slots)
        return [
            Message(
                message.role,
                tuple(
                    replace(part, id=next(slots).id) if isinstance(part, ToolCall) else part
                    for part in message.parts
                    if not isinstance(part, ToolResult)
                ),
            )
            for message in turn.calling
        ]

    def _following(self, turn: _Turn) -> list[Message]:
        results = tuple(
            replace(slot.result, call_id=slot.id) for slot in turn.slots if slot.result is not None
        )
        fates = iter(turn.fates)
        place = next((n for n, message in enumerate(turn.following) if message.role == "user"), -1)
        messages = [Message("user", results)] if results and place < 0 else []
        for number, message in enumerate(turn.following):
            rest: list[Part] = []
            for part in message.parts:
                if isinstance(part, ToolResult):
                    rest += _told(next(fates))
                elif not isinstance(part, ToolCall):
                    rest.append(part)
            first = results if number == place else ()
            messages.append(Message(message.role, (*first, *rest)))
        return messages


def _results(messages: Iterable[Message]) -> Iterator[ToolResult]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield part


def _told(stray: _Stray | None) -> tuple[Text | Media, ...]:
    """The text that stands for a result in its old place; nothing when it is told elsewhere."""
    if stray is None or stray.is_needless:
        return ()
    return (Text(_STRAY_RESULT), *stray.result.parts)


def _thinking_would_be_refused(messages: Sequence[Message]) -> bool:
    """Whether the open tool loop, or the unfinished answer at the end, begins without thinking.

    A loop is one turn of Claude's: only its first message has to have thinking (4.6 [N]). Read
    from the end, for as long as the loop lasts.
    """
    is_refused = was_assistant = has_results = has_thinking = False
    is_last = True
    for message in reversed(messages):
        is_assistant = message.role == "assistant"
        if is_assistant != was_assistant and not is_last:
            if was_assistant:
                is_refused = not has_thinking
            elif not has_results:
                return is_refused  # somebody spoke: the loop begins after this
            has_results = has_thinking = False
        was_assistant, is_last = is_assistant, False
        for part in message.parts:
            if type(part) is ToolResult:
                has_results = True
                break
            if type(part) is Thinking:
                has_thinking = True
                break
    return not has_thinking if was_assistant else is_refused
