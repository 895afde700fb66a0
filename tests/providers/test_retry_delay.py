"""When an upstream will serve again: the order of sources, and every format seen."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.policy.limit_signals import LONGEST_HINT, PAST_HINT
from mcp_proxy.providers import KNOWN_PROVIDERS, provider
from mcp_proxy.providers.retry_delay import retry_at

NOW = 1_760_000_000.0


def http(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


SOURCES: list[tuple[dict[str, str], dict[str, Any], float]] = [
    ({"Retry-After-Ms": "1500"}, {}, 1.5),
    ({"retry-after": "7.5"}, {}, 7.5),
    ({"retry-after": http(NOW + 30)}, {}, 30),
    ({}, {"resets_at": NOW + 500}, 500),
    ({}, {"resets_in_seconds": 60}, 60),
    ({}, {"message": "Please try again in 20s."}, 20),
    ({"x-ratelimit-reset-tokens": "6m0s"}, {}, 360),
]


@pytest.mark.parametrize("at", range(len(SOURCES) - 1))
def test_a_better_source_counts_more_than_those_after_it(at: int) -> None:
    headers: dict[str, str] = {}
    error: dict[str, Any] = {}
    for more_headers, more_error, _ in reversed(SOURCES[at:]):
        headers |= more_headers
        error |= more_error
    found = retry_at(headers, orjson.dumps({"error": error}).decode(), NOW)
    assert found == pytest.approx(NOW + SOURCES[at][2])


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("try again in 20ms", 0.02),
        ("Please try again in 1.5s. Visit ...", 1.5),
        ("try again in 35 seconds", 35),
        ("Please try again in 2 hours.", 7200),
        ("Please try again in 15 hours 23 minutes", 55_380),
        ("Please retry in 10h17m5.72s.", 37_025.72),
        ("Limit resets in 5 days, 3 hours and 1 minute", 442_860),
        ("wait for 10 seconds and try again", 10),
        ("Please try again in 1h2m3.5s", 3723.5),
        ("available again in about 3 minutes", 180),
        ("try again in 5 monkeys", None),
        ("try again later", None),
        ("limit is 60 seconds", None),
    ],
)
def test_prose(message: str, seconds: float | None) -> None:
    found = retry_at({}, orjson.dumps({"error": {"message": message}}).decode(), NOW)
    assert found == (None if seconds is None else pytest.approx(NOW + seconds))


@pytest.mark.parametrize(
    ("message", "moment"),
    [
        # Z.AI's time is China's: eight hours before it is that time in UTC.
        ("Your limit will reset at 2025-10-09 20:00:00", "2025-10-09T12:00:00+00:00"),
        ("将在 2025-10-09 20:00:00 重置", "2025-10-09T12:00:00+00:00"),
        ("resets at 2025-10-09T20:00:00Z", "2025-10-09T20:00:00+00:00"),
        ("reset at 2025-10-09 20:00:00 UTC", "2025-10-09T20:00:00+00:00"),
        ("try again at 2025-10-09T20:00:00+02:00", "2025-10-09T18:00:00+00:00"),
    ],
)
def test_moments_in_prose(message: str, moment: str) -> None:
    found = retry_at({}, orjson.dumps({"error": {"message": message}}).decode(), NOW)
    assert found == datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"retryDelay": "3.7s"}]}}, 3.7),
        ({"error": {"metadata": {"retry_after_seconds": 12}}}, 12),
        ({"error": {"retry_after": "9"}}, 9),
        ({"error": {"resets_at": str(int(NOW) + 8)}}, 8),
        ({"detail": "Please try again in 4s"}, 4),
        ("try again in 4s", 4),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": f"{(NOW + 6) * 1000:.0f}"}}}}, 6),
    ],
)
def test_bodies(body: Any, seconds: float) -> None:
    assert retry_at({}, orjson.dumps(body).decode(), NOW) == pytest.approx(NOW + seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-requests": "0"}, 0.012),
        (
            {
                "x-ratelimit-reset-requests": "1h0m0s",
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-tokens": "6s",
                "x-ratelimit-remaining-tokens": "0",
            },
            6,
        ),
        # Two windows, and nobody says which is used up.
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6s"}, None),
        ({"anthropic-ratelimit-tokens-reset": iso(NOW + 40)}, 40),
        (
            {
                "anthropic-ratelimit-unified-5h-status": "rejected",
                "anthropic-ratelimit-unified-5h-reset": f"{NOW + 100:.0f}",
                "anthropic-ratelimit-unified-7d-status": "allowed",
                "anthropic-ratelimit-unified-7d-reset": f"{NOW + 9000:.0f}",
            },
            100,
        ),
        (
            {
                "x-codex-primary-used-percent": "100.0",
                "x-codex-primary-reset-at": f"{NOW + 70:.0f}",
                "x-codex-secondary-used-percent": "30",
                "x-codex-secondary-reset-at": f"{NOW + 7000:.0f}",
            },
            70,
        ),
        ({"x-ratelimit-reset": "55"}, 55),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_at(headers, "", NOW)
    assert found == (None if seconds is None else pytest.approx(NOW + seconds))


def test_moments_are_by_the_servers_clock() -> None:
    headers = {"date": http(NOW - 100), "retry-after": http(NOW - 70)}
    assert retry_at(headers, "", NOW) == NOW + 30


@pytest.mark.parametrize("told", ["0", "-5"])
def test_a_wait_that_is_over_is_a_short_one(told: str) -> None:
    assert retry_at({"retry-after": told}, "", NOW) == NOW + PAST_HINT


def test_no_wait_is_longer_than_sense() -> None:
    assert retry_at({"retry-after": "99999999999"}, "", NOW) == NOW + LONGEST_HINT


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "date"]),
        st.text(max_size=12),
    ),
    st.text(max_size=40),
)
def test_whatever_is_said_it_is_a_moment_to_come_or_nothing(
    headers: dict[str, str], body: str
) -> None:
    found = retry_at(headers, body, NOW)
    assert found is None or NOW < found <= NOW + LONGEST_HINT


@pytest.mark.parametrize("name", KNOWN_PROVIDERS)
def test_a_web_page_that_limits_says_until_when(name: str) -> None:
    """What stands before an upstream limits calls, too; to ask again at once would be no use."""
    page = b"<html><title>Too many requests</title></html>"
    read = provider(name).read_failure
    limited = read(429, {"Retry-After": "1500"}, page, now=1_800_000_000.0)
    assert limited.kind is FailureKind.RATE
    assert limited.retry_at == 1_800_001_500.0
    assert read(429, {}, page, now=1_800_000_000.0).kind is FailureKind.UPSTREAM


@pytest.mark.parametrize("token", ["two\r\nlines", "with space", "ümlaut", "", 7])
@pytest.mark.parametrize("name", ["antigravity", "codex"])
def test_a_token_that_no_header_can_carry_is_none(name: str, token: object) -> None:
    body = orjson.dumps({"access_token": token, "expires_in": 3600})
    answer = provider(name).read_refresh(200, {}, body, now=1_800_000_000.0)
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.UPSTREAM
