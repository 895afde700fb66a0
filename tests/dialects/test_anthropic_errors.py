"""Errors in the shape of the Messages API."""

import pytest
from anthropic.types import ErrorResponse

from mcp_proxy.dialects.anthropic import CLIENT
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError

STATUS_AND_TYPE = {
    ErrorKind.BAD_REQUEST: (400, "invalid_request_error"),
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
    ErrorKind.LOOP: (508, "api_error"),
    ErrorKind.UPSTREAM: (502, "api_error"),
    ErrorKind.NO_ACCOUNT: (503, "api_error"),
    ErrorKind.SLOW: (504, "timeout_error"),
    ErrorKind.OVERLOADED: (529, "overloaded_error"),
}


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_the_status_and_type_of_the_real_api(kind):
    reply = CLIENT.render_error(ProxyError(kind, "what happened"), "req_1")
    status, error_type = STATUS_AND_TYPE[kind]
    assert reply.status == status
    assert reply.body == {
        "type": "error",
        "error": {"type": error_type, "message": "what happened"},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - {ErrorKind.TOO_LARGE}))
def test_the_sdk_knows_the_error(kind):
    body = CLIENT.render_error(ProxyError(kind, "what happened"), "req_1").body
    known = ErrorResponse.model_validate(body)
    assert known.error.message == "what happened"
    assert known.request_id == "req_1"


def test_the_field_at_fault_is_named_in_the_message():
    reply = CLIENT.render_error(BadRequest("expected text", param="messages[0].role"), "req_1")
    assert reply.body["error"]["message"] == "messages[0].role: expected text"


def test_a_prompt_that_is_too_long_is_said_in_the_words_that_claude_code_reads():
    text = "prompt is too long: 210000 tokens > 200000 maximum"
    reply = CLIENT.render_error(ProxyError(ErrorKind.TOO_LONG, text), "req_1")
    assert reply.body["error"]["message"] == text


def test_a_long_limit_carries_both_headers():
    error = ProxyError(ErrorKind.LIMITED, "RESOURCE_EXHAUSTED: …", retry_after=3599.2)
    assert CLIENT.render_error(error, "req_1").headers == {
        "retry-after": "3600",
        "x-should-retry": "false",
    }
