"""Private files, replaced whole or not at all. Knows modes, links and fsync; nothing of content."""

import os
import secrets
import stat
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
_OTHERS = 0o077
_LARGEST = 16 * 1024 * 1024


class Refused(Exception):
    """The file is not one that we read or write; `str()` says why."""


def make_private_directory(directory: Path) -> None:
    """Create what is missing of the path with mode 0700, whatever the umask; leave the rest."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for each in reversed(missing):
        try:
            each.mkdir(PRIVATE_DIRECTORY)
        except FileExistsError:
            continue  # another process was faster; its mode is its own affair
        each.chmod(PRIVATE_DIRECTORY)


def read_private_file(path: Path) -> tuple[bytes, bool]:
    """The content, and whether others could read it until now (mended here).

    FileNotFoundError when there is none; Refused for links, devices, pipes, files of other users.
    """
    fd = _open_for_reading(path)
    try:
        facts = os.fstat(fd)
        _refuse_strange(facts)
        was_loose = bool(stat.S_IMODE(facts.st_mode) & _OTHERS)
        if was_loose:
            os.fchmod(fd, PRIVATE_FILE)
        return _read_all(fd), was_loose
    finally:
        os.close(fd)


def read_plain_file(path: Path) -> bytes:
    """The content of a file that may be a link, or another user's.

    FileNotFoundError when there is none; Refused for what can only be read once, or for ever:
    pipes and devices. /dev/null is how people say that there is no file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) and not _is_null_device(facts):
            raise Refused(_IRREGULAR)
        return _read_all(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Put the content in place in one step that survives a crash at any point before or after."""
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}.{secrets.token_hex(4)}")
    try:
        _write_new(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def tighten(directory: Path, household: tuple[str, ...]) -> str | None:
    """Make a directory of ours private. A warning when it is not ours to change.

    It is ours when every name in it begins with one of the household's: a home or temporary
    directory that somebody chose for our files is not to be shut against others.
    """
    facts = directory.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if not mode & _OTHERS:
        return None
    own = facts.st_uid == os.geteuid()
    if own and all(each.name.startswith(household) for each in directory.iterdir()):
        directory.chmod(PRIVATE_DIRECTORY)
        return None
    if mode & 0o022 and not mode & stat.S_ISVTX:
        return f"{directory}: other users may write there and could replace what is in it"
    return None


def leftovers(path: Path) -> list[Path]:
    """Temporary files that a killed writer of this path left. Meaningful under its lock only."""
    prefix = _temporary_prefix(path)
    try:
        return [each for each in path.parent.iterdir() if each.name.startswith(prefix)]
    except OSError:
        return []


def _temporary_prefix(path: Path) -> str:
    return f".{path.name}.tmp."


def _open_for_reading(path: Path) -> int:
    # O_NONBLOCK: opening a pipe that nobody writes to would hang for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except OSError as cause:
        if path.is_symlink():
            raise Refused("is a symbolic link; the file itself must be here") from cause
        raise


_IRREGULAR = "is not a regular file"


def _is_null_device(facts: os.stat_result) -> bool:
    return os.path.samestat(facts, Path(os.devnull).stat())


def _refuse_strange(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise Refused(_IRREGULAR)
    if facts.st_uid != os.geteuid():
        raise Refused(f"belongs to another user (uid {facts.st_uid})")
    if facts.st_nlink > 1:
        raise Refused("has a second name (hard link); secrets must have one place")
    if facts.st_size > _LARGEST:
        raise Refused(f"is {facts.st_size} bytes long, which no such file is")


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def _write_new(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, PRIVATE_FILE)
    try:
        os.fchmod(fd, PRIVATE_FILE)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_directory(directory: Path) -> None:
    """The new name is on the disk only when its directory is."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
