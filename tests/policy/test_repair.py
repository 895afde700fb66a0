"""Histories as clients send them: every call gets its one result, and no text is lost."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Part,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.model import Family
from mcp_proxy.policy.repair import repair

CLAUDE, GEMINI = Family.CLAUDE, Family.GEMINI


def call(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, "f", arguments)


def result(call_id: str, text: str = "") -> ToolResult:
    return ToolResult(call_id, (Text(text or f"result of {call_id}"),))


def user(*parts: Part) -> Message:
    return Message("user", parts)


def says(*parts: Part) -> Message:
    return Message("assistant", parts)


def talk(*messages: Message, mode: str | None = "off") -> Conversation:
    reasoning = Reasoning(mode)  # type: ignore[arg-type]
    return Conversation("anthropic", "m", messages, reasoning=reasoning)


def mended(*messages: Message) -> tuple[tuple[Message, ...], list[str]]:
    found, notes = repair(talk(*messages), GEMINI)
    return found.messages, notes


GO = user(Text("go"))


class TestPairing:
    @pytest.mark.parametrize(
        "messages",
        [
            (),
            (GO,),
            (GO, says(Text("a"))),
            (GO, says(call("a")), user(result("a"))),
            (GO, says(call("a"), call("b")), user(result("b"), result("a"), Text("x"))),
            (GO, says(call("a")), says(call("b")), user(result("a")), user(result("b"))),
            (GO, says(call("a")), Message("system", (Text("s"),)), user(result("a"))),
        ],
    )
    def test_paired_history_is_the_same_object(self, messages):
        conversation = talk(*messages)
        found, notes = repair(conversation, CLAUDE)
        assert found is conversation
        assert notes == []

    def test_call_without_a_result_is_given_one(self):
        messages, notes = mended(GO, says(call("a"), call("b")), user(result("b"), Text("go on")))
        made, kept, text = messages[2].parts
        assert made == ToolResult(
            "a", (Text("No result: the tool call was interrupted before it finished."),), True
        )
        assert (kept, text) == (result("b"), Text("go on"))
        assert notes == ["tool call without a result given one (1)"]

    def test_call_that_is_interrupted_by_a_question_is_closed_before_it(self):
        messages, _ = mended(GO, says(call("a")), user(Text("stop")), says(Text("ok")))
        assert [type(part) for part in messages[2].parts] == [ToolResult, Text]

    @pytest.mark.parametrize("after", [(), (Message("system", (Text("s"),)),)])
    def test_call_at_the_end_is_closed(self, after):
        messages, _ = mended(GO, says(call("a")), *after)
        assert messages[2].role == "user"
        assert isinstance(messages[2].parts[0], ToolResult)
        assert messages[3:] == after

    def test_result_without_a_call_becomes_text(self):
        picture = Media("image/png", "AAAA")
        messages, notes = mended(GO, says(Text("a")), user(ToolResult("x", (Text("r"), picture))))
        heading, text, media = messages[2].parts
        assert "no longer shown" in heading.text  # type: ignore[union-attr]
        assert (text, media) == (Text("r"), picture)
        assert notes == ["tool result without a call turned into text (1)"]

    def test_second_result_of_a_call_is_left_out(self):
        messages, notes = mended(GO, says(call("a")), user(result("a", "1"), result("a", "2")))
        assert messages[2].parts == (result("a", "1"),)
        assert notes == ["needless tool result left out (1)"]

    def test_result_that_comes_turns_later_goes_to_its_call(self):
        messages, notes = mended(
            GO, says(call("a")), user(Text("wait")), says(Text("ok")), user(result("a"), Text("b"))
        )
        assert messages[2].parts == (result("a"), Text("wait"))
        assert messages[4].parts == (Text("b"),)
        assert notes == ["tool result moved to its call (1)"]

    def test_result_before_its_call_is_not_its_result(self):
        messages, _ = mended(user(result("a")), says(call("a")), GO)
        assert messages[0].parts == ()
        assert messages[2].parts[0].is_error  # type: ignore[union-attr]

    def test_ids_that_are_used_again_are_told_apart(self):
        messages, _ = mended(
            GO, says(call("a")), user(result("a", "1")), says(call("a")), user(result("a", "2"))
        )
        assert messages[1].parts == (call("a"),)
        assert messages[3].parts == (call("a_2"),)
        assert messages[4].parts == (result("a_2", "2"),)

    def test_one_id_twice_in_a_turn_is_told_apart(self):
        messages, _ = mended(GO, says(call("a"), call("a")), user(result("a"), result("a", "2")))
        assert messages[1].parts == (call("a"), call("a_2"))
        assert messages[2].parts == (result("a"), result("a_2", "2"))

    def test_made_up_id_never_meets_a_real_one(self):
        messages, _ = mended(
            GO, says(call("a"), call("a_2"), call("a")), user(*map(result, ("a", "a_2", "a")))
        )
        ids = [part.id for part in messages[1].parts if isinstance(part, ToolCall)]
        assert len(set(ids)) == 3

    def test_call_without_an_id_gets_one(self):
        messages, _ = mended(GO, says(call("")), user(result("")))
        (made,) = messages[1].parts
        assert isinstance(made, ToolCall)
        assert made.id
        assert isinstance(messages[2].parts[0], ToolResult)
        assert messages[2].parts[0].call_id == made.id

    def test_calls_and_results_on_the_wrong_side_are_left_out(self):
        messages, _ = mended(user(call("a"), Text("go")), says(result("b"), Text("ok")))
        assert messages == (user(Text("go")), says(Text("ok")))

    def test_long_history_is_mended_in_time(self):
        messages: list[Message] = []
        for number in range(5_000):
            messages += [says(call("x"), call(f"c{number}")), user(result("x"))]
        began = time.process_time()
        found, _ = mended(*messages)
        assert len(found) == len(messages)
        assert time.process_time() - began < 3


IDS = st.sampled_from(["a", "b", "a_2", ""])
MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["user", "assistant", "system"]),
        st.lists(
            st.builds(call, IDS) | st.builds(result, IDS) | st.builds(Text, st.just("t")),
            max_size=4,
        ).map(tuple),
    ),
    max_size=10,
)


@given(messages=MESSAGES)
def test_whatever_comes_in_is_paired_when_it_goes_out(messages):
    found, _ = repair(talk(*messages), GEMINI)
    assert_paired(found.messages)
    assert repair(found, GEMINI)[0] is found


@given(messages=MESSAGES)
def test_no_text_is_lost(messages):
    def texts(given: tuple[Message, ...] | list[Message]) -> int:
        return sum(part == Text("t") for message in given for part in message.parts)

    found, _ = repair(talk(*messages), GEMINI)
    assert texts(found.messages) == texts(messages)


def assert_paired(messages: tuple[Message, ...]) -> None:
    """Unique ids; after every run of the assistant exactly its calls' results."""
    seen: set[str] = set()
    waiting: set[str] = set()
    previous = "user"
    for message in messages:
        if message.role == "assistant" and previous != "assistant":
            assert not waiting
        previous = message.role
        for part in message.parts:
            if isinstance(part, ToolCall):
                assert message.role == "assistant"
                assert part.id
                assert part.id not in seen
                seen.add(part.id)
                waiting.add(part.id)
            elif isinstance(part, ToolResult):
                assert message.role != "assistant"
                waiting.remove(part.call_id)
    assert not waiting


SEALED = Thinking("t", Seal("claude", "s"))


class TestThinkingInToolLoops:
    LOOP = (GO, says(call("a")), user(result("a")))

    @pytest.mark.parametrize("mode", ["on", "adaptive"])
    def test_loop_that_began_without_thinking_goes_on_without(self, mode):
        found, notes = repair(talk(*self.LOOP, mode=mode), CLAUDE)
        assert found.reasoning.mode == "off"
        assert found.messages == self.LOOP
        assert notes == ["thinking is off for this request: its tool loop began without any"]

    def test_nothing_is_said_when_nobody_asked_for_thinking(self):
        found, notes = repair(talk(*self.LOOP, mode=None), CLAUDE)
        assert found.reasoning.mode == "off"
        assert notes == []

    def test_budget_and_effort_stay_on_record(self):
        asked = replace(talk(*self.LOOP), reasoning=Reasoning("on", 2000, "high"))
        found, _ = repair(asked, CLAUDE)
        assert found.reasoning == Reasoning("off", 2000, "high")

    @pytest.mark.parametrize(
        "messages",
        [
            pytest.param((GO,), id="nothing yet"),
            pytest.param((GO, says(Text("a")), user(Text("b"))), id="no loop"),
            pytest.param((GO, says(SEALED, call("a")), user(result("a"))), id="thinking first"),
            pytest.param((GO, says(Text("x"), SEALED, call("a")), user(result("a"))), id="within"),
            pytest.param(
                (
                    GO,
                    says(SEALED, call("a")),
                    user(result("a")),
                    says(call("b")),
                    user(result("b")),
                ),
                id="only the loop's first message needs thinking",
            ),
            pytest.param((*LOOP, says(Text("done")), user(Text("next"))), id="an earlier loop"),
            pytest.param((GO, says(SEALED, Text("so"))), id="unfinished answer with thinking"),
        ],
    )
    def test_thinking_stays_on(self, messages):
        conversation = talk(*messages, mode="on")
        assert repair(conversation, CLAUDE)[0] is conversation

    @pytest.mark.parametrize(
        "messages",
        [
            pytest.param((GO, says(Text("{"))), id="prefill"),
            pytest.param(
                (*LOOP, says(SEALED, call("b")), user(result("b"))), id="thinking came too late"
            ),
            pytest.param((GO, says(call("a")), user(Text("stop"))), id="interrupted"),
            pytest.param(
                (GO, says(call("a")), user(result("a"), Text("note"))), id="text beside the result"
            ),
        ],
    )
    def test_thinking_goes_off(self, messages):
        assert repair(talk(*messages, mode="on"), CLAUDE)[0].reasoning.mode == "off"

    def test_gemini_does_not_mind(self):
        conversation = talk(*self.LOOP, mode="on")
        assert repair(conversation, GEMINI)[0] is conversation


UNKNOWN = Verbatim("anthropic", {"type": "container_upload"})
DOT = Text(".")
ASKED = (GO, says(SEALED, call("a")), user(result("a")))


class TestEmptyTurns:
    @pytest.mark.parametrize(
        "messages",
        [
            pytest.param((GO, says(Text("a")), GO), id="none of them"),
            pytest.param((GO, says(SEALED), says(call("a")), user(result("a"))), id="in a turn"),
            pytest.param((GO, says(Text("a")), user(Verbatim("gemini", {}))), id="own block"),
        ],
    )
    def test_history_that_says_something_stays(self, messages):
        assert repair(talk(*messages), CLAUDE, "gemini")[0].messages == messages

    @pytest.mark.parametrize("nothing", [(), (Text(""),), (Text(" \n"),), (UNKNOWN,)])
    def test_last_turn_of_nothing_is_a_dot_so_that_the_answer_before_stays_one(self, nothing):
        history = (GO, says(Text("foo")))
        conversation = talk(*history, user(*nothing), mode="on")
        found, _ = repair(conversation, CLAUDE, "gemini")
        assert found == replace(conversation, messages=(*history, user(DOT)))

    def test_so_is_a_last_turn_that_pairing_has_emptied(self):
        history = (GO, says(call("a")), user(result("a")), says(Text("foo")))
        found, _ = repair(talk(*history, user(result("a"))), CLAUDE, "gemini")
        assert found.messages == (*history, user(DOT))

    @pytest.mark.parametrize("nothing", [(), (Text(" "),), (UNKNOWN,), (SEALED,)])
    def test_answer_of_nothing_still_ends_the_tool_loop_when_somebody_speaks(self, nothing):
        history = (GO, says(Text("t"), call("a")), user(result("a")))
        found, notes = repair(talk(*history, says(*nothing), GO, mode="on"), CLAUDE, "gemini")
        assert found.messages == (*history, says(DOT), GO)
        assert (found.reasoning.mode, notes) == ("on", [])

    @pytest.mark.parametrize(
        ("messages", "left"),
        [
            pytest.param((GO, says(), GO), (GO, GO), id="between questions"),
            pytest.param((user(), says(Text("a")), GO), (says(Text("a")), GO), id="first"),
            pytest.param((GO, says(SEALED)), (GO,), id="answer that has not begun"),
            pytest.param((*ASKED, says(), user()), ASKED, id="nobody has spoken"),
            pytest.param((user(UNKNOWN),), (), id="all of it"),
        ],
    )
    def test_any_other_is_left_out(self, messages, left):
        assert repair(talk(*messages), CLAUDE, "gemini")[0].messages == left

    def test_loops_that_nobody_parted_are_judged_as_one(self):
        history = (GO, says(call("a")), user(result("a")), says(Text("so")))
        late = (says(SEALED, call("b")), user(result("b")))
        found, _ = repair(talk(*history, user(), *late, mode="on"), CLAUDE, "gemini")
        assert found.messages == (*history, *late)
        assert found.reasoning.mode == "off"

    def test_history_that_goes_on_as_it_came_keeps_them(self):
        conversation = talk(GO, says(Text("foo")), user())
        assert repair(conversation, CLAUDE)[0] is conversation


@given(messages=MESSAGES)
def test_no_turn_of_nothing_is_left_and_what_is_there_stays_paired(messages):
    found, _ = repair(talk(*messages, user(Text("go"))), CLAUDE, "gemini")
    assert_paired(found.messages)
    assert found.messages[-1].role == "user"
    assert repair(found, CLAUDE, "gemini")[0] == found
