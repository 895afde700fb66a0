"""Efforts and budgets of thinking: how strong each is, what of them a model takes, and how much
room is left beside it.

The tables are those of providers.md 9.
"""

from collections.abc import Callable
from typing import Final, get_args

from mcp_proxy.conversation import Effort, Reasoning, Sampling
from mcp_proxy.model import ModelInfo, ThinkingSpec

EFFORTS: Final[tuple[Effort, ...]] = get_args(Effort)
LEVELS: Final = ("none", *EFFORTS)
"""Weakest first."""

ROOM_FOR_ANSWER: Final = 8192
"""Tokens that an answer gets beside its thinking when the client's own limit leaves less."""

LEAST_TOP_P: Final = 0.95
"""That Claude accepts together with thinking (providers.md 6)."""

SMALL_ANSWER: Final = 2048
"""A limit below this is spent on thoughts alone unless those are kept short: it counts both."""

BUDGETS: Final[dict[Effort, int]] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 128_000,
}
"""Effort -> tokens, before they are clamped to the model's range."""

SMALLEST_BUDGET: Final = 1024
"""Tokens; Anthropic and its kin refuse a smaller budget (providers.md 6)."""

_STRENGTH: Final = {level: strength for strength, level in enumerate(LEVELS)}

_UP_TO: Final = ((512, "minimal"), (1024, "low"), (8192, "medium"), (24_576, "high"))


def nearest(effort: str, levels: tuple[str, ...]) -> str | None:
    """The weakest of the model's levels that is at least as strong, else its strongest.

    Never one that means not to think. None: the model has no level that is known here.
    """
    known = [level for level in levels if level != "none" and level in _STRENGTH]
    if not known:
        return None
    wanted = _STRENGTH[effort]
    return next((level for level in known if _STRENGTH[level] >= wanted), known[-1])


def effort_of(budget: int) -> str:
    """The effort that a budget of so many tokens amounts to."""
    return next((effort for most, effort in _UP_TO if budget <= most), "xhigh")


def asked_level(
    reasoning: Reasoning, levels: tuple[str, ...], effort_of: Callable[[int], str] = effort_of
) -> str | None:
    """The model's level for the effort or the budget that the client names; None: it names none."""
    if reasoning.effort is not None:
        return nearest(reasoning.effort, levels)
    if reasoning.budget is not None:
        return nearest(effort_of(reasoning.budget), levels)
    return None


def asked_budget(reasoning: Reasoning, spec: ThinkingSpec) -> int:
    """The budget or the effort that the client names, in tokens; else what is usual."""
    if reasoning.budget is not None:
        return reasoning.budget
    if reasoning.effort is not None:
        return BUDGETS[reasoning.effort]
    return spec.default_budget or BUDGETS["high"]


def answer_limit(wanted: int | None, model: ModelInfo) -> int | None:
    """The client's limit as upstreams take it; None: it has none.

    0 is legal for clients ("only warm the cache") and for no upstream.
    """
    return None if wanted is None else min(max(wanted, 1), model.max_output)


def top_p_beside_thinking(sampling: Sampling) -> float | None:
    """What is left of `top_p` where Claude thinks; it takes neither temperature nor `top_k`."""
    top_p = sampling.top_p
    return top_p if top_p and top_p >= LEAST_TOP_P else None
