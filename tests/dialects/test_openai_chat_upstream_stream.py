"""Chat Completions answers -> events: one case for each kind of server, ends, faults, names."""

from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Part,
    Sampling,
    Seal,
    SearchHit,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    WebSearch,
)
from mcp_proxy.dialects.openai_chat import UPSTREAM
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
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
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.sse import SseReader

LOCAL = info("qwen3", "openai-compatible")
HOSTED = info("gpt-4o", "openai")
JsonObject = dict[str, Any]


def chunk(delta: JsonObject | None = None, finish: str | None = None, **top: Any) -> JsonObject:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **top}


def call(
    arguments: Any = None, *, index: int | None = 0, call_id: str | None = None, name: str = ""
) -> JsonObject:
    entry: JsonObject = {"function": {}}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry |= {"id": call_id, "type": "function"}
    if name:
        entry["function"]["name"] = name
    if arguments is not None:
        entry["function"]["arguments"] = arguments
    return entry


def calls(*entries: JsonObject, **more: Any) -> JsonObject:
    return chunk({"tool_calls": list(entries)}, **more)


def events(
    *records: JsonObject, model: ModelInfo = LOCAL, closes: bool = True, **fields: Any
) -> list[Event]:
    parser = UPSTREAM.stream_parser(Conversation("anthropic", "m", (), **fields), model)
    out: list[Event] = []
    for record in records:
        parser.feed(record, out)
    if closes:
        parser.close(out)
        parser.close(out)  # [DONE], and then the end of the connection
    return out


def reply(*records: JsonObject, **fields: Any) -> Reply:
    return fold(events(*records, **fields))


def parts(*records: JsonObject, **fields: Any) -> tuple[Part, ...]:
    return reply(*records, **fields).parts


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
COUNTED = Usage(input=10, output=5)
STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")


class Case(NamedTuple):
    """What a server of some kind sends, and what it amounts to."""

    records: list[JsonObject]
    parts: tuple[Part, ...]
    usage: Usage = Usage()
    stop: Stop = Stop.END
    model: ModelInfo = LOCAL


ISSUED = "openai-compatible"
DETAIL = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
CASES = {
    "openai: usage after the end, in a record of its own": Case(
        [
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
            chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
            chunk({"content": "Hi"}, usage=None),
            chunk({"content": " there"}, usage=None),
            chunk(finish="stop", usage=None),
            {
                "choices": [],
                "usage": {
                    **USAGE,
                    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                },
            },
        ],
        (Text("Hi there"),),
        Usage(input=5, output=5, thinking=2, cache_read=4, cache_write=1),
        model=HOSTED,
    ),
    "openai: parallel calls": Case(
        [
            chunk({"role": "assistant", "content": None}),
            calls(call("", call_id="call_a", name="f")),
            calls(call('{"x"')),
            calls(call(":1}")),
            calls(call("", index=1, call_id="call_b", name="g")),
            calls(call("{}", index=1)),
            CALLED,
            {"choices": [], "usage": USAGE},
        ],
        (ToolCall("call_a", "f", '{"x":1}'), ToolCall("call_b", "g", "{}")),
        COUNTED,
        Stop.TOOL_CALL,
        HOSTED,
    ),
    "deepseek: reasoning_content, cache fields, usage with the end": Case(
        [
            chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
            chunk({"content": None, "reasoning_content": "Let me"}),
            chunk({"content": None, "reasoning_content": " see"}),
            chunk({"content": "42", "reasoning_content": None}),
            chunk(
                {"content": "", "reasoning_content": None},
                "stop",
                usage={**USAGE, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2},
            ),
        ],
        (Thinking("Let me see"), Text("42")),
        Usage(input=2, output=5, cache_read=8),
    ),
    "ollama: reasoning, whole calls, stop beside them": Case(
        [
            chunk({"role": "assistant", "content": "", "reasoning": "Look"}),
            chunk(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [call('{"x":1}', call_id="call_1", name="f")],
                }
            ),
            chunk({"role": "assistant", "content": ""}, "stop"),
            {"choices": [], "usage": USAGE},
        ],
        (Thinking("Look"), ToolCall("call_1", "f", '{"x":1}')),
        COUNTED,
        Stop.TOOL_CALL,
    ),
    "vllm: usage on every chunk, thoughts inline, role repeated": Case(
        [
            chunk({"role": "assistant", "content": ""}, usage={**USAGE, "completion_tokens": 0}),
            chunk({"role": "assistant", "content": "<th"}, usage={**USAGE, "completion_tokens": 1}),
            chunk({"content": "ink>\nhm</thi"}, usage={**USAGE, "completion_tokens": 2}),
            chunk({"content": "nk>\n"}, usage={**USAGE, "completion_tokens": 3}),
            chunk({"content": "\nYes"}, usage={**USAGE, "completion_tokens": 4}),
            chunk({"content": ""}, "stop", usage=USAGE),
            {"choices": [], "usage": USAGE},
        ],
        (Thinking("hm"), Text("Yes")),
        COUNTED,
    ),
    "groq: usage under x_groq": Case(
        [
            chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
            chunk({"content": "Hi"}),
            chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}),
        ],
        (Text("Hi"),),
        COUNTED,
    ),
    "kimi: usage in the choice, ids with dots and colons": Case(
        [
            calls(call("{}", call_id="functions.f:0", name="f")),
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls", "usage": USAGE}]},
        ],
        (ToolCall("functions_f_0", "f", "{}"),),
        COUNTED,
        Stop.TOOL_CALL,
    ),
    "xai: completion without the reasoning": Case(
        [
            chunk({"content": "Hi"}),
            STOP,
            {
                "choices": [],
                "usage": {
                    **USAGE,
                    "total_tokens": 22,
                    "completion_tokens_details": {"reasoning_tokens": 7},
                },
            },
        ],
        (Text("Hi"),),
        Usage(input=10, output=12, thinking=7),
    ),
    "mistral: lists of content, arguments as an object, no index": Case(
        [
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]}),
            chunk({"content": [{"type": "text", "text": "Hi"}]}),
            calls(call({"x": 1}, index=None, call_id="a1b2c3d4e", name="f")),
            CALLED,
        ],
        (Thinking("h"), Text("Hi"), ToolCall("a1b2c3d4e", "f", '{"x":1}')),
        stop=Stop.TOOL_CALL,
    ),
    "openrouter: reasoning with details that seal it": Case(
        [
            chunk({"reasoning": "Hm", "reasoning_details": [{**DETAIL, "text": "Hm"}]}),
            chunk({"reasoning": None, "reasoning_details": [{**DETAIL, "signature": "sig"}]}),
            chunk({"content": "Yes", "reasoning": None}),
            STOP,
        ],
        (
            Thinking(
                "Hm",
                Seal(
                    ISSUED,
                    orjson.dumps([{**DETAIL, "text": "Hm", "signature": "sig"}]).decode(),
                ),
            ),
            Text("Yes"),
        ),
    ),
    "openrouter: citations": Case(
        [
            chunk({"content": "Rust is out"}),
            chunk(
                {
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {"url": "https://a.b", "title": "T", "content": "c"},
                        }
                    ]
                }
            ),
            chunk(
                {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.b"}}]}
            ),
            STOP,
        ],
        (Text("Rust is out"), WebSearch((), (SearchHit("https://a.b", "T", "c"),))),
        Usage(searches=1),
    ),
    "openrouter: a picture": Case(
        [
            chunk({"content": "Here"}),
            chunk({"images": [{"image_url": {"url": "data:image/png;base64,aGk="}}]}),
            STOP,
        ],
        (Text("Here"), Media("image/png", "aGk=")),
    ),
    "copilot: text and calls in choices of their own": Case(
        [
            {"choices": [{"index": 0, "delta": {"content": "I look"}}]},
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "stop"},
                    {
                        "index": 1,
                        "delta": {"tool_calls": [call("{}", call_id="a", name="f")]},
                        "finish_reason": "tool_calls",
                    },
                ],
                "usage": USAGE,
            },
        ],
        (Text("I look"), ToolCall("a", "f", "{}")),
        COUNTED,
        Stop.TOOL_CALL,
    ),
    "copilot: opaque reasoning": Case(
        [
            chunk({"reasoning_text": "Hm", "reasoning_opaque": "b64"}),
            chunk({"content": "Yes"}),
            STOP,
        ],
        (Thinking("Hm", Seal("copilot", "b64")), Text("Yes")),
        model=info("gemini-3-flash-preview", "copilot"),
    ),
    "google: all calls at index 0, with signatures": Case(
        [
            calls(
                {
                    **call("{}", call_id="a", name="f"),
                    "extra_content": {"google": {"thought_signature": "s"}},
                }
            ),
            calls(call("{}", call_id="b", name="g")),
            STOP,
        ],
        (ToolCall("a", "f", "{}", Seal(ISSUED, "s")), ToolCall("b", "g", "{}")),
        stop=Stop.TOOL_CALL,
    ),
    "an old form: function_call": Case(
        [
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": '{"x":1}'}}),
            chunk(finish="function_call"),
        ],
        (ToolCall("*", "f", '{"x":1}'),),
        stop=Stop.TOOL_CALL,
    ),
    "id and name repeated with every piece": Case(
        [
            calls(call('{"x"', call_id="a", name="f")),
            calls(call(":1", call_id="a", name="f")),
            calls(call("}", call_id="a", name="f")),
            CALLED,
        ],
        (ToolCall("a", "f", '{"x":1}'),),
        stop=Stop.TOOL_CALL,
    ),
    "whole calls without index and id": Case(
        [
            calls(call('{"x":1}', index=None, name="f")),
            calls(call('{"x":2}', index=None, name="f")),
            STOP,
        ],
        (ToolCall("*", "f", '{"x":1}'), ToolCall("*", "f", '{"x":2}')),
        stop=Stop.TOOL_CALL,
    ),
    "several calls in one delta, without index": Case(
        [
            calls(
                call("{}", index=None, call_id="a", name="f"),
                call("null", index=None, call_id="b", name="g"),
            ),
            STOP,
        ],
        (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")),
        stop=Stop.TOOL_CALL,
    ),
    "calls side by side": Case(
        [
            calls(
                call('{"x":', call_id="a", name="f"), call('{"y":', index=1, call_id="b", name="g")
            ),
            calls(call("2", index=1), call("1", index=0)),
            calls(call("}", index=0), call("}", index=1)),
            CALLED,
        ],
        (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}')),
        stop=Stop.TOOL_CALL,
    ),
    "text beside a call that is not complete": Case(
        [
            calls(call('{"x":', call_id="a", name="f")),
            chunk({"content": "mean"}),
            chunk({"content": "while"}),
            calls(call("1}")),
            CALLED,
        ],
        (ToolCall("a", "f", '{"x":1}'), Text("meanwhile")),
        stop=Stop.TOOL_CALL,
    ),
    "a refusal": Case(
        [chunk({"refusal": "I can"}), chunk({"refusal": "not"}), STOP],
        (Text("I cannot"),),
        stop=Stop.REFUSAL,
        model=HOSTED,
    ),
}
CASE_NAMES = list(CASES)


def unnamed(found: tuple[Part, ...], wanted: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts with "*" for the ids that the parser had to make up."""
    assert len(found) == len(wanted)
    return tuple(
        ToolCall("*", part.name, part.arguments, part.seal)
        if isinstance(part, ToolCall) and isinstance(want, ToolCall) and want.id == "*"
        else part
        for part, want in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("name", CASE_NAMES)
def test_what_a_server_sends_amounts_to_the_same_answer(name: str) -> None:
    case = CASES[name]
    found = reply(*case.records, model=case.model)
    assert unnamed(found.parts, case.parts) == case.parts
    assert (found.usage, found.stop) == (case.usage, case.stop)
    check_grammar(events(*case.records, model=case.model))


def check_grammar(found: list[Event]) -> None:
    """Started (PartOpened delta* PartClosed)* UsageSeen Finished, numbered without gaps."""
    assert isinstance(found[0], Started)
    assert isinstance(found[-2], UsageSeen)
    assert isinstance(found[-1], Finished)
    place, is_open = -1, False
    for event in found[1:-2]:
        if isinstance(event, PartOpened):
            assert not is_open
            assert event.at == place + 1
            place, is_open = event.at, True
        else:
            assert isinstance(event, TextDelta | ThinkingDelta | ArgumentsDelta | PartClosed)
            assert is_open
            assert event.at == place
            is_open = not isinstance(event, PartClosed)
    assert not is_open


@given(st.data())
def test_any_chunking_gives_the_same_events(data: st.DataObject) -> None:
    case = CASES[data.draw(st.sampled_from(CASE_NAMES))]
    keep_alive, space, end = data.draw(
        st.tuples(
            st.sampled_from([b"", b": OPENROUTER PROCESSING\n\n", b": keep-alive\n\n", b"\n"]),
            st.sampled_from([b"", b" "]),
            st.sampled_from([b"\n\n", b"\r\n\r\n"]),
        )
    )
    wire = b"".join(
        keep_alive + b"data:" + space + orjson.dumps(record) + end for record in case.records
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    reader = SseReader()
    read: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        read += reader.feed(wire[start:stop])
    read += reader.close()
    found = reply(*[orjson.loads(record) for record in read], model=case.model)
    assert unnamed(found.parts, case.parts) == case.parts


@given(st.data())
def test_calls_in_any_mixture_come_out_whole_and_in_order(data: st.DataObject) -> None:
    wanted = data.draw(
        st.lists(
            st.dictionaries(st.text(max_size=3), st.text('{}[]\\"ab', max_size=6), max_size=3),
            min_size=1,
            max_size=4,
        )
    )
    texts = [orjson.dumps(arguments).decode() for arguments in wanted]
    order = data.draw(st.permutations(range(len(texts))))
    records = [calls(call("", index=at, call_id=f"id{at}", name=f"f{at}")) for at in order]
    left = dict(enumerate(texts))
    while left:
        at = data.draw(st.sampled_from(sorted(left)))
        size = data.draw(st.integers(1, max(1, len(left[at]))))
        records.append(calls(call(left[at][:size], index=at)))
        left[at] = left[at][size:]
        if not left[at]:
            del left[at]
    found = events(*records, CALLED)
    check_grammar(found)
    assert fold(found).parts == tuple(ToolCall(f"id{at}", f"f{at}", texts[at]) for at in order)


@given(
    st.text("ab<>/think \n", max_size=12),
    st.text("xy<>/think", max_size=12),
    st.lists(st.integers(0, 60), max_size=10),
)
def test_inline_thoughts_are_told_from_text_however_they_are_cut(
    thought: str, answer: str, cuts: list[int]
) -> None:
    thought = thought.replace("</think>", "")
    whole = f"<think>x{thought}</think>\n\n.{answer}"
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    found = parts(*[chunk({"content": piece}) for piece in pieces if piece], STOP)
    inside, _, after = f"x{thought}</think>\n\n.{answer}".partition("</think>")
    assert found == (Thinking(inside), Text(after.lstrip()))


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        (["<thi", "s is text"], (Text("<this is text"),)),
        (["  ", "plain"], (Text("  plain"),)),
        (["a <think>b</think>"], (Text("a <think>b</think>"),)),
        (["<think>never closed"], (Thinking("never closed"),)),
        (["<think></think>", "answer"], (Text("answer"),)),
        (["<"], (Text("<"),)),
    ],
)
def test_only_a_tag_at_the_beginning_begins_thoughts(
    pieces: list[str], wanted: tuple[Part, ...]
) -> None:
    assert parts(*[chunk({"content": piece}) for piece in pieces], STOP) == wanted


def test_a_hosted_model_may_write_of_tags() -> None:
    text = "<think> is a tag"
    assert parts(chunk({"content": text}), STOP, model=HOSTED) == (Text(text),)


def test_a_call_ends_the_thoughts_before_it() -> None:
    found = parts(
        chunk({"content": "<think>a</thi"}), calls(call("{}", call_id="c", name="f")), CALLED
    )
    assert found == (Thinking("a</thi"), ToolCall("c", "f", "{}"))


# Whole documents


def as_document(records: list[JsonObject], found: Reply) -> JsonObject:
    """A `chat.completion` that says the same as an answer that was streamed."""
    texts = [part.text for part in found.parts if isinstance(part, Text)]
    thoughts = [part.text for part in found.parts if isinstance(part, Thinking)]
    made = [part for part in found.parts if isinstance(part, ToolCall)]
    message: JsonObject = {"role": "assistant", "content": "".join(texts) or None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if made:
        message["tool_calls"] = [
            {"id": one.id, "function": {"name": one.name, "arguments": one.arguments}}
            for one in made
        ]
    usage = next((r["usage"] for r in reversed(records) if r.get("usage")), None)
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c1", "model": "m", "choices": [choice], "usage": usage}


WHOLE = [
    "openai: usage after the end, in a record of its own",
    "openai: parallel calls",
    "deepseek: reasoning_content, cache fields, usage with the end",
    "ollama: reasoning, whole calls, stop beside them",
    "xai: completion without the reasoning",
]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_document_says_the_same_as_a_stream(name: str) -> None:
    case = CASES[name]
    streamed = reply(*case.records, model=case.model)
    parser = UPSTREAM.stream_parser(Conversation("anthropic", "m", ()), case.model)
    out: list[Event] = []
    parser.feed_whole(as_document(case.records, streamed), out)
    check_grammar(out)
    found = fold(out)
    assert (found.parts, found.usage, found.stop) == (
        streamed.parts,
        streamed.usage,
        streamed.stop,
    )


def test_a_document_without_a_finish_reason_is_complete() -> None:
    parser = UPSTREAM.stream_parser(Conversation("anthropic", "m", ()), LOCAL)
    out: list[Event] = []
    parser.feed_whole({"choices": [{"message": {"content": "Hi"}}]}, out)
    assert fold(out).parts == (Text("Hi"),)


# The ends of an answer


def test_the_end_does_not_wait_for_the_connection_once_usage_is_known() -> None:
    found = events(chunk({"content": "Hi"}), STOP, {"choices": [], "usage": USAGE}, closes=False)
    assert found[-1] == Finished(Stop.END)


def test_nothing_comes_after_the_end() -> None:
    ended = [chunk({"content": "Hi"}), chunk(finish="stop", usage=USAGE)]
    assert events(*ended) == events(*ended, chunk({"content": "more"}), chunk(finish="length"))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", Stop.END),
        ("eos", Stop.END),
        ("end_turn", Stop.END),
        ("function_call", Stop.END),
        ("tool_calls", Stop.END),
        ("length", Stop.LENGTH),
        ("max_tokens", Stop.LENGTH),
        ("model_length", Stop.LENGTH),
        ("content_filter", Stop.REFUSAL),
        ("something new", Stop.END),
    ],
)
def test_finish_reasons(reason: str, stop: Stop) -> None:
    assert reply(chunk({"content": "Hi"}), chunk(finish=reason)).stop is stop


def test_a_cut_call_is_completed_and_the_length_is_the_reason() -> None:
    found = reply(calls(call('{"path":"/a", "te', call_id="a", name="f")), chunk(finish="length"))
    assert found.stop is Stop.LENGTH
    (cut,) = found.parts
    assert isinstance(cut, ToolCall)
    assert orjson.loads(cut.arguments)["path"] == "/a"


def test_a_stop_string_is_named_where_the_server_names_it() -> None:
    ended = chunk({}, "stop")
    ended["choices"][0]["stop_reason"] = "END"
    found = reply(chunk({"content": "Hi"}), ended, sampling=Sampling(stop=("END",)))
    assert (found.stop, found.stop_sequence) == (Stop.STOP_SEQUENCE, "END")


def test_a_number_that_vllm_stops_at_is_no_stop_string() -> None:
    ended = chunk({}, "stop")
    ended["choices"][0]["stop_reason"] = 151645
    assert reply(chunk({"content": "Hi"}), ended).stop is Stop.END


def test_an_empty_reason_is_an_end_where_it_was_null_before() -> None:
    assert reply(chunk({"content": "Hi"}), chunk(finish="")).stop is Stop.END


@pytest.mark.parametrize(
    "records",
    [
        [],
        [chunk({"content": "Hi"})],
        [chunk({"content": "Hi"}), {"choices": [], "usage": USAGE}],
        [chunk({"content": "Hi"}, ""), chunk({"content": "!"}, "")],
    ],
)
def test_an_end_without_a_reason_is_a_failure(records: list[JsonObject]) -> None:
    with pytest.raises(UpstreamBroke) as broke:
        events(*records)
    assert broke.value.failure.kind is FailureKind.UPSTREAM


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ([chunk({"role": "assistant", "content": ""}), STOP], FailureKind.EMPTY),
        ([chunk({"content": "Hi"}, "insufficient_system_resource")], FailureKind.CAPACITY),
        ([chunk({"content": "Hi"}, "error")], FailureKind.UPSTREAM),
        ([calls(call("{]", call_id="a", name="f")), CALLED], FailureKind.UPSTREAM),
        ([calls(call('"text"', call_id="a", name="f")), CALLED], FailureKind.UPSTREAM),
        ([{"choices": "none"}], FailureKind.UPSTREAM),
        ([chunk({"content": 5})], FailureKind.UPSTREAM),
        ([{"choices": [None]}], FailureKind.UPSTREAM),
        ([calls(call(5, call_id="a", name="f"))], FailureKind.UPSTREAM),
        ([chunk({"images": [{"image_url": {"url": "data:broken"}}]})], FailureKind.UPSTREAM),
    ],
)
def test_what_is_broken_is_a_failure(records: list[JsonObject], kind: FailureKind) -> None:
    with pytest.raises(UpstreamBroke) as broke:
        events(*records)
    assert broke.value.failure.kind is kind


@pytest.mark.parametrize(
    "record",
    [
        {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
        {"detail": "no"},
    ],
)
def test_an_error_of_another_shape_is_the_providers_to_read(record: JsonObject) -> None:
    with pytest.raises(UpstreamSaidError) as said:
        events(record)
    assert said.value.record == {"error": record}


def test_the_error_of_a_choice_is_the_providers_to_read() -> None:
    broken = chunk({"content": ""}, "error")
    broken["choices"][0]["error"] = {"code": 502, "message": "boom"}
    with pytest.raises(UpstreamSaidError) as said:
        events(chunk({"content": "Hi"}), broken)
    assert said.value.record == {"error": {"code": 502, "message": "boom"}}


@pytest.mark.parametrize("strange", [-1, "5", None, 1e300, True, 2**60])
def test_a_strange_count_costs_no_answer(strange: Any) -> None:
    usage = {"prompt_tokens": strange, "completion_tokens": 5}
    assert reply(chunk({"content": "Hi"}), STOP, {"choices": [], "usage": usage}).usage == Usage(
        output=5
    )


# Names, ids, and one call at most


def test_names_come_back_as_the_client_has_them() -> None:
    tools = (Tool("mcp.files/read", "", {}), Tool("plain", "", {}))
    made = UPSTREAM.render_request(Conversation("anthropic", "m", (), tools=tools), LOCAL)["tools"]
    sent = [tool["function"]["name"] for tool in made]
    found = parts(
        *[calls(call("{}", index=at, call_id=f"c{at}", name=name)) for at, name in enumerate(sent)],
        CALLED,
        tools=tools,
    )
    assert [part.name for part in found if isinstance(part, ToolCall)] == [
        "mcp.files/read",
        "plain",
    ]


def test_an_id_that_is_given_twice_is_made_unique() -> None:
    first, second = parts(
        calls(call("{}", call_id="call_0", name="f")),
        calls(call("{}", index=1, call_id="call_0", name="g")),
        CALLED,
    )
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id == "call_0"
    assert second.id not in ("", "call_0")


def test_only_the_first_call_counts_where_one_was_asked_for() -> None:
    found = parts(
        calls(call("{}", call_id="a", name="f"), call("{}", index=1, call_id="b", name="g")),
        CALLED,
        tool_choice=ToolChoice(parallel=False),
    )
    assert found == (ToolCall("a", "f", "{}"),)


def test_the_first_of_parallel_calls_streams_and_the_next_follows_when_it_is_complete() -> None:
    found = events(
        calls(call('{"x":1', call_id="a", name="f")),
        calls(call("", index=1, call_id="b", name="g")),
        calls(call("}")),
        calls(call('{"y":', index=1)),
        closes=False,
    )
    assert found[-1] == ArgumentsDelta(1, '{"y":')


def test_seals_are_kept_only_where_they_have_one_place_to_return_to() -> None:
    sealed = {"reasoning": "Hm", "reasoning_details": [{**DETAIL, "signature": "s"}]}
    assert parts(chunk(sealed), STOP, model=HOSTED) == (Thinking("Hm"),)


def test_sealed_thoughts_without_text_are_thoughts() -> None:
    detail = {"type": "reasoning.encrypted", "data": "blob", "index": 0}
    found = parts(
        chunk({"reasoning_details": [detail]}), calls(call("{}", call_id="a", name="f")), CALLED
    )
    assert found == (
        Thinking("", Seal(ISSUED, orjson.dumps([detail]).decode())),
        ToolCall("a", "f", "{}"),
    )
