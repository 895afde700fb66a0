"""Features of `generateContent` bodies that a model lacks: what is said of them, and doing without.

For the Gemini API and Vertex AI (providers.md 4).
"""

import re
from collections.abc import Mapping
from typing import Final

from mcp_proxy.providers.body_edits import Edit, JsonObject, dropping_inner, less
from mcp_proxy.providers.failures import Said
from mcp_proxy.providers.gemini_bodies import mapped_parts, media_beside_results


def _without_search(body: JsonObject) -> JsonObject:
    tools = [tool for tool in body.get("tools", ()) if "googleSearch" not in tool]
    return {**body, "tools": tools} if tools else less(body, "tools")


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
    return {**less(body, "systemInstruction"), "contents": contents}


def _without_ids(body: JsonObject) -> JsonObject:
    return mapped_parts(body, _without_id)


def _without_id(part: JsonObject) -> JsonObject:
    for kind in ("functionCall", "functionResponse"):
        if kind in part:
            return {**part, kind: less(part[kind], "id")}
    return part


ADAPTATIONS: Final[Mapping[str, Edit]] = {
    "thinkingConfig": dropping_inner("generationConfig", "thinkingConfig"),
    "googleSearch": _without_search,
    "systemInstruction": _instruction_in_contents,
    "functionCall.id": _without_ids,
    "functionResponse.parts": media_beside_results,
}


# What a refusal says

_TELLING: Final = tuple(
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
"""Refusals in words; the first match decides."""


def refused_feature(error: Said) -> str | None:
    """The feature without which the model would take the request; None: it is about none."""
    return next((feature for pattern, feature in _TELLING if pattern.search(error.message)), None)
