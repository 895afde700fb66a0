"""One upstream answer: what a client is promised does not depend on how the bytes arrive."""

from functools import partial

import pytest

from mcp_proxy.conversation import Conversation, Message, Reasoning, Text
from mcp_proxy.dialects import upstream_dialect
from mcp_proxy.engine.answering import Answering
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import Finished, Stop, TextDelta, UpstreamBroke, is_shown
from mcp_proxy.policy.models import info
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.providers import provider

MODEL = info("gemini-3-flash")
ASKED = Conversation("anthropic", MODEL.id, (Message("user", (Text("hi"),)),))
WORD = b'data: {"response":{"candidates":[{"content":{"parts":[{"text":"word"}]}}]}}\n\n'
SHOWN, HIDDEN = Reasoning("on"), Reasoning("off")
ERROR = b'data: {"error":{"code":500,"message":"boom","status":"INTERNAL"}}\n\n'
COMMENT = b": still here\n\n"


class Wire:
    """Bytes as an upstream may send them, chunk by chunk."""

    def __init__(self, *chunks, kind="text/event-stream", ends_with_last=False):
        self._chunks = list(chunks)
        self._ends_with_last = ends_with_last
        self.headers = {"Content-Type": kind}
        self.status = 200
        self.ended = None

    async def chunk(self):
        return self._chunks.pop(0) if self._chunks else b""

    rest = chunk

    async def pour(self, take):
        while self._chunks and take(self._chunks.pop(0)):
            pass

    @property
    def at_end(self):
        return self._ends_with_last and not self._chunks

    def finish(self):
        self.ended = "finished"

    def abort(self):
        self.ended = "aborted"


def answering(wire, *, stall=60.0, reasoning=SHOWN):
    return Answering(
        wire,
        provider("antigravity"),
        upstream_dialect("gemini").stream_parser(ASKED, MODEL),
        SealCollector(MODEL, ""),
        stall=stall,
        clock=lambda: 0.0,
        shows=partial(is_shown, dialect="anthropic", reasoning=reasoning),
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


async def test_an_error_that_nests_without_end_is_a_fault_like_others():
    told = b'data: {"error":{"message":"boom","details":%b}}\n\n' % (b"[" * 300 + b"]" * 300)
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(told)).begin()
    assert broke.value.failure.kind is FailureKind.UPSTREAM


async def test_a_fault_before_any_content_leaves_room_for_another_attempt():
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(ERROR + WORD)).begin()
    assert broke.value.failure.detail == "boom"


THOUGHT = WORD.replace(b'{"text"', b'{"thought":true,"text"')
UNKNOWN = WORD.replace(b'"text":"word"', b'"executableCode":{"code":"1"}')


def end(reason):
    return b'data: {"response":{"candidates":[{"finishReason":"%b"}]}}\n\n' % reason


COUNTED = (
    b'data: {"response":{"candidates":[{"content":{"parts":[{"text":"word"}]},'
    b'"finishReason":"STOP"}],"usageMetadata":{"candidatesTokenCount":1}}}\n\n'
)


async def test_an_answer_whose_connection_ends_with_it_is_finished_at_once():
    answer = answering(Wire(COUNTED, ends_with_last=True))
    await answer.begin()
    assert answer.finished
    assert answer.ended


@pytest.mark.parametrize("ends_with_last", [True, False])
async def test_a_record_that_might_be_the_last_is_followed_by_what_comes(ends_with_last):
    answer = answering(Wire(COUNTED, WORD, COUNTED, ends_with_last=ends_with_last))
    await answer.begin()
    events = list(answer.first)
    while not answer.finished:
        events += await answer.more()
    assert [event.text for event in events if type(event) is TextDelta] == ["word"] * 3


async def test_a_record_without_its_blank_line_is_part_of_the_end():
    answer = answering(Wire(COUNTED + COUNTED[:-2], ends_with_last=True))
    await answer.begin()
    assert not answer.finished
    events = await answer.more()
    assert TextDelta(0, "word") in events
    assert answer.finished


class BrokenWire(Wire):
    """One whose connection is reset after its last chunk."""

    async def chunk(self):
        if self._chunks:
            return self._chunks.pop(0)
        raise UpstreamBroke(Failure(FailureKind.UPSTREAM, "reset"))

    rest = chunk


async def test_a_whole_answer_stays_one_however_its_connection_ends():
    answer = answering(BrokenWire(COUNTED))
    await answer.begin()
    await answer.more()
    assert answer.finished


async def test_a_reset_between_records_that_all_have_a_reason_is_no_end():
    answer = answering(BrokenWire(COUNTED, COUNTED))
    await answer.begin()
    await answer.more()
    with pytest.raises(UpstreamBroke):
        await answer.more()


@pytest.mark.parametrize("unseen", [THOUGHT, UNKNOWN])
@pytest.mark.parametrize("together", [True, False])
async def test_what_the_client_does_not_see_is_no_answer(unseen, together):
    wire = Wire(unseen + end(b"STOP")) if together else Wire(unseen, end(b"STOP"))
    with pytest.raises(UpstreamBroke) as broke:
        await answering(wire, reasoning=HIDDEN).begin()
    assert broke.value.failure.kind is FailureKind.EMPTY


@pytest.mark.parametrize("unseen", [THOUGHT, UNKNOWN])
async def test_a_fault_after_what_the_client_does_not_see_leaves_room_for_another_attempt(unseen):
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(unseen + ERROR), reasoning=HIDDEN).begin()
    assert broke.value.failure.detail == "boom"


async def test_thoughts_that_the_client_sees_are_an_answer():
    answer = answering(Wire(THOUGHT, end(b"STOP")))
    await answer.begin()
    assert not answer.finished


async def test_hidden_thoughts_are_kept_for_when_there_is_more():
    answer = answering(Wire(THOUGHT, WORD, end(b"STOP")), reasoning=HIDDEN)
    await answer.begin()
    assert [event.text for event in answer.first if hasattr(event, "text")] == ["word", "word"]
    assert not answer.finished


@pytest.mark.parametrize(
    ("reason", "stop"), [(b"MAX_TOKENS", Stop.LENGTH), (b"SAFETY", Stop.REFUSAL)]
)
async def test_an_end_that_says_why_there_is_nothing_to_see_is_one(reason, stop):
    answer = answering(Wire(THOUGHT, end(reason)), reasoning=HIDDEN)
    await answer.begin()
    assert answer.first[-1] == Finished(stop)


async def test_comments_keep_a_connection_open_but_are_no_sign_of_an_answer():
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(*[COMMENT] * 5), stall=-1.0).begin()
    assert broke.value.failure.kind is FailureKind.SLOW


async def test_half_a_document_is_no_sign_of_an_answer_either():
    with pytest.raises(UpstreamBroke) as broke:
        await answering(Wire(*[b" "] * 5, kind="application/json"), stall=-1.0).begin()
    assert broke.value.failure.kind is FailureKind.SLOW


async def test_a_document_where_a_stream_was_asked_for_is_read_as_one():
    candidate = b'{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}'
    whole = b'[{"response":{"candidates":[' + candidate + b"]}}]"
    answer = answering(Wire(whole[:20], whole[20:], kind="application/json; charset=UTF-8"))
    await answer.begin()
    assert answer.finished
    assert TextDelta(0, "a") in answer.first


ENDING = (
    b'data: {"response":{"candidates":[{"finishReason":"STOP"}],'
    b'"usageMetadata":{"candidatesTokenCount":3}}}\n\n'
)


async def read(chunks, takes):
    """All events after the first, those that `takes` said yes to, and the fault at the end."""
    answer = answering(Wire(WORD, *chunks))
    await answer.begin()
    events, passed, fault = [], [], None

    def through(found):
        if takes is None or not takes(len(passed)):
            return False
        events.extend(found)
        passed.append(found)
        return True

    try:
        while not answer.finished:
            events += await answer.more(through if takes else None)
    except UpstreamBroke as broke:
        fault = broke.failure
    answer.close()
    return events, passed, fault


@pytest.mark.parametrize(
    "chunks",
    [
        [WORD, WORD, WORD, ENDING],
        [WORD, COMMENT, WORD[:20], WORD[20:] + WORD, WORD + ENDING],
        [WORD, ENDING, WORD, b""],
        [WORD, WORD],
        [WORD, WORD + ERROR],
        [WORD, b"data: {broken\n\n"],
    ],
    ids=["whole", "in any pieces", "more after the end", "no end", "told fault", "fault"],
)
@pytest.mark.parametrize(
    "takes", [lambda _: True, lambda count: count % 2 == 0], ids=["all", "some"]
)
async def test_events_are_the_same_whether_they_pass_through_or_are_asked_for(chunks, takes):
    events, passed, fault = await read(chunks, takes)
    assert (events, fault) == (await read(chunks, None))[::2]
    assert passed
    assert not any(type(event) is Finished for found in passed for event in found)
