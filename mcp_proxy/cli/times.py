"""Moments and spans as people read them at a terminal. The present is an argument.

`policy/durations.py` writes the exact spans of protocols and logs; these are rounded, and local.
"""

from datetime import UTC, datetime

_DAY = 86_400
_STEPS = (("d", _DAY, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))
_SHAPES = ((_DAY, "%H:%M"), (6 * _DAY, "%a %H:%M"), (float("inf"), "%d %b"))
"""How the local moment is written, by how far away it is."""


def parse(moment: str) -> datetime:
    """The ISO 8601 text of a report."""
    return datetime.fromisoformat(moment)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second: how JSON has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def span(seconds: float) -> str:
    """8040 -> `2 h 14 m`: the two largest units, the second one only where it says something."""
    whole = max(0, round(seconds))
    for unit, size, smaller, smaller_size in _STEPS:
        if whole >= size:
            rest = whole % size // smaller_size
            tail = f" {rest} {smaller}" if rest and unit != "m" else ""
            return f"{whole // size} {unit}{tail}"
    return f"{whole} s"


def age(seconds: float) -> str:
    """8040 -> `2 h`: the largest unit."""
    return " ".join(span(seconds).split(" ")[:2])


def until(moment: datetime, now: datetime) -> str:
    """`in 2 h 14 m (16:05)`, `in 3 d (Tue 16:05)`, `in 12 d (03 Dec)`; `now` once it has come."""
    seconds = (moment - now).total_seconds()
    if seconds <= 0:
        return "now"
    written = span if seconds < _DAY else age
    shape = next(shape for longest, shape in _SHAPES if seconds < longest)
    return f"in {written(seconds)} ({moment.astimezone():{shape}})"


def clock(moment: datetime, now: datetime) -> str:
    """`16:05:59`, and the day with it when that was another one: `03 Dec 16:05`."""
    local, today = moment.astimezone(), now.astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%d %b %H:%M}"


def wait(moment: datetime, now: datetime) -> str:
    """`2 h 14 m`, where there is no room for more."""
    seconds = (moment - now).total_seconds()
    return span(seconds) if seconds > 0 else "now"
