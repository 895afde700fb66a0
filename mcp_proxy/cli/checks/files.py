"""What is on disk: settings, accounts, state; who may read it, whether it can be written."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, told, warning
from mcp_proxy.errors import UserError
from mcp_proxy.store.database import FILE_NAME
from mcp_proxy.store.locks import FileLock

LITTLE_SPACE = 64 << 20
"""Bytes. The state takes a few; a full disk loses refresh tokens that have been renewed."""

SYNCED = (
    "Dropbox",
    "OneDrive",
    "Google Drive",
    "GoogleDrive",
    "Mobile Documents",
    "Nextcloud",
    "Syncthing",
)
"""Names of folders that are copied to other machines."""

OTHERS = 0o077

DATABASE = b"SQLite format 3\0"
"""What such a file begins with (sqlite.org/fileformat.html, 1.3.1); a new one may be empty."""


def findings(look: Look) -> Iterator[Finding]:
    paths = look.app.paths
    yield from _settings(look)
    yield from _lock(look)
    for place in dict.fromkeys((paths.accounts.parent, paths.state)):
        yield from _directory(place)
    yield from _state(paths.state)


def _settings(look: Look) -> Iterator[Finding]:
    file = look.app.paths.config
    if look.settings is None:
        try:
            look.app.settings()
        except UserError as wrong:
            yield problem(*told(str(wrong), "mcproxy config validate"))
        return
    for note in look.settings.warnings:
        of_file = note.startswith(f"{file}: ")
        mend = f"edit {file}, then: mcproxy config validate" if of_file else "unset DEBUG"
        yield warning(*told(note, mend))
    if not look.settings.warnings:
        yield ok(f"{file}: right" if file.exists() else f"{file}: not there, defaults are in force")


def _lock(look: Look) -> Iterator[Finding]:
    file = look.app.paths.accounts
    lock = file.with_name(f"{file.name}.lock")
    if not lock.exists():
        return
    try:
        with FileLock(lock, timeout=0.2):
            pass
    except UserError as held:
        what, _, _ = str(held).partition(" Wait ")
        yield warning(what.rstrip("."), "wait for that process, or end it: kill PID")


def _directory(place: Path) -> Iterator[Finding]:
    """The directory, or what of the way to it there is: it is made when it is needed."""
    there = next(each for each in (place, *place.parents) if each.exists())
    if not there.is_dir():
        yield problem(f"{there}: is a file, and has to be a directory", f"mv {there} {there}.old")
        return
    owner = there.stat().st_uid
    if there == place and owner not in (os.geteuid(), 0):
        yield warning(
            f"{place}: belongs to another user (uid {owner})", f"sudo chown -R $USER {place}"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        yield problem(f"{there}: cannot be written", f"chmod u+rwx {there}")
        return
    if there == place and stat.S_IMODE(place.stat().st_mode) & OTHERS:
        yield warning(f"{place}: other users can look into it", f"chmod 700 {place}")
    synced = next((name for name in SYNCED if name in place.resolve().parts), None)
    if synced:
        yield warning(
            f"{place}: {synced} copies it, credentials and all, to other machines",
            "set ACCOUNTS_CONFIG_PATH and MCPROXY_STATE_DIR to places outside",
        )
    free = shutil.disk_usage(there).free
    if free < LITTLE_SPACE:
        yield problem(f"{there}: {free >> 20} MB are free; renewed tokens may be lost", "make room")
    else:
        yield ok(f"{place}: can be written")


def _state(directory: Path) -> Iterator[Finding]:
    """Whether what servers have learnt can be read; it is nothing that would be missed for long."""
    file = directory / FILE_NAME
    try:
        with file.open("rb") as database:
            beginning = database.read(len(DATABASE))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as cause:
        yield problem(f"{file}: cannot be read: {cause.strerror}", f"sudo chown $USER {file}")
        return
    if beginning and beginning != DATABASE:
        yield warning(
            f"{file}: is damaged; the next server puts it aside and begins anew",
            "restart mcproxy serve",
        )
