"""How much a model shall think, in Anthropic's terms, and what that leaves for the answer.

A model takes budgets, or efforts, or both, as its `ThinkingSpec` says. Sources: client-apis.md 1.2,
providers.md 6 and 9.
"""

from typing import Final, NamedTuple

from mcp_proxy.conversation import Conversation, Reasoning
from mcp_proxy.dialects.effort import (
    ROOM_FOR_ANSWER,
    SMALLEST_BUDGET,
    answer_limit,
    asked_budget,
    asked_level,
    nearest,
)
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.strict_json import JsonObject

_OFF: Final[JsonObject] = {"type": "disabled"}


class ThinkingPlan(NamedTuple):
    """What a request says of thinking and length."""

    field: JsonObject | None
    """`thinking`; None: nothing is said."""
    effort: str | None
    """`output_config.effort`; None: nothing is said."""
    max_tokens: int
    """Counts thinking, too."""

    @property
    def is_on(self) -> bool:
        return self.field is not None and self.field is not _OFF


def plan_thinking(conversation: Conversation, model: ModelInfo) -> ThinkingPlan:
    """Decides on thinking; `max_tokens` is there always, and never above the model's own."""
    reasoning, spec = conversation.reasoning, model.thinking
    limit = answer_limit(conversation.sampling.max_tokens, model) or model.max_output
    if spec is None:
        return ThinkingPlan(None, None, limit)
    if reasoning.mode == "off":
        return ThinkingPlan(_OFF if spec.can_be_off else None, None, limit)
    effort = _effort(reasoning, spec)
    if not _is_wanted(conversation):
        return ThinkingPlan(None, effort, limit)
    if spec.levels and (spec.budgets is None or reasoning.budget is None):
        return ThinkingPlan(_adaptive(reasoning, spec), effort, limit)
    return _by_budget(conversation, model, spec, limit)


def _is_wanted(conversation: Conversation) -> bool:
    reasoning = conversation.reasoning
    if conversation.tool_choice.mode == "any":
        return False  # Claude refuses to think when a tool call is forced
    return reasoning.mode is not None or (reasoning.by_default and reasoning.effort is not None)


def _effort(reasoning: Reasoning, spec: ThinkingSpec) -> str | None:
    """The model's nearest; a budget stands for an effort where the model takes no budgets."""
    if spec.budgets is None:
        return asked_level(reasoning, spec.levels)
    return None if reasoning.effort is None else nearest(reasoning.effort, spec.levels)


def _adaptive(reasoning: Reasoning, spec: ThinkingSpec) -> JsonObject:
    if spec.budgets is not None:
        return {"type": "adaptive"}
    # The models without budgets keep their thinking to themselves unless they are asked for it.
    return {"type": "adaptive", "display": "summarized" if reasoning.visible else "omitted"}


def _by_budget(
    conversation: Conversation, model: ModelInfo, spec: ThinkingSpec, limit: int
) -> ThinkingPlan:
    """`max_tokens` has to exceed the budget.

    A client that names a budget has counted it in; for one that does not know of budgets, thinking
    comes on top of the length it asked for.
    """
    reasoning = conversation.reasoning
    budget = _budget(reasoning, spec)
    if reasoning.budget is None and conversation.sampling.max_tokens is not None:
        limit = min(limit + budget, model.max_output)
    if budget >= limit:
        budget = limit - min(ROOM_FOR_ANSWER, limit // 2)
    if budget < SMALLEST_BUDGET:
        return ThinkingPlan(None, None, limit)  # an answer this short has no room for thoughts
    return ThinkingPlan({"type": "enabled", "budget_tokens": budget}, None, limit)


def _budget(reasoning: Reasoning, spec: ThinkingSpec) -> int:
    wanted = asked_budget(reasoning, spec)
    smallest, largest = spec.budgets or (SMALLEST_BUDGET, wanted)
    return min(max(wanted, smallest, SMALLEST_BUDGET), largest)
