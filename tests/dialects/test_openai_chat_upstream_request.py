"""Conversation -> Chat Completions request: turns, results, media, thoughts, tools, settings."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import assistant, talk, user

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
    JsonObject,
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
    WebSearch,
)
from mcp_proxy.dialects.openai_chat import CLIENT, UPSTREAM
from mcp_proxy.model import Family, ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info

GPT4 = info("gpt-4o", "openai")
GPT5 = info("gpt-5", "openai")
GPT54 = info("gpt-5.4", "openai")
LOCAL = info("qwen3", "openai-compatible")
ASKED = ModelInfo(
    "local",
    Family.OTHER,
    "local",
    128_000,
    32_768,
    ThinkingSpec(levels=("low", "medium", "high")),
)
BLIND = ModelInfo("blind", Family.OTHER, "blind", 8192, 4096, takes_images=False)

PNG = Media("image/png", "aGk=")
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
OPEN_SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = Tool("f", "does f", OPEN_SCHEMA)


def request(*messages: Message, model: ModelInfo = LOCAL, **fields: Any) -> JsonObject:
    conversation = talk(*messages, **fields)
    rendered: JsonObject = orjson.loads(orjson.dumps(UPSTREAM.render_request(conversation, model)))
    return rendered


def sent(*messages: Message, model: ModelInfo = LOCAL, **fields: Any) -> list[JsonObject]:
    found: list[JsonObject] = request(*messages, model=model, **fields)["messages"]
    return found


def test_a_plain_question_is_all_that_every_server_takes() -> None:
    assert request() == {
        "model": "qwen3",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


# System and turns


@pytest.mark.parametrize(
    ("model", "role"), [(LOCAL, "system"), (GPT4, "system"), (GPT5, "developer"), (ASKED, "system")]
)
def test_instructions_go_first_in_the_role_that_the_model_has(model: ModelInfo, role: str) -> None:
    found = sent(user("hi"), system=(Text("a"), Text("b")), model=model)
    assert found[0] == {"role": role, "content": "a\n\nb"}


def test_a_later_instruction_keeps_its_place_where_system_may_speak_anywhere() -> None:
    messages = (user("a"), Message("system", (Text("now"),)), user("b"))
    assert sent(*messages, model=GPT4) == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "now"},
        {"role": "user", "content": "b"},
    ]


def test_elsewhere_a_later_instruction_is_a_note_to_the_user() -> None:
    (only,) = sent(user("a"), Message("system", (Text("now"),)))
    assert only["role"] == "user"
    assert only["content"].endswith("not written by the user]\nnow")


def test_one_side_speaks_once_in_a_row() -> None:
    found = sent(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    assert found == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c\n\nd"},
        {"role": "user", "content": "e"},
    ]


def test_what_is_empty_is_not_sent_but_something_is() -> None:
    assert sent(user(""), assistant(""), user()) == [{"role": "user", "content": "."}]


# Tools in the history

CALL_A, CALL_B = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "")


def test_results_follow_their_calls_and_what_the_user_says_comes_after() -> None:
    found = sent(
        user("go"),
        assistant("I call", CALL_A, CALL_B),
        user("and", ToolResult("a", (Text("1"), Text("2"))), ToolResult("b"), "more"),
    )
    assert found[1:] == [
        {
            "role": "assistant",
            "content": "I call",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1\n2"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "and\n\nmore"},
    ]


def test_results_of_several_messages_stand_together() -> None:
    roles = [
        message["role"]
        for message in sent(
            user("go"),
            assistant(CALL_A, CALL_B),
            user(ToolResult("a"), "one"),
            user(ToolResult("b"), "two"),
        )
    ]
    assert roles == ["user", "assistant", "tool", "tool", "user"]


def test_calls_without_text_have_null_content() -> None:
    assert sent(user("go"), assistant(CALL_A), user(ToolResult("a")))[1]["content"] is None


def test_an_error_is_told_in_words() -> None:
    result = ToolResult("a", (Text("no such file"),), is_error=True)
    assert sent(user("go"), assistant(CALL_A), user(result))[2]["content"] == "Error: no such file"


def test_pictures_in_results_are_shown_after_all_results() -> None:
    found = sent(
        user("go"),
        assistant(CALL_A, CALL_B),
        user(ToolResult("a", (Text("seen"), PNG)), ToolResult("b", (Text("2"),)), "look"),
    )
    assert found[2] == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "seen\n[shown in the next message]",
    }
    assert found[3]["tool_call_id"] == "b"
    assert found[4] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "[Result of tool call a:]"},
            PNG_PART,
            {"type": "text", "text": "look"},
        ],
    }


def test_a_model_that_sees_nothing_is_told_of_pictures() -> None:
    told = "[image/png: this model takes text only]"
    found = sent(user("go", PNG), assistant(CALL_A), user(ToolResult("a", (PNG,))), model=BLIND)
    assert found[0]["content"] == f"go\n\n{told}"
    assert found[2]["content"] == told
    assert len(found) == 3


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, PNG_PART),
        (
            Media("image/*", url="https://a.b/c.png"),
            {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}},
        ),
        (
            Media("image/*", "/9j/4AAQ"),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}},
        ),
        (
            Media("application/pdf", "JVBER", name="a.pdf"),
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBER"},
            },
        ),
        (
            Media("audio/mpeg", "SUQz"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (Verbatim("openai_chat", {"type": "new", "a": 1}), {"type": "new", "a": 1}),
    ],
)
def test_media_and_own_blocks(media: Media, part: JsonObject) -> None:
    assert sent(user(media))[0]["content"] == [part]


@pytest.mark.parametrize("kind", ["video/mp4", "audio/ogg"])
def test_what_has_no_part_of_its_own_is_told_and_never_called_a_document(kind: str) -> None:
    told = f"[{kind}: this model takes text only]"
    assert sent(user(Media(kind, "AAAA")))[0]["content"] == told


def test_what_is_of_another_format_or_used_up_is_left_out() -> None:
    foreign = Verbatim("anthropic", {"type": "x"})
    assert sent(user("a", foreign), assistant("b", WebSearch(("q",))), user("c")) == sent(
        user("a"), assistant("b"), user("c")
    )


# Thoughts and seals

THOUGHT = Thinking("because")


def test_thoughts_of_the_open_tool_loop_go_back_and_older_ones_do_not() -> None:
    found = sent(
        user("go"),
        assistant(THOUGHT, CALL_A),
        user(ToolResult("a")),
        assistant("done"),
        user("again"),
        assistant(THOUGHT, CALL_B),
        user(ToolResult("b")),
    )
    assert [message.get("reasoning_content") for message in found] == [
        *[None] * 5,
        "because",
        None,
    ]


def test_openais_models_are_sent_no_thoughts() -> None:
    found = sent(user("go"), assistant(THOUGHT, CALL_A), user(ToolResult("a")), model=GPT5)
    assert all("reasoning_content" not in message for message in found)


def test_a_turn_of_nothing_but_thoughts_is_none() -> None:
    found = sent(user("a"), assistant(THOUGHT), user("b"))
    assert found == [{"role": "user", "content": "a\n\nb"}]


def test_details_of_reasoning_return_as_they_came() -> None:
    details = [{"type": "reasoning.text", "text": "because", "signature": "s", "index": 0}]
    sealed = Thinking("because", Seal("openai-compatible", orjson.dumps(details).decode()))
    found = sent(user("go"), assistant(sealed, CALL_A), user(ToolResult("a")))
    assert found[1]["reasoning_details"] == details
    assert found[1]["reasoning_content"] == "because"


def test_opaque_reasoning_returns_to_copilot() -> None:
    sealed = Thinking("", Seal("copilot", "b64"))
    model = info("gemini-3-flash-preview", "copilot")
    found = sent(user("go"), assistant(sealed, CALL_A), user(ToolResult("a")), model=model)
    assert found[1]["reasoning_opaque"] == "b64"
    assert "reasoning_content" not in found[1]


def test_a_calls_signature_returns_where_it_came_from() -> None:
    call = ToolCall("a", "f", "{}", Seal("openai-compatible", "sig"))
    found = sent(user("go"), assistant(call), user(ToolResult("a")))
    assert found[1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "sig"}}


def test_seals_of_other_formats_are_not_sent_to_openai() -> None:
    sealed = Thinking("t", Seal("gpt", "gAAAA"))
    call = ToolCall("a", "f", "{}", Seal("gpt", "x"))
    found = sent(user("go"), assistant(sealed, call), user(ToolResult("a")), model=GPT4)
    assert (
        found[1]
        == sent(user("go"), assistant(ToolCall("a", "f", "{}")), user(ToolResult("a")), model=GPT4)[
            1
        ]
    )


# Tools


def test_tools_are_declared_once_with_their_schemas() -> None:
    found = request(tools=(TOOL, Tool("f", "again", {}), Tool("g", "", {})))
    assert found["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": OPEN_SCHEMA},
        },
        {
            "type": "function",
            "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert "tool_choice" not in found
    assert "parallel_tool_calls" not in found


@pytest.mark.parametrize(("schema", "is_strict"), [(SCHEMA, True), (OPEN_SCHEMA, False)])
def test_strict_is_asked_for_only_where_the_schema_allows_it(
    schema: JsonObject, is_strict: bool
) -> None:
    (declared,) = request(tools=(Tool("f", "", schema, strict=True),))["tools"]
    assert declared["function"].get("strict", False) is is_strict


def test_a_tool_of_free_text_is_a_function() -> None:
    tool = Tool("patch", "", FREEFORM_SCHEMA, freeform={"type": "text"})
    (declared,) = request(tools=(tool,))["tools"]
    assert declared["function"]["parameters"] == FREEFORM_SCHEMA


@pytest.mark.parametrize(
    ("choice", "sent_choice", "offered"),
    [
        (ToolChoice(), None, ["f", "g"]),
        (ToolChoice("none"), "none", ["f", "g"]),
        (ToolChoice("any"), "required", ["f", "g"]),
        (ToolChoice("any", ("g",)), {"type": "function", "function": {"name": "g"}}, ["g"]),
        (ToolChoice("any", ("f", "g")), "required", ["f", "g"]),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice, sent_choice: Any, offered: list[str]) -> None:
    found = request(tools=(TOOL, Tool("g", "", {})), tool_choice=choice)
    assert found.get("tool_choice") == sent_choice
    assert [tool["function"]["name"] for tool in found["tools"]] == offered


def test_of_several_that_may_be_called_only_those_are_offered() -> None:
    tools = (TOOL, Tool("g", "", {}), Tool("h", "", {}))
    found = request(tools=tools, tool_choice=ToolChoice("any", ("f", "h")))
    assert [tool["function"]["name"] for tool in found["tools"]] == ["f", "h"]
    assert found["tool_choice"] == "required"


def test_one_call_at_a_time_is_asked_for_where_there_are_tools() -> None:
    assert (
        request(tools=(TOOL,), tool_choice=ToolChoice(parallel=False))["parallel_tool_calls"]
        is False
    )
    assert "parallel_tool_calls" not in request(tool_choice=ToolChoice(parallel=False))


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=6, unique=True))
def test_names_are_legal_and_one_to_one(names: list[str]) -> None:
    tools = tuple(Tool(name, "", {}) for name in names)
    calls = tuple(ToolCall(f"id{at}", name, "{}") for at, name in enumerate(names))
    results = tuple(ToolResult(call.id) for call in calls)
    found = request(user("go"), assistant(*calls), user(*results), tools=tools)
    declared = [tool["function"]["name"] for tool in found["tools"]]
    called = [call["function"]["name"] for call in found["messages"][1]["tool_calls"]]
    assert declared == called
    assert len(set(declared)) == len(names)
    for name in declared:
        assert name.isascii()
        assert 1 <= len(name) <= 64
        assert set(name) <= set("-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_long_and_strange_ids_are_mapped_alike_in_call_and_result() -> None:
    call_id = "functions.f:0" + "x" * 100
    found = sent(user("go"), assistant(ToolCall(call_id, "f", "{}")), user(ToolResult(call_id)))
    made = found[1]["tool_calls"][0]["id"]
    assert made == found[2]["tool_call_id"]
    assert len(made) <= 64


# Structured answers


def test_an_answer_by_schema() -> None:
    found = request(output=OutputFormat(SCHEMA, "my answer"))["response_format"]
    assert found == {
        "type": "json_schema",
        "json_schema": {"name": "my_answer", "schema": SCHEMA, "strict": True},
    }
    loose = request(output=OutputFormat(OPEN_SCHEMA))["response_format"]["json_schema"]
    assert (loose["name"], loose["strict"]) == ("answer", False)


def test_openai_is_asked_in_words_for_an_answer_that_is_no_object() -> None:
    output = OutputFormat({"type": "array", "items": {"type": "string"}})
    found = request(model=GPT4, output=output)
    assert "response_format" not in found
    assert '"array"' in found["messages"][0]["content"]
    local = request(output=output)
    assert local["response_format"]["json_schema"]["schema"] == output.schema
    assert local["messages"] == request()["messages"]


def test_json_mode_goes_with_the_word_that_it_needs() -> None:
    found = request(system=(Text("be brief"),), output=OutputFormat())
    assert found["response_format"] == {"type": "json_object"}
    assert found["messages"][0]["role"] == "system"
    assert "JSON" in found["messages"][0]["content"]


# Settings

SETTINGS = Sampling(1000, 0.5, 0.9, 40, ("a", "b", "c", "d", "e"))


def test_sampling_for_models_that_take_it() -> None:
    found = request(sampling=SETTINGS)
    assert (found["max_tokens"], found["temperature"], found["top_p"]) == (1000, 0.5, 0.9)
    assert found["stop"] == ["a", "b", "c", "d"]
    assert "top_k" not in found


def test_models_of_openai_that_reason_have_their_own_limit_and_no_sampling() -> None:
    found = request(model=GPT5, sampling=SETTINGS, reasoning=Reasoning("adaptive", effort="high"))
    assert found["max_completion_tokens"] == 1000
    assert found["reasoning_effort"] == "high"
    assert not {"max_tokens", "temperature", "top_p", "stop"} & found.keys()


def test_without_reasoning_they_take_sampling() -> None:
    found = request(model=GPT54, sampling=SETTINGS, reasoning=Reasoning("off"))
    assert (found["reasoning_effort"], found["temperature"]) == ("none", 0.5)


@pytest.mark.parametrize(("wanted", "limit"), [(0, 1), (5, 5), (10**6, 4096)])
def test_the_limit_is_within_the_models_own(wanted: int, limit: int) -> None:
    assert request(model=BLIND, sampling=Sampling(wanted))["max_tokens"] == limit


@pytest.mark.parametrize(
    ("model", "reasoning", "effort"),
    [
        (LOCAL, Reasoning("adaptive", effort="high"), None),  # nobody says that it thinks
        (ASKED, Reasoning("adaptive", effort="high"), "high"),
        (ASKED, Reasoning("adaptive", effort="max"), "high"),
        (ASKED, Reasoning("adaptive", effort="minimal"), "low"),
        (ASKED, Reasoning("on", budget=600), "low"),
        (ASKED, Reasoning("on", budget=8000), "medium"),
        (ASKED, Reasoning("on", budget=60_000), "high"),
        (ASKED, Reasoning("adaptive"), None),
        (ASKED, Reasoning("off"), None),
        (ASKED, Reasoning(by_default=False), None),
        (GPT5, Reasoning("off"), "minimal"),
        (GPT5, Reasoning(by_default=False), "minimal"),
        (GPT5, Reasoning(), None),
        (GPT54, Reasoning("on", budget=100), "low"),
        (GPT54, Reasoning("adaptive", effort="xhigh"), "xhigh"),
        (GPT4, Reasoning("adaptive", effort="high"), None),
    ],
)
def test_efforts(model: ModelInfo, reasoning: Reasoning, effort: str | None) -> None:
    assert request(model=model, reasoning=reasoning).get("reasoning_effort") == effort


def test_a_small_answer_is_not_spent_on_reasoning() -> None:
    found = request(model=GPT5, sampling=Sampling(100))
    assert found["reasoning_effort"] == "minimal"


def test_the_session_is_openais_key_of_the_prompt_cache() -> None:
    assert request(model=GPT4, session="s1")["prompt_cache_key"] == "s1"
    assert request(model=GPT4, cache_key="k1")["prompt_cache_key"] == "k1"
    assert len(request(model=GPT4, session="s" * 99)["prompt_cache_key"]) == 64
    assert "prompt_cache_key" not in request(session="s1")


def test_open_weights_are_no_model_of_openais_house() -> None:
    model = info("gpt-oss-120b", "openai-compatible")
    found = request(system=(Text("a"),), model=model, sampling=Sampling(100), session="s")
    assert found["messages"][0]["role"] == "system"
    assert found["max_tokens"] == 100
    assert "prompt_cache_key" not in found


def test_an_image_model_is_asked_for_images() -> None:
    model = ModelInfo("i", Family.OTHER, "i", 8192, 4096, makes_images=True)
    assert request(model=model)["modalities"] == ["image", "text"]


# From the same format


def test_unknown_fields_of_a_chat_client_go_on() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "top_a": 0.3}
    rendered = UPSTREAM.render_request(CLIENT.parse_request(body, {}), LOCAL)
    assert rendered["top_a"] == 0.3
    assert rendered["model"] == "qwen3"


HISTORY: list[JsonObject] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "look"}, PNG_PART]},
    {
        "role": "assistant",
        "content": "I call",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "1"},
    {"role": "user", "content": "so?"},
]


def test_a_history_survives_parsing_and_rendering() -> None:
    body = {"model": "m", "messages": HISTORY, "max_tokens": 100, "temperature": 0.5}
    rendered = UPSTREAM.render_request(CLIENT.parse_request(body, {}), LOCAL)
    assert rendered["messages"] == HISTORY
    assert (rendered["max_tokens"], rendered["temperature"]) == (100, 0.5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["user", "assistant", "system"]),
            st.lists(st.sampled_from(["a", "", PNG, THOUGHT, CALL_A, ToolResult("a")]), max_size=4),
        ),
        max_size=8,
    )
)
def test_whatever_the_history_no_side_speaks_twice_and_nothing_is_empty(
    turns: list[tuple[Any, list[Any]]],
) -> None:
    messages = [
        Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))
        for role, parts in turns
    ]
    found = sent(*messages)
    assert found
    for before, after in pairwise(found):
        assert before["role"] != after["role"] or before["role"] == "tool"
    for message in found:
        assert message["content"] or message.get("tool_calls") or message["role"] == "tool"
