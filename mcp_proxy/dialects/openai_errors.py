"""`ProxyError` -> the error envelope of OpenAI's APIs (contract.md 4, faults.md 3.1)."""

from typing import NamedTuple

from mcp_proxy.conversation import JsonObject
from mcp_proxy.dialects import ErrorReply
from mcp_proxy.dialects.retry_headers import retry_headers
from mcp_proxy.errors import ErrorKind, ProxyError


class _Said(NamedTuple):
    status: int
    type: str
    code: str | None


_SAID = {
    ErrorKind.BAD_REQUEST: _Said(400, "invalid_request_error", None),
    ErrorKind.TOO_LONG: _Said(400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.UNAUTHENTICATED: _Said(401, "invalid_request_error", "invalid_api_key"),
    ErrorKind.FORBIDDEN: _Said(403, "permission_error", None),
    # The contract has one row, and so one code, for models and for paths that are not there.
    ErrorKind.NOT_FOUND: _Said(404, "invalid_request_error", "model_not_found"),
    ErrorKind.UNKNOWN_MODEL: _Said(404, "invalid_request_error", "model_not_found"),
    ErrorKind.METHOD: _Said(405, "invalid_request_error", None),
    ErrorKind.TOO_LARGE: _Said(413, "invalid_request_error", "request_too_large"),
    ErrorKind.TOO_LARGE_UPSTREAM: _Said(413, "invalid_request_error", "request_too_large"),
    ErrorKind.MEDIA_TYPE: _Said(415, "invalid_request_error", None),
    ErrorKind.LIMITED: _Said(429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.NO_ACCOUNT: _Said(503, "server_error", "no_account"),
    ErrorKind.UPSTREAM: _Said(502, "server_error", "upstream_error"),
    ErrorKind.OVERLOADED: _Said(503, "server_error", "overloaded"),
    ErrorKind.SLOW: _Said(504, "server_error", "timeout"),
    ErrorKind.LOOP: _Said(508, "server_error", "loop_detected"),
    ErrorKind.INTERNAL: _Said(500, "server_error", "internal_error"),
}


def error_body(error: ProxyError) -> JsonObject:
    """The envelope; the same before and inside a stream."""
    said = _SAID[error.kind]
    return {
        "error": {
            "message": error.message,
            "type": said.type,
            "param": error.param,
            "code": said.code,
        }
    }


def render_error(error: ProxyError) -> ErrorReply:
    return ErrorReply(_SAID[error.kind].status, error_body(error), retry_headers(error))
