"""OpenAI's images endpoint, for models that answer with pictures."""

import asyncio
import time
from math import log

from aiohttp import web

from mcp_proxy.conversation import Conversation, Media, Message, Text
from mcp_proxy.engine.exchange import Exchange
from mcp_proxy.engine.rendering import Incoming
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError
from mcp_proxy.server.answers import Call, json_answer, read_body
from mcp_proxy.server.generate import facts
from mcp_proxy.strict_json import JsonObject, get, read_object

MOST_IMAGES = 10
"""As many as the real API makes at once."""


async def generate_images(runtime: Runtime, call: Call) -> web.Response:
    """One upstream call for each picture; all of them or an error."""
    settings = runtime.settings.server
    body = await read_body(call.request, limit=settings.max_body, timeout=settings.read_timeout)
    conversation, count = _read(read_object(body))
    call.model = conversation.model
    await runtime.look_for(conversation.model)
    _require_painter(runtime, conversation.model)
    exchanges = [Exchange(runtime, Incoming(conversation, len(body))) for _ in range(count)]
    call.outcome = exchanges[0].outcome
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_painted(exchange)) for exchange in exchanges]
    except ExceptionGroup as failed:
        # The first failure cancels the others: a picture less than asked for is no answer.
        raise failed.exceptions[0] from None
    finally:
        for exchange in exchanges:
            exchange.close()
    data = [{"b64_json": picture.data} for task in tasks for picture in task.result()]
    answer = {"created": int(time.time()), "data": data[:count]}
    return json_answer(call, answer, headers=facts(exchanges[0]))


def _read(body: JsonObject) -> tuple[Conversation, int]:
    prompt: str = get(body, "prompt", str)
    model: str = get(body, "model", str)
    if not prompt.strip():
        raise BadRequest("must not be empty", param="prompt")
    count: int = get(body, "n", int, (), 1)
    if not 1 <= count <= MOST_IMAGES:
        raise BadRequest(f"expected a whole number from 1 to {MOST_IMAGES}", param="n")
    if get(body, "response_format", str, (), "b64_json") != "b64_json":
        raise BadRequest('only "b64_json" is served: nothing is kept here', param="response_format")
    if get(body, "stream", bool, (), False):
        raise BadRequest("pictures are not streamed here", param="stream")
    extras = {name: value for name, value in body.items() if name not in _READ}
    ratio = _ratio_of(body.get("size"))
    if ratio is not None:
        extras["image_config"] = {"aspect_ratio": ratio}
    asked = (Message("user", (Text(prompt),)),)
    return Conversation("openai_chat", model, asked, extras=extras), count


_READ = frozenset({"model", "prompt", "n", "response_format", "stream"})

_RATIOS = ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9))
"""Shapes that Gemini's image models paint."""


def _ratio_of(size: object) -> str | None:
    """ "1536x1024" -> "3:2": the nearest shape, for models that take no size."""
    width, _, height = size[:16].partition("x") if isinstance(size, str) else ("", "", "")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        return None
    wanted = log(int(width) / int(height))
    wide, high = min(_RATIOS, key=lambda ratio: abs(log(ratio[0] / ratio[1]) - wanted))
    return f"{wide}:{high}"


def _require_painter(runtime: Runtime, name: str) -> None:
    stages = runtime.names.stages(name)
    candidates = [candidate for stage in stages for candidate in stage.candidates]
    if candidates and not any(runtime.models.of(each).makes_images for each in candidates):
        raise BadRequest(f"{name[:128]} does not make images", param="model")


async def _painted(exchange: Exchange) -> list[Media]:
    reply, _ = await exchange.reply()
    pictures = [part for part in reply.parts if isinstance(part, Media)]
    if not pictures:
        said = " ".join(part.text for part in reply.parts if isinstance(part, Text))[:512]
        raise ProxyError(ErrorKind.UPSTREAM, f"the model made no picture. It said: {said}")
    return pictures
