"""The model catalogue: limits, thinking and quota bucket of each id, and ids for class names.

Knows nothing of accounts. The list of what can be asked for comes from the upstreams; this table
only supplies their limits, and stands in for the list until it has been read. A new model is a row.
Sources: cloudcode.md 8.1 and 8.2 (ids, limits), 3.7 (thinking), 6.8 (shared buckets).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from mcp_proxy.model import Family, ModelInfo, ThinkingSpec
from mcp_proxy.policy import catalogues

CLAUDE_BUCKET: Final = "claude"
"""Shared by every Claude model and GPT-OSS."""
PRO_BUCKET: Final = "gemini-3-pro"
FLASH_BUCKET: Final = "gemini-3-flash"

_ALL_LEVELS = ("minimal", "low", "medium", "high")

_CLAUDE_THINKING = ThinkingSpec(budgets=(1024, 64_000), default_budget=32_000)

# Gemini 3 takes a budget as well, but never both in one request; levels are its own measure.
_PRO_3 = ThinkingSpec(levels=("low", "high"), can_be_off=False)
_PRO_31 = ThinkingSpec(levels=("low", "medium", "high"), can_be_off=False)
_FLASH_3 = ThinkingSpec(levels=_ALL_LEVELS, can_be_off=False)
_FLASH_35 = ThinkingSpec(levels=("low", "medium", "high"), can_be_off=False)
_FLASH_LITE_3 = ThinkingSpec(levels=_ALL_LEVELS)
_IMAGE_31 = ThinkingSpec(levels=("minimal", "high"), can_be_off=False)

# "supported values are integers from 1 to 24576" is the upstream's own text.
_PRO_25 = ThinkingSpec(budgets=(128, 24_576), default_budget=16_000, can_be_off=False)
_FLASH_25 = ThinkingSpec(budgets=(1, 24_576), default_budget=16_000)
_FLASH_LITE_25 = ThinkingSpec(budgets=(512, 24_576), default_budget=16_000)


def _claude(
    model_id: str, name: str, thinking: ThinkingSpec | None = _CLAUDE_THINKING
) -> ModelInfo:
    return ModelInfo(model_id, Family.CLAUDE, name, 200_000, 64_000, thinking, bucket=CLAUDE_BUCKET)


def _gemini(
    model_id: str,
    name: str,
    thinking: ThinkingSpec | None,
    bucket: str | None = None,
    *,
    max_output: int = 65_536,
) -> ModelInfo:
    return ModelInfo(model_id, Family.GEMINI, name, 1_048_576, max_output, thinking, bucket=bucket)


def _image(model_id: str, name: str, thinking: ThinkingSpec | None = None) -> ModelInfo:
    return ModelInfo(model_id, Family.GEMINI, name, 65_536, 32_768, thinking, makes_images=True)


# A bucket that is too narrow costs one more 429; one that is too wide locks out models that would
# have answered. Where no source groups a model (2.5, lite, image), it has a bucket of its own.
ANTIGRAVITY: Final[tuple[ModelInfo, ...]] = (
    _claude("claude-opus-4-6-thinking", "Claude Opus 4.6 (Thinking)"),
    _claude("claude-sonnet-4-6", "Claude Sonnet 4.6 (Thinking)"),
    _claude("claude-opus-4-5-thinking", "Claude Opus 4.5 (Thinking)"),
    _claude("claude-sonnet-4-5-thinking", "Claude Sonnet 4.5 (Thinking)"),
    _claude("claude-sonnet-4-5", "Claude Sonnet 4.5", None),
    _gemini("gemini-pro-agent", "Gemini 3.1 Pro (High)", _PRO_31, PRO_BUCKET, max_output=65_535),
    _gemini("gemini-3.1-pro-high", "Gemini 3.1 Pro (High)", _PRO_31, PRO_BUCKET, max_output=65_535),
    _gemini("gemini-3.1-pro-low", "Gemini 3.1 Pro (Low)", _PRO_31, PRO_BUCKET, max_output=65_535),
    _gemini("gemini-3-pro-high", "Gemini 3 Pro (High)", _PRO_3, PRO_BUCKET, max_output=65_535),
    _gemini("gemini-3-pro-low", "Gemini 3 Pro (Low)", _PRO_3, PRO_BUCKET, max_output=65_535),
    _gemini("gemini-3.7-flash-high", "Gemini 3.7 Flash", _FLASH_3, FLASH_BUCKET),
    _gemini("gemini-3.6-flash-high", "Gemini 3.6 Flash", _FLASH_3, FLASH_BUCKET),
    _gemini("gemini-3-flash-agent", "Gemini 3.5 Flash (High)", _FLASH_3, FLASH_BUCKET),
    _gemini(
        "gemini-3.5-flash-low",
        "Gemini 3.5 Flash (Medium)",
        _FLASH_35,
        FLASH_BUCKET,
        max_output=65_535,
    ),
    _gemini(
        "gemini-3.5-flash-extra-low",
        "Gemini 3.5 Flash (Low)",
        _FLASH_35,
        FLASH_BUCKET,
        max_output=65_535,
    ),
    _gemini("gemini-3-flash", "Gemini 3 Flash", _FLASH_3, FLASH_BUCKET),
    _gemini("gemini-3.1-flash-lite", "Gemini 3.1 Flash Lite", _FLASH_LITE_3, max_output=65_535),
    _gemini("gemini-2.5-pro", "Gemini 2.5 Pro", _PRO_25, max_output=65_535),
    _gemini("gemini-2.5-flash", "Gemini 2.5 Flash", _FLASH_25, max_output=65_535),
    _gemini(
        "gemini-2.5-flash-thinking", "Gemini 2.5 Flash (Thinking)", _FLASH_25, max_output=65_535
    ),
    _gemini("gemini-2.5-flash-lite", "Gemini 2.5 Flash Lite", _FLASH_LITE_25, max_output=65_535),
    _image("gemini-3.1-flash-image", "Gemini 3.1 Flash Image", _IMAGE_31),
    _image("gemini-3-pro-image", "Gemini 3 Pro Image"),
    ModelInfo(
        "gpt-oss-120b-medium",
        Family.GPT,
        "GPT-OSS 120B (Medium)",
        114_000,
        32_768,
        takes_images=False,
        bucket=CLAUDE_BUCKET,
    ),
)

CATALOGUES: Final[Mapping[str, tuple[ModelInfo, ...]]] = {
    "antigravity": ANTIGRAVITY,
    **catalogues.CATALOGUES,
}
"""By provider name."""

CLASS_DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "opus": ("claude-opus-4-6-thinking", "claude-opus-4-5-thinking"),
    "sonnet": ("claude-sonnet-4-6", "claude-sonnet-4-5-thinking", "claude-sonnet-4-5"),
    # No Claude Haiku is served upstream; these are its equals in speed and price.
    "haiku": (
        "gemini-3-flash",
        "gemini-3.5-flash-low",
        "gemini-3-flash-agent",
        "gemini-3.1-flash-lite",
        "gemini-2.5-flash",
    ),
}
"""Class name -> ids in order of preference, among those of one version and after all of the class
itself."""

GEMINI_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "flash-lite": ("gemini-3.1-flash-lite", "gemini-3.5-flash-lite", "gemini-2.5-flash-lite"),
    "flash": ("gemini-3-flash", "gemini-3-flash-preview", "gemini-3.5-flash-low"),
    "pro": ("gemini-3.1-pro-low", "gemini-3.1-pro-preview", "gemini-3-pro-low", "gemini-2.5-pro"),
}
"""Kind of Gemini model -> ids in order of preference, for names that nobody serves.

Gemini CLI asks for models by names of its own, newer than any list, whatever its user chose
(client-apis.md 4.7)."""

_CATALOGUED = {
    provider: {model.id: model for model in models} for provider, models in CATALOGUES.items()
}

_VERSION = re.compile(r"gemini-(\d+)")


def catalogue(provider: str) -> tuple[ModelInfo, ...]:
    """The rows of one provider; none for one that has no list of its own."""
    return CATALOGUES.get(provider, ())


@lru_cache(maxsize=4096)
def info(model_id: str, provider: str = "antigravity") -> ModelInfo:
    """The catalogue's row, or for an id it does not have the limits usual in the family."""
    known = _CATALOGUED.get(provider, {}).get(model_id)
    if known is not None:
        return known
    if provider == "antigravity":
        return _derived(model_id)
    return catalogues.derived(model_id, catalogues.ISSUERS.get(provider, ""))


def _derived(model_id: str) -> ModelInfo:
    family = Family.of(model_id)
    if family is Family.CLAUDE:
        return _claude(model_id, model_id)
    if family is Family.GEMINI:
        return _derived_gemini(model_id)
    return ModelInfo(model_id, family, model_id, 128_000, 32_768)


def _derived_gemini(model_id: str) -> ModelInfo:
    if "image" in model_id:
        return _image(model_id, model_id)
    found = _VERSION.match(model_id)
    flash = "flash" in model_id
    if found is not None and int(found[1]) < 3:
        return _gemini(model_id, model_id, _FLASH_25 if flash else _PRO_25)
    if "lite" in model_id:
        return _gemini(model_id, model_id, _FLASH_LITE_3)
    pattern = info("gemini-3-flash" if flash else "gemini-3.1-pro-low")
    return replace(pattern, id=model_id, display_name=model_id)
