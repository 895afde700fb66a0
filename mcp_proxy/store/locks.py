"""Locks between processes. Knows flock(2); knows nothing of what is guarded.

A lock file is never deleted: whoever deletes it lets two processes hold "the" lock at once. The
kernel frees a lock when its process ends, however it ends, so there is no stale lock to break.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_proxy.errors import UserError
from mcp_proxy.store.atomic import make_private_directory

_POLL_SECONDS = 0.01


class FileLock:
    """`with FileLock(path):` holds it. Also excludes other threads: each opens the file anew."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout
        self._fd = -1

    def __enter__(self) -> Self:
        fd = _open(self._path)
        try:
            self._wait(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def _wait(self, fd: int) -> None:
        """UserError when somebody else holds the lock for longer than the time-out."""
        give_up = time.monotonic() + self._timeout
        while not _taken(fd):
            if time.monotonic() >= give_up:
                holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
                raise UserError(
                    f"{self._path}: still locked by process {holder or 'unknown'} after"
                    f" {self._timeout:g} s. Wait for it or end it, then try again."
                )
            time.sleep(_POLL_SECONDS)


def account_lock(state_directory: Path, account_id: str, *, timeout: float = 60.0) -> FileLock:
    """Held while an account's access token is refreshed, so that one process asks, not all."""
    return FileLock(state_directory / "locks" / f"{account_id}.lock", timeout=timeout)


def _open(path: Path) -> int:
    """UserError when the file cannot be opened, or is a link somebody laid there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        make_private_directory(path.parent)
        fd = os.open(path, flags, 0o600)
    except OSError as cause:
        raise UserError(f"{path}: cannot be locked: {cause.strerror}") from cause
    os.fchmod(fd, 0o600)  # the umask may have taken even our own rights away
    return fd


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
