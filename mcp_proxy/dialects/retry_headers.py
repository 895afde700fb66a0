"""Headers that tell a client whether and when to try again; the same for every dialect.

SDKs and Claude Code obey both (client-apis.md section 0): they sleep exactly `retry-after` seconds,
and give up at once on `x-should-retry: false`.
"""

from math import ceil

from mcp_proxy.errors import ErrorKind, ProxyError

_SHORTEST_WAIT = 1
"""Seconds. Zero would make a client hammer."""


def retry_headers(error: ProxyError) -> dict[str, str]:
    """`retry-after` where a wait helps or is obligatory, `x-should-retry` where no retry can."""
    headers = {}
    wait = error.retry_after
    if wait is not None:
        headers["retry-after"] = str(max(_SHORTEST_WAIT, ceil(wait)))
    elif error.kind is ErrorKind.LIMITED:
        # Codex gives up on a 429 without it.
        headers["retry-after"] = str(_SHORTEST_WAIT)
    if error.retry_is_pointless:
        headers["x-should-retry"] = "false"
    return headers
