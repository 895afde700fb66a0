"""The log's way out: whole lines, and nobody waits for who reads them."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.cli.log_writer import AT_ONCE, MOST_WAITING, LogWriter, _blocks


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("mcp_proxy.x", logging.WARNING, "", 0, "%s", (text,), None)


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Where to read and where to write."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            yield reading, stream
    finally:
        os.close(reading)


def read_until(reading: int, last: bytes) -> bytes:
    found = b""
    while not found.endswith(last):
        found += os.read(reading, 1 << 20)
    return found


@given(st.lists(st.text("aé€🦊", max_size=AT_ONCE // 2), min_size=1))
def test_lines_are_written_whole_and_as_many_at_once_as_a_pipe_takes(lines: list[str]) -> None:
    blocks = list(_blocks("\n".join(lines)))
    assert "".join(blocks) == "\n".join(lines) + "\n"
    for block in blocks:
        assert block.endswith("\n")
        assert len(block.encode()) <= AT_ONCE or block.count("\n") == 1


def test_what_is_written_is_there_in_order_after_a_flush() -> None:
    with pipe() as (reading, stream):
        writer = LogWriter(stream)
        for number in range(100):
            writer.handle(record(f"line {number} é"))
        writer.flush()
        assert os.read(reading, 1 << 20).decode() == "".join(f"line {n} é\n" for n in range(100))


def test_nobody_waits_for_a_reader_and_what_is_dropped_is_counted() -> None:
    with pipe() as (reading, stream):
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
        writer = LogWriter(stream)
        line, count = "x" * 999, 2 * MOST_WAITING // 1000
        for number in range(count):
            writer.handle(record(f"{number:06} {line}"))
        before = time.monotonic()
        found = read_until(reading, b"nobody read it for too long\n").decode().splitlines()
        kept = [each for each in found if line in each]
        assert [int(each[:6]) for each in kept] == list(range(len(kept)))
        assert found[-1].startswith(f"{count - len(kept)} lines of this log were dropped")
        assert time.monotonic() - before < 30.0
        writer.handle(record("after"))
        assert read_until(reading, b"after\n") == b"after\n"


def test_a_log_that_leads_nowhere_is_no_trouble() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        os.close(reading)
        writer = LogWriter(stream)
        writer.handle(record("lost"))
        writer.flush()
        assert not writer._waiting
    LogWriter(None).handle(record("lost"))
    assert threading.active_count() >= 1


def test_characters_that_the_stream_does_not_know_are_spelled_out() -> None:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w", encoding="ascii") as stream:
            writer = LogWriter(stream)
            writer.handle(record("é"))
            writer.flush()
            assert os.read(reading, 100) == b"\\xe9\n"
    finally:
        os.close(reading)
