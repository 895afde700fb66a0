"""Efforts and budgets of thinking: how strong each is, and what of them a model takes.

The tables are those of providers.md 9.
"""

from typing import Final

BUDGETS: Final = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 128_000,
}
"""Effort -> tokens, before they are clamped to the model's range."""

_STRENGTH: Final = {effort: strength for strength, effort in enumerate(("none", *BUDGETS))}

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
