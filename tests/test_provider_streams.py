"""Streams that go wrong, in every upstream dialect: asked for again before content, told after."""

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from asking import APIS, asking, broke_off, model_row, text_of, who
from served import settings_with

from mcp_proxy.demo.refusals import Answer

pytestmark = pytest.mark.usefixtures("hasty")

Json = dict[str, Any]


def sse(*records: Json, named: bool = False) -> tuple[bytes, ...]:
    return tuple(
        (f"event: {record['type']}\n".encode() if named else b"")
        + b"data: "
        + json.dumps(record).encode()
        + b"\n\n"
        for record in records
    )


@dataclass(frozen=True)
class Upstream:
    """A provider, and pieces of its streams."""

    provider: str
    dialect: str
    model: str
    opening: tuple[bytes, ...]
    """What comes before any content."""
    content: tuple[bytes, ...]
    error: tuple[bytes, ...]
    """How it says inside a stream that it failed."""

    def __str__(self) -> str:
        return self.provider


_MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-6",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
_TEXT_BLOCK = {"type": "text", "text": ""}
_TEXT_DELTA = {"type": "text_delta", "text": "Half an"}
ANTHROPIC = Upstream(
    "anthropic",
    "anthropic",
    "claude-sonnet-4-6",
    sse({"type": "message_start", "message": _MESSAGE}, {"type": "ping"}, named=True),
    sse(
        {"type": "content_block_start", "index": 0, "content_block": _TEXT_BLOCK},
        {"type": "content_block_delta", "index": 0, "delta": _TEXT_DELTA},
        named=True,
    ),
    sse(
        {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}},
        named=True,
    ),
)


def _chunk(**delta: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    shape = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "qwen3:8b"}
    return {**shape, "choices": [choice]}


CHAT = Upstream(
    "openai-compatible",
    "openai_chat",
    "qwen3:8b",
    (b": PROCESSING\n\n", *sse(_chunk(role="assistant", content=""))),
    sse(_chunk(content="Half an")),
    sse({"error": {"message": "worker died", "type": "server_error", "code": 500}}),
)

_RESPONSE: Json = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
_ITEM: Json = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
_AT: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
_PART: Json = {"type": "output_text", "text": "", "annotations": []}
_FAILED = {
    **_RESPONSE,
    "status": "failed",
    "error": {"code": "server_error", "message": "The model broke"},
}


def _numbered(*records: Json) -> tuple[bytes, ...]:
    return sse(*({**record, "sequence_number": n} for n, record in enumerate(records)), named=True)


CODEX = Upstream(
    "codex",
    "openai_responses",
    "gpt-5.5",
    _numbered({"type": "response.created", "response": _RESPONSE}),
    _numbered(
        {"type": "response.output_item.added", "output_index": 0, "item": _ITEM},
        {"type": "response.content_part.added", **_AT, "part": _PART},
        {"type": "response.output_text.delta", **_AT, "delta": "Half an"},
    ),
    _numbered({"type": "response.failed", "response": _FAILED}),
)

_HALF = {"content": {"role": "model", "parts": [{"text": "Half an"}]}, "index": 0}
GEMINI = Upstream(
    "gemini",
    "gemini",
    "gemini-2.5-flash",
    (),
    sse({"candidates": [_HALF], "usageMetadata": {"promptTokenCount": 3}}),
    sse({"error": {"code": 500, "message": "Internal error", "status": "INTERNAL"}}),
)

UPSTREAMS = (ANTHROPIC, CHAT, CODEX, GEMINI)
EVERY_UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS, ids=str)
EVERY_API = pytest.mark.parametrize("api", APIS)
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

GARBAGE = (b'data: {"type": "content\n\n',)
NEVER = ()


# ----------------------------------------------------------------- before anything was said


@EVERY_UPSTREAM
@EVERY_API
@pytest.mark.parametrize("ending", ["end", "garbage", "error", "nothing"])
async def test_a_stream_that_fails_before_any_content_is_asked_for_again(
    tmp_path, upstream, api, ending
):
    endings = {"end": NEVER, "garbage": GARBAGE, "error": upstream.error}
    async with asking(tmp_path, upstream.provider) as client:
        begun = upstream.opening if ending != "nothing" else NEVER
        client.rig.places.play_stream(upstream.provider, (*begun, *endings.get(ending, NEVER)))
        answer = await client.ask(upstream.model, "say whole", api, stream=True)
        assert who(answer) == f"demo-{upstream.provider}"
        assert b"whole" in answer.body
        assert b"Half" not in answer.body
        assert not broke_off(api, answer)
        assert len(client.asked) == 2


@EVERY_UPSTREAM
@BOTH_WAYS
@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_in_place_of_an_answer_is_asked_again_and_never_passed_on(
    tmp_path, upstream, stream, status
):
    page = Answer(status, "<html><head><title>Gateway</title></head><body>no</body></html>")
    async with asking(tmp_path, upstream.provider) as client:
        client.rig.places.play(upstream.provider, page)
        answer = await client.ask(upstream.model, "say whole", upstream.dialect, stream=stream)
        assert answer.status == 200
        assert b"whole" in answer.body
        client.rig.places.play(upstream.provider, page, times=3)
        answer = await client.ask(upstream.model, "say more", upstream.dialect, stream=stream)
        assert answer.status == 502
        assert b"<" not in answer.body
        assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(("upstream", "api"), list(zip(UPSTREAMS, reversed(APIS), strict=True)))
async def test_what_goes_on_failing_is_a_502_in_the_clients_dialect(tmp_path, upstream, api):
    async with asking(tmp_path, upstream.provider) as client:
        client.rig.places.play_stream(upstream.provider, upstream.opening, times=3)
        answer = await client.ask(upstream.model, api=api, stream=True)
        assert answer.status == 502
        assert upstream.model in answer.message
        assert len(client.asked) == 3


@EVERY_UPSTREAM
@BOTH_WAYS
async def test_another_account_is_asked_before_the_same_again(tmp_path, upstream, stream):
    people = (f"{upstream.provider}:ada", f"{upstream.provider}:grace")
    async with asking(tmp_path, *people) as client:
        client.rig.places.play(upstream.provider, Answer(500, {"error": {"message": "oops"}}))
        assert (await client.ask(upstream.model, stream=stream)).status == 200
        assert sorted(client.asked) == ["ada", "grace"]


LIMITS = {
    ANTHROPIC: {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}},
    CHAT: {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}},
    CODEX: {
        "type": "response.failed",
        "response": {
            **_FAILED,
            "error": {"code": "rate_limit_exceeded", "message": "Please try again in 20s."},
        },
    },
    GEMINI: {"error": {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED"}},
}


@EVERY_UPSTREAM
@EVERY_API
async def test_a_limit_that_is_told_inside_a_stream_is_a_limit(tmp_path, upstream, api):
    people = (f"{upstream.provider}:ada", f"{upstream.provider}:grace")
    async with asking(tmp_path, *people) as client:
        limit = sse(LIMITS[upstream], named="type" in LIMITS[upstream])
        client.rig.places.play_stream(upstream.provider, (*upstream.opening, *limit))
        answer = await client.ask(upstream.model, "say whole", api, stream=True)
        limited, free = client.asked
        assert who(answer) == free != limited
        row = model_row((await client.limits())[limited], upstream.model)
        assert row["state"] == "cooling-down"


# ----------------------------------------------------------------- after something was said


BREAKS = [
    pytest.param(upstream, api, ending, id=f"{upstream}-{api}-{ending}")
    for upstream in UPSTREAMS
    for api in APIS
    for ending in ("end", "garbage", "error")
    # Forwarded bytes are the upstream's own, whatever they are.
    if ending != "garbage" or api != upstream.dialect
]


@pytest.mark.parametrize(("upstream", "api", "ending"), BREAKS)
async def test_a_stream_that_breaks_off_says_so_in_the_clients_dialect(
    tmp_path, upstream, api, ending
):
    endings = {"end": NEVER, "garbage": GARBAGE, "error": upstream.error}
    records = (*upstream.opening, *upstream.content, *endings[ending])
    async with asking(tmp_path, upstream.provider) as client:
        client.rig.places.play_stream(upstream.provider, records)
        answer = await client.ask(upstream.model, "say whole", api, stream=True)
        assert b"Half an" in answer.body
        assert broke_off(api, answer)
        assert b"whole" not in answer.body, "no second answer is spliced in"
        assert len(client.asked) == 1
        assert (await client.ask(upstream.model, "say next", api)).status == 200


@EVERY_UPSTREAM
@EVERY_API
async def test_half_an_answer_that_is_not_streamed_is_asked_for_again(tmp_path, upstream, api):
    async with asking(tmp_path, upstream.provider) as client:
        records = (*upstream.opening, *upstream.content)
        client.rig.places.play_stream(upstream.provider, records)
        answer = await client.ask(upstream.model, "say whole", api)
        assert text_of(api, answer) == "whole"
        assert len(client.asked) == 2


@EVERY_API
@BOTH_WAYS
async def test_a_call_that_the_model_spoilt_after_some_text_is_no_clean_end(tmp_path, api, stream):
    spoilt = {"content": {"role": "model", "parts": []}, "finishReason": "MALFORMED_FUNCTION_CALL"}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    records = (*GEMINI.content, *sse({"candidates": [spoilt], "usageMetadata": usage}))
    async with asking(tmp_path, "gemini") as client:
        client.rig.places.play_stream("gemini", records)
        answer = await client.ask(GEMINI.model, "say whole", api, stream=stream)
        if not stream:
            assert text_of(api, answer) == "whole"
            assert len(client.asked) == 2
        elif api == "gemini":
            assert answer.body == b"".join(records), "forwarded, it speaks for itself"
        else:
            assert broke_off(api, answer)


NESTED = '{"a":' * 253 + "1" + "}" * 253
"""Arguments that can be read, and not be written inside a message."""


@BOTH_WAYS
async def test_what_cannot_be_written_breaks_off_and_leaves_the_connection_usable(tmp_path, stream):
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": NESTED}
    ends = {"stop_reason": "tool_use", "stop_sequence": None}
    call = sse(
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_delta", "index": 1, "delta": delta},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": ends, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
        named=True,
    )
    records = (*ANTHROPIC.opening, *ANTHROPIC.content, *call)
    async with asking(tmp_path, "anthropic") as client:
        client.rig.places.play_stream("anthropic", records)
        answer = await client.ask(ANTHROPIC.model, "say whole", "gemini", stream=stream)
        if stream:
            assert b"Half an" in answer.body
            assert broke_off("gemini", answer)
        else:
            assert answer.status == 502
        assert b"nests too deeply" in answer.body
        assert (await client.ask(ANTHROPIC.model, "say next", "gemini")).status == 200


# ----------------------------------------------------------------- silence

BRISK = settings_with(limits={"stall": 0.25})


@EVERY_UPSTREAM
@BOTH_WAYS
async def test_an_upstream_that_says_nothing_is_a_504(tmp_path, upstream, stream):
    other = "anthropic" if upstream.dialect == "gemini" else "gemini"
    async with asking(tmp_path, upstream.provider, settings=BRISK) as client:
        began = time.monotonic()
        answer = await client.ask(upstream.model, "fault=hang", other, stream=stream)
        assert answer.status == 504
        assert len(client.asked) == 3
        assert time.monotonic() - began < 5


@EVERY_UPSTREAM
@EVERY_API
async def test_an_upstream_that_falls_silent_after_content_breaks_off(tmp_path, upstream, api):
    async with asking(tmp_path, upstream.provider, settings=BRISK) as client:
        records = (*upstream.opening, *upstream.content, b": still there\n\n")
        client.rig.places.play_stream(upstream.provider, records, silence=30.0)
        answer = await client.ask(upstream.model, api=api, stream=True)
        assert b"Half an" in answer.body
        assert broke_off(api, answer)
        assert len(client.asked) == 1
