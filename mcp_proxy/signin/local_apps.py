"""Logins that other programs on this machine hold. Read on request only, never written.

The Antigravity app keeps its short-lived access token in a SQLite file (protocols/cloudcode.md 2.5)
and renews it by itself, so whoever borrows it reads it again when it has run out.
"""

import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from mcp_proxy.account import Secret

_PLACES = {
    "darwin": "~/Library/Application Support/Antigravity",
    "win32": "~/AppData/Roaming/Antigravity",
}
_ELSEWHERE = "~/.config/Antigravity"
_QUERY = "SELECT value FROM ItemTable WHERE key = 'antigravityAuthStatus'"
_PLAIN = re.compile(r"[!-~]+")

PATIENCE = 5.0
"""Seconds for which the app may be writing."""

_AT_WORK = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_JOURNAL_AT, _WAL = 18, b"\x02\x02"
"""Where a database says how it is written, and what it says in its WAL mode."""


def app_database() -> Path:
    """Where the app keeps its state; `ANTIGRAVITY_STATE_DB` names another place."""
    if named := os.environ.get("ANTIGRAVITY_STATE_DB"):
        return Path(named)
    home = Path(_PLACES.get(sys.platform, _ELSEWHERE)).expanduser()
    return home / "User" / "globalStorage" / "state.vscdb"


def read_app_token() -> tuple[str | None, Secret]:
    """E-mail address and access token of the app's login.

    FileNotFoundError: no such app here. LookupError: nobody is signed in. TimeoutError: the app is
    writing all the time. ValueError: the file is not what it was when this was written.
    """
    file = app_database()
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: the Antigravity app is not installed here")
    status = _status(_row(file))
    token = status.get("apiKey")
    if not isinstance(token, str) or not token:
        raise LookupError("nobody is signed in to the Antigravity app")
    if not _PLAIN.fullmatch(token):
        raise ValueError("the Antigravity app's token is not a token")
    email = status.get("email")
    return (email if isinstance(email, str) and email else None), Secret(token)


def _row(file: Path) -> str | bytes:
    try:
        with closing(sqlite3.connect(_address(file), uri=True, timeout=PATIENCE)) as database:
            row = database.execute(_QUERY).fetchone()
    except (sqlite3.Error, OSError) as cause:
        # The low byte is the kind of an error, the others tell more of it.
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _AT_WORK:
            raise TimeoutError(f"{file} is in use: {cause}") from cause
        raise ValueError(f"{file} cannot be read: {cause}") from cause
    if row is None:
        raise LookupError("nobody is signed in to the Antigravity app")
    value: str | bytes = row[0]
    return value


def _address(file: Path) -> str:
    """The database, to be opened without leaving anything beside it.

    In its WAL mode SQLite makes two files there even to read, unless it is told that nobody writes.
    Nobody does while the first of them is missing: whoever has it open has them both.
    """
    with file.open("rb") as opened:
        opened.seek(_JOURNAL_AT)
        is_wal = opened.read(len(_WAL)) == _WAL
    is_closed = is_wal and not file.with_name(f"{file.name}-wal").exists()
    return f"{file.absolute().as_uri()}?mode=ro{'&immutable=1' * is_closed}"


def _status(text: str | bytes) -> dict[str, object]:
    try:
        status = json.loads(text)
    except (TypeError, ValueError) as cause:
        raise ValueError("the Antigravity app's login is not JSON") from cause
    if not isinstance(status, dict):
        raise ValueError("the Antigravity app's login is not a JSON object")  # noqa: TRY004
    return status
