"""The Messages API as four places serve it: Anthropic, Z.AI, Vertex AI and Copilot."""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.places import messages_rules
from mcp_proxy.demo.places.desk import Desk
from mcp_proxy.demo.places.messages_reading import (
    messages_tokens,
    one_call_only,
    read_messages,
)
from mcp_proxy.demo.places.messages_writing import message, message_stream
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.ids import new_id

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def messages_refusal(
    status: int, text: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """An error of the Messages API (client-apis.md 1.6)."""
    identifier = "req_01" + new_id()
    error = {"type": kind or _TYPES[status], "message": text}
    body: JsonObject = {"type": "error", "error": error, "request_id": identifier}
    return Answer(status, body, {"request-id": identifier, **(headers or {})})


def check_messages(
    body: JsonObject,
    model: DemoModel,
    *,
    version: str = "2023-06-01",
    betas: frozenset[str] = frozenset(),
    signer: str | None = "claude",
) -> None:
    """Refusal with the first thing that is wrong."""
    if not isinstance(body.get("max_tokens"), int):
        raise Refusal(messages_refusal(400, "max_tokens: Field required"))
    if body["max_tokens"] > model.max_output:
        raise Refusal(
            messages_refusal(
                400,
                f"max_tokens: {body['max_tokens']} > {model.max_output}, which is the maximum "
                f"allowed number of output tokens for {model.id}",
            )
        )
    refuse_first(body, model, version=version, betas=betas, signer=signer)


def refuse_first(
    body: JsonObject, model: DemoModel, *, version: str, betas: frozenset[str], signer: str | None
) -> None:
    """The rules that hold for counting, too."""
    found = messages_rules.problems(body, model, version=version, betas=betas, signer=signer)
    for problem in found:
        raise Refusal(messages_refusal(400, problem))


async def answer_messages(
    request: web.Request,
    desk: Desk,
    body: JsonObject,
    model: DemoModel,
    *,
    provider: str,
    account: str,
    signer: str | None = "claude",
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The model's turn, streamed when the body asks for that."""
    asked = read_messages(body, model)
    granted = desk.grant(provider, account, asked, messages_tokens(body))
    if one_call_only(body):
        granted = replace(granted, turn=replace(granted.turn, calls=granted.turn.calls[:1]))
    sent = {"request-id": "req_01" + new_id(), **(headers or {})}
    if body.get("stream"):
        records = message_stream(granted, model.id, signer=signer)
        sent["cache-control"] = "no-cache"
        delivery = Delivery(records, pace=granted.turn.pace, headers=sent)
        return await desk.deliver(request, provider, delivery, asked.prompt)
    return web.Response(
        body=message(granted, model.id, signer=signer),
        content_type="application/json",
        headers=sent,
    )


def betas_of(request: web.Request) -> frozenset[str]:
    """The header may be repeated, and hold several each time."""
    listed = ",".join(request.headers.getall("anthropic-beta", []))
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def counted(body: JsonObject) -> web.Response:
    """The answer of count_tokens."""
    return json_answer({"input_tokens": messages_tokens(body)})
