"""The exact bodies of protocols/cloudcode.md 6.1, every form of a wait, and the known traps."""

# ruff: noqa: E501  (bodies stand as they were seen)

import math
from email.utils import formatdate

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.limit_signals import LONGEST_HINT, classify

NOW = 1_776_676_789.25  # 2026-04-20T09:19:49.25Z

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"

SHORT_RATE = b"""{"error":{"code":429,"message":"You have exhausted your capacity on this model. Your quota will reset after 0s.",
 "status":"RESOURCE_EXHAUSTED","details":[
  {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"cloudcode-pa.googleapis.com",
   "metadata":{"model":"claude-opus-4-6-thinking","quotaResetDelay":"479.417207ms","quotaResetTimeStamp":"2026-04-20T09:19:49Z","uiMessage":"true"}},
  {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.479417207s"}]}}"""

QUOTA_GONE = b"""{"error":{"code":429,"message":"You have exhausted your capacity on this model. Your quota will reset after 1h43m56s.",
 "status":"RESOURCE_EXHAUSTED","details":[
  {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"QUOTA_EXHAUSTED","domain":"cloudcode-pa.googleapis.com",
   "metadata":{"model":"claude-opus-4-6-thinking","quotaResetDelay":"1h43m56.5s"}}]}}"""

GENERIC = b"""{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}"""

NO_CAPACITY = b"""{"error":{"code":503,"message":"No capacity available for model gemini-3.1-flash-image on the server","status":"UNAVAILABLE",
 "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"MODEL_CAPACITY_EXHAUSTED","domain":"cloudcode-pa.googleapis.com","metadata":{"model":"gemini-3.1-flash-image"}}]}}"""

VERIFICATION = b"""{"error":{"code":403,"message":"VALIDATION_REQUIRED: check quota","status":"PERMISSION_DENIED","details":[{"metadata":{"validation_url":"https://accounts.google.com/signin/continue?x=1"}}]}}"""

NO_CREDITS = b"""{"error":{"code":429,"message":"Insufficient credits.","status":"RESOURCE_EXHAUSTED",
 "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INSUFFICIENT_G1_CREDITS_BALANCE"}]}}"""

WRONG_PROJECT = b"""{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND","details":[{"resourceName":"projects/p-1"}]}}"""

BAD_ARGUMENT = b"""{"error":{"code":400,"message":"quota_exhausted is no field, rate limit neither","status":"INVALID_ARGUMENT"}}"""


def read(body: bytes, status: int = 429, headers: dict[str, str] | None = None) -> Failure | None:
    return classify(status, headers or {}, body, now=NOW)


def limited(body: bytes, status: int = 429, headers: dict[str, str] | None = None) -> Failure:
    failure = read(body, status, headers)
    assert failure is not None
    return failure


def wait(body: bytes, status: int = 429, headers: dict[str, str] | None = None) -> float | None:
    retry_at = limited(body, status, headers).retry_at
    return None if retry_at is None else retry_at - NOW


def body(message: str = "", *details: dict[str, object], **more: object) -> bytes:
    return orjson.dumps({"error": {"message": message, "details": list(details), **more}})


@pytest.mark.parametrize(
    ("answer", "status", "kind", "scope", "seconds"),
    [
        pytest.param(SHORT_RATE, 429, FailureKind.RATE, Scope.MODEL, 0.479417207, id="A"),
        pytest.param(QUOTA_GONE, 429, FailureKind.QUOTA, Scope.BUCKET, 6236.5, id="B"),
        pytest.param(GENERIC, 429, FailureKind.RATE, Scope.MODEL, None, id="C"),
        pytest.param(NO_CAPACITY, 503, FailureKind.CAPACITY, Scope.MODEL, None, id="D"),
        pytest.param(NO_CAPACITY, 429, FailureKind.CAPACITY, Scope.MODEL, None, id="D-as-429"),
        pytest.param(NO_CAPACITY, 529, FailureKind.CAPACITY, Scope.MODEL, None, id="D-as-529"),
        pytest.param(NO_CREDITS, 429, FailureKind.QUOTA, Scope.BUCKET, None, id="F"),
    ],
)
def test_the_recorded_bodies_mean_what_the_protocol_page_says(
    answer: bytes, status: int, kind: FailureKind, scope: Scope, seconds: float | None
) -> None:
    failure = limited(answer, status)
    assert (failure.kind, failure.scope, failure.status) == (kind, scope, status)
    found = wait(answer, status)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(VERIFICATION, 403, id="E"),
        pytest.param(WRONG_PROJECT, 404, id="G"),
        pytest.param(BAD_ARGUMENT, 400, id="H"),
        pytest.param(b'{"error":{"code":500,"message":"quota exceeded"}}', 500, id="500"),
        pytest.param(b"<html>503 Service Unavailable</html>", 503, id="page-of-a-balancer"),
        pytest.param(b"", 502, id="empty"),
    ],
)
def test_words_about_limits_do_not_make_a_limit_of_another_status(
    answer: bytes, status: int
) -> None:
    assert read(answer, status) is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You have exhausted your capacity on this model.", FailureKind.RATE),
        ("Quota exceeded for quota metric 'Requests' and limit 'per minute'", FailureKind.RATE),
        ("Too many requests", FailureKind.RATE),
        ("Requests are being throttled", FailureKind.RATE),
        ("Individual quota reached", FailureKind.QUOTA),
        ("Quota exceeded for this day", FailureKind.QUOTA),
        ("The daily limit of this model", FailureKind.QUOTA),
        ("QUOTA_EXHAUSTED", FailureKind.QUOTA),
        ("The model is currently overloaded.", FailureKind.CAPACITY),
        ("No capacity available for model x on the server", FailureKind.CAPACITY),
        ("Service temporarily unavailable", FailureKind.CAPACITY),
        ("Your quota will reset after 30s.", FailureKind.RATE),
        ("Your quota will reset after 2h5m.", FailureKind.QUOTA),
        ("something nobody has seen", FailureKind.RATE),
    ],
)
def test_without_a_reason_the_words_decide(message: str, kind: FailureKind) -> None:
    assert limited(body(message)).kind is kind


def test_the_reason_decides_against_the_words() -> None:
    reason = {"@type": ERROR_INFO, "reason": "QUOTA_EXHAUSTED"}
    assert limited(body("Too many requests: rate limit", reason)).kind is FailureKind.QUOTA


def test_an_error_object_in_a_stream_counts_by_its_own_code() -> None:
    assert limited(SHORT_RATE, 200).status == 429
    assert limited(NO_CAPACITY, 200).kind is FailureKind.CAPACITY


def test_resource_exhausted_is_a_limit_whatever_the_status() -> None:
    assert limited(GENERIC, 400).kind is FailureKind.RATE


@pytest.mark.parametrize(
    "answer", [b"[" + GENERIC + b"]", orjson.loads(GENERIC)["error"], b"not json", b"", b"[]", b"3"]
)
def test_a_429_is_a_limit_in_whatever_shape(answer: object) -> None:
    raw = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    assert limited(raw).kind is FailureKind.RATE


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Your quota will reset after 1h16m0.667s.", 4560.667),
        ("reset after 754.431528ms", 0.754431528),
        ("Please retry after 5 seconds", 5),
        ("retry after 7 sec", 7),
        ("try again in 2m 5s", 125),
        ("try again in 12s", 12),
        ("backoff for 8s", 8),
        ("please wait 9s", 9),
        ("(wait 4s)", 4),
        ("quota will reset in 33 seconds", 33),
        ("reset: 2026-04-20T09:20:49.25Z", 60),
        ('reset at "2026-04-20T09:20:49.25Z"', 60),
        ("available in 7739.23s", 7739.23),
        ("nothing of use 5s", None),
    ],
)
def test_a_wait_is_read_from_the_message(message: str, seconds: float | None) -> None:
    found = wait(body(message))
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-5))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "5"}, 5),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"x-ratelimit-reset": str(int(NOW) + 60)}, 60),
        ({"X-RateLimit-Reset-After": "12.5"}, 12.5),
        ({"Retry-After": "-3"}, 1),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "1e9"}, LONGEST_HINT),
        ({"Retry-After": "NaN"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": formatdate(NOW - 900, usegmt=True)}, 1),
        ({}, None),
    ],
)
def test_a_wait_is_read_from_headers_and_kept_within_sense(
    headers: dict[str, str], seconds: float | None
) -> None:
    found = wait(b"{}", headers=headers)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1))


def test_dates_are_read_by_the_servers_clock() -> None:
    ahead = NOW + 3600
    headers = {
        "Date": formatdate(ahead, usegmt=True),
        "Retry-After": formatdate(ahead + 30, usegmt=True),
    }
    assert wait(b"{}", headers=headers) == pytest.approx(30, abs=1)


def test_the_body_is_believed_before_the_headers_and_structure_before_text() -> None:
    headers = {"retry-after": "9"}
    delay = {"@type": RETRY_INFO, "retryDelay": "1.5s"}
    info = {"@type": ERROR_INFO, "metadata": {"quotaResetDelay": "2.5s"}}
    stamp = {"metadata": {"quotaResetTimeStamp": "2026-04-20T09:19:54.25Z"}}
    assert wait(body("reset after 3s", info, delay), headers=headers) == pytest.approx(1.5)
    assert wait(body("reset after 3s", info), headers=headers) == pytest.approx(2.5)
    assert wait(body("reset after 3s", stamp), headers=headers) == pytest.approx(5)
    assert wait(body("reset after 3s"), headers=headers) == pytest.approx(3)
    assert wait(body("", retry_after=4), headers=headers) == pytest.approx(4)
    assert wait(body(""), headers=headers) == pytest.approx(9)


def test_an_unreadable_wait_gives_way_to_the_next_source() -> None:
    delay = {"@type": RETRY_INFO, "retryDelay": "a while"}
    assert wait(body("reset after 3s", delay)) == pytest.approx(3)


def test_the_upstreams_words_are_kept_to_a_readable_length() -> None:
    assert limited(GENERIC).detail == "Resource has been exhausted (e.g. check quota)."
    assert len(limited(body("x" * 10_000)).detail) == 2048
    assert limited(b"", 529).detail == "the upstream answered 529"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON,
        "status": JSON,
        "code": JSON,
        "retry_after": JSON,
        "details": st.lists(
            st.fixed_dictionaries(
                {}, optional={"reason": JSON, "metadata": JSON, "retryDelay": JSON}
            )
        )
        | JSON,
    },
)


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["Date", "retry-after", "retry-after-ms", "x-ratelimit-reset"]),
        st.text(max_size=30),
    ),
    st.binary(max_size=40)
    | JSON.map(orjson.dumps)
    | SHAPED.map(lambda error: orjson.dumps({"error": error})),
)
def test_whatever_comes_is_read_without_an_exception_and_into_a_sane_wait(
    status: int, headers: dict[str, str], answer: bytes
) -> None:
    failure = classify(status, headers, answer, now=NOW)
    if failure is not None and failure.retry_at is not None:
        assert math.isfinite(failure.retry_at)
        assert 0 < failure.retry_at - NOW <= LONGEST_HINT + 1e-3
