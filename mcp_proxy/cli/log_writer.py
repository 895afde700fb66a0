"""The log's way to stderr, in a thread of its own: whoever reads it slowly, or not at all any more,
keeps nobody waiting. A pipe that is full, or a terminal that is held, would else stop the server.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO

AT_ONCE: Final = 4096
"""Bytes. More than Linux's PIPE_BUF, and workers would write into each other's lines; pipe(7)."""

MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes that wait to be read; what comes then is dropped, and counted."""

LAST_CHANCE: Final = 1.0
"""Seconds that the end of the program waits for a reader."""


class LogWriter(logging.Handler):
    """Writes only whole lines, and no more at once than a pipe takes in one piece."""

    def __init__(self, stream: TextIO | None) -> None:
        """`stream`: one with a file descriptor; None, or one without, and nothing is written."""
        super().__init__()
        self._fd = _descriptor(stream)
        self._encoding = "utf-8" if stream is None else stream.encoding
        self._blocks: deque[bytes] = deque()
        self._waiting = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._fd is None:
            return
        try:
            lines = self.format(record)
            blocks = [_encoded(block, self._encoding) for block in _blocks(lines)]
        except Exception:  # noqa: BLE001 - as the base class: a log that fails stops nobody
            self.handleError(record)
            return
        size = sum(map(len, blocks))
        with self._changed:
            if self._waiting + size > MOST_WAITING:
                self._dropped += lines.count("\n") + 1
                return
            self._blocks.extend(blocks)
            self._waiting += size
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._write_on, args=(self._fd,), name="mcproxy-log", daemon=True
            )
            self._thread.start()

    def flush(self) -> None:
        """Waits a moment until everything is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, LAST_CHANCE)

    def _write_on(self, fd: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._blocks))
                block = self._blocks.popleft()
            _write(fd, block)
            with self._changed:
                self._waiting -= len(block)
                dropped, self._dropped = self._dropped, 0
                self._changed.notify_all()
            if dropped:
                self.handle(_told_of(dropped))


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def _told_of(dropped: int) -> logging.LogRecord:
    text = "%d lines of this log were dropped, because nobody read it for too long"
    return logging.LogRecord("mcp_proxy.log", logging.WARNING, "", 0, text, (dropped,), None)


def _write(fd: int, block: bytes) -> None:
    """All of it, or none when it leads nowhere any more: a log that fails stops nobody."""
    try:
        while block:
            block = block[os.write(fd, block) :]
    except OSError:
        return


def _encoded(block: str, encoding: str) -> bytes:
    return block.encode(encoding, "backslashreplace")


def _blocks(text: str) -> Iterator[str]:
    """The lines in blocks of AT_ONCE bytes; a longer line is a block of its own."""
    block, size = "", 0
    for line in text.split("\n"):
        length = len(line.encode("utf-8", "replace")) + 1
        if block and size + length > AT_ONCE:
            yield block
            block, size = "", 0
        block += f"{line}\n"
        size += length
    yield block
