"""`generateContent` bodies as the Gemini API and Vertex AI want them.

The gemini dialect renders for Cloud Code, which serves the same models with other habits. The
differences are settled here: what models before Gemini 3 do not know, what "no thinking" has to say
where thinking is the default, and what a server refused before (providers.md 4). Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects.gemini.contents import SENTINEL
from mcp_proxy.model import ModelInfo

JsonObject = dict[str, Any]

_VERSION: Final = re.compile(r"gemini-(\d+)")
_FIRST_WITH_CHECKED_SIGNATURES: Final = 3


def fitted(body: JsonObject, conversation: Conversation, model: ModelInfo) -> JsonObject:
    """A rendered body in the form that these APIs take; the input is not changed."""
    body = _with_thinking_said(body, conversation, model)
    return _for_older_models(body) if _is_older(model.id) else body


def without(body: JsonObject, avoided: Iterable[str]) -> JsonObject:
    """The body without the features that were refused; the same object when there are none."""
    for feature in sorted(avoided):
        adapt = ADAPTATIONS.get(feature)
        if adapt is not None:
            body = adapt(body)
    return body


# Thinking


def _with_thinking_said(
    body: JsonObject, conversation: Conversation, model: ModelInfo
) -> JsonObject:
    """As little thinking as the model allows, when the client wants none.

    The dialect then says nothing, and these models think of themselves: Gemini 3 at full strength.
    """
    generation, spec, reasoning = (
        body.get("generationConfig", {}),
        model.thinking,
        conversation.reasoning,
    )
    is_free = reasoning.mode is None and reasoning.by_default
    if spec is None or is_free or model.makes_images or "thinkingConfig" in generation:
        return body
    if spec.levels:
        return _generating(body, thinkingConfig={"thinkingLevel": spec.levels[0]})
    smallest = 0 if spec.can_be_off or spec.budgets is None else spec.budgets[0]
    limit = generation.get("maxOutputTokens")
    room = {} if limit is None else {"maxOutputTokens": min(limit + smallest, model.max_output)}
    return _generating(body, thinkingConfig={"thinkingBudget": smallest}, **room)


def _generating(body: JsonObject, **settings: Any) -> JsonObject:
    return {**body, "generationConfig": {**body.get("generationConfig", {}), **settings}}


# Models before Gemini 3


def _is_older(model_id: str) -> bool:
    """Gemini 1 and 2, and Gemma; names without a number mean the newest."""
    found = _VERSION.match(model_id)
    if found is not None:
        return int(found[1]) < _FIRST_WITH_CHECKED_SIGNATURES
    return "gemini" not in model_id


def _for_older_models(body: JsonObject) -> JsonObject:
    """They ask for no signatures, so none is made up, and see pictures only beside a result."""
    return _media_beside_results(_mapped_parts(body, _without_sentinel))


def _without_sentinel(part: JsonObject) -> JsonObject:
    if part.get("thoughtSignature") != SENTINEL:
        return part
    return {key: value for key, value in part.items() if key != "thoughtSignature"}


def _media_beside_results(body: JsonObject) -> JsonObject:
    contents = [_media_hoisted(content) for content in body["contents"]]
    return {**body, "contents": contents}


def _media_hoisted(content: JsonObject) -> JsonObject:
    """After all results, so that they stay together (providers.md 4)."""
    results: list[JsonObject] = []
    media: list[JsonObject] = []
    others: list[JsonObject] = []
    for part in content["parts"]:
        result = part.get("functionResponse")
        if result is None:
            others.append(part)
            continue
        media.extend(result.get("parts", ()))
        bare = {key: value for key, value in result.items() if key != "parts"}
        results.append({**part, "functionResponse": bare})
    return {**content, "parts": results + media + others} if media else content


# What a server refused


def _without_thinking(body: JsonObject) -> JsonObject:
    generation = body.get("generationConfig", {})
    return {**body, "generationConfig": _less(generation, "thinkingConfig")}


def _without_search(body: JsonObject) -> JsonObject:
    tools = [tool for tool in body.get("tools", ()) if "googleSearch" not in tool]
    return {**body, "tools": tools} if tools else _less(body, "tools")


def _instruction_in_contents(body: JsonObject) -> JsonObject:
    instruction = body.get("systemInstruction")
    if not instruction:
        return body
    contents = [*body["contents"]]
    parts = instruction["parts"]
    if contents[0].get("role") == "user":
        contents[0] = {**contents[0], "parts": [*parts, *contents[0]["parts"]]}
    else:
        contents.insert(0, {"role": "user", "parts": parts})
    return {**_less(body, "systemInstruction"), "contents": contents}


def _without_ids(body: JsonObject) -> JsonObject:
    return _mapped_parts(body, _without_id)


def _without_id(part: JsonObject) -> JsonObject:
    for kind in ("functionCall", "functionResponse"):
        if kind in part:
            return {**part, kind: _less(part[kind], "id")}
    return part


def _mapped_parts(body: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    contents = [
        {**content, "parts": [change(part) for part in content["parts"]]}
        for content in body["contents"]
    ]
    return {**body, "contents": contents}


def _less(fields: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in fields.items() if key != name}


ADAPTATIONS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "thinkingConfig": _without_thinking,
    "googleSearch": _without_search,
    "systemInstruction": _instruction_in_contents,
    "functionCall.id": _without_ids,
    "functionResponse.parts": _media_beside_results,
}

REFUSALS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), feature)
    for pattern, feature in (
        (
            r"thinking[ _]?(?:level|budget|config)?\b.{0,60}not (?:supported|enabled)",
            "thinkingConfig",
        ),
        (r"budget \d+ is invalid|only works in thinking mode", "thinkingConfig"),
        (r"tool use with function calling is unsupported", "googleSearch"),
        (
            r"(?:search grounding|google_?search).{0,60}(?:not supported|unsupported)",
            "googleSearch",
        ),
        (
            r"(?:developer|system)[ _]instruction.{0,40}not (?:enabled|supported)",
            "systemInstruction",
        ),
        (r'unknown name \\?"id\\?" at .{0,80}function_?(?:call|response)', "functionCall.id"),
        (r'unknown name \\?"parts\\?" at .{0,80}function_?response', "functionResponse.parts"),
        (r"multimodal function response.{0,60}not supported", "functionResponse.parts"),
    )
)
"""How these servers say that a model lacks a feature, and the feature's name."""
