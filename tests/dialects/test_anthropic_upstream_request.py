"""Conversation -> Messages request: what upstreams of Anthropic's dialect are sent."""

import base64
import json
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import talking
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from talking import assistant, user

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
    Conversation,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Sampling,
    Seal,
    SearchHit,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Verbatim,
    WebSearch,
)
from mcp_proxy.demo.places.messages_rules import problems
from mcp_proxy.demo.places.models import ANTHROPIC
from mcp_proxy.dialects.anthropic import CLIENT, UPSTREAM
from mcp_proxy.dialects.anthropic.answer_schemas import answer_schema, is_exact
from mcp_proxy.errors import BadRequest
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.schema_levels import SchemaTooLarge
from mcp_proxy.strict_json import encode

RECORDINGS = Path(__file__).parent.parent / "recordings"

NEWEST = info("claude-opus-5-5", "anthropic")
BOTH = info("claude-opus-4-6", "anthropic")
BUDGETED = info("claude-sonnet-4-5-20250929", "anthropic")
OLD = info("claude-3-5-haiku-20241022", "anthropic")
GLM = info("glm-4.7", "zai")

WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {}})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
MARK = {"type": "ephemeral"}


talk = partial(talking.talk, dialect="openai_chat")


def rendered(conversation: Conversation, model: ModelInfo = NEWEST) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(encode(UPSTREAM.render_request(conversation, model)))
    return body


def unmarked(value: Any) -> Any:
    """The same without the marks for the cache."""
    if isinstance(value, list):
        return [unmarked(each) for each in value]
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name != "cache_control"}
    return value


def turns(*messages: Message, model: ModelInfo = NEWEST, **fields: Any) -> list[tuple[str, Any]]:
    found = unmarked(rendered(talk(*messages, **fields), model)["messages"])
    return [(message["role"], message["content"]) for message in found]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_the_smallest_request():
    assert rendered(talk()) == {
        "model": "claude-opus-5-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [text("hi")]}],
        "stream": True,
    }


class TestMessages:
    def test_neighbours_of_a_role_become_one_message(self):
        assert turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
            ("user", [text("a"), text("b")]),
            ("assistant", [text("c"), text("d")]),
            ("user", [text("e")]),
        ]

    def test_empty_and_blank_texts_are_left_out(self):
        assert turns(user("", " \n", "a"), assistant(" "), user("b")) == [
            ("user", [text("a"), text("b")])
        ]

    @pytest.mark.parametrize("messages", [[user("")], [assistant("so")], []])
    def test_the_user_always_begins(self, messages):
        conversation = Conversation("openai_chat", "m", tuple(messages))
        first = unmarked(rendered(conversation))["messages"][0]
        assert first == {"role": "user", "content": [text(".")]}

    def test_an_instruction_in_the_middle_is_told_as_a_note(self):
        ((_, content),) = turns(user("a"), Message("system", (Text("be brief"),)))
        assert content == [
            text("a"),
            text("[Note from the application, not written by the user]\nbe brief"),
        ]

    def test_an_unfinished_answer_does_not_end_in_white_space(self):
        assert turns(user("a"), assistant("b", "the answer is \n"))[-1] == (
            "assistant",
            [text("b"), text("the answer is")],
        )

    def test_results_come_first_and_together(self):
        call = assistant(ToolCall("c1", "f", '{"x":1}'), ToolCall("c2", "g", "{}"))
        after = (user("look", ToolResult("c1", (Text("1"),))), user(ToolResult("c2")))
        assert turns(user("a"), call, *after)[1:] == [
            (
                "assistant",
                [
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
                    {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
                ],
            ),
            (
                "user",
                [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "c2"},
                    text("look"),
                ],
            ),
        ]

    def test_nothing_that_was_said_stands_between_a_call_and_its_result(self):
        called = assistant("a", ToolCall("1", "f", "{}"), "b", ToolCall("2", "f", "{}"), "c")
        results = user(ToolResult("1"), ToolResult("2"))
        _, (_, content), _ = turns(user("hi"), called, results)
        assert content[:3] == [text("a"), text("b"), text("c")]
        assert [block["id"] for block in content[3:]] == ["1", "2"]

    def test_an_error_always_says_something(self):
        results = (ToolResult("a", (Text("no"),), is_error=True), ToolResult("b", is_error=True))
        ((_, blocks),) = turns(user(*results))
        assert [(block["content"], block["is_error"]) for block in blocks] == [
            ("no", True),
            ("The tool failed and gave no message.", True),
        ]

    def test_a_result_may_have_pictures(self):
        parts = (Text("here"), Media("image/png", "iVBORw=="))
        ((_, (block,)),) = turns(user(ToolResult("a", parts)))
        assert block["content"] == [
            text("here"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
            },
        ]

    def test_ids_get_letters_that_are_allowed_on_both_sides(self):
        pair = (assistant(ToolCall("call:1/ä", "f", "{}")), user(ToolResult("call:1/ä")))
        (_, (call,)), (_, (result,)) = turns(user("a"), *pair)[1:]
        assert call["id"] == result["tool_use_id"]
        assert re.fullmatch("call_1___[0-9a-f]{12}", call["id"]), "no other id becomes the same"

    def test_searches_and_blocks_of_other_dialects_are_not_sent_again(self):
        search = WebSearch(("q",), (SearchHit("https://a"),))
        said = assistant(search, Verbatim("gemini", {"x": 1}), "b")
        assert turns(user("a"), said, user("c"))[1] == ("assistant", [text("b")])

    def test_a_block_that_only_this_dialect_knows_goes_home_without_its_mark(self):
        block = {"type": "search_result", "source": "s", "title": "t", "content": []}
        ((_, blocks),) = turns(user(Verbatim("anthropic", {**block, "cache_control": MARK}), "a"))
        assert blocks[0] == block

    def test_a_picture_that_a_model_made_is_only_named(self):
        said = assistant(Media("image/png", "iVBORw=="))
        assert turns(user("a"), said, user("b"))[1] == ("assistant", [text("[image/png]")])


class TestMedia:
    @pytest.mark.parametrize(
        ("media", "block"),
        [
            (
                Media("image/*", "/9j/4AAQ"),
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"},
                },
            ),
            (
                Media("image/*", url="https://a/b"),
                {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
            ),
            (
                Media("application/pdf", "JVBERi0=", name="a.pdf"),
                {
                    "type": "document",
                    "source": {
                        "type": "base64",
                        "media_type": "application/pdf",
                        "data": "JVBERi0=",
                    },
                    "title": "a.pdf",
                },
            ),
            (
                Media("application/pdf", url="https://a/b.pdf"),
                {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
            ),
            (
                Media("text/csv", base64.b64encode("ä,b".encode()).decode()),
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"},
                },
            ),
            (Media("audio/wav", "UklGRg=="), text("[audio/wav: this model takes text only]")),
            (Media("image/bmp", "Qk0="), text("[image/bmp: this model takes text only]")),
        ],
    )
    def test_each_kind(self, media, block):
        assert turns(user(media)) == [("user", [block])]

    def test_a_model_of_text_is_told_of_pictures(self):
        model = replace(GLM, takes_images=False)
        assert turns(user(Media("image/png", "iVBORw==", name="cat")), model=model) == [
            ("user", [text("[cat: this model takes text only]")])
        ]


class TestThinking:
    @pytest.mark.parametrize(
        ("model", "reasoning", "thinking", "effort"),
        [
            (NEWEST, Reasoning(), None, None),
            (NEWEST, Reasoning("off"), {"type": "disabled"}, None),
            (
                NEWEST,
                Reasoning("on", budget=20_000),
                {"type": "adaptive", "display": "summarized"},
                "high",
            ),
            (
                NEWEST,
                Reasoning("adaptive", visible=False),
                {"type": "adaptive", "display": "omitted"},
                None,
            ),
            (
                NEWEST,
                Reasoning(effort="minimal"),
                {"type": "adaptive", "display": "summarized"},
                "low",
            ),
            (NEWEST, Reasoning(effort="high", by_default=False), None, "high"),
            (BOTH, Reasoning("on", budget=2000), {"type": "enabled", "budget_tokens": 2000}, None),
            (BOTH, Reasoning("adaptive", effort="xhigh"), {"type": "adaptive"}, "max"),
            (
                BUDGETED,
                Reasoning("adaptive"),
                {"type": "enabled", "budget_tokens": 16_000},
                None,
            ),
            (
                BUDGETED,
                Reasoning(effort="medium"),
                {"type": "enabled", "budget_tokens": 8192},
                None,
            ),
            (BUDGETED, Reasoning("on", budget=5), {"type": "enabled", "budget_tokens": 1024}, None),
            (BUDGETED, Reasoning(effort="high", by_default=False), None, None),
            (OLD, Reasoning("on", budget=2000), None, None),
            (GLM, Reasoning("off"), {"type": "disabled"}, None),
            (GLM, Reasoning(effort="low"), {"type": "enabled", "budget_tokens": 1024}, None),
        ],
    )
    def test_in_the_terms_of_the_model(self, model, reasoning, thinking, effort):
        body = rendered(talk(reasoning=reasoning), model)
        assert body.get("thinking") == thinking
        assert body.get("output_config", {}).get("effort") == effort

    @pytest.mark.parametrize(
        ("budget", "asked", "sent_budget", "sent_limit"),
        [
            (4096, None, 4096, 64_000),
            (4096, 8000, 4096, 8000),
            (8000, 8000, 4000, 8000),
            (8000, 2048, 1024, 2048),
            (8000, 2046, None, 2046),
            (None, 500, 16_000, 16_500),
            (None, 60_000, 16_000, 64_000),
        ],
    )
    def test_length_exceeds_the_budget(self, budget, asked, sent_budget, sent_limit):
        reasoning, sampling = Reasoning("on", budget=budget), Sampling(asked)
        body = rendered(talk(reasoning=reasoning, sampling=sampling), BUDGETED)
        assert body.get("thinking", {}).get("budget_tokens") == sent_budget
        assert body["max_tokens"] == sent_limit

    def test_a_forced_call_is_made_without_thinking(self):
        asked = talk(tools=(WEATHER,), tool_choice=ToolChoice("any"), reasoning=Reasoning("on"))
        assert "thinking" not in rendered(asked)

    @pytest.mark.parametrize("asked", [0, 1])
    def test_a_stream_always_has_room_for_a_token(self, asked):
        assert rendered(talk(sampling=Sampling(asked)))["max_tokens"] == 1

    def test_length_is_lowered_to_what_the_model_can(self):
        assert rendered(talk(sampling=Sampling(10**6)), OLD)["max_tokens"] == 8192

    def test_thoughts_go_back_with_their_signature_and_in_their_place(self):
        said = assistant(
            Thinking("hm", Seal("claude", "sig")),
            Thinking("", Seal("claude", "blob"), redacted=True),
            "a",
            Thinking("unsigned"),
        )
        found = turns(user("a"), said, user("b"), reasoning=Reasoning("adaptive"))
        assert found[1][1] == [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "blob"},
            text("a"),
        ]

    def test_a_request_that_does_not_think_has_no_thoughts(self):
        said = assistant(Thinking("hm", Seal("claude", "sig")), "a")
        assert turns(user("a"), said, user("b"), reasoning=Reasoning("off"))[1][1] == [text("a")]


class TestTools:
    def declared(self, *tools: Tool, model: ModelInfo = NEWEST, **fields: Any) -> list[Any]:
        found: list[Any] = unmarked(rendered(talk(tools=tools, **fields), model)["tools"])
        return found

    def test_a_tool(self):
        assert self.declared(WEATHER, Tool("bare", "", {})) == [
            {
                "name": "weather",
                "description": "The weather",
                "input_schema": {"type": "object", "properties": {}},
            },
            {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        ]

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            {"a": {"type": "string"}},
            {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]},
        ],
    )
    def test_a_schema_that_would_be_refused_is_mended(self, schema):
        (tool,) = self.declared(Tool("t", "", schema))
        assert tool["input_schema"]["type"] == "object"
        assert tool["input_schema"]["properties"]["a"]["type"] == "string"

    def test_a_tool_of_free_text_is_a_function_of_one_text(self):
        (tool,) = self.declared(Tool("patch", "d", FREEFORM_SCHEMA, freeform={}))
        assert tool["input_schema"] == FREEFORM_SCHEMA

    def test_declared_twice_the_first_counts(self):
        assert len(self.declared(WEATHER, replace(WEATHER, description="again"))) == 1

    def test_names_are_made_legal_and_stay_apart(self):
        tools = [Tool(name, "", {}) for name in ("a.b", "a/b", "x" * 200, "a_b")]
        names = [tool["name"] for tool in self.declared(*tools)]
        assert names == ["a_b_2", "a_b_3", "x" * 128, "a_b"]

    def test_strict_where_the_schema_and_the_model_allow_it(self):
        exact = {**SCHEMA, "required": ["a"]}
        bounded = {**exact, "properties": {"a": {"type": "integer", "minimum": 1}}}

        def is_strict(tool: Tool, model: ModelInfo = NEWEST) -> bool:
            return "strict" in self.declared(tool, model=model)[0]

        assert is_strict(Tool("t", "", exact, strict=True))
        assert not is_strict(Tool("t", "", exact))
        assert not is_strict(Tool("t", "", bounded, strict=True))
        assert not is_strict(Tool("t", "", SCHEMA, strict=True))
        assert not is_strict(Tool("t", "", exact, strict=True), GLM)

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            (ToolChoice(), None),
            (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
            (ToolChoice("any"), {"type": "any"}),
            (
                ToolChoice("any", ("weather",), parallel=False),
                {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            ),
            (ToolChoice("none", parallel=False), {"type": "none"}),
        ],
    )
    def test_choices(self, choice, sent):
        assert rendered(talk(tools=(WEATHER,), tool_choice=choice)).get("tool_choice") == sent

    def test_of_several_allowed_tools_only_those_are_offered(self):
        tools = tuple(Tool(name, "", {}) for name in "abc")
        body = rendered(talk(tools=tools, tool_choice=ToolChoice("any", ("a", "c"))))
        assert [tool["name"] for tool in body["tools"]] == ["a", "c"]
        assert body["tool_choice"] == {"type": "any"}

    def test_server_tools_of_this_dialect_go_as_they_are(self):
        search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
        tools = (
            Verbatim("anthropic", {**search, "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
            Verbatim("openai_responses", {"type": "web_search"}),
            Verbatim("anthropic", {"type": "web_search_20250305", "name": "weather"}),
        )
        names = [tool["name"] for tool in self.declared(WEATHER, server_tools=tools)]
        assert names == ["weather", "web_search"]
        assert self.declared(server_tools=tools[:2]) == [search]
        assert "cache_control" not in search

    def test_a_history_with_calls_has_tools_though_none_may_be_called(self):
        history = (user("a"), assistant(ToolCall("1", "x.y", "{}")), user(ToolResult("1")))
        body = rendered(talk(*history))
        assert unmarked(body["tools"]) == [{"name": "x_y", "input_schema": {"type": "object"}}]
        assert body["tool_choice"] == {"type": "none"}


class TestSettings:
    @pytest.mark.parametrize(
        ("model", "reasoning", "asked", "sent"),
        [
            (BUDGETED, Reasoning(), Sampling(temperature=1.7), {"temperature": 1.0}),
            (
                BUDGETED,
                Reasoning(),
                Sampling(temperature=0.3, top_p=0.5, top_k=4),
                {"temperature": 0.3, "top_k": 4},
            ),
            (BUDGETED, Reasoning(), Sampling(top_p=0.5), {"top_p": 0.5}),
            (GLM, Reasoning(), Sampling(temperature=0.3, top_p=0.5), {"temperature": 0.3}),
            (BUDGETED, Reasoning("on"), Sampling(temperature=0.3, top_p=0.5, top_k=4), {}),
            (BUDGETED, Reasoning("on"), Sampling(top_p=0.97), {"top_p": 0.97}),
            (NEWEST, Reasoning(), Sampling(temperature=0.3, top_p=0.5, top_k=4), {}),
            (
                NEWEST,
                Reasoning(),
                Sampling(stop=("a", " \n", "b")),
                {"stop_sequences": ["a", "b"]},
            ),
            (NEWEST, Reasoning(), Sampling(stop=("\n",)), {}),
        ],
    )
    def test_sampling_that_goes_together(self, model, reasoning, asked, sent):
        body = rendered(talk(sampling=asked, reasoning=reasoning), model)
        names = ("temperature", "top_p", "top_k", "stop_sequences")
        assert {name: body[name] for name in names if name in body} == sent

    def test_a_schema_for_the_answer_where_the_model_has_that(self):
        body = rendered(talk(output=OutputFormat(SCHEMA), reasoning=Reasoning(effort="low")))
        assert body["output_config"] == {
            "effort": "low",
            "format": {"type": "json_schema", "schema": SCHEMA},
        }
        assert "system" not in body

    @pytest.mark.parametrize("model", [GLM, OLD])
    def test_a_schema_is_told_to_other_models(self, model):
        body = rendered(talk(system=(Text("s"),), output=OutputFormat(SCHEMA)), model)
        assert "output_config" not in body
        assert body["system"][0] == text("s")
        assert body["system"][1]["text"].endswith(json.dumps(SCHEMA, separators=(",", ":")))

    def test_json_of_any_shape_is_asked_for_in_words(self):
        (block,) = rendered(talk(output=OutputFormat()))["system"]
        assert block["text"].startswith("Answer with one JSON value")

    def test_a_schema_beyond_all_bounds_is_the_clients_fault(self):
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(100):
            schema = {"type": "array", "items": schema}
        with pytest.raises(BadRequest, match="schema of the answer"):
            rendered(talk(output=OutputFormat(schema)))

    def test_fields_of_the_dialect_go_home_only(self):
        extras = {"metadata": {"user_id": "u"}, "context_management": {}, "n": 2}
        home = replace(talk(extras=extras), dialect="anthropic")
        assert rendered(home)["metadata"] == {"user_id": "u"}
        assert "context_management" not in rendered(home)
        assert "metadata" not in rendered(talk(extras=extras))


class TestCache:
    def marked(self, body: dict[str, Any]) -> list[str]:
        found = [f"tool {tool['name']}" for tool in body.get("tools", ()) if is_marked(tool)]
        found += [block["text"] for block in body.get("system", ()) if is_marked(block)]
        for message in body["messages"]:
            for block in message["content"]:
                if is_marked(block):
                    found.append(block.get("text") or block["type"])
        return found

    def test_what_stays_the_same_is_marked_and_the_last_two_turns_of_the_user(self):
        body = rendered(
            talk(
                user("1"),
                assistant("2"),
                user("3"),
                assistant(ToolCall("c", "weather", "{}")),
                user(ToolResult("c")),
                system=(Text("s1"), Text("s2")),
                tools=(replace(WEATHER, name="first"), WEATHER),
            )
        )
        assert self.marked(body) == ["tool weather", "s2", "3", "tool_result"]

    def test_a_question_that_is_asked_once_is_not_worth_a_mark(self):
        assert self.marked(rendered(talk(system=(Text("s"),)))) == ["s"]

    def test_marks_are_new_for_each_request(self):
        search = {"type": "web_search_20250305", "name": "web_search"}
        rendered(talk(server_tools=(Verbatim("anthropic", search),)))
        assert "cache_control" not in search


def is_marked(value: dict[str, Any]) -> bool:
    return value.get("cache_control") == MARK


class TestAnswerSchemas:
    def test_objects_are_closed_and_constraints_are_told(self):
        schema = {
            "$schema": "x",
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "description": "how many"},
                "when": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}},
                "one": {"oneOf": [{"$ref": "#/$defs/D"}, {"type": "null"}]},
            },
            "required": ["n"],
            "$defs": {"D": {"type": "object", "properties": {}, "additionalProperties": True}},
        }
        assert answer_schema(schema) == {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": 'how many\n\n{"minimum":1}'},
                "when": {"type": "string", "format": "date"},
                "tags": {
                    "type": "array",
                    "items": {"type": "string", "description": '{"maxLength":3}'},
                },
                "one": {"anyOf": [{"$ref": "#/$defs/D"}, {"type": "null"}]},
            },
            "required": ["n"],
            "$defs": {"D": {"type": "object", "properties": {}, "additionalProperties": False}},
            "additionalProperties": False,
        }

    def test_what_is_in_the_subset_stays_as_it_is(self):
        assert answer_schema(SCHEMA) == SCHEMA
        assert is_exact(SCHEMA)
        assert not is_exact({"type": "object"})

    def test_too_deep_is_refused(self):
        schema: dict[str, Any] = {}
        for _ in range(100):
            schema = {"items": schema}
        assert not is_exact(schema)
        with pytest.raises(SchemaTooLarge):
            answer_schema(schema)

    def test_what_is_no_schema_stays_for_the_upstream_to_judge(self):
        assert answer_schema({"items": True}) == {"items": True}


# Identity, and what the real API would say

PATTERNS = ("claude-code-*.json", "py-anthropic-*.json", "langchain-anthropic*.json")


def recorded() -> list[Any]:
    """Requests that are a whole conversation."""
    cases = []
    for file in sorted(path for pattern in PATTERNS for path in RECORDINGS.glob(pattern)):
        requests = json.loads(file.read_text())
        for at, request in enumerate(requests):
            body = request["body"]
            if request["path"] != "/v1/messages":
                continue
            if (original := body.get("__same_body_as_request__")) is not None:
                body = requests[original]["body"]
            if body.get("thread", {}).get("type") != "continue":
                cases.append(pytest.param(body, request["headers"], id=f"{file.stem}-{at}"))
    return cases


DEMO = ANTHROPIC[NEWEST.id]


@pytest.mark.parametrize(("sent", "headers"), recorded())
def test_a_recorded_request_means_the_same_when_it_is_rendered(sent, headers):
    conversation = CLIENT.parse_request(sent, CIMultiDict(headers))
    body = rendered(conversation)
    again = CLIENT.parse_request(body, CIMultiDict(headers))

    assert said(again) == said(conversation)
    assert again.system == conversation.system
    assert again.tools == conversation.tools or not conversation.tools
    assert unmarked([tool.value for tool in again.server_tools]) == unmarked(
        [tool.value for tool in conversation.server_tools]
    )
    assert again.tool_choice == conversation.tool_choice or not conversation.tools
    assert again.sampling.max_tokens == min(conversation.sampling.max_tokens or 1, 64_000)
    assert again.output == conversation.output
    assert again.session == conversation.session
    assert again.reasoning.mode in (conversation.reasoning.mode, "adaptive")


@pytest.mark.parametrize(("sent", "headers"), recorded())
def test_a_recorded_request_is_taken_by_the_api(sent, headers):
    conversation = CLIENT.parse_request(sent, CIMultiDict(headers))
    found = problems(
        rendered(conversation), DEMO, version="2023-06-01", betas=frozenset(), signer=None
    )
    assert list(found) == []


def said(conversation: Conversation) -> list[tuple[str, list[Part]]]:
    """Who says what, without empty texts; a run of one side is one turn."""
    thinks = conversation.reasoning.mode in ("on", "adaptive")
    found: list[tuple[str, list[Part]]] = []
    for message in conversation.messages:
        role = "assistant" if message.role == "assistant" else "user"
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, Text) and message.role == "system":
                note = "[Note from the application, not written by the user]\n"
                parts.append(Text(note + part.text.removeprefix(note)))
            elif isinstance(part, Text):
                if part.text.strip():
                    parts.append(part)
            elif not isinstance(part, Thinking) or thinks:
                parts.append(part)
        if found and found[-1][0] == role:
            found[-1][1].extend(parts)
        else:
            found.append((role, parts))
    for _, parts in found:
        parts.sort(key=lambda part: not isinstance(part, ToolResult))
    return found


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
USER_PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Media, st.sampled_from(["image/png", "application/pdf"]), st.just("iVBORw==")),
)
MODEL_PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Thinking, WORDS, st.builds(Seal, st.just("claude"), st.just("s"))),
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(Message, st.just("user"), st.lists(USER_PARTS, max_size=3).map(tuple)),
        st.builds(Message, st.just("system"), st.lists(st.builds(Text, WORDS)).map(tuple)),
        st.builds(Message, st.just("assistant"), st.lists(MODEL_PARTS, max_size=3).map(tuple)),
    ),
    max_size=6,
).map(tuple)


@given(MESSAGES, st.sampled_from([NEWEST, BOTH, BUDGETED, OLD, GLM]), st.booleans())
def test_roles_alternate_and_nothing_is_empty(messages, model, thinks):
    reasoning = Reasoning("on" if thinks else "off")
    body = rendered(Conversation("gemini", "m", messages, reasoning=reasoning), model)
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in pairwise(roles))
    for message in body["messages"]:
        assert message["content"]
        for block in message["content"]:
            assert block["type"] != "text" or block["text"].strip()
    assert encode(body).count(b'"cache_control"') <= 4
