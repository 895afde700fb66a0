"""Is it alive, and do its accounts work. No upstream is asked, no account is named."""

from aiohttp import web

from mcp_proxy import __version__
from mcp_proxy.engine.report import states
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.answers import Call, json_answer


async def health(runtime: Runtime, call: Call) -> web.Response:
    """200 while the process can serve."""
    body = {"status": "ok", "version": __version__, "accounts": states(runtime)}
    return json_answer(call, body)


async def probe(_runtime: Runtime, call: Call) -> web.Response:
    """Claude Code's probes and event logging want a quick 200 and nothing else."""
    return json_answer(call, {})
