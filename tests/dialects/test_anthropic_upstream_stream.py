"""Messages streams -> events: what upstreams of Anthropic's dialect answer."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    Conversation,
    JsonObject,
    Message,
    Seal,
    SearchHit,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.dialects.anthropic import UPSTREAM
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
    UpstreamSaidError,
    Usage,
    UsageSeen,
    fold,
)
from mcp_proxy.policy.models import info
from mcp_proxy.sse import SseReader, sse_record

MODEL = info("claude-opus-5-5", "anthropic")
TALK = Conversation(
    "gemini", "m", (Message("user", (Text("hi"),)),), tools=(Tool("files.read", "", {}),)
)


def start(**usage: Any) -> JsonObject:
    counts = usage or {"input_tokens": 12, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "model": "claude", "content": [], "usage": counts}
    return {"type": "message_start", "message": message}


def block(index: int, **fields: Any) -> JsonObject:
    return {"type": "content_block_start", "index": index, "content_block": fields}


def delta(index: int, kind: str, **fields: Any) -> JsonObject:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def text(index: int, said: str) -> JsonObject:
    return delta(index, "text_delta", text=said)


def arguments(index: int, piece: str) -> JsonObject:
    return delta(index, "input_json_delta", partial_json=piece)


def stop(index: int) -> JsonObject:
    return {"type": "content_block_stop", "index": index}


def end(
    reason: str | None = "end_turn", sequence: str | None = None, **usage: Any
) -> list[JsonObject]:
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage or {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def texts(index: int, *said: str) -> list[JsonObject]:
    return [
        block(index, type="text", text=""),
        *(text(index, each) for each in said),
        stop(index),
    ]


def call(index: int, *pieces: str, name: str = "f", call_id: str = "toolu_1") -> list[JsonObject]:
    return [
        block(index, type="tool_use", id=call_id, name=name, input={}),
        *(arguments(index, piece) for piece in pieces),
        stop(index),
    ]


def read(records: Iterable[JsonObject], *, close: bool = True) -> list[Event]:
    parser, out = UPSTREAM.stream_parser(TALK, MODEL), list[Event]()
    for record in records:
        parser.feed(record, out)
    if close:
        parser.close(out)
    return out


def reply(*records: JsonObject) -> Reply:
    return fold(read(records))


def parts(*records: JsonObject) -> Sequence[Any]:
    return reply(start(), *records, *end()).parts


def test_a_stream_with_thinking_text_and_a_call():
    records = [
        start(),
        block(0, type="thinking", thinking="", signature=""),
        {"type": "ping"},
        delta(0, "thinking_delta", thinking="Let me"),
        delta(0, "signature_delta", signature="EqQB"),
        stop(0),
        *texts(1, "Hi", " there"),
        *call(2, '{"a":', "1}"),
        *end("tool_use", input_tokens=10, cache_read_input_tokens=2, output_tokens=33),
    ]
    assert read(records) == [
        Started("msg_1", "claude"),
        PartOpened(0, PartKind.THINKING),
        ThinkingDelta(0, "Let me"),
        PartClosed(0, Seal("claude", "EqQB")),
        PartOpened(1, PartKind.TEXT),
        TextDelta(1, "Hi"),
        TextDelta(1, " there"),
        PartClosed(1),
        PartOpened(2, PartKind.TOOL_CALL, "toolu_1", "f"),
        ArgumentsDelta(2, '{"a":'),
        ArgumentsDelta(2, "1}"),
        PartClosed(2),
        UsageSeen(Usage(input=10, output=33, cache_read=2)),
        Finished(Stop.TOOL_CALL),
    ]


class TestBlocks:
    def test_an_empty_text_is_none(self):
        assert parts(*texts(0, ""), *texts(1, "a")) == (Text("a"),)

    def test_what_a_block_begins_with_counts(self):
        assert parts(
            block(0, type="thinking", thinking="h", signature="s"),
            delta(0, "thinking_delta", thinking="m"),
            stop(0),
            block(1, type="text", text="a"),
            text(1, "b"),
            stop(1),
            block(2, type="tool_use", id="1", name="f", input={"x": 1}),
            stop(2),
        ) == (
            Thinking("hm", Seal("claude", "s")),
            Text("ab"),
            ToolCall("1", "f", '{"x":1}'),
        )

    def test_thinking_that_is_not_shown_has_its_signature_still(self):
        hidden = [
            block(0, type="thinking", thinking="", signature=""),
            delta(0, "signature_delta", signature="s"),
            stop(0),
        ]
        assert parts(*hidden) == (Thinking("", Seal("claude", "s")),)

    def test_thinking_without_a_signature_has_no_seal(self):
        said = [block(0, type="thinking", thinking="", signature=""), stop(0)]
        assert parts(*said, *texts(1, "a"))[0] == Thinking("")

    def test_redacted_thinking(self):
        assert parts(block(0, type="redacted_thinking", data="blob"), stop(0)) == (
            Thinking("", Seal("claude", "blob"), redacted=True),
        )

    def test_a_call_gets_the_clients_name_of_the_tool(self):
        (part,) = parts(*call(0, name="files_read"))
        assert part == ToolCall("toolu_1", "files.read", "{}")

    def test_arguments_that_are_cut_off_are_an_object_still(self):
        answer = reply(start(), *call(0, '{"a":["b'), *end("max_tokens"))
        assert answer.parts == (ToolCall("toolu_1", "f", '{"a":["b"]}'),)
        assert answer.stop is Stop.LENGTH

    @pytest.mark.parametrize("broken", ["[1]", '{"a" 1', "x"])
    def test_arguments_that_are_no_object_are_a_failure(self, broken):
        with pytest.raises(UpstreamBroke, match="no JSON object"):
            parts(*call(0, broken))

    def test_citations_are_passed_over(self):
        cited = delta(0, "citations_delta", citation={"type": "char_location"})
        assert parts(block(0, type="text", text=""), text(0, "a"), cited, stop(0)) == (Text("a"),)

    def test_a_block_nobody_knows_goes_home_as_it_is(self):
        plain = {"type": "container_upload", "file_id": "f"}
        running = {"type": "server_tool_use", "id": "s", "name": "web_fetch", "input": {}}
        assert parts(
            block(0, **plain), stop(0), block(1, **running), arguments(1, '{"url":"u"}'), stop(1)
        ) == (
            Verbatim("anthropic", plain),
            Verbatim("anthropic", {**running, "input": {"url": "u"}}),
        )

    def test_records_nobody_knows_are_passed_over(self):
        assert parts({"type": "weather"}, *texts(0, "a"), delta(7, "text_delta", text="x")) == (
            Text("a"),
        )


class TestSearch:
    QUERY = (
        block(0, type="server_tool_use", id="srv", name="web_search", input={}),
        arguments(0, '{"query":'),
        arguments(0, '"cats"}'),
        stop(0),
    )

    def result(self, content: Any) -> list[JsonObject]:
        found = {"type": "web_search_tool_result", "tool_use_id": "srv", "content": content}
        return [block(1, **found), stop(1)]

    def test_query_and_result_are_one_part(self):
        hits = [
            {"type": "web_search_result", "url": "https://a", "title": "A", "page_age": None},
            {"type": "web_search_result", "url": "https://b", "title": None},
        ]
        assert parts(*self.QUERY, *self.result(hits), *texts(2, "so")) == (
            WebSearch(("cats",), (SearchHit("https://a", "A"), SearchHit("https://b")), "srv"),
            Text("so"),
        )

    def test_a_search_that_failed_has_no_hits(self):
        failed = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
        assert parts(*self.QUERY, *self.result(failed)) == (WebSearch(("cats",), (), "srv"),)

    def test_a_search_without_a_result_is_told_at_the_end(self):
        answer = reply(start(), *self.QUERY, *end("pause_turn"))
        assert answer.parts == (WebSearch(("cats",), (), "srv"),)
        assert answer.stop is Stop.END

    def test_how_many_searches_is_counted(self):
        answer = reply(start(), *texts(0, "a"), *end(server_tool_use={"web_search_requests": 3}))
        assert answer.usage.searches == 3


class TestOrder:
    def test_interleaved_blocks_come_one_after_the_other(self):
        one, two = call(0, '{"a":', "1}"), call(1, '{"b":', "2}", call_id="toolu_2")
        mixed = [record for pair in zip(one, two, strict=True) for record in pair]
        assert parts(*mixed) == parts(*one, *two)

    def test_what_comes_later_is_not_held_back_once_it_is_alone(self):
        first, second = texts(0, "a"), texts(1, "b", "c")
        events = read([start(), *first[:-1], *second[:2], first[-1]], close=False)
        assert events[-2:] == [PartOpened(1, PartKind.TEXT), TextDelta(1, "b")]

    def test_blocks_that_never_end_end_with_the_message(self):
        one, two = texts(0, "a"), call(1, '{"b":2}')
        assert parts(*one[:-1], *two[:-1]) == (Text("a"), ToolCall("toolu_1", "f", '{"b":2}'))

    @given(st.lists(st.sampled_from(range(4)), max_size=40), st.lists(st.text(), min_size=4))
    def test_any_interleaving_gives_the_same_parts(self, picks, said):
        queues = [
            texts(0, *said),
            call(1, '{"a":', "1}"),
            [block(2, type="thinking", thinking="t", signature="s"), stop(2)],
            call(3, '{"b":', "[]}", call_id="toolu_2"),
        ]
        straight = [record for queue in queues for record in queue]
        # They begin in order, whatever comes after.
        mixed = [queue[0] for queue in queues]
        rest = [iter(queue[1:]) for queue in queues]
        mixed += [record for pick in picks for record in islice(rest[pick], 1)]
        mixed += [record for queue in rest for record in queue]
        assert parts(*mixed) == parts(*straight)

    def test_many_waiting_blocks_are_no_deep_matter(self):
        first = texts(0, "a")
        waiting = [record for n in range(1, 3000) for record in texts(n, "b")]
        assert len(parts(*first[:-1], *waiting, first[-1])) == 3000


class TestEnd:
    @pytest.mark.parametrize(
        ("reason", "sequence", "stop_", "said"),
        [
            ("end_turn", None, Stop.END, None),
            ("max_tokens", None, Stop.LENGTH, None),
            ("model_context_window_exceeded", None, Stop.LENGTH, None),
            ("stop_sequence", "###", Stop.STOP_SEQUENCE, "###"),
            ("refusal", None, Stop.REFUSAL, None),
            ("pause_turn", None, Stop.END, None),
            ("tool_use", None, Stop.END, None),
            ("something new", None, Stop.END, None),
        ],
    )
    def test_reasons(self, reason, sequence, stop_, said):
        answer = reply(start(), *texts(0, "a"), *end(reason, sequence))
        assert (answer.stop, answer.stop_sequence) == (stop_, said)

    def test_a_call_is_what_decides_on_a_call(self):
        assert reply(start(), *call(0), *end("end_turn")).stop is Stop.TOOL_CALL

    def test_usage_is_cumulative_and_what_is_left_out_stays(self):
        answer = reply(
            start(input_tokens=3, cache_creation_input_tokens=7, cache_read_input_tokens=2),
            *texts(0, "a"),
            *end(
                input_tokens=0,
                cache_read_input_tokens=None,
                output_tokens=9,
                output_tokens_details={"thinking_tokens": 4},
            ),
        )
        assert answer.usage == Usage(3, 9, 4, cache_read=2, cache_write=7)

    @pytest.mark.parametrize("strange", [-1, "many", 2**60, 1.5, True])
    def test_an_answer_is_not_lost_over_a_strange_count(self, strange):
        answer = reply(start(), *texts(0, "a"), *end(output_tokens=strange))
        assert answer.usage.output == 0

    def test_the_reason_is_enough_for_an_end(self):
        records = [start(), *texts(0, "a"), end()[0]]
        assert fold(read(records)).stop is Stop.END

    def test_closing_twice_gives_nothing_more(self):
        parser, out = UPSTREAM.stream_parser(TALK, MODEL), list[Event]()
        for record in [start(), *texts(0, "a"), *end(), *texts(1, "late"), *end()]:
            parser.feed(record, out)
        count = len(out)
        parser.close(out)
        assert len(out) == count
        assert isinstance(out[-1], Finished)

    @pytest.mark.parametrize(
        "records",
        [
            [],
            [start()],
            [start(), *texts(0, "a")],
            [start(), *texts(0, "a"), {"type": "message_stop"}],
        ],
    )
    def test_a_cut_answer_is_a_failure(self, records):
        with pytest.raises(UpstreamBroke, match="before it was complete") as broke:
            read(records)
        assert broke.value.failure.kind is FailureKind.UPSTREAM

    def test_an_answer_without_content_is_empty(self):
        with pytest.raises(UpstreamBroke) as broke:
            read([start(), *texts(0, ""), *end()])
        assert broke.value.failure.kind is FailureKind.EMPTY

    def test_an_empty_answer_that_was_cut_short_is_none_the_less_one(self):
        assert reply(start(), *end("max_tokens")).parts == ()

    def test_an_answer_that_never_says_that_it_starts(self):
        assert read([*texts(0, "a"), *end()])[0] == Started()


class TestNonsense:
    @pytest.mark.parametrize(
        "records",
        [
            [{"type": "content_block_start"}],
            [{"type": "content_block_start", "index": 0, "content_block": None}],
            [{"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}}],
            [block(0, type="text", text=""), delta(0, "text_delta")],
            [
                block(0, type="text", text="a"),
                {"type": "content_block_delta", "index": 0, "delta": None},
            ],
            [{"type": "message_delta"}],
            [{"type": "message_start", "message": []}],
        ],
    )
    def test_a_record_of_another_shape_is_a_failure(self, records):
        with pytest.raises(UpstreamBroke, match="unknown shape"):
            read(records)

    def test_a_failure_in_a_shape_of_its_own_is_for_the_provider_to_read(self):
        record = {"code": 1302, "msg": "slow down", "success": False}
        with pytest.raises(UpstreamSaidError) as said:
            read([record])
        assert said.value.record == {"error": record}
        with pytest.raises(UpstreamSaidError):
            UPSTREAM.stream_parser(TALK, MODEL).feed_whole(record, [])


# One document, and any chunking

BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda said: {"type": "text", "text": said}, st.text(max_size=9)),
        st.builds(
            lambda said, sign: {"type": "thinking", "thinking": said, "signature": sign},
            st.text(max_size=9),
            st.text(max_size=3),
        ),
        st.builds(
            lambda given_: {"type": "tool_use", "id": "1", "name": "f", "input": given_},
            st.dictionaries(st.text(max_size=3), st.integers(-9, 9)),
        ),
        st.just({"type": "redacted_thinking", "data": "d"}),
        st.just({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        st.just({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        st.just({"type": "container_upload", "file_id": "f"}),
    ),
    max_size=6,
)

_PIECES = {
    "text": ("text", "text_delta", "text"),
    "thinking": ("thinking", "thinking_delta", "thinking"),
}


def cut(whole: str, size: int) -> list[str]:
    return [whole[place : place + size] for place in range(0, len(whole), size)]


def streamed(blocks: list[JsonObject], size: int) -> list[JsonObject]:
    """The blocks of a document as the API streams them, in pieces of so many characters."""
    records = [start()]
    for at, each in enumerate(blocks):
        if each["type"] in _PIECES:
            field, kind, name = _PIECES[each["type"]]
            whole = each[field]
            records.append(block(at, **{**each, field: "", "signature": ""}))
            records += [delta(at, kind, **{name: piece}) for piece in cut(whole, size)]
            if "signature" in each:
                records.append(delta(at, "signature_delta", signature=each["signature"]))
        elif each["type"] == "tool_use":
            records.append(block(at, **{**each, "input": {}}))
            written = orjson.dumps(each["input"]).decode()
            records += [arguments(at, piece) for piece in cut(written, size)]
        else:
            records.append(block(at, **each))
        records.append(stop(at))
    return [*records, *end("max_tokens")]


@given(BLOCKS, st.integers(1, 5))
def test_a_document_says_what_its_stream_says(blocks, size):
    document = {
        **start()["message"],
        "content": blocks,
        "stop_reason": "max_tokens",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5},
    }
    out: list[Event] = []
    UPSTREAM.stream_parser(TALK, MODEL).feed_whole(document, out)
    assert fold(out) == fold(read(streamed(blocks, size)))


@given(BLOCKS, st.integers(1, 4096))
def test_chunks_of_any_size_give_the_same_events(blocks, size):
    records = streamed(blocks, 3)
    wire = b"".join(sse_record(orjson.dumps(record), record["type"]) for record in records)
    reader, parser, out = SseReader(), UPSTREAM.stream_parser(TALK, MODEL), list[Event]()
    for at in range(0, len(wire), size):
        for data in reader.feed(wire[at : at + size]):
            parser.feed(orjson.loads(data), out)
    assert out == read(records)


@given(BLOCKS)
def test_parts_are_numbered_and_only_one_is_open(blocks):
    opened, at = False, -1
    for event in read(streamed(blocks, 2)):
        match event:
            case PartOpened(number):
                assert not opened
                assert number == at + 1
                opened, at = True, number
            case PartClosed(number):
                assert opened
                assert number == at
                opened = False
            case TextDelta(number) | ThinkingDelta(number) | ArgumentsDelta(number):
                assert opened
                assert number == at
    assert not opened
