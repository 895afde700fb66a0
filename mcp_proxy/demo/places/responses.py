"""The Responses API as three places serve it: OpenAI, Codex and Copilot."""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.places.desk import Desk
from mcp_proxy.demo.places.responses_reading import (
    freeform_names,
    read_responses,
    responses_tokens,
)
from mcp_proxy.demo.places.responses_writing import ResponsesStyle, response, response_stream
from mcp_proxy.demo.refusals import JsonObject


async def answer_responses(
    request: web.Request,
    desk: Desk,
    body: JsonObject,
    model: DemoModel,
    style: ResponsesStyle,
    *,
    provider: str,
    account: str,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The model's turn, streamed when the body asks for that."""
    style = replace(style, freeform=freeform_names(body))
    asked = read_responses(body, model)
    granted = desk.grant(provider, account, asked, responses_tokens(body))
    if body.get("parallel_tool_calls") is False:
        granted = replace(granted, turn=replace(granted.turn, calls=granted.turn.calls[:1]))
    created = int(desk.now())
    if body.get("stream"):
        records = response_stream(granted, body, style, created)
        delivery = Delivery(records, pace=granted.turn.pace, headers=headers or {})
        return await desk.deliver(request, provider, delivery, asked.prompt)
    document = response(granted, body, style, created)
    return web.Response(body=document, content_type="application/json", headers=headers)
