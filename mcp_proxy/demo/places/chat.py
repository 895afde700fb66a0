"""The Chat Completions API as three places serve it: OpenAI, a compatible server and Copilot."""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.places.chat_reading import chat_tokens, freeform_names, read_chat
from mcp_proxy.demo.places.chat_writing import ChatStyle, completion, completion_stream
from mcp_proxy.demo.places.desk import Desk
from mcp_proxy.demo.refusals import JsonObject


async def answer_chat(
    request: web.Request,
    desk: Desk,
    body: JsonObject,
    model: DemoModel,
    style: ChatStyle,
    *,
    provider: str,
    account: str,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The model's turn, streamed when the body asks for that."""
    style = replace(style, freeform=freeform_names(body))
    asked = read_chat(body, model, shows=style.reasoning is not None)
    granted = desk.grant(provider, account, asked, chat_tokens(body))
    if body.get("parallel_tool_calls") is False:
        granted = replace(granted, turn=replace(granted.turn, calls=granted.turn.calls[:1]))
    created = int(desk.now())
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        records = completion_stream(granted, style, created, with_usage=with_usage)
        delivery = Delivery(records, pace=granted.turn.pace, headers=headers or {})
        return await desk.deliver(request, provider, delivery, asked.prompt)
    document = completion(granted, style, created)
    return web.Response(body=document, content_type="application/json", headers=headers)
