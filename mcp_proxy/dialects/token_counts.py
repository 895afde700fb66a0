"""Token counts as upstreams write them. An answer is not lost over a strange one (faults.md 71)."""

from typing import Any, Final

_MOST_TOKENS: Final = 2**53
"""Above it JavaScript clients would read another number than was sent."""


def token_count(counts: Any, name: str) -> int:
    """A count that clients can read; 0 for one that is missing, negative, or no whole number."""
    value = counts.get(name) if isinstance(counts, dict) else None
    if type(value) is float and value.is_integer():
        value = int(value)  # some servers count in floats
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0
