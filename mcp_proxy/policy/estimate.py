"""How many tokens a prompt will have, before anybody has counted it.

A prompt is measured in units (bytes of its text, with fixed sizes for what is not text), and a
model's tokens per unit are learned from what its upstream reports. Guesses lean upwards: a client
that hears too little compacts too late and runs into the window.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from mcp_proxy.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.model import Family
from mcp_proxy.strict_json import encode
from mcp_proxy.values import stateful

JsonObject = dict[str, Any]

MESSAGE_UNITS: Final = 14
"""Role, turn markers: about four tokens."""
PART_UNITS: Final = 4
TOOL_UNITS: Final = 40
"""The frame around a declared or a called function."""
PROMPT_UNITS: Final = 40
ANSWER_UNITS: Final = 120
"""What a model is told beside the schema of its answer."""

IMAGE_UNITS: Final = 5_600
"""About 1,600 tokens, what Claude counts for the largest image it does not scale down."""
PAGE_UNITS: Final = 9_000
"""About 2,600 tokens: the text of a page and its picture."""
PAGE_BYTES: Final = 60_000
"""Size of one page of a document, a scan and plain text averaged."""
SECOND_UNITS: Final = 112
"""32 tokens for each second of sound."""
SECOND_BYTES: Final = 4_000

DEFAULT_RATIO: Final[Mapping[Family, float]] = {Family.CLAUDE: 0.33, Family.GEMINI: 0.29}
"""Tokens per unit until an upstream has counted; English and code are at 0.23 to 0.32."""
OTHER_RATIO: Final = 0.31
LOWEST_RATIO: Final = 0.05
HIGHEST_RATIO: Final = 2.0
"""Bounds of what is believed: usage is upstream data, and sometimes nonsense."""

RISE: Final = 0.5
FALL: Final = 0.1
"""How much of a surprise is learned at once. Upwards quickly, downwards slowly."""
SPREAD_WEIGHT: Final = 2.0
"""Mean deviations added on top, as TCP does for its time-outs."""
FULL_WEIGHT_UNITS: Final = 4_000
"""Shorter prompts are mostly frame, and teach less."""
FRAME_TOKENS: Final = 120
"""What a short prompt may have beyond its units: ids, names and brackets around turns and calls,
and what is added to schemas. Of a long one it is in the ratio that was learned."""
SHORT_UNITS: Final = 1_000
"""Up to here no prompt is estimated below its family's default, whatever longer ones have taught:
they may have been of other things, pictures say."""


# What JSON puts around a body, a block, a message and a call, and what escapes add to text.
BODY_WIRE: Final = 400
BLOCK_WIRE: Final = 32
MESSAGE_WIRE: Final = 32
CALL_WIRE: Final = 90
ESCAPED: Final = 1.03


def raw_units(conversation: Conversation) -> int:
    """The prompt's size, from its parts. Encodes every tool's schema, and that of the answer."""
    schemas = sum(_json_size(tool.schema) for tool in conversation.tools)
    if conversation.output is not None:
        schemas += _answer_units(conversation.output)
    return PROMPT_UNITS + _said(conversation).units + _tool_texts(conversation) + schemas


def quick_units(conversation: Conversation, body_length: int) -> int:
    """Nearly `raw_units`, for the hot path: what of the body is nothing else is schemas."""
    said = _said(conversation)
    units = PROMPT_UNITS + said.units
    if not conversation.tools:
        return units if conversation.output is None else units + _answer_units(conversation.output)
    texts = _tool_texts(conversation)
    return units + texts + max(0, body_length - BODY_WIRE - said.wire - int(texts * ESCAPED))


def _tool_texts(conversation: Conversation) -> int:
    return sum(TOOL_UNITS + len(tool.name) + len(tool.description) for tool in conversation.tools)


def _answer_units(output: OutputFormat) -> int:
    """An upstream has the schema in its prompt, whether it has a field for it or is told of it."""
    return ANSWER_UNITS + (0 if output.schema is None else _json_size(output.schema))


class Ratio:
    """Tokens per unit of one model, learned."""

    __slots__ = ("deviation", "mean", "upper")

    def __init__(self, mean: float, deviation: float) -> None:
        self.mean = mean
        self.deviation = deviation
        self.upper = mean + SPREAD_WEIGHT * deviation
        """What is estimated with."""

    def learn(self, seen: float, weight: float) -> None:
        surprise = seen - self.mean
        gain = weight * (RISE if seen > self.upper else FALL)
        self.deviation += gain * (abs(surprise) - self.deviation)
        self.mean += gain * surprise
        self.upper = self.mean + SPREAD_WEIGHT * self.deviation


class Calibration:
    """What upstreams have taught about their tokenizers. One for all models."""

    def __init__(self) -> None:
        self._ratios: dict[str, Ratio] = {}

    def estimate(self, model: str, units: int) -> int:
        """Tokens that a prompt of so many units will have, rather too many than too few."""
        ratio, default = self._ratios.get(model), _default(model)
        upper = default if ratio is None else ratio.upper
        frame = FRAME_TOKENS * max(0.0, 1 - units / FULL_WEIGHT_UNITS)
        short = FRAME_TOKENS + max(upper, default) * min(units, SHORT_UNITS)
        return math.ceil(max(frame + units * upper, short))

    def observe(self, model: str, units: int, prompt_tokens: int) -> None:
        """An upstream has counted a prompt of so many units."""
        if units <= 0 or prompt_tokens <= 0:
            return
        seen = prompt_tokens / units
        if not LOWEST_RATIO <= seen <= HIGHEST_RATIO:
            return
        weight = min(1.0, units / FULL_WEIGHT_UNITS)
        ratio = self._ratios.get(model)
        if ratio is None:
            if weight == 1.0:
                self._ratios[model] = Ratio(seen, seen * 0.05)
                return
            ratio = self._ratios[model] = Ratio(_default(model), 0.0)
        ratio.learn(seen, weight)

    def to_json(self) -> JsonObject:
        return {model: [ratio.mean, ratio.deviation] for model, ratio in self._ratios.items()}

    @classmethod
    def from_json(cls, rows: Mapping[str, object]) -> "Calibration":
        """Damaged rows are passed over; their models begin anew."""
        made = cls()
        for model, row in rows.items():
            match row:
                case [int() | float() as mean, int() | float() as deviation] if (
                    LOWEST_RATIO <= mean <= HIGHEST_RATIO and 0 <= deviation <= HIGHEST_RATIO
                ):
                    made._ratios[model] = Ratio(float(mean), float(deviation))
        return made


def _default(model: str) -> float:
    return DEFAULT_RATIO.get(Family.of(model), OTHER_RATIO)


@stateful
class _Size:
    units: int = 0
    wire: int = 0
    """About how many bytes of the request body the same things took."""

    def text(self, text: str) -> None:
        # Whether a string is ASCII is a flag of it; only the others have to be looked at.
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self.units += size + PART_UNITS
        self.wire += int(size * ESCAPED) + BLOCK_WIRE

    def media(self, part: Media) -> None:
        size = len(part.data) * 3 // 4
        self.wire += len(part.data) + BLOCK_WIRE
        if part.mime_type.startswith("image/"):
            self.units += IMAGE_UNITS
        elif part.mime_type.startswith(("audio/", "video/")):
            self.units += SECOND_UNITS * (1 + size // SECOND_BYTES)
        else:
            self.units += PAGE_UNITS * (1 + size // PAGE_BYTES)

    def call(self, part: ToolCall) -> None:
        self.text(part.arguments)
        self.units += TOOL_UNITS + len(part.name)
        self.wire += CALL_WIRE


def _said(conversation: Conversation) -> _Size:
    """Everything but the tools."""
    size = _Size()
    for text in conversation.system:
        size.text(text.text)
    for message in conversation.messages:
        size.units += MESSAGE_UNITS
        size.wire += MESSAGE_WIRE
        _add(message.parts, size)
    return size


def _add(parts: Iterable[Part], size: _Size) -> None:
    for part in parts:
        match part:
            case Text() | Thinking():
                size.text(part.text)
                if part.seal is not None:
                    size.wire += len(part.seal.value)
            case ToolCall():
                size.call(part)
            case ToolResult():
                size.wire += CALL_WIRE
                _add(part.parts, size)
            case Media():
                size.media(part)
            case Verbatim():
                units = _json_size(part.value)
                size.units += units + PART_UNITS
                size.wire += units


def _json_size(value: JsonObject) -> int:
    """Bytes of JSON; 0 of what nests too deeply to be written, which is little."""
    try:
        return len(encode(value))
    except orjson.JSONEncodeError:
        return 0
