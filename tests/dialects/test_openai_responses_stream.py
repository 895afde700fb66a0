"""Events -> the event sequence: its form and order, and that it adds up to the whole answer."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told import (
    PIECES,
    TEXT,
    answer_of,
    call,
    cut_up,
    text,
    thinking,
    usages,
    whole_part,
)

from mcp_proxy.conversation import Media, Seal, SearchHit, Thinking, Verbatim, WebSearch
from mcp_proxy.dialects import ReplyFrame, client_dialect
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import (
    Event,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    Usage,
    fold,
)

CLIENT = client_dialect("openai_responses")
ID = "0f" * 12
SHOWN = {"reasoning": {"summary": "auto"}}
PATCH = {"type": "custom", "name": "patch"}
AGENTS = {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "wait"}]}


def frame(**fields: Any) -> ReplyFrame:
    body = {"model": "m", "input": "?", "stream": True, **fields}
    return ReplyFrame(ID, "gpt-5", 1760000000, lambda: 9, CLIENT.parse_request(body, {}))


def stream(events: Sequence[Event], **fields: Any) -> bytes:
    return CLIENT.stream_renderer(frame(**fields)).render(events)


def records_of(wire: bytes) -> list[Any]:
    """The data of each record; that names agree and numbers count is true of every stream."""
    *records, nothing = wire.split(b"\n\n")
    assert nothing == b""
    found = []
    for at, record in enumerate(records):
        event, data = record.decode().split("\n")
        parsed = json.loads(data.removeprefix("data: "))
        assert event == f"event: {parsed['type']}"
        assert parsed.pop("sequence_number") == at
        found.append(parsed)
    return found


def types_of(wire: bytes) -> list[str]:
    return [record["type"].removeprefix("response.") for record in records_of(wire)]


def items_of(wire: bytes) -> list[Any]:
    return [
        record["item"]
        for record in records_of(wire)
        if record["type"] == "response.output_item.done"
    ]


def search(at: int, *urls: str) -> list[Event]:
    return whole_part(at, WebSearch(("q",), tuple(SearchHit(url, url.upper()) for url in urls)))


# Form and order


def test_delta_of_text_byte_by_byte():
    renderer = CLIENT.stream_renderer(frame())
    renderer.render([Started(), PartOpened(0, PartKind.TEXT), TextDelta(0, "H")])
    assert renderer.render([TextDelta(0, 'é "x"\n')]).decode() == (
        "event: response.output_text.delta\n"
        'data: {"type":"response.output_text.delta",'
        f'"item_id":"msg_{ID}00","output_index":0,"content_index":0,'
        '"delta":"é \\"x\\"\\n","logprobs":[],"sequence_number":5}\n\n'
    )


def test_order_of_thinking_text_and_call():
    events = answer_of(thinking(0, "h", "m"), text(1, "Hi"), call(2, "f", '{"a"', ":1}"))
    assert types_of(stream(events, **SHOWN)) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_response_repeats_what_was_asked_and_says_that_nothing_is_stored():
    (created, *_, last) = records_of(
        stream(
            answer_of(text(0, "x")),
            instructions="Be brief",
            tools=[PATCH],
            temperature=0.5,
            metadata={"a": "b"},
            store=True,
            text={"verbosity": "low"},
        )
    )
    begun, done = created["response"], last["response"]
    assert (begun["id"], begun["object"]) == (f"resp_{ID}", "response")
    assert (begun["created_at"], begun["model"]) == (1760000000, "gpt-5")
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    assert (begun["instructions"], begun["temperature"]) == ("Be brief", 0.5)
    assert (begun["tools"], begun["metadata"], begun["store"]) == ([PATCH], {"a": "b"}, False)
    assert begun["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    changed = {key for key in done if done[key] != begun[key]}
    assert changed == {"status", "output", "usage"}


def test_usage_counts_the_whole_prompt():
    used = Usage(input=3, output=9, thinking=4, cache_read=2, cache_write=1)
    assert records_of(stream(answer_of(text(0, "x"), usage=used)))[-1]["response"]["usage"] == {
        "input_tokens": 6,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 15,
    }


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, None),
        (Stop.TOOL_CALL, None),
        (Stop.STOP_SEQUENCE, None),
        (Stop.LENGTH, "max_output_tokens"),
        (Stop.REFUSAL, "content_filter"),
    ],
)
def test_end_of_an_answer(stop, reason):
    wire = stream(answer_of(text(0, "a"), call(1, "f"), text(2, "b"), stop=stop))
    status = "incomplete" if reason else "completed"
    last = records_of(wire)[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert last["response"]["incomplete_details"] == (reason and {"reason": reason})
    assert [item["status"] for item in items_of(wire)] == ["completed", "completed", status]


# Items


def test_thinking_is_an_item_with_its_seal():
    (item,) = items_of(stream(answer_of(thinking(0, "h", "m", seal=Seal("gpt", "s"))), **SHOWN))
    assert item == {
        "type": "reasoning",
        "id": f"rs_{ID}00",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "s",
    }


def test_seal_without_a_text_is_an_item_without_a_summary_whoever_may_see_thinking():
    events = answer_of(thinking(0, seal=Seal("gpt", "s")))
    item = {"type": "reasoning", "id": f"rs_{ID}00", "summary": [], "encrypted_content": "s"}
    assert items_of(stream(events)) == items_of(stream(events, **SHOWN)) == [item]


@pytest.mark.parametrize("fields", [{}, {"reasoning": {"effort": "none", "summary": "auto"}}])
def test_thinking_that_is_not_to_be_seen_takes_no_place_and_its_seal_stays_with_it(fields):
    wire = stream(answer_of(thinking(0, "hm", seal=Seal("claude", "s")), text(1, "x")), **fields)
    assert [item["id"] for item in items_of(wire)] == [f"msg_{ID}00"]
    assert b"hm" not in wire
    assert b'"s"' not in wire


def test_thinking_that_was_switched_off_shows_no_seal():
    redacted = Thinking("", Seal("claude", "blob"), redacted=True)
    events = answer_of(thinking(0, seal=Seal("gpt", "s")), whole_part(1, redacted))
    assert items_of(stream(events, reasoning={"effort": "none"})) == []


def test_redacted_thinking_comes_back_as_what_it_was():
    redacted = Thinking("", Seal("", "blob"), redacted=True)
    (item,) = items_of(stream(answer_of(whole_part(0, redacted))))
    assert frame(input=[item]).conversation.messages[0].parts == (redacted,)


def test_thinking_comes_back_as_what_it_was():
    (item,) = items_of(stream(answer_of(thinking(0, "h", "m\n\n!", seal=Seal("", "s"))), **SHOWN))
    assert frame(input=[item]).conversation.messages[0].parts == (
        Thinking("hm\n\n!", Seal("", "s")),
    )


def test_text_of_nothing_takes_no_place():
    assert items_of(stream(answer_of(text(0), text(1, "", "x")))) == [
        {
            "type": "message",
            "id": f"msg_{ID}00",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}],
        }
    ]


def test_call_without_arguments_has_an_empty_object():
    wire = stream(answer_of(call(0, "f")))
    deltas = [record["delta"] for record in records_of(wire) if "delta" in record]
    assert deltas == ["{}"]
    assert items_of(wire) == [
        {
            "type": "function_call",
            "id": f"fc_{ID}00",
            "call_id": "call_0",
            "name": "f",
            "arguments": "{}",
            "status": "completed",
        }
    ]


def test_call_of_a_custom_tool_has_its_text_unwrapped():
    wire = stream(answer_of(call(0, "patch", '{"inp', 'ut":"a\\nb"}')), tools=[PATCH])
    deltas = [record["delta"] for record in records_of(wire) if "delta" in record]
    assert deltas == ["a\nb"]
    assert items_of(wire) == [
        {
            "type": "custom_tool_call",
            "id": f"ctc_{ID}00",
            "call_id": "call_0",
            "name": "patch",
            "input": "a\nb",
            "status": "completed",
        }
    ]


def test_custom_call_that_the_model_did_not_wrap_keeps_all_it_said():
    (item,) = items_of(stream(answer_of(call(0, "patch", '{"text":1}')), tools=[PATCH]))
    assert item["input"] == '{"text":1}'


def test_call_of_a_namespaced_tool_names_both():
    wire = stream(answer_of(call(0, "agents__wait", "{}")), tools=[AGENTS])
    added = records_of(wire)[2]["item"]
    (item,) = items_of(wire)
    assert (item["namespace"], item["name"]) == (added["namespace"], added["name"])
    assert (item["namespace"], item["name"]) == ("agents", "wait")


def test_search_behind_a_text_is_cited_by_it():
    found = WebSearch(("q", "r"), (SearchHit("a", "A", "wor"), SearchHit("b")))
    wire = stream(answer_of(text(0, "Hello world"), whole_part(1, found), text(2, "more")))
    message, searched, more = items_of(wire)
    assert message["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "a", "title": "A", "start_index": 6, "end_index": 9},
        {"type": "url_citation", "url": "b", "title": "b", "start_index": 0, "end_index": 11},
    ]
    assert searched == {
        "type": "web_search_call",
        "id": f"ws_{ID}01",
        "status": "completed",
        "action": {
            "type": "search",
            "query": "q",
            "queries": ["q", "r"],
            "sources": [{"type": "url", "url": "a"}, {"type": "url", "url": "b"}],
        },
    }
    assert more["content"][0]["annotations"] == []
    added = [each for each in records_of(wire) if each["type"].endswith("annotation.added")]
    assert [each["annotation_index"] for each in added] == [0, 1]


def test_searches_before_a_text_are_cited_by_it():
    events = answer_of(search(0, "a"), search(1, "b"), text(2, "x"), text(3, "y"))
    *_, message, other = items_of(stream(events))
    assert [each["url"] for each in message["content"][0]["annotations"]] == ["a", "b"]
    assert other["content"][0]["annotations"] == []


def test_generated_image_is_an_item_with_its_data():
    wire = stream(answer_of(whole_part(0, Media("image/jpeg", "AAAA"))))
    assert items_of(wire) == [
        {
            "type": "image_generation_call",
            "id": f"ig_{ID}00",
            "status": "completed",
            "output_format": "jpeg",
            "result": "AAAA",
        }
    ]
    assert records_of(wire)[2]["item"]["result"] is None


def test_generated_image_elsewhere_is_a_link():
    (item,) = items_of(stream(answer_of(whole_part(0, Media("image/*", url="https://x.test/a")))))
    assert item["content"][0]["text"] == "![image](https://x.test/a)"


def test_item_of_this_api_comes_home_and_that_of_another_leaves_no_trace():
    item = {"type": "mcp_call", "id": "mcp_1"}
    own, foreign = Verbatim("openai_responses", item), Verbatim("anthropic", {"type": "x"})
    assert items_of(stream(answer_of(whole_part(0, foreign), whole_part(1, own)))) == [item]


# Failures


def failure(error: ProxyError, *events: Event) -> list[Any]:
    renderer = CLIENT.stream_renderer(frame())
    return records_of(renderer.render(events) + renderer.fail(error, "req_1"))


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ProxyError(ErrorKind.UPSTREAM, "it broke"), "server_error", "it broke"),
        (ProxyError(ErrorKind.TOO_LONG, "long"), "context_length_exceeded", "long"),
        (ProxyError(ErrorKind.BAD_REQUEST, "bad"), "invalid_prompt", "bad"),
        (ProxyError(ErrorKind.OVERLOADED, "busy"), "server_is_overloaded", "busy"),
        (ProxyError(ErrorKind.LIMITED, "full."), "rate_limit_exceeded", "full."),
        (
            ProxyError(ErrorKind.LIMITED, "full.", retry_after=2.1),
            "rate_limit_exceeded",
            "full. Please try again in 3s.",
        ),
        (ProxyError(ErrorKind.LIMITED, "full.", retry_after=3600), "insufficient_quota", "full."),
    ],
)
def test_failure_says_what_to_do_about_it(error, code, message):
    last = failure(error, Started())[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": code, "message": message}


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_has_a_code(kind):
    assert failure(ProxyError(kind, "x"), Started())[-1]["response"]["error"]["code"]


def test_failure_keeps_the_items_that_were_whole():
    error = ProxyError(ErrorKind.UPSTREAM, "it broke")
    *_, done, last = failure(error, Started(), *text(0, "Hi"))
    assert done["type"] == "response.output_item.done"
    assert last["response"]["output"] == [done["item"]]
    last = failure(error, Started(), *text(0, "Hi")[:-1])[-1]
    assert last["response"]["output"] == []


def test_failure_before_the_answer_began_is_still_the_end_of_a_response():
    records = failure(ProxyError(ErrorKind.UPSTREAM, "it broke"))
    assert [record["type"] for record in records] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]


def test_keep_alive_is_a_comment():
    assert CLIENT.keep_alive == b": keep-alive\n\n"
    assert CLIENT.stream_renderer(frame()).content_type.startswith("text/event-stream")


# The stream adds up to the whole answer

SEALS = st.none() | st.just(Seal("claude", "sealed"))
WHOLES: Any = st.sampled_from(
    [
        Media("image/png", "AAAA"),
        Media("image/png", url="https://x.test/a.png"),
        Thinking("", Seal("claude", "blob"), redacted=True),
        WebSearch(("q",), (SearchHit("https://x.test", "X", "a"), SearchHit("https://y.test"))),
        WebSearch(()),
        Verbatim("anthropic", {"type": "server_tool_use"}),
        Verbatim("openai_responses", {"type": "mcp_call", "id": "mcp_1"}),
    ]
)
ARGUMENTS = st.just("") | st.dictionaries(
    st.sampled_from(["input", "a"]), TEXT | st.integers(), max_size=2
).map(json.dumps)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    parts = []
    for at in range(draw(st.integers(0, 6))):
        match draw(st.sampled_from(["text", "thinking", "call", "whole"])):
            case "text":
                parts.append(text(at, *draw(PIECES)))
            case "thinking":
                parts.append(thinking(at, *draw(PIECES), seal=draw(SEALS)))
            case "call":
                name = draw(st.sampled_from(["f", "patch", "agents__wait"]))
                parts.append(call(at, name, *cut_up(draw, draw(ARGUMENTS))))
            case _:
                parts.append(whole_part(at, draw(WHOLES)))
    return answer_of(*parts, stop=draw(st.sampled_from(Stop)), usage=draw(usages()))


REQUESTS = st.sampled_from(
    [{}, SHOWN, {"tools": [PATCH, AGENTS]}, {"reasoning": {"effort": "none"}}]
)


@given(st.data(), answers(), REQUESTS)
def test_any_stream_in_any_batches_adds_up_to_the_whole_answer(data, events, fields):
    renderer = CLIENT.stream_renderer(frame(**fields))
    wire = b"".join(renderer.render(batch) for batch in cut_up(data.draw, events))

    created, in_progress, *middle, last = records_of(wire)
    assert (created["type"], in_progress["type"]) == ("response.created", "response.in_progress")
    assert last["response"] == CLIENT.render_reply(fold(events), frame(**fields))
    assert accumulated(middle) == last["response"]["output"]


def accumulated(records: list[Any]) -> list[Any]:
    """What a strict client makes of the items' events, one item after the other (3.3)."""
    items: list[Any] = []
    current: Any = None
    grown = ""
    for record in records:
        assert record["output_index"] == len(items)
        assert record.get("item_id") in (None, current and current["id"])
        match record["type"].removeprefix("response."):
            case "output_item.added":
                assert current is None
                current, grown = record["item"], ""
            case "output_item.done":
                item = record["item"]
                assert (item["type"], item["id"]) == (current["type"], current["id"])
                assert item.get("call_id") == current.get("call_id")
                assert grown == text_in(item)
                items.append(item)
                current = None
            case kind if kind.endswith(".delta"):
                grown += record["delta"]
            case kind if kind.endswith("text.done"):
                assert record["text"] == grown
            case "function_call_arguments.done":
                assert record["arguments"] == grown
            case "custom_tool_call_input.done":
                assert record["input"] == grown
    assert current is None
    return items


def text_in(item: Any) -> str:
    match item["type"]:
        case "message":
            return item["content"][0]["text"]
        case "reasoning":
            return "".join(part["text"] for part in item["summary"])
        case "function_call":
            return item["arguments"]
        case "custom_tool_call":
            return item["input"]
        case _:
            return ""
