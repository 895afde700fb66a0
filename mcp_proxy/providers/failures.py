"""One `Failure` of one error answer, in the upstream's words made fit to be shown.

What an answer means is for the tables of each provider; here is what all of them do with it.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.details import page_title, scrubbed
from mcp_proxy.providers.retry_delay import retry_at


class Said(Protocol):
    """An error as far as it could be read."""

    @property
    def status(self) -> int: ...

    @property
    def message(self) -> str: ...


def failure_of(
    kind: FailureKind,
    error: Said,
    *,
    detail: str = "",
    retry_at: float | None = None,
    scope: Scope = Scope.MODEL,
    url: str | None = None,
    feature: str | None = None,
    crowded: bool = False,
) -> Failure:
    """In the upstream's words, or in `detail` where those say too little."""
    text = scrubbed(detail or error.message) or f"the upstream answered {error.status}"
    # Inside a stream that began well there may be no status that says anything.
    status = error.status if error.status >= 400 else None
    return Failure(kind, text, status, retry_at, scope, url, feature, crowded)


def page_failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    kind: FailureKind = FailureKind.UPSTREAM,
) -> Failure:
    """A web page of something in between: no word about the account, nor from the API.

    It may be what limits calls, and say until when.
    """
    moment = retry_at(headers, "", now) if status == HTTPStatus.TOO_MANY_REQUESTS else None
    if moment is not None:
        kind = FailureKind.RATE
    return Failure(kind, page_title(status, body), status, moment)


_URL: Final = re.compile(r"https://[^\s\"'<>)]+[^\s\"'<>).,;:!?]")


def url_in(message: str) -> str | None:
    """Where a message sends the account's owner."""
    found = _URL.search(message)
    return found[0] if found else None


_CROWDED: Final = re.compile(r"concurren", re.IGNORECASE)


def is_crowded(message: str) -> bool:
    """Whether there were too many calls at once, not in a row."""
    return _CROWDED.search(message) is not None
