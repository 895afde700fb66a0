"""The models of every place, and the rules each has for thinking.

Apart from the proxy's own catalogue on purpose, as demo/catalogue.py is. Source: providers.md 1-8.
"""

from collections.abc import Iterable, Mapping

from mcp_proxy.demo.catalogue import DemoModel, Kind

_EFFORTS = ("low", "medium", "high")
_MORE_EFFORTS = (*_EFFORTS, "xhigh", "max")

Models = Mapping[str, DemoModel]


def _by_id(models: Iterable[DemoModel]) -> Models:
    return {model.id: model for model in models}


def _claude(model: str, *, budgets: bool, efforts: bool) -> DemoModel:
    return DemoModel(
        id=model,
        name=model.replace("-", " ").title(),
        kind=Kind.CLAUDE,
        bucket="claude",
        window=200_000,
        max_output=64_000,
        budgets=(1024, 63_999) if budgets else None,
        levels=_MORE_EFFORTS if efforts else (),
    )


def _gpt(model: str, levels: tuple[str, ...] = (), *, image: bool = False) -> DemoModel:
    if levels:
        return DemoModel(model, model, Kind.GPT, model, 272_000, 128_000, levels=levels)
    return DemoModel(model, model, Kind.GPT, model, 128_000, 16_384, image=image)


def _gemini_3(model: str, levels: tuple[str, ...]) -> DemoModel:
    budgets = (1, 65_535)
    return DemoModel(
        model, model, Kind.GEMINI_3, model, 1_048_576, 65_536, budgets=budgets, levels=levels
    )


def _gemini_2(model: str, budgets: tuple[int, int]) -> DemoModel:
    return DemoModel(model, model, Kind.GEMINI_2, model, 1_048_576, 65_536, budgets=budgets)


def _open(model: str) -> DemoModel:
    return DemoModel(model, model, Kind.GPT, model, 128_000, 32_768, levels=("none", *_EFFORTS))


_GPT_5 = ("minimal", *_EFFORTS)
_GPT_NEWER = ("none", *_EFFORTS, "xhigh")

_CLAUDE = (
    _claude("claude-opus-5-5", budgets=False, efforts=True),
    _claude("claude-sonnet-5-5", budgets=False, efforts=True),
    _claude("claude-haiku-5-5", budgets=False, efforts=True),
    _claude("claude-opus-4-6", budgets=True, efforts=True),
    _claude("claude-sonnet-4-6", budgets=True, efforts=True),
)

ANTHROPIC = _by_id(
    (
        *_CLAUDE,
        _claude("claude-opus-4-5-20251101", budgets=True, efforts=False),
        _claude("claude-sonnet-4-5-20250929", budgets=True, efforts=False),
        _claude("claude-haiku-4-5-20251001", budgets=True, efforts=False),
    )
)

VERTEX_CLAUDE = _by_id(
    (
        *_CLAUDE[3:],
        _claude("claude-opus-4-5@20251101", budgets=True, efforts=False),
        _claude("claude-sonnet-4-5@20250929", budgets=True, efforts=False),
        _claude("claude-haiku-4-5@20251001", budgets=True, efforts=False),
    )
)

ZAI = _by_id(
    DemoModel(model, model.upper(), Kind.GPT, "glm", 200_000, 128_000, budgets=(1024, 32_000))
    for model in ("glm-5.2", "glm-5.1", "glm-5", "glm-4.7", "glm-4.6", "glm-4.5-air")
)

OPENAI = _by_id(
    (
        *(_gpt(model, _GPT_NEWER) for model in ("gpt-5.5", "gpt-5.4", "gpt-5.4-mini")),
        *(_gpt(model, _GPT_5) for model in ("gpt-5", "gpt-5-mini")),
        *(_gpt(model, _EFFORTS) for model in ("o3", "o4-mini")),
        *(_gpt(model) for model in ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini")),
        _gpt("gpt-image-1", image=True),
    )
)

COMPATIBLE = _by_id(map(_open, ("gpt-oss:20b", "qwen3:8b", "llama3.2:3b")))

GEMINI = _by_id(
    (
        *(_gemini_3(m, ("low", "high")) for m in ("gemini-3-pro-preview",)),
        *(_gemini_3(m, _EFFORTS) for m in ("gemini-3.1-pro-preview",)),
        *(
            _gemini_3(m, ("minimal", *_EFFORTS))
            for m in (
                "gemini-3.7-flash",
                "gemini-3.6-flash",
                "gemini-3.5-flash",
                "gemini-3-flash-preview",
                "gemini-3.5-flash-lite",
                "gemini-3.1-flash-lite-preview",
            )
        ),
        _gemini_2("gemini-2.5-pro", (128, 32_768)),
        _gemini_2("gemini-2.5-flash", (1, 24_576)),
        _gemini_2("gemini-2.5-flash-lite", (512, 24_576)),
        DemoModel(
            "gemini-2.5-flash-image",
            "Gemini 2.5 Flash Image",
            Kind.GEMINI_2,
            "image",
            65_536,
            32_768,
            image=True,
        ),
    )
)

CODEX = _by_id(
    (
        *(
            _gpt(model, ("none", *_MORE_EFFORTS))
            for model in ("gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna")
        ),
        *(
            _gpt(model, _GPT_NEWER)
            for model in ("gpt-5.5", "gpt-5.4", "gpt-5.4-mini", "gpt-5.3-codex-spark")
        ),
    )
)

COPILOT_MESSAGES = _by_id(
    _claude(model, budgets=True, efforts=True)
    for model in ("claude-opus-4.7", "claude-sonnet-4.6", "claude-haiku-4.5")
)
COPILOT_RESPONSES = _by_id(_gpt(model, _GPT_NEWER) for model in ("gpt-5.4", "gpt-5-mini"))
COPILOT_CHAT = _by_id(
    (
        *(_gpt(model) for model in ("gpt-4.1", "gpt-4o", "grok-code-fast-1")),
        *(_open(model) for model in ("gemini-3.1-pro-preview", "gemini-3-flash-preview")),
    )
)
