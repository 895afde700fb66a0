"""How much a model shall think, in the upstream's terms, and what that leaves for the answer.

Sources: protocols/cloudcode.md 3.7 and 10, providers.md 9 (effort <-> budget).
"""

from typing import NamedTuple

from mcp_proxy.conversation import Conversation, Reasoning
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.effort import (
    ROOM_FOR_ANSWER,
    SMALL_ANSWER,
    answer_limit,
    asked_budget,
    asked_level,
    nearest,
)
from mcp_proxy.model import Family, ModelInfo, ThinkingSpec


class ThinkingPlan(NamedTuple):
    """What `generationConfig` says of thinking and length."""

    config: JsonObject | None
    """`thinkingConfig`; None: the request asks for no thinking."""
    max_tokens: int | None
    """`maxOutputTokens`, which counts thinking too; None: the model's own limit."""


def plan_thinking(conversation: Conversation, model: ModelInfo) -> ThinkingPlan:
    """Decides on thinking; a model that is not asked to think gets just its length."""
    spec = model.thinking
    limit = answer_limit(conversation.sampling.max_tokens, model)
    if limit is None and model.family is Family.CLAUDE:
        limit = model.max_output
    if spec is None or not _is_wanted(conversation, model):
        return ThinkingPlan(None, limit)
    if spec.levels:
        return ThinkingPlan(_by_level(conversation.reasoning, spec, limit), limit)
    return _by_budget(conversation, model, spec)


def _is_wanted(conversation: Conversation, model: ModelInfo) -> bool:
    reasoning = conversation.reasoning
    if reasoning.mode == "off":
        return False
    if model.family is Family.CLAUDE and conversation.tool_choice.mode == "any":
        return False  # Claude refuses to think when a tool call is forced
    if reasoning.mode is not None:
        return True
    return reasoning.by_default and (reasoning.effort is not None or _thinks_by_default(model))


def _thinks_by_default(model: ModelInfo) -> bool:
    """Of itself, that is: ids that say so, and everything since Gemini 3 (which takes levels)."""
    if "thinking" in model.id:
        return True
    return model.thinking is not None and bool(model.thinking.levels)


def _by_level(reasoning: Reasoning, spec: ThinkingSpec, limit: int | None) -> JsonObject:
    config: JsonObject = {"includeThoughts": reasoning.visible}
    level = _level(reasoning, spec, limit)
    if level is not None:
        config["thinkingLevel"] = level
    return config


def _level(reasoning: Reasoning, spec: ThinkingSpec, limit: int | None) -> str | None:
    """One of the model's levels; None leaves it to the model."""
    asked = asked_level(reasoning, spec.levels, _effort_of)
    if asked is not None:
        return asked
    if limit is not None and limit < SMALL_ANSWER:
        return spec.levels[0]
    return nearest("high", spec.levels) if reasoning.mode is not None else None


def _effort_of(budget: int) -> str:
    """Google's own measure (3.7), which is another than that of the other upstreams."""
    return "low" if budget <= 8192 else "medium" if budget <= 16_384 else "high"


def _by_budget(conversation: Conversation, model: ModelInfo, spec: ThinkingSpec) -> ThinkingPlan:
    """A budget always goes with thinking: without one Claude writes its thoughts into the text.

    `maxOutputTokens` has to exceed the budget. A client that names both has counted thinking in;
    for one that did not name a budget, thinking comes on top of the length it asked for.
    """
    reasoning, wanted = conversation.reasoning, conversation.sampling.max_tokens
    budget = _clamped(asked_budget(reasoning, spec), spec)
    if wanted is None:
        limit = model.max_output
    elif reasoning.budget is not None and wanted > budget:
        limit = wanted
    else:
        room = ROOM_FOR_ANSWER if reasoning.budget is not None else max(wanted, 1)
        limit = budget + room
    limit = min(limit, model.max_output)
    if budget >= limit:
        budget = limit - min(ROOM_FOR_ANSWER, limit // 2)
    visible = reasoning.visible or model.family is Family.CLAUDE
    return ThinkingPlan({"includeThoughts": visible, "thinkingBudget": budget}, limit)


def _clamped(budget: int, spec: ThinkingSpec) -> int:
    smallest, largest = spec.budgets or (1, budget)
    return min(max(budget, smallest), largest)
