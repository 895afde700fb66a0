"""Tables and facts at every width, from their cells alone."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mcp_proxy.cli.layout import Column, Facts, Shown, Table, lines_of
from mcp_proxy.cli.wrapping import cells, longest


def drawn(each: Shown, width: int | None) -> list[str]:
    return [line.plain for line in lines_of(each, width)]


def table(*rows: str, **traits: object) -> Table:
    """Rows as `name|left|what it is about`."""
    made = Table("NAME", Column("LEFT", align="right"), Column("ABOUT", **traits))  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*map(Text, row.split("|")))
    return made


ROWS = ("ada|100%|an account of the laboratory", "grace|5%|another one")


def test_columns_stand_side_by_side_where_there_is_room() -> None:
    assert drawn(table(*ROWS), 80) == [
        "NAME   LEFT  ABOUT",
        "ada    100%  an account of the laboratory",
        "grace    5%  another one",
    ]


def test_running_text_is_wrapped_in_its_column() -> None:
    assert drawn(table(*ROWS, wraps=True), 34) == [
        "NAME   LEFT  ABOUT",
        "ada    100%  an account of the",
        "             laboratory",
        "grace    5%  another one",
    ]


def test_a_column_of_less_weight_is_left_out() -> None:
    assert drawn(table(*ROWS, minor=True), 34) == ["NAME   LEFT", "ada    100%", "grace    5%"]


def test_a_few_long_names_stand_above_their_rows() -> None:
    rows = ("a-name-that-is-too-long|1%|x", "ada|2%|y", "grace|3%|z")
    assert drawn(table(*rows), 21) == [
        "NAME      LEFT  ABOUT",
        "a-name-that-is-too-long",
        "            1%  x",
        "ada         2%  y",
        "grace       3%  z",
    ]


def test_in_the_end_each_row_is_a_record() -> None:
    assert drawn(table(*ROWS), 20) == [
        "ada",
        "  left   100%",
        "  about  an account",
        "         of the",
        "         laboratory",
        "",
        "grace",
        "  left   5%",
        "  about  another one",
    ]


def test_the_only_fact_of_a_record_needs_no_name() -> None:
    made = Table("SETTING", "VALUE")
    made.add_row(Text("server.cors_allow_methods"), Text("GET"))
    made.add_row(Text("server.cors_allow_headers"), Text("*"))
    assert drawn(made, 20) == [
        "server.cors_allow_methods",
        "  GET",
        "",
        "server.cors_allow_headers",
        "  *",
    ]


@pytest.mark.parametrize(
    ("width", "expected"),
    [(80, ["NAME  ABOUT", "ada   x", "bob   -"]), (None, ["NAME  LEFT  ABOUT", "ada      -  x"])],
)
def test_people_see_no_empty_column_and_programs_all(
    width: int | None, expected: list[str]
) -> None:
    assert drawn(table("ada||x", "bob||"), width)[: len(expected)] == expected


def test_lines_between_rows_go_across_all_columns() -> None:
    made = table()
    made.add_line(Text("a heading that is wider than the table"))
    made.add_row(Text("ada"), Text("1%"), Text("x"))
    made.add_line(Text("the end"))
    assert drawn(made, 80) == [
        "NAME  LEFT  ABOUT",
        "a heading that is wider than the table",
        "ada     1%  x",
        "the end",
    ]


def test_letters_of_two_columns_are_counted_as_such() -> None:
    assert drawn(table("日本|1%|x", "ada|2%|y"), 80)[1:] == ["日本    1%  x", "ada     2%  y"]


def test_facts_of_which_there_is_nothing_to_say_are_left_out() -> None:
    facts = Facts(indent=1)
    facts.add("asked", Text("who and what and when"))
    facts.add("error", Text(""))
    facts.add("by", Text("ada"))
    assert drawn(facts, 20) == [" asked  who and what", "        and when", " by     ada"]


def test_a_text_that_is_not_to_be_wrapped_stays_as_it_is() -> None:
    assert drawn(Text("word " * 20, no_wrap=True), 20) == ["word " * 20]


def test_styles_stay_with_their_words() -> None:
    line = Text("plain ").append("bold words", "bold").append(" again")
    parts = list(lines_of(line, 12))
    assert [part.plain for part in parts] == ["plain bold", "  words", "  again"]
    bold = [part.plain[span.start : span.end] for part in parts for span in part.spans]
    assert bold == ["bold", "words"]


cell = st.text(st.sampled_from("ab -日"), max_size=30).map(lambda each: " ".join(each.split()))
shapes: dict[str, Callable[[], Table]] = {
    "plain": lambda: Table("A", "B", "C"),
    "wrapping": lambda: Table("A", "B", Column("C", wraps=True)),
    "minor": lambda: Table("A", Column("B", align="right", minor=True), Column("C", wraps=True)),
}


@pytest.mark.parametrize("shape", shapes)
@given(
    rows=st.lists(st.tuples(cell.filter(bool), cell, cell), min_size=1, max_size=6),
    width=st.none() | st.integers(10, 100),
)
def test_a_line_is_too_wide_only_for_what_cannot_be_broken(
    shape: str, rows: list[tuple[str, str, str]], width: int | None
) -> None:
    made = shapes[shape]()
    for row in rows:
        made.add_row(*map(Text, row))
    lines = drawn(made, width)
    assert all(line == line.rstrip(" ") for line in lines)
    for name, _, _ in rows:
        assert name.split()[0] in "\n".join(lines)
    if width is None:
        assert len(lines) == 1 + len(rows)
        return
    broadest = max(longest(each) for row in rows for each in row)
    assert all(
        cells(line) <= max(width, broadest + len("  b  ")) or line in rows_of(rows)
        for line in lines
    )


def rows_of(rows: list[tuple[str, str, str]]) -> set[str]:
    """Names that have a line of their own."""
    return {name for name, _, _ in rows}
