"""Headers in which clients of several APIs name their conversation."""

from collections.abc import Mapping
from typing import Final

_ANYBODYS: Final = ("x-session-id", "x-session-affinity")


def session_in(headers: Mapping[str, str], *more: str) -> str | None:
    """The first that says something; `more` are a dialect's own."""
    return next((named for name in (*_ANYBODYS, *more) if (named := headers.get(name))), None)
