"""A server on loopback with the answers that a test gives it, for upstreams that sign people in."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, Mapping[str, str]], Any]
"""(request, fields of its form) -> a JSON document, or a response as it is."""


@asynccontextmanager
async def answering(answers: Mapping[str, Answer]) -> AsyncIterator[str]:
    """`answers`: by pattern of the path; everything else is 404. Gives the server's URL."""

    async def answer(request: web.Request) -> web.StreamResponse:
        found = (made for pattern, made in answers.items() if re.fullmatch(pattern, request.path))
        made = next(found, None)
        if made is None:
            return web.json_response({"message": f"no {request.path}"}, status=404)
        form = {name: str(value) for name, value in (await request.post()).items()}
        document = made(request, form)
        if isinstance(document, web.StreamResponse):
            return document
        return web.json_response(document)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
