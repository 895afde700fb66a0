"""Conversation -> request: what the upstream gets to see, family by family."""

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from talking import assistant, talk, user

from mcp_proxy.conversation import (
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
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.dialects.gemini.contents import SENTINEL
from mcp_proxy.dialects.gemini.tools import Toolbox, explain_bad_request
from mcp_proxy.dialects.sent_schemas import MAX_KEPT
from mcp_proxy.dialects.wording import json_instruction
from mcp_proxy.errors import BadRequest
from mcp_proxy.policy.models import info

CLAUDE = "claude-opus-4-6-thinking"
PLAIN_CLAUDE = "claude-sonnet-4-5"
GEMINI = "gemini-3-flash"
FAMILIES = (CLAUDE, PLAIN_CLAUDE, GEMINI, "gemini-2.5-flash", "gpt-oss-120b-medium")

PNG = "iVBORw0KGgo="
NULLABLE = {"type": "object", "properties": {"a": {"type": ["integer", "null"]}}}
OBJECT = {"type": "object", "properties": {"x": {"type": "string"}}}
LAST = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}


def render(conversation: Conversation, model: str = CLAUDE) -> dict[str, Any]:
    """The request as JSON has it."""
    decoded: dict[str, Any] = orjson.loads(
        orjson.dumps(UPSTREAM.render_request(conversation, info(model)))
    )
    return decoded


def contents(*messages: Message, model: str = CLAUDE, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = render(talk(*messages, **fields), model)["contents"]
    return found


def tool(name: str, schema: dict[str, Any] | None = None) -> Tool:
    return Tool(name, f"does {name}", OBJECT if schema is None else schema)


def sealed(text: str, origin: str, value: str = "sig") -> Thinking:
    return Thinking(text, Seal(origin, value))


class TestTurns:
    def test_roles_are_user_and_model(self):
        assert [turn["role"] for turn in contents(user("a"), assistant("b"), user("c"))] == [
            "user",
            "model",
            "user",
        ]

    def test_messages_of_one_role_become_one_content(self):
        assert contents(user("a"), user("b", "c")) == [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
        ]

    def test_empty_message_is_left_out_and_roles_still_alternate(self):
        found = contents(user("a"), assistant("", " "), user("b"))
        assert found == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]

    @pytest.mark.parametrize("model", FAMILIES)
    def test_nothing_at_all_is_a_dot(self, model):
        assert contents(user(""), model=model) == [{"role": "user", "parts": [{"text": "."}]}]

    def test_unknown_block_is_left_out(self):
        found = contents(user(Verbatim("anthropic", {"type": "search"}), "a"))
        assert found[0]["parts"] == [{"text": "a"}]

    def test_own_block_travels_home(self):
        found = contents(user(Verbatim("gemini", {"executableCode": {"code": "1"}})), model=GEMINI)
        assert found[0]["parts"] == [{"executableCode": {"code": "1"}}]

    def test_part_that_the_upstream_does_not_know_is_left_out(self):
        code = {"codeExecutionResult": {"output": "1"}, "thoughtSignature": "c2ln"}
        younger = Verbatim("gemini", {"hologram": {}, "thoughtSignature": "c2ln"})
        found = contents(user(younger, Verbatim("gemini", {**code, "younger": 1})), model=GEMINI)
        assert found[0]["parts"] == [code]
        assert contents(user(younger), model=GEMINI)[0]["parts"] == [{"text": "."}]

    def test_history_that_begins_with_the_model_gets_a_user_in_front_for_gemini_only(self):
        history = (assistant("hello"), user("hi"))
        assert contents(*history, model=GEMINI)[0] == {"role": "user", "parts": [{"text": "."}]}
        assert contents(*history, model=CLAUDE)[0]["role"] == "model"

    def test_prefill_loses_its_trailing_white_space_for_claude(self):
        assert contents(user("a"), assistant("{ \n"))[-1]["parts"] == [{"text": "{"}]
        assert contents(user("a"), assistant("{ "), model=GEMINI)[-1]["parts"] == [{"text": "{ "}]

    def test_system_in_the_middle_is_a_marked_note_of_the_user_side(self):
        found = contents(user("a"), assistant("b"), Message("system", (Text("be brief"),)))
        assert found[-1]["role"] == "user"
        assert found[-1]["parts"][0]["text"].endswith("\nbe brief")
        assert "not written by the user" in found[-1]["parts"][0]["text"]

    def test_system_text_is_parts_of_the_instruction(self):
        request = render(talk(system=(Text("a"), Text(""), Text("b"))), PLAIN_CLAUDE)
        assert request["systemInstruction"] == {
            "role": "user",
            "parts": [{"text": "a"}, {"text": "b"}],
        }

    def test_without_system_text_there_is_no_instruction(self):
        assert "systemInstruction" not in render(talk(system=(Text(" "),)), PLAIN_CLAUDE)


class TestMedia:
    def test_inline_data_has_its_type(self):
        assert contents(user(Media("application/pdf", "JVBERi0=")))[0]["parts"] == [
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}
        ]

    @pytest.mark.parametrize(
        ("data", "mime_type"),
        [(PNG, "image/png"), ("R0lGODlh", "image/gif"), ("AAAA", "image/jpeg")],
    )
    def test_open_type_is_read_off_the_data(self, data, mime_type):
        part = contents(user(Media("image/*", data)))[0]["parts"][0]
        assert part["inlineData"]["mimeType"] == mime_type

    def test_address_that_was_not_inlined_is_file_data(self):
        part = contents(user(Media("image/*", url="https://x/y")), model=GEMINI)[0]["parts"][0]
        assert part == {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x/y"}}

    @pytest.mark.parametrize("model", [CLAUDE, GEMINI])
    def test_name_is_text_right_before_it(self, model):
        found = contents(user("see", Media("application/pdf", "JVBERi0=", name="T")), model=model)
        assert found[0]["parts"] == [
            {"text": "see"},
            {"text": "T"},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ]

    def test_name_of_nothing_is_left_out(self):
        found = contents(user(Media("image/png", PNG, name=" ")))
        assert [list(part) for part in found[0]["parts"]] == [["inlineData"]]

    def test_model_without_eyes_is_told_what_is_missing(self):
        found = contents(user(Media("image/png", PNG, name="a.png")), model="gpt-oss-120b-medium")
        assert found[0]["parts"] == [{"text": "[a.png: this model takes text only]"}]


class TestCallsAndResults:
    HISTORY = (
        user("go"),
        assistant(ToolCall("a", "f", '{"x":"1"}'), "text after", ToolCall("b", "g", "")),
        user("and then", ToolResult("b", (Text("two"),)), ToolResult("a", (Text("one"),))),
    )

    @pytest.mark.parametrize("model", [CLAUDE, PLAIN_CLAUDE])
    def test_calls_are_last_and_results_first_in_call_order(self, model):
        assert contents(*self.HISTORY, model=model)[1:] == [
            {
                "role": "model",
                "parts": [
                    {"text": "text after"},
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": "1"}}},
                    {"functionCall": {"id": "b", "name": "g", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "a", "name": "f", "response": {"result": "one"}}},
                    {"functionResponse": {"id": "b", "name": "g", "response": {"result": "two"}}},
                    {"text": "and then"},
                ],
            },
        ]

    def test_results_in_separate_messages_are_together(self):
        history = (
            *self.HISTORY[:2],
            user(ToolResult("a", (Text("one"),))),
            user(ToolResult("b", (Text("two"),))),
        )
        found = contents(*history)
        assert len(found) == 3
        assert [part["functionResponse"]["id"] for part in found[2]["parts"]] == ["a", "b"]

    @pytest.mark.parametrize("model", FAMILIES)
    def test_ids_go_to_every_family(self, model):
        found = contents(*self.HISTORY, model=model)
        assert found[1]["parts"][1]["functionCall"]["id"] == "a"
        assert found[2]["parts"][0]["functionResponse"]["id"] == "a"

    @pytest.mark.parametrize(
        "ids",
        [
            ("a.b", "a:b", "a_b"),
            ("\u51fd\u6570", "\u51fd\u51fd"),
            ("x" * 99 + "/1", "x" * 99 + "/2"),
        ],
    )
    def test_ids_are_made_legal_alike_and_stay_apart(self, ids):
        calls = [ToolCall(each, "f", "{}") for each in ids]
        found = contents(user("go"), assistant(*calls), user(*map(ToolResult, ids)))
        sent = [part["functionCall"]["id"] for part in found[1]["parts"]]
        assert sent == [part["functionResponse"]["id"] for part in found[2]["parts"]]
        assert len(set(sent)) == len(ids)
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", each) for each in sent)

    @pytest.mark.parametrize("kept", ["toolu_vrtx_01", "call-1", "9b1d-4", "y" * 99])
    def test_legal_ids_stay(self, kept):
        found = contents(user("go"), assistant(ToolCall(kept, "f", "{}")), user(ToolResult(kept)))
        assert found[1]["parts"][0]["functionCall"]["id"] == kept

    def result(self, *parts: Text | Media, model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
        history = (
            user("go"),
            assistant(ToolCall("a", "f", "{}")),
            user(ToolResult("a", parts, **fields)),
        )
        found: dict[str, Any] = contents(*history, model=model)[2]["parts"][0]["functionResponse"]
        return found

    def test_missing_content_is_an_empty_result(self):
        assert self.result()["response"] == {"result": ""}

    def test_texts_are_joined(self):
        assert self.result(Text("a"), Text("b"))["response"] == {"result": "a\nb"}

    def test_error_is_called_an_error(self):
        assert self.result(Text("boom"), is_error=True)["response"] == {"error": "boom"}

    def test_images_are_inside_the_result(self):
        found = self.result(Media("image/png", PNG), Text("see"))
        assert found["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG}}]
        assert found["response"] == {"result": "see"}

    def test_name_of_a_document_is_in_the_text_of_the_result(self):
        media = Media("application/pdf", "JVBERi0=", name="T")
        assert self.result(media)["response"] == {"result": "T"}
        assert self.result(Text("see"), media)["response"] == {"result": "see\nT"}

    def test_error_with_a_picture_alone_stays_an_error(self):
        found = self.result(Media("image/png", PNG), is_error=True)
        assert found["response"] == {"error": "image/png"}

    def test_picture_for_a_model_without_eyes_is_named(self):
        found = self.result(Media("image/png", PNG), model="gpt-oss-120b-medium")
        assert found["response"] == {"result": "image/png"}
        assert "parts" not in found

    def test_image_alone_is_named(self):
        assert self.result(Media("image/png", PNG))["response"] == {"result": "image/png"}

    def test_result_without_a_known_call_keeps_a_name(self):
        found = contents(user(ToolResult("zz", name="named")), user(ToolResult("yy")))
        names = [part["functionResponse"]["name"] for part in found[0]["parts"]]
        assert names == ["named", "yy"]


class TestThinkingInHistory:
    def test_claude_gets_sealed_thinking_first(self):
        found = contents(
            user("a"), assistant("b", sealed("t", "claude"), ToolCall("c", "f", "{}")), user("d")
        )
        assert found[1]["parts"][0] == {"thought": True, "text": "t", "thoughtSignature": "sig"}

    def test_thinking_without_text_still_has_the_key(self):
        found = contents(user("a"), assistant(sealed("", "claude")), user("d"))
        assert found[1]["parts"][0]["text"] == ""

    def test_unsealed_and_redacted_thinking_is_left_out(self):
        parts = (Thinking("t"), Thinking("", Seal("claude", "blob"), redacted=True), Text("b"))
        assert contents(user("a"), assistant(*parts), user("d"))[1]["parts"] == [{"text": "b"}]

    def test_claude_that_does_not_think_gets_none(self):
        found = contents(user("a"), assistant(sealed("t", "claude"), "b"), model=PLAIN_CLAUDE)
        assert found[1]["parts"] == [{"text": "b"}]

    def test_gemini_gets_its_signature_on_the_call_that_the_client_could_not_sign(self):
        found = contents(
            user("a"),
            assistant(sealed("t", "gemini"), ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}")),
            model=GEMINI,
        )
        first, second = found[1]["parts"]
        assert first["thoughtSignature"] == "sig"
        assert "thoughtSignature" not in second

    def test_gemini_gets_the_same_signature_once(self):
        call = ToolCall("c", "f", "{}", Seal("gemini", "sig"))
        found = contents(user("a"), assistant(sealed("t", "gemini"), call), model=GEMINI)
        assert [part.get("thoughtSignature") for part in found[1]["parts"]] == ["sig"]

    def test_gemini_keeps_thinking_that_has_a_signature_of_its_own(self):
        call = ToolCall("c", "f", "{}", Seal("gemini", "other"))
        found = contents(user("a"), assistant(sealed("t", "gemini"), call), model=GEMINI)
        assert [part.get("thoughtSignature") for part in found[1]["parts"]] == ["sig", "other"]

    def test_gemini_text_gets_the_signature_that_came_with_it(self):
        found = contents(user("a"), assistant(sealed("t", "gemini"), "b"), model=GEMINI)
        assert found[1]["parts"] == [{"text": "b", "thoughtSignature": "sig"}]

    def test_signature_of_blank_text_does_not_get_on_other_text(self):
        blank = Text(" ", Seal("gemini", "sig"))
        found = contents(user("a"), assistant("b", blank), model=GEMINI)
        assert found[1]["parts"] == [{"text": "b"}]

    def test_gemini_thinking_at_the_end_stays_thinking(self):
        found = contents(user("a"), assistant("b", sealed("t", "gemini")), model=GEMINI)
        assert found[1]["parts"][0]["thought"] is True

    def test_first_unsigned_call_of_a_gemini_turn_gets_the_sentinel(self):
        found = contents(
            user("a"),
            assistant(ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}")),
            user("r"),
            assistant(ToolCall("e", "f", "{}")),
            model=GEMINI,
        )
        calls = [part for turn in found for part in turn["parts"] if "functionCall" in part]
        assert [call.get("thoughtSignature") for call in calls] == [SENTINEL, None, SENTINEL]

    @pytest.mark.parametrize("model", [CLAUDE, "gpt-oss-120b-medium"])
    def test_others_never_get_the_sentinel(self, model):
        found = contents(user("a"), assistant(ToolCall("c", "f", "{}")), model=model)
        assert "thoughtSignature" not in found[1]["parts"][0]


def generation(model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    """`generationConfig` for the given sampling and reasoning."""
    reasoning = {
        key: fields.pop(key) for key in ("mode", "budget", "effort", "visible") if key in fields
    }
    conversation = talk(sampling=Sampling(**fields), reasoning=Reasoning(**reasoning))
    found: dict[str, Any] = render(conversation, model).get("generationConfig", {})
    return found


class TestThinkingAndLength:
    @pytest.mark.parametrize(
        ("fields", "budget", "limit"),
        [
            pytest.param({}, 32_000, 64_000, id="nothing said"),
            pytest.param({"max_tokens": 100}, 32_000, 32_100, id="on top of a small answer"),
            pytest.param({"max_tokens": 0}, 32_000, 32_001, id="zero is one"),
            pytest.param({"max_tokens": 64_000}, 32_000, 64_000, id="never above the model's"),
            pytest.param(
                {"mode": "on", "budget": 10_000, "max_tokens": 20_000}, 10_000, 20_000, id="both"
            ),
            pytest.param(
                {"mode": "on", "budget": 31_999, "max_tokens": 32_000}, 31_999, 32_000, id="barely"
            ),
            pytest.param(
                {"mode": "on", "budget": 5_000, "max_tokens": 4_000}, 5_000, 13_192, id="too short"
            ),
            pytest.param({"mode": "on", "budget": 10}, 1024, 64_000, id="below the smallest"),
            pytest.param({"mode": "on", "budget": 999_999}, 55_808, 64_000, id="above the largest"),
            pytest.param({"mode": "adaptive"}, 32_000, 64_000, id="adaptive"),
            pytest.param({"mode": "adaptive", "effort": "low"}, 1024, 64_000, id="low"),
            pytest.param({"effort": "high"}, 24_576, 64_000, id="high"),
            pytest.param({"effort": "max", "max_tokens": 9}, 55_808, 64_000, id="max"),
        ],
    )
    def test_claude_gets_a_budget_and_room_for_its_answer(self, fields, budget, limit):
        assert generation(CLAUDE, **fields) == {
            "maxOutputTokens": limit,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": budget},
        }

    @pytest.mark.parametrize("model", [CLAUDE, GEMINI, "gemini-2.5-flash"])
    def test_off_is_no_thinking_config(self, model):
        assert "thinkingConfig" not in generation(model, mode="off")

    def test_model_that_can_but_need_not_think_waits_to_be_asked(self):
        assert "thinkingConfig" not in generation("claude-sonnet-4-6")
        assert "thinkingConfig" in generation("claude-sonnet-4-6", mode="adaptive")
        assert "thinkingConfig" not in generation("gemini-2.5-flash")

    def test_model_that_cannot_think_is_not_asked(self):
        assert generation(PLAIN_CLAUDE, mode="on", budget=2000, max_tokens=9) == {
            "maxOutputTokens": 9
        }

    def test_forced_call_goes_without_thinking_for_claude(self):
        conversation = talk(tools=(tool("f"),), tool_choice=ToolChoice("any"))
        assert "thinkingConfig" not in render(conversation)["generationConfig"]
        assert "thinkingConfig" in render(conversation, GEMINI)["generationConfig"]

    @pytest.mark.parametrize(
        ("model", "fields", "config"),
        [
            (GEMINI, {}, {"includeThoughts": True}),
            (GEMINI, {"mode": "adaptive"}, {"includeThoughts": True, "thinkingLevel": "high"}),
            (GEMINI, {"effort": "minimal"}, {"includeThoughts": True, "thinkingLevel": "minimal"}),
            (GEMINI, {"effort": "max"}, {"includeThoughts": True, "thinkingLevel": "high"}),
            (
                GEMINI,
                {"mode": "on", "budget": 8192},
                {"includeThoughts": True, "thinkingLevel": "low"},
            ),
            (
                GEMINI,
                {"mode": "on", "budget": 16_384},
                {"includeThoughts": True, "thinkingLevel": "medium"},
            ),
            (
                GEMINI,
                {"mode": "on", "budget": 30_000},
                {"includeThoughts": True, "thinkingLevel": "high"},
            ),
            (
                GEMINI,
                {"max_tokens": 10},
                {"includeThoughts": True, "thinkingLevel": "minimal"},
            ),
            (GEMINI, {"visible": False}, {"includeThoughts": False}),
            (
                "gemini-3-pro-high",
                {"effort": "medium"},
                {"includeThoughts": True, "thinkingLevel": "high"},
            ),
            (
                "gemini-2.5-flash",
                {"mode": "on", "budget": 99_999},
                {"includeThoughts": True, "thinkingBudget": 24_576},
            ),
            (
                "gemini-2.5-flash",
                {"mode": "on"},
                {"includeThoughts": True, "thinkingBudget": 16_000},
            ),
        ],
    )
    def test_gemini_gets_a_level_or_a_budget(self, model, fields, config):
        assert generation(model, **fields)["thinkingConfig"] == config

    @pytest.mark.parametrize("model", FAMILIES)
    @pytest.mark.parametrize("max_tokens", [None, 0, 1, 1000, 32_000, 64_000, 10**9])
    @pytest.mark.parametrize("budget", [None, 1, 1024, 63_999, 10**9])
    def test_budget_is_always_below_the_limit_and_the_limit_within_the_model(
        self, model, max_tokens, budget
    ):
        mode = None if budget is None else "on"
        found = generation(model, mode=mode, budget=budget, max_tokens=max_tokens)
        limit = found.get("maxOutputTokens", info(model).max_output)
        assert 1 <= limit <= info(model).max_output
        assert found.get("thinkingConfig", {}).get("thinkingBudget", 0) < limit


class TestSampling:
    def test_names_of_the_upstream(self):
        found = generation(
            PLAIN_CLAUDE, max_tokens=7, temperature=0.5, top_p=0.9, top_k=3, stop=("a", "", "b")
        )
        assert found == {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 3,
            "stopSequences": ["a", "b"],
            "maxOutputTokens": 7,
        }

    def test_temperature_above_claudes_own_is_lowered_for_claude(self):
        assert generation(PLAIN_CLAUDE, temperature=1.7)["temperature"] == 1
        assert generation(GEMINI, temperature=1.7)["temperature"] == 1.7

    def test_claude_is_given_only_what_goes_with_thinking(self):
        asked = {"temperature": 0.0, "top_p": 0.9, "top_k": 3}
        found = generation(CLAUDE, mode="on", budget=2000, **asked)
        assert not {"temperature", "topP", "topK"} & found.keys()
        assert generation(CLAUDE, mode="on", budget=2000, top_p=0.97)["topP"] == 0.97
        assert generation(GEMINI, mode="on", budget=2000, **asked)["temperature"] == 0.0

    def test_gemini_takes_five_stop_sequences(self):
        stop = tuple("abcdefg")
        assert generation(GEMINI, stop=stop)["stopSequences"] == list("abcde")
        assert generation(PLAIN_CLAUDE, stop=stop)["stopSequences"] == list(stop)

    def test_nothing_wanted_is_nothing_said(self):
        assert "generationConfig" not in render(talk(), "gpt-oss-120b-medium")

    def test_zero_tokens_are_one(self):
        assert generation(GEMINI, max_tokens=0)["maxOutputTokens"] == 1

    def test_too_many_tokens_are_the_models_own(self):
        assert generation(PLAIN_CLAUDE, max_tokens=10**6)["maxOutputTokens"] == 64_000


class TestJsonAnswers:
    def test_gemini_has_a_mode_for_it(self):
        found = render(talk(output=OutputFormat(NULLABLE)), GEMINI)["generationConfig"]
        assert found["responseMimeType"] == "application/json"
        assert found["responseSchema"]["properties"]["a"]["nullable"] is True

    def test_gemini_without_a_schema(self):
        found = render(talk(output=OutputFormat()), GEMINI)["generationConfig"]
        assert found["responseMimeType"] == "application/json"
        assert "responseSchema" not in found

    def test_schema_that_gemini_cannot_be_given_is_told_and_nothing_else_enforced(self):
        pair = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}
        output = OutputFormat({"type": "object", "properties": {"pair": pair}})
        request = render(talk(output=output), GEMINI)
        assert request["generationConfig"]["responseMimeType"] == "application/json"
        assert "responseSchema" not in request["generationConfig"]
        assert request["systemInstruction"]["parts"] == [{"text": json_instruction(output)}]

    def test_schema_that_gemini_can_be_given_is_not_told_besides(self):
        assert "systemInstruction" not in render(talk(output=OutputFormat(NULLABLE)), GEMINI)

    @pytest.mark.parametrize("fields", [{"model": CLAUDE}, {"model": GEMINI, "tools": True}])
    def test_others_and_gemini_with_functions_are_told(self, fields):
        tools = (tool("f"),) if fields.get("tools") else ()
        request = render(talk(output=OutputFormat(NULLABLE), tools=tools), fields["model"])
        assert "responseMimeType" not in request["generationConfig"]
        told = request["systemInstruction"]["parts"][0]["text"]
        assert orjson.dumps(NULLABLE).decode() in told

    @pytest.mark.parametrize("model", [CLAUDE, GEMINI])
    def test_schema_beyond_all_bounds_is_refused(self, model):
        schema: dict[str, Any] = {}
        for _ in range(300):
            schema = {"anyOf": [schema]}
        with pytest.raises(BadRequest, match="the schema of the answer cannot be sent"):
            render(talk(output=OutputFormat(schema)), model)


class TestTools:
    def declared(self, *tools: Tool, model: str = CLAUDE) -> list[dict[str, Any]]:
        (group,) = render(talk(tools=tools), model)["tools"]
        assert list(group) == ["functionDeclarations"]
        found: list[dict[str, Any]] = group["functionDeclarations"]
        return found

    def test_are_one_list_of_declarations(self):
        assert self.declared(tool("f"), tool("g")) == [
            {"name": "f", "description": "does f", "parameters": OBJECT},
            {"name": "g", "description": "does g", "parameters": OBJECT},
        ]

    def test_declared_twice_counts_once(self):
        assert len(self.declared(tool("f"), tool("f"))) == 1

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("plain-Name_1", "plain-Name_1"),
            ("mcp.server/tool", "mcp_server_tool"),
            ("1st", "_1st"),
            ("ünï", "_n_"),
            ("", "_"),
            ("x" * 70, "x" * 64),
        ],
    )
    def test_names_are_made_legal(self, name, sent):
        assert self.declared(tool(name))[0]["name"] == sent

    def test_names_that_become_equal_stay_apart(self):
        names = ["a.b", "a_b", "a/b", "y" * 70, "y" * 71]
        sent = [each["name"] for each in self.declared(*map(tool, names))]
        assert sent == ["a_b_2", "a_b", "a_b_3", "y" * 64, "y" * 62 + "_2"]

    def test_every_name_finds_its_way_back(self):
        names = ["a.b", "a_b", "a_b_2", "1", "_1"]
        toolbox = Toolbox(tuple(map(tool, names)), info(CLAUDE))
        assert [toolbox.original_name(toolbox.sent_name(name)) for name in names] == names

    def test_calls_in_the_history_have_the_declared_name(self):
        request = render(
            talk(user("a"), assistant(ToolCall("c", "s/f", "{}")), tools=(tool("s/f"),))
        )
        call = request["contents"][1]["parts"][0]["functionCall"]
        assert call["name"] == request["tools"][0]["functionDeclarations"][0]["name"] == "s_f"

    def test_without_tools_there_is_neither_list_nor_config(self):
        assert not {"tools", "toolConfig"} & set(render(talk()))

    @pytest.mark.parametrize(
        ("choice", "claude", "gemini"),
        [
            (ToolChoice(), {"mode": "VALIDATED"}, {"mode": "AUTO"}),
            (ToolChoice("none"), {"mode": "NONE"}, {"mode": "NONE"}),
            (ToolChoice("any"), {"mode": "ANY"}, {"mode": "ANY"}),
            (
                ToolChoice("any", ("s/f",)),
                {"mode": "ANY", "allowedFunctionNames": ["s_f"]},
                {"mode": "ANY", "allowedFunctionNames": ["s_f"]},
            ),
        ],
    )
    def test_choice(self, choice, claude, gemini):
        conversation = talk(tools=(tool("s/f"),), tool_choice=choice)
        for model, config in ((CLAUDE, claude), (GEMINI, gemini)):
            assert render(conversation, model)["toolConfig"] == {"functionCallingConfig": config}

    @pytest.mark.parametrize(
        ("model", "is_padded"), [(CLAUDE, True), ("gemini-3-pro-high", True), (GEMINI, False)]
    )
    def test_empty_schema_is_padded_where_arguments_are_validated(self, model, is_padded):
        (declared,) = self.declared(tool("f", {}), model=model)
        assert ("parameters" in declared) is is_padded
        if is_padded:
            assert declared["parameters"]["properties"]

    def test_claude_that_thinks_hears_that_it_may_think_between_calls(self):
        request = render(talk(tools=(tool("f"),), system=(Text("s"),)))
        assert len(request["systemInstruction"]["parts"]) == 2
        assert "between tool calls" in request["systemInstruction"]["parts"][1]["text"]
        quiet = talk(tools=(tool("f"),), system=(Text("s"),), reasoning=Reasoning("off"))
        assert len(render(quiet)["systemInstruction"]["parts"]) == 1

    def test_web_search_alone_is_googles(self):
        search = Verbatim("anthropic", {"type": "web_search_20250305", "name": "web_search"})
        other = Verbatim("anthropic", {"type": "bash_20250124", "name": "bash"})
        assert render(talk(server_tools=(other, search)))["tools"] == [{"googleSearch": {}}]
        assert "tools" not in render(talk(server_tools=(other,)))
        deaf = replace(info(GEMINI), searches=False)
        assert "tools" not in UPSTREAM.render_request(talk(server_tools=(search,)), deaf)
        beside = render(talk(server_tools=(search,), tools=(tool("f"),)))
        assert list(beside["tools"][0]) == ["functionDeclarations"]

    def test_schema_beyond_all_bounds_names_its_tool(self):
        defs: dict[str, Any] = {"d0": {"type": "string"}}
        for level in range(1, 20):
            ref = {"$ref": f"#/$defs/d{level - 1}"}
            defs[f"d{level}"] = {"properties": {"a": ref, "b": ref}}
        schema = {"$ref": "#/$defs/d19", "$defs": defs}
        with pytest.raises(BadRequest, match=r'tool "f".*expands to more than'):
            render(talk(tools=(tool("f", schema),)))

    def test_schema_nested_deeper_than_json_can_be_written_names_its_tool(self):
        schema: dict[str, Any] = {}
        for _ in range(300):
            schema = {"items": schema}
        with pytest.raises(BadRequest, match='tool "f"'):
            render(talk(tools=(tool("f", schema),)))

    def test_large_tools_are_not_kept_but_are_the_same(self):
        large = replace(tool("f"), description="d" * MAX_KEPT)
        assert self.declared(large) == self.declared(large)
        assert self.declared(large)[0]["parameters"] == OBJECT


class TestImageModels:
    def test_get_no_tools_and_no_thinking(self):
        conversation = talk(
            tools=(tool("f"),),
            reasoning=Reasoning("on", 1024),
            extras={"image_config": {"aspect_ratio": "16:9"}},
        )
        assert render(conversation, "gemini-3-pro-image") == {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {
                "responseModalities": ["IMAGE"],
                "candidateCount": 1,
                "imageConfig": {"aspectRatio": "16:9"},
            },
        }

    @pytest.mark.parametrize(
        "extras", [{}, {"image_config": 1}, {"image_config": {"aspect_ratio": "7"}}]
    )
    def test_ratio_they_do_not_have_is_left_to_them(self, extras):
        found = render(talk(extras=extras), "gemini-3-pro-image")["generationConfig"]
        assert "imageConfig" not in found

    def test_system_text_reaches_them(self):
        found = render(talk(system=(Text("draw"),)), "gemini-3-pro-image")
        assert found["systemInstruction"]["parts"] == [{"text": "draw"}]


class TestExplainedRefusals:
    CONVERSATION = talk(tools=(tool("first"), tool("first"), tool("second")))

    @pytest.mark.parametrize(
        ("detail", "begins"),
        [
            (
                'Unknown name "x" at \'request.tools[0].function_declarations[1].parameters'
                ".properties[0].value': Cannot find field.",
                'tool "second", at parameters.properties.x: Unknown name',
            ),
            (
                "GenerateContentRequest.tools[0].function_declarations[0].parameters"
                ".properties[a].items: missing field.",
                'tool "first", at parameters.properties[a].items: Generate',
            ),
            ("tools[0].functionDeclarations[0]: bad", 'tool "first", at its declaration: tools'),
            ("tools[0].function_declarations[9].name: bad", "tools[0]"),
            ("something else", "something else"),
        ],
    )
    def test_name_the_tool(self, detail, begins):
        assert explain_bad_request(detail, self.CONVERSATION, info(CLAUDE)).startswith(begins)

    @pytest.mark.parametrize(
        ("schema", "path", "spelled"),
        [
            pytest.param(
                {"properties": {"l": {"type": "array", "items": LAST}}},
                "properties[0].value.items.properties[1].value",
                "properties.l.items.properties.b",
                id="items",
            ),
            pytest.param(
                {"properties": {"a": {"$ref": "#/$defs/X"}}, "$defs": {"X": LAST}},
                "properties[0].value.properties[1].value.type",
                "properties.a.properties.b.type",
                id="reference",
            ),
            pytest.param(
                {"allOf": [LAST], "properties": {"z": {"type": "string"}}},
                "properties[2].value",
                "properties.b",
                id="allOf",
            ),
            pytest.param(
                {"anyOf": [LAST, {"type": "null"}]},
                "properties[1].value",
                "properties.b",
                id="union",
            ),
            pytest.param(LAST["properties"], "properties[1].value", "properties.b", id="bare map"),
            pytest.param({}, "properties[0].value", "properties.reason", id="placeholder"),
            pytest.param(LAST, "properties[7].value", "properties[7].value", id="none of them"),
        ],
    )
    def test_spell_the_path_as_it_was_sent(self, schema, path, spelled):
        detail = (
            f"Unknown name \"x\" at 'request.tools[0].function_declarations[0].parameters.{path}'"
        )
        found = explain_bad_request(detail, talk(tools=(tool("f", schema),)), info(CLAUDE))
        assert found == f'tool "f", at parameters.{spelled}: {detail}'
