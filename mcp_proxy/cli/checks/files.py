"""What is on disk: settings, accounts, state; who may read it, whether it can be written."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, warning
from mcp_proxy.errors import UserError
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


def findings(look: Look) -> Iterator[Finding]:
    paths = look.app.paths
    yield from _settings(look)
    yield from _lock(look)
    for place in dict.fromkeys((paths.accounts.parent, paths.state)):
        yield from _directory(place)


def _settings(look: Look) -> Iterator[Finding]:
    file = look.app.paths.config
    if look.settings is None:
        try:
            look.app.settings()
        except UserError as wrong:
            yield problem(str(wrong), "mcproxy config validate")
        return
    for note in look.settings.warnings:
        yield warning(note, "mcproxy config validate")
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
        yield warning(str(held))


def _directory(place: Path) -> Iterator[Finding]:
    """The directory, or what of the way to it there is: it is made when it is needed."""
    there = next(each for each in (place, *place.parents) if each.exists())
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
