"""Which model of another family stands in for one that no account can serve now.

Data and one rule: only the entries of the model that was asked for count, in their order. The
entries of a stand-in are never followed, so a chain cannot loop.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

FallbackTable = Mapping[str, Sequence[str]]

_NEWEST_OPUS = ("claude-opus-4-6-thinking",)
_NEWEST_SONNET = ("claude-sonnet-4-6",)
_FLASH = ("gemini-3-flash",)

DEFAULT_FALLBACKS: Final[FallbackTable] = {
    "gemini-3-pro-high": ("claude-opus-4-5-thinking",),
    "gemini-3-pro-low": ("claude-sonnet-4-5",),
    "gemini-3-flash": ("claude-sonnet-4-5-thinking", *_NEWEST_SONNET),
    "claude-opus-4-5-thinking": ("gemini-3-pro-high",),
    "claude-sonnet-4-5": _FLASH,
    "claude-sonnet-4-5-thinking": _FLASH,
    "claude-opus-4-6-thinking": ("gemini-pro-agent", "gemini-3.1-pro-high"),
    "claude-sonnet-4-6": _FLASH,
    "gemini-pro-agent": _NEWEST_OPUS,
    "gemini-3.1-pro-high": _NEWEST_OPUS,
    "gemini-3.1-pro-low": _NEWEST_SONNET,
    "gemini-3.1-flash-lite": _NEWEST_SONNET,
    "gemini-3-flash-agent": _NEWEST_SONNET,
    "gemini-3.5-flash-low": _NEWEST_SONNET,
    "gemini-3.5-flash-extra-low": _NEWEST_SONNET,
    "gemini-3.6-flash-high": _NEWEST_SONNET,
    "gemini-3.7-flash-high": _NEWEST_SONNET,
}


def fallback_models(model: str, table: FallbackTable, seen: frozenset[str]) -> Iterator[str]:
    """Stand-ins for `model` in the table's order, each once, without those already `seen`."""
    done = {model, *seen}
    for stand_in in table.get(model, ()):
        if stand_in not in done:
            done.add(stand_in)
            yield stand_in
