"""The floor of the stack: aiohttp's server and client under uvloop, passing bytes on unread.

Whatever a proxy on this stack costs beyond this is its own doing. A process of its own:
`python -m tests.bench.floor UPSTREAM` prints its URL; `GET /health` says that it is up.
"""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web


class PassThrough:
    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response()
        url, body = self._upstream + request.path_qs, await request.read()
        async with self._session.post(url, data=body) as answer:
            headers = {"Content-Type": answer.headers["Content-Type"]}
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response


async def serve(upstream: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        server = web.Server(PassThrough(upstream, session).handle, access_log=None)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server, "127.0.0.1", 0, backlog=2048)
        print(f"ready at http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
        await listening.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
