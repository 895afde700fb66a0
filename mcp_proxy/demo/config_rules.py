"""What generationConfig may say to which model. Source: cloudcode.md 3.7, 3.8 and 4.7."""

from collections.abc import Iterator

from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.generation import get
from mcp_proxy.demo.refusals import JsonObject

ASPECT_RATIOS = frozenset({"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"})

_DYNAMIC = -1
"""A thinkingBudget that leaves the amount to a Gemini model."""


def problems(request: JsonObject, model: DemoModel) -> Iterator[str]:
    """Texts of everything wrong with the request's configuration for this model."""
    config = get(request, "generationConfig") or {}
    thinking = get(config, "thinkingConfig")
    yield from _tokens(config, model)
    yield from _sampling(config, model)
    if model.image:
        yield from _image(request, config)
    elif get(config, "imageConfig") is not None:
        yield "Image generation is not enabled for this model."
    if thinking is None or model.image:
        return
    if model.budgets is None:
        yield "Unable to submit request because thinking is not supported by this model."
    elif model.kind is Kind.CLAUDE:
        yield from _claude_thinking(config, thinking, model)
    else:
        yield from _gemini_thinking(thinking, model)


def _tokens(config: JsonObject, model: DemoModel) -> Iterator[str]:
    wanted = get(config, "maxOutputTokens")
    if wanted is None or 1 <= wanted <= model.max_output:
        return
    if model.kind is Kind.CLAUDE and wanted > 0:
        yield (
            f"max_tokens: {wanted} > {model.max_output}, which is the maximum allowed number of "
            f"output tokens for {model.id}"
        )
    else:
        yield (
            f"Unable to submit request because it has a maxOutputTokens value of {wanted} but the "
            f"supported range is from 1 (inclusive) to {model.max_output + 1} (exclusive). "
            "Update the value and try again."
        )


def _sampling(config: JsonObject, model: DemoModel) -> Iterator[str]:
    warmest = 1 if model.kind is Kind.CLAUDE else 2
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= warmest:
        yield f"temperature: range: 0..{warmest}"
    if (get(config, "candidateCount") or 1) != 1:
        yield "Multiple candidates is not enabled for this model"
    schema = get(config, "responseSchema") or get(config, "responseJsonSchema")
    if schema is not None and get(config, "responseMimeType") != "application/json":
        yield "response_schema is only supported when response_mime_type is application/json."


def _image(request: JsonObject, config: JsonObject) -> Iterator[str]:
    for field in ("tools", "toolConfig"):
        if get(request, field) is not None:
            yield f"{field} is not supported by image models."
    if get(config, "thinkingConfig") is not None:
        yield "Thinking is not supported by image models."
    ratio = get(get(config, "imageConfig") or {}, "aspectRatio")
    if ratio is not None and ratio not in ASPECT_RATIOS:
        yield f"aspect_ratio: {ratio} is not one of the supported ratios."


def _claude_thinking(config: JsonObject, thinking: JsonObject, model: DemoModel) -> Iterator[str]:
    budget = get(thinking, "thinkingBudget")
    if get(thinking, "thinkingLevel") is not None:
        yield "Unable to submit request because thinking_level is not supported by this model."
    if not budget:
        return
    lowest = model.budgets[0] if model.budgets else 0
    if budget < lowest:
        yield (f"thinking.enabled.budget_tokens: Input should be greater than or equal to {lowest}")
    if budget >= (get(config, "maxOutputTokens") or model.max_output):
        yield (
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our "
            "documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        )


def _gemini_thinking(thinking: JsonObject, model: DemoModel) -> Iterator[str]:
    budget, level = get(thinking, "thinkingBudget"), get(thinking, "thinkingLevel")
    if budget is not None and level is not None:
        yield "You can only set only one of thinking budget and thinking level."
    if level is not None and str(level).lower() not in model.levels:
        yield f"Thinking level {str(level).upper()} is not supported for this model."
    lowest, highest = model.budgets or (0, 0)
    if budget is not None and budget not in (0, _DYNAMIC) and not lowest <= budget <= highest:
        yield (
            "Unable to submit request because thinking_budget is out of range; supported values "
            f"are integers from {lowest} to {highest}."
        )
