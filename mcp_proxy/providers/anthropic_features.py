"""Features of a Messages request that a model refuses: what the refusal says, and doing without.

Models differ (providers.md 6): a 400 says so once, and from then on that model's requests go
without. What is common to all formats is in `features.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import OutputFormat
from mcp_proxy.dialects.effort import SMALLEST_BUDGET, effort_of
from mcp_proxy.dialects.wording import json_instruction
from mcp_proxy.providers.body_edits import (
    Edit,
    JsonObject,
    dropping,
    dropping_inner,
    each,
    less,
)
from mcp_proxy.providers.failures import Said
from mcp_proxy.providers.features import DROPPABLE, DROPPED

THINKING_BY_BUDGET: Final = "thinking.enabled"
THINKING_BY_EFFORT: Final = "thinking.adaptive"
EFFORT: Final = "output_config.effort"
FORMAT: Final = "output_config.format"
DISPLAY: Final = "thinking.display"
BOTH_SAMPLINGS: Final = "temperature+top_p"
STRICT: Final = "strict"

_DEFAULT_BUDGET: Final = 16_000


# Doing without


def _adaptive(body: JsonObject) -> JsonObject:
    """Thinking by effort in place of a budget."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return body
    budget = thinking.get("budget_tokens")
    config = dict(body.get("output_config") or {})
    if isinstance(budget, int):
        effort = effort_of(budget)
        config.setdefault("effort", "low" if effort == "minimal" else effort)
    rest = {name: value for name, value in thinking.items() if name == "display"}
    return {**body, "thinking": {"type": "adaptive", **rest}, "output_config": config}


def _budgeted(body: JsonObject) -> JsonObject:
    """A budget in place of thinking by effort; none at all where the answer has no room for it."""
    thinking, most = body.get("thinking"), body.get("max_tokens")
    if not isinstance(thinking, dict) or thinking.get("type") != "adaptive":
        return body
    budget = min(_DEFAULT_BUDGET, most // 2) if isinstance(most, int) else _DEFAULT_BUDGET
    if budget < SMALLEST_BUDGET:
        return less(body, "thinking")
    return {**body, "thinking": {"type": "enabled", "budget_tokens": budget}}


def _formless(body: JsonObject) -> JsonObject:
    """The schema of the answer told in words."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    if not isinstance(wanted, dict):
        return body
    schema = wanted.get("schema")
    told = json_instruction(OutputFormat(schema if isinstance(schema, dict) else None))
    system = body.get("system") or []
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    body = {**body, "system": [*blocks, {"type": "text", "text": told}]}
    return dropping_inner("output_config", "format")(body)


def _one_sampling(body: JsonObject) -> JsonObject:
    return less(body, "top_p") if "temperature" in body else body


ADAPTATIONS: Final[Mapping[str, Edit]] = {
    **DROPPED,
    THINKING_BY_BUDGET: _adaptive,
    THINKING_BY_EFFORT: _budgeted,
    EFFORT: dropping_inner("output_config", "effort"),
    FORMAT: _formless,
    DISPLAY: dropping_inner("thinking", "display"),
    BOTH_SAMPLINGS: _one_sampling,
    STRICT: each("tools", dropping("strict")),
}


# What a refusal says

_EXTRA: Final = re.compile(r"([\w.]+): Extra inputs are not permitted")

_TELLING: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), feature)
    for pattern, feature in (
        (r"temperature\W{1,4}and\W{1,4}top_p\W.{0,40}(?:both|one of)", BOTH_SAMPLINGS),
        (r"thinking\.(?:type\.)?enabled\W.{0,40}not supported", THINKING_BY_BUDGET),
        (r"thinking\.(?:type\.)?adaptive\W.{0,40}not supported", THINKING_BY_EFFORT),
        (r"adaptive thinking.{0,40}not supported", THINKING_BY_EFFORT),
        (r"(?:does not support|not supported).{0,40}\beffort\b", EFFORT),
        (r"\beffort\b.{0,80}(?:not support|n't support|unsupported)", EFFORT),
        (r"(?:does not support|not supported).{0,60}(?:output_?(?:config\.)?format)", FORMAT),
        (r"(?:output_?(?:config\.)?format|structured output).{0,80}not support", FORMAT),
        (r"strict.{0,60}not (?:supported|permitted)", STRICT),
        (r"\btemperature\b.{0,60}(?:not supported|deprecated)", "temperature"),
        (r"\btop_p\b.{0,60}(?:not supported|deprecated)", "top_p"),
        (r"\btop_k\b.{0,60}(?:not supported|deprecated)", "top_k"),
        (r"(?:does not|n't) support (?:extended )?thinking", "thinking"),
    )
)
"""Refusals in words; the first match decides."""


def refused_feature(error: Said) -> str | None:
    """The feature without which the model would take the request; None: it is about none."""
    found = _EXTRA.search(error.message)
    if found is not None:
        return _feature_at(found[1])
    return next((feature for pattern, feature in _TELLING if pattern.search(error.message)), None)


def _feature_at(path: str) -> str | None:
    """`temperature`, `thinking.adaptive.display`, `tools.0.custom.strict` -> the feature there."""
    first, *inner = path.split(".")
    if not inner:
        return first if first in DROPPABLE else None
    named = f"{first}.{inner[-1]}"
    if named in ADAPTATIONS:
        return named
    return STRICT if first == "tools" and inner[-1] == STRICT else None
