"""Spans and moments in every spelling seen, and in none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.policy.durations import (
    go_duration,
    http_date,
    iso_moment,
    plain_number,
    spell_duration,
    spell_moment,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.479417207s", 0.479417207),
        ("754.431528ms", 0.754431528),
        ("3.957525076s", 3.957525076),
        ("1h16m0.667s", 4560.667),
        ("5m30s", 330),
        ("7739.23s", 7739.23),
        ("2h", 7200),
        ("12us", 12e-6),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("40ns", 40e-9),
        ("-3s", -3),
        (" 1m ", 60),
        ("", None),
        ("5", None),
        ("s", None),
        ("1h!", None),
        ("1d", None),
        ("9" * 400 + "s", None),
    ],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert go_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("1e9", 1e9),
        ("-2", -2),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
    ],
)
def test_plain_numbers(text: str, number: float | None) -> None:
    assert plain_number(text) == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-04-20T09:19:49Z", 1_776_676_789),
        ("2026-04-20T09:19:49", 1_776_676_789),
        ("2026-04-20T11:19:49.5+02:00", 1_776_676_789.5),
        ("2026-04-20T09:19:49.123456789Z", 1_776_676_789.123456),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
    ],
)
def test_iso_moments(text: str, moment: float | None) -> None:
    assert iso_moment(text) == moment


def test_http_dates() -> None:
    assert http_date("Mon, 20 Apr 2026 09:19:49 GMT") == 1_776_676_789
    assert http_date("tomorrow") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (-4, "0s"), (0.2, "1s"), (61, "1m1s"), (7200, "2h0m0s"), (6235.1, "1h43m56s")],
)
def test_spans_are_spelled_rounded_up(seconds: float, words: str) -> None:
    assert spell_duration(seconds) == words


def test_moments_are_spelled_in_utc() -> None:
    assert spell_moment(1_776_676_788.2) == "2026-04-20T09:19:49Z"


@given(st.floats(min_value=1, max_value=1e8))
def test_a_span_that_is_spelled_reads_back_to_the_next_second(seconds: float) -> None:
    back = go_duration(spell_duration(seconds))
    assert back is not None
    assert seconds <= back <= seconds + 1


@given(st.text(max_size=40))
def test_readers_never_raise(text: str) -> None:
    for reader in (go_duration, plain_number, iso_moment, http_date):
        found = reader(text)
        assert found is None or isinstance(found, float)
