"""Whose a port is, as Linux tells it in /proc (proc(5)); elsewhere it is nobody known."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
LISTENING = "0A"
"""TCP_LISTEN in the column `st`."""
LOCAL, STATE, INODE = 1, 3, 9
"""Columns of /proc/net/tcp."""


class Owner(NamedTuple):
    """A process that listens."""

    name: str
    pid: int


def owner_of(port: int) -> Owner | None:
    """Who listens there. None when that is a process of another user, or cannot be told."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for descriptors in PROC.glob("[0-9]*/fd"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if any(_target(each) in sockets for each in descriptors.iterdir()):
                process = descriptors.parent
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return Owner(name, int(process.name))
    return None


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""  # closed since it was listed


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on the port, in both families."""
    for table in ("tcp", "tcp6"):
        try:
            rows = (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in map(str.split, rows):
            if row[STATE] == LISTENING and int(row[LOCAL].rpartition(":")[2], 16) == port:
                yield row[INODE]
