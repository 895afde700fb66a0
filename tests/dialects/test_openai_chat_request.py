"""Chat Completions requests -> Conversation: what is kept, what is refused and under which name."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from mcp_proxy.dialects import client_dialect
from mcp_proxy.dialects.openai_tools import free_text
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import LARGEST

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC"  # noqa: E501
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Edits files"}}


def parse(headers: dict[str, str] | None = None, **fields: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return client_dialect("openai_chat").parse_request(body, headers or {})


def said(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return parse(messages=list(messages)).messages


def asked(*parts: dict[str, Any]) -> Any:
    """The parts of one user message."""
    (message,) = said({"role": "user", "content": list(parts)})
    return message.parts


def answered(**fields: Any) -> Any:
    """The parts of an assistant message in the middle of a conversation."""
    return said({"role": "user", "content": "?"}, {"role": "assistant", **fields})[1].parts


def call(name: str = "weather", arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **fields}


# Messages


def test_leading_system_and_developer_messages_become_the_system_text():
    conversation = parse(
        messages=[
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "hi"},
        ]
    )
    assert conversation.system == (Text("one"), Text("two"))
    assert conversation.messages == (Message("user", (Text("hi"),)),)


def test_system_message_in_mid_conversation_stays_in_its_place():
    assert said(
        {"role": "user", "content": "hi"}, {"role": "developer", "content": "be brief"}
    ) == (
        Message("user", (Text("hi"),)),
        Message("system", (Text("be brief"),)),
    )


def test_conversation_of_nothing_but_a_system_message_still_has_a_message():
    conversation = parse(messages=[{"role": "system", "content": "write a poem"}])
    assert conversation.system == ()
    assert conversation.messages == (Message("system", (Text("write a poem"),)),)


def test_system_message_with_an_image_keeps_it():
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    conversation = parse(
        messages=[{"role": "system", "content": [image]}, {"role": "user", "content": "hi"}]
    )
    assert conversation.system == ()
    assert conversation.messages[0].parts == (Media("image/*", url="https://example.org/a.png"),)


def test_consecutive_tool_messages_are_one_user_message():
    messages = said(
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "tool_calls": [call(id="a"), call(id="b")]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "thanks"},
        {"role": "tool", "tool_call_id": "c", "content": ""},
    )
    assert [message.role for message in messages] == ["user", "assistant", "user", "user", "user"]
    assert messages[2].parts == (
        ToolResult("a", (Text("sunny"),)),
        ToolResult("b", (Text("rain"),)),
    )
    assert messages[4].parts == (ToolResult("c"),)


def test_image_in_a_tool_message_stays_in_its_result():
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    unknown = {"type": "hologram"}
    (message,) = said({"role": "tool", "tool_call_id": "a", "content": [image, unknown]})
    assert message.parts == (ToolResult("a", (Media("image/png", PNG),)),)


def test_assistant_parts_come_in_the_order_of_thinking_text_calls():
    assert answered(
        reasoning_content="hm", content="let me look", refusal="no", tool_calls=[call()]
    ) == (Thinking("hm"), Text("let me look"), Text("no"), ToolCall("call_1", "weather", "{}"))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_text_is_thinking_without_a_seal(field):
    assert answered(content="yes", **{field: "hm"})[0] == Thinking("hm", None)


def test_assistant_message_may_lack_content():
    assert answered(tool_calls=[call()]) == (ToolCall("call_1", "weather", "{}"),)
    assert answered(content=None) == ()


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
def test_call_without_arguments_has_an_empty_object(arguments):
    (part,) = answered(tool_calls=[call(arguments=arguments)])
    assert part.arguments == "{}"


def test_arguments_keep_the_clients_own_spelling():
    text = '{ "big": 12345678901234567890, "e": 1.0e5 }'
    (part,) = answered(tool_calls=[call(arguments=text)])
    assert part.arguments == text


def test_custom_call_is_wrapped_as_a_function_call():
    custom = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": 'a "b"\n'}}
    (part,) = answered(tool_calls=[custom])
    assert (part.id, part.name) == ("c", "patch")
    assert free_text(part.arguments) == 'a "b"\n'


def test_signature_in_googles_extra_content_is_a_seal():
    extra = {"google": {"thought_signature": "c2ln"}}
    (part,) = answered(tool_calls=[call(extra_content=extra)])
    assert part.seal == Seal(UNKNOWN_ORIGIN, "c2ln")


@pytest.mark.parametrize("extra", [None, "x", {"google": []}, {"google": {"thought_signature": 1}}])
def test_other_extra_content_is_no_seal_and_no_error(extra):
    (part,) = answered(tool_calls=[call(extra_content=extra)])
    assert part.seal is None


def test_legacy_function_message_answers_the_latest_function_call():
    ask, tell = {"name": "clock", "arguments": "{}"}, {"role": "function", "name": "clock"}
    messages = said(
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "function_call": ask},
        {**tell, "content": "ten"},
        {"role": "assistant", "content": None, "function_call": ask},
        {**tell, "content": "eleven"},
    )
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCall)]
    results = [
        part for message in messages for part in message.parts if isinstance(part, ToolResult)
    ]
    assert [result.call_id for result in results] == [made.id for made in calls]
    assert len({made.id for made in calls}) == 2
    assert results[0] == ToolResult(calls[0].id, (Text("ten"),), name="clock")


# Parts


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "refusal", "refusal": "no"}, Text("no")),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            Media("image/png", PNG),
        ),
        ({"type": "image_url", "image_url": f"data:;base64,{PNG}"}, Media("image/*", PNG)),
        (
            {"type": "image_url", "image_url": {"url": "HTTP://example.org/a", "detail": "low"}},
            Media("image/*", url="HTTP://example.org/a"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media("audio/mp3", "AAAA"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
            Media("application/pdf", "AAAA"),
        ),
        (
            {"type": "file", "file": {"file_data": "AAAA", "filename": "a.png"}},
            Media("image/png", "AAAA", name="a.png"),
        ),
        ({"type": "file", "file": {"file_data": "AAAA"}}, Media("application/pdf", "AAAA")),
        (
            {"type": "file", "file": {"file_data": "https://example.org/a.pdf"}},
            Media("application/pdf", url="https://example.org/a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/csv;base64,YSxi"}},
            Text("a,b"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/csv;base64,/w=="}},
            Media("text/csv", "/w=="),
        ),
        (
            {"type": "hologram", "depth": 3},
            Verbatim("openai_chat", {"type": "hologram", "depth": 3}),
        ),
    ],
)
def test_content_part(part, expected):
    assert asked(part) == (expected,)


def test_content_of_null_or_empty_text_has_no_parts():
    assert said({"role": "user", "content": None}, {"role": "user", "content": ""}) == (
        Message("user", ()),
        Message("user", ()),
    )


# Tools


def test_function_tool_keeps_its_schema_and_strictness():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    conversation = parse(tools=[{"type": "function", "function": function}])
    assert conversation.tools == (Tool("f", "d", schema, strict=True),)
    assert conversation.tools[0].schema is schema


@pytest.mark.parametrize("schema", [None, True, "object", []])
def test_a_schema_that_is_no_object_constrains_nothing(schema):
    function = {"name": "f", "parameters": schema}
    assert parse(tools=[{"type": "function", "function": function}]).tools == (Tool("f", "", {}),)


def test_tool_declared_twice_is_offered_once_and_the_first_counts():
    second = {"type": "function", "function": {"name": "weather", "description": "other"}}
    conversation = parse(tools=[WEATHER, second, CLOCK], functions=[{"name": "clock"}])
    assert [(tool.name, tool.description) for tool in conversation.tools] == [
        ("weather", ""),
        ("clock", ""),
    ]


def test_custom_tool_is_a_function_of_one_text():
    (tool,) = parse(tools=[PATCH]).tools
    assert (tool.name, tool.description) == ("patch", "Edits files")
    assert tool.schema["properties"] == {"input": {"type": "string"}}
    assert tool.freeform is not None


def test_function_with_an_equal_schema_is_not_a_custom_tool():
    (custom,) = parse(tools=[PATCH]).tools
    twin = {"name": "twin", "parameters": dict(custom.schema)}
    (tool,) = parse(tools=[{"type": "function", "function": twin}]).tools
    assert tool.freeform is None


def test_grammar_of_a_custom_tool_is_told_to_the_model():
    grammar = {"syntax": "lark", "definition": 'start: "a"+'}
    custom = {"name": "p", "format": {"type": "grammar", "grammar": grammar}}
    (tool,) = parse(tools=[{"type": "custom", "custom": custom}]).tools
    assert "lark" in tool.description
    assert 'start: "a"+' in tool.description


def test_tool_of_another_type_is_left_to_the_server():
    conversation = parse(tools=[WEATHER, {"type": "web_search", "size": 1}])
    assert [tool.name for tool in conversation.tools] == ["weather"]
    assert conversation.server_tools == (
        Verbatim("openai_chat", {"type": "web_search", "size": 1}),
    )


def test_web_search_options_are_a_server_tool():
    conversation = parse(web_search_options={"search_context_size": "low"})
    assert conversation.server_tools == (
        Verbatim("openai_chat", {"type": "web_search", "search_context_size": "low"}),
    )


ALLOWED = [{"type": "function", "function": {"name": "clock"}}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "function": {"name": "clock"}}, ToolChoice("any", ("clock",))),
        ({"type": "function", "name": "clock"}, ToolChoice("any", ("clock",))),
        ({"type": "custom", "custom": {"name": "patch"}}, ToolChoice("any", ("patch",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": ALLOWED}},
            ToolChoice("any", ("clock",)),
        ),
    ],
)
def test_tool_choice(choice, expected):
    conversation = parse(tools=[WEATHER, CLOCK, PATCH], tool_choice=choice)
    assert conversation.tool_choice == expected
    assert len(conversation.tools) == 3


def test_tools_that_are_not_allowed_are_not_offered():
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ALLOWED}}
    conversation = parse(tools=[WEATHER, CLOCK], tool_choice=allowed)
    assert conversation.tool_choice == ToolChoice("auto")
    assert [tool.name for tool in conversation.tools] == ["clock"]


def test_parallel_calls_can_be_switched_off():
    assert parse(tools=[CLOCK], parallel_tool_calls=False).tool_choice == ToolChoice(parallel=False)


def test_legacy_functions_are_tools_called_one_at_a_time():
    conversation = parse(functions=[{"name": "clock"}], function_call={"name": "clock"})
    assert conversation.tools == (Tool("clock", "", {}),)
    assert conversation.tool_choice == ToolChoice("any", ("clock",), parallel=False)
    assert conversation.extras == {"functions": [{"name": "clock"}]}


# Settings


def test_request_with_nothing_but_a_message_asks_for_nothing_else():
    assert parse() == Conversation(
        dialect="openai_chat", model="m", messages=(Message("user", (Text("hi"),)),)
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, Sampling(max_tokens=5)),
        ({"max_completion_tokens": 2.0**70}, Sampling(max_tokens=LARGEST)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, Sampling(max_tokens=7)),
        ({"temperature": 2}, Sampling(temperature=2.0)),
        ({"temperature": 0, "top_p": 0.5, "top_k": 3}, Sampling(None, 0.0, 0.5, 3)),
        ({"top_k": -1}, Sampling()),
        ({"stop": "x"}, Sampling(stop=("x",))),
        ({"stop": ["a", "b", "c", "d", "e"]}, Sampling(stop=("a", "b", "c", "d", "e"))),
        ({"stop": None, "max_tokens": None, "temperature": None}, Sampling()),
    ],
)
def test_sampling(fields, expected):
    assert parse(**fields).sampling == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "none"}, Reasoning(mode="off")),
        ({"reasoning_effort": "minimal"}, Reasoning(mode="adaptive", effort="minimal")),
        ({"reasoning_effort": "max"}, Reasoning(mode="adaptive", effort="max")),
        ({"reasoning": {"effort": "high"}}, Reasoning(mode="adaptive", effort="high")),
        ({"reasoning": {"effort": "none"}}, Reasoning(mode="off")),
        (
            {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
            Reasoning(mode="adaptive", effort="low"),
        ),
        ({"reasoning": {"summary": "auto"}}, Reasoning()),
        ({"reasoning_effort": None, "reasoning": None}, Reasoning()),
    ],
)
def test_reasoning(fields, expected):
    assert parse(**fields).reasoning == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            OutputFormat({"type": "object"}, "n"),
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, OutputFormat(None, "n")),
    ],
)
def test_response_format(wanted, expected):
    assert parse(response_format=wanted).output == expected


@pytest.mark.parametrize(
    ("fields", "wants_usage"),
    [
        ({}, True),
        ({"stream": True}, False),
        ({"stream": True, "stream_options": {"include_usage": False}}, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True),
    ],
)
def test_usage_belongs_to_answers_and_to_streams_that_ask_for_it(fields, wants_usage):
    assert parse(**fields).wants_usage is wants_usage


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x-session-id": "a", "x-session-affinity": "b"}, "a"),
        ({"x-session-affinity": "b"}, "b"),
        ({}, None),
    ],
)
def test_session_is_named_by_header_and_not_by_the_cache_key(headers, session):
    conversation = parse(headers, prompt_cache_key="c")
    assert (conversation.session, conversation.cache_key) == (session, "c")
    assert parse().cache_key is None


def test_conversations_of_one_cache_key_stay_apart():
    def identity(text, **fields):
        return parse(messages=[{"role": "user", "content": text}], **fields).identity()

    assert identity("a", prompt_cache_key="app") != identity("b", prompt_cache_key="app")
    assert identity("a", prompt_cache_key="app") == identity("a")


def test_advice_is_listed_and_kept_for_servers_of_the_same_api():
    conversation = parse(seed=1, user="me", presence_penalty=0.5, logit_bias={}, store=None)
    assert conversation.ignored == ("logit_bias", "presence_penalty", "seed", "user")
    assert conversation.extras == {
        "seed": 1,
        "user": "me",
        "presence_penalty": 0.5,
        "logit_bias": {},
    }


def test_unknown_fields_are_kept_whatever_they_hold():
    assert parse(flux=[1], n=1, logprobs=False, top_logprobs=0, modalities=["text"]).extras == {
        "flux": [1]
    }


# Refusals

NAN_CALL = {"role": "assistant", "tool_calls": [call(arguments='{"a": NaN}')]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 4}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "sytem", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call(arguments="[1]")]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [NAN_CALL]}, "messages[0].tool_calls[0].function.arguments"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call(name="")]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [call(type="magic")]}]},
            "messages[0].tool_calls[0].type",
        ),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 2.0**70}, "top_k"),
        ({"top_k": -2}, "top_k"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": -1, "max_tokens": 5}, "max_completion_tokens"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a", 3]}, "stop[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}},
            "response_format.json_schema.schema",
        ),
        ({"metadata": 5}, "metadata"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"tools": [3]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [CLOCK, {"type": "function", "function": {}}]}, "tools[1].function.name"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        (
            {"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
        ),
        ({"functions": [{"name": "clock"}], "function_call": {"name": "x"}}, "function_call.name"),
        (
            {
                "tools": [CLOCK],
                "tool_choice": {"allowed_tools": {"mode": "required", "tools": []}},
            },
            "tool_choice.allowed_tools.tools",
        ),
    ],
)
def test_refusal_names_the_field(fields, param):
    with pytest.raises(BadRequest) as refused:
        parse(**fields)
    assert refused.value.param == param
    assert refused.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "text"}, "text"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "image_url", "image_url": {}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_url.url"),
        ({"type": "image_url", "image_url": "data:image/png;base64,?"}, "image_url"),
        ({"type": "image_url", "image_url": "data:image/png;base64"}, "image_url"),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "flac"}},
            "input_audio.format",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}},
            "input_audio.data",
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_id"),
        ({"type": "file", "file": {}}, "file.file_data"),
        ({"type": "file", "file": {"file_data": "gs://bucket/a"}}, "file.file_data"),
    ],
)
def test_bad_part_is_refused_by_its_path(part, param):
    with pytest.raises(BadRequest) as refused:
        asked({"type": "text", "text": "look"}, part)
    assert refused.value.param == f"messages[0].content[1].{param}"


WORDS = st.sampled_from(
    [
        "type",
        "function",
        "name",
        "role",
        "content",
        "text",
        "tool_calls",
        "id",
        "user",
        "image_url",
        "url",
        "data:,",
        "none",
        "auto",
        "required",
        "allowed_tools",
        "mode",
        "tools",
        "json_schema",
        "effort",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "audio",
        "function_call",
        "functions",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "stop",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "web_search_options",
    ]
)


@given(st.dictionaries(FIELDS, JSON, max_size=3))
def test_whatever_a_field_holds_the_answer_is_a_conversation_or_a_refusal(fields):
    try:
        outcome = parse(**fields).model
    except BadRequest as refused:
        outcome = refused.param
    assert outcome


@given(st.binary(min_size=1, max_size=64))
def test_inline_bytes_arrive_whether_or_not_their_lines_are_broken(data):
    standard = base64.b64encode(data).decode()
    for sent in (standard, base64.encodebytes(data).decode()):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{sent}"}}
        assert asked(part) == (Media("image/png", standard),)
