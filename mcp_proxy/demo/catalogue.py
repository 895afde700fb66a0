"""The models this upstream serves and the rules each has for thinking, tokens and quota.

Kept apart from the proxy's own catalogue on purpose: the two agree because the protocol page says
the same to both, and a mistake in one is found by the other. Source: cloudcode.md 8.1, 8.2, 6.8.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whose rules a model's requests are checked by."""

    CLAUDE = "claude"
    GEMINI_3 = "gemini-3"
    GEMINI_2 = "gemini-2.5"
    GPT = "gpt"


@dataclass(frozen=True, slots=True)
class DemoModel:
    id: str
    name: str
    kind: Kind
    bucket: str
    """Models of one bucket use up the same quota."""
    window: int = 1_048_576
    max_output: int = 65_536
    budgets: tuple[int, int] | None = None
    """Smallest and largest thinking budget; None: the model does not think."""
    levels: tuple[str, ...] = ()
    image: bool = False
    hidden: bool = False
    """Internal: listed by fetchAvailableModels, not meant for anybody."""

    @property
    def is_gemini(self) -> bool:
        return self.kind in (Kind.GEMINI_3, Kind.GEMINI_2)

    @property
    def family(self) -> str:
        """Signatures are understood within a family."""
        return "gemini" if self.is_gemini else self.kind.value


_PRO = ("low", "medium", "high")
_FLASH = ("minimal", "low", "medium", "high")


def _claude(model: str, name: str, *, thinks: bool = True) -> DemoModel:
    budgets = (1024, 64_000) if thinks else None
    return DemoModel(model, name, Kind.CLAUDE, "claude", 200_000, 64_000, budgets)


def _pro(model: str, name: str) -> DemoModel:
    return DemoModel(model, name, Kind.GEMINI_3, "gemini-pro", 1_048_576, 65_535, (1, 65_535), _PRO)


def _flash(model: str, name: str, max_output: int = 65_536) -> DemoModel:
    return DemoModel(
        model, name, Kind.GEMINI_3, "gemini-flash", 1_048_576, max_output, (1, 65_535), _FLASH
    )


def _image(model: str, name: str) -> DemoModel:
    return DemoModel(model, name, Kind.GEMINI_3, "gemini-image", 65_536, 32_768, image=True)


def _older(model: str, name: str, *, budgets: tuple[int, int] | None = (1, 24_576)) -> DemoModel:
    return DemoModel(model, name, Kind.GEMINI_2, model, 1_048_576, 65_535, budgets)


def _internal(model: str) -> DemoModel:
    return DemoModel(model, model, Kind.GEMINI_2, "internal", hidden=True)


MODELS = {
    model.id: model
    for model in (
        _claude("claude-opus-4-6-thinking", "Claude Opus 4.6 (Thinking)"),
        _claude("claude-sonnet-4-6", "Claude Sonnet 4.6 (Thinking)"),
        _claude("claude-opus-4-5-thinking", "Claude Opus 4.5 (Thinking)"),
        _claude("claude-sonnet-4-5-thinking", "Claude Sonnet 4.5 (Thinking)"),
        _claude("claude-sonnet-4-5", "Claude Sonnet 4.5", thinks=False),
        _pro("gemini-pro-agent", "Gemini 3.1 Pro (High)"),
        _pro("gemini-3.1-pro-high", "Gemini 3.1 Pro (High)"),
        _pro("gemini-3.1-pro-low", "Gemini 3.1 Pro (Low)"),
        _pro("gemini-3-pro-high", "Gemini 3 Pro (High)"),
        _pro("gemini-3-pro-low", "Gemini 3 Pro (Low)"),
        _flash("gemini-3.7-flash-high", "Gemini 3.7 Flash"),
        _flash("gemini-3.6-flash-high", "Gemini 3.6 Flash"),
        _flash("gemini-3-flash-agent", "Gemini 3.5 Flash (High)"),
        _flash("gemini-3.5-flash-low", "Gemini 3.5 Flash (Medium)", 65_535),
        _flash("gemini-3.5-flash-extra-low", "Gemini 3.5 Flash (Low)", 65_535),
        _flash("gemini-3-flash", "Gemini 3 Flash"),
        _flash("gemini-3.1-flash-lite", "Gemini 3.1 Flash Lite", 65_535),
        _image("gemini-3.1-flash-image", "Gemini 3.1 Flash Image"),
        _image("gemini-3-pro-image", "Gemini 3 Pro Image"),
        _older("gemini-2.5-pro", "Gemini 2.5 Pro", budgets=(128, 32_768)),
        _older("gemini-2.5-flash", "Gemini 2.5 Flash"),
        _older("gemini-2.5-flash-thinking", "Gemini 2.5 Flash (Thinking)"),
        _older("gemini-2.5-flash-lite", "Gemini 2.5 Flash Lite"),
        DemoModel(
            "gpt-oss-120b-medium", "GPT-OSS 120B (Medium)", Kind.GPT, "claude", 114_000, 32_768
        ),
        _internal("chat_20706"),
        _internal("chat_23310"),
        _internal("tab_flash_lite_preview"),
        _internal("tab_jump_flash_lite_preview"),
    )
}

WEB_SEARCH_MODELS = ("gemini-3-flash", "gemini-2.5-flash")
