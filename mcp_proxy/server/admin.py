"""Acts on the running server: forcing a token refresh."""

import asyncio

from aiohttp import web

from mcp_proxy.account import Account
from mcp_proxy.engine.report import moment
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.server.answers import Call, json_answer


async def refresh_token(runtime: Runtime, call: Call) -> web.Response:
    """Refreshes the token of `?account=ID`, or of every enabled account."""
    wanted = call.request.query.get("account")
    served = runtime.usable_accounts()
    accounts = [a for a in served if (a.id == wanted if wanted else a.enabled)]
    if wanted and not accounts:
        raise ProxyError(ErrorKind.NOT_FOUND, f"account: {wanted[:64]!r} is not in accounts.toml")
    results = await asyncio.gather(*(_refreshed(runtime, account) for account in accounts))
    status = 200 if all(result["ok"] for result in results) else 502
    return json_answer(call, {"accounts": results}, status=status)


async def _refreshed(runtime: Runtime, account: Account) -> dict[str, object]:
    try:
        expires_at = await runtime.tokens.renew(account)
    except UpstreamBroke as broke:
        runtime.mark_if_dead(account, broke.failure)
        return {"id": account.id, "ok": False, "error": broke.failure.detail}
    mark = runtime.ledger.mark_of(account)
    # Of a key nobody has been asked; and a token is given, too, for an account that is suspended.
    if expires_at is not None and mark is not None and mark.kind == "invalid":
        runtime.ledger.clear_mark(account.id)
    return {"id": account.id, "ok": True, "expires_at": moment(expires_at)}
