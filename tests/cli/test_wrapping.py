"""Where lines are broken, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.cli.wrapping import HANG, cells, fold, longest, wrapped

LINES = {
    "short": "short",
    "words that do not fit": "words that do\n  not fit",
    "  ok: what stands below hangs": "  ok: what\n    stands\n    below hangs",
    "sign in again; run: mcproxy accounts add": "sign in again;\n  run:\n  mcproxy accounts add",
    "no one (mcproxy serve --demo) yet": "no one\n  (mcproxy serve --demo)\n  yet",
    "Run: npm install -g @a/b; or not": "Run:\n  npm install -g @a/b;\n  or not",
    "see `mcproxy models` for that": "see\n  `mcproxy models`\n  for that",
    "Try 'mcproxy run --help' now": "Try\n  'mcproxy run --help'\n  now",
    "Did you mean mcproxy help or mcproxy env?": (
        "Did you mean\n  mcproxy help\n  or\n  mcproxy env?"
    ),
    "here: mcproxy 0.1.0 serves": "here: mcproxy\n  0.1.0 serves",
    "at https://example.org/a/long/path": "at\n  https://example.org/a/long/path",
    "日本語 の 文字 は 広い です": "日本語 の 文字\n  は 広い です",
    " " * 30: " " * 30,
    "": "",
}


@pytest.mark.parametrize(("line", "folded"), LINES.items())
def test_lines_are_broken_between_what_belongs_together(line: str, folded: str) -> None:
    assert fold(line, 15) == folded


def test_without_a_width_nothing_is_broken() -> None:
    assert fold("word " * 1000, None) == "word " * 1000


words = st.text(st.sampled_from("ab:;,.()`' 日é-"), min_size=1, max_size=80)


@given(words, st.integers(1, 60), st.integers(0, 8))
def test_nothing_is_lost_but_blanks(line: str, width: int, hang: int) -> None:
    kept = "".join(line[start:end] for start, end, _ in wrapped(line, width, hang))
    assert kept.replace(" ", "") == line.replace(" ", "")


@given(words, st.integers(1, 60))
def test_a_part_is_too_wide_only_when_it_is_one_thing(line: str, width: int) -> None:
    margin = len(line) - len(line.lstrip(" "))
    for start, end, indent in wrapped(line, width):
        part = line[start:end]
        assert indent in (0, margin + HANG)
        assert not part.strip(" ") or part == part.rstrip(" ") or cells(line) <= width
        if indent + cells(part) > width and part.strip(" "):
            assert longest(line) >= cells(part.strip(" "))


@given(st.text(max_size=40))
def test_ascii_is_as_wide_as_it_is_long(line: str) -> None:
    assert cells(line) == len(line) or not line.isascii()
