"""`ProxyError` -> Google's envelope: statuses, and the details that Gemini CLI waits by."""

import pytest

from mcp_proxy.dialects import client_dialect
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError

CLIENT = client_dialect("gemini")
PREFIX = "type.googleapis.com/google.rpc."


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (ErrorKind.BAD_REQUEST, 400, "INVALID_ARGUMENT"),
        (ErrorKind.TOO_LONG, 400, "INVALID_ARGUMENT"),
        (ErrorKind.UNAUTHENTICATED, 401, "UNAUTHENTICATED"),
        (ErrorKind.FORBIDDEN, 403, "PERMISSION_DENIED"),
        (ErrorKind.NOT_FOUND, 404, "NOT_FOUND"),
        (ErrorKind.UNKNOWN_MODEL, 404, "NOT_FOUND"),
        (ErrorKind.METHOD, 405, "UNIMPLEMENTED"),
        (ErrorKind.TOO_LARGE, 413, "INVALID_ARGUMENT"),
        (ErrorKind.TOO_LARGE_UPSTREAM, 413, "INVALID_ARGUMENT"),
        (ErrorKind.MEDIA_TYPE, 415, "INVALID_ARGUMENT"),
        (ErrorKind.LIMITED, 429, "RESOURCE_EXHAUSTED"),
        (ErrorKind.NO_ACCOUNT, 503, "UNAVAILABLE"),
        (ErrorKind.UPSTREAM, 502, "INTERNAL"),
        (ErrorKind.OVERLOADED, 503, "UNAVAILABLE"),
        (ErrorKind.SLOW, 504, "DEADLINE_EXCEEDED"),
        (ErrorKind.INTERNAL, 500, "INTERNAL"),
    ],
)
def test_status(kind, status, name):
    reply = CLIENT.render_error(ProxyError(kind, "no"), "req_1")
    assert reply.status == status
    assert list(reply.body) == ["error"]
    said = reply.body["error"]
    assert (said["code"], said["message"], said["status"]) == (status, "no", name)


def test_every_kind_has_a_status():
    for kind in ErrorKind:
        assert CLIENT.render_error(ProxyError(kind, "no"), "req_1").status >= 400


def details_of(error: ProxyError):
    return CLIENT.render_error(error, "req_1").body["error"].get("details")


def test_short_limit_tells_in_the_body_how_long_to_wait():
    error = ProxyError(ErrorKind.LIMITED, "busy", retry_after=11.2)
    assert details_of(error) == [{"@type": PREFIX + "RetryInfo", "retryDelay": "12s"}]
    assert CLIENT.render_error(error, "req_1").headers["retry-after"] == "12"


def test_limit_of_unknown_length_tells_the_shortest_wait():
    error = ProxyError(ErrorKind.LIMITED, "busy")
    assert details_of(error) == [{"@type": PREFIX + "RetryInfo", "retryDelay": "1s"}]


def test_long_limit_is_a_daily_quota_so_that_gemini_cli_gives_up():
    quota, retry = details_of(ProxyError(ErrorKind.LIMITED, "empty", retry_after=7200))
    assert quota["@type"] == PREFIX + "QuotaFailure"
    assert "PerDay" in quota["violations"][0]["quotaId"]
    assert retry == {"@type": PREFIX + "RetryInfo", "retryDelay": "7200s"}


def test_overload_with_a_known_end_tells_it():
    error = ProxyError(ErrorKind.OVERLOADED, "busy", retry_after=3)
    assert details_of(error) == [{"@type": PREFIX + "RetryInfo", "retryDelay": "3s"}]


def test_wrong_key_has_googles_reason():
    (detail,) = details_of(ProxyError(ErrorKind.UNAUTHENTICATED, "no"))
    assert detail["reason"] == "API_KEY_INVALID"


def test_field_at_fault_is_named():
    (detail,) = details_of(BadRequest("expected text", param="contents[0].role"))
    violation = {"field": "contents[0].role", "description": "contents[0].role: expected text"}
    assert detail == {"@type": PREFIX + "BadRequest", "fieldViolations": [violation]}


def test_other_errors_have_no_details():
    assert details_of(ProxyError(ErrorKind.UPSTREAM, "no")) is None
