"""generateContent requests -> conversations: both spellings, what is paired, refused, left out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    OutputFormat,
    Part,
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
from mcp_proxy.dialects import PathTarget, client_dialect
from mcp_proxy.errors import BadRequest
from mcp_proxy.jsonschema import narrow
from mcp_proxy.strict_json import LARGEST

CLIENT = client_dialect("gemini")
TARGET = PathTarget("gemini-2.5-pro", stream=False)
HELLO = [{"role": "user", "parts": [{"text": "hi"}]}]
F = {"functionDeclarations": [{"name": "f"}, {"name": "g"}]}
PIXEL = "iVBORw0KGgo_-w=="


def parse(target: PathTarget = TARGET, **fields: Any) -> Conversation:
    return CLIENT.parse_request({"contents": HELLO, **fields}, {}, target)


def messages_of(*contents: Any) -> tuple[Message, ...]:
    return parse(contents=list(contents)).messages


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def call(name: str, call_id: str | None = None, **args: Any) -> dict[str, Any]:
    given = {"name": name, "args": args}
    return {"functionCall": given if call_id is None else {"id": call_id, **given}}


def result(name: str, response: Any, call_id: str | None = None) -> dict[str, Any]:
    given = {"name": name, "response": response}
    return {"functionResponse": given if call_id is None else {"id": call_id, **given}}


def unknown(value: str) -> Seal:
    return Seal("", value)


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value


# What the path says


def test_path_names_the_model_and_the_manner_of_the_answer():
    conversation = parse(PathTarget("m", stream=True, array=True))
    assert (conversation.model, conversation.dialect) == ("m", "gemini")
    assert conversation.wants_stream
    assert conversation.wants_array


def test_without_a_path_the_body_names_the_model():
    conversation = CLIENT.parse_request({"model": "models/m", "contents": HELLO}, {})
    assert conversation.model == "m"
    assert not conversation.wants_stream


# Contents


def test_user_text_stays_in_its_parts_and_the_models_text_is_joined():
    assert messages_of(
        user({"text": "context"}, {"text": "question"}),
        model({"text": "Hel"}),
        model({"text": "lo "}, {"text": "you"}),
        model({"text": ""}),
    ) == (
        Message("user", (Text("context"), Text("question"))),
        Message("assistant", (Text("Hello you"),)),
    )


def test_content_without_a_role_is_the_users_and_one_object_passes_for_a_list_of_one():
    assert parse(contents={"parts": {"text": "hi"}}).messages == (Message("user", (Text("hi"),)),)


def test_signature_on_empty_text_belongs_to_the_text_before_it():
    (message,) = messages_of(
        model({"text": "a"}), model({"text": "b"}), model({"text": "", "thoughtSignature": "c2ln"})
    )
    assert message.parts == (Text("ab", unknown("c2ln")),)


def test_thought_pieces_are_joined_and_signed_by_the_last_of_them():
    (message,) = messages_of(
        model({"text": "let me ", "thought": True}, {"text": "see", "thought": True}),
        model({"text": "", "thought": True, "thought_signature": "c2ln"}, {"text": "so"}),
    )
    assert message.parts == (Thinking("let me see", unknown("c2ln")), Text("so"))


def test_thought_whose_text_was_hidden_is_its_seal_alone():
    (message,) = messages_of(
        model({"text": "so"}, {"text": "", "thought": True, "thoughtSignature": "c2ln"})
    )
    assert message.parts == (Text("so"), Thinking("", unknown("c2ln")))


def test_signature_after_thoughts_alone_is_theirs_and_one_after_nothing_is_nobodys():
    thought = {"text": "hm", "thought": True}
    signed = {"text": "", "thoughtSignature": "c2ln"}
    (message,) = messages_of(model(thought, signed, call("f", "a"), signed))
    assert message.parts == (Thinking("hm", unknown("c2ln")), ToolCall("a", "f", "{}"))


def test_placeholder_that_google_documents_for_lost_signatures_is_no_seal():
    lost = {**call("f", "a"), "thoughtSignature": "skip_thought_signature_validator"}
    assert messages_of(model(lost))[0].parts == (ToolCall("a", "f", "{}"),)


def test_fields_are_read_in_both_spellings_and_arguments_are_left_alone():
    args = {"mime_type": 1, "mimeType": 2, "function_call": {"thought_signature": "x"}}
    signed = {"function_call": {"id": "a", "name": "f", "args": args}, "thought_signature": "c2ln"}
    answer = {"file_data": {"mime_type": "x"}, "fileData": 1}
    conversation = parse(
        contents=[model(signed), user({"function_response": {"name": "f", "response": answer}})],
        system_instruction={"parts": [{"text": "be brief"}]},
        generation_config={"max_output_tokens": 7, "stop_sequences": ["x"]},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"a_b": {}}}]}],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
    )
    calling, answering = conversation.messages
    assert isinstance(calling.parts[0], ToolCall)
    assert json.loads(calling.parts[0].arguments) == args
    assert calling.parts[0].seal == unknown("c2ln")
    assert isinstance(answering.parts[0], ToolResult)
    assert json.loads(answering.parts[0].parts[0].text) == answer
    assert conversation.system == (Text("be brief"),)
    assert conversation.sampling == Sampling(max_tokens=7, stop=("x",))
    assert conversation.tools == (Tool("f", "", {"a_b": {}}),)
    assert conversation.tool_choice == ToolChoice("any", ("f",))


@pytest.mark.parametrize(
    ("part", "read"),
    [
        (
            {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
            Media("image/png", "iVBORw0KGgo/+w=="),
        ),
        (
            {"inline_data": {"mime_type": "IMAGE/PNG", "data": "iVBORw0KGgo/+w"}},
            Media("image/png", "iVBORw0KGgo/+w=="),
        ),
        ({"inlineData": {"mimeType": "text/plain", "data": "SMOp"}}, Text("Hé")),
        ({"inlineData": {"mimeType": "text/csv", "data": "/w=="}}, Media("text/csv", "/w==")),
        (
            {"fileData": {"fileUri": "https://x.org/a.pdf?v=1"}},
            Media("application/pdf", url="https://x.org/a.pdf?v=1"),
        ),
        (
            {"file_data": {"mime_type": "image/webp", "file_uri": "https://x.org/a"}},
            Media("image/webp", url="https://x.org/a"),
        ),
        ({"fileData": {"fileUri": "https://x.org/a"}}, Media("image/*", url="https://x.org/a")),
        ({"fileData": {"fileUri": "gs://b/a.png"}}, Media("image/png", url="gs://b/a.png")),
    ],
)
def test_media(part, read):
    assert messages_of(user({"text": "see"}, part))[0].parts == (Text("see"), read)


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "2"}},
        {"toolCall": {"id": "x"}, "thoughtSignature": "c2ln"},
        {"somethingNewer": 1},
    ],
)
def test_parts_only_gemini_knows_travel_as_they_are(part):
    assert messages_of(model({"text": "a"}, part))[0].parts == (Text("a"), Verbatim("gemini", part))


def test_text_with_an_unknown_field_beside_it_is_text():
    assert messages_of(user({"text": "a", "younger": {}}))[0].parts == (Text("a"),)


def test_part_of_nothing_but_remarks_is_left_out():
    remarks = {"videoMetadata": {"fps": 1}, "media_resolution": {}, "text": None}
    assert messages_of(user(remarks), user({"text": "hi"}))[0].parts == ()


# Calls and results


def results_of(*contents: Any) -> list[tuple[str, str | None]]:
    parts: list[Part] = [part for message in messages_of(*contents) for part in message.parts]
    return [(part.call_id, part.name) for part in parts if isinstance(part, ToolResult)]


def test_result_without_an_id_goes_to_the_oldest_open_call_of_its_name():
    assert results_of(
        model(call("f", "a"), call("g", "b"), call("f", "c")),
        user(result("f", {"output": "1"}), result("f", {"output": "2"}), result("g", {})),
    ) == [("a", "f"), ("c", "f"), ("b", "g")]


def test_call_whose_result_came_with_an_id_is_open_no_longer():
    assert results_of(
        model(call("f", "a"), call("f", "b")), user(result("f", {}, "a"), result("f", {}))
    ) == [("a", "f"), ("b", "f")]


def test_calls_of_an_earlier_turn_are_not_open_any_more():
    assert results_of(
        model(call("f", "a")),
        user({"text": "never mind"}),
        model(call("f", "b")),
        user(result("f", {})),
    ) == [("b", "f")]


def test_calls_without_ids_are_numbered_through_the_conversation():
    turns = [model(call("f"), call("f")), user(result("f", {}), result("f", {}))]
    assert results_of(*turns, model(call("f")), user(result("f", {}))) == [
        ("gemini_call_0", "f"),
        ("gemini_call_1", "f"),
        ("gemini_call_2", "f"),
    ]
    ids = [part.id for part in messages_of(*turns)[0].parts if isinstance(part, ToolCall)]
    assert ids == ["gemini_call_0", "gemini_call_1"]


def test_result_of_a_call_that_nobody_made_has_an_id_of_no_call():
    assert results_of(model(call("f", "a")), user(result("g", {}))) == [("gemini_result_of_g", "g")]


def test_role_function_is_the_users_side():
    answering = {"role": "function", "parts": [result("f", {"output": "x"})]}
    assert [m.role for m in messages_of(model(call("f", "a")), answering)] == ["assistant", "user"]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "x"}, "x", False),
        ({"result": "x"}, "x", False),
        ({"error": "broke"}, "broke", True),
        ({"result": {"a": [1]}}, '{"a":[1]}', False),
        ({"output": 1.5}, "1.5", False),
        ({"result": None}, "null", False),
        ({"error": None}, "null", False),
        ({"error": {"code": 5}}, '{"code":5}', True),
        ({"answer": "x"}, '{"answer":"x"}', False),
        ({"output": "x", "error": "broke"}, '{"output":"x","error":"broke"}', True),
    ],
)
def test_functions_answer_is_taken_out_of_its_wrapping(response, text, is_error):
    answering = messages_of(model(call("f", "a")), user(result("f", response, "a")))[1]
    assert answering.parts == (ToolResult("a", (Text(text),), is_error, "f"),)


def test_empty_answer_says_nothing():
    answering = messages_of(model(call("f", "a")), user({"functionResponse": {"name": "f"}}))[1]
    assert answering.parts == (ToolResult("a", (), False, "f"),)


def test_media_inside_a_result_stay_in_it():
    answer = result("f", {"output": "see"}, "a")
    answer["functionResponse"]["parts"] = [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL, "displayName": "p.png"}},
        {"file_data": {"fileUri": "https://x.org/a.png"}},
        {"somethingNewer": 1},
    ]
    assert messages_of(model(call("f", "a")), user(answer))[1].parts[0].parts == (
        Text("see"),
        Media("image/png", "iVBORw0KGgo/+w==", name="p.png"),
        Media("image/png", url="https://x.org/a.png"),
    )


NAMES = st.sampled_from(["f", "g"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=4), st.randoms(), st.booleans())
def test_every_result_finds_a_call_of_its_name_in_any_order(turns, random, with_ids):
    contents, asked = [], 0
    for names in turns:
        ids = [
            f"id{asked + at}" if with_ids or random.random() < 0.5 else None
            for at, _ in enumerate(names)
        ]
        asked += len(names)
        calls = list(zip(names, ids, strict=True))
        contents.append(model(*(call(name, call_id) for name, call_id in calls)))
        random.shuffle(calls)
        answers = [(name, call_id if with_ids else None) for name, call_id in calls]
        contents.append(user(*(result(name, {}, call_id) for name, call_id in answers)))
    parts = [
        part for message in messages_of(*contents, user({"text": "x"})) for part in message.parts
    ]
    called = {part.id: part.name for part in parts if isinstance(part, ToolCall)}
    answered = {part.call_id: part.name for part in parts if isinstance(part, ToolResult)}
    assert len(called) == asked
    assert answered == called


# System, tools, choice


@pytest.mark.parametrize(
    "instruction",
    [
        "be brief",
        {"role": "user", "parts": [{"text": "be brief"}]},
        {"parts": {"text": "be brief"}},
        {"parts": [{"text": "be brief"}, {"text": ""}, {"inlineData": {}}]},
    ],
)
def test_system_instruction(instruction):
    assert parse(systemInstruction=instruction).system == (Text("be brief"),)


def test_tools_that_google_runs_are_search_or_left_out_and_named():
    conversation = parse(
        tools=[
            F,
            {"googleSearch": {}, "codeExecution": {}},
            {"google_search_retrieval": {"dynamicRetrievalConfig": {}}},
            {"urlContext": {}, "functionDeclarations": [{"name": "f", "description": "again"}]},
        ]
    )
    assert [tool.name for tool in conversation.tools] == ["f", "g"]
    assert conversation.tools[0].description == ""
    assert conversation.server_tools == (Verbatim("gemini", {"googleSearch": {}}),)
    assert conversation.ignored == ("tools[1].codeExecution", "tools[3].urlContext")


def test_google_schema_becomes_json_schema():
    schema = {
        "type": "OBJECT",
        "nullable": True,
        "property_ordering": ["type", "n"],
        "properties": {
            "type": {"type": "STRING", "enum": ["OBJECT", "b"], "nullable": True, "format": "enum"},
            "n": {"type": "ARRAY", "max_items": "5", "items": {"type": "INTEGER", "minimum": 1}},
            "min_items": {"anyOf": [{"type": "NUMBER"}, {"type": "TYPE_UNSPECIFIED"}]},
        },
        "required": ["type"],
        "example": {"type": "OBJECT"},
    }
    declaration = {"name": "f", "parameters": schema}
    (tool,) = parse(tools=[{"functionDeclarations": [declaration]}]).tools
    assert tool.schema == {
        "type": ["object", "null"],
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["OBJECT", "b", None], "format": "enum"},
            "n": {"type": "array", "maxItems": 5, "items": {"type": "integer", "minimum": 1}},
            "min_items": {"anyOf": [{"type": "number"}, {}]},
        },
        "required": ["type"],
        "example": {"type": "OBJECT"},
    }
    assert schema["type"] == "OBJECT"


def test_nullable_property_is_still_nullable_for_google_again():
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}
    (tool,) = parse(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}]).tools
    assert narrow(tool.schema, validated=False).schema["properties"]["a"]["nullable"] is True


JSON_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "null"])},
        optional={"description": st.text(max_size=3), "enum": st.lists(st.sampled_from("AB"))},
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from(
                ["type", "nullable", "any_of", "x"]), inner, max_size=3)},
            optional={"additionalProperties": st.booleans(), "$schema": st.just("x")},
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=2)}),
    ),
    max_leaves=6,
)  # fmt: skip


@given(JSON_SCHEMAS)
def test_json_schema_passes_unchanged(schema):
    declaration = {"name": "f", "parametersJsonSchema": schema}
    (tool,) = parse(tools=[{"functionDeclarations": [declaration]}]).tools
    assert tool.schema == schema


@pytest.mark.parametrize(
    ("calling", "choice", "offered"),
    [
        ({}, ToolChoice(), "fg"),
        ({"mode": "AUTO"}, ToolChoice(), "fg"),
        ({"mode": "MODE_UNSPECIFIED"}, ToolChoice(), "fg"),
        ({"mode": "VALIDATED"}, ToolChoice(), "fg"),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["g"]}, ToolChoice(), "g"),
        ({"mode": "none"}, ToolChoice("none"), "fg"),
        ({"mode": "ANY"}, ToolChoice("any"), "fg"),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, ToolChoice("any", ("g",)), "fg"),
    ],
)
def test_choice_of_tools(calling, choice, offered):
    conversation = parse(tools=[F], toolConfig={"functionCallingConfig": calling})
    assert conversation.tool_choice == choice
    assert "".join(tool.name for tool in conversation.tools) == offered


# Generation


def test_sampling_takes_numbers_that_are_written_as_text():
    config = {"temperature": 2, "topP": "0.5", "topK": 40.0, "maxOutputTokens": "50"}
    assert parse(generationConfig=config).sampling == Sampling(50, 2.0, 0.5, 40)


def test_limits_that_no_model_has_are_no_fault():
    config = {"maxOutputTokens": 2.0**70, "thinkingConfig": {"thinkingBudget": 2.0**70}}
    conversation = parse(generationConfig=config)
    assert conversation.sampling.max_tokens == conversation.reasoning.budget == LARGEST


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({}, Reasoning(visible=False)),
        ({"thinkingBudget": -1}, Reasoning("adaptive", visible=False)),
        ({"thinkingBudget": 0, "includeThoughts": True}, Reasoning("off", visible=False)),
        ({"thinkingBudget": 8192, "includeThoughts": True}, Reasoning("on", 8192)),
        ({"thinking_budget": "512"}, Reasoning("on", 512, visible=False)),
        ({"includeThoughts": True}, Reasoning("adaptive")),
        ({"thinkingLevel": "HIGH"}, Reasoning("adaptive", effort="high", visible=False)),
        (
            {"thinking_level": "xhigh", "include_thoughts": True},
            Reasoning("adaptive", None, "xhigh"),
        ),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning(visible=False)),
    ],
)
def test_thinking(config, reasoning):
    assert parse(generationConfig={"thinkingConfig": config}).reasoning == reasoning


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, OutputFormat()),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}},
            OutputFormat({"type": "string"}),
        ),
        (
            {"response_mime_type": "application/json", "response_json_schema": {"type": "OBJECT"}},
            OutputFormat({"type": "object"}),
        ),
        ({"responseSchema": {"type": "STRING"}}, OutputFormat({"type": "string"})),
        (
            {
                "responseFormat": [
                    {"text": {"mimeType": "APPLICATION_JSON", "schema": {"type": "array"}}}
                ]
            },
            OutputFormat({"type": "array"}),
        ),
        ({"responseFormat": {"text": {"mimeType": "TEXT_PLAIN"}}}, None),
        ({"responseFormat": [{"image": {}}]}, None),
    ],
)
def test_form_of_the_answer(config, output):
    conversation = parse(generationConfig=config)
    assert conversation.output == output
    assert conversation.ignored == ()


def test_choice_among_words_is_an_instruction_since_its_answer_is_no_json():
    schema = {"type": "STRING", "enum": ["red", "blue"]}
    config = {"responseMimeType": "text/x.enum", "responseSchema": schema}
    conversation = parse(generationConfig=config, systemInstruction="be brief")
    assert conversation.output is None
    assert conversation.system[0] == Text("be brief")
    assert conversation.system[1].text.endswith(': "red", "blue"')


@pytest.mark.parametrize(
    "config",
    [
        {"imageConfig": {"aspectRatio": "16:9"}, "responseModalities": ["TEXT", "IMAGE"]},
        {"responseFormat": [{"image": {"aspect_ratio": "16:9"}}]},
    ],
)
def test_shape_of_a_picture_is_passed_on_as_other_dialects_have_it(config):
    extras = parse(generationConfig=config).extras
    assert extras == {"image_config": {"aspect_ratio": "16:9"}}


def test_advice_is_left_out_and_named_and_unknown_fields_are_kept():
    conversation = parse(
        safetySettings=[{"category": "X"}],
        labels={"a": "b"},
        service_tier="flex",
        generationConfig={"seed": 1, "responseLogprobs": True, "candidateCount": 1},
        somethingNewer=1,
    )
    assert conversation.ignored == (
        "safetySettings",
        "labels",
        "service_tier",
        "generationConfig.seed",
        "generationConfig.responseLogprobs",
    )
    assert conversation.extras == {"somethingNewer": 1}


# Refusals


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generationConfig": {"topK": 2.0**70}}, "generationConfig.topK"),
        ({"generationConfig": {"topK": -1}}, "generationConfig.topK"),
        ({"contents": []}, "contents"),
        ({"contents": None}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": ["hi"]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": 1, "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": "hi"}]}, "contents[0].parts"),
        ({"contents": [user("hi")]}, "contents[0].parts[0]"),
        ({"contents": [user({"text": 1})]}, "contents[0].parts[0].text"),
        (
            {"contents": [user({"inlineData": {"data": "AA=="}})]},
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            {"contents": [user({"inline_data": {"mimeType": "image/png", "data": "no!"}})]},
            "contents[0].parts[0].inline_data.data",
        ),
        (
            {"contents": [user({"fileData": {"fileUri": "file:///b/o"}})]},
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            {"contents": [model({"functionCall": {"args": {}}})]},
            "contents[0].parts[0].functionCall.name",
        ),
        (
            {"contents": [model({"functionCall": {"name": ""}})]},
            "contents[0].parts[0].functionCall.name",
        ),
        (
            {"contents": [model({"functionCall": {"name": "f", "args": "{}"}})]},
            "contents[0].parts[0].functionCall.args",
        ),
        (
            {"contents": [user(result("f", "text"))]},
            "contents[0].parts[0].functionResponse.response",
        ),
        (
            {"contents": [model({"text": "a", "thoughtSignature": 1})]},
            "contents[0].parts[0].thoughtSignature",
        ),
        ({"systemInstruction": ["x"]}, "systemInstruction"),
        (
            {"tools": [{"functionDeclarations": [{"description": "x"}]}]},
            "tools[0].functionDeclarations[0].name",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
            "toolConfig.functionCallingConfig",
        ),
        (
            {
                "tools": [F],
                "tool_config": {"functionCallingConfig": {"allowedFunctionNames": ["x"]}},
            },
            "tool_config.functionCallingConfig.allowedFunctionNames[0]",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        ({"cachedContent": "cachedContents/x"}, "cachedContent"),
        ({"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        ({"generation_config": {"candidate_count": "2"}}, "generation_config.candidate_count"),
        ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"candidateCount": -1}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"maxOutputTokens": 1.5}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"maxOutputTokens": "-5"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"temperature": 2.1}}, "generationConfig.temperature"),
        ({"generationConfig": {"topP": "much"}}, "generationConfig.topP"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences[0]"),
        (
            {"generationConfig": {"responseModalities": ["AUDIO"]}},
            "generationConfig.responseModalities",
        ),
        (
            {"generationConfig": {"responseFormat": [{"audio": {}}]}},
            "generationConfig.responseFormat[0]",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "VERY"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
    ],
)
def test_refusal_names_the_field(fields, param):
    assert refusal(**fields).param == param


def test_arguments_that_nest_without_end_are_refused():
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    assert refusal(contents=[model(call("f", "a", x=deep))]).param.endswith("functionCall.args")


# countTokens


@pytest.mark.parametrize(
    "body",
    [
        {"contents": HELLO},
        {"generateContentRequest": {"model": "models/other", "contents": HELLO}},
        {"generate_content_request": {"contents": HELLO}},
    ],
)
def test_prompt_to_count_is_the_body_or_a_request_inside_it(body):
    conversation = CLIENT.parse_count_request(body, {}, TARGET)
    assert conversation.messages == (Message("user", (Text("hi"),)),)
    assert conversation.model == "gemini-2.5-pro"
