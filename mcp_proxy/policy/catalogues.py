"""Model ids of the providers beside Antigravity: seeds until an account's own list has been read.

A live list always wins (providers.md, preamble); this table supplies limits and ways of thinking,
which most lists lack. Sources: providers.md 1, 4, 5, 6, 7.5, 8.5.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from mcp_proxy.model import Family, ModelInfo, ThinkingSpec

_EFFORTS: Final = ("low", "medium", "high")
_BUDGETED: Final = ThinkingSpec(budgets=(1024, 63_999), default_budget=16_000)
_BOTH: Final = ThinkingSpec(
    budgets=(1024, 63_999), levels=(*_EFFORTS, "max"), default_budget=16_000
)
_ADAPTIVE: Final = ThinkingSpec(levels=(*_EFFORTS, "xhigh", "max"))
"""Refuses budgets: thinks as much as it sees fit, guided by an effort (providers.md 6)."""

_GPT_5: Final = ThinkingSpec(levels=("minimal", *_EFFORTS), can_be_off=False)
_GPT_NEWER: Final = ThinkingSpec(levels=("none", *_EFFORTS, "xhigh"))
_O_SERIES: Final = ThinkingSpec(levels=_EFFORTS, can_be_off=False)

_GEMINI_PRO_3: Final = ThinkingSpec(levels=("low", "high"), can_be_off=False)
_GEMINI_FLASH_3: Final = ThinkingSpec(levels=("minimal", *_EFFORTS), can_be_off=False)
_GEMINI_PRO_25: Final = ThinkingSpec(budgets=(128, 32_768), default_budget=16_000, can_be_off=False)
_GEMINI_FLASH_25: Final = ThinkingSpec(budgets=(1, 24_576), default_budget=16_000)

_GLM: Final = ThinkingSpec(budgets=(1024, 32_000), default_budget=16_000)

_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d)(?!\d))?")
_GPT_VERSION = re.compile(r"gpt-(\d)(?:\.(\d))?")
_GEMINI_VERSION = re.compile(r"gemini-(\d)")


def derived(model_id: str, issuer: str = "") -> ModelInfo:
    """What is usual for an id of this name."""
    made = _DERIVED[Family.of(model_id)](model_id)
    return replace(made, issuer=issuer) if issuer else made


def _claude(model_id: str) -> ModelInfo:
    found = _CLAUDE_VERSION.search(model_id.lower())
    version = (int(found[1]), int(found[2] or 0)) if found else (4, 5)
    thinking: ThinkingSpec | None = _ADAPTIVE
    if version < (3, 7) or "claude-3-5" in model_id or "claude-3-haiku" in model_id:
        thinking = None
    elif version < (4, 6):
        thinking = _BUDGETED
    elif version == (4, 6):
        thinking = _BOTH
    max_output = 64_000 if version >= (4, 0) else 8_192
    return ModelInfo(model_id, Family.CLAUDE, model_id, 200_000, max_output, thinking)


def _gpt(model_id: str) -> ModelInfo:
    lower = model_id.lower()
    found = _GPT_VERSION.search(lower)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    thinking: ThinkingSpec | None = None
    if version >= (5, 1):
        thinking = _GPT_NEWER
    elif version >= (5, 0):
        thinking = _GPT_5
    elif re.match(r"o\d", lower) or "codex" in lower or "gpt-oss" in lower:
        thinking = _O_SERIES
    if thinking is None:
        return ModelInfo(
            model_id, Family.GPT, model_id, 128_000, 16_384, makes_images="image" in lower
        )
    return ModelInfo(model_id, Family.GPT, model_id, 272_000, 128_000, thinking)


def _gemini(model_id: str) -> ModelInfo:
    lower = model_id.lower()
    if "image" in lower:
        return ModelInfo(model_id, Family.GEMINI, model_id, 65_536, 32_768, makes_images=True)
    found = _GEMINI_VERSION.search(lower)
    is_flash = "flash" in lower
    if found is not None and int(found[1]) < 2:
        thinking = None
    elif found is not None and int(found[1]) < 3:
        thinking = _GEMINI_FLASH_25 if is_flash else _GEMINI_PRO_25
    else:
        thinking = _GEMINI_FLASH_3 if is_flash else _GEMINI_PRO_3
    return ModelInfo(model_id, Family.GEMINI, model_id, 1_048_576, 65_536, thinking)


def _other(model_id: str) -> ModelInfo:
    thinking = _GLM if model_id.lower().startswith("glm-") else None
    return ModelInfo(model_id, Family.OTHER, model_id, 128_000, 32_768, thinking)


_DERIVED = {
    Family.CLAUDE: _claude,
    Family.GPT: _gpt,
    Family.GEMINI: _gemini,
    Family.OTHER: _other,
}


def _rows(*model_ids: str, issuer: str = "") -> tuple[ModelInfo, ...]:
    return tuple(derived(model_id, issuer) for model_id in model_ids)


def _speaking(dialect: str, models: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    return tuple(replace(model, dialects=(dialect,)) for model in models)


_CLAUDE_IDS = (
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
)
_GEMINI_IDS = (
    "gemini-3.1-pro-preview",
    "gemini-3-pro-preview",
    "gemini-3.7-flash",
    "gemini-3.6-flash",
    "gemini-3.5-flash",
    "gemini-3-flash-preview",
    "gemini-3.5-flash-lite",
    "gemini-3.1-flash-lite-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-flash-image",
)

COPILOT_ISSUER: Final = "copilot"
"""Its signatures are good only there (providers.md 8.5)."""

PREMIUM: Final = "premium"
"""Bucket of the models that cost premium requests of a Copilot subscription (8.7)."""
_FREE_OF_PREMIUM: Final = frozenset({"gpt-4.1", "gpt-4o", "gpt-5-mini"})


def _premium(models: tuple[ModelInfo, ...]) -> tuple[ModelInfo, ...]:
    """Until an account's own list has said which of them cost none."""
    return tuple(
        model if model.id in _FREE_OF_PREMIUM else replace(model, bucket=PREMIUM)
        for model in models
    )


CATALOGUES: Final[Mapping[str, tuple[ModelInfo, ...]]] = {
    "zai": _rows("glm-5.2", "glm-5.1", "glm-5-turbo", "glm-5", "glm-4.7", "glm-4.6", "glm-4.5-air"),
    "anthropic": _rows(
        *_CLAUDE_IDS,
        "claude-opus-4-5-20251101",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5-20251001",
    ),
    "openai": _rows(
        "gpt-5.5",
        "gpt-5.4",
        "gpt-5.4-mini",
        "gpt-5",
        "gpt-5-mini",
        "o4-mini",
        "o3",
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-image-1",
    ),
    "openai-compatible": (),
    "gemini": _rows(*_GEMINI_IDS),
    "vertex": _speaking("gemini", _rows(*_GEMINI_IDS))
    + _speaking(
        "anthropic",
        _rows(
            *_CLAUDE_IDS[5:],
            "claude-opus-4-5@20251101",
            "claude-sonnet-4-5@20250929",
            "claude-haiku-4-5@20251001",
        ),
    ),
    "codex": _rows(
        "gpt-5.6-sol",
        "gpt-5.6-terra",
        "gpt-5.6-luna",
        "gpt-5.5",
        "gpt-5.4",
        "gpt-5.4-mini",
        "gpt-5.3-codex-spark",
    ),
    "copilot": _premium(
        _speaking(
            "anthropic",
            _rows(
                "claude-opus-4.7",
                "claude-sonnet-4.6",
                "claude-haiku-4.5",
                issuer=COPILOT_ISSUER,
            ),
        )
        + _speaking("openai_responses", _rows("gpt-5.4", "gpt-5-mini", issuer=COPILOT_ISSUER))
        + _speaking(
            "openai_chat",
            _rows(
                "gpt-4.1",
                "gpt-4o",
                "gemini-3.1-pro-preview",
                "gemini-3-flash-preview",
                "grok-code-fast-1",
                issuer=COPILOT_ISSUER,
            ),
        )
    ),
}
"""By provider name."""

COMPATIBLE_ISSUER: Final = "openai-compatible"
"""What a server gives there to be returned is its own form, whoever made the model behind it."""

ISSUERS: Final[Mapping[str, str]] = {
    "copilot": COPILOT_ISSUER,
    "openai-compatible": COMPATIBLE_ISSUER,
}
"""Providers whose seals are their own."""
