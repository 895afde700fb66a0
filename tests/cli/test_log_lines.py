"""The forms of the log: whole lines, one per record, no secret in them; aligned on a terminal."""

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.cli.log_lines import (
    JsonLines,
    TextLines,
    form_of,
)
from mcp_proxy.cli.terminal_lines import Page
from mcp_proxy.cli.wrapping import cells
from mcp_proxy.server.access_log import Facts, Told

FORMS = {
    "text": TextLines(traces=False, journal=False),
    "journal": TextLines(traces=False, journal=True),
    "json": JsonLines(traces=False),
}


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("mcp_proxy.x", logging.WARNING, "", 0, message, values, trace)


@pytest.mark.parametrize("form", FORMS)
@given(text=st.text())
def test_no_record_takes_another_line_or_moves_a_cursor(form: str, text: str) -> None:
    said = FORMS[form].format(record("%s", text))
    # A line of a message of several is a line with a head of its own.
    lines = said.split("\n")
    assert len(lines) == (1 if form == "json" else text.count("\n") + 1)
    assert all(line.isprintable() for line in lines)
    starts = {"journal": "<4>", "json": '{"ts": '}
    assert all(line.startswith(starts.get(form, "20")) for line in lines)


@given(text=st.text())
def test_json_gives_a_message_back_as_it_was(text: str) -> None:
    document = json.loads(FORMS["json"].format(record("%s", text)))
    assert (document["message"], document["level"]) == (text, "warning")


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_is_named_but_not_quoted(form: str) -> None:
    said = FORMS[form].format(record("it broke", error=ValueError("x-api-key: secret")))
    assert "ValueError" in said
    assert "secret" not in said


def test_traces_are_for_those_who_asked() -> None:
    document = json.loads(JsonLines(traces=True).format(record("it broke", error=ValueError("x"))))
    assert (document["exception"], document["trace"]) == ("ValueError", "ValueError: x")


@pytest.fixture
def terminal() -> Iterator[io.TextIOWrapper]:
    ours, its = os.openpty()
    with os.fdopen(its, "w", encoding="utf-8") as stream:
        yield stream
    os.close(ours)


@pytest.mark.parametrize(
    ("wanted", "form"), [("auto", "terminal"), ("text", "text"), ("json", "json")]
)
def test_auto_is_for_people_on_a_terminal(
    wanted: str, form: str, terminal: io.TextIOWrapper
) -> None:
    assert form_of(wanted, terminal) == form


@pytest.mark.parametrize(("wanted", "form"), [("auto", "text"), ("text", "text"), ("json", "json")])
def test_auto_is_text_in_a_file(wanted: str, form: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        assert form_of(wanted, stream) == form


def test_auto_is_text_where_the_stream_is_closed() -> None:
    assert form_of("auto", None) == "text"


# ------------------------------------------------------------------------------ on a terminal

LETTERS = "abc-./é漢\x1b\r\n\u202e"
"""Some of one column, one of two, some that must not be seen."""

names = st.one_of(st.none(), st.text(LETTERS, max_size=30))
words = st.lists(st.text(LETTERS + ";:", min_size=1, max_size=15), max_size=12).map(" ".join)
counts = st.integers(0, 3_000_000)
requests = st.builds(
    Facts,
    request_id=st.just("req_1"),
    method=st.just("POST"),
    path=st.text(LETTERS, max_size=128),
    status=st.sampled_from([200, 404, 429, 499, 500, 529]),
    client=st.text(LETTERS, max_size=15),
    dialect=st.just("anthropic"),
    model=names,
    served=names,
    provider=names,
    account=names,
    attempts=st.just(1),
    first_ms=st.just(1.0),
    total_ms=st.floats(0, 99_999_000),
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
    notes=st.just(()),
    error=st.one_of(st.none(), words),
)
moves = st.lists(st.from_regex(r"[a-z ]{1,30}", fullmatch=True), max_size=3)


@given(requests, moves, st.integers(40, 200))
def test_a_request_fits_the_terminal_and_is_all_there(
    facts: Facts, why: list[str], width: int
) -> None:
    first, *below = Page(width, coloured=False).request(Told(0.0, facts, why))
    assert f" {facts.status} " in first
    assert cells(first) <= width
    for line in below:
        assert line.startswith("      ")
        assert cells(line) <= width
    for line in (first, *below):
        assert line.isprintable()
    said = " ".join(" ".join([first, *below]).split())
    for move in why:
        assert " ".join(move.split()) in said


@given(st.lists(requests, min_size=2, max_size=5), st.integers(80, 200))
def test_the_columns_of_all_requests_stand_below_their_headings(
    several: list[Facts], width: int
) -> None:
    page = Page(width, coloured=False)
    head = page.headings()
    end = head.index("TOOK") + len("TOOK")
    for facts in several:
        first = next(page.request(Told(0.0, facts, ())))
        # Letters of two columns make the text shorter than it looks.
        if first.isascii():
            assert first[end - 1] == "s"
            assert first[end : end + 1] in ("", " ")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9_949, "9.9k"), (9_950, "10k"), (999_499, "999k"),
     (999_500, "1.0M"), (9_949_999, "9.9M"), (12_000_000, "12M")],
)  # fmt: skip
def test_counts_are_short(count: int, shown: str) -> None:
    facts = Facts(
        "req_1", "POST", "/", 200, "-", "anthropic", "m", "m", "zai", "a", 1, 1.0, 1.0,
        count, 0, 0, (), None,
    )  # fmt: skip
    [line] = Page(120, coloured=False).request(Told(0.0, facts, ()))
    assert line.split()[-4] == shown
