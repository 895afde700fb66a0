"""Stop sequences in a text that comes in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.dialects.stop_cutter import StopCutter

letters = st.text(alphabet="ab", max_size=12)


def cut(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    cutter = StopCutter(stops)
    return "".join([*map(cutter.feed, pieces), cutter.close()]), cutter.hit


@given(st.lists(letters, max_size=6), st.lists(letters, max_size=3))
def test_text_ends_where_a_sequence_begins_however_it_is_cut(pieces, stops):
    text, stops = "".join(pieces), [stop for stop in stops if stop]
    shown, hit = cut(pieces, stops)
    assert not any(stop in shown for stop in stops)
    assert hit is None or hit in stops
    assert text == shown if hit is None else text.startswith(shown + hit)


def test_nothing_is_held_back_that_cannot_become_a_sequence():
    cutter = StopCutter(["STOP"])
    assert cutter.feed("a") == "a"
    assert cutter.feed("bS") == "b"
    assert cutter.feed("x") == "Sx"


def test_after_the_sequence_nothing_is_shown():
    cutter = StopCutter(["."])
    assert cutter.feed("a.b") == "a"
    assert (cutter.feed("c"), cutter.close()) == ("", "")
