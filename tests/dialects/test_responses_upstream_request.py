"""Conversation -> Responses request: items in order, tools, reasoning, settings."""

from typing import Any

import orjson
import pytest
from talking import assistant, talk, user

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
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
    WebSearch,
)
from mcp_proxy.dialects.openai_responses import UPSTREAM
from mcp_proxy.errors import BadRequest
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.policy.models import info

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
FUNCTION = Tool("f", "Does f.", SCHEMA)
PATCH = Tool(
    "patch",
    "Edits.\n\n`input` must match this lark grammar:\nstart: x",
    FREEFORM_SCHEMA,
    freeform={"type": "grammar", "syntax": "lark", "definition": "start: x"},
)
Json = dict[str, Any]


HI = user("hi")


def body(*messages: Message, model: str | ModelInfo = "gpt-5.5", **fields: Any) -> Json:
    conversation = talk(*messages, **fields)
    facts = info(model, "openai") if isinstance(model, str) else model
    sent: Json = orjson.loads(orjson.dumps(UPSTREAM.render_request(conversation, facts)))
    return sent


def items(*messages: Message, **fields: Any) -> list[Json]:
    found: list[Json] = body(*messages, **fields)["input"]
    return found


def said(role: str, *texts: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return {"type": "message", "role": role, "content": content}


def test_smallest_request():
    assert body(model="gpt-4.1") == {
        "model": "gpt-4.1",
        "input": [said("user", "hi")],
        "stream": True,
        "store": False,
    }


class TestItems:
    def test_whole_tool_loop_in_order(self):
        assert items(
            user(Text("look"), Media("image/*", PNG)),
            assistant(
                Thinking("why", Seal("gpt", "enc")),
                Text("One"),
                Text("two"),
                ToolCall("c1", "f", '{"x": "1"}'),
                ToolCall("c2", "f", ""),
            ),
            user(ToolResult("c1", (Text("r"),)), ToolResult("c2"), Text("go on")),
            tools=(FUNCTION,),
        ) == [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "look"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{PNG}",
                        "detail": "auto",
                    },
                ],
            },
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "why"}],
                "encrypted_content": "enc",
            },
            said("assistant", "One", "two"),
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x": "1"}'},
            {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
            {"type": "function_call_output", "call_id": "c2", "output": ""},
            said("user", "go on"),
        ]

    def test_system_text_in_the_middle_is_the_developers(self):
        found = body(HI, Message("system", (Text("Be brief."),)), system=(Text("A"), Text("B")))
        assert found["instructions"] == "A\n\nB"
        assert found["input"] == [said("user", "hi"), said("developer", "Be brief.")]

    def test_thinking_without_a_seal_is_left_out(self):
        assert items(HI, assistant(Thinking("t"), Text("a")), HI) == [
            said("user", "hi"),
            said("assistant", "a"),
            said("user", "hi"),
        ]

    def test_sealed_thinking_without_text_goes_back(self):
        found = items(HI, assistant(Thinking("", Seal("gpt", "e")), Text("a")))
        assert found[1] == {"type": "reasoning", "summary": [], "encrypted_content": "e"}

    def test_reasoning_that_led_to_nothing_is_left_out(self):
        sealed = Thinking("t", Seal("gpt", "e"))
        assert items(HI, assistant(sealed, sealed), HI) == [said("user", "hi"), said("user", "hi")]
        assert items(HI, assistant(sealed)) == [said("user", "hi")]
        assert len(items(HI, assistant(sealed), assistant(Text("a")))) == 3

    def test_results_with_pictures_are_lists(self):
        call = assistant(ToolCall("c", "f", "{}"))
        picture = Media("image/jpeg", url="https://e.example/p.jpg")
        (output,) = items(call, user(ToolResult("c", (Text("a"), picture), is_error=True)))[1:]
        assert output == {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "Error: "},
                {"type": "input_text", "text": "a"},
                {
                    "type": "input_image",
                    "image_url": "https://e.example/p.jpg",
                    "detail": "auto",
                },
            ],
        }

    @pytest.mark.parametrize(
        ("result", "output"),
        [
            (ToolResult("c", (Text("no"),), is_error=True), "Error: no"),
            (ToolResult("c", (Text("a"), Text("b"))), "a\nb"),
            (ToolResult("c", is_error=True), "Error: "),
        ],
    )
    def test_results_of_text_are_text(self, result, output):
        found = items(assistant(ToolCall("c", "f", "{}")), user(result))
        assert found[1]["output"] == output

    def test_calls_of_freeform_tools_are_custom_calls(self):
        found = items(
            assistant(ToolCall("c", "patch", '{"input": "*** \\"x\\""}')),
            user(ToolResult("c", (Text("done"),))),
            tools=(PATCH,),
        )
        assert found == [
            {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": '*** "x"'},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        ]

    def test_documents(self):
        (message,) = items(
            user(
                Media("application/pdf", "JVBERi0=", name="a.pdf"),
                Media("application/pdf", "JVBERi0="),
                Media("application/pdf", url="https://e.example/a.pdf"),
                Media("audio/wav", "UklGRg=="),
            )
        )
        assert message["content"] == [
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0=",
            },
            {
                "type": "input_file",
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0=",
            },
            {"type": "input_file", "file_url": "https://e.example/a.pdf"},
            {"type": "input_text", "text": "[audio/wav: this model takes text only]"},
        ]

    def test_model_without_eyes_is_told_of_pictures(self):
        blind = ModelInfo("m", Family.GPT, "m", 1000, 1000, takes_images=False)
        (message,) = items(user(Media("image/png", PNG)), model=blind)
        assert message["content"][0]["type"] == "input_text"

    def test_picture_that_the_model_made_stays_in_its_place(self):
        found = items(HI, assistant(Text("here"), Media("image/png", PNG), Text("ok?")))
        assert [item["role"] for item in found] == ["user", "assistant", "user", "assistant"]
        assert found[2]["content"][1]["type"] == "input_image"

    def test_items_of_the_same_dialect_are_kept_but_for_searches(self):
        own = {"type": "tool_search_call", "call_id": "t"}
        found = items(
            HI,
            assistant(
                Verbatim("openai_responses", own),
                Verbatim("openai_responses", {"type": "web_search_call", "id": "ws"}),
                Verbatim("gemini", {"executableCode": {}}),
                WebSearch(("q",)),
                Text("a"),
            ),
        )
        assert found == [said("user", "hi"), own, said("assistant", "a")]

    def test_nothing_to_say_is_still_a_message(self):
        assert items(user(Text(""))) == [said("user", ".")]

    def test_long_ids_are_shortened_alike_for_call_and_result(self):
        long = "call_" + "x" * 80
        call, output = items(assistant(ToolCall(long, "f", "{}")), user(ToolResult(long)))
        assert call["call_id"] == output["call_id"]
        assert len(call["call_id"]) == 64


class TestTools:
    def test_function_has_strict_said_and_its_schema_untouched(self):
        (tool,) = body(tools=(FUNCTION,))["tools"]
        assert tool == {
            "type": "function",
            "name": "f",
            "description": "Does f.",
            "parameters": SCHEMA,
            "strict": False,
        }

    @pytest.mark.parametrize(("closed", "strict"), [(True, True), (False, False)])
    def test_strict_is_asked_for_only_where_the_schema_allows_it(self, closed, strict):
        schema = {
            **SCHEMA,
            "required": ["x"],
            **({"additionalProperties": False} if closed else {}),
        }
        (tool,) = body(tools=(Tool("f", "", schema, strict=True),))["tools"]
        assert tool["strict"] is strict

    def test_freeform_tool_is_custom_and_its_grammar_is_told_once(self):
        (tool,) = body(tools=(PATCH,))["tools"]
        assert tool == {
            "type": "custom",
            "name": "patch",
            "description": "Edits.",
            "format": PATCH.freeform,
        }

    def test_tool_declared_twice_is_offered_once(self):
        assert len(body(tools=(FUNCTION, FUNCTION))["tools"]) == 1

    def test_names_that_are_not_legal_are_replaced_everywhere(self):
        name = "mcp/server tool " + "x" * 70
        found = body(
            assistant(ToolCall("c", name, "{}")),
            user(ToolResult("c")),
            tools=(Tool(name, "", SCHEMA),),
            tool_choice=ToolChoice("any", (name,)),
        )
        sent = found["tools"][0]["name"]
        assert sent.startswith("mcp_server_tool_xxx")
        assert len(sent) == 64
        assert found["input"][0]["name"] == sent
        assert found["tool_choice"]["name"] == sent

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            (ToolChoice(), "auto"),
            (ToolChoice("none"), "none"),
            (ToolChoice("any"), "required"),
            (ToolChoice("any", ("f",)), {"type": "function", "name": "f"}),
            (ToolChoice("any", ("patch",)), {"type": "custom", "name": "patch"}),
            (
                ToolChoice("any", ("f", "patch")),
                {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [
                        {"type": "function", "name": "f"},
                        {"type": "custom", "name": "patch"},
                    ],
                },
            ),
        ],
    )
    def test_choice(self, choice, sent):
        assert body(tools=(FUNCTION, PATCH), tool_choice=choice)["tool_choice"] == sent

    @pytest.mark.parametrize("parallel", [True, False])
    def test_parallel_calls(self, parallel):
        choice = ToolChoice(parallel=parallel)
        assert body(tools=(FUNCTION,), tool_choice=choice)["parallel_tool_calls"] is parallel

    @pytest.mark.parametrize(
        ("tool", "sent"),
        [
            (
                Verbatim(
                    "anthropic",
                    {
                        "type": "web_search_20250305",
                        "allowed_domains": ["a.example"],
                        "user_location": {"type": "approximate", "city": "Ulm", "region": None},
                        "max_uses": 3,
                    },
                ),
                {
                    "type": "web_search",
                    "filters": {"allowed_domains": ["a.example"]},
                    "user_location": {"type": "approximate", "city": "Ulm"},
                },
            ),
            (
                Verbatim(
                    "openai_chat",
                    {
                        "type": "web_search",
                        "search_context_size": "low",
                        "user_location": {"type": "approximate", "approximate": {"country": "DE"}},
                    },
                ),
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "country": "DE"},
                },
            ),
            (Verbatim("gemini", {"googleSearch": {}}), {"type": "web_search"}),
            (
                Verbatim("openai_responses", {"type": "web_search", "external_web_access": True}),
                {"type": "web_search", "external_web_access": True},
            ),
        ],
    )
    def test_web_search_of_every_dialect(self, tool, sent):
        found = body(server_tools=(Verbatim("anthropic", {"type": "bash_20250124"}), tool))
        assert found["tools"] == [sent]
        assert found["include"][-1] == "web_search_call.action.sources"

    def test_schema_beyond_all_bounds_is_the_clients_fault(self):
        schema: Json = {}
        for _ in range(300):
            schema = {"type": "object", "properties": {"x": schema}}
        with pytest.raises(BadRequest, match='the schema of tool "f"'):
            body(tools=(Tool("f", "", schema),))


class TestReasoning:
    @pytest.mark.parametrize(
        ("wanted", "sent"),
        [
            (Reasoning(), {"summary": "auto"}),
            (Reasoning(by_default=False), None),
            (Reasoning(mode="adaptive"), {"summary": "auto"}),
            (Reasoning(mode="adaptive", visible=False), None),
            (Reasoning(mode="adaptive", effort="high"), {"effort": "high", "summary": "auto"}),
            (Reasoning(mode="adaptive", effort="max"), {"effort": "xhigh", "summary": "auto"}),
            (Reasoning(mode="adaptive", effort="minimal"), {"effort": "low", "summary": "auto"}),
            (Reasoning(mode="on", budget=9000), {"effort": "high", "summary": "auto"}),
            (Reasoning(mode="on", budget=1024, visible=False), {"effort": "low"}),
            (Reasoning(mode="off"), {"effort": "none"}),
            (Reasoning(effort="low", by_default=False), {"effort": "low"}),
        ],
    )
    def test_wishes(self, wanted, sent):
        assert body(reasoning=wanted).get("reasoning") == sent

    def test_model_that_cannot_do_without_thinks_as_little_as_it_can(self):
        found = body(model="gpt-5", reasoning=Reasoning(mode="off"))
        assert found["reasoning"] == {"effort": "minimal"}

    def test_small_answer_is_not_spent_on_reasoning(self):
        small = body(reasoning=Reasoning(by_default=False), sampling=Sampling(max_tokens=500))
        assert small["reasoning"] == {"effort": "none"}
        large = body(reasoning=Reasoning(by_default=False), sampling=Sampling(max_tokens=5000))
        assert "reasoning" not in large

    def test_web_search_needs_some_reasoning(self):
        search = (Verbatim("anthropic", {"type": "web_search_20250305"}),)
        found = body(model="gpt-5", server_tools=search, reasoning=Reasoning(mode="off"))
        assert found["reasoning"]["effort"] == "low"

    def test_encrypted_reasoning_is_asked_for_where_there_is_any(self):
        assert body()["include"] == ["reasoning.encrypted_content"]
        found = body(model="gpt-4.1", reasoning=Reasoning(mode="adaptive", effort="high"))
        assert not {"include", "reasoning"} & {*found}


class TestSettings:
    @pytest.mark.parametrize(("model", "is_sent"), [("gpt-4.1", True), ("gpt-5.5", False)])
    def test_sampling_only_where_the_model_does_not_reason(self, model, is_sent):
        found = body(model=model, sampling=Sampling(temperature=0.3, top_p=0.9, top_k=4))
        assert ("temperature" in found, "top_p" in found) == (is_sent, is_sent)
        assert "top_k" not in found

    @pytest.mark.parametrize(
        ("wanted", "sent"), [(100, 100), (1, 16), (0, 16), (10**9, 128_000), (None, None)]
    )
    def test_limit_stays_within_what_is_accepted(self, wanted, sent):
        assert body(sampling=Sampling(max_tokens=wanted)).get("max_output_tokens") == sent

    def test_session_names_the_prompt_cache(self):
        assert body(session="s-1")["prompt_cache_key"] == "s-1"
        assert body(cache_key="k-1")["prompt_cache_key"] == "k-1"
        assert len(body(session="s" * 200)["prompt_cache_key"]) == 64
        assert "prompt_cache_key" not in body()

    def test_structured_output(self):
        open_schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        closed = {**open_schema, "required": ["a"], "additionalProperties": False}
        for schema, strict in ((open_schema, False), (closed, True)):
            found = body(output=OutputFormat(schema, "my answer"))
            assert found["text"]["format"] == {
                "type": "json_schema",
                "name": "my_answer",
                "schema": schema,
                "strict": strict,
            }
        assert body(output=OutputFormat(closed))["text"]["format"]["name"] == "answer"

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "ARRAY", "items": {"type": "STRING"}},
            {"anyOf": [{"type": "object", "properties": {}}, {"type": "string"}]},
        ],
    )
    def test_an_answer_that_may_be_no_object_is_asked_for_in_words(self, schema):
        found = body(output=OutputFormat(schema))
        assert "text" not in found
        note, _ = found["input"]
        assert note["content"][0]["text"].endswith(orjson.dumps(schema).decode())

    def test_json_mode_is_mentioned_because_it_is_refused_otherwise(self):
        found = body(output=OutputFormat())
        assert found["text"] == {"format": {"type": "json_object"}}
        note, message = found["input"]
        assert note["role"] == "developer"
        assert "JSON" in note["content"][0]["text"]
        assert message == said("user", "hi")
        asked = user(Text("Answer in Json"))
        assert items(asked, output=OutputFormat()) == [said("user", "Answer in Json")]

    def test_advice_of_its_own_clients_goes_along(self):
        advice = {"service_tier": "flex", "user": "u", "truncation": "auto", "text": None}
        home = Conversation("openai_responses", "m", (HI,), extras={**advice, "n": 2})
        sent = UPSTREAM.render_request(home, info("gpt-5.5", "openai"))
        assert (sent["service_tier"], sent["user"], sent["truncation"]) == ("flex", "u", "auto")
        assert not {"n", "text"} & {*sent}
        assert not {*advice} & {*body(extras=advice)}

    def test_verbosity_is_kept_beside_the_form_of_the_answer(self):
        text = {"format": {"type": "json_object"}, "verbosity": "low"}
        extras, output = {"text": text}, OutputFormat()
        home = Conversation("openai_responses", "m", (HI,), output=output, extras=extras)
        assert UPSTREAM.render_request(home, info("gpt-5.5", "openai"))["text"] == text

    def test_conversation_is_not_changed(self):
        conversation = Conversation("anthropic", "m", (HI,), tools=(FUNCTION, PATCH))
        before = repr(conversation)
        UPSTREAM.render_request(conversation, info("gpt-5.5", "openai"))
        assert repr(conversation) == before
