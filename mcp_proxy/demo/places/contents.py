"""`generateContent` as two places serve it: the Gemini API and Vertex AI.

The rules are those of the Cloud Code upstream, which serves the same models; only the envelope and
what the public messages know are different. Source: client-apis.md 4, providers.md 4.
"""

from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from mcp_proxy.demo import (
    config_rules,
    content_rules,
    gemini_rules,
    proto,
    refusals,
    tool_rules,
)
from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.generation import get, prompt_tokens, read_generation
from mcp_proxy.demo.places.desk import Desk, session_of
from mcp_proxy.demo.records import document, stream, usage_of
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal

_ALWAYS_THINKING = frozenset({"gemini-2.5-pro"})
_QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"


def google_refusal(status: int, message: str, details: list[JsonObject] | None = None) -> Answer:
    return Answer(status, refusals.error_body(status, message, details))


def over_quota(model: DemoModel, *, per_day: bool, seconds: float) -> Answer:
    """A 429 as the free tier gives it (providers.md 4)."""
    span = "Day" if per_day else "Minute"
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": f"GenerateRequestsPer{span}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"model": model.id, "location": "global"},
        "quotaValue": "20",
    }
    delay = refusals.go_duration(round(seconds, 3))
    text = (
        "You exceeded your current quota, please check your plan and billing details.\n* Quota "
        f"exceeded for metric: {metric}, limit: 20, model: {model.id}\nPlease retry in {delay}."
    )
    details: list[JsonObject] = [
        {"@type": _QUOTA, "violations": [violation]},
        {"@type": _RETRY, "retryDelay": f"{round(seconds)}s"},
    ]
    return google_refusal(429, text, details)


def check_contents(body: JsonObject, model: DemoModel) -> None:
    """Refusal naming everything that keeps this request from being answered."""
    check_shape(body, "PublicRequest")
    for rules in (
        tool_rules.problems(body, model),
        _declarations(body),
        config_rules.problems(body, model),
        _thinking(body, model),
        content_rules.problems(body),
    ):
        _refuse(rules)
    _refuse(gemini_rules.problems(body["contents"], model))
    tokens = prompt_tokens(body)
    if tokens > model.window:
        text = (
            f"The input token count ({tokens}) exceeds the maximum number of tokens allowed "
            f"({model.window})."
        )
        raise Refusal(refusals.invalid(text))


def check_shape(body: JsonObject, message: str) -> None:
    """Refusal naming every field that the message does not have or that has another type."""
    found = proto.violations(body, message)
    if found:
        text = "\n".join(violation.description for violation in found)
        raise Refusal(refusals.invalid(text, proto.described(found)))


async def answer_contents(
    request: web.Request,
    desk: Desk,
    body: JsonObject,
    model: DemoModel,
    *,
    provider: str,
    account: str,
    streamed: bool,
) -> web.StreamResponse:
    """The model's turn: a document, events, or a list that grows."""
    asked = replace(read_generation(body, model), session=session_of(body["contents"][0], model.id))
    granted = desk.grant(provider, account, asked, prompt_tokens(body))
    usage = usage_of(granted.turn, prompt=granted.prompt, cached=granted.cached)
    if not streamed:
        whole = document(granted.turn, model, thinks=asked.thinks, usage=usage, bare=True)
        return web.Response(body=whole, content_type="application/json")
    records = stream(granted.turn, model, thinks=asked.thinks, usage=usage, bare=True)
    delivery = Delivery(records, pace=granted.turn.pace)
    if request.query.get("alt") != "sse":
        delivery = replace(
            delivery, records=_as_list(records), content_type="application/json; charset=UTF-8"
        )
    return await desk.deliver(request, provider, delivery, asked.prompt)


def count(body: JsonObject) -> web.Response:
    """The answer of countTokens."""
    check_shape(body, "PublicCount")
    inner = get(body, "generateContentRequest") or body
    if not inner.get("contents"):
        raise Refusal(refusals.invalid("* CountTokensRequest.contents: contents is not specified"))
    return json_answer({"totalTokens": prompt_tokens(inner)})


def _as_list(records: list[bytes]) -> list[bytes]:
    bare = [record.removeprefix(b"data: ").rstrip() for record in records]
    return [b"[" + bare[0], *(b",\r\n" + record for record in bare[1:]), b"]"]


def _refuse(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise Refusal(refusals.invalid("\n".join(found)))


def _declarations(body: JsonObject) -> Iterator[str]:
    for at, tool in enumerate(body.get("tools") or ()):
        for nth, entry in enumerate(get(tool, "functionDeclarations") or ()):
            path = f"GenerateContentRequest.tools[{at}].function_declarations[{nth}]"
            parameters = entry.get("parameters")
            if parameters is None:
                continue
            if get(entry, "parametersJsonSchema") is not None:
                yield f"{path}: only one of parameters and parameters_json_schema can be set."
            if not parameters.get("properties"):
                yield f"{path}.parameters.properties: should be non-empty for OBJECT type"


def _thinking(body: JsonObject, model: DemoModel) -> Iterator[str]:
    config = get(get(body, "generationConfig") or {}, "thinkingConfig") or {}
    if get(config, "thinkingBudget") == 0 and model.id in _ALWAYS_THINKING:
        yield "Budget 0 is invalid. This model only works in thinking mode."
    if get(config, "thinkingLevel") is not None and model.kind is Kind.GEMINI_2:
        yield "Thinking level is not supported for this model."
