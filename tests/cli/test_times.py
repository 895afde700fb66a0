"""Moments and spans as people read them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mcp_proxy.cli import times

NOW = datetime(2026, 11, 21, 13, 51, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _an_hour_east(local_zone: Callable[[str], None]) -> None:
    """So that local time cannot be mistaken for UTC."""
    local_zone("XXX-1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 m"),
        (179, "2 m"),
        (3600, "1 h"),
        (8040, "2 h 14 m"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert times.span(seconds) == text


def test_an_age_has_only_its_largest_unit() -> None:
    assert [times.age(seconds) for seconds in (7, 8040, 300_000)] == ["7 s", "2 h", "3 d"]


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (timedelta(0), "now"),
        (timedelta(hours=-1), "now"),
        (timedelta(seconds=12), "in 12 s (14:51)"),
        (timedelta(hours=2, minutes=14), "in 2 h 14 m (17:05)"),
        (timedelta(hours=20), "in 20 h (10:51)"),
        (timedelta(days=3, hours=2), "in 3 d (Tue 16:51)"),
        (timedelta(days=12), "in 12 d (03 Dec)"),
    ],
)
def test_a_moment_is_told_as_a_wait_and_in_local_time(ahead: timedelta, text: str) -> None:
    assert times.until(NOW + ahead, NOW) == text


def test_a_wait_that_is_over_is_now() -> None:
    assert times.wait(NOW, NOW) == "now"
    assert times.wait(NOW + timedelta(hours=2, minutes=14), NOW) == "2 h 14 m"
