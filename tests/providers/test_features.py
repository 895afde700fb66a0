"""Features that servers refuse: how they say it, and the body without them."""

from typing import Any

import pytest

from mcp_proxy.providers import features
from mcp_proxy.providers.error_bodies import ErrorBody
from mcp_proxy.providers.features import DIALECT, DROPPABLE
from mcp_proxy.providers.openai_features import ADAPTATIONS
from mcp_proxy.providers.openai_refusals import refused_feature

JsonObject = dict[str, Any]


def feature(message: str, param: str = "", code: str = "") -> str | None:
    return refused_feature(ErrorBody(400, message, "", code, param, {}))


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        # OpenAI
        ("Unsupported parameter: 'stop' is not supported with this model.", "stop"),
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        ("Unknown parameter: 'reasoning'.", "reasoning"),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens->max_completion_tokens",
        ),
        (
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
            "default (1) value is supported.",
            "temperature",
        ),
        (
            "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
            "developer->system",
        ),
        (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
            "model.",
            "response_format.json_schema",
        ),
        (
            "max_tokens is too large: 200000. This model supports at most 16384 completion tokens.",
            "max_tokens",
        ),
        ("Your organization must be verified to stream this model.", "stream"),
        (
            "This model is only supported in v1/responses and not in v1/chat/completions.",
            f"{DIALECT}openai_chat",
        ),
        (
            "Function tools with reasoning_effort are not supported for gpt-5.4 in "
            "/v1/chat/completions. Please use /v1/responses instead.",
            f"{DIALECT}openai_chat",
        ),
        # vLLM, FastAPI, pydantic
        ("body.stream_options: Extra inputs are not permitted", "stream_options"),
        (
            "[{'type': 'extra_forbidden', 'loc': ('body', 'parallel_tool_calls'), 'msg': 'Extra "
            "inputs are not permitted'}]",
            "parallel_tool_calls",
        ),
        ("store: Extra inputs are not permitted (extra_forbidden)", "store"),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum "
            "context length is 8192 tokens and your request has 100 input tokens",
            "max_tokens",
        ),
        (
            "This model only supports single tool-calls; parallel tool calls are not supported",
            "parallel_tool_calls",
        ),
        # DeepSeek
        (
            "Failed to deserialize the JSON body into the target type: messages[0].role: unknown "
            "variant `developer`, expected one of `system`, `user`, `assistant`, `tool`",
            "developer->system",
        ),
        ("This response_format type is unavailable now", "response_format.json_schema"),
        (
            "Missing `reasoning_content` field in the assistant message at message index 2.",
            "+reasoning_content",
        ),
        (
            "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, "
            "expected `text`",
            "images",
        ),
        # Kimi
        (
            "thinking is enabled but reasoning_content is missing in assistant tool call message",
            "+reasoning_content",
        ),
        # Groq
        (
            "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : "
            "property 'reasoning_content' is unsupported)]",
            "reasoning_content",
        ),
        ("property 'verbosity' is unsupported", "verbosity"),
        # Mistral
        (
            "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
            "short_call_ids",
        ),
        ("tools.0.function.strict: Extra inputs are not permitted (extra_forbidden)", "strict"),
        # Ollama, LM Studio, llama.cpp
        ('"llama3.2:latest" does not support thinking', "reasoning_effort"),
        ("'response_format.type' must be 'json_schema' or 'text'", "response_format"),
        ('json: unknown field "seed"', "seed"),
        ("This model does not support image input", "images"),
        # Anthropic behind it
        ("`temperature` is deprecated for this model.", "temperature"),
    ],
)
def test_refusals_name_their_feature(message: str, wanted: str) -> None:
    assert feature(message) == wanted
    assert wanted in ADAPTATIONS or wanted.startswith(DIALECT)


@pytest.mark.parametrize(
    ("message", "param", "code", "wanted"),
    [
        ("Not here.", "tools[0].function.strict", "unsupported_parameter", "strict"),
        (
            "Not here.",
            "max_completion_tokens",
            "unknown_parameter",
            "max_completion_tokens->max_tokens",
        ),
        (
            "Invalid value: 'xhigh'. Supported values are: 'low', 'medium', and 'high'.",
            "reasoning_effort",
            "invalid_value",
            "reasoning_effort",
        ),
        ("Invalid value: 5. Must be between 0 and 2.", "temperature", "invalid_value", None),
    ],
)
def test_the_parameter_is_trusted_more_than_the_text(
    message: str, param: str, code: str, wanted: str | None
) -> None:
    assert feature(message, param, code) == wanted


@pytest.mark.parametrize(
    "message",
    [
        "",
        "This user is not allowed",
        "The request must not stop here; this is not supported",
        "registry.ollama.ai/library/gemma:2b does not support tools",
        "temperature must be between 0 and 2",
        "messages: Field required",
        "Invalid schema for function 'f'",
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "The model is temporarily unavailable",
    ],
)
def test_other_refusals_are_about_no_feature(message: str) -> None:
    assert feature(message) is None


# Doing without

MESSAGES: list[JsonObject] = [
    {"role": "developer", "content": "be brief"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [{"id": "call_long_id", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_long_id", "content": "1"},
]
BODY: JsonObject = {
    "model": "m",
    "messages": MESSAGES,
    "max_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
}


def without(*avoided: str, body: JsonObject = BODY) -> JsonObject:
    return features.without(body, frozenset(avoided), "openai_chat")


def test_a_body_of_which_nothing_is_refused_is_the_same_object() -> None:
    assert without() is BODY
    assert without(f"{DIALECT}openai_chat") is BODY


@pytest.mark.parametrize("field", DROPPABLE)
def test_a_field_is_dropped(field: str) -> None:
    body = {"model": "m", field: 1}
    assert without(field, body=body) == {"model": "m"}
    assert body == {"model": "m", field: 1}


@pytest.mark.parametrize("name", ADAPTATIONS)
def test_doing_without_what_is_not_there_changes_nothing(name: str) -> None:
    body = {"model": "m", "input": "hi", "tools": None, "messages": []}
    assert without(name, body=body) == body


def test_limits_are_renamed_or_left_out() -> None:
    renamed = without("max_tokens->max_completion_tokens")
    assert renamed["max_completion_tokens"] == 5
    assert "max_tokens" not in renamed
    assert "max_tokens" not in without("max_tokens")


def test_no_stream_means_no_options_of_it() -> None:
    assert not {"stream", "stream_options"} & without("stream").keys()


def test_a_developer_becomes_the_system() -> None:
    assert without("developer->system")["messages"][0] == {"role": "system", "content": "be brief"}


def test_pictures_are_told_in_words() -> None:
    content = without("images")["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text", "text"]


def test_thoughts_are_left_out_or_made_up_where_they_are_missed() -> None:
    assert "reasoning_content" not in without("reasoning_content")["messages"][2]
    bare = without("reasoning_content")
    assert without("+reasoning_content", body=bare)["messages"][2]["reasoning_content"] == ""
    assert without("+reasoning_content")["messages"][2]["reasoning_content"] == "hm"


def test_ids_are_shortened_alike_in_call_and_result() -> None:
    found = without("short_call_ids")["messages"]
    made = found[2]["tool_calls"][0]["id"]
    assert made == found[3]["tool_call_id"]
    assert len(made) == 9
    assert made.isalnum()


def test_strict_goes_wherever_tools_have_it() -> None:
    assert without("strict")["tools"] == [{"type": "function", "function": {"name": "f"}}]
    flat = {"tools": [{"type": "function", "name": "f", "strict": True}]}
    assert without("strict", body=flat)["tools"][0]["strict"] is False
    other = {"tools": [{"name": "f", "strict": True}]}
    assert without("strict", body=other)["tools"] == [{"name": "f"}]


def test_a_schema_becomes_an_instruction() -> None:
    loose = without("response_format.json_schema")
    assert loose["response_format"] == {"type": "json_object"}
    assert '{"type":"object"}' in loose["messages"][0]["content"]
    bare = without("response_format")
    assert "response_format" not in bare
    assert '{"type":"object"}' in bare["messages"][0]["content"]
    assert MESSAGES[0]["content"] == "be brief"


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ({"role": "user", "content": "hi"}, ["system", "user"]),
        ({"role": "system", "content": [{"type": "text", "text": "a"}]}, ["system"]),
        ({"role": "system", "content": None}, ["system"]),
    ],
)
def test_the_instruction_goes_to_the_one_there_is(first: JsonObject, told: list[str]) -> None:
    body = {"messages": [first], "response_format": {"type": "json_object"}}
    messages = without("response_format", body=body)["messages"]
    assert [message["role"] for message in messages] == told
    assert "JSON" in str(messages[0]["content"])


def test_plain_text_needs_no_instruction() -> None:
    body = {"messages": MESSAGES, "response_format": {"type": "text"}}
    assert without("response_format", body=body) == {"messages": MESSAGES}
    assert without("response_format.json_schema", body=body) == body
