"""Until when an account rests of which its provider does not say when it will serve again."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BILLING_REST: Final = 3600.0
"""Seconds until an account without money is tried again: its owner has to pay first."""


def next_month(now: float) -> float:
    """When what is counted by the month begins anew: the first of the next one, UTC."""
    today = datetime.fromtimestamp(now, UTC)
    year, month = divmod(today.year * 12 + today.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=-8))  # no zone data on this machine: an hour late in summer


_PACIFIC: Final = _pacific()


def next_pacific_midnight(now: float) -> float:
    """When Google's quotas by the day are filled again (providers.md 4)."""
    today = datetime.fromtimestamp(now, UTC).astimezone(_PACIFIC).date()
    tomorrow = today + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=_PACIFIC).timestamp()
