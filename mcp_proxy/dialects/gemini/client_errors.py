"""`ProxyError` -> Google's error envelope with its details (client-apis.md 4.4 and 5.5).

Gemini CLI does not read `retry-after`: it waits as `RetryInfo` says, and gives up on a quota whose
name says that it is a daily one.
"""

from typing import Final

from mcp_proxy.dialects import ErrorReply, JsonObject
from mcp_proxy.dialects.retry_headers import retry_headers
from mcp_proxy.errors import ErrorKind, ProxyError

_SAID: Final = {
    ErrorKind.BAD_REQUEST: (400, "INVALID_ARGUMENT"),
    ErrorKind.TOO_LONG: (400, "INVALID_ARGUMENT"),
    ErrorKind.UNAUTHENTICATED: (401, "UNAUTHENTICATED"),
    ErrorKind.FORBIDDEN: (403, "PERMISSION_DENIED"),
    ErrorKind.NOT_FOUND: (404, "NOT_FOUND"),
    ErrorKind.UNKNOWN_MODEL: (404, "NOT_FOUND"),
    ErrorKind.METHOD: (405, "UNIMPLEMENTED"),
    ErrorKind.TOO_LARGE: (413, "INVALID_ARGUMENT"),
    ErrorKind.TOO_LARGE_UPSTREAM: (413, "INVALID_ARGUMENT"),
    ErrorKind.MEDIA_TYPE: (415, "INVALID_ARGUMENT"),
    ErrorKind.LIMITED: (429, "RESOURCE_EXHAUSTED"),
    ErrorKind.NO_ACCOUNT: (503, "UNAVAILABLE"),
    ErrorKind.UPSTREAM: (502, "INTERNAL"),
    ErrorKind.OVERLOADED: (503, "UNAVAILABLE"),
    ErrorKind.SLOW: (504, "DEADLINE_EXCEEDED"),
    ErrorKind.LOOP: (508, "INTERNAL"),
    ErrorKind.INTERNAL: (500, "INTERNAL"),
}
"""Status code and status; the code stands in the body, too."""

_TYPE: Final = "type.googleapis.com/google.rpc."
_DAILY_QUOTA: Final = "GenerateRequestsPerDayPerProjectPerModel"


def error_body(error: ProxyError) -> JsonObject:
    """The envelope, the same before and inside a stream; `error` is its first and only key."""
    code, status = _SAID[error.kind]
    said: JsonObject = {"code": code, "message": error.message, "status": status}
    details = _details(error)
    if details:
        said["details"] = details
    return {"error": said}


def render_error(error: ProxyError) -> ErrorReply:
    return ErrorReply(_SAID[error.kind][0], error_body(error), retry_headers(error))


def _details(error: ProxyError) -> list[JsonObject]:
    details: list[JsonObject] = []
    if error.kind is ErrorKind.UNAUTHENTICATED:
        details.append(_detail("ErrorInfo", reason="API_KEY_INVALID", domain="googleapis.com"))
    if error.kind is ErrorKind.BAD_REQUEST and error.param:
        violation = {"field": error.param, "description": error.message}
        details.append(_detail("BadRequest", fieldViolations=[violation]))
    if error.kind is ErrorKind.LIMITED and error.retry_is_pointless:
        violation = {"quotaId": _DAILY_QUOTA, "description": error.message}
        details.append(_detail("QuotaFailure", violations=[violation]))
    seconds = retry_headers(error).get("retry-after")
    if seconds is not None:
        details.append(_detail("RetryInfo", retryDelay=f"{seconds}s"))
    return details


def _detail(kind: str, **fields: object) -> JsonObject:
    return {"@type": _TYPE + kind, **fields}
