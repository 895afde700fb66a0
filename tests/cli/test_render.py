"""What reaches the terminal: nothing that it would obey, nothing that it cannot show."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.table import Table

from mcp_proxy.cli.render import clean, show, state_text, table, text

NASTY = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b]0;title\x07name": "name",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\": "click",
    "two\nlines\tand\rmore": "two lines and more",
    "abc\u202egnp.exe": "abcgnp.exe",
    "zero\u200bwidth\ufeff": "zerowidth",
    "bell\x07\x9b31m": "bell31m",
    "\x1b": "",
    "[red]x[/]": "[red]x[/]",
    "Grüße 日本": "Grüße 日本",
}


@pytest.mark.parametrize(("raw", "shown"), NASTY.items())
def test_data_is_shown_without_what_a_terminal_obeys(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text())
def test_nothing_unseen_survives(raw: str) -> None:
    assert clean(raw).isprintable()
    assert clean(clean(raw)) == clean(raw)


def printed(result: dict[str, Any], *rows: RenderableType, as_json: bool = False) -> str:
    """What reaches an ASCII stream that nobody looks at."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace", newline="\n")
    with redirect_stdout(stream):
        show(result, lambda _: rows, as_json=as_json)
    stream.flush()
    stream.seek(0)
    return stream.read()


def wide(content: str) -> Table:
    rows = table("NAME", "STATE")
    rows.add_row(text(content), state_text("ready"))
    return rows


def test_a_table_is_ascii_plain_and_uncut_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = printed({}, wide("x" * 90 + "[b]é[/b]"))
    assert "x" * 90 + "[b]?[/b]" in out
    assert "\x1b" not in out


def test_columns_bounds_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    out = printed({}, wide("q" * 20), text("word " * 40))
    assert max(map(len, out.splitlines())) <= 30
    assert out.count("word") == 40


def test_a_line_is_broken_between_words_and_never_inside_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    address = "https://accounts.example/verify?" + "x" * 300
    assert printed({}, text(f"See {address}")) == f"See\n  {address}\n"


def test_json_is_one_document_and_nothing_else() -> None:
    result = {"name": "é\x1b[31m\u202e", "none": None, "list": [1.5]}
    out = printed(result, text("not this"), as_json=True)
    assert json.loads(out) == result
    assert "\x1b" not in out
