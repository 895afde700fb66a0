"""Features of a request that some places refuse, and the body without them.

A place that refuses one says so in a 400 once; from then on its requests go without (providers.md
section 3). Names are those of the field, `a->b` for what has another name there, `+a` for what a
server misses. What can be done without differs by wire: each has a module with its `ADAPTATIONS`
and, for the words of refusals, a `refused_feature`.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final, cast

from mcp_proxy.providers.body_edits import Edit, JsonObject, dropping

DROPPABLE: Final = (
    "stream_options",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning",
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


DROPPED: Final[Mapping[str, Edit]] = {field: dropping(field) for field in DROPPABLE}

FORWARDING: Final = "forwarding"
"""Taking a client's body as it came. Refused for one request only, which is then rendered."""

DIALECT: Final = "dialect:"
"""Prefix of the name of a dialect that a place does not speak for a model."""

_MODULES: Final = {
    "anthropic": "mcp_proxy.providers.anthropic_features",
    "openai_chat": "mcp_proxy.providers.openai_features",
    "openai_responses": "mcp_proxy.providers.openai_features",
    "openai_images": "mcp_proxy.providers.openai_features",
    "gemini": "mcp_proxy.providers.gemini_features",
}
"""By upstream dialect. Named, not imported: a place loads what it speaks."""


def without(body: JsonObject, avoided: frozenset[str], dialect: str) -> JsonObject:
    """The body without what is avoided; the same object when there is nothing to do."""
    for name in applicable(avoided, dialect):
        body = _adaptations(dialect)[name](body)
    return body


def applicable(avoided: frozenset[str], dialect: str) -> list[str]:
    """What of these a body of the dialect can do without."""
    return sorted(avoided & _adaptations(dialect).keys()) if avoided else []


@cache
def _adaptations(dialect: str) -> Mapping[str, Edit]:
    return cast(Mapping[str, Edit], import_module(_MODULES[dialect]).ADAPTATIONS)
