"""Refuses a generation request as the real Cloud Code would, in the same order and words.

First the shape (unknown names, wrong types), then tools, configuration, contents and finally what
the model itself minds. The rules are in the `*_rules` modules beside this one.
"""

from collections.abc import Iterator

from mcp_proxy.demo import (
    claude_rules,
    config_rules,
    content_rules,
    gemini_rules,
    proto,
    refusals,
    tool_rules,
)
from mcp_proxy.demo.catalogue import WEB_SEARCH_MODELS, DemoModel, Kind
from mcp_proxy.demo.generation import get, prompt_tokens
from mcp_proxy.demo.refusals import JsonObject, Refusal

REQUEST_TYPES = frozenset({"agent", "image_gen", "web_search"})


def check_shape(body: JsonObject, message: str) -> None:
    """Refusal naming every field that the message does not have or that has another type."""
    found = proto.violations(body, message)
    if found:
        text = "\n".join(violation.description for violation in found)
        raise Refusal(refusals.invalid(text, proto.described(found)))


def check_meaning(envelope: JsonObject, model: DemoModel) -> None:
    """Refusal for a well-formed request that this model does not take."""
    request = envelope.get("request") or {}
    for rules in (
        _envelope(envelope, model),
        tool_rules.problems(request, model),
        _search(request, model),
        config_rules.problems(request, model),
        content_rules.problems(request),
    ):
        _refuse(rules)
    if content_rules.has_bare_thought(request):
        raise Refusal(refusals.internal())
    _refuse(_conversation(request, model))
    _refuse(_length(request, model))


def _refuse(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise Refusal(refusals.invalid("\n".join(found)))


def _envelope(envelope: JsonObject, model: DemoModel) -> Iterator[str]:
    kind = envelope.get("requestType")
    if kind not in REQUEST_TYPES:
        yield f"Invalid request type: {kind}"
    elif (kind == "image_gen") != model.image:
        yield f"Request type {kind} is not supported by model {model.id}."
    if envelope.get("userAgent") != "antigravity":
        yield "Invalid user agent."
    if kind != "web_search" and not envelope.get("requestId"):
        yield "Request id is required."


def _search(request: JsonObject, model: DemoModel) -> Iterator[str]:
    asked = any(get(tool, "googleSearch") is not None for tool in request.get("tools") or ())
    if asked and model.id not in WEB_SEARCH_MODELS:
        yield "Google Search is not supported for this model."


def _conversation(request: JsonObject, model: DemoModel) -> Iterator[str]:
    contents = request["contents"]
    if model.kind is not Kind.CLAUDE:
        return gemini_rules.problems(contents, model)
    thinking = get(get(request, "generationConfig") or {}, "thinkingConfig") or {}
    return claude_rules.problems(contents, thinking=bool(get(thinking, "thinkingBudget")))


def _length(request: JsonObject, model: DemoModel) -> Iterator[str]:
    tokens = prompt_tokens(request)
    if tokens <= model.window:
        return
    if model.kind is Kind.CLAUDE:
        yield f"prompt is too long: {tokens} tokens > {model.window} maximum"
    else:
        yield (
            f"The input token count ({tokens}) exceeds the maximum number of tokens allowed "
            f"({model.window})."
        )
