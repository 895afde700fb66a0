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
)
from mcp_proxy.events import Reply, Stop, unfold
from mcp_proxy.model import Family
from mcp_proxy.policy.models import info
from mcp_proxy.policy.seals import SealCollector, SealLookup, StoredSeals, settle

CLAUDE, GEMINI, GPT = Family.CLAUDE, Family.GEMINI, Family.GPT
MODELS = {
    CLAUDE: info("claude-sonnet-4-6"),
    GEMINI: info("gemini-3-flash"),
    GPT: info("gpt-5", "openai"),
    Family.OTHER: info("glm-4.7", "zai"),
}


def remembered(*answers: tuple[Family, tuple[Part, ...]]) -> SealLookup:
    """What a store knows after these answers were streamed through it, as JSON has it."""
    rows: dict[str, Any] = {}
    for family, parts in answers:
        collector = SealCollector(MODELS[family])
        for event in unfold(Reply(parts, Stop.END)):
            collector.add([event])
        for key, value in collector.found():
            rows[key] = orjson.loads(orjson.dumps(value))
    return StoredSeals(rows.get)


def settled(
    parts: tuple[Part, ...], family: Family, lookup: SealLookup | None = None
) -> tuple[tuple[Part, ...], list[str]]:
    """An assistant's message after settling, and the notes."""
    conversation = Conversation(
        "anthropic", "m", (Message("user", (Text("q"),)), Message("assistant", parts))
    )
    found, notes = settle(conversation, MODELS[family], lookup or remembered())
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
        found, notes = settle(conversation, MODELS[CLAUDE], self.LOOKUP)
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
        assert settle(talk, other, self.LOOKUP, keeps_unsigned=True)[0] is talk
        assert settle(talk, other, self.LOOKUP)[0] is not talk


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
    assert settle(conversation, MODELS[family], remembered())[0] is conversation


def test_settling_twice_changes_nothing_more():
    lookup = remembered((CLAUDE, CLAUDE_ANSWER))
    conversation = Conversation(
        "openai_chat", "m", (Message("assistant", (Thinking("x"), ToolCall("a", "f", "{}"))),)
    )
    once, _ = settle(conversation, MODELS[CLAUDE], lookup)
    assert settle(once, MODELS[CLAUDE], lookup) == (once, [])
    assert settle(once, MODELS[CLAUDE], lookup)[0] is once


class TestCollector:
    def test_stores_hashes_of_signatures_and_never_the_text_of_geminis_thoughts(self):
        collector = SealCollector(MODELS[GEMINI])
        collector.add(unfold(Reply((Thinking("secret", Seal(GEMINI, "s")),), Stop.END)))
        ((key, value),) = collector.found()
        assert key.startswith("sig:")
        assert len(key) == len("sig:") + 64
        assert value == {"origin": "gemini"}

    def test_gives_each_row_once(self):
        collector = SealCollector(MODELS[CLAUDE])
        events = list(unfold(Reply(CLAUDE_ANSWER, Stop.END)))
        collector.add(events[:4])
        early = collector.found()
        collector.add(events[4:])
        late = collector.found()
        assert [key.split(":")[0] for key, _ in early] == ["sig"]
        assert [key for key, _ in late] == ["call:a"]
        assert collector.found() == []

    def test_unsigned_answer_has_nothing_to_store(self):
        collector = SealCollector(MODELS[CLAUDE])
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
        first, second = lookup.of_call("a"), lookup.of_call("b")
        assert first is not None
        assert second is not None
        assert (first.signature, first.thinking_text) == ("s1", "one")
        assert (second.signature, second.thinking_text) == ("s2", "two")
