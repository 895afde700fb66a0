"""Whether files have changed since they were last read; asked again and again, by looking only."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class _Stamp(NamedTuple):
    """Tells whether a file is still the one that was read."""

    written_at: int
    """Nanoseconds."""
    inode: int
    size: int


class WatchedFiles:
    """Begins with the files as they are when it is made."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._read = self._seen = self._look()

    def changed(self) -> bool:
        """Whether the files differ from how they were when this last said so.

        A file that is gone or empty may be one that an editor is about to write: what was in it is
        given up only when it still is at the next look.
        """
        before, self._seen = self._seen, self._look()
        if self._seen == self._read:
            return False
        if self._seen != before and self._any_vanished():
            return False
        self._read = self._seen
        return True

    def _any_vanished(self) -> bool:
        pairs = zip(self._read, self._seen, strict=True)
        return any(was != now and (now is None or now.size == 0) for was, now in pairs)

    def _look(self) -> tuple[_Stamp | None, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> _Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return _Stamp(facts.st_mtime_ns, facts.st_ino, facts.st_size)
