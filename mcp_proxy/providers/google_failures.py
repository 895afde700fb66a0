"""What an error answer of a Google upstream means, from status, headers and body.

Limits are recognised in `policy/limit_signals.py`; this is the table of everything else
(protocols/cloudcode.md 4.7, 6.1, 6.7). Nobody after this reads message text.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.limit_signals import classify
from mcp_proxy.providers.details import MAX_DETAIL, is_page, too_long
from mcp_proxy.providers.failures import failure_of, page_failure, url_in


class GoogleError(NamedTuple):
    """Google's error object, as far as it could be read."""

    status: int
    message: str
    name: str
    """`INVALID_ARGUMENT` and the like."""
    details: tuple[dict[str, Any], ...]

    def mentions(self, *phrases: str) -> bool:
        text = f"{self.name} {self.message} {self._reasons()}".lower()
        return any(phrase in text for phrase in phrases)

    def _reasons(self) -> str:
        return " ".join(str(detail.get("reason", "")) for detail in self.details)

    def metadata(self, key: str) -> str | None:
        for detail in self.details:
            metadata = detail.get("metadata")
            value = metadata.get(key) if isinstance(metadata, dict) else None
            if isinstance(value, str):
                return value
        return None


def read_google_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is."""
    limit = classify(status, headers, body, now=now)
    if limit is not None:
        return limit
    if is_page(body):
        return page_failure(status, headers, body, now=now)
    error = read_error(status, body)
    reader = _READERS.get(error.status)
    if reader is not None:
        return reader(error)
    kind = FailureKind.BAD_REQUEST if 400 < error.status < 500 else FailureKind.UPSTREAM
    return failure_of(kind, error)


def read_error(status: int, body: bytes) -> GoogleError:
    """The error object of a body, or of the first element of a list; else the text there is."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, list) and value:
        value = value[0]  # without alt=sse an error comes as a list of one
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        text = error if isinstance(error, str) else body[:MAX_DETAIL].decode("utf-8", "replace")
        return GoogleError(status, text.strip(), "", ())
    code = error.get("code")
    details = error.get("details")
    known = details if isinstance(details, list) else []
    return GoogleError(
        # Inside a stream the answer's own status was 200.
        status=code if status < 400 and isinstance(code, int) else status,
        message=str(error.get("message", "")),
        name=str(error.get("status", "")),
        details=tuple(detail for detail in known if isinstance(detail, dict)),
    )


_SEAL_WORDS: Final = (
    "invalid `signature` in `thinking`",
    "expected `thinking`",
    "expected thinking",
    "must start with a thinking block",
    "first block must be",
    "thinking is disabled",
    "thought_signature",
    "thought signature",
    "thoughtsignature",
)
_TOO_LONG_WORDS: Final = (
    "prompt is too long",
    "prompt_too_long",
    "context length",
    "context window",
    "context_length",
    "input token count",
)
_WRONG_PLACE_WORDS: Final = ("user location is not supported", "is no longer supported")


def _bad_request(error: GoogleError) -> Failure:
    if error.mentions(*_TOO_LONG_WORDS):
        return failure_of(FailureKind.TOO_LONG, error, detail=too_long(error.message))
    if error.mentions(*_SEAL_WORDS):
        return failure_of(FailureKind.SEAL, error)
    if error.mentions(*_WRONG_PLACE_WORDS):
        return failure_of(FailureKind.MISCONFIGURED, error)
    return failure_of(FailureKind.BAD_REQUEST, error)


_REVOKED_WORDS: Final = (
    "invalid_grant",
    "token revoked",
    "has been expired or revoked",
    "invalid_client",
    "credentials are invalid",
)


def _unauthorized(error: GoogleError) -> Failure:
    revoked = error.mentions(*_REVOKED_WORDS)
    return failure_of(FailureKind.AUTH_REVOKED if revoked else FailureKind.AUTH_EXPIRED, error)


_VERIFY_WORDS: Final = ("validation_required", "verify your account")
_SUSPENDED_WORDS: Final = (
    "account_disabled",
    "user_disabled",
    "tos_violation",
    "violation of terms",
    "violation of the terms",
    "violation of our terms",
    "has been suspended",
)


def _forbidden(error: GoogleError) -> Failure:
    url = _mending_url(error)
    if error.metadata("validation_url") or error.mentions(*_VERIFY_WORDS):
        return failure_of(FailureKind.VERIFICATION, error, scope=Scope.ACCOUNT, url=url)
    if error.mentions(*_SUSPENDED_WORDS):
        return failure_of(FailureKind.SUSPENDED, error, scope=Scope.ACCOUNT, url=url)
    return failure_of(FailureKind.MISCONFIGURED, error, url=url)


def _mending_url(error: GoogleError) -> str | None:
    for key in ("validation_url", "activationUrl", "appeal_url"):
        url = error.metadata(key)
        if url is not None and url.startswith("https://"):
            return url
    return url_in(error.message)


def _not_found(error: GoogleError) -> Failure:
    # An account scope: the project is unknown, every model would fail alike.
    names = (str(detail.get("resourceName", "")) for detail in error.details)
    # Vertex names models below a project, too.
    of_project = any(name.startswith("projects/") and "/models/" not in name for name in names)
    scope = Scope.ACCOUNT if of_project else Scope.MODEL
    return failure_of(FailureKind.NOT_FOUND, error, scope=scope)


def _slow(error: GoogleError) -> Failure:
    return failure_of(FailureKind.SLOW, error)


def _cancelled(error: GoogleError) -> Failure:
    # Nobody here cancels and then reads on: it was given up behind the front end.
    return failure_of(FailureKind.UPSTREAM, error)


_READERS: Final = {
    400: _bad_request,
    401: _unauthorized,
    403: _forbidden,
    404: _not_found,
    408: _slow,
    499: _cancelled,
}
