"""Events -> server-sent events: their exact form, and that they add up to the whole answer."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import anthropic
import httpx2
import pytest
import told
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import TypeAdapter
from told import PIECES, TEXT, answer_of, cut_up, thinking, usages, whole_part

from mcp_proxy.conversation import Media, Seal, Thinking, Verbatim
from mcp_proxy.dialects import ReplyFrame
from mcp_proxy.dialects.anthropic import CLIENT
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import (
    Event,
    Finished,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    Usage,
    UsageSeen,
    fold,
)

HIDDEN = {"thinking": {"type": "adaptive", "display": "omitted"}}
OFF = {"thinking": {"type": "disabled"}}
USED = Usage(5, 4, 1, 3, 2)
UNSEEN = Seal("gemini", "unseen")
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}
SDK_EVENT = TypeAdapter(RawMessageStreamEvent)
SDK_BLOCKS = {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"}
"""An image in an answer is an extension that the SDK's types do not have."""


def frame(**fields: Any) -> ReplyFrame:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    conversation = CLIENT.parse_request({**body, **fields}, CIMultiDict())
    return ReplyFrame("0f" * 12, "claude-opus-4-8", 1760000000, lambda: 12, conversation)


def stream(events: Sequence[Event], **fields: Any) -> bytes:
    return CLIENT.stream_renderer(frame(**fields)).render(events)


def records_of(wire: bytes) -> list[Any]:
    """The data of every record; each says its own type in its event line, as the SDK needs."""
    *records, nothing = wire.split(b"\n\n")
    assert nothing == b""
    found = []
    for record in records:
        event, data = record.split(b"\n")
        found.append(json.loads(data.removeprefix(b"data: ")))
        assert event == b"event: " + found[-1]["type"].encode()
    return found


text = partial(told.text, seal=UNSEEN)
answer = partial(answer_of, usage=USED)


def call(at: int, *pieces: str) -> list[Event]:
    return told.call(at, "get", *pieces, prefix="toolu_", seal=UNSEEN)


def image(at: int) -> list[Event]:
    return whole_part(at, Media("image/png", "AAAA"))


def redacted(at: int) -> list[Event]:
    return whole_part(at, Thinking("", Seal("claude", "blob"), redacted=True))


def verbatim(at: int, dialect: str = "anthropic") -> list[Event]:
    return whole_part(at, Verbatim(dialect, SEARCH))


def blocks_of(wire: bytes) -> list[Any]:
    """The blocks that a client puts together, by the rules of client-apis.md 1.5."""
    return accumulated(records_of(wire))["content"]


# Exact form


def test_stream_byte_by_byte():
    events = answer(
        thinking(0, "Let me", seal=Seal("claude", "EqQB")),
        text(1, "Hé", ' "x"\n'),
        call(2, '{"a"', ":1}"),
        stop=Stop.TOOL_CALL,
    )
    assert stream(events).decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"id":"msg_0f0f0f0f0f0f0f0f0f0f0f0f",'
        '"type":"message","role":"assistant","model":"claude-opus-4-8","content":[],'
        '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"thinking","thinking":"","signature":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"thinking_delta","thinking":"Let me"}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"signature_delta","signature":"EqQB"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":1,'
        '"content_block":{"type":"text","text":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":1,'
        '"delta":{"type":"text_delta","text":"Hé"}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":1,'
        '"delta":{"type":"text_delta","text":" \\"x\\"\\n"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":1}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":2,'
        '"content_block":{"type":"tool_use","id":"toolu_2","name":"get","input":{}}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":2,'
        '"delta":{"type":"input_json_delta","partial_json":"{\\"a\\""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":2,'
        '"delta":{"type":"input_json_delta","partial_json":":1}"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":2}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},'
        '"usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,'
        '"output_tokens":4,"output_tokens_details":{"thinking_tokens":1}}}\n\n'
        "event: message_stop\n"
        'data: {"type":"message_stop"}\n\n'
    )


def test_the_message_begins_before_there_is_any_part():
    assert [record["type"] for record in records_of(stream([Started()]))] == ["message_start"]


def test_an_answer_of_nothing_is_a_valid_message():
    types = [record["type"] for record in records_of(stream(answer()))]
    assert types == ["message_start", "message_delta", "message_stop"]


def test_thinking_without_a_seal_has_an_empty_signature_delta():
    deltas = [record.get("delta") for record in records_of(stream(answer(thinking(0, "hm"))))]
    assert {"type": "signature_delta", "signature": ""} in deltas


@pytest.mark.parametrize("pieces", [(), ("",)])
def test_a_call_without_arguments_has_an_empty_object_also_after_one_with(pieces):
    records = records_of(stream(answer(call(0, '{"a":1}'), call(1, *pieces))))
    deltas = [record["delta"] for record in records if record["type"] == "content_block_delta"]
    assert [delta["partial_json"] for delta in deltas] == ['{"a":1}', "{}"]


def test_hidden_thinking_keeps_its_signature_only():
    events = answer(thinking(0, "hm", seal=Seal("claude", "EqQB")), text(1, "x"))
    assert blocks_of(stream(events, **HIDDEN)) == [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "text", "text": "x"},
    ]


def test_thinking_that_was_switched_off_leaves_no_gap_in_the_numbers():
    events = answer(thinking(0, "hm"), text(1, "a"), redacted(2), text(3, "b"))
    records = records_of(stream(events, **OFF))
    assert [record["index"] for record in records if "index" in record] == [0, 0, 0, 1, 1, 1]
    assert [block["text"] for block in blocks_of(stream(events, **OFF))] == ["a", "b"]


def test_parts_that_came_whole_are_blocks_that_come_whole():
    assert blocks_of(stream(answer(image(0), redacted(1), verbatim(2)))) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "redacted_thinking", "data": "blob"},
        SEARCH,
    ]


def test_an_image_by_address_is_sent_by_address():
    part = whole_part(0, Media("image/png", url="https://x.test/a"))
    assert blocks_of(stream(answer(part))) == [
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a"}}
    ]


def test_what_only_another_dialect_knows_is_left_out():
    assert blocks_of(stream(answer(verbatim(0, "openai_responses"), text(1, "x")))) == [
        {"type": "text", "text": "x"}
    ]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, "end_turn"),
        (Stop.LENGTH, "max_tokens"),
        (Stop.TOOL_CALL, "tool_use"),
        (Stop.REFUSAL, "refusal"),
    ],
)
def test_stop_reason(stop, reason):
    delta = records_of(stream(answer(text(0, "x"), stop=stop)))[-2]["delta"]
    assert (delta["stop_reason"], delta["stop_sequence"]) == (reason, None)
    assert ("stop_details" in delta) is (stop is Stop.REFUSAL)


def test_stop_sequence_is_named():
    delta = records_of(stream(answer(stop=Stop.STOP_SEQUENCE, sequence="END")))[-2]["delta"]
    assert delta == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_the_last_usage_counts():
    events = [Started(), UsageSeen(Usage(1, 1)), UsageSeen(Usage(7, 8)), Finished(Stop.END)]
    usage = records_of(stream(events))[-2]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (7, 8)


def test_the_estimate_stands_when_the_upstream_counted_nothing():
    events = [Started(), Finished(Stop.END)]
    assert records_of(stream(events))[-2]["usage"]["input_tokens"] == 12
    assert CLIENT.render_reply(fold(events), frame())["usage"]["input_tokens"] == 12


def test_a_prompt_that_came_from_the_cache_entirely_is_not_estimated():
    events = [Started(), UsageSeen(Usage(input=0, cache_read=90)), Finished(Stop.END)]
    assert records_of(stream(events))[-2]["usage"]["input_tokens"] == 0


def test_a_failure_inside_a_stream_is_the_last_record_and_no_terminal_event():
    renderer = CLIENT.stream_renderer(frame())
    wire = renderer.render([Started(), PartOpened(0, PartKind.TEXT), TextDelta(0, "Hal")])
    wire += renderer.fail(ProxyError(ErrorKind.OVERLOADED, "it broke"), "req_1")
    *_, last = records_of(wire)
    assert last == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "it broke"},
        "request_id": "req_1",
    }


def test_keep_alive_is_a_ping_event():
    assert CLIENT.keep_alive == b'event: ping\ndata: {"type":"ping"}\n\n'


# Whole answers


def test_whole_answer():
    events = answer(thinking(0, "hm"), text(1, "x"), call(2, '{"a":1}'), stop=Stop.TOOL_CALL)
    assert CLIENT.render_reply(fold(events), frame()) == {
        "id": "msg_0f0f0f0f0f0f0f0f0f0f0f0f",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-8",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "toolu_2", "name": "get", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 1},
            "server_tool_use": None,
            "service_tier": "standard",
        },
    }


# The stream adds up to the whole answer

SEALS = st.none() | st.builds(Seal, st.just("claude"), TEXT)
ARGUMENTS = st.just("") | st.dictionaries(TEXT, TEXT | st.integers() | PIECES, max_size=2).map(
    json.dumps
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    make = {
        "text": lambda at: text(at, *draw(PIECES)),
        "thinking": lambda at: thinking(at, *draw(PIECES), seal=draw(SEALS)),
        "call": lambda at: call(at, *cut_up(draw, draw(ARGUMENTS))),
        "image": image,
        "redacted": redacted,
        "verbatim": lambda at: verbatim(at, draw(st.sampled_from(["anthropic", "gemini"]))),
    }
    kinds = draw(st.lists(st.sampled_from(list(make)), max_size=6))
    return answer(
        *(make[kind](at) for at, kind in enumerate(kinds)),
        stop=draw(st.sampled_from(Stop)),
        sequence=draw(st.none() | TEXT),
        usage=draw(usages()),
    )


REQUESTS = st.sampled_from([{}, HIDDEN, OFF])


@given(st.data(), answers(), REQUESTS)
def test_any_stream_in_any_batches_adds_up_to_the_whole_answer(data, events, fields):
    renderer = CLIENT.stream_renderer(frame(**fields))
    wire = b"".join(renderer.render(batch) for batch in cut_up(data.draw, events))

    whole = CLIENT.render_reply(fold(events), frame(**fields))
    assert accumulated(records_of(wire)) == {
        **{key: value for key, value in whole.items() if key != "container"},
        "usage": {key: whole["usage"][key] for key in STREAMED_USAGE},
    }


STREAMED_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
)


@given(answers(), REQUESTS)
def test_the_sdk_reads_every_stream_event_and_every_message(events, fields):
    for record in records_of(stream(events, **fields)):
        if record.get("content_block", {}).get("type", "text") in SDK_BLOCKS:
            SDK_EVENT.validate_python(record)
    whole = CLIENT.render_reply(fold(events), frame(**fields))
    whole["content"] = [block for block in whole["content"] if block["type"] in SDK_BLOCKS]
    Message.model_validate(whole)


def accumulated(records: list[Any]) -> dict[str, Any]:
    """What a client makes of a whole stream, and that its order is the one of the real API."""
    start, *middle, end, stop = records
    assert start["type"] == "message_start"
    assert (end["type"], stop) == ("message_delta", {"type": "message_stop"})
    message = {"stop_details": None, **start["message"]}
    while middle:
        at = len(message["content"])
        size = [record["type"] for record in middle].index("content_block_stop") + 1
        opening, *deltas, closing = middle[:size]
        del middle[:size]
        assert all(record["index"] == at for record in (opening, *deltas, closing))
        assert opening["type"] == "content_block_start"
        message["content"].append(joined(opening["content_block"], deltas))
    message.update(end["delta"])
    message["usage"].update(end["usage"])
    return message


def joined(block: dict[str, Any], records: list[Any]) -> dict[str, Any]:
    kinds = [record["delta"]["type"] for record in records]
    values = [list(record["delta"].values())[1] for record in records]
    match block["type"]:
        case "text":
            assert set(kinds) <= {"text_delta"}
            return {"type": "text", "text": "".join(values)}
        case "thinking":
            assert (block["thinking"], block["signature"]) == ("", "")
            *kinds, last = kinds
            assert set(kinds) <= {"thinking_delta"}
            assert last == "signature_delta"
            return {**block, "thinking": "".join(values[:-1]), "signature": values[-1]}
        case "tool_use":
            assert block["input"] == {}
            assert set(kinds) == {"input_json_delta"}
            return {**block, "input": json.loads("".join(values))}
        case _:
            assert not records
            return block


# The real SDK as the client


def sdk(response: httpx2.Response) -> anthropic.Anthropic:
    transport = httpx2.MockTransport(lambda _request: response)
    http_client = httpx2.Client(transport=transport)
    return anthropic.Anthropic(api_key="x" * 16, http_client=http_client, max_retries=0)


ASK: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
EVERYTHING = answer(
    thinking(0, "h", "m", seal=Seal("claude", "EqQB")),
    redacted(1),
    text(2, "Hé", "llo"),
    call(3, '{"a"', ":1}"),
    call(4),
    stop=Stop.TOOL_CALL,
)


def streamed(wire: bytes) -> httpx2.Response:
    return httpx2.Response(200, content=wire, headers={"content-type": "text/event-stream"})


def test_the_sdk_accumulates_the_stream_to_the_whole_answer():
    wire = CLIENT.keep_alive + stream(EVERYTHING)
    with sdk(streamed(wire)).messages.stream(**ASK) as running:
        final = running.get_final_message()
    whole = CLIENT.render_reply(fold(EVERYTHING), frame())
    created = sdk(httpx2.Response(200, json=whole)).messages.create(**ASK)

    assert final.to_dict()["content"] == created.to_dict()["content"] == whole["content"]
    assert final.stop_reason == created.stop_reason == "tool_use"
    assert final.usage.input_tokens == created.usage.input_tokens == 5
    assert final.usage.output_tokens_details == created.usage.output_tokens_details


def test_the_sdk_lets_an_image_through():
    with sdk(streamed(stream(answer(image(0), text(1, "x"))))).messages.stream(**ASK) as running:
        picture, said = running.get_final_message().content
    assert picture.type == "image"
    assert picture.source == {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert said.text == "x"


def test_the_sdk_raises_on_a_failure_inside_the_stream():
    renderer = CLIENT.stream_renderer(frame())
    wire = renderer.render(EVERYTHING[:3])
    wire += renderer.fail(ProxyError(ErrorKind.UPSTREAM, "it broke"), "req_1")
    with (
        pytest.raises(anthropic.APIStatusError, match="it broke"),
        sdk(streamed(wire)).messages.stream(**ASK) as running,
    ):
        running.get_final_message()


def test_the_sdk_raises_the_error_that_the_status_stands_for():
    error = ProxyError(ErrorKind.LIMITED, "RESOURCE_EXHAUSTED: until noon", retry_after=90)
    reply = CLIENT.render_error(error, "req_1")
    response = httpx2.Response(reply.status, json=reply.body, headers=dict(reply.headers))
    with pytest.raises(anthropic.RateLimitError, match="RESOURCE_EXHAUSTED: until noon"):
        sdk(response).messages.create(**ASK)
