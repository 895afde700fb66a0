"""Responses records -> events: order, items told late or not at all, the ends of an answer."""

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
    Conversation,
    Media,
    Sampling,
    Seal,
    SearchHit,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.dialects import StreamParser
from mcp_proxy.dialects.openai_responses import UPSTREAM
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
    ThinkingDelta,
    UpstreamBroke,
    UpstreamSaidError,
    Usage,
    fold,
)
from mcp_proxy.policy.models import info
from mcp_proxy.sse import SseReader, sse_record

TOOLS = (
    Tool("f", "", {}),
    Tool("a name/that is not legal", "", {}),
    Tool("patch", "", FREEFORM_SCHEMA, freeform={"type": "text"}),
)
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
Record = dict[str, Any]


def parser(model: str = "gpt-5.5", provider: str = "codex", **fields: Any) -> StreamParser:
    fields.setdefault("tools", TOOLS)
    return UPSTREAM.stream_parser(
        Conversation("anthropic", "m", (), **fields), info(model, provider)
    )


def read(records: Iterable[Record], **fields: Any) -> list[Event]:
    work, out = parser(**fields), []
    for record in records:
        work.feed(record, out)
    work.close(out)
    return out


def reply(*records: Record, **fields: Any) -> Reply:
    return fold(read((created(), *records), **fields))


def created() -> Record:
    response = {"id": "resp_1", "model": "gpt-5.5-2026", "status": "in_progress", "output": []}
    return {"type": "response.created", "response": response}


def added(at: int, kind: str, **fields: Any) -> Record:
    return {"type": "response.output_item.added", "output_index": at, "item": item(kind, **fields)}


def done(at: int, kind: str, **fields: Any) -> Record:
    return {"type": "response.output_item.done", "output_index": at, "item": item(kind, **fields)}


def item(kind: str, **fields: Any) -> Record:
    return {"type": kind, "id": f"id_{random.randrange(10**9)}", **fields}


def delta(at: int, name: str, piece: str, **fields: Any) -> Record:
    return {"type": f"response.{name}.delta", "output_index": at, "delta": piece, **fields}


def text(at: int, piece: str) -> Record:
    return delta(at, "output_text", piece, content_index=0)


def arguments(at: int, piece: str) -> Record:
    return delta(at, "function_call_arguments", piece)


def message(*texts: str) -> list[Record]:
    return [{"type": "output_text", "text": text, "annotations": []} for text in texts]


def completed(output: list[Record] | None = None, **fields: Any) -> Record:
    response = {"id": "resp_1", "status": "completed", "output": output or [], "usage": USAGE}
    return {"type": "response.completed", "response": {**response, **fields}}


def incomplete(reason: str | None, output: list[Record] | None = None) -> Record:
    response = {
        "status": "incomplete",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output or [],
        "usage": USAGE,
    }
    return {"type": "response.incomplete", "response": response}


WHOLE_ANSWER: list[Record] = [
    created(),
    {"type": "response.in_progress", "response": {}},
    added(0, "reasoning", summary=[]),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    delta(0, "reasoning_summary_text", "**One**", summary_index=0),
    delta(0, "reasoning_summary_text", " first", summary_index=0),
    {"type": "response.reasoning_summary_text.done", "output_index": 0, "text": "**One** first"},
    delta(0, "reasoning_summary_text", "**Two**", summary_index=1),
    done(0, "reasoning", summary=[], encrypted_content="gAAA"),
    added(1, "message", role="assistant", content=[], status="in_progress"),
    text(1, "Hél"),
    text(1, "lo 🌍"),
    {"type": "response.output_text.done", "output_index": 1, "text": "Héllo 🌍"},
    done(1, "message", content=message("Héllo 🌍"), status="completed"),
    added(2, "function_call", call_id="call_1", name="f", arguments=""),
    arguments(2, '{"a"'),
    arguments(2, ":1}"),
    done(2, "function_call", call_id="call_1", name="f", arguments='{"a":1}'),
    completed(),
]

PARTS = (
    Thinking("**One** first\n\n**Two**", Seal("gpt", "gAAA")),
    Text("Héllo 🌍"),
    ToolCall("call_1", "f", '{"a":1}'),
)


def test_whole_answer_as_codex_sends_it_with_nothing_in_the_finished_response():
    found = fold(read(WHOLE_ANSWER))
    assert found.parts == PARTS
    assert found.stop is Stop.TOOL_CALL
    assert found.usage == Usage(input=30, output=20, thinking=5, cache_read=60, cache_write=10)
    assert (found.id, found.model) == ("resp_1", "gpt-5.5-2026")


def test_pieces_go_out_as_they_come():
    out: list[Event] = []
    work = parser()
    shown = []
    for record in WHOLE_ANSWER:
        work.feed(record, out)
        shown.append(len(out))
    assert out[:4] == [
        Started("resp_1", "gpt-5.5-2026"),
        PartOpened(0, PartKind.THINKING),
        ThinkingDelta(0, "**One**"),
        ThinkingDelta(0, " first"),
    ]
    assert out[-1] == Finished(Stop.TOOL_CALL)
    # Nothing waits: each delta and each end gives its events with its own record.
    assert [now - before for before, now in pairwise(shown)] == [
        *[0, 0, 0, 2, 1, 0, 1, 1],
        *[0, 2, 1, 0, 1],
        *[1, 1, 1, 1],
        2,
    ]


@given(st.lists(st.integers(1, 90), max_size=60))
def test_events_do_not_depend_on_how_the_bytes_are_cut(sizes):
    wire = b"".join(
        sse_record(orjson.dumps(record), event=record["type"]) for record in WHOLE_ANSWER
    )
    reader, out, work = SseReader(), [], parser()
    for size in (*sizes, len(wire)):
        for data in reader.feed(wire[:size]):
            work.feed(orjson.loads(data), out)
        wire = wire[size:]
    assert out == read(WHOLE_ANSWER)


def whole_response(**fields: Any) -> Record:
    output = [
        item(
            "reasoning",
            summary=[{"type": "summary_text", "text": t} for t in ("**One** first", "**Two**")],
            encrypted_content="gAAA",
        ),
        item("message", content=message("Héllo 🌍"), role="assistant"),
        item("function_call", call_id="call_1", name="f", arguments='{"a":1}'),
    ]
    return {"id": "resp_1", "model": "m", "status": "completed", "output": output, **fields}


def test_one_document_gives_the_same_answer_as_the_stream():
    out: list[Event] = []
    parser().feed_whole(whole_response(usage=USAGE, model="gpt-5.5-2026"), out)
    assert fold(out) == fold(read(WHOLE_ANSWER))


def test_items_without_any_events_are_taken_from_the_finished_response():
    found = reply(completed(whole_response()["output"]))
    assert found.parts == PARTS


def test_only_what_is_missing_is_taken_from_the_finished_response():
    head = WHOLE_ANSWER[1:14]
    assert reply(*head, completed(whole_response()["output"])).parts == PARTS


def test_item_that_never_ended_is_completed_by_the_finished_response():
    head = [added(0, "reasoning", summary=[])]
    found = reply(*head, completed(whole_response()["output"]))
    assert found.parts == PARTS


def test_nothing_is_shown_twice_where_the_upstream_counts_otherwise():
    head = [
        added(0, "reasoning", summary=[]),
        done(0, "reasoning", summary=[{"text": "t"}]),
        added(5, "message", content=[]),
        text(5, "hi"),
        done(5, "message", content=message("hi")),
    ]
    output = [head[1]["item"], head[4]["item"]]
    assert reply(*head, completed(output)).parts == (Thinking("t"), Text("hi"))


def test_rotating_ids_do_not_matter():
    records = orjson.loads(orjson.dumps(WHOLE_ANSWER))
    for number, record in enumerate(records):
        record["item_id"] = f"blob{number}"
        if "item" in record:
            record["item"]["id"] = f"other{number}"
    assert fold(read(records)).parts == PARTS


class TestInterleaving:
    def test_second_call_waits_for_the_first(self):
        out = read(
            [
                added(0, "function_call", call_id="a", name="f", arguments=""),
                arguments(0, "{"),
                added(1, "function_call", call_id="b", name="f", arguments=""),
                arguments(1, '{"x":'),
                arguments(0, "}"),
                arguments(1, "2}"),
                done(1, "function_call", call_id="b", name="f", arguments='{"x":2}'),
                done(0, "function_call", call_id="a", name="f", arguments="{}"),
                completed(),
            ]
        )
        assert [type(event) for event in out[1:-2]] == [
            *[PartOpened, ArgumentsDelta, ArgumentsDelta, PartClosed],
            *[PartOpened, ArgumentsDelta, ArgumentsDelta, PartClosed],
        ]
        assert fold(out).parts == (ToolCall("a", "f", "{}"), ToolCall("b", "f", '{"x":2}'))

    def test_item_announced_late_still_goes_before_one_of_which_nothing_came(self):
        found = reply(
            added(1, "message", content=[]),
            added(0, "reasoning", summary=[]),
            text(1, "answer"),
            delta(0, "reasoning_summary_text", "thought", summary_index=0),
            done(1, "message", content=message("answer")),
            done(0, "reasoning", summary=[]),
            completed(),
        )
        assert found.parts == (Thinking("thought"), Text("answer"))

    @given(st.permutations(range(9)))
    def test_any_order_of_two_items_events_gives_both_whole(self, order):
        first = [
            added(0, "message", content=[]),
            *(text(0, piece) for piece in "abc"),
            done(0, "message", content=message("abc")),
        ]
        second = [
            added(1, "function_call", call_id="c", name="f", arguments=""),
            arguments(1, '{"x"'),
            arguments(1, ":1}"),
            done(1, "function_call", call_id="c", name="f", arguments='{"x":1}'),
        ]
        mixed, left = [], [first, second]
        for place in order:
            queue = left[place % 2] or left[1 - place % 2]
            mixed.append(queue.pop(0))
        out = read([*mixed, completed()])
        parts = fold(out).parts
        assert set(parts) == {Text("abc"), ToolCall("c", "f", '{"x":1}')}
        opened = [event.at for event in out if isinstance(event, PartOpened | PartClosed)]
        assert opened == [0, 0, 1, 1]


class TestReasoning:
    def test_raw_thoughts_of_open_models(self):
        found = reply(
            added(0, "reasoning"),
            delta(0, "reasoning_text", "hm", content_index=0),
            delta(0, "reasoning_text", "m", content_index=0),
            done(0, "reasoning", summary=[]),
            completed(),
        )
        assert found.parts == (Thinking("hmm"),)

    def test_thoughts_and_their_summary_are_not_both_shown(self):
        found = reply(
            added(0, "reasoning"),
            delta(0, "reasoning_text", "raw", content_index=0),
            delta(0, "reasoning_summary_text", "sum", summary_index=0),
            delta(0, "reasoning_text", "er", content_index=0),
            done(0, "reasoning", summary=[{"text": "sum"}]),
            completed(),
        )
        assert found.parts == (Thinking("rawer"),)

    def test_encrypted_reasoning_without_text_keeps_its_seal(self):
        found = reply(
            added(0, "reasoning", summary=[], encrypted_content="early"),
            done(0, "reasoning", summary=[], encrypted_content="late"),
            text(1, "x"),
            completed(),
        )
        assert found.parts == (Thinking("", Seal("gpt", "late")), Text("x"))

    def test_seal_is_of_the_place_where_it_is_good(self):
        records = [done(0, "reasoning", summary=[], encrypted_content="e"), completed()]
        found = fold(read(records, model="gpt-5.4", provider="copilot"))
        assert found.parts == (Thinking("", Seal("copilot", "e")),)

    def test_reasoning_of_which_nothing_is_shown_is_no_part(self):
        found = reply(
            added(0, "reasoning", summary=[]), done(0, "reasoning"), text(1, "x"), completed()
        )
        assert found.parts == (Text("x"),)


class TestCalls:
    def test_arguments_only_in_the_finished_item(self):
        found = reply(
            added(0, "function_call", call_id="c", name="f", arguments=""),
            done(0, "function_call", call_id="c", name="f", arguments='{"a":[1]}'),
            completed(),
        )
        assert found.parts == (ToolCall("c", "f", '{"a":[1]}'),)

    def test_name_only_in_the_finished_item(self):
        found = reply(
            arguments(0, '{"a"'),
            arguments(0, ":1}"),
            done(0, "function_call", call_id="c", name="f", arguments='{"a":1}'),
            completed(),
        )
        assert found.parts == (ToolCall("c", "f", '{"a":1}'),)

    @pytest.mark.parametrize("told", ["", "{}"])
    def test_no_arguments_are_an_empty_object(self, told):
        call = {"call_id": "c", "name": "f", "arguments": told}
        found = reply(
            added(0, "function_call", **call), done(0, "function_call", **call), completed()
        )
        assert found.parts == (ToolCall("c", "f", "{}"),)

    def test_names_come_back_as_the_client_knows_them(self):
        sent = UPSTREAM.render_request(
            Conversation("anthropic", "m", (), tools=TOOLS), info("gpt-5.5", "codex")
        )["tools"][1]["name"]
        assert sent == "a_name_that_is_not_legal"
        found = reply(done(0, "function_call", call_id="c", name=sent, arguments="{}"), completed())
        assert found.parts == (ToolCall("c", "a name/that is not legal", "{}"),)

    def test_missing_and_repeated_call_ids_are_replaced(self):
        found = reply(
            *[done(at, "function_call", call_id="c", name="f", arguments="{}") for at in (0, 1)],
            {
                "type": "response.output_item.done",
                "output_index": 2,
                "item": {"type": "function_call", "name": "f", "arguments": "{}"},
            },
            completed(),
        )
        ids = [part.id for part in found.parts if isinstance(part, ToolCall)]
        assert ids[0] == "c"
        assert len(set(ids)) == 3
        assert all(ids)

    @given(st.lists(st.text(), max_size=6))
    def test_free_text_of_a_custom_call_is_an_object_however_it_comes(self, pieces):
        found = reply(
            added(0, "custom_tool_call", call_id="c", name="patch", input=""),
            *(delta(0, "custom_tool_call_input", piece) for piece in pieces),
            done(0, "custom_tool_call", call_id="c", name="patch", input="".join(pieces)),
            completed(),
        )
        (call,) = found.parts
        assert isinstance(call, ToolCall)
        assert orjson.loads(call.arguments) == {"input": "".join(pieces)}

    def test_free_text_only_in_the_finished_item(self):
        custom = {"call_id": "c", "name": "patch", "input": 'a "b"\n'}
        found = reply(done(0, "custom_tool_call", **custom), completed())
        (call,) = found.parts
        assert isinstance(call, ToolCall)
        assert orjson.loads(call.arguments) == {"input": 'a "b"\n'}

    @pytest.mark.parametrize("told", ['{"a":', "[1]", "no json"])
    def test_arguments_that_are_no_object_break_the_answer(self, told):
        with pytest.raises(UpstreamBroke) as broke:
            reply(done(0, "function_call", call_id="c", name="f", arguments=told), completed())
        assert broke.value.failure.kind is FailureKind.EMPTY

    def test_call_without_a_name_breaks_the_answer(self):
        with pytest.raises(UpstreamBroke, match="no name"):
            reply(arguments(0, "{}"), completed())

    def test_arguments_cut_by_the_limit_are_completed_to_an_object(self):
        found = reply(
            added(0, "function_call", call_id="c", name="f", arguments=""),
            arguments(0, '{"path":"/tmp", "text":"half a sen'),
            incomplete("max_output_tokens"),
        )
        assert found.stop is Stop.LENGTH
        assert found.parts == (ToolCall("c", "f", '{"path":"/tmp", "text":"half a sen"}'),)


class TestFindings:
    def test_searches_and_citations_come_together_at_the_end(self):
        source = {"type": "url", "url": "https://a.example/"}
        citation = {"type": "url_citation", "url": "https://a.example/", "title": "A"}
        other = {"type": "url_citation", "url": "https://b.example/", "title": "B"}
        action = {"type": "search", "query": "q", "sources": [source, source]}
        found = reply(
            added(0, "web_search_call", status="in_progress"),
            {"type": "response.web_search_call.searching", "output_index": 0},
            done(0, "web_search_call", status="completed", action=action),
            text(1, "See A."),
            {"type": "response.output_text.annotation.added", "annotation": citation},
            done(1, "message", content=[{"text": "See A.", "annotations": [citation, other]}]),
            completed(),
        )
        said, search = found.parts
        assert said == Text("See A.")
        assert isinstance(search, WebSearch)
        assert search.queries == ("q",)
        assert search.hits == (
            SearchHit("https://a.example/", "A"),
            SearchHit("https://b.example/", "B"),
        )
        assert found.usage.searches == 1

    def test_every_search_is_counted(self):
        calls = [
            done(at, "web_search_call", action={"queries": [str(at), "again"]}) for at in (0, 1)
        ]
        found = reply(*calls, text(2, "x"), completed())
        searches = [part for part in found.parts if isinstance(part, WebSearch)]
        assert [search.queries for search in searches] == [("0", "again"), ("1", "again")]
        assert found.usage.searches == 2

    def test_other_annotations_are_no_search(self):
        annotated = [{"text": "x", "annotations": [{"type": "file_citation", "file_id": "f"}]}]
        assert reply(done(0, "message", content=annotated), completed()).parts == (Text("x"),)

    def test_picture(self):
        found = reply(
            added(0, "image_generation_call", status="in_progress"),
            {"type": "response.image_generation_call.partial_image", "output_index": 0},
            done(0, "image_generation_call", result="aGk=", output_format="webp"),
            completed(),
        )
        assert found.parts == (Media("image/webp", "aGk="),)

    def test_unknown_item_is_kept_for_clients_of_the_same_dialect(self):
        record = done(0, "tool_search_call", call_id="t")
        found = reply(record, completed())
        assert found.parts == (Verbatim("openai_responses", record["item"]),)


class TestEnds:
    @pytest.mark.parametrize(
        ("reason", "stop"),
        [
            ("max_output_tokens", Stop.LENGTH),
            ("content_filter", Stop.REFUSAL),
            ("something new", Stop.LENGTH),
            (None, Stop.LENGTH),
        ],
    )
    def test_incomplete(self, reason, stop):
        found = reply(added(0, "message", content=[]), text(0, "par"), incomplete(reason))
        assert (found.parts, found.stop) == ((Text("par"),), stop)
        assert found.usage.output == 20

    def test_limit_reached_before_any_text_is_an_answer_all_the_same(self):
        found = reply(incomplete("max_output_tokens"))
        assert (found.parts, found.stop) == ((), Stop.LENGTH)

    def test_refusal(self):
        found = reply(
            added(0, "message", content=[]),
            delta(0, "refusal", "I can", content_index=0),
            delta(0, "refusal", "not.", content_index=0),
            done(0, "message", content=[{"type": "refusal", "refusal": "I cannot."}]),
            completed(),
        )
        assert (found.parts, found.stop) == ((Text("I cannot."),), Stop.REFUSAL)

    def test_plain_end(self):
        assert reply(text(0, "x"), completed()).stop is Stop.END

    def test_no_content_at_all_is_an_empty_answer(self):
        with pytest.raises(UpstreamBroke) as broke:
            reply(added(0, "message", content=[]), done(0, "message", content=[]), completed())
        assert broke.value.failure.kind is FailureKind.EMPTY

    @pytest.mark.parametrize("length", range(len(WHOLE_ANSWER)))
    def test_end_of_the_stream_before_the_terminal_event_is_a_failure(self, length):
        with pytest.raises(UpstreamBroke) as broke:
            read(WHOLE_ANSWER[:length])
        assert broke.value.failure.kind is FailureKind.UPSTREAM

    def test_nothing_follows_the_end(self):
        whole = read(WHOLE_ANSWER)
        assert read([*WHOLE_ANSWER, text(9, "more"), *WHOLE_ANSWER]) == whole

    def test_failed_response_is_handed_on_as_an_error(self):
        error = {"code": "rate_limit_exceeded", "message": "Please try again in 3s."}
        with pytest.raises(UpstreamSaidError) as said:
            reply({"type": "response.failed", "response": {"status": "failed", "error": error}})
        assert said.value.record == {"error": error}

    def test_error_event_is_handed_on_as_an_error(self):
        record = {"type": "error", "code": "server_error", "message": "m", "sequence_number": 3}
        with pytest.raises(UpstreamSaidError) as said:
            reply(record)
        assert said.value.record == {"error": {"code": "server_error", "message": "m"}}

    @pytest.mark.parametrize(
        "record", [{"type": "error"}, {"type": "response.failed", "response": {"error": None}}]
    )
    def test_error_without_words_is_still_one(self, record):
        with pytest.raises(UpstreamSaidError) as said:
            reply(record)
        assert said.value.record["error"]["message"]

    @pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", 7])
    def test_document_that_is_not_finished_is_a_failure(self, status):
        with pytest.raises(UpstreamBroke):
            parser().feed_whole(whole_response(status=status), [])

    def test_document_that_failed_is_handed_on_as_an_error(self):
        with pytest.raises(UpstreamSaidError):
            parser().feed_whole(whole_response(status="failed", error={"code": "x"}), [])


class TestTolerance:
    @pytest.mark.parametrize(
        "record",
        [
            {"type": "codex.rate_limits", "rate_limits": {}},
            {"type": "codex.response.metadata"},
            {"type": "response.queued", "response": {}},
            {"no": "type"},
        ],
    )
    def test_what_is_not_known_is_passed_over(self, record):
        assert read([record, *WHOLE_ANSWER]) == read(WHOLE_ANSWER)

    @pytest.mark.parametrize(
        "record",
        [
            {"type": ["odd"]},
            {"type": "response.output_item.added", "output_index": 0},
            {"type": "response.output_text.delta", "output_index": 0},
            {"type": "response.output_item.done", "output_index": 0, "item": "text"},
            {"type": "response.completed", "response": None},
            {"type": "response.completed", "response": {"output": [3]}},
        ],
    )
    def test_nonsense_is_a_failure_never_a_crash(self, record):
        with pytest.raises(UpstreamBroke) as broke:
            read([record])
        assert broke.value.failure.kind is FailureKind.UPSTREAM

    def test_deltas_without_an_index_belong_to_the_last_item(self):
        records = [added(0, "message", content=[]), text(0, "a"), text(0, "b"), completed()]
        for record in records[1:3]:
            del record["output_index"]
        assert reply(*records).parts == (Text("ab"),)

    @pytest.mark.parametrize("usage", [None, {}, {"input_tokens": "9", "output_tokens": -1}])
    def test_strange_usage_is_no_reason_to_lose_an_answer(self, usage):
        assert reply(text(0, "x"), completed(usage=usage)).usage == Usage()


class TestStopSequences:
    def stopped(self, *pieces: str, stops: tuple[str, ...]) -> Reply:
        return reply(
            added(0, "message", content=[]),
            *(text(0, piece) for piece in pieces),
            done(0, "message", content=message("".join(pieces))),
            done(1, "function_call", call_id="c", name="f", arguments="{}"),
            completed(),
            sampling=Sampling(stop=stops),
        )

    def test_answer_ends_where_the_sequence_begins_and_has_nothing_after_it(self):
        found = self.stopped("one ST", "OP two", stops=("STOP",))
        assert found.parts == (Text("one "),)
        assert (found.stop, found.stop_sequence) == (Stop.STOP_SEQUENCE, "STOP")
        assert found.usage.output == 20

    def test_sequence_that_does_not_come_changes_nothing(self):
        found = self.stopped("one ST", "O", stops=("STOP",))
        assert found.parts == (Text("one STO"), ToolCall("c", "f", "{}"))
        assert found.stop is Stop.TOOL_CALL

    def test_what_comes_before_it_in_the_first_piece_is_shown(self):
        found = self.stopped("one STOP two", "", stops=("STOP",))
        assert (found.parts, found.stop) == ((Text("one "),), Stop.STOP_SEQUENCE)

    def test_answer_of_nothing_but_the_sequence_is_empty_but_whole(self):
        found = self.stopped("STOP", "", stops=("STOP",))
        assert (found.parts, found.stop) == ((), Stop.STOP_SEQUENCE)
