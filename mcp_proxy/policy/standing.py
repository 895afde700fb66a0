"""One account's standing with one model or quota bucket, its marks, and both as plain JSON.

Values and their meaning at a moment; the rules that change them are in `ledger.py`.
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Literal, cast, get_args

from mcp_proxy.errors import FailureKind
from mcp_proxy.values import value

JsonObject = dict[str, Any]


class State(StrEnum):
    """The one word that is shown for an account, or for an account and a model; best first."""

    READY = "ready"
    SOFT_LIMITED = "soft-limited"
    UNKNOWN = "unknown"
    COOLING_DOWN = "cooling-down"
    EXHAUSTED = "exhausted"
    INVALID = "invalid"
    DISABLED = "disabled"


AHEAD: Final = 60.0
"""Seconds. What is from further ahead was written before the clock was put back."""

PastFigures = tuple[tuple[float, float], ...]
"""Pairs of a Unix time and the fraction that was left then."""


@value
class Standing:
    """What is known of one account with one model, or with a bucket that models share."""

    remaining: float | None = None
    """Fraction of the quota that was left at `remaining_at`; None: nobody has said."""
    remaining_at: float | None = None
    resets_at: float | None = None
    """When `remaining` goes back to 1; from then on the figure says nothing."""
    source: str | None = None
    limited_until: float | None = None
    limit_kind: FailureKind | None = None
    evidence: str = ""
    """The observation behind the latest change, for `limits --why`."""
    strikes: int = 0
    last_failure_at: float | None = None
    last_success_at: float | None = None
    """Kept to the minute: it is stored, and changes with every answer."""
    changed_at: float = 0.0
    past: PastFigures = ()
    """Figures of the last hour and the one before, oldest first; `forecast.py` reckons with them.
    The latest figure may or may not be among them."""

    def remaining_now(self, now: float) -> float | None:
        """The fraction, unless its reset has passed since."""
        if self.resets_at is not None and now >= self.resets_at:
            return None
        return self.remaining

    def limited_now(self, now: float) -> float | None:
        """The end of the cooldown, while it lasts."""
        until = self.limited_until
        is_over = until is None or until <= now or self.is_ahead(now)
        return None if is_over else until

    def is_ahead(self, now: float) -> bool:
        """Whether nobody knows how long ago it was written, and what of it still holds."""
        return self.changed_at - now > AHEAD


MarkKind = Literal["invalid", "suspended", "verification", "misconfigured"]


@value
class Mark:
    """Why an account is out until its owner acts. Survives restarts."""

    kind: MarkKind
    reason: str
    at: float
    credential_id: str
    """Fingerprint of the credential it was earned with: a new sign-in is not held to it."""
    url: str | None = None


def standing_to_json(standing: Standing) -> JsonObject:
    """Without fields that say nothing. Some upstreams have one written with every answer."""
    values = zip(_STANDING_FIELDS, _values(standing), strict=True)
    return {name: value for name, value in values if value is not None}


def standing_from_json(row: object) -> Standing | None:
    """None for a row that is not a standing: a damaged row costs one observation, no more."""
    if not isinstance(row, Mapping):
        return None
    kind = row.get("limit_kind")
    if kind is not None and kind not in FailureKind.__members__.values():
        return None
    typed = _all(row, _NUMBERS, int | float) and _all(row, _TEXTS, str) and _all(row, _WHOLE, int)
    if not typed:
        return None
    known = {name: row[name] for name in _STANDING_FIELDS if row.get(name) is not None}
    if kind is not None:
        known["limit_kind"] = FailureKind(kind)
    known["past"] = _past_figures(row.get("past"))
    return Standing(**known)


def mark_to_json(mark: Mark) -> JsonObject:
    found = {field.name: getattr(mark, field.name) for field in fields(mark)}
    return {name: item for name, item in found.items() if item is not None}


def mark_from_json(row: object) -> Mark | None:
    """None for a row that is not a mark."""
    if not isinstance(row, Mapping) or row.get("kind") not in get_args(MarkKind):
        return None
    if not _all(row, ("at",), int | float) or not _all(row, _MARK_TEXTS, str):
        return None
    return Mark(
        kind=cast(MarkKind, row["kind"]),
        reason=row.get("reason") or "",
        at=row.get("at") or 0.0,
        credential_id=row.get("credential_id") or "",
        url=row.get("url"),
    )


_STANDING_FIELDS = tuple(field.name for field in fields(Standing))
_values = attrgetter(*_STANDING_FIELDS)
_TEXTS = ("source", "evidence")
_WHOLE = ("strikes",)
_NUMBERS = tuple(set(_STANDING_FIELDS) - {*_TEXTS, *_WHOLE, "limit_kind", "past"})
_MARK_TEXTS = ("reason", "credential_id", "url")


def _all(row: Mapping[str, object], names: tuple[str, ...], kind: Any) -> bool:
    return all(row.get(name) is None or isinstance(row[name], kind) for name in names)


def _past_figures(value: object) -> PastFigures:
    """Of damaged ones nothing is kept: that costs a forecast for a while, and no more."""
    figures = []
    for pair in value if isinstance(value, list | tuple) else ():
        match pair:
            case [int() | float() as at, int() | float() as remaining]:
                figures.append((float(at), float(remaining)))
            case _:
                return ()
    return tuple(figures)
