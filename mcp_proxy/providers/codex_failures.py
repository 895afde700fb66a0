"""What an error answer of the Codex back end or its sign-in means (providers.md 7.3, 7.5-7.7).

Most of it is what every server with OpenAI's API says (`openai_failures.py`); here is the rest.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.details import is_page
from mcp_proxy.providers.error_bodies import read_error_body
from mcp_proxy.providers.failures import failure_of, page_failure
from mcp_proxy.providers.header_names import lower_case
from mcp_proxy.providers.openai_failures import read_openai_failure

_NO_CODEX: Final = "usage_not_included"
_NO_CODEX_TEXT: Final = "the ChatGPT plan of this account does not include Codex"

_OTHER_MODEL: Final = re.compile(
    r"\bmodel\b.{0,80}\bnot (?:supported|available|enabled)\b|\bnot supported\b.{0,40}\bmodel\b",
    re.IGNORECASE | re.DOTALL,
)
_AT_CAPACITY: Final = re.compile(r"\bmodel is at capacity\b", re.IGNORECASE)


def read_codex_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is."""
    if is_page(body):
        # Cloudflare's, also with 403: something in between, and no word about the account.
        return page_failure(status, headers, body, now=now)
    body = _with_words(headers, body)
    error = read_error_body(status, body)
    if _NO_CODEX in (error.type, error.code):
        return failure_of(FailureKind.SUSPENDED, error, detail=_NO_CODEX_TEXT, scope=Scope.ACCOUNT)
    if _AT_CAPACITY.search(error.message):
        return failure_of(FailureKind.CAPACITY, error)
    if error.status in (400, 404) and _OTHER_MODEL.search(error.message):
        return failure_of(FailureKind.NOT_FOUND, error)
    return read_openai_failure(status, headers, body, now=now, has_token=True)


_GONE: Final = frozenset(
    {
        "invalid_grant",
        "refresh_token_expired",
        "refresh_token_invalidated",
        "refresh_token_reused",
    }
)


def read_refresh_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """AUTH_REVOKED only when it says that the grant is gone; anything else may be tried again."""
    error = read_error_body(status, body)
    if not _GONE.isdisjoint((error.code, error.type, error.message)):
        return failure_of(FailureKind.AUTH_REVOKED, error, detail=error.message or error.code)
    if status == 429:
        return read_openai_failure(status, headers, body, now=now)
    if is_page(body):
        return page_failure(status, headers, body, now=now)
    return failure_of(FailureKind.UPSTREAM, error, detail=error.message or error.code)


def _with_words(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body, or where that says nothing, the error in its header."""
    if body.strip():
        return body
    lower = lower_case(headers)
    try:
        return b64decode(lower.get("x-error-json", ""))
    except (binascii.Error, ValueError):
        return body
