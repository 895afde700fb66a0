"""The SQLite file behind the state: its schema, how it is opened, what is done when it is damaged.

Nothing in it is dear enough to keep the program from starting. A database that cannot be read is
set aside under another name, for whoever wants to look at it, and a new one begun.
"""

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from mcp_proxy.store.atomic import make_private_directory, tighten
from mcp_proxy.store.locks import FileLock

log = logging.getLogger(__name__)

TABLES = (
    "standings",
    "marks",
    "sessions",
    "seals",
    "projects",
    "models",
    "calibration",
    "tokens",
    "notices",
    "features",
    "threads",
    "decisions",
)
FILE_NAME = "state.db"

_BUSY_MILLISECONDS = 5_000
_COMPANIONS = ("", "-wal", "-shm")


def prepared_database(directory: Path) -> Path:
    """A sound database in the directory, new where there was none or a damaged one.

    OSError or UserError when the directory cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        _set_aside(directory)
    make_private_directory(directory)
    tighten(directory, (FILE_NAME, "state.lock", "locks"))
    file = directory / FILE_NAME
    with FileLock(directory / "state.lock"):
        if not _is_sound(file):
            _set_aside(file)
        _create_private(file)
        with closing(connect(file)) as database:
            for table in TABLES:
                database.execute(
                    f"CREATE TABLE IF NOT EXISTS {table}"
                    " (key TEXT PRIMARY KEY, value BLOB NOT NULL, at REAL NOT NULL)"
                )
    return file


def connect(file: Path) -> sqlite3.Connection:
    """For reading and writing; a statement is its own transaction unless BEGIN says otherwise."""
    database = sqlite3.connect(
        file, timeout=_BUSY_MILLISECONDS / 1000, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA journal_mode = WAL")
    # In WAL mode this loses at most the last commits on a power cut and nothing on a kill.
    database.execute("PRAGMA synchronous = NORMAL")
    # In KB. Rows are read by their keys, a few at a time, and the system keeps the file in memory,
    # too: the usual 2 MB for each connection would be a tenth of the program.
    database.execute("PRAGMA cache_size = -256")
    return database


def connect_read_only(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0, isolation_level=None
    )


def _is_sound(file: Path) -> bool:
    """A missing file is sound: it will be made."""
    if not os.path.lexists(file):
        return True
    if file.is_symlink() or not file.is_file():
        return False
    try:
        with closing(connect(file)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError as trouble:
        # Busy or not readable: no sign of damage.
        return trouble.sqlite_errorcode not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}
    except sqlite3.DatabaseError:
        return False


def _set_aside(path: Path) -> None:
    suffix = f".damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    for companion in _COMPANIONS:
        old = path.with_name(path.name + companion)
        if os.path.lexists(old):
            old.rename(old.with_name(old.name + suffix))
    log.warning("%s was damaged; it is kept as %s%s and begun anew", path, path.name, suffix)


def _create_private(file: Path) -> None:
    """SQLite gives its companion files the mode of this one."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    os.close(fd)
