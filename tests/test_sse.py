"""Records do not depend on how their bytes were cut, nor on which line ends were used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.events import UpstreamBroke
from mcp_proxy.sse import MAX_RECORD, SseReader, sse_record

TEXTS = st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))


def read(chunks):
    reader = SseReader()
    found = [data for chunk in chunks for data in reader.feed(chunk)]
    return found + reader.close()


def cut(data, sizes):
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\n", [b"a"]),
        (b"data: a\r\r", [b"a"]),
        (b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b": comment\n\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 7\nretry: 10\ndata: a\nunknown: y\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\n\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"data: last without its blank line", [b"last without its blank line"]),
        (b"data: one\n\ndata: last\n", [b"one", b"last"]),
        (b"data: a\n\nevent: x\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n: c\r\n\r\n", [b"a", b"b"]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_records_follow_the_rules_whatever_the_chunks(text, records, size):
    assert read(text[at : at + size] for at in range(0, len(text), size)) == records


@given(
    records=st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=6),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=20, max_size=20),
    sizes=st.lists(st.integers(0, 9), max_size=80),
)
def test_any_line_ends_and_any_cut_give_the_same_records(records, ends, sizes):
    wire = b""
    at = 0
    for lines in records:
        for line in lines:
            wire += b"data: " + line + ends[at % len(ends)]
            at += 1
        wire += ends[at % len(ends)]
        at += 1
    # A CR directly before a LF would be read as one line end, as the rules have it.
    expected = read([wire])
    assert read(cut(wire, sizes)) == expected
    if b"\r" not in wire:
        assert expected == [b"\n".join(lines) for lines in records]


@given(st.lists(TEXTS, max_size=5))
def test_what_is_written_is_read_back(texts):
    assert read([b"".join(sse_record(text, "name") for text in texts)]) == texts


@given(st.binary(max_size=300), st.lists(st.integers(0, 9), max_size=60))
def test_no_bytes_make_it_fail_and_no_cut_changes_what_is_read(noise, sizes):
    assert read(cut(noise, sizes)) == read([noise])


def test_a_record_beyond_the_bound_is_the_upstreams_fault():
    reader = SseReader()
    piece = b"x" * (8 * 1024 * 1024)
    for _ in range(MAX_RECORD // len(piece)):
        assert reader.feed(piece) == []
    with pytest.raises(UpstreamBroke):
        reader.feed(piece)
