"""Lists of tools that come with every turn: read and declared once, and never mistaken."""

import gc
from copy import deepcopy
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from talking import talk, user

from mcp_proxy.conversation import Conversation, Tool
from mcp_proxy.dialects import PathTarget, client_dialect, upstream_dialect
from mcp_proxy.dialects.gemini.tools import Toolbox
from mcp_proxy.dialects.recent_tools import LONGEST, MOST, Recent
from mcp_proxy.errors import BadRequest
from mcp_proxy.policy.models import info

CLAUDE, GEMINI = info("claude-sonnet-4-6"), info("gemini-2.5-flash")


def declared(name: str, default: Any = 1, **fields: Any) -> dict[str, Any]:
    properties = {"count": {"type": "integer", "default": default}}
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": "counts", "input_schema": schema, **fields}


def read(*tools: dict[str, Any], dialect: str = "anthropic") -> Conversation:
    fields = BODIES[dialect] | {"tools": [SPELLED[dialect](tool) for tool in tools]}
    wire = orjson.loads(orjson.dumps(fields))
    return client_dialect(dialect).parse_request(wire, CIMultiDict(), PathTarget("m", stream=False))


def as_function(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        **{k: v for k, v in tool.items() if k != "input_schema"},
        "parameters": tool["input_schema"],
    }


SPELLED = {
    "anthropic": lambda tool: tool,
    "openai_chat": lambda tool: {"type": "function", "function": as_function(tool)},
    "openai_responses": lambda tool: {"type": "function", **as_function(tool)},
    "gemini": lambda tool: {"functionDeclarations": [as_function(tool)]},
}
SAID = [{"role": "user", "content": "hi"}]
BODIES = {
    "anthropic": {"model": "m", "max_tokens": 9, "messages": SAID},
    "openai_chat": {"model": "m", "messages": SAID},
    "openai_responses": {"model": "m", "input": "hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


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


@pytest.mark.parametrize("dialect", BODIES)
def test_the_same_json_is_the_same_tools(dialect):
    one, two = declared("a"), declared("b")
    first, again = read(one, two, dialect=dialect), read(one, two, dialect=dialect)
    assert [tool.name for tool in first.tools] == ["a", "b"]
    assert all(one is other for one, other in zip(first.tools, again.tools, strict=True))
    assert [tool.name for tool in read(two, one, dialect=dialect).tools] == ["b", "a"]
    assert len(read(one, dialect=dialect).tools) == 1
    assert read(dialect=dialect).tools == ()


@pytest.mark.parametrize("dialect", BODIES)
@pytest.mark.parametrize("default", [1, 1.0, True, "1", None, [1]])
def test_what_python_takes_for_equal_is_not_the_same_json(dialect, default):
    for other in (1, 1.0, True):
        read(declared("same", other), dialect=dialect)
    (tool,) = read(declared("same", default), dialect=dialect).tools
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


def test_the_older_list_of_chat_clients_counts_too():
    functions = [as_function(declared("a"))]
    body = {**BODIES["openai_chat"], "functions": functions}
    with_functions = client_dialect("openai_chat").parse_request(body, CIMultiDict())
    assert [tool.name for tool in with_functions.tools] == ["a"]
    both = client_dialect("openai_chat").parse_request(
        {**body, "tools": [SPELLED["openai_chat"](declared("b"))]}, CIMultiDict()
    )
    assert [tool.name for tool in both.tools] == ["b", "a"]


def test_tools_that_come_with_the_input_count_too():
    def named(*input_items: dict[str, Any]) -> list[str]:
        said = {"role": "user", "content": "hi"}
        body = {"model": "m", "input": [said, *input_items], "tools": []}
        asked = client_dialect("openai_responses").parse_request(body, CIMultiDict())
        return [tool.name for tool in asked.tools]

    def brought(name: str) -> dict[str, Any]:
        tools = [SPELLED["openai_responses"](declared(name))]
        return {"type": "additional_tools", "role": "developer", "tools": tools}

    assert named(brought("a")) == ["a"]
    assert named(brought("b"), brought("a")) == ["b", "a"]
    assert named() == []
