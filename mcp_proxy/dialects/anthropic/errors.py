"""ProxyError -> status, headers and body of the Messages API (client-apis.md 1.6)."""

from mcp_proxy.dialects import ErrorReply
from mcp_proxy.dialects.retry_headers import retry_headers
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.strict_json import JsonObject

_STATUS_AND_TYPE: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.BAD_REQUEST: (400, "invalid_request_error"),
    # Claude Code compacts on the text "prompt is too long: A tokens > B maximum".
    ErrorKind.TOO_LONG: (400, "invalid_request_error"),
    ErrorKind.UNAUTHENTICATED: (401, "authentication_error"),
    ErrorKind.FORBIDDEN: (403, "permission_error"),
    ErrorKind.NOT_FOUND: (404, "not_found_error"),
    ErrorKind.UNKNOWN_MODEL: (404, "not_found_error"),
    ErrorKind.METHOD: (405, "invalid_request_error"),
    ErrorKind.TOO_LARGE: (413, "request_too_large"),
    ErrorKind.TOO_LARGE_UPSTREAM: (413, "invalid_request_error"),
    ErrorKind.MEDIA_TYPE: (415, "invalid_request_error"),
    ErrorKind.LIMITED: (429, "rate_limit_error"),
    ErrorKind.INTERNAL: (500, "api_error"),
    ErrorKind.UPSTREAM: (502, "api_error"),
    ErrorKind.NO_ACCOUNT: (503, "api_error"),
    ErrorKind.SLOW: (504, "timeout_error"),
    ErrorKind.LOOP: (508, "api_error"),
    ErrorKind.OVERLOADED: (529, "overloaded_error"),
}


def render_error(error: ProxyError, request_id: str) -> ErrorReply:
    """The error as the whole response."""
    status, _ = _STATUS_AND_TYPE[error.kind]
    return ErrorReply(status, error_body(error, request_id), retry_headers(error))


def error_body(error: ProxyError, request_id: str) -> JsonObject:
    """The error object, which is the same in a response and in a stream."""
    _, kind = _STATUS_AND_TYPE[error.kind]
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": request_id,
    }
