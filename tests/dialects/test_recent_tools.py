"""Lists of tools that come with every turn: read and declared once, and never mistaken."""

import gc
from copy import deepcopy
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from talking import talk, user

from mcp_proxy.conversation import Conversation, Tool
from mcp_proxy.dialects import client_dialect, upstream_dialect
from mcp_proxy.dialects.gemini.tools import Toolbox
from mcp_proxy.dialects.recent_tools import LONGEST, MOST, Recent
from mcp_proxy.errors import BadRequest
from mcp_proxy.policy.models import info

CLAUDE, GEMINI = info("claude-sonnet-4-6"), info("gemini-2.5-flash")


def declared(name: str, default: Any = 1, **fields: Any) -> dict[str, Any]:
    properties = {"count": {"type": "integer", "default": default}}
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": "counts", "input_schema": schema, **fields}


def read(*tools: dict[str, Any]) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    wire = orjson.loads(orjson.dumps({**body, "tools": list(tools)}))
    return client_dialect("anthropic").parse_request(wire, CIMultiDict())


def sent(tools: tuple[Tool, ...], model: Any = CLAUDE) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(orjson.dumps(Toolbox(tools, model).declarations()))
    return found


def test_the_last_few_are_found_and_the_one_unused_for_longest_goes_first():
    recent = Recent[bytes, int]()
    for number in range(MOST):
        recent.keep(b"%d" % number, number)
    assert recent.get(b"0") == 0
    recent.keep(b"new", -1)
    assert recent.get(b"1") is None
    assert [recent.get(b"%d" % number) for number in (0, 2, MOST - 1)] == [0, 2, MOST - 1]
    assert recent.get(b"new") == -1


def test_the_same_json_is_the_same_tools():
    first, again = read(declared("a"), declared("b")), read(declared("a"), declared("b"))
    assert all(one is other for one, other in zip(first.tools, again.tools, strict=True))
    assert [tool.name for tool in read(declared("b"), declared("a")).tools] == ["b", "a"]
    assert len(read(declared("a")).tools) == 1


@pytest.mark.parametrize("default", [1, 1.0, True, "1", None, [1]])
def test_what_python_takes_for_equal_is_not_the_same_json(default):
    for other in (1, 1.0, True):
        read(declared("same", other))
    (tool,) = read(declared("same", default)).tools
    found = tool.schema["properties"]["count"]["default"]
    assert (type(found), found) == (type(default), default)


def test_a_list_that_was_refused_is_refused_again():
    for _ in range(2):
        with pytest.raises(BadRequest, match="must not be empty"):
            read(declared(""))


def test_a_very_long_list_is_read_and_not_kept():
    long = declared("long", description="x" * LONGEST)
    first, again = read(long), read(long)
    assert first.tools == again.tools
    assert first.tools[0] is not again.tools[0]
    assert sent(first.tools) == sent(again.tools)


def test_declarations_are_those_of_the_model_and_of_the_tools():
    tools = read(declared("a.b"), declared("a_b")).tools
    for _ in range(2):
        assert [each["name"] for each in sent(tools)] == ["a_b_2", "a_b"]
        assert [each["name"] for each in sent(tools[:1])] == ["a_b"]
        assert [each["name"] for each in sent(tools[::-1])] == ["a_b", "a_b_2"]
    empty = read(declared("none", input_schema={"type": "object"})).tools
    assert sent(empty, CLAUDE) != sent(empty, GEMINI)
    assert sent(empty, CLAUDE) == sent(empty, CLAUDE)


def test_tools_that_are_gone_are_not_taken_for_new_ones_in_their_place():
    for number in range(20 * MOST):
        tools = (Tool(f"tool_{number}", "", {"type": "object"}),)
        assert [each["name"] for each in sent(tools)] == [f"tool_{number}"]
        del tools
        gc.collect(0)


@pytest.mark.parametrize("dialect", ["anthropic", "openai_chat", "openai_responses", "gemini"])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_nobody_changes_a_tool_that_others_will_be_sent_too(dialect, model):
    tools = read(declared("a.b", strict=True), declared("c", input_schema={})).tools
    before = deepcopy(tools)
    conversation = talk(user("hi"), tools=tools)
    upstream_dialect(dialect).render_request(conversation, model)
    assert tools == before
