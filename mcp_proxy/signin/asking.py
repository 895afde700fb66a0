"""One question to an upstream: the answer read, or the failure sorted. Nothing is retried here."""

import time
from collections.abc import Callable
from typing import TypeVar

from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.providers import Provider, UpstreamCall
from mcp_proxy.signin.http import Answer
from mcp_proxy.trust import NotTrusted

Send = Callable[[UpstreamCall], Answer]
_T = TypeVar("_T")


def asked(
    place: Provider, call: UpstreamCall, send: Send, read: Callable[[bytes], _T]
) -> _T | Failure:
    """What `read` makes of a 200; everything else is a Failure in the provider's terms."""
    answer = exchanged(call, send)
    if isinstance(answer, Failure):
        return answer
    if answer.status != 200:
        failure = place.read_failure(answer.status, answer.headers, answer.body, now=time.time())
        return failure.concealing(call.secrets)
    try:
        return read(answer.body)
    except ValueError as cause:
        return Failure(FailureKind.UPSTREAM, f"unexpected answer: {cause}", answer.status)


def exchanged(call: UpstreamCall, send: Send) -> Answer | Failure:
    """The answer of whatever status; NETWORK or UNTRUSTED when there was none."""
    try:
        return send(call)
    except NotTrusted as cause:
        return Failure(FailureKind.UNTRUSTED, str(cause))
    except OSError as cause:
        return Failure(FailureKind.NETWORK, str(cause) or type(cause).__name__)
