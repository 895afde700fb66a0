"""Errors in OpenAI's envelope, by contract.md section 4."""

import pytest

from mcp_proxy.dialects import client_dialect
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError, UnknownModel

CLIENT = client_dialect("openai_chat")


@pytest.mark.parametrize(
    ("kind", "status", "said", "code"),
    [
        (ErrorKind.BAD_REQUEST, 400, "invalid_request_error", None),
        (ErrorKind.TOO_LONG, 400, "invalid_request_error", "context_length_exceeded"),
        (ErrorKind.UNAUTHENTICATED, 401, "invalid_request_error", "invalid_api_key"),
        (ErrorKind.FORBIDDEN, 403, "permission_error", None),
        (ErrorKind.NOT_FOUND, 404, "invalid_request_error", "model_not_found"),
        (ErrorKind.UNKNOWN_MODEL, 404, "invalid_request_error", "model_not_found"),
        (ErrorKind.METHOD, 405, "invalid_request_error", None),
        (ErrorKind.TOO_LARGE, 413, "invalid_request_error", "request_too_large"),
        (ErrorKind.TOO_LARGE_UPSTREAM, 413, "invalid_request_error", "request_too_large"),
        (ErrorKind.MEDIA_TYPE, 415, "invalid_request_error", None),
        (ErrorKind.LIMITED, 429, "rate_limit_error", "rate_limit_exceeded"),
        (ErrorKind.NO_ACCOUNT, 503, "server_error", "no_account"),
        (ErrorKind.UPSTREAM, 502, "server_error", "upstream_error"),
        (ErrorKind.OVERLOADED, 503, "server_error", "overloaded"),
        (ErrorKind.SLOW, 504, "server_error", "timeout"),
        (ErrorKind.INTERNAL, 500, "server_error", "internal_error"),
    ],
)
def test_error_of_each_kind(kind, status, said, code):
    answer = CLIENT.render_error(ProxyError(kind, "what happened"), "req_1")
    assert answer.status == status
    assert answer.body == {
        "error": {"message": "what happened", "type": said, "param": None, "code": code}
    }


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_an_answer(kind):
    assert 400 <= CLIENT.render_error(ProxyError(kind, "x"), "req_1").status < 600


def test_refused_field_is_named():
    answer = CLIENT.render_error(BadRequest("only one", param="n"), "req_1")
    assert answer.body["error"]["param"] == "n"
    assert answer.body["error"]["message"] == "n: only one"
    assert answer.headers["x-should-retry"] == "false"


def test_unknown_model_is_named():
    answer = CLIENT.render_error(UnknownModel("gpt-99"), "req_1")
    assert "gpt-99" in answer.body["error"]["message"]
    assert answer.body["error"]["code"] == "model_not_found"


def test_limit_says_when_to_come_back():
    limited = ProxyError(ErrorKind.LIMITED, "RESOURCE_EXHAUSTED: wait", retry_after=7.2)
    assert CLIENT.render_error(limited, "req_1").headers == {"retry-after": "8"}
