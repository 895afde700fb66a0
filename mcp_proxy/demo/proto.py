"""The fields that Cloud Code's messages have, and Google's complaints about anything else.

The real service decodes JSON into protocol buffers: an unknown name, a list where one value is
wanted, a number where text is wanted is refused before anybody looks at the meaning. So does this
table of messages. A field's type reads "Part" (a message), "string", "int", "number", "bool",
"struct" (any object), "value" (any JSON), "enum:Type"; with "*" it repeats, with "%" it is a map
from names. Both spellings of a name are accepted. Source: cloudcode.md 1.4, 3.3-3.8, 4.7.
"""

from typing import NamedTuple

from mcp_proxy.demo.generation import snake
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.strict_json import encode

MESSAGES: dict[str, dict[str, str]] = {
    "Generate": {
        "project": "string",
        "model": "string",
        "userAgent": "string",
        "requestType": "string",
        "requestId": "string",
        "enabledCreditTypes": "string*",
        "request": "Request",
    },
    "Count": {"request": "Request"},
    "Request": {
        "contents": "Content*",
        "systemInstruction": "Content",
        "tools": "Tool*",
        "toolConfig": "ToolConfig",
        "generationConfig": "GenerationConfig",
        "safetySettings": "SafetySetting*",
        "sessionId": "string",
    },
    "Content": {"role": "string", "parts": "Part*"},
    "Part": {
        "text": "string",
        "thought": "bool",
        "thoughtSignature": "string",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
    },
    "Blob": {"mimeType": "string", "data": "string"},
    "FileData": {"mimeType": "string", "fileUri": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "struct"},
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "struct",
        "parts": "FunctionResponsePart*",
    },
    "FunctionResponsePart": {"inlineData": "Blob"},
    "Tool": {"functionDeclarations": "FunctionDeclaration*", "googleSearch": "GoogleSearch"},
    "GoogleSearch": {"enhancedContent": "struct", "includedDomains": "string*"},
    "FunctionDeclaration": {"name": "string", "description": "string", "parameters": "Schema"},
    "Schema": {
        "type": "enum:Type",
        "title": "string",
        "description": "string",
        "nullable": "bool",
        "enum": "string*",
        "properties": "Schema%",
        "required": "string*",
        "items": "Schema",
        "propertyOrdering": "string*",
    },
    "ToolConfig": {"functionCallingConfig": "FunctionCallingConfig"},
    "FunctionCallingConfig": {"mode": "enum:Mode", "allowedFunctionNames": "string*"},
    "GenerationConfig": {
        "maxOutputTokens": "int",
        "temperature": "number",
        "topP": "number",
        "topK": "int",
        "candidateCount": "int",
        "stopSequences": "string*",
        "seed": "int",
        "presencePenalty": "number",
        "frequencyPenalty": "number",
        "thinkingConfig": "ThinkingConfig",
        "responseMimeType": "string",
        "responseSchema": "AnswerSchema",
        "responseJsonSchema": "value",
        "responseModalities": "enum:Modality*",
        "imageConfig": "ImageConfig",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool",
        "thinkingBudget": "int",
        "thinkingLevel": "string",
    },
    "ImageConfig": {"aspectRatio": "string", "imageSize": "string"},
    "SafetySetting": {"category": "string", "threshold": "string"},
}
# The schema of an answer keeps what a tool's schema must do without (3.6).
MESSAGES["AnswerSchema"] = MESSAGES["Schema"] | {
    "additionalProperties": "value",
    "anyOf": "AnswerSchema*",
    "format": "string",
    "items": "AnswerSchema",
    "minItems": "int",
    "maxItems": "int",
    "minimum": "number",
    "maximum": "number",
    "properties": "AnswerSchema%",
}

# The public APIs know more (client-apis.md 4.1) and say less of schemas (providers.md 4).
MESSAGES |= {
    "PublicRequest": {
        **MESSAGES["Request"],
        "contents": "PublicContent*",
        "systemInstruction": "PublicContent",
        "tools": "PublicTool*",
        "toolConfig": "PublicToolConfig",
        "generationConfig": "PublicConfig",
        "cachedContent": "string",
        "labels": "struct",
        "serviceTier": "string",
    },
    "PublicCount": {
        "contents": "PublicContent*",
        "systemInstruction": "PublicContent",
        "tools": "PublicTool*",
        "generationConfig": "PublicConfig",
        "generateContentRequest": "PublicRequest",
    },
    "PublicContent": {"role": "string", "parts": "PublicPart*"},
    "PublicPart": MESSAGES["Part"]
    | {
        "functionResponse": "PublicFunctionResponse",
        "executableCode": "struct",
        "codeExecutionResult": "struct",
        "videoMetadata": "struct",
        "mediaResolution": "value",
    },
    "PublicFunctionResponse": MESSAGES["FunctionResponse"]
    | {"willContinue": "bool", "scheduling": "string"},
    "PublicTool": {
        "functionDeclarations": "PublicDeclaration*",
        "googleSearch": "struct",
        "googleSearchRetrieval": "struct",
        "urlContext": "struct",
        "codeExecution": "struct",
        "googleMaps": "struct",
        "fileSearch": "struct",
        "computerUse": "struct",
    },
    "PublicDeclaration": {
        "name": "string",
        "description": "string",
        "parameters": "PublicSchema",
        "parametersJsonSchema": "value",
        "response": "PublicSchema",
        "responseJsonSchema": "value",
        "behavior": "string",
    },
    "PublicToolConfig": MESSAGES["ToolConfig"] | {"retrievalConfig": "struct"},
    "PublicConfig": MESSAGES["GenerationConfig"]
    | {
        "responseSchema": "PublicSchema",
        "responseFormat": "value",
        "responseLogprobs": "bool",
        "logprobs": "int",
        "speechConfig": "struct",
        "mediaResolution": "string",
    },
    "PublicSchema": MESSAGES["Schema"]
    | {
        "anyOf": "PublicSchema*",
        "format": "string",
        "items": "PublicSchema",
        "properties": "PublicSchema%",
        "pattern": "string",
        "minimum": "number",
        "maximum": "number",
        **dict.fromkeys(
            ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"),
            "value",  # int64, which JSON may spell as text
        ),
    },
}
del MESSAGES["PublicRequest"]["sessionId"]
MESSAGES["PublicRequest"]["model"] = "string"

ENUMS = {
    "Type": frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}),
    "Mode": frozenset({"AUTO", "ANY", "NONE", "VALIDATED"}),
    "Modality": frozenset({"TEXT", "IMAGE"}),
}

_PACKAGE = "type.googleapis.com/google.internal.cloud.code.v1internal."

_SCALARS: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("TYPE_STRING", (str,)),
    "bool": ("TYPE_BOOL", (bool,)),
    "int": ("TYPE_INT32", (int,)),
    "number": ("TYPE_FLOAT", (int, float)),
}


class Violation(NamedTuple):
    field: str
    description: str


class _Field(NamedTuple):
    name: str
    """As the proto spells it: snake_case."""
    type: str
    repeats: bool
    is_map: bool


def _read(message: dict[str, str]) -> dict[str, _Field]:
    found = {}
    for camel, spec in message.items():
        plain = spec.rstrip("*%")
        field = _Field(snake(camel), plain, spec.endswith("*"), spec.endswith("%"))
        found[camel] = found[field.name] = field
    return found


_FIELDS = {name: _read(message) for name, message in MESSAGES.items()}


def violations(value: object, message: str) -> list[Violation]:
    """All that keeps `value` from being decoded as that message, in the service's words."""
    found: list[Violation] = []
    _check_message(value, message, "", found)
    return found


def _check_message(value: object, message: str, path: str, found: list[Violation]) -> None:
    if not isinstance(value, dict):
        found.append(_invalid(path, _PACKAGE + message, value))
        return
    fields = _FIELDS[message]
    for key, item in value.items():
        field = fields.get(key)
        if field is None:
            found.append(_unknown(key, path, "Cannot find field."))
        elif item is not None:
            _check_field(item, field, path, key, found)


def _check_field(item: object, field: _Field, path: str, key: str, found: list[Violation]) -> None:
    where = f"{path}.{field.name}" if path else field.name
    if field.repeats:
        if not isinstance(item, list):
            found.append(_invalid(where, _PACKAGE + field.type.removeprefix("enum:"), item))
            return
        for at, entry in enumerate(item):
            _check_value(entry, field.type, f"{where}[{at}]", found)
    elif isinstance(item, list) and field.type != "value":
        problem = "Proto field is not repeating, cannot start list."
        found.append(_unknown(key, path, problem))
    elif field.is_map:
        _check_map(item, field.type, where, found)
    else:
        _check_value(item, field.type, where, found)


def _check_map(value: object, kind: str, path: str, found: list[Violation]) -> None:
    if not isinstance(value, dict):
        found.append(_invalid(path, "Map", value))
        return
    for at, entry in enumerate(value.values()):
        where = f"{path}[{at}].value"
        if isinstance(entry, list):
            problem = "Proto field is not repeating, cannot start list."
            found.append(_unknown("value", f"{path}[{at}]", problem))
        else:
            _check_value(entry, kind, where, found)


def _check_value(value: object, kind: str, path: str, found: list[Violation]) -> None:
    if kind in _FIELDS:
        _check_message(value, kind, path, found)
    elif kind.startswith("enum:"):
        name = kind.removeprefix("enum:")
        if not isinstance(value, str) or value.upper() not in ENUMS[name]:
            found.append(_invalid(path, _PACKAGE + name, value))
    elif kind == "struct":
        if not isinstance(value, dict):
            found.append(_invalid(path, "type.googleapis.com/google.protobuf.Struct", value))
    elif kind != "value":
        label, types = _SCALARS[kind]
        if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
            found.append(_invalid(path, label, value))


def _unknown(name: str, path: str, problem: str) -> Violation:
    place = f" at '{path}'" if path else ""
    return Violation(
        path, f'Invalid JSON payload received. Unknown name "{name}"{place}: {problem}'
    )


def _invalid(path: str, kind: str, value: object) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({kind}), {encode(value).decode()[:200]}")


def described(found: list[Violation]) -> JsonObject:
    """The details entry that lists violations."""
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [violation._asdict() for violation in found],
    }
