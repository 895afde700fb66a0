"""Estimates: what a prompt weighs, and how near the truth a model's ratio comes by watching."""

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playbook import FLASH, OPUS

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    OutputFormat,
    Part,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects import client_dialect
from mcp_proxy.dialects.gemini.request import render_request
from mcp_proxy.policy.estimate import (
    ANSWER_UNITS,
    FRAME_TOKENS,
    FULL_WEIGHT_UNITS,
    IMAGE_UNITS,
    MESSAGE_UNITS,
    PAGE_UNITS,
    PART_UNITS,
    PROMPT_UNITS,
    SECOND_UNITS,
    SHORT_UNITS,
    TOOL_UNITS,
    Calibration,
    quick_units,
    raw_units,
)
from mcp_proxy.policy.models import info

RECORDINGS = Path(__file__).parent.parent / "recordings"
DIALECTS = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai_chat"}


def said(*parts: Part, tools: tuple[Tool, ...] = (), system: str = "") -> Conversation:
    return Conversation(
        "anthropic",
        OPUS,
        (Message("user", parts),),
        system=(Text(system),) if system else (),
        tools=tools,
    )


FRAME = PROMPT_UNITS + MESSAGE_UNITS
ONE_PIXEL = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("part", "units"),
    [
        (Text("four"), 4 + PART_UNITS),
        (Text("für"), 4 + PART_UNITS),
        (Text("一二三"), 9 + PART_UNITS),
        (Thinking("four", Seal("claude", "x" * 900)), 4 + PART_UNITS),
        (ToolCall("id", "run", '{"a":1}'), 7 + 3 + PART_UNITS + TOOL_UNITS),
        (ToolResult("id", (Text("four"), Text("ab"))), 6 + 2 * PART_UNITS),
        (Media("image/png", ONE_PIXEL), IMAGE_UNITS),
        (Media("application/pdf", "A" * 200_000), 3 * PAGE_UNITS),
        (Media("audio/wav", ONE_PIXEL), SECOND_UNITS),
        (Verbatim("anthropic", {"a": 1}), 7 + PART_UNITS),
    ],
)
def test_what_a_part_weighs(part: Part, units: int) -> None:
    assert raw_units(said(part)) == FRAME + units


def test_system_and_tools_are_weighed() -> None:
    tool = Tool("run", "Runs.", {"type": "object"})
    found = raw_units(said(tools=(tool,), system="four"))
    assert found == FRAME + 4 + PART_UNITS + TOOL_UNITS + 8 + len('{"type":"object"}')


ANSWER = OutputFormat({"type": "object", "properties": {"a": {"type": "string"}}})


def test_the_schema_of_the_answer_is_weighed() -> None:
    plain = said(Text("four"))
    shaped = replace(plain, output=ANSWER)
    schema = len(orjson.dumps(ANSWER.schema))
    assert raw_units(shaped) == raw_units(plain) + ANSWER_UNITS + schema
    assert quick_units(shaped, 500) == raw_units(shaped)
    assert raw_units(replace(plain, output=OutputFormat())) == raw_units(plain) + ANSWER_UNITS


def recorded() -> Iterator[tuple[Conversation, int]]:
    """Every recorded conversation, with the length of its body."""
    for file in sorted(RECORDINGS.glob("*.json")):
        for call in json.loads(file.read_text(encoding="utf-8")):
            dialect, body = DIALECTS.get(call["path"]), call["body"]
            if dialect and isinstance(body, dict) and body.get("messages"):
                found = client_dialect(dialect).parse_request(body, call["headers"])
                yield found, len(orjson.dumps(body))


def test_the_quick_measure_is_within_three_percent_on_recorded_requests() -> None:
    large = [(one, length) for one, length in recorded() if length > FULL_WEIGHT_UNITS]
    ratios = [quick_units(one, length) / raw_units(one) for one, length in large]
    assert len(ratios) > 40
    assert 0.97 <= min(ratios) <= max(ratios) <= 1.03


PICTURE_TOKENS = 1_500
TOKENIZERS: dict[str, Callable[[str], float]] = {
    "characters": lambda text: len(text) / 4,
    "words": lambda text: len(re.findall(r'\w{1,6}|[^\w\s"]', text)),
    "bytes": lambda text: len(text.encode()) / 3.5,
}
"""Of the JSON that an upstream gets, brackets and all: the more frame, the shorter the prompt."""


def truth(conversation: Conversation, model: str, tokenizer: str) -> int:
    """Tokens of what really goes to the upstream, by an upstream that counts like this."""
    sent = orjson.loads(orjson.dumps(render_request(conversation, info(model))))
    pictures = [
        part.pop("inlineData")
        for content in sent["contents"]
        for outer in content["parts"]
        for part in (outer, *outer.get("functionResponse", {}).get("parts", ()))
        if "inlineData" in part
    ]
    told = [sent[key] for key in ("contents", "systemInstruction", "tools") if key in sent]
    text = json.dumps(told, ensure_ascii=False)
    return math.ceil(TOKENIZERS[tokenizer](text)) + PICTURE_TOKENS * len(pictures)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("model", [OPUS, FLASH])
def test_no_recorded_prompt_is_a_tenth_too_low_after_large_ones_have_taught(
    model: str, tokenizer: str
) -> None:
    cases = [(raw_units(one), truth(one, model, tokenizer)) for one, _ in recorded()]
    calibration = Calibration()
    for units, tokens in cases:
        if units > FULL_WEIGHT_UNITS:
            calibration.observe(model, units, tokens)
    assert sum(units < SHORT_UNITS for units, _ in cases) > 30
    for units, tokens in cases:
        assert calibration.estimate(model, units) >= 0.9 * tokens, (units, tokens)


def test_no_short_prompt_is_estimated_below_the_default_whatever_long_ones_taught() -> None:
    calibration = Calibration()
    for _ in range(20):
        calibration.observe(OPUS, 50_000, 5_000)
    assert calibration.estimate(OPUS, SHORT_UNITS) >= SHORT_UNITS * 0.33 + FRAME_TOKENS
    assert calibration.estimate(OPUS, 50_000) <= 5_100


def test_the_quick_measure_does_not_count_media_by_their_length() -> None:
    picture = said(Media("image/png", "A" * 1_000_000), tools=(Tool("run", "Runs.", {}),))
    assert quick_units(picture, 1_000_500) < 2 * IMAGE_UNITS


@given(st.integers(0, 10**9))
def test_the_quick_measure_never_falls_below_what_is_there(length: int) -> None:
    conversation = said(Text("x" * 500), tools=(Tool("run", "Runs.", {"type": "object"}),))
    assert quick_units(conversation, length) >= 500


# ------------------------------------------------------------------ learning


@pytest.mark.parametrize("model", [OPUS, FLASH, "gpt-oss-120b-medium"])
def test_an_unknown_model_is_guessed_at_three_to_three_and_a_half_bytes_a_token(model: str) -> None:
    assert 10_000 / 3.5 <= Calibration().estimate(model, 10_000) <= 10_000 / 3.0


@given(
    ratio=st.floats(0.12, 0.9),
    noise=st.floats(0, 0.15),
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(FULL_WEIGHT_UNITS, 600_000), min_size=30, max_size=60),
)
def test_once_calibrated_an_estimate_is_at_most_a_tenth_below_the_truth(
    ratio: float, noise: float, seed: int, sizes: list[int]
) -> None:
    chance = random.Random(seed)
    calibration = Calibration()
    for number, units in enumerate(sizes):
        truth = max(1, round(units * ratio * (1 + chance.uniform(-noise, noise))))
        if number >= 10:
            estimate = calibration.estimate(OPUS, units)
            assert estimate >= 0.9 * truth
            assert estimate <= 1.6 * truth + 1
        calibration.observe(OPUS, units, truth)


def test_a_steady_model_is_estimated_within_a_few_percent() -> None:
    calibration = Calibration()
    for _ in range(40):
        calibration.observe(OPUS, 50_000, 13_000)
    assert 13_000 <= calibration.estimate(OPUS, 50_000) <= 13_300


def test_a_surprise_upwards_is_learned_at_once_and_one_downwards_slowly() -> None:
    calibration = Calibration()
    for _ in range(20):
        calibration.observe(OPUS, 50_000, 13_000)
    calibration.observe(OPUS, 50_000, 17_000)
    assert calibration.estimate(OPUS, 50_000) >= 17_000
    for _ in range(5):
        calibration.observe(OPUS, 50_000, 13_000)
    assert calibration.estimate(OPUS, 50_000) > 14_000


def test_short_prompts_teach_little() -> None:
    calibration = Calibration()
    for _ in range(20):
        calibration.observe(OPUS, 50_000, 13_000)
    before = calibration.estimate(OPUS, 50_000)
    calibration.observe(OPUS, 60, 60)
    assert calibration.estimate(OPUS, 50_000) < before * 1.1


def test_models_learn_apart() -> None:
    calibration = Calibration()
    calibration.observe(OPUS, 50_000, 20_000)
    assert calibration.estimate(FLASH, 1000) == Calibration().estimate(FLASH, 1000)


@pytest.mark.parametrize(
    ("units", "tokens"), [(0, 5), (5000, 0), (5000, -1), (5000, 9**9), (-1, 1)]
)
def test_nonsense_teaches_nothing(units: int, tokens: int) -> None:
    calibration = Calibration()
    calibration.observe(OPUS, units, tokens)
    assert calibration.to_json() == {}


def test_what_was_learned_survives_a_restart() -> None:
    calibration = Calibration()
    calibration.observe(OPUS, 50_000, 11_000)
    calibration.observe(FLASH, 1_000, 400)
    again = Calibration.from_json(orjson.loads(orjson.dumps(calibration.to_json())))
    for model in (OPUS, FLASH):
        assert again.estimate(model, 77_777) == calibration.estimate(model, 77_777)


@pytest.mark.parametrize(
    "row", [None, 3, [], [0.3], ["a", "b"], [0.3, 0.1, 0.1], [-1, 0], [0.3, -1], [99, 0.1]]
)
def test_a_damaged_row_begins_anew(row: object) -> None:
    found = Calibration.from_json({OPUS: row})
    assert found.estimate(OPUS, 1000) == Calibration().estimate(OPUS, 1000)


@given(st.integers(0, 10**8))
def test_an_estimate_is_a_whole_number_and_grows_with_the_prompt(units: int) -> None:
    calibration = Calibration()
    assert calibration.estimate(OPUS, units) <= calibration.estimate(OPUS, units + 10)
    assert calibration.estimate(OPUS, units) >= math.floor(units * 0.2)
