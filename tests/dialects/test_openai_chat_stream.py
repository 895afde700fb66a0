"""Events -> chunks: their exact form, and that they add up to the answer given without a stream."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import told
from hypothesis import given
from hypothesis import strategies as st
from told import PIECES, TEXT, answer_of, cut_up, text, usages, whole_part

from mcp_proxy.conversation import Media, Reasoning, Seal, Thinking, Verbatim
from mcp_proxy.dialects import ReplyFrame, client_dialect
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import (
    Event,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    Usage,
    fold,
)

CLIENT = client_dialect("openai_chat")
PATCH = {"type": "custom", "custom": {"name": "patch"}}
USAGE = {"stream_options": {"include_usage": True}}


def frame(**fields: Any) -> ReplyFrame:
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True, **fields}
    return ReplyFrame("0f" * 12, "gpt-4o", 1760000000, lambda: 9, CLIENT.parse_request(body, {}))


def stream(events: Sequence[Event], **fields: Any) -> bytes:
    return CLIENT.stream_renderer(frame(**fields)).render(events)


def chunks_of(wire: bytes) -> list[Any]:
    """The chunks of a whole stream; its last record is the end mark."""
    *records, end, nothing = wire.split(b"\n\n")
    assert (end, nothing) == (b"data: [DONE]", b"")
    assert all(record.startswith(b"data: ") and b"\n" not in record for record in records)
    return [json.loads(record[6:]) for record in records]


def deltas_of(wire: bytes) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks_of(wire) if chunk["choices"]]


thinking = partial(told.thinking, seal=Seal("claude", "sealed"))
call = partial(told.call, seal=Seal("gemini", "sealed"))


def media(at: int) -> list[Event]:
    return whole_part(at, Media("image/png", "AAAA"))


# Exact form


def test_stream_of_text_byte_by_byte():
    head = (
        'data: {"id":"chatcmpl-0f0f0f0f0f0f0f0f0f0f0f0f","object":"chat.completion.chunk",'
        '"created":1760000000,"model":"gpt-4o","choices":[{"index":0,"delta":'
    )
    assert stream(answer_of(text(0, "Hé", ' "x"\n'))).decode() == (
        head + '{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        + head + '{"content":"Hé"},"finish_reason":null}]}\n\n'
        + head + '{"content":" \\"x\\"\\n"},"finish_reason":null}]}\n\n'
        + head + '{},"finish_reason":"stop"}]}\n\n'
        + "data: [DONE]\n\n"
    )  # fmt: skip


def test_parallel_calls_count_from_zero_and_name_themselves_once():
    wire = stream(
        answer_of(text(0, "x"), call(1, "f", '{"a"', ":1}"), call(2, "g"), stop=Stop.TOOL_CALL)
    )
    assert [delta["tool_calls"] for delta in deltas_of(wire) if "tool_calls" in delta] == [
        [opening(0, "call_1", "f")],
        [{"index": 0, "function": {"arguments": '{"a"'}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
        [opening(1, "call_2", "g")],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]
    assert chunks_of(wire)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def opening(index: int, call_id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def test_custom_call_is_answered_with_its_text_unwrapped():
    wire = stream(
        answer_of(call(0, "patch", '{"inp', 'ut":"a\\nb"}'), stop=Stop.TOOL_CALL), tools=[PATCH]
    )
    assert [delta["tool_calls"] for delta in deltas_of(wire) if "tool_calls" in delta] == [
        [{"index": 0, "id": "call_0", "type": "custom", "custom": {"name": "patch", "input": ""}}],
        [{"index": 0, "custom": {"input": "a\nb"}}],
    ]


def test_custom_call_that_the_model_did_not_wrap_keeps_all_it_said():
    wire = stream(answer_of(call(0, "patch", '{"text":1}')), tools=[PATCH])
    assert deltas_of(wire)[-2]["tool_calls"][0]["custom"]["input"] == '{"text":1}'


def test_legacy_client_gets_one_function_call_and_its_own_finish_reason():
    wire = stream(
        answer_of(call(0, "f", '{"a":1}'), call(1, "g", "{}"), stop=Stop.TOOL_CALL),
        functions=[{"name": "f"}, {"name": "g"}],
    )
    assert deltas_of(wire)[1:-1] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
    ]
    assert chunks_of(wire)[-1]["choices"][0]["finish_reason"] == "function_call"


def test_thinking_goes_out_as_reasoning_content_without_its_seal():
    wire = stream(answer_of(thinking(0, "h", "m"), text(1, "x")))
    assert deltas_of(wire)[1:3] == [{"reasoning_content": "h"}, {"reasoning_content": "m"}]
    assert b"sealed" not in wire


def test_thinking_that_was_switched_off_is_not_shown():
    assert b"hm" not in stream(answer_of(thinking(0, "hm"), text(1, "x")), reasoning_effort="none")


def test_thinking_that_is_to_stay_unseen_is_in_neither_form_of_the_answer():
    asked = frame()
    unseen = replace(asked.conversation, reasoning=Reasoning(visible=False))
    hidden = replace(asked, conversation=unseen)
    events = answer_of(thinking(0, "hm"), text(1, "x"))
    assert b"hm" not in CLIENT.stream_renderer(hidden).render(events)
    assert "hm" not in str(CLIENT.render_reply(fold(events), hidden))


def test_generated_image_goes_out_as_a_data_url():
    assert deltas_of(stream(answer_of(media(0), media(1))))[2] == {
        "images": [
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,AAAA"},
                "index": 1,
            }
        ]
    }


def test_parts_that_have_no_place_on_this_wire_leave_no_trace():
    foreign = Verbatim("anthropic", {"type": "server_tool_use"})
    redacted = Thinking("", Seal("claude", "blob"), redacted=True)
    wire = stream(
        answer_of(
            [PartOpened(0, PartKind.VERBATIM, whole=foreign), PartClosed(0)],
            [PartOpened(1, PartKind.THINKING, whole=redacted), PartClosed(1)],
        )
    )
    assert deltas_of(wire) == [{"role": "assistant", "content": ""}, {}]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, "stop"),
        (Stop.LENGTH, "length"),
        (Stop.TOOL_CALL, "tool_calls"),
        (Stop.STOP_SEQUENCE, "stop"),
        (Stop.REFUSAL, "content_filter"),
    ],
)
def test_finish_reason(stop, reason):
    last = chunks_of(stream(answer_of(text(0, "x"), stop=stop)))[-1]
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": reason}]


def test_usage_asked_for_is_in_the_last_chunk_and_null_in_all_others():
    used = Usage(input=3, output=9, thinking=4, cache_read=2, cache_write=1)
    *others, last = chunks_of(stream(answer_of(text(0, "x"), usage=used), **USAGE))
    assert [chunk["usage"] for chunk in others] == [None] * 3
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 6
    assert last["usage"]["completion_tokens"] == 9
    assert last["usage"]["total_tokens"] == 15
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    assert last["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4


def test_usage_not_asked_for_is_nowhere():
    assert b"usage" not in stream(answer_of(text(0, "x")))


def test_failure_inside_a_stream_is_an_error_record_without_the_end_mark():
    renderer = CLIENT.stream_renderer(frame())
    renderer.render([Started(), *text(0, "Hal")])
    record = renderer.fail(ProxyError(ErrorKind.UPSTREAM, "it broke"), "req_1")
    assert record.endswith(b"\n\n")
    assert json.loads(record.removeprefix(b"data: ")) == {
        "error": {
            "message": "it broke",
            "type": "server_error",
            "param": None,
            "code": "upstream_error",
        }
    }


def test_keep_alive_is_a_comment():
    assert CLIENT.keep_alive == b": keep-alive\n\n"


# Whole answers


def test_whole_answer():
    events = answer_of(thinking(0, "hm"), call(1, "f", '{"a":1}'), stop=Stop.TOOL_CALL)
    answer = CLIENT.render_reply(fold(events), frame())
    assert answer["id"] == "chatcmpl-0f0f0f0f0f0f0f0f0f0f0f0f"
    assert answer["object"] == "chat.completion"
    assert (answer["created"], answer["model"]) == (1760000000, "gpt-4o")
    function = {"name": "f", "arguments": '{"a":1}'}
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "reasoning_content": "hm",
                "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert answer["usage"]["total_tokens"] == 9


def test_answer_of_nothing_has_text_that_is_empty_rather_than_null():
    (choice,) = CLIENT.render_reply(fold(answer_of()), frame())["choices"]
    assert choice["message"]["content"] == ""


# The stream adds up to the whole answer

NAMES = st.sampled_from(["f", "g", "patch"])
ARGUMENTS = st.one_of(
    st.just(""),
    st.dictionaries(st.sampled_from(["input", "a"]), TEXT | st.integers(), max_size=2).map(
        json.dumps
    ),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    parts = []
    for at in range(draw(st.integers(0, 5))):
        match draw(st.sampled_from(["text", "thinking", "call", "media"])):
            case "text":
                parts.append(text(at, *draw(PIECES)))
            case "thinking":
                parts.append(thinking(at, *draw(PIECES)))
            case "call":
                parts.append(call(at, draw(NAMES), *cut_up(draw, draw(ARGUMENTS))))
            case _:
                parts.append(media(at))
    return answer_of(*parts, stop=draw(st.sampled_from(Stop)), usage=draw(usages()))


REQUESTS = st.sampled_from(
    [
        {},
        {"tools": [PATCH]},
        {"functions": [{"name": "f"}]},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "low", **USAGE},
    ]
)


@given(st.data(), answers(), REQUESTS)
def test_any_stream_in_any_batches_adds_up_to_the_whole_answer(data, events, fields):
    renderer = CLIENT.stream_renderer(frame(**fields))
    wire = b"".join(renderer.render(batch) for batch in cut_up(data.draw, events))
    answer = CLIENT.render_reply(fold(events), frame(**fields))

    chunks = chunks_of(wire)
    same = {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}
    assert same == {(answer["id"], answer["created"], answer["model"])}
    if "stream_options" in fields:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], answer["usage"])
    message, reason = accumulated(chunks)
    (choice,) = answer["choices"]
    assert message == {
        key: value
        for key, value in choice["message"].items()
        if key not in ("annotations", "refusal")
    }
    assert reason == choice["finish_reason"]


def accumulated(chunks: list[Any]) -> tuple[dict[str, Any], str]:
    """What a client makes of the deltas, and that they obey the rules of client-apis.md 2.3."""
    first, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert last["delta"] == {}
    assert all(choice["finish_reason"] is None for choice in (first, *middle))
    message: dict[str, Any] = dict(first["delta"])
    calls: list[Any] = []
    for choice in middle:
        ((key, value),) = choice["delta"].items()
        match key:
            case "tool_calls":
                add_call(calls, value)
            case "function_call":
                join(message.setdefault(key, {"arguments": ""}), value)
            case "images":
                assert value[0]["index"] == len(message.setdefault("images", []))
                message["images"] += value
            case _:
                message[key] = message.get(key, "") + value
    if calls:
        message["tool_calls"] = calls
    if (calls or "function_call" in message) and not message["content"]:
        message["content"] = None
    if message.get("reasoning_content") == "":
        del message["reasoning_content"]
    return message, last["finish_reason"]


def add_call(calls: list[Any], deltas: list[Any]) -> None:
    (delta,) = deltas
    index = delta.pop("index")
    if "id" in delta:
        assert index == len(calls)
        calls.append(delta)
    else:
        assert index == len(calls) - 1
        ((kind, pieces),) = delta.items()
        join(calls[index][kind], pieces)


def join(whole_call: dict[str, str], pieces: dict[str, str]) -> None:
    for key, piece in pieces.items():
        whole_call[key] = whole_call.get(key, "") + piece
