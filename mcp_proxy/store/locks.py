"""Locks between processes. Knows flock(2); knows nothing of what is guarded.

A lock file is never deleted: whoever deletes it lets two processes hold "the" lock at once. The
kernel frees a lock when its process ends, however it ends, so there is no stale lock to break.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_proxy.errors import UserError
from mcp_proxy.store.atomic import make_private_directory

_POLL_SECONDS = 0.01


class FileLock:
    """`with FileLock(path):` holds it. Also excludes other threads: each opens the file anew."""

    def __init__(self, path: Path, *, timeout: float = 10.0, required: bool = True) -> None:
        """Not `required`: where no lock file can be made, the block goes on without one."""
        self._path = path
        self._required = required
        self._timeout = timeout
        self._fd = -1

    def __enter__(self) -> Self:
        """UserError when the lock cannot be had."""
        try:
            self._fd = self._locked()
        except OSError as cause:
            if self._required:
                raise UserError(f"{self._path}: cannot be locked: {cause.strerror}") from cause
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _locked(self) -> int:
        """The lock file, held. OSError where there can be none, or its file system has no locks."""
        fd = _open(self._path)
        try:
            self._wait(fd)
        except BaseException:
            os.close(fd)
            raise
        _name_holder(fd)
        return fd

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
    """Held while an account's access token is refreshed, so that one process asks, not all.

    A state directory that cannot be written is nobody's to share, and no reason not to refresh.
    """
    path = state_directory / "locks" / f"{account_id}.lock"
    return FileLock(path, timeout=timeout, required=False)


def _open(path: Path) -> int:
    """OSError when the file cannot be opened, or is a link that somebody laid there."""
    make_private_directory(path.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    os.fchmod(fd, 0o600)  # the umask may have taken even our own rights away
    return fd


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name_holder(fd: int) -> None:
    """For those who wait in vain. A full disk takes no name, and the lock is held all the same."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
