"""`generateContent` bodies as the Gemini API and Vertex AI want them.

The gemini dialect renders for Cloud Code, which serves the same models with other habits. The
differences are settled here: what models before Gemini 3 do not know, and what "no thinking" has to
say where thinking is the default (providers.md 4). Pure.
"""

import re
from typing import Any, Final

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects.gemini.contents import SENTINEL
from mcp_proxy.model import ModelInfo
from mcp_proxy.providers.body_edits import Edit, JsonObject, less

_VERSION: Final = re.compile(r"gemini-(\d+)")
_FIRST_WITH_CHECKED_SIGNATURES: Final = 3


def fitted(body: JsonObject, conversation: Conversation, model: ModelInfo) -> JsonObject:
    """A rendered body in the form that these APIs take; the input is not changed."""
    body = _with_thinking_said(body, conversation, model)
    return _for_older_models(body) if _is_older(model.id) else body


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
    return media_beside_results(mapped_parts(body, _without_sentinel))


def _without_sentinel(part: JsonObject) -> JsonObject:
    if part.get("thoughtSignature") != SENTINEL:
        return part
    return less(part, "thoughtSignature")


def media_beside_results(body: JsonObject) -> JsonObject:
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
        results.append({**part, "functionResponse": less(result, "parts")})
    return {**content, "parts": results + media + others} if media else content


def mapped_parts(body: JsonObject, change: Edit) -> JsonObject:
    contents = [
        {**content, "parts": [change(part) for part in content["parts"]]}
        for content in body["contents"]
    ]
    return {**body, "contents": contents}
