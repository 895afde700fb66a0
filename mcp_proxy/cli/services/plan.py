"""What is to be done for a service, as a value: shown before it is done, or instead of it.

Knows files and commands, and whose the files are; nothing of what a service manager wants.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from mcp_proxy.cli.services.programs import run
from mcp_proxy.cli.services.templates import MARK
from mcp_proxy.errors import UserError
from mcp_proxy.store.atomic import make_private_directory, replace_file
from mcp_proxy.store.paths import Paths

READABLE = 0o644
"""Units hold no secrets, and managers complain about those that not everybody can read."""

Command = tuple[str, ...]


class Kind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"  # it is already what it should be
    REMOVE = "remove"
    LEAVE = "leave"  # it is somebody else's


@dataclass(frozen=True, slots=True)
class Change:
    """One file, and what becomes of it."""

    path: Path
    kind: Kind
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done, in this order."""

    before: tuple[Command, ...]
    changes: tuple[Change, ...]
    after: tuple[Command, ...]
    directories: tuple[Path, ...] = ()
    """Made, private, where they are missing: a service may not make them itself."""
    notes: tuple[str, ...] = ()

    @property
    def concerns_us(self) -> bool:
        """Whether any of the files is ours, or is to be."""
        return any(change.kind is not Kind.LEAVE for change in self.changes)

    def carry_out(self) -> None:
        """UserError when a file or a command refuses; what was done until then stays."""
        for directory in self.directories:
            make_private_directory(directory)
        for command in self.before:
            run(command)
        for change in self.changes:
            _carry_out(change)
        for command in self.after:
            run(command)


@dataclass(frozen=True, slots=True)
class Service:
    """What a manager shall run."""

    command: Command
    paths: Paths
    addresses: tuple[str, ...]
    not_inherited: tuple[str, ...] = ()
    """Variables of this shell that would mean something to it."""

    @property
    def variables(self) -> dict[str, str]:
        """Its files, named: a manager may have other defaults than this shell."""
        return {
            "ACCOUNTS_CONFIG_PATH": str(self.paths.accounts),
            "MCPROXY_CONFIG": str(self.paths.config),
            "MCPROXY_STATE_DIR": str(self.paths.state),
        }

    def notes(self) -> tuple[str, ...]:
        """What has to be said of it under any manager."""
        if not self.not_inherited:
            return ()
        return (
            f"not passed on from this shell: {', '.join(self.not_inherited)}. Settings belong in "
            "config.toml, keys in accounts.toml (mcproxy accounts add --from env)",
        )


@dataclass(frozen=True, slots=True)
class Status:
    """How the service is. None is what the manager does not say."""

    state: str
    """The manager's own word: active, running, failed…; `unknown` when it cannot be asked."""
    runs: bool
    enabled: bool | None = None
    pid: int | None = None
    says: str | None = None
    """What the server has told its manager."""
    since: str | None = None
    restarts: int | None = None
    last_exit: int | None = None
    problem: str | None = None
    """Why the manager could not be asked."""


class Manager(Protocol):
    """A service manager, for the user or for the whole machine."""

    name: str
    scope: str

    @property
    def paths(self) -> Paths:
        """The files that the service works with."""

    def refuse(self) -> None:
        """UserError when this user cannot install here; changes nothing."""

    def places(self) -> tuple[Path, ...]:
        """Every file that may be ours."""

    def program(self) -> Path | None:
        """What the installed service starts; None when that cannot be told."""

    def install(self, service: Service, *, dry_run: bool) -> Plan:
        """With `dry_run` the manager need not be there."""

    def uninstall(self) -> Plan: ...

    def status(self) -> Status: ...

    def log_command(self, lines: int, *, follow: bool) -> Command: ...

    def log_records(self, lines: int) -> Sequence[Mapping[str, Any]]: ...


def is_ours(path: Path) -> bool:
    """Whether `mcproxy service install` wrote it. A link is somebody else's, whatever is behind."""
    if path.is_symlink():
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(MARK in line for line in (file.readline(), file.readline()))
    except OSError:
        return False


def is_there(path: Path) -> bool:
    return os.path.lexists(path)


def written(path: Path, content: str) -> Change:
    """The change that puts the content there. UserError where somebody else's file is."""
    if not is_there(path):
        return Change(path, Kind.CREATE, content)
    if not is_ours(path):
        raise UserError(
            f"{path} is there already and was not written by mcproxy; it is left as it is. Move it "
            "away, then run this again."
        )
    same = path.read_text(encoding="utf-8", errors="replace") == content
    return Change(path, Kind.KEEP if same else Kind.UPDATE, content)


def removed(paths: Sequence[Path]) -> tuple[Change, ...]:
    """The changes that leave nothing of ours there."""
    there = [path for path in paths if is_there(path)]
    return tuple(Change(path, Kind.REMOVE if is_ours(path) else Kind.LEAVE) for path in there)


def _carry_out(change: Change) -> None:
    try:
        if change.kind in (Kind.CREATE, Kind.UPDATE) and change.content is not None:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(change.path, change.content.encode())
            change.path.chmod(READABLE)
        elif change.kind is Kind.REMOVE:
            change.path.unlink()
            _remove_if_empty(change.path.parent)
    except OSError as cause:
        raise UserError(f"{change.path}: {cause.strerror}") from cause


def _remove_if_empty(directory: Path) -> None:
    """A directory of drop-ins goes with the last of them."""
    if directory.suffix == ".d" and not any(directory.iterdir()):
        directory.rmdir()
