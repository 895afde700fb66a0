"""What changes while serving: small JSON values by table and key. Knows none of their meanings.

`put` only notes the value; a thread writes what was noted, many values in one transaction, and
`get` sees the note before the disk. Several processes may use one directory: SQLite's write-ahead
log lets all of them read while one writes, and survives a kill at any moment. Trouble with the disk
never reaches a caller: the notes stay in memory, and the log says so.
"""

import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from mcp_proxy.errors import UserError
from mcp_proxy.store.database import (
    FILE_NAME,
    TABLES,
    connect,
    connect_read_only,
    prepared_database,
)

log = logging.getLogger(__name__)

JsonObject = dict[str, Any]

_BATCH_SECONDS = 0.2
_RETRY_SECONDS = 2.0
_RECENT_SEALS = 10_000
_MOST_NOTES = 100_000


def _per_table(statement: str) -> dict[str, str]:
    """SQL takes no parameter for a table's name; these names are our own."""
    return {table: statement.format(table=table) for table in TABLES}


_GET = _per_table("SELECT value FROM {table} WHERE key = ?")
_ITEMS = _per_table("SELECT key, value FROM {table}")
_KEYS = _per_table("SELECT key FROM {table} ORDER BY at, rowid")
_PUT = _per_table("INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)")
_DELETE = _per_table("DELETE FROM {table} WHERE key = ?")
_PRUNE = _per_table("DELETE FROM {table} WHERE at < ?")


class _Note(NamedTuple):
    """A value on its way to the disk; `value` None deletes the key."""

    value: bytes | None
    at: float


_Notes = dict[tuple[str, str], _Note]


class StateStore:
    """Opened with `StateStore.open(directory)`, ended with `close()` or a `with` block."""

    def __init__(
        self,
        directory: Path,
        file: Path | None,
        *,
        is_shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`file` is the prepared database in the directory; None keeps everything in memory.

        `is_shared`: other processes answer the same clients, so that what is not there now may be
        there in a moment.
        """
        self.directory = directory
        self.is_shared = is_shared
        self._clock = clock
        self._notes: _Notes = {}
        self._writing: _Notes = {}
        self._prunes: dict[str, float] = {}
        self._settled = threading.Condition()
        """Guards the notes and recent seals; told when a batch is on the disk or has failed."""
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._failures = 0
        self._recent_seals: OrderedDict[str, bytes] = OrderedDict()
        self._absent_seals: set[str] = set()
        """Looked for and not found. Clients send their whole history every turn, and most of its
        calls may have been made before there was a proxy."""
        self._reading = threading.Lock()
        self._inode = _inode(file) if file else None
        self._database = connect(file) if file else None
        self._disk = connect(file) if file else None
        """The writer's own connection, so that a slow commit keeps no reader waiting."""
        self._writing_lock = threading.Lock()
        self._seen_version = 0
        self._seen_version = self._version()
        self._writer: threading.Thread | None = None
        if file is not None:
            self._writer = threading.Thread(
                target=self._write_on, args=(file,), name="mcproxy-state", daemon=True
            )
            self._writer.start()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        is_shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The store in that directory; in memory, with a warning, when it cannot be written."""
        try:
            file = prepared_database(directory)
            return cls(directory, file, is_shared=is_shared, clock=clock)
        except (OSError, sqlite3.Error, UserError) as trouble:
            log.warning("%s cannot be used, state is kept in memory: %s", directory, trouble)
            return cls(directory, None, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_durable(self) -> bool:
        return self._writer is not None

    def get(self, table: str, key: str) -> JsonObject | None:
        """The value last put by this process, else the one on the disk."""
        if table == "seals" and key in self._absent_seals:
            return None
        with self._settled:
            note = self._notes.get((table, key)) or self._writing.get((table, key))
            recent = self._recent_seals.get(key) if table == "seals" else None
        if note is not None:
            return _decoded(note.value)
        if recent is not None:
            return _decoded(recent)
        rows = self._read(_GET[table], (key,))
        if table == "seals":
            with self._settled:
                if key not in self._recent_seals:  # put by another thread during the reading
                    self._remember_seal(key, rows[0][0] if rows else None)
        return _decoded(rows[0][0]) if rows else None

    def items(self, table: str) -> dict[str, JsonObject]:
        """Everything in the table, notes laid over what is on the disk."""
        noted = self._noted(table)
        values: dict[str, bytes | None] = dict(self._read(_ITEMS[table], ()))
        values.update(noted)
        decoded = {key: _decoded(value) for key, value in values.items()}
        return {key: value for key, value in decoded.items() if value is not None}

    def keys(self, table: str) -> list[str]:
        """Every key in the table, in the order in which they were put. Reads no value."""
        noted = self._noted(table)
        keys = [key for (key,) in self._read(_KEYS[table], ()) if key not in noted]
        return keys + [key for key, value in noted.items() if value is not None]

    def put(self, table: str, key: str, value: JsonObject) -> None:
        """Note the value. The latest one wins; it is on the disk within a second."""
        self._note(table, key, orjson.dumps(value))

    def delete(self, table: str, key: str) -> None:
        self._note(table, key, None)

    def prune(self, table: str, older_than: float) -> None:
        """Forget, within a second, what was put before that Unix time."""
        with self._settled:
            self._prunes[table] = older_than
            self._notes = {
                each: note
                for each, note in self._notes.items()
                if each[0] != table or note.at >= older_than
            }
        self._work.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything noted so far is on the disk. False when it cannot be put there."""
        if not self.is_durable:
            return False
        with self._settled:
            failures = self._failures
            self._hurry.set()
            self._work.set()
            self._settled.wait_for(
                lambda: not self._is_behind() or self._failures > failures, timeout
            )
            self._hurry.clear()
            return not self._is_behind()

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was last asked."""
        seen, self._seen_version = self._seen_version, self._version()
        if seen == self._seen_version:
            return False
        self._absent_seals.clear()
        return True

    def close(self) -> None:
        """Write what is left and end. Idempotent."""
        self._closing.set()
        self._hurry.set()
        self._work.set()
        if self._writer is not None:
            self._writer.join(timeout=10.0)
        # Threads that nobody waits for may still read: a connection closed under them is a crash.
        with self._reading, self._writing_lock:
            for database in (self._database, self._disk):
                if database is not None:
                    database.close()
            self._database = self._disk = None

    def _note(self, table: str, key: str, value: bytes | None) -> None:
        if table not in _PUT:
            raise KeyError(table)
        note = _Note(value, self._clock())
        with self._settled:
            self._notes[table, key] = note
            if len(self._notes) > _MOST_NOTES:  # only when the disk has been gone for long
                del self._notes[next(iter(self._notes))]
            if table == "seals":
                self._remember_seal(key, value)
        if not self._work.is_set():
            self._work.set()

    def _noted(self, table: str) -> dict[str, bytes | None]:
        """What is on its way to the disk, in the order in which it was put. To be asked before the
        disk is read: in the other order, what arrives there in between would be in neither."""
        noted: dict[str, bytes | None] = {}
        with self._settled:
            for notes in (self._writing, self._notes):
                for (of, key), note in notes.items():
                    if of == table:
                        noted.pop(key, None)
                        noted[key] = note.value
        return noted

    def _remember_seal(self, key: str, value: bytes | None) -> None:
        self._recent_seals.pop(key, None)
        self._absent_seals.discard(key)
        if value is not None:
            self._recent_seals[key] = value
        elif len(self._absent_seals) < _RECENT_SEALS and not self.is_shared:
            self._absent_seals.add(key)
        if len(self._recent_seals) > _RECENT_SEALS:
            self._recent_seals.popitem(last=False)

    def _read(self, query: str, arguments: tuple[str, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._reading:
                return self._database.execute(query, arguments).fetchall() if self._database else []
        except sqlite3.Error as trouble:
            log.warning("state could not be read: %s", trouble)
            return []

    def _version(self) -> int:
        """A number that SQLite changes when any connection but the writer's own commits."""
        try:
            with self._writing_lock:
                return 0 if self._disk is None else _version(self._disk)
        except sqlite3.Error:
            return self._seen_version

    def _is_behind(self) -> bool:
        return bool(self._notes or self._writing or self._prunes)

    def _write_on(self, file: Path) -> None:
        """The writer thread: gather for a moment, write, again."""
        is_last = False
        while not is_last:
            self._work.wait()
            self._hurry.wait(_BATCH_SECONDS)
            self._work.clear()
            is_last = self._closing.is_set()
            prunes = self._take()
            try:
                with self._writing_lock:
                    _write(self._disk_of(file), prunes, self._writing)
            except (sqlite3.Error, OSError, UserError) as trouble:
                self._give_back(prunes)
                log.warning("state could not be written, it is kept in memory: %s", trouble)
                self._hurry.wait(_RETRY_SECONDS)
            else:
                self._settle()

    def _disk_of(self, file: Path) -> sqlite3.Connection:
        """The connection to write with; to a new file where somebody has removed the old one.

        What is written into a removed file is there until it is closed, and then nowhere.
        """
        if self._disk is None or _inode(file) != self._inode:
            prepared_database(self.directory)
            database, disk = connect(file), connect(file)
            with self._reading:
                olds = [self._database, self._disk]
                self._database, self._disk = database, disk
            for old in olds:
                if old is not None:
                    old.close()
            self._inode = _inode(file)
            self._seen_version = _version(disk)
            log.warning("%s was removed; what is noted from now on is in a new one", file)
        return self._disk

    def _take(self) -> dict[str, float]:
        with self._settled:
            self._writing, self._notes = self._notes, {}
            prunes, self._prunes = self._prunes, {}
        return prunes

    def _give_back(self, prunes: dict[str, float]) -> None:
        with self._settled:
            self._notes = {**self._writing, **self._notes}
            self._writing = {}
            self._prunes = {**prunes, **self._prunes}
            self._failures += 1
            self._settled.notify_all()
        self._work.set()

    def _settle(self) -> None:
        with self._settled:
            self._writing = {}
            self._settled.notify_all()


class StateReader:
    """What a running server wrote, for commands that only look. Empty when there is no state."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE_NAME

    def get(self, table: str, key: str) -> JsonObject | None:
        rows = self._read(_GET[table], (key,))
        return _decoded(rows[0][0]) if rows else None

    def items(self, table: str) -> dict[str, JsonObject]:
        decoded = {key: _decoded(value) for key, value in self._read(_ITEMS[table], ())}
        return {key: value for key, value in decoded.items() if value is not None}

    def _read(self, query: str, arguments: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """A connection per question: a command asks a few, and a server may begin anew between."""
        if not self._file.is_file():
            return []
        try:
            with closing(connect_read_only(self._file)) as database:
                return database.execute(query, arguments).fetchall()
        except sqlite3.Error as trouble:
            log.warning("%s cannot be read: %s", self._file, trouble)
            return []


def _inode(file: Path) -> int | None:
    """Tells whether a file is still the one that is open: no other gets its number until then."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def _write(database: sqlite3.Connection, prunes: dict[str, float], notes: _Notes) -> None:
    """One transaction: all of it or nothing."""
    if not prunes and not notes:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for table, older_than in prunes.items():
            database.execute(_PRUNE[table], (older_than,))
        for (table, key), note in notes.items():
            if note.value is None:
                database.execute(_DELETE[table], (key,))
            else:
                database.execute(_PUT[table], (key, note.value, note.at))
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _decoded(value: bytes | None) -> JsonObject | None:
    """None for a deleted key and for a row that is not ours."""
    if value is None:
        return None
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None
