"""Token counts as upstreams write them. An answer is not lost over a strange one (faults.md 71)."""

from collections.abc import Iterable
from typing import Any, Final

_MOST_TOKENS: Final = 2**53
"""Above it JavaScript clients would read another number than was sent."""


def token_count(counts: Any, name: str) -> int:
    """A count that clients can read; 0 for one that is missing, negative, or no whole number."""
    return token_counts(counts, (name,))[0]


def token_counts(counts: Any, names: Iterable[str]) -> list[int]:
    """The same of several."""
    found = []
    for name in names:
        value = counts.get(name) if isinstance(counts, dict) else None
        if type(value) is float and value.is_integer():
            value = int(value)  # some servers count in floats
        found.append(value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0)
    return found
