"""Signatures: to whom they belong, and that no restart and no client loses them."""

from typing import Any

import orjson
import pytest

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
from mcp_proxy.events import Reply, Stop, unfold
from mcp_proxy.model import Family
from mcp_proxy.policy.models import info
from mcp_proxy.policy.seals import SealCollector, SealLookup, StoredSeals, disowned, settle

CLAUDE, GEMINI, GPT = Family.CLAUDE, Family.GEMINI, Family.GPT
MODELS = {
    CLAUDE: info("claude-sonnet-4-6"),
    GEMINI: info("gemini-3-flash"),
    GPT: info("gpt-5", "openai"),
    Family.OTHER: info("glm-4.7", "zai"),
}


def remembered(*answers: tuple[Family, tuple[Part, ...]], asked: str = "q") -> StoredSeals:
    """What a store knows after these answers to a question were streamed through it."""
    return remembered_of(*((asked, family, parts) for family, parts in answers))


def remembered_of(*answers: tuple[str, Family, tuple[Part, ...]]) -> StoredSeals:
    """The same for answers in several conversations, each with its question. As JSON has it."""
    rows: dict[str, Any] = {}
    seals = StoredSeals(rows.get)
    for asked, family, parts in answers:
        collector = SealCollector(MODELS[family], asked)
        for event in unfold(Reply(parts, Stop.END)):
            collector.add([event])
        for key, value in collector.found():
            rows[key] = orjson.loads(orjson.dumps(seals.joined(key, value)))
    return seals


def settled(
    parts: tuple[Part, ...], family: Family, lookup: SealLookup | None = None, asked: str = "q"
) -> tuple[tuple[Part, ...], list[str]]:
    """An assistant's message after settling, and the notes."""
    conversation = Conversation(
        "anthropic", "m", (Message("user", (Text(asked),)), Message("assistant", parts))
    )
    found, notes = settle(
        conversation, MODELS[family], lookup or remembered(), identity=conversation.identity()
    )
    return found.messages[-1].parts, notes


def unknown(value: str) -> Seal:
    """A signature as a client sends it back."""
    return Seal(UNKNOWN_ORIGIN, value)


CLAUDE_ANSWER = (Thinking("hm", Seal(CLAUDE, "c-sig")), Text("so"), ToolCall("a", "f", "{}"))
GEMINI_ANSWER = (ToolCall("b", "f", "{}", Seal(GEMINI, "g-sig")), ToolCall("c", "f", "{}"))


class TestThinking:
    LOOKUP = remembered((CLAUDE, CLAUDE_ANSWER))

    def test_that_we_have_issued_goes_back_to_its_family(self):
        conversation = Conversation(
            "anthropic", "m", (Message("assistant", (Thinking("hm", unknown("c-sig")),)),)
        )
        found, notes = settle(
            conversation, MODELS[CLAUDE], self.LOOKUP, identity=conversation.identity()
        )
        assert found is conversation
        assert notes == []

    @pytest.mark.parametrize("family", [GEMINI, GPT])
    def test_of_another_family_is_left_out(self, family):
        parts, notes = settled((Thinking("hm", unknown("c-sig")), Text("so")), family, self.LOOKUP)
        assert parts == (Text("so"),)
        assert notes == ["thinking without a signature of this model family left out (1)"]

    def test_that_nobody_here_has_issued_is_left_out(self):
        parts, _ = settled((Thinking("hm", unknown("x" * 200)),), CLAUDE, self.LOOKUP)
        assert parts == ()

    def test_without_a_signature_is_left_out(self):
        assert settled((Thinking("hm"),), CLAUDE, self.LOOKUP)[0] == ()

    def test_that_is_redacted_goes_back_to_its_family_only(self):
        redacted = Thinking("", unknown("c-sig"), redacted=True)
        assert settled((redacted,), CLAUDE, self.LOOKUP)[0] == (redacted,)
        assert settled((redacted,), GPT, self.LOOKUP)[0] == ()

    def test_that_is_redacted_is_remembered_when_it_is_issued(self):
        blob = Thinking("", Seal(CLAUDE, "blob"), redacted=True)
        lookup = remembered((CLAUDE, (blob,)))
        assert lookup.origin_of("blob") == CLAUDE

    def test_without_a_signature_may_stay_where_there_are_none(self):
        talk = Conversation("anthropic", "m", (Message("assistant", (Thinking("hm"),)),))
        other = MODELS[Family.OTHER]
        assert (
            settle(talk, other, self.LOOKUP, keeps_unsigned=True, identity=talk.identity())[0]
            is talk
        )
        assert settle(talk, other, self.LOOKUP, identity=talk.identity())[0] is not talk


class TestCalls:
    LOOKUP = remembered((CLAUDE, CLAUDE_ANSWER), (GEMINI, GEMINI_ANSWER))

    def test_get_back_the_signature_that_the_client_could_not_carry(self):
        parts, notes = settled(
            (ToolCall("b", "f", "{}"), ToolCall("c", "f", "{}")), GEMINI, self.LOOKUP
        )
        assert parts == GEMINI_ANSWER
        assert notes == ["signature restored from an earlier answer (1)"]

    def test_keep_a_signature_that_the_client_did_carry(self):
        parts, notes = settled((ToolCall("b", "f", "{}", unknown("g-sig")),), GEMINI, self.LOOKUP)
        assert parts == (ToolCall("b", "f", "{}", unknown("g-sig")),)
        assert notes == []

    def test_get_the_right_signature_for_a_wrong_one(self):
        parts, _ = settled((ToolCall("b", "f", "{}", unknown("forged")),), GEMINI, self.LOOKUP)
        assert parts == (ToolCall("b", "f", "{}", Seal(GEMINI, "g-sig")),)

    def test_of_gemini_lose_their_signature_for_claude(self):
        parts, notes = settled((ToolCall("b", "f", "{}", unknown("g-sig")),), CLAUDE, self.LOOKUP)
        assert parts == (ToolCall("b", "f", "{}"),)
        assert notes == ["signature of another or unknown model family left out (1)"]

    def test_of_claude_get_no_signature_for_gemini(self):
        parts, _ = settled((ToolCall("a", "f", "{}"),), GEMINI, self.LOOKUP)
        assert parts == (ToolCall("a", "f", "{}"),)


class TestThinkingThatTheClientCannotCarry:
    LOOKUP = remembered((CLAUDE, CLAUDE_ANSWER), (GEMINI, GEMINI_ANSWER))
    RESTORED = Thinking("hm", Seal(CLAUDE, "c-sig"))

    def test_is_put_in_front_of_everything(self):
        parts, notes = settled((Text("so"), ToolCall("a", "f", "{}")), CLAUDE, self.LOOKUP)
        assert parts == (self.RESTORED, Text("so"), ToolCall("a", "f", "{}"))
        assert notes == ["signature restored from an earlier answer (1)"]

    def test_takes_the_place_of_thinking_that_came_back_unsigned(self):
        parts, _ = settled((Thinking("hm"), ToolCall("a", "f", "{}")), CLAUDE, self.LOOKUP)
        assert parts == (self.RESTORED, ToolCall("a", "f", "{}"))

    def test_is_not_doubled_when_the_client_did_carry_it(self):
        given = (Thinking("hm", unknown("c-sig")), ToolCall("a", "f", "{}"))
        assert settled(given, CLAUDE, self.LOOKUP)[0] == given

    @pytest.mark.parametrize("call_id", ["b", "never-seen"])
    def test_stays_away_from_calls_of_others(self, call_id):
        call = ToolCall(call_id, "f", "{}")
        assert settled((call,), CLAUDE, self.LOOKUP)[0] == (call,)

    def test_is_remembered_for_every_call_of_the_answer(self):
        answer = (
            Thinking("hm", Seal(CLAUDE, "s")),
            ToolCall("x", "f", "{}"),
            ToolCall("y", "f", "{}"),
        )
        parts, _ = settled((ToolCall("y", "f", "{}"),), CLAUDE, remembered((CLAUDE, answer)))
        assert parts[0] == Thinking("hm", Seal(CLAUDE, "s"))

    SEVERAL = (
        Thinking("", Seal(CLAUDE, "blob"), redacted=True),
        Thinking("one", Seal(CLAUDE, "s1")),
        Thinking("two", Seal(CLAUDE, "s2")),
        ToolCall("x", "f", "{}"),
        ToolCall("y", "f", "{}"),
        Thinking("between", Seal(CLAUDE, "s3")),
        ToolCall("z", "f", "{}"),
    )

    def test_comes_back_whole_where_it_was_also_what_nobody_may_read(self):
        calls = tuple(part for part in self.SEVERAL if isinstance(part, ToolCall))
        parts, notes = settled(calls, CLAUDE, remembered((CLAUDE, self.SEVERAL)))
        assert parts == self.SEVERAL
        assert notes == ["signature restored from an earlier answer (2)"]

    def test_of_a_call_that_comes_back_alone_is_all_that_was_thought_up_to_it(self):
        lookup = remembered((CLAUDE, self.SEVERAL))
        parts, _ = settled((ToolCall("z", "f", "{}"),), CLAUDE, lookup)
        thought = tuple(part for part in self.SEVERAL if isinstance(part, Thinking))
        assert parts == (*thought, ToolCall("z", "f", "{}"))


def claudes(thought: str, *calls: ToolCall) -> tuple[Family, tuple[Part, ...]]:
    return CLAUDE, (Thinking(thought, Seal(CLAUDE, f"signature of {thought}")), *calls)


def geminis(signature: str, call: ToolCall) -> tuple[Family, tuple[Part, ...]]:
    return GEMINI, (ToolCall(call.id, call.name, call.arguments, Seal(GEMINI, signature)),)


def thoughts(parts: tuple[Part, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, Thinking)]


def signature_of_call(parts: tuple[Part, ...]) -> str | None:
    [call] = [part for part in parts if isinstance(part, ToolCall)]
    return call.seal.value if call.seal else None


class TestIdsThatTheUpstreamUsesAgain:
    """Everybody's first call is `call_0` there."""

    ALICE = ToolCall("call_0", "get", '{"whose":"alice"}')
    BOB = ToolCall("call_0", "get", '{"whose":"bob"}')
    SAME = ToolCall("call_0", "get", "{}")

    @pytest.mark.parametrize("asked", ["of alice", "hi"], ids=["other words", "the same words"])
    def test_another_conversations_call_keeps_its_own(self, asked):
        lookup = remembered_of(
            (asked, *claudes("alice's", self.ALICE)),
            ("hi", *claudes("bob's", self.BOB)),
        )
        assert thoughts(settled((self.ALICE,), CLAUDE, lookup, asked)[0]) == ["alice's"]
        assert thoughts(settled((self.BOB,), CLAUDE, lookup, "hi")[0]) == ["bob's"]

    def test_thinking_of_the_same_call_stays_in_its_conversation(self):
        lookup = remembered_of(
            ("of alice", *claudes("alice's", self.SAME)), ("of bob", *claudes("bob's", self.SAME))
        )
        assert thoughts(settled((self.SAME,), CLAUDE, lookup, "of alice")[0]) == ["alice's"]
        assert thoughts(settled((self.SAME,), CLAUDE, lookup, "of carol")[0]) == []

    @pytest.mark.parametrize("times", [2, 3])
    def test_of_conversations_that_are_alike_neither_gets_any(self, times):
        """Nor do two calls of one conversation: nobody can tell whose answer is whose."""
        answers = (claudes(f"thought {number}", self.SAME) for number in range(times))
        assert settled((self.SAME,), CLAUDE, remembered(*answers))[0] == (self.SAME,)

    def test_a_call_of_each_family_keeps_its_own(self):
        lookup = remembered(geminis("s", self.SAME), claudes("claude's", self.SAME))
        assert signature_of_call(settled((self.SAME,), GEMINI, lookup)[0]) == "s"
        assert thoughts(settled((self.SAME,), CLAUDE, lookup)[0]) == ["claude's"]

    def test_what_begins_without_a_word_is_nobodys(self):
        lookup = remembered(claudes("alice's", self.SAME), asked="")
        assert settled((self.SAME,), CLAUDE, lookup, "")[0] == (self.SAME,)

    def test_every_call_of_a_conversation_gets_its_own_signature(self):
        calls = [ToolCall("call_0", "get", f'{{"page":{page}}}') for page in range(3)]
        lookup = remembered(*(geminis(f"s{page}", call) for page, call in enumerate(calls)))
        found = [signature_of_call(settled((call,), GEMINI, lookup)[0]) for call in calls]
        assert found == ["s0", "s1", "s2"]

    def test_an_id_used_without_end_is_remembered_for_its_last_calls(self):
        calls = [ToolCall("call_0", "get", f'{{"page":{page}}}') for page in range(100)]
        lookup = remembered(*(geminis(f"s{page}", call) for page, call in enumerate(calls)))
        assert signature_of_call(settled((calls[99],), GEMINI, lookup)[0]) == "s99"
        assert signature_of_call(settled((calls[0],), GEMINI, lookup)[0]) is None


class TestIdsThatNobodyUsesAgain:
    """They tell a call of a conversation that has lost its beginning, or its name."""

    CALL = ToolCall("toolu_vrtx_01AbCdEf", "f", "{}")

    @pytest.mark.parametrize("asked", ["cut short", ""])
    @pytest.mark.parametrize("before", ["q", ""], ids=["named", "nameless"])
    def test_give_their_calls_what_they_had(self, before, asked):
        lookup = remembered_of(
            (before, *claudes("hm", self.CALL)), (before, *geminis("s", self.CALL))
        )
        assert thoughts(settled((self.CALL,), CLAUDE, lookup, asked)[0]) == ["hm"]
        assert signature_of_call(settled((self.CALL,), GEMINI, lookup, asked)[0]) == "s"

    def test_are_only_those_of_the_same_call(self):
        lookup = remembered(geminis("s", self.CALL))
        other = ToolCall(self.CALL.id, "g", "{}")
        assert signature_of_call(settled((other,), GEMINI, lookup, "cut short")[0]) is None

    def test_are_nobodys_when_they_were_used_again_after_all(self):
        lookup = remembered_of(
            ("of alice", *claudes("alice's", self.CALL)), ("of bob", *claudes("bob's", self.CALL))
        )
        assert thoughts(settled((self.CALL,), CLAUDE, lookup, "of carol")[0]) == []
        assert thoughts(settled((self.CALL,), CLAUDE, lookup, "of alice")[0]) == ["alice's"]

    def test_give_nothing_that_was_refused(self):
        lookup = remembered(claudes("hm", self.CALL))
        asked = (Message("user", (Text("cut"),)), Message("assistant", (self.CALL,)))
        talk = Conversation("anthropic", "m", asked)
        rows = dict(disowned(talk, MODELS[CLAUDE], lookup, identity="cut"))
        after = StoredSeals(lambda key: rows.get(key) or lookup.get(key))
        assert thoughts(settled((self.CALL,), CLAUDE, after, "cut")[0]) == []
        assert thoughts(settled((self.CALL,), CLAUDE, after, "elsewhere")[0]) == []


class TestOpenLoop:
    """Thinking is put back where results come back; what the user says beside them ends nothing."""

    CALL = ToolCall("a", "f", "{}")
    RESULT = Message("user", (ToolResult("a", (Text("42"),)),))
    SAID = Message("user", (Text("go on"),))
    ANSWER = Message("assistant", (Text("done"),))

    @pytest.mark.parametrize(
        ("after", "is_open"),
        [
            ((RESULT,), True),
            ((RESULT, SAID), True),
            ((Message("user", (*RESULT.parts, *SAID.parts)),), True),
            ((SAID, RESULT), True),
            ((RESULT, Message("system", (Text("mind"),))), True),
            ((RESULT, SAID, ANSWER), True),
            ((RESULT, ANSWER, SAID), False),
            ((RESULT, ANSWER, SAID, ANSWER), False),
            ((SAID,), False),
        ],
        ids=lambda value: (
            "".join(m.role[0] + type(m.parts[0]).__name__[0] for m in value)
            if isinstance(value, tuple)
            else ""
        ),
    )
    def test_lasts_while_results_come_back(self, after, is_open):
        lookup = remembered(claudes("hm", self.CALL))
        asked = (Message("user", (Text("q"),)), Message("assistant", (self.CALL,)), *after)
        talk = Conversation("anthropic", "m", asked)
        found, _ = settle(talk, MODELS[CLAUDE], lookup, identity="q")
        assert thoughts(found.messages[1].parts) == (["hm"] if is_open else [])


class TestArgumentsAsTheClientWritesThemDown:
    ISSUED = r'{"path":"\u00e4/b","lines":[1,2.0],"deep":{"x":1,"y":null}}'

    @pytest.mark.parametrize(
        ("returned", "found"),
        [
            (ISSUED, True),
            ('{ "lines": [1.0, 2],\n "deep": {"y": null, "x": 1}, "path": "ä/b" }', True),
            # These would be other arguments for all that anybody can know, and so the seal is lost.
            ('{"path":"ä/b","lines":[1,2],"deep":{"x":1}}', False),
            ('{"path":"ä/b","lines":[1,2],"deep":{"x":1,"y":null},"limit":10}', False),
            ('{"path":"ä/b","lines":[2,1],"deep":{"x":1,"y":null}}', False),
        ],
        ids=["unchanged", "rewritten", "null dropped", "default added", "reordered list"],
    )
    def test_matter_by_what_they_mean(self, returned, found):
        lookup = remembered(geminis("s", ToolCall("a", "f", self.ISSUED)))
        parts, _ = settled((ToolCall("a", "f", returned),), GEMINI, lookup)
        assert signature_of_call(parts) == ("s" if found else None)

    def test_of_a_tool_of_another_name_are_another_call(self):
        lookup = remembered(geminis("s", ToolCall("a", "f", self.ISSUED)))
        parts, _ = settled((ToolCall("a", "g", self.ISSUED),), GEMINI, lookup)
        assert signature_of_call(parts) is None

    @pytest.mark.parametrize("issued", ["", r'{"x":"\ud800"}'], ids=["none", "half a character"])
    def test_may_be_odd(self, issued):
        lookup = remembered(geminis("s", ToolCall("a", "f", issued)))
        parts, _ = settled((ToolCall("a", "f", issued or "{}"),), GEMINI, lookup)
        assert signature_of_call(parts) == "s"


class TestSignatureOnTheThinkingBeforeACall:
    CALL = ToolCall("a", "f", "{}")
    LOOKUP = remembered(
        (GEMINI, (Thinking("hm", Seal(GEMINI, "carried")),)), geminis("remembered", CALL)
    )

    def test_goes_before_what_is_remembered(self):
        parts, _ = settled((Thinking("hm", unknown("carried")), self.CALL), GEMINI, self.LOOKUP)
        assert signature_of_call(parts) == "carried"

    @pytest.mark.parametrize(
        "before",
        [(Thinking("hm", unknown("forged")),), (Thinking("hm", unknown("carried")), Text("so"))],
        ids=["not this family's", "not directly before"],
    )
    def test_else_does_not(self, before):
        parts, _ = settled((*before, self.CALL), GEMINI, self.LOOKUP)
        assert signature_of_call(parts) == "remembered"


class TestThinkingThatTheClientWasNotShown:
    """Its signature came back on an empty block; a family may bind it to the text."""

    SIGNATURE = Seal(CLAUDE, "c-sig")

    def kept(self, family: Family, thinking: Thinking, *, shown: bool) -> SealLookup:
        collector = SealCollector(MODELS[family], "q", shows_thinking=shown)
        collector.add(unfold(Reply((thinking, Text("so")), Stop.END)))
        return StoredSeals(dict(collector.found()).get)

    def test_gets_its_text_back(self):
        lookup = self.kept(CLAUDE, Thinking("hm", self.SIGNATURE), shown=False)
        parts, _ = settled((Thinking("", unknown("c-sig")), Text("so")), CLAUDE, lookup)
        assert parts == (Thinking("hm", unknown("c-sig")), Text("so"))

    def test_keeps_a_text_that_came_back(self):
        lookup = self.kept(CLAUDE, Thinking("hm", self.SIGNATURE), shown=False)
        thinking = Thinking("as it was", unknown("c-sig"))
        assert settled((thinking,), CLAUDE, lookup)[0] == (thinking,)

    @pytest.mark.parametrize(
        ("family", "thinking", "shown"),
        [
            (CLAUDE, Thinking("hm", SIGNATURE), True),
            (CLAUDE, Thinking("", SIGNATURE), False),
            (GEMINI, Thinking("hm", Seal(GEMINI, "c-sig")), False),
        ],
        ids=["it was shown", "there is none", "it never goes back"],
    )
    def test_is_not_stored_when_it_need_not_be(self, family, thinking, shown):
        assert self.kept(family, thinking, shown=shown).text_of("c-sig") is None


class TestDisowned:
    """What was in a history that the model took only without."""

    LOOKUP = remembered((CLAUDE, CLAUDE_ANSWER), (GEMINI, GEMINI_ANSWER))
    CARRIED = (Thinking("hm", unknown("c-sig")), Text("so"), ToolCall("a", "f", "{}"))
    SIGNED = (ToolCall("b", "f", "{}", unknown("g-sig")),)

    def after(self, parts: tuple[Part, ...], family: Family) -> StoredSeals:
        talk = Conversation(
            "anthropic", "m", (Message("user", (Text("q"),)), Message("assistant", parts))
        )
        rows = dict(disowned(talk, MODELS[family], self.LOOKUP, identity=talk.identity()))
        return StoredSeals(lambda key: rows.get(key) or self.LOOKUP.get(key))

    @pytest.mark.parametrize(
        ("family", "parts"),
        [(CLAUDE, CARRIED), (CLAUDE, CARRIED[1:]), (GEMINI, SIGNED)],
        ids=["thinking", "thinking that is restored", "a call"],
    )
    def test_is_neither_sent_nor_restored(self, family, parts):
        found, _ = settled(parts, family, self.after(parts, family))
        assert not any(getattr(part, "seal", None) for part in found)

    def test_is_nothing_of_another_family(self):
        lookup = self.after((*self.CARRIED, *self.SIGNED), GEMINI)
        assert settled(self.CARRIED, CLAUDE, lookup)[0] == self.CARRIED
        assert settled(self.CARRIED[1:], CLAUDE, lookup)[0][0] == CLAUDE_ANSWER[0]

    def test_leaves_the_calls_of_later_answers_theirs(self):
        lookup = self.after((ToolCall("b", "f", "{}"),), GEMINI)
        rows: dict[str, Any] = {}
        collector = SealCollector(MODELS[GEMINI], "q")
        collector.add(unfold(Reply((ToolCall("b", "f", "{}", Seal(GEMINI, "new")),), Stop.END)))
        for key, value in collector.found():
            rows[key] = lookup.joined(key, value)
        parts, _ = settled((ToolCall("b", "f", "{}"),), GEMINI, StoredSeals(rows.get))
        assert signature_of_call(parts) == "new"


class TestText:
    LOOKUP = remembered((GEMINI, (Text("a", Seal(GEMINI, "t-sig")),)))

    def test_keeps_its_own_signature(self):
        parts, _ = settled((Text("a", unknown("t-sig")),), GEMINI, self.LOOKUP)
        assert parts == (Text("a", unknown("t-sig")),)

    def test_loses_a_foreign_one_and_stays(self):
        parts, notes = settled((Text("a", unknown("t-sig")),), CLAUDE, self.LOOKUP)
        assert parts == (Text("a"),)
        assert notes == ["signature of another or unknown model family left out (1)"]


@pytest.mark.parametrize("family", list(Family))
def test_conversation_without_seals_is_the_same_object(family):
    conversation = Conversation(
        "anthropic",
        "m",
        (
            Message("user", (Text("q"),)),
            Message("assistant", (Text("a"), ToolCall("z", "f", "{}"))),
        ),
    )
    assert (
        settle(conversation, MODELS[family], remembered(), identity=conversation.identity())[0]
        is conversation
    )


def test_settling_twice_changes_nothing_more():
    lookup = remembered((CLAUDE, CLAUDE_ANSWER))
    conversation = Conversation(
        "openai_chat",
        "m",
        (
            Message("user", (Text("q"),)),
            Message("assistant", (Thinking("x"), ToolCall("a", "f", "{}"))),
        ),
    )
    once, _ = settle(conversation, MODELS[CLAUDE], lookup, identity=conversation.identity())
    assert settle(once, MODELS[CLAUDE], lookup, identity=once.identity()) == (once, [])
    assert settle(once, MODELS[CLAUDE], lookup, identity=once.identity())[0] is once


class TestCollector:
    def test_stores_hashes_of_signatures_and_never_the_text_of_geminis_thoughts(self):
        collector = SealCollector(MODELS[GEMINI], "q")
        collector.add(unfold(Reply((Thinking("secret", Seal(GEMINI, "s")),), Stop.END)))
        ((key, value),) = collector.found()
        assert key.startswith("sig:")
        assert len(key) == len("sig:") + 64
        assert value == {"origin": "gemini"}

    def test_gives_each_row_once(self):
        collector = SealCollector(MODELS[CLAUDE], "q")
        events = list(unfold(Reply(CLAUDE_ANSWER, Stop.END)))
        collector.add(events[:4])
        early = collector.found()
        collector.add(events[4:])
        late = collector.found()
        assert [key.split(":")[0] for key, _ in early] == ["sig"]
        assert [key.split(":")[0] for key, _ in late] == ["call"]
        assert collector.found() == []

    def test_unsigned_answer_has_nothing_to_store(self):
        collector = SealCollector(MODELS[CLAUDE], "q")
        collector.add(unfold(Reply((Thinking("t"), Text("a"), ToolCall("a", "f", "{}")), Stop.END)))
        assert collector.found() == []

    def test_thinking_belongs_to_the_calls_after_it(self):
        answer = (
            Thinking("one", Seal(CLAUDE, "s1")),
            ToolCall("a", "f", "{}"),
            Thinking("two", Seal(CLAUDE, "s2")),
            ToolCall("b", "f", "{}"),
        )
        lookup = remembered((CLAUDE, answer))
        first, second = (lookup.of_call(CLAUDE, "q", ToolCall(name, "f", "{}")) for name in "ab")
        assert first is not None
        assert second is not None
        assert (first.signature, [each.text for each in first.thoughts]) == ("s1", ["one"])
        assert (second.signature, second.since) == ("s2", 1)
        assert [each.text for each in second.thoughts] == ["one", "two"]
