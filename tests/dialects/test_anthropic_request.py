"""Messages requests -> conversations, and which are refused at which path."""

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    Conversation,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Sampling,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.anthropic import CLIENT
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import LARGEST

PNG = "iVBORw0KGgo="
WEATHER = {"name": "weather", "description": "Tells it", "input_schema": {"type": "object"}}
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
SESSION = "0444ee3f-a98b-4309-9fc9-dd99f1f057f2"


def body(**fields: Any) -> dict[str, Any]:
    needed = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    return {**needed, **fields}


def parse(headers: dict[str, str] | None = None, **fields: Any) -> Conversation:
    return CLIENT.parse_request(body(**fields), CIMultiDict(headers or {}))


def parts(*blocks: Any, role: str | None = None) -> tuple[Any, ...]:
    """The parts of a message of that role; without one, of the side that may say the last block."""
    if role is None:
        last = blocks[-1]
        kind = last.get("type") if isinstance(last, dict) else None
        of_model = ("thinking", "redacted_thinking", "tool_use")
        role = "assistant" if kind in of_model else "user"
    return parse(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source}


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", **fields}


# The whole


def test_smallest_request():
    assert parse() == Conversation(
        dialect="anthropic",
        model="m",
        messages=(Message("user", (Text("?"),)),),
        sampling=Sampling(max_tokens=9),
        # Who says nothing of thinking gets none from this API.
        reasoning=Reasoning(by_default=False),
    )


def test_model_stays_as_the_client_spelled_it():
    assert parse(model="claude-opus-4-8[1m]").model == "claude-opus-4-8[1m]"


def test_stream_is_asked_for_in_the_body():
    assert parse(stream=True).wants_stream


def test_unknown_fields_are_kept_and_advisory_ones_are_named():
    conversation = parse(service_tier="auto", from_the_future={"a": 1}, cache_control=None)
    assert conversation.extras == {
        "service_tier": "auto",
        "from_the_future": {"a": 1},
        "cache_control": None,
    }
    assert conversation.ignored == ("service_tier", "cache_control")


# Messages and system


def test_roles_stay_as_they_are_also_system_in_the_middle():
    conversation = parse(
        messages=[
            {"role": "user", "content": "a"},
            {"role": "system", "content": "b"},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
        ]
    )
    assert conversation.messages == (
        Message("user", (Text("a"),)),
        Message("system", (Text("b"),)),
        Message("assistant", (Text("c"),)),
    )


def test_message_without_content_stays_a_message():
    empty = [{"role": "user", "content": ""}, {"role": "assistant", "content": []}]
    assert parse(messages=empty).messages == (Message("user", ()), Message("assistant", ()))


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        (None, []),
        ("", []),
        ("be kind", ["be kind"]),
        ([{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "text", "text": ""}, {"type": "from_the_future"}], []),
        ([{"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"}], []),
        ("x-anthropic-billing-header: cc_version=2;\nbe kind", ["be kind"]),
        ("no x-anthropic-billing-header: here", ["no x-anthropic-billing-header: here"]),
    ],
)
def test_system(system, texts):
    assert [text.text for text in parse(system=system).system] == list(texts)


# Blocks


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}, Text("hi")),
        (image(type="base64", media_type="image/png", data=PNG), Media("image/png", PNG)),
        (
            image(type="base64", media_type="image/png", data="iVBO\nRw0K\n"),
            Media("image/png", "iVBORw0K"),
        ),
        (image(type="url", url="https://x.test/a"), Media("image/*", url="https://x.test/a")),
        (
            document(type="base64", media_type="application/pdf", data=PNG),
            Media("application/pdf", PNG),
        ),
        (
            document(type="base64", data=PNG) | {"title": "d"},
            Media("application/pdf", PNG, name="d"),
        ),
        (
            document(type="url", url="https://x.test/a"),
            Media("application/pdf", url="https://x.test/a"),
        ),
        (document(type="text", media_type="text/plain", data="body"), Text("body")),
        (document(type="text", data="body") | {"title": "T", "context": "C"}, Text("T\nC\nbody")),
        (document(type="content", content="body"), Text("body")),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "S",
                "content": [{"type": "text", "text": "x"}],
            },
            Text("T\nS\nx"),
        ),
        (
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            Thinking("hm", Seal(UNKNOWN_ORIGIN, "s")),
        ),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Thinking("hm")),
        ({"type": "thinking", "thinking": "hm"}, Thinking("hm")),
        (
            {"type": "redacted_thinking", "data": "b"},
            Thinking("", Seal(UNKNOWN_ORIGIN, "b"), redacted=True),
        ),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, "é"]}},
            ToolCall("t1", "f", '{"a":[1,"é"]}'),
        ),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, ToolCall("t1", "f", "{}")),
        ({"type": "tool_use", "id": "t1", "name": "f"}, ToolCall("t1", "f", "{}")),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "thoughtSignature": "s"},
            ToolCall("t1", "f", "{}", Seal(UNKNOWN_ORIGIN, "s")),
        ),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "thought_signature": "s"},
            ToolCall("t1", "f", "{}", Seal(UNKNOWN_ORIGIN, "s")),
        ),
        (result(), ToolResult("t1")),
        (result(content=None), ToolResult("t1")),
        (result(content=""), ToolResult("t1")),
        (result(content="18C", cache_control={}), ToolResult("t1", (Text("18C"),))),
        (result(content="no", is_error=True), ToolResult("t1", (Text("no"),), is_error=True)),
        (
            {"type": "server_tool_use", "id": "s1", "name": "web_search"},
            Verbatim("anthropic", {"type": "server_tool_use", "id": "s1", "name": "web_search"}),
        ),
    ],
)
def test_block(block, part):
    assert parts(block) == (part,)


def test_tool_result_holds_text_images_documents_and_what_a_search_found():
    content = [
        {"type": "text", "text": "see"},
        image(type="base64", media_type="image/png", data=PNG),
        document(type="base64", media_type="application/pdf", data=PNG),
        {"type": "search_result", "title": "T", "source": "S", "content": []},
        {"type": "tool_reference", "tool_name": "weather"},
        {"type": "from_the_future"},
    ]
    assert parts(result(content=content)) == (
        ToolResult(
            "t1",
            (
                Text("see"),
                Media("image/png", PNG),
                Media("application/pdf", PNG),
                Text("T\nS"),
                Text("Tool found: weather"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            {"type": "base64", "data": PNG},
            (Text("C"), Media("application/pdf", PNG, name="T")),
        ),
        (
            {"type": "url", "url": "https://x.test/a"},
            (Text("C"), Media("application/pdf", url="https://x.test/a", name="T")),
        ),
        ({"type": "content", "content": "body"}, (Text("T\nC"), Text("body"))),
        ({"type": "text", "data": "body"}, (Text("T\nC\nbody"),)),
    ],
)
def test_title_and_context_of_a_document_are_not_lost(source, found):
    told = document(**source) | {"title": "T", "context": "C"}
    assert parts(told) == found
    assert parts(result(content=[told])) == (ToolResult("t1", found),)


def test_document_made_of_blocks_is_laid_flat():
    content = [{"type": "text", "text": "a"}, image(type="url", url="https://x.test/a")]
    assert parts(document(type="content", content=content), {"type": "text", "text": "b"}) == (
        Text("a"),
        Media("image/*", url="https://x.test/a"),
        Text("b"),
    )


# Tools


def test_tools_keep_their_order_and_their_schema_untouched():
    schema = {"$schema": "x", "type": "OBJECT", "properties": {"a": {"$ref": "#"}}}
    conversation = parse(
        tools=[
            WEATHER,
            {"name": "bare", "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "strict", "input_schema": schema, "strict": True},
        ]
    )
    assert conversation.tools == (
        Tool("weather", "Tells it", {"type": "object"}),
        Tool("bare", "", {}),
        Tool("strict", "", schema, strict=True),
    )


@pytest.mark.parametrize("schema", [None, True, "object", []])
def test_a_schema_that_is_no_object_constrains_nothing(schema):
    assert parse(tools=[{"name": "f", "input_schema": schema}]).tools == (Tool("f", "", {}),)


AS_OTHERS_HAVE_IT = [
    {"name": "weather", "description": "Tells it", "parameters": WEATHER["input_schema"]},
    {"type": "function", "name": "weather", "function": {**WEATHER, "name": "another"}},
    {"type": "custom", "custom": WEATHER},
    {"name": "weather", "custom": {**WEATHER, "name": "another"}, "function": None},
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells it",
            "parameters": WEATHER["input_schema"],
        },
    },
]


@pytest.mark.parametrize("tool", AS_OTHERS_HAVE_IT)
def test_tools_in_the_shapes_of_other_apis_are_offered_with_their_schema(tool):
    assert parse(tools=[tool]).tools == parse(tools=[WEATHER]).tools


def test_of_two_tools_with_one_name_the_first_is_offered():
    conversation = parse(tools=[WEATHER, {**WEATHER, "description": "another"}])
    assert [tool.description for tool in conversation.tools] == ["Tells it"]


@pytest.mark.parametrize(
    "tool",
    [
        WEB_SEARCH,
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "edit"},
        {"type": "tool_search_tool_bm25_20251119", "name": "tool_search"},
        {"type": "mcp_toolset", "mcp_server_name": "x"},
    ],
)
def test_tools_that_anthropic_defines_are_kept_apart(tool):
    conversation = parse(tools=[tool, WEATHER])
    assert conversation.server_tools == (Verbatim("anthropic", tool),)
    assert [tool.name for tool in conversation.tools] == ["weather"]


def test_predefined_tool_with_a_schema_can_be_offered_as_a_function():
    tool = {"type": "bash_20250124", "name": "bash", "input_schema": {"type": "object"}}
    assert parse(tools=[tool]).tools == (Tool("bash", "", {"type": "object"}),)


@pytest.mark.parametrize(
    ("choice", "parsed"),
    [
        (None, ToolChoice()),
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any"}, ToolChoice("any")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "weather"}, ToolChoice("any", ("weather",))),
        ({"type": "tool", "name": "web_search"}, ToolChoice()),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(parallel=False)),
        (
            {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            ToolChoice("any", ("weather",), parallel=False),
        ),
    ],
)
def test_tool_choice(choice, parsed):
    assert parse(tools=[WEATHER, WEB_SEARCH], tool_choice=choice).tool_choice == parsed


def test_a_call_may_be_required_where_only_the_upstream_has_tools():
    conversation = parse(tools=[WEB_SEARCH], tool_choice={"type": "any"})
    assert conversation.tool_choice == ToolChoice("any")


# Settings


def test_sampling():
    conversation = parse(
        max_tokens=64.0, temperature=2, top_p=0.5, top_k=40, stop_sequences=["\n\nHuman:", ""]
    )
    assert conversation.sampling == Sampling(64, 2.0, 0.5, 40, ("\n\nHuman:",))


def test_limits_that_no_model_has_are_no_fault():
    thinking = {"type": "enabled", "budget_tokens": 2.0**70}
    conversation = parse(max_tokens=2.0**70, thinking=thinking)
    assert conversation.sampling.max_tokens == conversation.reasoning.budget == LARGEST


def test_max_tokens_may_be_zero_to_warm_a_cache():
    assert parse(max_tokens=0).sampling.max_tokens == 0


def test_counting_needs_no_max_tokens():
    counted = {"model": "m", "messages": [{"role": "user", "content": "foo"}], "tools": []}
    assert CLIENT.parse_count_request(counted, CIMultiDict()).sampling.max_tokens is None


said = partial(Reasoning, by_default=False)


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, said()),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, said("on", 8000)),
        ({"thinking": {"type": "enabled"}}, said("on")),
        ({"thinking": {"type": "disabled", "budget_tokens": 8000}}, said("off")),
        ({"thinking": {"type": "adaptive"}}, said("adaptive")),
        ({"thinking": {"type": "between_tools"}}, said("adaptive")),
        ({"thinking": {"type": "from_the_future"}}, said("adaptive")),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            said("adaptive", visible=False),
        ),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, said("adaptive")),
        ({"output_config": {"effort": "xhigh"}}, said(effort="xhigh")),
        ({"output_config": {"effort": "from_the_future"}}, said()),
        ({"output_config": {"effort": None}}, said()),
    ],
)
def test_reasoning(fields, reasoning):
    assert parse(**fields).reasoning == reasoning


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        (
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            OutputFormat(SCHEMA),
        ),
        ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, OutputFormat(SCHEMA)),
        ({"output_config": {"format": {"type": "from_the_future"}}}, None),
        ({"output_config": {"effort": "low"}}, None),
    ],
)
def test_output_format(fields, output):
    assert parse(**fields).output == output


@pytest.mark.parametrize(
    ("headers", "user_id", "session"),
    [
        ({"X-Claude-Code-Session-Id": "a", "x-session-id": "b"}, None, "a"),
        ({"x-session-id": "b"}, json.dumps({"session_id": "c"}), "b"),
        ({"x-session-affinity": "b"}, None, "b"),
        ({}, json.dumps({"device_id": "0", "session_id": SESSION}), SESSION),
        ({}, f"user_00_account_{SESSION[::-1]}_session_{SESSION}", SESSION),
        ({}, "somebody", None),
        ({}, "{no json", None),
        ({}, '{"session_id": 5}', None),
        ({}, None, None),
    ],
)
def test_session(headers, user_id, session):
    assert parse(headers, metadata={"user_id": user_id}).session == session


# Refusals


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "sytem", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 2.0**70}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [5]}, "stop_sequences[0]"),
        ({"stream": "yes"}, "stream"),
        ({"system": 5}, "system"),
        ({"system": ["x"]}, "system[0]"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "", "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "function": {"parameters": {}}}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "function": "f"}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [], "tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name"),
    ],
)
def test_refused_field_is_named(fields, param):
    with pytest.raises(BadRequest) as refused:
        parse(**fields)
    assert refused.value.param == param
    assert refused.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ("hi", ""),
        ({}, ".type"),
        ({"type": ["text"]}, ".type"),
        ({"type": "text"}, ".text"),
        ({"type": "text", "text": 5}, ".text"),
        ({"type": "image"}, ".source"),
        (image(), ".source.type"),
        (image(type="file", file_id="f"), ".source.type"),
        (image(type="text", data="x"), ".source.type"),
        (image(type="base64", data=PNG), ".source.media_type"),
        (image(type="base64", media_type="image/png"), ".source.data"),
        (image(type="base64", media_type="image/png", data=""), ".source.data"),
        (image(type="base64", media_type="image/png", data="not-base64"), ".source.data"),
        (image(type="base64", media_type="image/png", data="ключ"), ".source.data"),
        (image(type="base64", media_type="image/png", data="AAA"), ".source.data"),
        (image(type="base64", media_type="image/png", data="AA==AA=="), ".source.data"),
        (document(type="base64", data="%%%%"), ".source.data"),
        (document(type="file", file_id="f"), ".source.type"),
        (document(type="content", content=[{"type": "text"}]), ".source.content[0].text"),
        ({"type": "tool_use", "name": "f", "input": {}}, ".id"),
        ({"type": "tool_use", "id": "t1", "input": {}}, ".name"),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": "{}"}, ".input"),
        ({"type": "tool_result"}, ".tool_use_id"),
        (result(content=5), ".content"),
        (result(content=[image(type="file")]), ".content[0].source.type"),
        (result(is_error="yes"), ".is_error"),
        ({"type": "thinking", "thinking": 5}, ".thinking"),
        ({"type": "redacted_thinking"}, ".data"),
        ({"type": "tool_reference"}, None),
    ],
)
def test_refused_block_is_named(block, param):
    if param is None:
        block, param = result(content=[block]), ".content[0].tool_name"
    with pytest.raises(BadRequest) as refused:
        parts({"type": "text", "text": "fine"}, block)
    assert refused.value.param == f"messages[0].content[1]{param}"


CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


@pytest.mark.parametrize(
    ("block", "role", "speaker"),
    [
        (result(content="18C"), "assistant", "user"),
        (CALL, "user", "assistant"),
        (CALL, "system", "assistant"),
        (THOUGHT, "user", "assistant"),
        ({"type": "redacted_thinking", "data": "b"}, "user", "assistant"),
    ],
)
# Beside a block that is not of the common kinds all blocks take another way.
@pytest.mark.parametrize("first", [{"type": "text", "text": "fine"}, {"type": "from_the_future"}])
def test_what_only_the_other_side_may_say_is_refused(block, role, speaker, first):
    with pytest.raises(BadRequest) as refused:
        parts(first, block, role=role)
    assert refused.value.message == (
        f"messages[0].content[1]: `{block['type']}` blocks can only be in `{speaker}` messages"
    )
    assert refused.value.param == "messages[0].content[1]"


WORDS = [
    *("model", "messages", "system", "tools", "tool_choice", "thinking", "metadata", "thread"),
    *("output_config", "format", "effort", "role", "content", "type", "text", "source", "data"),
    *("name", "input", "input_schema", "id", "tool_use_id", "signature", "user_id", "title"),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["text", "image", "document", "tool_use", "tool_result", "thinking", "search_result", "x"]
)
BLOCKS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    KINDS,
    st.dictionaries(st.sampled_from(WORDS), JSON_VALUES, max_size=5),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(BLOCKS)}
    ),
    max_size=3,
)


@given(st.dictionaries(st.sampled_from(WORDS), JSON_VALUES), st.just([]) | MESSAGES | JSON_VALUES)
def test_whatever_is_sent_either_parses_or_is_a_refusal_that_names_the_field(fields, messages):
    fault = "none"
    try:
        parse(**{**fields, "messages": messages})
    except BadRequest as refused:
        fault = refused.param
    assert fault


def test_a_call_whose_input_nests_without_end_is_refused_by_its_path():
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(BadRequest) as refused:
        parts({"type": "tool_use", "id": "toolu_1", "name": "f", "input": deep}, role="assistant")
    assert refused.value.param == "messages[0].content[0].input"
