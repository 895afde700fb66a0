"""Features of a request that some servers refuse, and the body without them.

A server that refuses one says so in a 400 once; from then on its requests go without (providers.md
section 3). Names are those of the field, or `a->b` for a field that has another name there.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

JsonObject = dict[str, Any]


def _without(field: str) -> Callable[[JsonObject], JsonObject]:
    def drop(body: JsonObject) -> JsonObject:
        return {name: value for name, value in body.items() if name != field}

    return drop


def _renamed(old: str, new: str) -> Callable[[JsonObject], JsonObject]:
    def rename(body: JsonObject) -> JsonObject:
        return {new if name == old else name: value for name, value in body.items()}

    return rename


def _developer_to_system(body: JsonObject) -> JsonObject:
    messages = [
        {**message, "role": "system"} if message.get("role") == "developer" else message
        for message in body.get("messages", ())
    ]
    return {**body, "messages": messages}


def _loose_tools(body: JsonObject) -> JsonObject:
    return {**body, "tools": [_loose(tool) for tool in body.get("tools", ())]}


def _loose(tool: JsonObject) -> JsonObject:
    bare = {name: value for name, value in tool.items() if name != "strict"}
    function = bare.get("function")
    if isinstance(function, dict):
        bare["function"] = {name: value for name, value in function.items() if name != "strict"}
    return bare


def _any_json(body: JsonObject) -> JsonObject:
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return body
    return {**body, "response_format": {"type": "json_object"}}


DROPPABLE: Final = (
    "stream_options",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning",
    "response_format",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "metadata",
    "store",
    "service_tier",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "tool_choice",
    "truncation",
    "include",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
)
"""Top-level fields without which the request still means nearly the same."""

ADAPTATIONS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    **{field: _without(field) for field in DROPPABLE},
    "max_tokens->max_completion_tokens": _renamed("max_tokens", "max_completion_tokens"),
    "max_completion_tokens->max_tokens": _renamed("max_completion_tokens", "max_tokens"),
    "developer->system": _developer_to_system,
    "strict": _loose_tools,
    "response_format.json_schema": _any_json,
}

DIALECT: Final = "dialect:"
"""Prefix of the name of a dialect that a place does not speak for a model."""


def adapted(body: JsonObject, avoided: frozenset[str]) -> JsonObject:
    """The body without what is avoided; the same object when there is nothing to do."""
    for name in sorted(avoided & ADAPTATIONS.keys()):
        body = ADAPTATIONS[name](body)
    return body
