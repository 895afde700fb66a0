"""Stream records -> events: the state machine, the ends of an answer, usage."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Sampling,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Verbatim,
)
from mcp_proxy.dialects import StreamParser
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.dialects.gemini.stream import GeminiStreamParser
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Reply,
    Started,
    Stop,
    TextDelta,
    ThinkingDelta,
    UpstreamBroke,
    Usage,
    UsageSeen,
    fold,
)
from mcp_proxy.policy.models import info

CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-flash"
TOOLS = (Tool("s/f", "", {"properties": {"x": {"type": "string"}}}), Tool("empty", "", {}))
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def parser(model: str = CLAUDE, **fields: Any) -> StreamParser:
    return UPSTREAM.stream_parser(Conversation("anthropic", "m", (), **fields), info(model))


def record(*parts: Any, reason: str | None = None, usage: Any = None, **top: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if reason is not None:
        candidate["finishReason"] = reason
    found: dict[str, Any] = {"candidates": [candidate], **top}
    if usage is not None:
        found["usageMetadata"] = usage
    return found


LAST = record(reason="STOP", usage=USAGE)
NULL_REASON = {"content": {"parts": []}, "finishReason": None}
LATER = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 40,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 7,
}


def thought(text: str, signature: str | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"thought": True, "text": text}
    return part if signature is None else {**part, "thoughtSignature": signature}


def signed(part: dict[str, Any], signature: str) -> dict[str, Any]:
    return {**part, "thoughtSignature": signature}


def call(name: str = "s_f", call_id: str | None = "id", **args: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "args": args}
    if call_id is not None:
        made["id"] = call_id
    return {"functionCall": made}


def events(*records: Any, model: str = CLAUDE, **fields: Any) -> list[Event]:
    found: list[Event] = []
    reading = parser(model, **fields)
    for each in records:
        reading.feed(each, found)
    reading.close(found)
    return found


def reply(*parts: Any, model: str = CLAUDE, **fields: Any) -> Reply:
    """The whole answer of one part a record, and then the end."""
    return fold(events(*(record(part) for part in parts), LAST, model=model, **fields))


def failure(*records: Any) -> FailureKind:
    with pytest.raises(UpstreamBroke) as broke:
        events(*records)
    return broke.value.failure.kind


def test_answer_of_all_kinds_is_told_in_order():
    found = events(
        record(thought("think"), responseId="msg_1", modelVersion="claude"),
        record(thought("ing")),
        record(thought("", "sig")),
        record({"text": "Hello"}),
        record({"text": " "}, {"text": "you"}),
        record(call(x="1")),
        record(reason="OTHER", usage=USAGE),
        tools=TOOLS,
    )
    assert found == [
        Started("msg_1", "claude"),
        PartOpened(0, PartKind.THINKING),
        ThinkingDelta(0, "think"),
        ThinkingDelta(0, "ing"),
        PartClosed(0, Seal("claude", "sig")),
        PartOpened(1, PartKind.TEXT),
        TextDelta(1, "Hello"),
        TextDelta(1, " "),
        TextDelta(1, "you"),
        PartClosed(1),
        PartOpened(2, PartKind.TOOL_CALL, "id", "s/f"),
        ArgumentsDelta(2, '{"x":"1"}'),
        PartClosed(2),
        UsageSeen(Usage(input=10, output=5)),
        Finished(Stop.TOOL_CALL),
    ]


class TestSignatures:
    def test_snake_case_is_read_too(self):
        found = reply({"thought": True, "text": "t", "thought_signature": "sig"}, {"text": "a"})
        assert found.parts[0] == Thinking("t", Seal("claude", "sig"))

    def test_thoughts_after_a_signature_are_another_block(self):
        found = reply(thought("one", "s1"), thought("two"), thought("", "s2"), {"text": "a"})
        assert found.parts[:2] == (
            Thinking("one", Seal("claude", "s1")),
            Thinking("two", Seal("claude", "s2")),
        )

    def test_signature_without_any_thought_is_an_empty_block(self):
        assert reply(thought("", "s1"), {"text": "a"}).parts[0] == Thinking(
            "", Seal("claude", "s1")
        )

    def test_empty_thought_opens_nothing(self):
        assert reply(thought(""), {"text": "a"}).parts == (Text("a"),)

    def test_signature_of_a_call_is_also_on_the_thinking_before_it(self):
        found = reply(thought("t"), signed(call(), "sig"), model=GEMINI)
        assert found.parts == (
            Thinking("t", Seal("gemini", "sig")),
            ToolCall("id", "s_f", "{}", Seal("gemini", "sig")),
        )

    def test_signature_on_text_stays_with_the_text(self):
        found = reply({"text": "a"}, signed({"text": "b"}, "sig"), model=GEMINI)
        assert found.parts == (Text("ab", Seal("gemini", "sig")),)

    def test_signature_on_empty_text_belongs_to_the_open_text(self):
        found = reply({"text": "a"}, signed({"text": ""}, "sig"), call(), model=GEMINI)
        assert found.parts == (Text("a", Seal("gemini", "sig")), ToolCall("id", "s_f", "{}"))

    @pytest.mark.parametrize("carrier", [{"text": ""}, {}])
    def test_signature_alone_before_a_call_is_the_calls(self, carrier):
        found = reply(signed(carrier, "sig"), call(), call(call_id="b"), model=GEMINI)
        assert found.parts == (
            ToolCall("id", "s_f", "{}", Seal("gemini", "sig")),
            ToolCall("b", "s_f", "{}"),
        )

    def test_signature_alone_before_text_is_the_texts(self):
        found = reply(signed({"text": ""}, "sig"), {"text": "a"}, model=GEMINI)
        assert found.parts == (Text("a", Seal("gemini", "sig")),)

    def test_signature_alone_after_thoughts_is_theirs_and_the_next_calls(self):
        found = reply(thought("t"), signed({"text": ""}, "sig"), call(), model=GEMINI)
        assert found.parts == (
            Thinking("t", Seal("gemini", "sig")),
            ToolCall("id", "s_f", "{}", Seal("gemini", "sig")),
        )

    def test_signature_alone_after_a_call_is_the_calls(self):
        found = reply(call(), signed({"text": ""}, "sig"), model=GEMINI)
        assert found.parts == (ToolCall("id", "s_f", "{}", Seal("gemini", "sig")),)

    def test_parallel_sibling_has_none(self):
        found = reply(signed(call(), "sig"), call(call_id="b"), model=GEMINI)
        assert [part.seal for part in found.parts] == [Seal("gemini", "sig"), None]


class TestCalls:
    def test_missing_arguments_are_an_empty_object(self):
        (part,) = reply({"functionCall": {"name": "g", "id": "a"}}).parts
        assert part == ToolCall("a", "g", "{}")

    def test_missing_id_is_made(self):
        (part,) = reply(call(call_id=None)).parts
        assert isinstance(part, ToolCall)
        assert re.fullmatch(r"toolu_[0-9a-f]{24}", part.id)

    def test_id_used_twice_in_an_answer_is_made_anew(self):
        first, second = reply(call(), call()).parts
        assert isinstance(first, ToolCall)
        assert isinstance(second, ToolCall)
        assert first.id == "id"
        assert second.id.startswith("toolu_")

    def test_placeholders_are_taken_out_where_the_request_put_them_in(self):
        found = reply(
            call("empty", "a", reason="because"),
            call("s_f", "b", x="1", reason="mine"),
            tools=TOOLS,
        )
        assert [orjson.loads(part.arguments) for part in found.parts] == [
            {},
            {"x": "1", "reason": "mine"},
        ]

    def test_model_that_was_sent_no_placeholder_keeps_its_arguments(self):
        (part,) = reply(call("empty", reason="because"), tools=TOOLS, model=GEMINI).parts
        assert isinstance(part, ToolCall)
        assert part.arguments == '{"reason":"because"}'

    def test_name_that_nobody_declared_is_kept(self):
        (part,) = reply(call("invented"), tools=TOOLS).parts
        assert isinstance(part, ToolCall)
        assert part.name == "invented"

    def test_only_the_first_counts_when_the_client_takes_one(self):
        found = reply(
            call(), call(call_id="b"), {"text": "a"}, tool_choice=ToolChoice(parallel=False)
        )
        assert found.parts == (ToolCall("id", "s_f", "{}"), Text("a"))


class TestOtherParts:
    def test_picture_is_media(self):
        picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
        assert reply({"text": "a"}, picture, picture).parts == (
            Text("a"),
            Media("image/png", "AAAA"),
            Media("image/png", "AAAA"),
        )

    def test_picture_that_was_only_thought_of_is_not_shown(self):
        picture = {"thought": True, "inlineData": {"mimeType": "image/png", "data": "AAAA"}}
        assert reply(picture, {"text": "a"}).parts == (Text("a"),)

    def test_block_of_the_dialect_is_verbatim(self):
        code = {"executableCode": {"language": "PYTHON", "code": "1"}}
        assert reply(code).parts == (Verbatim("gemini", code),)

    def test_empty_parts_are_nothing(self):
        assert reply({}, {"text": ""}, {"text": "a"}, {"text": ""}).parts == (Text("a"),)

    def test_text_marked_as_no_thought_is_text(self):
        assert reply({"text": "a", "thought": False}).parts == (Text("a"),)


class TestEnds:
    @pytest.mark.parametrize(
        ("reason", "stop"),
        [
            ("STOP", Stop.END),
            ("OTHER", Stop.END),
            ("FINISH_REASON_UNSPECIFIED", Stop.END),
            ("SOMETHING_NEW", Stop.END),
            ("NO_IMAGE", Stop.END),
            ("MAX_TOKENS", Stop.LENGTH),
            ("SAFETY", Stop.REFUSAL),
            ("RECITATION", Stop.REFUSAL),
            ("PROHIBITED_CONTENT", Stop.REFUSAL),
            ("BLOCKLIST", Stop.REFUSAL),
            ("SPII", Stop.REFUSAL),
            ("IMAGE_SAFETY", Stop.REFUSAL),
        ],
    )
    def test_reason_after_text(self, reason, stop):
        found = events(record({"text": "a"}), record(reason=reason, usage=USAGE))
        assert found[-1] == Finished(stop)

    @pytest.mark.parametrize("reason", ["STOP", "OTHER", "MAX_TOKENS", "MALFORMED_FUNCTION_CALL"])
    def test_seen_call_wins_over_the_reason(self, reason):
        assert events(record(call(), reason=reason, usage=USAGE))[-1] == Finished(Stop.TOOL_CALL)

    @pytest.mark.parametrize(
        ("reason", "kind"),
        [
            ("MALFORMED_FUNCTION_CALL", FailureKind.EMPTY),
            ("UNEXPECTED_TOOL_CALL", FailureKind.EMPTY),
            ("MISSING_THOUGHT_SIGNATURE", FailureKind.SEAL),
        ],
    )
    def test_turn_that_came_to_nothing_is_a_failure(self, reason, kind):
        assert failure(record(thought("t")), record(reason=reason, usage=USAGE)) is kind

    @pytest.mark.parametrize(
        "reason", ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"]
    )
    def test_text_that_led_up_to_a_broken_call_is_no_clean_answer(self, reason):
        found: list[Event] = []
        reading = parser()
        reading.feed(record({"text": "I will call"}, reason=reason, usage=USAGE), found)
        with pytest.raises(UpstreamBroke, match=reason) as broke:
            reading.close(found)
        assert broke.value.failure.kind is FailureKind.EMPTY
        assert found[-1] == TextDelta(0, "I will call")

    def test_end_without_content_is_empty(self):
        assert failure(LAST) is FailureKind.EMPTY
        assert failure(record({"text": ""}, reason="STOP")) is FailureKind.EMPTY

    def test_thoughts_alone_are_an_answer(self):
        assert reply(thought("t")).parts == (Thinking("t"),)

    def test_limit_that_was_spent_on_hidden_thoughts_is_no_failure(self):
        found = fold(events(record(reason="MAX_TOKENS", usage=USAGE)))
        assert (found.parts, found.stop) == ((), Stop.LENGTH)

    @pytest.mark.parametrize("top", [{}, {"usageMetadata": USAGE}])
    def test_blocked_prompt_is_a_refusal(self, top):
        found = fold(events({"promptFeedback": {"blockReason": "SAFETY"}, **top}))
        assert (found.parts, found.stop) == ((), Stop.REFUSAL)

    def test_end_without_reason_is_a_broken_upstream(self):
        assert failure() is FailureKind.UPSTREAM
        assert failure(record({"text": "a"}, usage=USAGE)) is FailureKind.UPSTREAM

    def test_error_inside_the_stream_is_a_failure(self):
        error = {"error": {"code": 503, "message": "overloaded"}}
        with pytest.raises(UpstreamBroke, match="overloaded"):
            events(record({"text": "a"}), error)

    @pytest.mark.parametrize(
        "odd",
        [
            {"candidates": 1},
            {"candidates": [1]},
            {"candidates": [{"content": {"parts": 1}}]},
            {"candidates": [{"content": {"parts": [1]}}]},
            {"candidates": [{"content": {"parts": [{"text": 1}]}}]},
            {"candidates": [{"content": {"parts": [{"functionCall": {}}, {"text": "a"}]}}]},
            {"candidates": [{"content": {"parts": [{"functionCall": {"id": "a"}}]}}]},
            {"candidates": [{"content": {"parts": [call("f") | {"functionCall": "f"}]}}]},
            {
                "candidates": [
                    {"content": {"parts": [{"functionCall": {"name": "f", "args": [1]}}]}}
                ]
            },
            {"candidates": [{"content": {"parts": [{"inlineData": {"data": "A"}}]}}]},
            {**LAST, "usageMetadata": []},
        ],
    )
    def test_nonsense_never_passes_for_an_answer(self, odd):
        assert failure(odd) in (FailureKind.UPSTREAM, FailureKind.EMPTY)


class TestTheEnd:
    """No record is known to be the last, so it is told of at the close."""

    def test_is_not_told_before_the_close(self):
        found: list[Event] = []
        reading = parser()
        reading.feed(record({"text": "a"}, reason="STOP", usage=USAGE), found)
        assert found[-1] == TextDelta(0, "a")
        reading.close(found)
        assert found[-2:] == [UsageSeen(Usage(input=10, output=5)), Finished(Stop.END)]

    def test_is_told_once(self):
        found: list[Event] = []
        reading = parser()
        reading.feed(record({"text": "a"}, reason="STOP", usage=USAGE), found)
        reading.close(found)
        reading.close(found)
        assert [type(event) for event in found].count(Finished) == 1

    def test_has_a_finish_reason_of_any_record_and_what_came_after_it(self):
        found = events(
            record({"text": "Hel"}, reason="STOP", usage={"candidatesTokenCount": 1}),
            record({"text": "lo"}, reason="STOP", usage={"candidatesTokenCount": 2}),
            record(call(), reason="STOP", usage={"promptTokenCount": 9, "candidatesTokenCount": 3}),
        )
        assert fold(found).parts[0] == Text("Hello")
        assert found[-2:] == [UsageSeen(Usage(input=9, output=3)), Finished(Stop.TOOL_CALL)]

    def test_is_not_undone_by_a_reason_of_null(self):
        found = events(record({"text": "a"}, reason="MAX_TOKENS"), {"candidates": [NULL_REASON]})
        assert found[-1] == Finished(Stop.LENGTH)

    def test_counts_the_usage_that_came_last(self):
        found = events(record({"text": "a"}, reason="STOP", usage=USAGE), {"usageMetadata": LATER})
        assert found[-2] == UsageSeen(Usage(input=60, output=16, thinking=7, cache_read=40))

    def test_with_a_document_even_if_nothing_is_counted(self):
        found: list[Event] = []
        parser().feed_whole(record({"text": "a"}, reason="STOP"), found)
        assert found[-2:] == [UsageSeen(Usage()), Finished(Stop.END)]

    def test_comes_without_usage_too(self):
        found = events(record({"text": "a"}, reason="STOP"))
        assert found[-2:] == [UsageSeen(Usage()), Finished(Stop.END)]

    def test_that_never_came_closes_a_call_that_did(self):
        found: list[Event] = []
        reading = parser()
        reading.feed(record(signed(call(), "sig")), found)
        with pytest.raises(UpstreamBroke):
            reading.close(found)
        assert found[-1] == PartClosed(0, Seal(reading._model.origin, "sig"))


class TestWhatMayBeTheEnd:
    """Then a stream need not be waited for without bound."""

    @staticmethod
    def after(*records: Any) -> bool:
        reading = parser()
        for each in records:
            reading.feed(each, [])
        return reading.may_end

    def test_is_a_record_with_reason_and_usage(self):
        assert self.after(record({"text": "a"}, reason="STOP", usage=USAGE))

    def test_is_the_usage_when_that_comes_later(self):
        stopped = record({"text": "a"}, reason="STOP")
        assert not self.after(stopped)
        assert self.after(stopped, {"usageMetadata": USAGE})

    @pytest.mark.parametrize("early", [{}, {"promptTokenCount": 5}, None, "many"])
    def test_is_not_what_does_not_count_the_answer(self, early):
        stopped = {**record({"text": "a"}, reason="STOP"), "usageMetadata": early}
        assert not self.after(stopped)
        assert self.after(stopped, {"usageMetadata": USAGE})

    @pytest.mark.parametrize(
        "usage",
        [
            {"promptTokenCount": 5, "totalTokenCount": 5},
            {"promptTokenCount": 5, "candidatesTokenCount": 0},
        ],
    )
    def test_may_count_the_answer_as_nothing(self, usage):
        assert self.after(record({"text": "a"}, reason="STOP", usage=usage))

    def test_is_an_end_without_anything_to_be_counted(self):
        assert self.after(record(reason="STOP", usage={"promptTokenCount": 5}))

    def test_is_none_of_the_records_where_each_has_a_reason(self):
        each = record({"text": "a"}, reason="STOP", usage=USAGE)
        assert not self.after(each, each)
        assert not self.after(each, each, each)

    def test_is_nothing_before_a_reason(self):
        assert not self.after(record({"text": "a"}, usage=USAGE))


class TestNulls:
    @pytest.mark.parametrize(
        "odd",
        [
            {"candidates": None},
            {"candidates": [{"content": None}]},
            {"candidates": [{"content": {"role": "model", "parts": None}}]},
        ],
    )
    def test_say_nothing(self, odd):
        assert events({**odd}, record({"text": "a"}), LAST) == events(record({"text": "a"}), LAST)


class TestMoreStopsThanGeminiTakes:
    STOPS = Sampling(stop=("1", "2", "3", "4", "5", "END", "FIN"))

    def test_text_ends_at_those_that_it_was_not_told_of(self):
        found = events(
            record({"text": "one E"}, responseId="r", modelVersion="g"),
            record({"text": "ND"}, signed({"text": "more"}, "sig")),
            record(call(), {"text": "even more"}),
            LAST,
            model=GEMINI,
            sampling=self.STOPS,
        )
        assert found == [
            Started("r", "g"),
            PartOpened(0, PartKind.TEXT),
            TextDelta(0, "one "),
            PartClosed(0),
            UsageSeen(Usage(input=10, output=5)),
            Finished(Stop.STOP_SEQUENCE, "END"),
        ]

    def test_text_without_any_comes_whole(self):
        found = reply(thought("t"), {"text": "the E"}, call(), model=GEMINI, sampling=self.STOPS)
        assert found.parts == (Thinking("t"), Text("the E"), ToolCall("id", "s_f", "{}"))
        assert (found.stop, found.stop_sequence) == (Stop.TOOL_CALL, None)

    def test_text_that_begins_with_one_is_none(self):
        found = reply({"text": "FIN"}, {"text": "more"}, model=GEMINI, sampling=self.STOPS)
        assert (found.parts, found.stop_sequence) == ((), "FIN")

    def test_whole_answer_is_cut_too(self):
        found: list[Event] = []
        document = record({"text": "a END b"}, reason="STOP", usage=USAGE)
        parser(GEMINI, sampling=self.STOPS).feed_whole(document, found)
        assert fold(found).parts == (Text("a "),)

    def test_what_came_before_a_fault_is_not_lost(self):
        found: list[Event] = []
        with pytest.raises(UpstreamBroke):
            parser(GEMINI, sampling=self.STOPS).feed(record({"text": "a"}, 1), found)
        assert found[-1] == TextDelta(0, "a")

    @pytest.mark.parametrize("model", [CLAUDE, GEMINI])
    def test_those_that_the_upstream_takes_are_left_to_it(self, model):
        stops = self.STOPS.stop[2:] if model == GEMINI else self.STOPS.stop
        assert isinstance(parser(model, sampling=Sampling(stop=stops)), GeminiStreamParser)


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        ({}, Usage()),
        (
            {
                "promptTokenCount": 1200,
                "cachedContentTokenCount": 1000,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 47,
                "totalTokenCount": 1250,
            },
            Usage(input=200, output=50, thinking=47, cache_read=1000),
        ),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(cache_read=9)),
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 4, "totalTokenCount": 20},
            Usage(input=10, output=10, thinking=4),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "totalTokenCount": 20},
            Usage(input=10, output=5),
        ),
        ({"promptTokenCount": None, "totalTokenCount": 0}, Usage()),
        ({"promptTokenCount": -5, "candidatesTokenCount": 3}, Usage(output=3)),
        ({"promptTokenCount": "12", "candidatesTokenCount": 1.5}, Usage()),
        ({"promptTokenCount": 2**63, "candidatesTokenCount": 3}, Usage(output=3)),
    ],
)
def test_usage_subtracts_the_cache_once_and_counts_thoughts_as_output(metadata, usage):
    assert fold(events(record({"text": "a"}, reason="STOP", usage=metadata))).usage == usage


def test_last_usage_counts():
    found = events(record({"text": "a"}, usage={"promptTokenCount": 1}), LAST)
    assert [event for event in found if isinstance(event, UsageSeen)] == [
        UsageSeen(Usage(input=10, output=5))
    ]


PARTS = st.sampled_from(
    [
        {"text": "a"},
        {"text": " "},
        {"text": ""},
        signed({"text": "b"}, "t1"),
        signed({"text": ""}, "t2"),
        thought("t"),
        thought("", "t3"),
        thought("u", "t4"),
        call(),
        signed(call(call_id=None), "t5"),
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"code": "1"}},
        {},
    ]
)


@given(
    parts=st.lists(PARTS, max_size=12),
    cuts=st.lists(st.integers(1, 4), min_size=12, max_size=12),
    model=st.sampled_from([CLAUDE, GEMINI]),
)
def test_any_parts_obey_the_grammar_and_do_not_depend_on_the_records(parts, cuts, model):
    parts = [*parts, {"text": "something, at last"}]
    records, rest = [], list(parts)
    for size in (*cuts, 1):
        if rest:
            records.append(record(*rest[:size]))
            rest = rest[size:]
    one_by_one = events(*(record(part) for part in parts), LAST, model=model)
    in_groups = events(*records, LAST, model=model)

    assert without_made_ids(one_by_one) == without_made_ids(in_groups)
    assert_grammar(one_by_one)


def without_made_ids(found: list[Event]) -> list[Event]:
    return [event._replace(id="") if isinstance(event, PartOpened) else event for event in found]


def assert_grammar(found: list[Event]) -> None:
    """Started (PartOpened delta* PartClosed)* UsageSeen Finished, parts numbered from 0."""
    kinds = "".join(
        {
            "PartOpened": "(",
            "PartClosed": ")",
            "Started": "S",
            "UsageSeen": "U",
            "Finished": "F",
        }.get(type(event).__name__, "d")
        for event in found
    )
    assert re.fullmatch(r"S(\(d*\))*UF", kinds)
    opened = [event.at for event in found if isinstance(event, PartOpened)]
    assert opened == list(range(len(opened)))
