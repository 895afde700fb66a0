"""Answers told as events, part by part, for suites of renderers; strategies that cut them up."""

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from mcp_proxy.conversation import Media, Seal, Thinking, Verbatim, WebSearch
from mcp_proxy.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)

USED = Usage(input=5, output=4)

_KINDS = {
    Media: PartKind.MEDIA,
    Thinking: PartKind.THINKING,
    Verbatim: PartKind.VERBATIM,
    WebSearch: PartKind.SEARCH,
}


def text(at: int, *pieces: str, seal: Seal | None = None) -> list[Event]:
    deltas = [TextDelta(at, piece) for piece in pieces]
    return [PartOpened(at, PartKind.TEXT), *deltas, PartClosed(at, seal)]


def thinking(at: int, *pieces: str, seal: Seal | None = None) -> list[Event]:
    deltas = [ThinkingDelta(at, piece) for piece in pieces]
    return [PartOpened(at, PartKind.THINKING), *deltas, PartClosed(at, seal)]


def call(
    at: int, name: str, *pieces: str, prefix: str = "call_", seal: Seal | None = None
) -> list[Event]:
    deltas = [ArgumentsDelta(at, piece) for piece in pieces]
    opened = PartOpened(at, PartKind.TOOL_CALL, f"{prefix}{at}", name)
    return [opened, *deltas, PartClosed(at, seal)]


def whole_part(at: int, part: Media | Thinking | Verbatim | WebSearch) -> list[Event]:
    return [PartOpened(at, _KINDS[type(part)], whole=part), PartClosed(at)]


def answer_of(
    *parts: list[Event],
    stop: Stop = Stop.END,
    sequence: str | None = None,
    usage: Usage = USED,
) -> list[Event]:
    body = [event for part in parts for event in part]
    return [Started(), *body, UsageSeen(usage), Finished(stop, sequence)]


LETTERS = 'ab "\\\n\r{}%é☃😀\u2028\x00'
"""What has to be escaped, and what takes one to four bytes."""

TEXT = st.text(st.sampled_from(LETTERS), max_size=6)
PIECES = st.lists(TEXT, max_size=3)

_Whole = TypeVar("_Whole", bound=Sequence[Any])


def cut_up(draw: st.DrawFn, whole: _Whole) -> list[_Whole]:
    """The whole in up to five pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces: list[Any] = [
        whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
    ]
    return pieces


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    return Usage(*(draw(st.integers(0, 99)) for _ in range(5)))
