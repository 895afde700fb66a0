"""A Gemini generateContent or countTokens request -> Conversation (client-apis.md 4.1 and 4.5).

Model and manner of the answer are not in the body but in the path. Three kinds of fields: those
that are honoured, those that change the meaning and cannot be (a 400 that names them), and advice
that an answer is right without (left out, and listed).
"""

from collections.abc import Callable
from typing import Any, Final, cast

from mcp_proxy.conversation import Conversation, Effort, Reasoning, Sampling, Text
from mcp_proxy.dialects import PathTarget
from mcp_proxy.dialects.effort import EFFORTS
from mcp_proxy.dialects.gemini.client_contents import read_contents
from mcp_proxy.dialects.gemini.client_fields import (
    camel,
    count,
    get,
    listed,
    number,
    spelling,
    value_of,
    whole,
)
from mcp_proxy.dialects.gemini.client_output import Output, read_output
from mcp_proxy.dialects.gemini.client_tools import read_choice, read_tools
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import JsonObject, Where, check, kind_of, one_of, spell

_HONOURED: Final = frozenset(
    {"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
)
_ADVISORY: Final = frozenset({"safetySettings", "labels", "serviceTier", "store"})

_HONOURED_IN_CONFIG: Final = frozenset(
    {
        "candidateCount",
        "imageConfig",
        "maxOutputTokens",
        "responseFormat",
        "responseJsonSchema",
        "_responseJsonSchema",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "stopSequences",
        "temperature",
        "thinkingConfig",
        "topK",
        "topP",
    }
)

_UNSPECIFIED: Final = "thinking_level_unspecified"


def parse_request(body: JsonObject, target: PathTarget | None) -> Conversation:
    """The request in the neutral model. BadRequest names the field at fault by JSON path."""
    if value_of(body, "cachedContent"):
        raise BadRequest(
            "contents are not kept here; send them all in contents",
            param=spelling(body, "cachedContent"),
        )
    declared = read_tools(body)
    choice, tools = read_choice(body, declared)
    config: JsonObject = get(body, "generationConfig", dict, (), {})
    where: Where = (spelling(body, "generationConfig"),)
    _refuse_several_candidates(config, where)
    output = read_output(config, where)
    return Conversation(
        dialect=NAME,
        model=target.model if target else get(body, "model", str).removeprefix("models/"),
        messages=read_contents(body),
        system=_system(body, output),
        tools=tools,
        server_tools=declared.server_tools,
        tool_choice=choice,
        sampling=_sampling(config, where),
        reasoning=_reasoning(config, where),
        output=output.format,
        wants_stream=target is not None and target.stream,
        wants_array=target is not None and target.array,
        extras=_extras(body, output),
        ignored=(*declared.ignored, *output.ignored, *_ignored(body, config, where)),
    )


def parse_count_request(body: JsonObject, target: PathTarget | None) -> Conversation:
    """The prompt that is to be counted: the body itself, or a whole request inside it."""
    inner = get(body, "generateContentRequest", dict, (), None)
    return parse_request(body if inner is None else inner, target)


def _refuse_several_candidates(config: JsonObject, where: Where) -> None:
    if whole(config, "candidateCount", where) not in (None, 1):
        param = spell((*where, spelling(config, "candidateCount")))
        raise BadRequest("only one candidate per request is served", param=param)


def _system(body: JsonObject, output: Output) -> tuple[Text, ...]:
    """Only text can be said here; SDKs send a Content, some clients plain text."""
    key = spelling(body, "systemInstruction")
    value: Any = body.get(key)
    if value is None:
        texts: list[str] = []
    elif type(value) is str:
        texts = [value]
    elif type(value) is dict:
        parts, where = listed(value, "parts", (key,))
        texts = [
            get(check(part, dict, (*where, at)), "text", str, (*where, at), "")
            for at, part in enumerate(parts)
        ]
    else:
        raise BadRequest(f"expected a content or text, got {kind_of(value)}", param=key)
    if output.instruction:
        texts.append(output.instruction)
    return tuple([Text(text) for text in texts if text])


def _sampling(config: JsonObject, where: Where) -> Sampling:
    stops, at = listed(config, "stopSequences", where)
    return Sampling(
        max_tokens=_natural(config, "maxOutputTokens", where, count),
        temperature=_within(config, "temperature", 2.0, where),
        top_p=_within(config, "topP", 1.0, where),
        top_k=_natural(config, "topK", where, whole),
        stop=tuple(
            [text for index, stop in enumerate(stops) if (text := check(stop, str, (*at, index)))]
        ),
    )


def _natural(
    config: JsonObject,
    name: str,
    where: Where,
    read: Callable[[JsonObject, str, Where], int | None],
) -> int | None:
    value = read(config, name, where)
    if value is not None and value < 0:
        param = spell((*where, spelling(config, name)))
        raise BadRequest(f"expected a whole number of at least 0, got {value}", param=param)
    return value


def _within(config: JsonObject, name: str, highest: float, where: Where) -> float | None:
    value = number(config, name, where)
    if value is not None and not 0.0 <= value <= highest:
        param = spell((*where, spelling(config, name)))
        raise BadRequest(f"expected a number from 0 to {highest:g}, got {value:g}", param=param)
    return value


def _reasoning(config: JsonObject, where: Where) -> Reasoning:
    """Nothing said means as the model likes, and its thoughts stay unseen.

    Who asks for thoughts wants thinking. A budget of -1 leaves the amount to the model.
    """
    thinking: JsonObject = get(config, "thinkingConfig", dict, where, {})
    where = (*where, spelling(config, "thinkingConfig"))
    visible = get(thinking, "includeThoughts", bool, where, False)
    effort = _effort(thinking, where)
    budget = count(thinking, "thinkingBudget", where)
    if budget == 0:
        return Reasoning(mode="off", visible=False)
    if budget is not None and budget > 0:
        return Reasoning(mode="on", budget=budget, effort=effort, visible=visible)
    wants_it = visible or effort is not None or budget is not None
    return Reasoning(mode="adaptive" if wants_it else None, effort=effort, visible=visible)


def _effort(thinking: JsonObject, where: Where) -> Effort | None:
    level = get(thinking, "thinkingLevel", str, where, _UNSPECIFIED).lower()
    at = (*where, spelling(thinking, "thinkingLevel"))
    effort = one_of(level, (_UNSPECIFIED, *EFFORTS), at)
    return None if effort == _UNSPECIFIED else cast(Effort, effort)


def _extras(body: JsonObject, output: Output) -> dict[str, Any]:
    """Unknown fields; and the shape of a picture, in the spelling of the other dialects."""
    extras = {
        key: value
        for key, value in body.items()
        if camel(key) not in _HONOURED and camel(key) not in _ADVISORY
    }
    if output.aspect_ratio is not None:
        extras["image_config"] = {"aspect_ratio": output.aspect_ratio}
    return extras


def _ignored(body: JsonObject, config: JsonObject, where: Where) -> list[str]:
    left_out = [key for key, value in body.items() if value and camel(key) in _ADVISORY]
    return left_out + [
        spell((*where, key))
        for key, value in config.items()
        if value is not None and camel(key) not in _HONOURED_IN_CONFIG
    ]
