"""Lists of models as servers with OpenAI's API give them -> `ModelInfo`s.

The list is under `data`, under `models`, or bare, and its rows say more or less: some the window,
the limits, what goes in and comes out (providers.md 3). What a row does not say is what is usual.
"""

import re
from dataclasses import replace
from typing import Any, Final

import orjson

from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import JsonObject, Reading
from mcp_proxy.providers.loose_json import count, part, text

PROVIDER_NAME: Final = "openai-compatible"

_ASKED_FOR: Final = ThinkingSpec(levels=("low", "medium", "high"))
"""Of a model of which nobody says whether it thinks: an effort is passed on when a client names
one, and is left out for good when the server refuses it."""

_IDS: Final = ("id", "key", "model", "name", "slug")
_WINDOWS: Final = (
    "loaded_context_length",
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "max_input_tokens",
)
_OUTPUTS: Final = ("max_completion_tokens", "max_output_tokens", "max_output_length")
_REASONING: Final = frozenset({"reasoning", "reasoning_effort", "include_reasoning"})
_OTHER_TYPES: Final = frozenset(
    ("audio", "embedding", "embeddings", "image", "moderation", "rerank", "reranker", "transcribe")
)
_OTHER_NAMES: Final = re.compile(
    r"embed|rerank|whisper|(?:^|[-/])tts(?:$|-)|moderation|(?:^|[-/])bge-", re.IGNORECASE
)


def read_models(body: bytes, now: float) -> Reading:
    """ValueError when the body is no list of models."""
    found: dict[str, ModelInfo] = {}
    for row in _rows(orjson.loads(body)):
        model_id = _id(row)
        if model_id is not None and _talks(model_id, row):
            found.setdefault(model_id, _model(model_id, row))
    return Reading(models=tuple(found.values()))


def _rows(value: Any) -> list[JsonObject]:
    if isinstance(value, dict):
        value = value["data"] if "data" in value else value.get("models")
    if not isinstance(value, list):
        raise ValueError("the answer has no list of models")  # noqa: TRY004 - the interface's word
    rows = [{"id": row} if isinstance(row, str) else row for row in value]
    return [row for row in rows if isinstance(row, dict)]


def _id(row: JsonObject) -> str | None:
    found = next((each for key in _IDS if (each := text(row.get(key)))), None)
    return found.removeprefix("models/") if found is not None else None


def _talks(model_id: str, row: JsonObject) -> bool:
    """Whether it answers conversations."""
    if row.get("active") is False or text(row.get("type")) in _OTHER_TYPES:
        return False
    if part(row, "capabilities").get("completion_chat") is False:
        return False
    return _OTHER_NAMES.search(model_id) is None


def _model(model_id: str, row: JsonObject) -> ModelInfo:
    usual = info(model_id, PROVIDER_NAME)
    top, made = part(row, "top_provider"), part(row, "architecture")
    goes_in, comes_out = made.get("input_modalities"), made.get("output_modalities")
    sees = part(row, "capabilities").get("vision")
    return replace(
        usual,
        display_name=text(row.get("display_name")) or text(row.get("name")) or usual.display_name,
        context_window=_first(row, _WINDOWS)
        or count(top.get("context_length"))
        or count(part(row, "meta").get("n_ctx_train"))
        or usual.context_window,
        max_output=_first(top, _OUTPUTS) or _first(row, _OUTPUTS) or usual.max_output,
        thinking=_thinking(usual, row.get("supported_parameters")),
        takes_images="image" in goes_in if isinstance(goes_in, list) else sees is not False,
        makes_images="image" in comes_out if isinstance(comes_out, list) else False,
    )


def _thinking(usual: ModelInfo, parameters: object) -> ThinkingSpec | None:
    if isinstance(parameters, list) and not any(text(each) in _REASONING for each in parameters):
        return None
    known = usual.thinking
    return known if known is not None and known.levels else _ASKED_FOR


def _first(row: JsonObject, keys: tuple[str, ...]) -> int | None:
    return next((found for key in keys if (found := count(row.get(key))) is not None), None)
