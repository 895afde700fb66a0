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

from mcp_proxy.conversation import (
    Media,
    Reasoning,
    Seal,
    SearchHit,
    Text,
    Thinking,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.dialects import PathTarget, ReplyFrame, client_dialect
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import (
    Event,
    Started,
    Stop,
    Usage,
    fold,
)

CLIENT = client_dialect("gemini")
SEAL = Seal("gemini", "c2ln")
SHOWN = Reasoning(visible=True)
UNSEEN = Reasoning(visible=False)
OFF = Reasoning("off", visible=False)
FACTS = '"modelVersion":"gemini-2.5-pro","responseId":"0f0f0f0f0f0f0f0f0f0f0f0f"'


def frame(*, reasoning: Reasoning = SHOWN, array: bool = False) -> ReplyFrame:
    body = {"contents": [{"parts": [{"text": "?"}]}]}
    target = PathTarget("gemini-2.5-pro", stream=True, array=array)
    conversation = replace(CLIENT.parse_request(body, {}, target), reasoning=reasoning)
    return ReplyFrame("0f" * 12, "gemini-2.5-pro", 1760000000, lambda: 9, conversation)


def stream(events: Sequence[Event], **how: Any) -> bytes:
    return CLIENT.stream_renderer(frame(**how)).render(events)


def answer(events: Sequence[Event], **how: Any) -> Any:
    return CLIENT.render_reply(fold(events), frame(**how))


def chunks_of(wire: bytes) -> list[Any]:
    *records, nothing = wire.split(b"\n\n")
    assert nothing == b""
    assert all(record.startswith(b"data: ") and b"\n" not in record for record in records)
    return [json.loads(record[6:]) for record in records]


def parts_of(response: Any) -> list[Any]:
    (candidate,) = response.get("candidates") or [{"content": {"parts": []}}]
    return candidate["content"]["parts"]


def streamed_parts(events: Sequence[Event], **how: Any) -> list[Any]:
    """The parts of all chunks but the last, which ends the stream."""
    return [part for chunk in chunks_of(stream(events, **how))[:-1] for part in parts_of(chunk)]


thinking = partial(told.thinking, seal=SEAL)


def call(at: int, *pieces: str, seal: Seal | None = None) -> list[Event]:
    return told.call(at, "f", *pieces, seal=seal)


# Exact form

END = (
    '{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP",'
    '"index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":4,'
    '"totalTokenCount":9},' + FACTS + "}"
)


def chunk(part: str) -> str:
    return f'{{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}},"index":0}}],{FACTS}}}'


def test_stream_byte_by_byte():
    events = answer_of(
        thinking(0, "hm", seal=None), text(1, "Hé", ' "x"\n'), call(2, '{"a"', ":1}")
    )
    expected = [
        chunk('{"text":"hm","thought":true}'),
        chunk('{"text":"Hé"}'),
        chunk('{"text":" \\"x\\"\\n"}'),
        chunk('{"functionCall":{"id":"call_2","name":"f","args":{"a":1}}}'),
        END,
    ]
    assert stream(events).decode() == "".join(f"data: {record}\n\n" for record in expected)
    array = stream(events, array=True).decode()
    assert array == "[" + ",\r\n".join(f"{record}\n" for record in expected) + "]"


def test_array_says_that_it_is_json_and_sse_that_it_is_a_stream_of_events():
    assert CLIENT.stream_renderer(frame(array=True)).content_type == "application/json"
    assert CLIENT.stream_renderer(frame()).content_type.startswith("text/event-stream")


def test_array_is_json_however_it_is_batched_and_whenever_it_is_kept_alive():
    renderer = CLIENT.stream_renderer(frame(array=True))
    wire = b""
    for event in answer_of(text(0, "a", "b")):
        wire += renderer.render([event]) + CLIENT.keep_alive
    assert [parts_of(chunk) for chunk in json.loads(wire)] == [
        [{"text": "a"}],
        [{"text": "b"}],
        [{"text": ""}],
    ]


def test_signature_of_text_follows_it_in_a_part_of_its_own():
    assert streamed_parts(answer_of(text(0, "a", seal=SEAL))) == [
        {"text": "a"},
        {"text": "", "thoughtSignature": "c2ln"},
    ]


def test_signature_of_a_call_is_on_the_call():
    (part,) = streamed_parts(answer_of(call(0, seal=SEAL), stop=Stop.TOOL_CALL))
    assert part == {
        "functionCall": {"id": "call_0", "name": "f", "args": {}},
        "thoughtSignature": "c2ln",
    }


def test_signature_of_thinking_is_on_a_thought():
    assert streamed_parts(answer_of(thinking(0, "hm"))) == [
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "c2ln"},
    ]


def test_arguments_of_several_lines_stay_within_their_record():
    (part,) = streamed_parts(answer_of(call(0, '{\n  "a": "x\\ny"\r\n}')))
    assert part["functionCall"]["args"] == {"a": "x\ny"}


# What the client is to see


def test_hidden_thoughts_leave_no_trace_since_their_seal_needs_the_text():
    assert streamed_parts(answer_of(thinking(0, "hm"), text(1, "x")), reasoning=UNSEEN) == [
        {"text": "x"}
    ]


def test_seal_of_thoughts_that_have_no_text_is_given_even_if_thoughts_are_hidden():
    assert streamed_parts(answer_of(thinking(0), text(1, "x")), reasoning=UNSEEN) == [
        {"text": "", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "x"},
    ]


def test_thinking_that_was_switched_off_is_not_shown_at_all():
    redacted = Thinking("", SEAL, redacted=True)
    events = answer_of(thinking(0, "hm"), thinking(1), whole_part(2, redacted), text(3, "x"))
    assert streamed_parts(events, reasoning=OFF) == [{"text": "x"}]


def test_generated_picture_is_inline_or_a_file():
    events = answer_of(
        whole_part(0, Media("image/png", "AAAA")),
        whole_part(1, Media("image/png", url="https://x.org/p")),
    )
    assert streamed_parts(events) == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x.org/p"}},
    ]


def test_blocks_only_gemini_knows_come_home_and_others_leave_no_trace():
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    events = answer_of(
        whole_part(0, Verbatim("gemini", code)),
        whole_part(1, Verbatim("anthropic", {"type": "server_tool_use"})),
    )
    assert streamed_parts(events) == [code]


SEARCH = WebSearch(
    ("weather",), (SearchHit("https://a", "A", "sunny"), SearchHit("https://b", "B")), "s1"
)


def test_searches_ground_the_answer_at_its_end():
    again = WebSearch(("tomorrow",), (SearchHit("https://c", "C", "rain"),))
    events = answer_of(whole_part(0, SEARCH), whole_part(1, again), text(2, "x"))
    (candidate,) = chunks_of(stream(events))[-1]["candidates"]
    assert candidate["groundingMetadata"] == {
        "webSearchQueries": ["weather", "tomorrow"],
        "groundingChunks": [
            {"web": {"uri": f"https://{name.lower()}", "title": name}} for name in "ABC"
        ],
        "groundingSupports": [
            {"segment": {"text": "sunny"}, "groundingChunkIndices": [0]},
            {"segment": {"text": "rain"}, "groundingChunkIndices": [2]},
        ],
    }
    assert answer(events)["candidates"] == [
        {**candidate, "content": {"parts": [{"text": "x"}], "role": "model"}}
    ]


# The end


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, "STOP"),
        (Stop.LENGTH, "MAX_TOKENS"),
        (Stop.TOOL_CALL, "STOP"),
        (Stop.STOP_SEQUENCE, "STOP"),
        (Stop.REFUSAL, "SAFETY"),
    ],
)
def test_finish_reason(stop, reason):
    *others, last = chunks_of(stream(answer_of(text(0, "x"), stop=stop)))
    assert last["candidates"][0]["finishReason"] == reason
    assert all("finishReason" not in chunk["candidates"][0] for chunk in others)


@pytest.mark.parametrize("parts", [[], [thinking(0, "hm"), text(1)]])
def test_refusal_without_content_is_a_blocked_prompt(parts):
    events = answer_of(*parts, stop=Stop.REFUSAL)
    (last,) = chunks_of(stream(events, reasoning=UNSEEN))
    assert last == answer(events, reasoning=UNSEEN)
    assert last["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in last
    assert last["usageMetadata"]["totalTokenCount"] == 9


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            Usage(input=3, output=9, thinking=4, cache_read=2, cache_write=1),
            {
                "promptTokenCount": 6,
                "candidatesTokenCount": 5,
                "totalTokenCount": 15,
                "thoughtsTokenCount": 4,
                "cachedContentTokenCount": 2,
            },
        ),
        (
            Usage(output=2),
            {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11},
        ),
        (
            Usage(input=1, output=2, thinking=5),
            {
                "promptTokenCount": 1,
                "candidatesTokenCount": 0,
                "totalTokenCount": 3,
                "thoughtsTokenCount": 2,
            },
        ),
    ],
)
def test_usage(usage, counted):
    events = answer_of(text(0, "x"), usage=usage)
    assert chunks_of(stream(events))[-1]["usageMetadata"] == counted
    assert answer(events)["usageMetadata"] == counted


def test_answer_of_nothing_has_an_empty_part_because_sdks_forget_turns_without_one():
    assert parts_of(answer(answer_of())) == [{"text": ""}]
    (last,) = chunks_of(stream(answer_of()))
    assert parts_of(last) == [{"text": ""}]


def test_whole_answer():
    events = answer_of(
        thinking(0, "h", "m"),
        text(1, "a", "b", seal=SEAL),
        call(2, '{"a":1}', seal=SEAL),
        stop=Stop.TOOL_CALL,
    )
    function = {"id": "call_2", "name": "f", "args": {"a": 1}}
    assert answer(events) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
                        {"text": "ab", "thoughtSignature": "c2ln"},
                        {"functionCall": function, "thoughtSignature": "c2ln"},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 4, "totalTokenCount": 9},
        "modelVersion": "gemini-2.5-pro",
        "responseId": "0f0f0f0f0f0f0f0f0f0f0f0f",
    }


# Failures inside a stream

BROKEN = ProxyError(ErrorKind.UPSTREAM, "it broke")
SAID = b'{"error":{"code":502,"message":"it broke","status":"INTERNAL"}}'


def test_failure_inside_a_stream_is_a_record_whose_first_key_is_error():
    renderer = CLIENT.stream_renderer(frame())
    renderer.render([Started(), *text(0, "Hal")])
    assert renderer.fail(BROKEN, "req_1") == b"data: " + SAID + b"\n\n"


def test_failure_inside_an_array_is_its_last_element():
    renderer = CLIENT.stream_renderer(frame(array=True))
    wire = renderer.render([Started(), *text(0, "Hal")]) + renderer.fail(BROKEN, "req_1")
    first, last = json.loads(wire)
    assert parts_of(first) == [{"text": "Hal"}]
    assert last == json.loads(SAID)


def test_failure_of_an_array_that_had_not_begun_is_its_only_element():
    wire = CLIENT.stream_renderer(frame(array=True)).fail(BROKEN, "req_1")
    assert json.loads(wire) == [json.loads(SAID)]


def test_keep_alive_is_an_empty_line_because_google_genai_fails_on_comments():
    assert CLIENT.keep_alive == b"\n"


# The stream adds up to the whole answer, and the answer comes back as it was

SEALS = st.none() | st.builds(
    Seal, st.sampled_from(["claude", "gpt"]), st.sampled_from(["c2ln", "c2-_", "no base64", "+/=="])
)


@st.composite
def arguments(draw: st.DrawFn) -> list[str]:
    value = draw(
        st.dictionaries(st.sampled_from(["input", "a"]), TEXT | st.integers(0, 2**53), max_size=2)
    )
    return cut_up(draw, json.dumps(value, indent=draw(st.none() | st.just(1))))


WHOLE = st.sampled_from(
    [
        Media("image/png", "AAAA"),
        SEARCH,
        Verbatim("gemini", {"executableCode": {}}),
        Verbatim("anthropic", {}),
        Thinking("", Seal("claude", "blob"), redacted=True),
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    parts = []
    for at in range(draw(st.integers(0, 5))):
        match draw(st.sampled_from(["text", "thinking", "call", "whole"])):
            case "text":
                parts.append(text(at, *draw(PIECES), seal=draw(SEALS)))
            case "thinking":
                parts.append(thinking(at, *draw(PIECES), seal=draw(SEALS)))
            case "call":
                parts.append(call(at, *draw(arguments()), seal=draw(SEALS)))
            case _:
                parts.append(whole_part(at, draw(WHOLE)))
    return answer_of(*parts, stop=draw(st.sampled_from(Stop)), usage=draw(usages()))


@st.composite
def in_batches(draw: st.DrawFn) -> list[list[Event]]:
    return cut_up(draw, draw(answers()))


@given(in_batches(), st.sampled_from([SHOWN, UNSEEN, OFF]), st.booleans())
def test_any_stream_in_any_batches_adds_up_to_the_whole_answer(batches, reasoning, array):
    how: dict[str, Any] = {"reasoning": reasoning, "array": array}
    renderer = CLIENT.stream_renderer(frame(**how))
    wire = b"".join(renderer.render(batch) for batch in batches)
    expected = answer([event for batch in batches for event in batch], **how)

    chunks = json.loads(wire) if array else chunks_of(wire)
    streamed = chunks[-1]
    for chunk in chunks:
        assert chunk["modelVersion"] == expected["modelVersion"]
        assert chunk["responseId"] == expected["responseId"]
    if "candidates" in expected:
        parts = [part for chunk in chunks for part in parts_of(chunk)]
        streamed["candidates"][0]["content"]["parts"] = joined(parts)
        expected["candidates"][0]["content"]["parts"] = joined(parts_of(expected))
    assert streamed == expected


def joined(parts: list[Any]) -> list[Any]:
    """Parts as a client puts them together: pieces of one kind in a row are one, with its seal."""
    found: list[Any] = []
    for part in parts:
        last = found[-1] if found else {}
        is_piece = "text" in part and "text" in last and "thoughtSignature" not in last
        if is_piece and part.get("thought") == last.get("thought"):
            found[-1] = {**part, "text": last["text"] + part["text"]}
        elif part != {"text": ""}:
            found.append(part)
    return found


@given(in_batches(), st.booleans())
def test_answer_comes_back_in_the_history_as_it_was_given(batches, streamed):
    events = [event for batch in batches for event in batch]
    if streamed:
        renderer = CLIENT.stream_renderer(frame())
        responses = chunks_of(b"".join(renderer.render(batch) for batch in batches))
    else:
        responses = [answer(events)]
    contents = [{"role": "model", "parts": parts_of(response)} for response in responses]
    (message,) = CLIENT.parse_request({"contents": contents}, {}, PathTarget("m", False)).messages
    assert list(map(bare, message.parts)) == expected_parts(events)


def bare(part: Any) -> Any:
    """The part with its arguments read and its seal's origin unknown, as it is to any client."""
    seal = getattr(part, "seal", None)
    if seal is not None:
        part = replace(part, seal=Seal("", seal.value))
    return replace(part, arguments=json.loads(part.arguments)) if type(part) is ToolCall else part


def expected_parts(events: list[Event]) -> list[Any]:
    """Pieces of one kind that nothing parts and no seal ends have become one."""
    found: list[Any] = []
    for part in map(bare, fold(events).parts):
        last = found[-1] if found else None
        if isinstance(part, WebSearch) or (isinstance(part, Verbatim) and part.dialect != "gemini"):
            continue
        is_text = type(part) is Text or (type(part) is Thinking and not part.redacted)
        if is_text and type(part) is type(last) and last.seal is None:
            found[-1] = replace(part, text=last.text + part.text)
        elif type(part) is Text and not part.text:
            # Its seal, if it has one, is of the thoughts before it.
            if part.seal is not None and type(last) is Thinking and last.seal is None:
                found[-1] = replace(last, seal=part.seal)
        elif not is_text or part.text or part.seal:
            found.append(part)
    return found
