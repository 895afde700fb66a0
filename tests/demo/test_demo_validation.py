"""Every refusal of the embedded upstream, in the words of the real one."""

from typing import Any

import pytest
from demo_client import (
    AGENT,
    CLAUDE,
    GEMINI,
    WEATHER,
    call,
    model_says,
    result,
    results,
    thinking,
    tools,
    user,
)

from mcp_proxy.demo import refusals

HELLO = [user("hello")]
PRO_IMAGE = "gemini-3-pro-image"
PLAIN_CLAUDE = "claude-sonnet-4-5"
OLDER = "gemini-2.5-flash"


def schema(**changes: Any) -> list[dict[str, Any]]:
    """Two tools, the second with a parameter `x` of this schema."""
    parameters = {"type": "object", "properties": {"x": changes}, "required": ["x"]}
    return tools(WEATHER, {"name": "other", "description": "", "parameters": parameters})


def root(**changes: Any) -> list[dict[str, Any]]:
    return tools({**WEATHER, "parameters": {**WEATHER["parameters"], **changes}})


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def budget(tokens: int, limit: int = 60_000) -> dict[str, Any]:
    return config(
        thinkingConfig={"includeThoughts": True, "thinkingBudget": tokens}, maxOutputTokens=limit
    )


SHAPES: list[tuple[str, dict[str, Any], str]] = [
    (
        "unknown field of the request",
        {"messages": []},
        "Unknown name \"messages\" at 'request': Cannot find field.",
    ),
    (
        "unknown field of a part",
        {"contents": [{"role": "user", "parts": [{"text": "x", "cache_control": {}}]}]},
        "Unknown name \"cache_control\" at 'request.contents[0].parts[0]': Cannot find field.",
    ),
    (
        "unknown generation setting",
        config(maxTokens=5),
        "Unknown name \"maxTokens\" at 'request.generation_config': Cannot find field.",
    ),
    (
        "image settings at the wrong level",
        config(aspectRatio="1:1"),
        "Unknown name \"aspectRatio\" at 'request.generation_config': Cannot find field.",
    ),
    (
        "wrong tool wrapper",
        {"tools": [{"parameters": {}, "name": "f"}]},
        "Unknown name \"parameters\" at 'request.tools[0]': Cannot find field.",
    ),
    (
        "leftover of a tool declaration",
        {"tools": tools({**WEATHER, "input_schema": {}})},
        "Unknown name \"input_schema\" at 'request.tools[0].function_declarations[0]': "
        "Cannot find field.",
    ),
    (
        "schema keyword at the root",
        {"tools": root(additionalProperties=False)},
        "Unknown name \"additionalProperties\" at "
        "'request.tools[0].function_declarations[0].parameters': Cannot find field.",
    ),
    (
        "schema keyword below",
        {"tools": schema(type="integer", minimum=1)},
        "Unknown name \"minimum\" at "
        "'request.tools[0].function_declarations[1].parameters.properties[0].value': "
        "Cannot find field.",
    ),
    (
        "list of types",
        {"tools": schema(type=["string", "null"])},
        "Unknown name \"type\" at "
        "'request.tools[0].function_declarations[1].parameters.properties[0].value': "
        "Proto field is not repeating, cannot start list.",
    ),
    (
        "tuple of items",
        {"tools": schema(type="array", items=[{"type": "string"}])},
        "properties[0].value': Proto field is not repeating, cannot start list.",
    ),
    (
        "list as a property",
        {"tools": root(properties={"city": [1]})},
        "parameters.properties[0]': Proto field is not repeating, cannot start list.",
    ),
    (
        "number in an enum",
        {"tools": schema(type="string", enum=["a", 1])},
        "parameters.properties[0].value.enum[1]' (TYPE_STRING), 1",
    ),
    ("unknown type", {"tools": schema(type="any")}, "v1internal.Type), \"any\""),
    ("properties that are no map", {"tools": root(properties=7)}, "properties' (Map), 7"),
    ("system instruction as text", {"systemInstruction": "be nice"},
     "Invalid value at 'request.system_instruction' (type.googleapis.com/"),
    ("parts as text", {"contents": [{"role": "user", "parts": "hi"}]},
     "Invalid value at 'request.contents[0].parts' (type.googleapis.com/"),
    ("arguments as text",
     {"contents": [*HELLO, model_says({"functionCall": {"name": "f", "args": "{}"}})]},
     "function_call.args' (type.googleapis.com/google.protobuf.Struct), \"{}\""),
    ("text for a number", config(maxOutputTokens="many"),
     "'request.generation_config.max_output_tokens' (TYPE_INT32), \"many\""),
    ("truth for a number", config(topK=True), "top_k' (TYPE_INT32), true"),
    ("unknown calling mode", {"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
     "function_calling_config.mode' (type.googleapis.com/"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"), [(c, t) for _, c, t in SHAPES], ids=[name for name, _, _ in SHAPES]
)
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_what_does_not_fit_the_messages_is_named_with_its_path(client, model, changes, text):
    status, message = await client.refused(model, {"contents": HELLO, **changes})
    assert status == 400
    assert text in message
    assert message.startswith("Invalid")


MEANINGS: list[tuple[str, str, dict[str, Any], str]] = [
    ("no contents", GEMINI, {"contents": []}, "contents is not specified"),
    ("no parts", GEMINI, {"contents": [{"role": "user", "parts": []}]},
     "contents[0].parts: contents.parts must not be empty."),
    ("empty part", GEMINI, {"contents": [{"role": "user", "parts": [{}]}]},
     "contents[0].parts[0].data: required oneof field 'data' must have one initialized field"),
    ("two kinds in one part", GEMINI,
     {"contents": [{"role": "user", "parts": [{"text": "a", **result()}]}]},
     "oneof field 'data' is already set"),
    ("foreign role", GEMINI, {"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
     "Please use a valid role: user, model."),
    ("image without a type", GEMINI,
     {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "aGk="}}]}]},
     "inline_data.mime_type: Unsupported MIME type"),
    ("image that is not base64", GEMINI,
     {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png",
                                                             "data": "%%"}}]}]},
     "(TYPE_BYTES), Base64 decoding failed"),
    ("result without a name", GEMINI,
     {"contents": [*HELLO, model_says(call()),
                   results({"functionResponse": {"id": "x", "response": {}}})]},
     "function_response.name: Name cannot be empty."),
    ("result without a response", GEMINI,
     {"contents": [*HELLO, model_says(call()), results({"functionResponse": {"name": "x"}})]},
     "function_response.response: Response must be set."),
    ("image in a result without a type", GEMINI,
     {"contents": [*HELLO, model_says(call()), results({"functionResponse": {
         "name": "x", "response": {}, "parts": [{"inlineData": {"data": ""}}]}})]},
     "function_response.parts[0].inline_data.mime_type"),
    ("empty part in a result", GEMINI,
     {"contents": [*HELLO, model_says(call()), results({"functionResponse": {
         "name": "x", "response": {}, "parts": [{}]}})]},
     "function_response.parts[0].data: required oneof field 'data'"),
    ("call without a name", GEMINI,
     {"contents": [*HELLO, model_says({"functionCall": {"args": {}}})]},
     "function_call.name: Name cannot be empty."),
    # tools
    ("empty list of tools", GEMINI, {"tools": []}, "request.tools: must not be empty"),
    ("name with a space", GEMINI, {"tools": tools({**WEATHER, "name": "get weather"})},
     "function_declarations[0].name: Invalid function name."),
    ("name with a dot for Claude", CLAUDE, {"tools": tools({**WEATHER, "name": "get.weather"})},
     "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
    ("same tool twice", GEMINI, {"tools": tools(WEATHER, WEATHER)},
     "Duplicate function declaration found: get_weather"),
    ("array without items", GEMINI, {"tools": schema(type="array")},
     "function_declarations[1].parameters.properties[x].items: missing field."),
    ("required and undefined", GEMINI, {"tools": root(required=["city", "zzz"])},
     "parameters.required[1]: property is not defined"),
    ("enum of a number", GEMINI, {"tools": schema(type="integer", enum=["1"])},
     "properties[x].enum: only allowed for STRING type"),
    ("empty enum value", GEMINI, {"tools": schema(type="string", enum=["a", ""])},
     "properties[x].enum[1]: cannot be empty"),
    ("no type", GEMINI, {"tools": schema(description="?")},
     "properties[x].type: must be specified"),
    ("root that is no object", GEMINI, {"tools": root(type="string")},
     "parameters: schema should be of type OBJECT."),
    ("no parameters for Claude", CLAUDE, {"tools": tools({"name": "f", "description": ""})},
     "function_declarations[0].parameters: Field required"),
    ("empty object for Claude", CLAUDE, {"tools": root(properties={}, required=[])},
     "parameters.properties: should be non-empty for OBJECT type"),
    ("nested object with nothing required for Claude", CLAUDE,
     {"tools": schema(type="object", properties={"y": {"type": "string"}})},
     "properties[x].required: should be non-empty for nested OBJECT type"),
    ("search by a model that has none", CLAUDE, {"tools": [{"googleSearch": {}}]},
     "Google Search is not supported for this model."),
    ("search beside functions", GEMINI, {"tools": [*tools(), {"googleSearch": {}}]},
     "cannot be combined in the same request"),
    ("calling mode without functions", GEMINI,
     {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
     "Function calling config is set without function_declarations."),
    ("names allowed without ANY", GEMINI,
     {"tools": tools(), "toolConfig": {"functionCallingConfig": {
         "mode": "AUTO", "allowedFunctionNames": ["get_weather"]}}},
     "allowed_function_names should only be set when the function calling mode is ANY."),
    ("undeclared name allowed", GEMINI,
     {"tools": tools(), "toolConfig": {"functionCallingConfig": {
         "mode": "ANY", "allowedFunctionNames": ["rain"]}}},
     "`rain` is not a declared function."),
    # configuration
    ("budget of Claude too small", CLAUDE, budget(1000),
     "Input should be greater than or equal to 1024"),
    ("budget that fills the answer", CLAUDE, budget(8192, 8192),
     "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ("budget above what 2.5 takes", OLDER, budget(24_577, 65_000),
     "supported values are integers from 1 to 24576"),
    ("level and budget at once", GEMINI,
     config(thinkingConfig={"thinkingBudget": 100, "thinkingLevel": "low"}),
     "only one of thinking budget and thinking level"),
    ("level that Pro does not have", "gemini-3-pro-high",
     config(thinkingConfig={"thinkingLevel": "minimal"}),
     "Thinking level MINIMAL is not supported for this model."),
    ("level for Claude", CLAUDE, config(thinkingConfig={"thinkingLevel": "high"}),
     "thinking_level is not supported"),
    ("thinking where there is none", PLAIN_CLAUDE, budget(2048), "thinking is not supported"),
    ("thinking for GPT-OSS", "gpt-oss-120b-medium", budget(2048, 8192),
     "thinking is not supported"),
    ("more output than Claude has", CLAUDE, config(maxOutputTokens=64_001),
     "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for "),
    ("more output than Gemini has", GEMINI, config(maxOutputTokens=65_537),
     "supported range is from 1 (inclusive) to 65537 (exclusive)"),
    ("no output at all", CLAUDE, config(maxOutputTokens=0), "maxOutputTokens value of 0"),
    ("temperature too high for Claude", CLAUDE, config(temperature=1.2),
     "temperature: range: 0..1"),
    ("temperature too high", GEMINI, config(temperature=2.1), "temperature: range: 0..2"),
    ("two candidates", GEMINI, config(candidateCount=2), "Multiple candidates is not enabled"),
    ("schema without JSON", GEMINI, config(responseSchema={"type": "object"}),
     "only supported when response_mime_type is application/json"),
    ("tools for an image", PRO_IMAGE, {"tools": tools()},
     "tools is not supported by image models."),
    ("thinking for an image", PRO_IMAGE, config(thinkingConfig={"thinkingBudget": 5}),
     "Thinking is not supported by image models."),
    ("unknown ratio", PRO_IMAGE, config(imageConfig={"aspectRatio": "7:3"}),
     "7:3 is not one of the supported ratios"),
    ("image settings elsewhere", GEMINI, config(imageConfig={"aspectRatio": "1:1"}),
     "Image generation is not enabled for this model."),
    # Claude's conversation
    ("empty text for Claude", CLAUDE, {"contents": [user("")]},
     "text content blocks must be non-empty"),
    ("blank text for Claude", CLAUDE, {"contents": [user(" \n")]},
     "text content blocks must contain non-whitespace text"),
    ("call without result", CLAUDE, {"contents": [*HELLO, model_says(call()), user("and?")]},
     "ids were found without `tool_result` blocks immediately after: toolu_1"),
    ("one of two results missing", CLAUDE,
     {"contents": [*HELLO, model_says(call(), call(identifier="toolu_2")), results(result())]},
     "immediately after: toolu_2"),
    ("result without call", CLAUDE, {"contents": [*HELLO, model_says({"text": "a"}),
                                                  results(result())]},
     "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    ("text behind a call", CLAUDE,
     {"contents": [*HELLO, model_says(call(), {"text": "so"}), results(result())]},
     "messages.1: `tool_use` ids were found without"),
    ("text in front of a result", CLAUDE,
     {"contents": [*HELLO, model_says(call()), results({"text": "so"}, result())]},
     "messages.1: `tool_use` ids were found without"),
    ("call without id", CLAUDE,
     {"contents": [*HELLO, model_says({"functionCall": {"name": "f"}}), user("x")]},
     "messages.1.content.0.tool_use.id: Field required"),
    ("strange id", CLAUDE,
     {"contents": [*HELLO, model_says(call(identifier="a.b")), results(result("a.b"))]},
     "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
    ("same id twice", CLAUDE,
     {"contents": [*HELLO, model_says(call()), results(result()), model_says(call()),
                   results(result())]},
     "`tool_use` ids must be unique"),
    ("answer that ends in space", CLAUDE, {"contents": [*HELLO, model_says({"text": "so "})]},
     "final assistant content cannot end with trailing whitespace"),
    ("loop that does not begin with thinking", CLAUDE,
     {"contents": [*HELLO, model_says(call()), results(result())], **thinking()},
     "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
    ("answer begun without thinking", CLAUDE,
     {"contents": [*HELLO, model_says({"text": "so"})], **thinking()}, "but found `text`"),
    ("answer of nothing but thinking", CLAUDE,
     {"contents": [*HELLO, model_says({"thought": True, "text": "hm"}), *HELLO]},
     "messages.1: The final block in an assistant message cannot be `thinking`."),
    # Gemini's conversation
    ("history that begins with the model", GEMINI,
     {"contents": [model_says({"text": "a"}), *HELLO]},
     "Please ensure that multiturn requests start with a user turn."),
    ("result after nothing", GEMINI, {"contents": [*HELLO, results(result())]},
     "function response turn comes immediately after a function call turn"),
    ("fewer results than calls", OLDER,
     {"contents": [*HELLO, model_says(call(), call(identifier="b")), results(result())]},
     "number of function response parts is equal to the number of function call parts"),
    ("call after an answer", OLDER,
     {"contents": [*HELLO, model_says({"text": "a"}), model_says(call()), results(result())]},
     "function call turn comes immediately after a user turn"),
    ("call without any result", OLDER,
     {"contents": [*HELLO, model_says(call()), user("and?")]},
     "function call turns are followed by function response turns"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [(m, c, t) for _, m, c, t in MEANINGS],
    ids=[name for name, _, _, _ in MEANINGS],
)
async def test_what_the_model_does_not_take_is_refused_in_its_words(client, model, changes, text):
    status, message = await client.refused(model, {"contents": HELLO, **changes})
    assert status == 400
    assert text in message


ACCEPTED: list[tuple[str, str, dict[str, Any]]] = [
    ("snake case", GEMINI, {"system_instruction": {"parts": [{"text": "be nice"}]},
                            "generation_config": {"max_output_tokens": 50}}),
    ("upper case types", GEMINI, {"tools": root(type="OBJECT")}),
    ("properties named like keywords", CLAUDE,
     {"tools": tools({**WEATHER, "parameters": {
         "type": "object", "required": ["title"],
         "properties": {"title": {"type": "string"}, "format": {"type": "string"}}}})}),
    ("empty first turn", GEMINI, {"contents": [user(""), model_says({"text": "a"}), *HELLO]}),
    ("calls without ids", OLDER,
     {"contents": [*HELLO, model_says({"functionCall": {"name": "f", "args": {}}}),
                   results({"functionResponse": {"name": "f", "response": {}}})]}),
    ("image in a result", GEMINI,
     {"contents": [*HELLO, model_says(call(thoughtSignature="skip_thought_signature_validator")),
                   results({"functionResponse": {
                       "name": "x", "response": {},
                       "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}})]}),
    ("answer begun for Claude", CLAUDE, {"contents": [*HELLO, model_says({"text": "so"})]}),
    ("dynamic budget", OLDER, config(thinkingConfig={"thinkingBudget": -1})),
    ("image ratio", PRO_IMAGE, config(imageConfig={"aspectRatio": "16:9"}, candidateCount=1,
                                      responseModalities=["IMAGE"])),
    ("search alone", GEMINI, {"tools": [{"googleSearch": {}}]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "request_"), [(m, r) for _, m, r in ACCEPTED], ids=[name for name, _, _ in ACCEPTED]
)
async def test_what_the_real_one_takes_is_taken(client, model, request_):
    assert (await client.generate(model, {"contents": HELLO, **request_})).finish == "STOP"


async def test_every_unknown_field_is_listed(client):
    body = client.envelope(GEMINI, {"contents": HELLO, "a": 1, "b": 2})
    _, answer = await client.post("streamGenerateContent", body)
    violations = answer["error"]["details"][0]["fieldViolations"]
    assert [v["field"] for v in violations] == ["request", "request"]
    assert answer["error"]["message"].count("Cannot find field.") == 2


async def test_an_unknown_field_beside_the_request_is_named_without_a_path(client):
    _, message = await client.refused(GEMINI, {"contents": HELLO}, anthropic_version="x")
    assert message == (
        'Invalid JSON payload received. Unknown name "anthropic_version": Cannot find field.'
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"requestType": "chat"}, "Invalid request type: chat"),
        ({"requestType": "image_gen"}, "is not supported by model"),
        ({"userAgent": "curl"}, "Invalid user agent."),
        ({"requestId": ""}, "Request id is required."),
    ],
)
async def test_the_envelope_is_checked(client, changes, text):
    status, message = await client.refused(GEMINI, {"contents": HELLO}, **changes)
    assert status == 400
    assert text in message


async def test_an_unknown_model_is_a_404(client):
    assert (await client.refused("gemini-9", {"contents": HELLO}))[0] == 404


async def test_a_thought_without_text_is_an_internal_error(client):
    contents = [*HELLO, model_says({"thought": True, **call()}), results(result())]
    status, message = await client.refused(GEMINI, {"contents": contents})
    assert (status, message) == (500, "Internal error encountered.")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (CLAUDE, "prompt is too long: 200003 tokens > 200000 maximum"),
        (GEMINI, "The input token count (1048579) exceeds the maximum number of tokens allowed"),
    ],
)
async def test_a_prompt_beyond_the_window_is_refused(client, model, text):
    window = 200_000 if model == CLAUDE else 1_048_576
    status, message = await client.refused(model, {"contents": [user("long" * (window + 2))]})
    assert status == 400
    assert text in message


@pytest.mark.parametrize(
    ("header", "value", "status", "text"),
    [
        ("x-goog-user-project", "mine", 403, "has not been used in project mine"),
        ("x-api-key", "k", 401, "API keys are not supported by this API"),
        ("x-goog-api-key", "k", 401, "API keys are not supported by this API"),
        ("user-agent", "antigravity/1.18.3 linux/amd64", 400, "no longer supported"),
        ("user-agent", "python", 400, "no longer supported"),
    ],
)
async def test_headers_that_the_real_one_minds_are_refused(client, header, value, status, text):
    client.headers[header] = value
    seen, message = await client.refused(GEMINI, {"contents": HELLO})
    assert seen == status
    assert text in message


async def test_both_forms_of_a_new_user_agent_pass(client):
    for agent in (AGENT, "antigravity/2.10.0 darwin/arm64"):
        client.headers["user-agent"] = agent
        await client.generate(GEMINI, {"contents": HELLO})


async def test_a_body_that_is_not_json_is_refused(client):
    url = f"{client.upstream.url}/v1internal:loadCodeAssist"
    async with client.session.post(url, data=b"{", headers=client.headers) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.479417207, "479.417207ms"), (0, "0s"), (3.957525076, "3.957525076s"), (330, "5m30s"),
     (4560.667, "1h16m0.667s"), (7200, "2h0m0s")],
)  # fmt: skip
def test_durations_are_spelled_as_go_does(seconds, text):
    assert refusals.go_duration(seconds) == text
