"""What the Responses API has beside generating: answers that are kept, and its WebSocket.

Nothing is kept here, so every stored answer is unknown; clients that try a WebSocket are told to
speak HTTP (client-apis.md 0).
"""

from typing import NoReturn

from aiohttp import web

from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.server.answers import Call, json_answer


async def stored(_runtime: Runtime, call: Call) -> NoReturn:
    name = call.path.removeprefix("/v1/responses/")[:128]
    raise ProxyError(
        ErrorKind.NOT_FOUND,
        f"Response with id {name!r} not found: answers are not kept here",
    )


async def socket(_runtime: Runtime, call: Call) -> web.Response:
    """426: the same path takes POST."""
    error = {
        "message": "WebSocket is not spoken here; POST to the same path",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    return json_answer(call, {"error": error}, status=426, headers={"Upgrade": "HTTP/1.1"})
