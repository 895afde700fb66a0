"""The catalogue against the protocol page, and what is assumed of ids that it does not have."""

import pytest

from mcp_proxy.model import Family
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS, fallback_models
from mcp_proxy.policy.models import (
    ANTIGRAVITY,
    CLASS_DEFAULTS,
    CLAUDE_BUCKET,
    FLASH_BUCKET,
    PRO_BUCKET,
    info,
)

IDS = {model.id for model in ANTIGRAVITY}


def test_ids_are_unique_and_every_default_is_among_them() -> None:
    assert len(IDS) == len(ANTIGRAVITY)
    assert IDS.issuperset(model for ids in CLASS_DEFAULTS.values() for model in ids)
    assert IDS.issuperset(DEFAULT_FALLBACKS)
    assert IDS.issuperset(model for ids in DEFAULT_FALLBACKS.values() for model in ids)


@pytest.mark.parametrize("model", ANTIGRAVITY, ids=lambda model: model.id)
def test_rows_make_sense(model: object) -> None:
    row = info(model.id)  # type: ignore[attr-defined]
    assert row is model
    assert 0 < row.max_output < row.context_window
    assert row.family is Family.of(row.id)
    spec = row.thinking
    if spec is not None:
        assert bool(spec.budgets) != bool(spec.levels)
        if spec.budgets is not None:
            low, high = spec.budgets
            assert spec.default_budget is not None
            assert 0 < low <= spec.default_budget <= high <= row.max_output


@pytest.mark.parametrize(
    ("model", "window", "output"),
    [
        ("claude-opus-4-6-thinking", 200_000, 64_000),
        ("gemini-pro-agent", 1_048_576, 65_535),
        ("gemini-3-flash", 1_048_576, 65_536),
        ("gemini-3.5-flash-low", 1_048_576, 65_535),
        ("gpt-oss-120b-medium", 114_000, 32_768),
    ],
)
def test_limits_are_those_of_the_protocol_page(model: str, window: int, output: int) -> None:
    assert (info(model).context_window, info(model).max_output) == (window, output)


@pytest.mark.parametrize(
    ("model", "bucket"),
    [
        ("claude-opus-4-6-thinking", CLAUDE_BUCKET),
        ("claude-sonnet-4-5", CLAUDE_BUCKET),
        ("gpt-oss-120b-medium", CLAUDE_BUCKET),
        ("gemini-pro-agent", PRO_BUCKET),
        ("gemini-3-pro-low", PRO_BUCKET),
        ("gemini-3.7-flash-high", FLASH_BUCKET),
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-3-pro-image", "gemini-3-pro-image"),
    ],
)
def test_models_share_quota_as_the_upstream_groups_them(model: str, bucket: str) -> None:
    assert (info(model).bucket or model) == bucket


@pytest.mark.parametrize(
    ("unknown", "family", "bucket", "thinks"),
    [
        ("claude-opus-5-thinking", Family.CLAUDE, CLAUDE_BUCKET, True),
        ("gemini-4-pro-high", Family.GEMINI, PRO_BUCKET, True),
        ("gemini-3.9-flash-low", Family.GEMINI, FLASH_BUCKET, True),
        ("gemini-2.0-flash-exp", Family.GEMINI, None, True),
        ("gemini-4-flash-lite", Family.GEMINI, None, True),
        ("gpt-7", Family.GPT, None, False),
        ("llama", Family.OTHER, None, False),
    ],
)
def test_unknown_ids_get_what_is_usual_in_their_family(
    unknown: str, family: Family, bucket: str | None, thinks: bool
) -> None:
    row = info(unknown)
    assert (row.id, row.family, row.bucket) == (unknown, family, bucket)
    assert (row.thinking is not None) is thinks


def test_unknown_image_models_make_images_and_are_no_pro_models() -> None:
    assert info("gemini-4-pro-image").makes_images
    assert info("gemini-4-pro-image").bucket is None


def test_older_pairs_of_fallbacks_are_mutual_and_cross_the_family() -> None:
    for model, stand_ins in DEFAULT_FALLBACKS.items():
        assert all(info(other).family is not info(model).family for other in stand_ins)
    assert DEFAULT_FALLBACKS["gemini-3-pro-high"] == ("claude-opus-4-5-thinking",)
    assert DEFAULT_FALLBACKS["claude-opus-4-5-thinking"] == ("gemini-3-pro-high",)


def test_stand_ins_come_in_order_each_once_without_the_model_itself() -> None:
    table = {"a": ["b", "a", "c", "b"], "b": ["d"]}
    assert list(fallback_models("a", table, frozenset())) == ["b", "c"]
    assert list(fallback_models("a", table, frozenset({"b"}))) == ["c"]
    assert list(fallback_models("d", table, frozenset())) == []
