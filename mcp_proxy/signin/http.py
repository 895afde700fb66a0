"""One small HTTP exchange, blocking, for sign-in and verification. Knows no provider.

The engine has its own client for traffic; this one needs nothing but the standard library, keeps
the quick verbs quick and runs in whatever thread calls it.
"""

import http.client
import ssl
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mcp_proxy import trust
from mcp_proxy.loopback import is_loopback
from mcp_proxy.providers import UpstreamCall

TIMEOUT = 30.0
_LARGEST_ANSWER = 4 << 20


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


def send(call: UpstreamCall, timeout: float = TIMEOUT) -> Answer:
    """The answer, of whatever status; redirects are not followed.

    OSError when there is none; NotTrusted when that is for the certificate of the host.
    """
    request = urllib.request.Request(  # noqa: S310 - checked_url has let http(s) through only
        call.url,
        data=call.body if call.method == "POST" else None,
        headers=dict(call.headers),
        method=call.method,
    )
    handlers: list[urllib.request.BaseHandler] = [_proxies(call), _AsItIs()]
    if not call.url.startswith("http:"):
        handlers.append(urllib.request.HTTPSHandler(context=trust.authorities()))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=timeout) as reply:
            body = reply.read(_LARGEST_ANSWER)
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Answer(reply.status, headers, body)
    except urllib.error.URLError as cause:
        if isinstance(cause.reason, ssl.SSLCertVerificationError):
            raise trust.not_trusted(_host(call), cause.reason) from cause
        raise OSError(f"{_host(call)}: {cause.reason}") from cause
    except http.client.HTTPException as cause:
        raise OSError(f"{_host(call)}: {cause!r}") from cause


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Errors and redirects are answers like others."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def _proxies(call: UpstreamCall) -> urllib.request.ProxyHandler:
    """The account's own proxy, else the environment's; none for this machine itself."""
    if call.proxy is not None:
        return urllib.request.ProxyHandler({"http": call.proxy, "https": call.proxy})
    if is_loopback(urlsplit(call.url).hostname or ""):
        return urllib.request.ProxyHandler({})
    return urllib.request.ProxyHandler()


def _host(call: UpstreamCall) -> str:
    return urlsplit(call.url).hostname or call.url
