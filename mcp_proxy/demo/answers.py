"""How a whole answer leaves: JSON, a refusal as it stands, a connection that ends without one."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from mcp_proxy.demo.delivery import reset
from mcp_proxy.demo.faults import Dropped
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.strict_json import encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns a Refusal into its answer and a Dropped into a reset. Who left is told nothing."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return whole_answer(refusal.answer)
    except Dropped:
        reset(request)
        return web.Response()
    except ConnectionError:
        return web.Response()  # else the library takes it for a fault, and logs it as one


def json_answer(answer: JsonObject) -> web.Response:
    return web.Response(body=encode(answer), content_type="application/json")


def whole_answer(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, headers=answer.headers)
    return web.Response(
        status=answer.status,
        body=encode(answer.body),
        headers={"content-type": "application/json; charset=UTF-8", **answer.headers},
    )
