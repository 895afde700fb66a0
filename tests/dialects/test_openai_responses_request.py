"""A Responses request -> Conversation: every form of a field, and what is refused by its path."""

import json
from typing import Any

import pytest

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
    UNKNOWN_ORIGIN,
    Conversation,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects import client_dialect
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import LARGEST

CLIENT = client_dialect("openai_responses")
PNG = "iVBORw0KGgo="
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
PATCH = {"type": "custom", "name": "patch", "description": "Edits files"}
AGENTS = {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "wait"}]}
SEARCH = {"type": "web_search", "external_web_access": True}
USER = {"role": "user", "content": "hi"}


def parse(headers: dict[str, str] | None = None, **fields: Any) -> Conversation:
    return CLIENT.parse_request({"model": "m", "input": "hi", **fields}, headers or {})


def messages(*items: Any) -> tuple[Message, ...]:
    return parse(input=list(items)).messages


def parts(*items: Any) -> tuple[Any, ...]:
    """The parts of the only message that these items make."""
    (message,) = messages(*items)
    return message.parts


def content(*given: Any) -> tuple[Any, ...]:
    return parts({"type": "message", "role": "user", "content": list(given)})


# Input


def test_text_is_one_user_message():
    assert parse(input="hi").messages == (Message("user", (Text("hi"),)),)


def test_message_needs_no_type():
    assert messages(USER) == messages({"type": "message", **USER})


def test_instructions_come_before_leading_developer_and_system_messages():
    conversation = parse(
        instructions="A",
        input=[
            {"role": "developer", "content": [{"type": "input_text", "text": "B"}]},
            {"role": "system", "content": "C"},
            USER,
            {"role": "developer", "content": "D"},
            USER,
        ],
    )
    assert conversation.system == (Text("A"), Text("B"), Text("C"))
    assert [message.role for message in conversation.messages] == ["user", "system", "user"]


def test_what_the_assistant_did_between_two_inputs_is_one_message():
    conversation = parse(
        input=[
            USER,
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "x"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a":1}'},
            {"type": "custom_tool_call", "call_id": "2", "name": "g", "input": 'a "b"'},
            {"type": "function_call_output", "call_id": "1", "output": "one"},
            {
                "type": "custom_tool_call_output",
                "call_id": "2",
                "output": [{"type": "input_text", "text": "two"}],
            },
            USER,
        ]
    )
    assert conversation.messages[1:3] == (
        Message(
            "assistant",
            (
                Thinking("", Seal(UNKNOWN_ORIGIN, "x")),
                Text("so"),
                ToolCall("1", "f", '{"a":1}'),
                ToolCall("2", "g", '{"input":"a \\"b\\""}'),
            ),
        ),
        Message("user", (ToolResult("1", (Text("one"),)), ToolResult("2", (Text("two"),)))),
    )
    assert [message.role for message in conversation.messages] == [
        "user", "assistant", "user", "user",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "thinking"),
    [
        ({"summary": [{"type": "summary_text", "text": "a"}]}, Thinking("a")),
        (
            {"summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "x"},
            Thinking("a\n\nb", Seal(UNKNOWN_ORIGIN, "x")),
        ),
        ({"content": [{"type": "reasoning_text", "text": "raw"}]}, Thinking("raw")),
        (
            {"summary": [], "encrypted_content": "redacted_thinking:blob"},
            Thinking("", Seal(UNKNOWN_ORIGIN, "blob"), redacted=True),
        ),
    ],
)
def test_reasoning(item, thinking):
    assert parts({"type": "reasoning", **item}) == (thinking,)


def test_reasoning_of_nothing_leaves_no_trace():
    assert messages({"type": "reasoning", "summary": []}, USER) == messages(USER)


def test_namespaced_call_has_its_flat_name():
    (call,) = parts(
        {"type": "function_call", "call_id": "1", "name": "wait", "namespace": "agents"}
    )
    assert call == ToolCall("1", "agents__wait", "{}")


def test_generated_image_of_an_earlier_answer_is_an_image():
    item = {"type": "image_generation_call", "id": "ig", "output_format": "jpeg", "result": PNG}
    assert parts(item) == (Media("image/jpeg", PNG),)


def test_generated_image_without_its_data_leaves_no_trace():
    assert messages({"type": "image_generation_call", "result": None}, USER) == messages(USER)


def test_item_of_this_api_alone_travels_home_in_its_place():
    call = {"type": "local_shell_call", "id": "x", "call_id": "1"}
    output = {"type": "local_shell_call_output", "call_id": "1", "output": "ok"}
    assert messages(call, output) == (
        Message("assistant", (Verbatim("openai_responses", call),)),
        Message("user", (Verbatim("openai_responses", output),)),
    )


def test_reference_to_a_stored_item_is_left_out():
    assert messages({"type": "item_reference", "id": "msg_1"}, USER) == messages(USER)


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "refusal", "refusal": "no"}, Text("no")),
        (
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "high"},
            Media("image/png", PNG),
        ),
        (
            {"type": "input_image", "image_url": "https://x.test/a.png"},
            Media("image/*", url="https://x.test/a.png"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": PNG},
            Media("application/pdf", PNG, name="a.pdf"),
        ),
        (
            {"type": "input_file", "file_url": "https://x.test/a.pdf"},
            Media("application/pdf", url="https://x.test/a.pdf"),
        ),
        (
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
            Text("hi"),
        ),
        (
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": PNG}},
            Media("audio/mp3", PNG),
        ),
    ],
)
def test_content_part(part, read):
    assert content(part) == (read,)


def test_unknown_part_is_left_out():
    assert content({"type": "input_dream"}, {"type": "input_text", "text": "a"}) == (Text("a"),)


def test_result_may_have_images():
    output = [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]
    item = {"type": "function_call_output", "call_id": "1", "output": output}
    assert parts(item) == (ToolResult("1", (Media("image/png", PNG),)),)


# Tools


def test_function_keeps_its_schema_and_says_nothing_of_strictness_unless_told():
    (tool,) = parse(tools=[WEATHER]).tools
    assert (tool.name, tool.schema, tool.strict) == ("weather", {"type": "object"}, None)
    (tool,) = parse(tools=[{**WEATHER, "strict": True}]).tools
    assert tool.strict is True


def test_custom_tool_keeps_its_format_and_tells_its_grammar():
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    (tool,) = parse(tools=[{**PATCH, "format": form}]).tools
    assert (tool.name, tool.freeform, tool.schema) == ("patch", form, FREEFORM_SCHEMA)
    assert tool.description == "Edits files\n\n`input` must match this lark grammar:\nstart: /a/"


def test_custom_tool_without_a_format_is_still_one_of_free_text():
    (tool,) = parse(tools=[PATCH]).tools
    assert tool.freeform == {}


def test_namespace_is_flattened():
    inner = [{"type": "function", "name": "wait"}, {"type": "custom", "name": "exec"}]
    tools = parse(tools=[{"type": "namespace", "name": "agents", "tools": inner}]).tools
    assert [(tool.name, tool.namespace, tool.freeform) for tool in tools] == [
        ("agents__wait", "agents", None),
        ("agents__exec", "agents", {}),
    ]


def test_additional_tools_of_the_input_are_tools():
    brought = {"type": "additional_tools", "role": "developer", "tools": [AGENTS]}
    conversation = parse(input=[brought, USER], tools=[WEATHER])
    assert [tool.name for tool in conversation.tools] == ["weather", "agents__wait"]
    assert conversation.messages == (Message("user", (Text("hi"),)),)


def test_tool_declared_twice_is_offered_once_and_the_first_counts():
    (tool,) = parse(tools=[WEATHER, {**WEATHER, "description": "other"}]).tools
    assert tool.description == ""


def test_web_search_is_for_the_upstream_and_other_hosted_tools_are_left_out_by_name():
    conversation = parse(
        tools=[SEARCH, {"type": "web_search_preview_2025_03_11"}, {"type": "image_generation"}]
    )
    assert [tool.value["type"] for tool in conversation.server_tools] == [
        "web_search",
        "web_search_preview_2025_03_11",
    ]
    assert conversation.ignored == ("tools[2] (image_generation)",)


@pytest.mark.parametrize(
    ("choice", "settled", "offered"),
    [
        (None, ToolChoice(), ["weather", "patch", "agents__wait"]),
        ("auto", ToolChoice(), ["weather", "patch", "agents__wait"]),
        ("none", ToolChoice("none"), ["weather", "patch", "agents__wait"]),
        ("required", ToolChoice("any"), ["weather", "patch", "agents__wait"]),
        (
            {"type": "function", "name": "weather"},
            ToolChoice("any", ("weather",)),
            ["weather", "patch", "agents__wait"],
        ),
        (
            {"type": "function", "name": "wait", "namespace": "agents"},
            ToolChoice("any", ("agents__wait",)),
            ["weather", "patch", "agents__wait"],
        ),
        (
            {"type": "custom", "name": "patch"},
            ToolChoice("any", ("patch",)),
            ["weather", "patch", "agents__wait"],
        ),
        ({"type": "web_search"}, ToolChoice(), ["weather", "patch", "agents__wait"]),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "custom", "name": "patch"}],
            },
            ToolChoice(),
            ["patch"],
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "weather"}],
            },
            ToolChoice("any", ("weather",)),
            ["weather", "patch", "agents__wait"],
        ),
    ],
)
def test_tool_choice(choice, settled, offered):
    conversation = parse(tools=[WEATHER, PATCH, AGENTS], tool_choice=choice)
    assert conversation.tool_choice == settled
    assert [tool.name for tool in conversation.tools] == offered


@pytest.mark.parametrize(("listed", "searches"), [([], False), ([{"type": "web_search"}], True)])
def test_search_that_is_not_among_the_allowed_tools_is_not_offered(listed, searches):
    named = [{"type": "function", "name": "weather"}, *listed]
    conversation = parse(
        tools=[WEATHER, SEARCH],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": named},
    )
    assert bool(conversation.server_tools) is searches


def test_one_call_at_a_time():
    assert parse(tools=[WEATHER], parallel_tool_calls=False).tool_choice.parallel is False


# Settings


@pytest.mark.parametrize(
    ("wanted", "reasoning"),
    [
        (None, Reasoning(visible=False)),
        ({}, Reasoning(visible=False)),
        ({"summary": "auto"}, Reasoning()),
        ({"generate_summary": "concise"}, Reasoning()),
        ({"effort": None, "summary": None}, Reasoning(visible=False)),
        ({"effort": "high"}, Reasoning("adaptive", effort="high", visible=False)),
        ({"effort": "xhigh", "summary": "detailed"}, Reasoning("adaptive", effort="xhigh")),
        ({"effort": "none", "summary": "auto"}, Reasoning("off")),
        ({"effort": "low", "summary": "none"}, Reasoning("adaptive", effort="low", visible=False)),
    ],
)
def test_reasoning_is_shown_to_those_who_ask_for_its_summary(wanted, reasoning):
    assert parse(reasoning=wanted).reasoning == reasoning


@pytest.mark.parametrize(
    ("form", "output"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {"type": "json_schema", "name": "out", "schema": {"type": "object"}, "strict": True},
            OutputFormat({"type": "object"}, "out"),
        ),
    ],
)
def test_output_format(form, output):
    assert parse(text={"format": form, "verbosity": "low"}).output == output


def test_sampling():
    sampling = parse(max_output_tokens=99, temperature=1.5, top_p=0.5).sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (99, 1.5, 0.5)


def test_a_limit_that_no_model_has_is_no_fault():
    assert parse(max_output_tokens=2.0**70).sampling.max_tokens == LARGEST


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x-session-id": "a", "session-id": "b"}, "a"),
        ({"session-id": "b"}, "b"),
        ({"session_id": "c"}, "c"),
        ({}, None),
    ],
)
def test_session_is_named_by_a_header_and_not_by_the_cache_key(headers, session):
    conversation = parse(headers, prompt_cache_key="key")
    assert (conversation.session, conversation.cache_key) == (session, "key")


def test_advice_is_left_out_and_listed():
    conversation = parse(
        store=True, include=["reasoning.encrypted_content"], truncation="auto", metadata={"a": "b"}
    )
    assert conversation.ignored == ("metadata", "truncation")


def test_unknown_field_travels_home():
    assert parse(novelty=1).extras["novelty"] == 1


# Refusals


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "call_id": "1"}]}, "input[0].name"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        (
            {"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "["}]},
            "input[0].arguments",
        ),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_image", "image_url": "data:image/png;base64,*"}
                        ],
                    }
                ]
            },
            "input[0].content[0].image_url",
        ),
        ({"model": ""}, "model"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "custom", "name": ""}]}, "tools[0].name"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
            "tools[0].tools[0].name",
        ),
        (
            {"input": [{"type": "additional_tools", "tools": [{"type": "function"}]}, USER]},
            "input[0].tools[0].name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "nope"}}, "tool_choice.name"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            "tool_choice.tools",
        ),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "haiku"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"include": 5}, "include"),
        ({"metadata": 5}, "metadata"),
        ({"truncation": 5}, "truncation"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_refused_field_is_named(fields, param):
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param


def test_count_request_is_read_like_any_other():
    body = json.loads('{"model":"m","input":"hi"}')
    assert CLIENT.parse_count_request(body, {}) == CLIENT.parse_request(body, {})
