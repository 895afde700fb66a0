"""Headers in which clients of several APIs name their conversation."""

from collections.abc import Mapping
from typing import Final

ANYBODYS: Final = ("x-session-id", "x-session-affinity")
"""Those that belong to no dialect."""


def session_in(headers: Mapping[str, str], *names: str) -> str | None:
    """What the first of these headers says that says something.

    What cannot be shown is no name: bytes that are no text would end in a key of the state.
    """
    for name in names:
        named = headers.get(name)
        if named and named.isprintable():
            return named
    return None
