"""One upstream answer: what a client is promised does not depend on how the bytes arrive."""

import pytest

from mcp_proxy.conversation import Conversation, Message, Text
from mcp_proxy.dialects import upstream_dialect
from mcp_proxy.engine.answering import Answering
from mcp_proxy.errors import FailureKind
from mcp_proxy.events import TextDelta, UpstreamBroke
from mcp_proxy.policy.models import info
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.providers import provider

MODEL = info("gemini-3-flash")
ASKED = Conversation("anthropic", MODEL.id, (Message("user", (Text("hi"),)),))
WORD = b'data: {"response":{"candidates":[{"content":{"parts":[{"text":"word"}]}}]}}\n\n'
ERROR = b'data: {"error":{"code":500,"message":"boom","status":"INTERNAL"}}\n\n'
COMMENT = b": still here\n\n"


class Wire:
    """Bytes as an upstream may send them, chunk by chunk."""

    def __init__(self, *chunks, kind="text/event-stream"):
        self._chunks = list(chunks)
        self.headers = {"Content-Type": kind}
        self.status = 200
        self.ended = None

    async def chunk(self):
        return self._chunks.pop(0) if self._chunks else b""

    def finish(self):
        self.ended = "finished"

    def abort(self):
        self.ended = "aborted"


def answering(wire, *, stall=60.0):
    return Answering(
        wire,
        provider("antigravity"),
        upstream_dialect("gemini").stream_parser(ASKED, MODEL),
        SealCollector(MODEL),
        stall=stall,
        clock=lambda: 0.0,
    )


@pytest.mark.parametrize("fault", [ERROR, b"data: {broken\n\n", b"data: 7\n\n"])
@pytest.mark.parametrize("together", [True, False])
async def test_content_before_a_fault_has_begun_the_answer_however_both_arrive(fault, together):
    wire = Wire(WORD + fault) if together else Wire(WORD, fault)
    answer = answering(wire)
    await answer.begin()
    assert TextDelta(0, "word") in answer.first
    with pytest.raises(UpstreamBroke):
        await answer.more()
    answer.close()
    assert wire.ended == "aborted"


async def test_a_fault_before_any_content_leaves_room_for_another_attempt():
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(ERROR + WORD)).begin()
    assert broke.value.failure.detail == "boom"


async def test_comments_keep_a_connection_open_but_are_no_sign_of_an_answer():
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(*[COMMENT] * 5), stall=-1.0).begin()
    assert broke.value.failure.kind is FailureKind.SLOW


async def test_a_document_where_a_stream_was_asked_for_is_read_as_one():
    candidate = b'{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}'
    whole = b'[{"response":{"candidates":[' + candidate + b"]}}]"
    answer = answering(Wire(whole[:20], whole[20:], kind="application/json; charset=UTF-8"))
    await answer.begin()
    assert answer.finished
    assert TextDelta(0, "a") in answer.first
