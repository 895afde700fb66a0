"""What is known of a conversation from its last request changes nothing that is made of the next.

Each request is read and rendered twice: as the server does it, going on from those before, and by
itself. The bounds below which that is not worth it are taken away, so that short ones show it.
"""

import json
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import recent_messages
from mcp_proxy.dialects.anthropic.request import parse_request
from mcp_proxy.dialects.gemini import contents, recent_turns
from mcp_proxy.dialects.gemini.request import render_request
from mcp_proxy.dialects.recent_messages import RecentMessages, Resumed
from mcp_proxy.errors import BadRequest
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy import models
from mcp_proxy.policy.repair import repair
from mcp_proxy.strict_json import read_object

Json = dict[str, Any]

CLAUDE = models.info("claude-sonnet-4-6")
GEMINI = models.info("gemini-3-pro-high")
PAINTER = models.info("gemini-3.1-flash-image")


@pytest.fixture(autouse=True, scope="module")
def _unbounded() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_messages, "SHORTEST", 0)
        patch.setattr(contents, "SHORTEST", 1)
        yield


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def cached(text: str) -> Json:
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    return {"role": "user", "content": [block]}


def call(number: int, name: str = "read", text: str = "I look – ») ") -> Json:
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {"at": number}}
    return {"role": "assistant", "content": [{"type": "text", "text": text}, use]}


def result(*numbers: int, text: str = "found it") -> Json:
    return {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_{each}", "content": text}
            for each in numbers
        ],
    }


def loop(turns: int) -> list[Json]:
    """A question and so many calls with their results."""
    return [user("do it"), *(each for n in range(turns) for each in (call(n), result(n)))]


def tools(*names: str) -> list[Json]:
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


READING = tools("read")


def written(messages: list[Any], tools: list[Json] = READING) -> bytes:
    """As Claude Code orders and writes a request."""
    body = {"model": "m", "messages": messages, "tools": tools, "max_tokens": 99}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def alone(body: bytes) -> Conversation:
    return parse_request(read_object(body), {})


def rendered(conversation: Conversation, model: ModelInfo) -> Any:
    mended, _ = repair(conversation, model.family, "gemini")
    return orjson.loads(orjson.dumps(render_request(mended, model)))


class Reader:
    """Reads as the server does; every answer is compared with what the request is by itself."""

    def __init__(self) -> None:
        self._read = RecentMessages().read
        self.known = 0
        """Messages of the last request that had not to be read."""

    def __call__(self, body: bytes) -> Conversation:
        expected = alone(body)
        request = self._read(body)
        messages = request["messages"]
        self.known = len(messages.before) if type(messages) is Resumed else 0
        conversation = parse_request(request, {})
        assert conversation == expected
        for model in (CLAUDE, GEMINI):
            assert rendered(conversation, model) == rendered(alone(body), model)
        return conversation


# ------------------------------------------------------------------ what is known again


def test_only_what_is_new_is_read_and_rendered() -> None:
    read = Reader()
    first = read(written(loop(5)))
    assert read.known == 0
    second = read(written(loop(7)))
    assert read.known == 11
    assert all(map(operator.is_, first.messages, second.messages))
    third = read(written(loop(8)))
    turns = render_request(third, CLAUDE)["contents"]
    assert [type(turn) for turn in turns[-3:]] == [orjson.Fragment, orjson.Fragment, dict]
    assert read.known == 15


def test_the_mark_of_a_cache_moves_on_with_the_turns() -> None:
    read = Reader()
    for at in range(3, 9):
        read(written([*loop(at), call(at), cached(f"and {at}")]))
    assert read.known == 16  # all that there was, but for the text, which has no mark any more


def test_two_branches_of_one_conversation_are_both_known() -> None:
    read = Reader()
    trunk = loop(6)
    for at in range(3):
        for branch in "ab":
            read(written([*trunk[:4], user(branch), *loop(6 + at)[5:]]))
    assert read.known > 10


def test_names_that_had_to_be_changed_stay_apart() -> None:
    read = Reader()
    messages = [user("do it"), call(0, "a name: "), result(0), user("and on")]
    for at, name in enumerate(("read", "a name; ", "a name! "), 1):
        read(written(messages))
        read(written(messages))
        messages += [call(at, name), result(at), user("and on")]
    read(written(messages))


def test_names_that_had_to_be_changed_go_by_the_tools_of_the_request() -> None:
    read = Reader()
    names = ["a name: ", "a name; "]
    messages = [user("do it"), *(each for n in (0, 1) for each in (call(n, names[n]), result(n)))]
    for declared in (names, names, names, names[::-1], names):
        read(written([*messages, user("and on")], tools(*declared)))


def test_a_model_that_takes_no_tools_has_names_of_its_own() -> None:
    names = ["a name: ", "a name; "]
    messages = [user("do it"), *(each for n in (0, 1) for each in (call(n, names[n]), result(n)))]
    body = written([*messages, user("and on")], tools(*names[::-1]))
    conversation = alone(body)
    for model in (GEMINI, GEMINI, GEMINI, PAINTER):
        assert rendered(conversation, model) == rendered(alone(body), model)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI], ids=lambda model: model.id)
def test_any_part_of_what_is_known_is_rendered_as_by_itself(model: ModelInfo) -> None:
    conversation = alone(written(loop(6)))
    for _ in range(3):
        assert rendered(conversation, model) == rendered(alone(written(loop(6))), model)
    for count in range(1, len(conversation.messages)):
        part = replace(conversation, messages=conversation.messages[:count])
        assert rendered(part, model) == rendered(alone(written(loop(6)[:count])), model)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda body: json.dumps(body, indent=1), id="indented"),
        pytest.param(lambda body: json.dumps(body), id="escaped"),
        pytest.param(lambda body: json.dumps(dict(reversed(body.items()))), id="another order"),
        pytest.param(lambda body: "\ufeff" + json.dumps(body), id="byte order mark"),
    ],
)
def test_json_that_is_written_in_another_way_is_read_all_the_same(write) -> None:
    read = Reader()
    for turns in (4, 5, 6):
        read(write({"model": "m", "messages": loop(turns), "max_tokens": 99}).encode())


def test_of_a_key_that_is_repeated_the_last_counts() -> None:
    read = Reader()
    read(written(loop(4)))
    whole = written(loop(5))
    other = json.dumps([user("something else"), call(1), result(1)]).encode()
    read(whole[:-1] + b',"messages":' + other + b"}")
    read(whole[:-1] + b',"model":"another"}')
    read(written(loop(6)))
    assert read.known


# ------------------------------------------------------------------ what is wrong with a request


def refusal(body: bytes, recent: RecentMessages | None = None) -> tuple[str, str | None]:
    with pytest.raises(BadRequest) as caught:
        parse_request(read_object(body) if recent is None else recent.read(body), {})
    return str(caught.value), caught.value.param


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "robot", "content": "hi"},
        {"role": "user", "content": 7},
        {"role": "user", "content": [{"type": "text"}]},
        "no object",
        None,
    ],
)
def test_a_fault_is_told_where_it_stands(wrong: Any) -> None:
    recent = RecentMessages()
    parse_request(recent.read(written(loop(4))), {})
    body = written([*loop(4), call(9), wrong])
    assert refusal(body, recent) == refusal(body)
    assert refusal(body)[1].startswith("messages[10]")


@pytest.mark.parametrize("tail", [b"", b"]", b'],"model":', b",", b"]}}", b'],"x":NaN}'])
def test_broken_json_is_told_as_if_all_of_it_had_been_read(tail: bytes) -> None:
    recent = RecentMessages()
    whole = written(loop(4))
    parse_request(recent.read(whole), {})
    body = whole[: whole.index(b',"tools"') - 1] + tail
    assert refusal(body, recent) == refusal(body)


# ------------------------------------------------------------------ bounds


def test_few_conversations_are_kept_and_the_ones_in_use_longest() -> None:
    read = Reader()
    for name in range(recent_messages.MOST + 2):
        read(written([user(f"name {name}"), *loop(3)[1:]]))
        read(written([user("name 0"), *loop(3)[1:]]))
        assert name == 0 or read.known
    read(written([user("name 1"), *loop(3)[1:]]))
    assert not read.known


def test_no_more_bytes_are_kept_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_messages, "MOST_BYTES", 5000)
    monkeypatch.setattr(recent_turns, "MOST_BYTES", 5000)
    read = Reader()
    for turns in (3, 4, 60, 61, 62, 3, 4, 5):
        read(written(loop(turns)))


# ------------------------------------------------------------------ any course of a conversation

TEXTS = st.sampled_from(["", " ", "hi", "a – b", '\u0000\u2028\x7f\\"/', "said \n"])
MESSAGES = st.one_of(
    TEXTS.map(user),
    TEXTS.map(cached),
    TEXTS.map(lambda text: {"role": "assistant", "content": text}),
    TEXTS.map(lambda text: {"role": "system", "content": text}),
    st.builds(call, st.integers(0, 5), st.sampled_from(["read", "write", "a name: ", "a name; "])),
    st.lists(st.integers(0, 5), min_size=1, max_size=3).map(lambda numbers: result(*numbers)),
    TEXTS.map(
        lambda text: {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": text, "signature": "c2ln"}],
        }
    ),
)
NAMES = st.sampled_from(
    [(), ("read",), ("read", "write"), ("read", "write", "a name: "), ("read", "a name; ", "write")]
)
EDITS = st.tuples(st.integers(0, 6), st.lists(MESSAGES, max_size=5), st.none() | st.none() | NAMES)
"""How many messages go, what follows then, and other tools, if any."""


@given(st.lists(EDITS, min_size=2, max_size=8), NAMES)
def test_any_course_of_a_conversation(edits, names) -> None:
    read = Reader()
    messages: list[Json] = loop(2)
    for cut, more, others in edits:
        messages = [*messages[: max(len(messages) - cut, 1)], *more]
        names = names if others is None else others
        read(written(messages, tools(*names)))
