"""Server-sent events without I/O: bytes in any chunking become records, records become bytes.

Only the data of a record is read: every API this program talks to repeats the event's name in it.
"""

from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke

MAX_RECORD = 64 * 1024 * 1024
"""Bytes. One event with a generated image has 10 MB and more; beyond this something is wrong."""

_BOM = b"\xef\xbb\xbf"


class SseReader:
    """Splits a byte stream into the data of its records, by the WHATWG rules for line ends.

    Time is linear in the bytes fed, however they are cut. Raises UpstreamBroke for a record
    beyond MAX_RECORD.
    """

    __slots__ = ("_buffer", "_held_cr", "_searched", "_start", "_started")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._held_cr = False
        self._started = False
        self._start = b""
        """What has come of a byte order mark, while that is all that has come."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of every record that this chunk completes, in order."""
        if not (self._buffer or self._held_cr or self._start):
            plain = _plain_records(chunk)
            if plain is not None:
                self._started = True
                return plain
        if not self._started or self._held_cr or b"\r" in chunk:
            chunk = self._normalised(chunk)
        buffer = self._buffer
        if not buffer and chunk.endswith(b"\n\n"):
            return _data_of_all(chunk[:-2])
        buffer += chunk
        end = buffer.rfind(b"\n\n", max(self._searched - 1, 0))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MAX_RECORD:
                raise UpstreamBroke(
                    Failure(FailureKind.UPSTREAM, f"a stream record exceeds {MAX_RECORD} bytes")
                )
            return []
        complete = bytes(buffer[:end])
        del buffer[: end + 2]
        self._searched = len(buffer)
        return _data_of_all(complete)

    @property
    def is_between(self) -> bool:
        """Whether nothing has come of a record that is not complete."""
        return not (self._buffer or self._held_cr or self._start)

    def close(self) -> list[bytes]:
        """Data of a last record that came without its blank line.

        The WHATWG rules drop it; upstreams do end that way, and the record is often the one
        with the finish reason.
        """
        rest = bytes(self._buffer) + (b"\n" if self._held_cr else b"")
        self._buffer.clear()
        self._searched = 0
        self._held_cr = False
        return _data_of_all(rest)

    def _normalised(self, chunk: bytes) -> bytes:
        if not self._started:
            chunk = self._start + chunk
            if _BOM.startswith(chunk) and chunk != _BOM:
                self._start = chunk
                return b""
            self._started = True
            chunk = chunk.removeprefix(_BOM)
        if self._held_cr:
            chunk = b"\r" + chunk
        # A CR at the very end may be the first half of a CRLF; wait for the next byte.
        self._held_cr = chunk.endswith(b"\r")
        if self._held_cr:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _plain_records(chunk: bytes) -> list[bytes] | None:
    """The data of a chunk of whole records of one data line each, as nearly all chunks are.

    None for any other chunk: the general way takes it from the beginning.
    """
    if chunk[:6] != b"data: ":
        return None
    if chunk[-4:] == b"\r\n\r\n":
        found = chunk[6:-4].split(b"\r\n\r\ndata: ")
    elif chunk[-2:] == b"\n\n":
        found = chunk[6:-2].split(b"\n\ndata: ")
    else:
        return None
    # One search through all of them; to look into each one takes five times as long.
    text = found[0] if len(found) == 1 else b"".join(found)
    return None if b"\n" in text or b"\r" in text else found


def _data_of_all(text: bytes) -> list[bytes]:
    found = []
    for record in text.split(b"\n\n"):
        if record.startswith(b"data: ") and b"\n" not in record:
            found.append(record[6:])
        elif record:
            data = _data_of(record)
            if data is not None:
                found.append(data)
    return found


def _data_of(record: bytes) -> bytes | None:
    lines = []
    for line in record.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) if lines else None


def sse_record(data: bytes, event: str | None = None) -> bytes:
    """One record on the wire. `data` has no line breaks: it is compact JSON."""
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + data + b"\n\n"
