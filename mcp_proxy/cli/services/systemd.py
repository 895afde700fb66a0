"""systemd, as the user's own manager or as that of the machine: its units, and what it is told."""

import json
import os
import pwd
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_proxy.cli.services.plan import (
    Change,
    Command,
    Kind,
    Plan,
    Service,
    Status,
    is_there,
    removed,
    written,
)
from mcp_proxy.cli.services.programs import ask, run
from mcp_proxy.cli.services.templates import environment_lines, exec_line, fill, word
from mcp_proxy.cli.times import iso
from mcp_proxy.errors import UserError
from mcp_proxy.store.paths import Paths

SOCKET, SERVICE = "mcproxy.socket", "mcproxy.service"
UNITS = (SOCKET, SERVICE)

SANDBOX = "sandbox.conf"
DROP_INS = {"reload.conf": 253, "patience.conf": 254}
"""Small files beside the unit -> the first systemd that understands them."""
OUR_DROP_INS = (SANDBOX, *DROP_INS)

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - nothing is put there
"""Directories that the system service finds empty."""

ADD_TO_SYSTEM = (
    "sudo systemd-run --pty --quiet --collect --wait -p User=mcproxy -p DynamicUser=yes "
    "-p ConfigurationDirectory=mcproxy -p 'StateDirectory=mcproxy/state mcproxy/accounts' "
    "-E ACCOUNTS_CONFIG_PATH=/var/lib/mcproxy/accounts/accounts.toml {command} accounts add"
)

WITHOUT_SANDBOX = (
    "the service runs without the part of its hardening that needs user namespaces, which this "
    "system refuses ({refusal})"
)

PROPERTIES = (
    "--property=LoadState,ActiveState,UnitFileState,MainPID,StatusText,ActiveEnterTimestamp,"
    "NRestarts,ExecMainStatus"
)


class Systemd:
    """One of the two managers."""

    name = "systemd"

    def __init__(self, paths: Paths, *, directory: Path, system: bool) -> None:
        """`directory`: where it reads units; `paths`: the files that the service works with."""
        self.scope = "system" if system else "user"
        self.paths = paths
        self._directory = directory
        self._drop_ins = directory / f"{SERVICE}.d"

    def refuse(self) -> None:
        if self.scope == "system" and os.geteuid() != 0:
            raise UserError(
                "the system's units belong to root. Run: sudo mcproxy service install --system"
            )

    def places(self) -> tuple[Path, ...]:
        units = (self._directory / name for name in UNITS)
        return (*units, *(self._drop_ins / name for name in OUR_DROP_INS))

    def program(self) -> Path | None:
        unit = self._directory / SERVICE
        lines = unit.read_text(encoding="utf-8").splitlines() if unit.exists() else []
        starts = (
            line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")
        )
        command = next(starts, None)
        return Path(shlex.split(command)[0].replace("%%", "%")) if command else None

    def install(self, service: Service, *, dry_run: bool) -> Plan:
        if self.scope == "system" and not dry_run and (hidden := _hidden(service)):
            raise UserError(_cannot_see(hidden))
        units = [written(path, content) for path, content in self._units(service)]
        drop_ins = self._understood(self._version(may_be_absent=dry_run))
        notes = [*self._notes(service)]
        if self.scope == "user":
            sandbox = self._sandbox(service)
            refusal = None if dry_run else self._refusal_of(sandbox, service)
            if refusal is None:
                drop_ins[SANDBOX] = sandbox
            else:
                notes.append(WITHOUT_SANDBOX.format(refusal=refusal))
        beside = [written(self._drop_ins / name, content) for name, content in drop_ins.items()]
        stale = removed([self._drop_ins / name for name in OUR_DROP_INS if name not in drop_ins])
        return self._plan((*units, *beside, *stale), service, notes)

    def uninstall(self) -> Plan:
        changes = removed(self.places())
        ours = [each.path.name for each in changes if each.kind is Kind.REMOVE]
        units = tuple(name for name in UNITS if name in ours)
        stop = (self._systemctl("disable", "--now", *units),) if units else ()
        reload = (self._systemctl("daemon-reload"), self._forget_failures()) if ours else ()
        return Plan(before=stop, changes=changes, after=reload)

    def status(self) -> Status:
        try:
            answer = ask(self._systemctl("show", SERVICE, "--timestamp=unix", PROPERTIES))
        except UserError as absence:
            return Status("unknown", runs=False, problem=str(absence))
        if answer.code != 0:
            return Status("unknown", runs=False, problem=answer.reason)
        return _status(
            dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
        )

    def log_command(self, lines: int, *, follow: bool) -> Command:
        unit = f"--user-unit={SERVICE}" if self.scope == "user" else f"--unit={SERVICE}"
        return ("journalctl", unit, f"--lines={lines}", *(("--follow",) if follow else ()))

    def log_records(self, lines: int) -> Sequence[Mapping[str, Any]]:
        command = (*self.log_command(lines, follow=False), "--output=json")
        return [_record(json.loads(line)) for line in run(command).splitlines()]

    def _systemctl(self, *arguments: str) -> Command:
        return ("systemctl", *(("--user",) if self.scope == "user" else ()), *arguments)

    def _forget_failures(self) -> Command:
        """After too many failed starts systemd refuses any further one until it is told this."""
        # A pattern, because a unit that systemd has not loaded is an error by its name.
        return self._systemctl("reset-failed", "mcproxy.*")

    # ---- what is written

    def _units(self, service: Service) -> Iterator[tuple[Path, str]]:
        listen = "\n".join(f"ListenStream={address}" for address in service.addresses)
        yield self._directory / SOCKET, fill(SOCKET, {"LISTEN": listen})
        values = {
            "COMMAND": exec_line(service.command),
            "ENVIRONMENT": environment_lines(service.variables),
        }
        yield self._directory / SERVICE, fill(f"{self.scope}/{SERVICE}", values)

    def _sandbox(self, service: Service) -> str:
        writable = " ".join(word(f"-{each}") for each in self._own_directories(service))
        return fill(f"user/{SANDBOX}", {"WRITABLE": writable})

    def _own_directories(self, service: Service) -> tuple[Path, ...]:
        return (service.paths.accounts.parent, service.paths.state)

    def _understood(self, version: int | None) -> dict[str, str]:
        """The drop-ins for this version; none for one that is not known."""
        known = version or 0
        return {name: fill(name, {}) for name, since in DROP_INS.items() if known >= since}

    def _plan(self, changes: tuple[Change, ...], service: Service, notes: Sequence[str]) -> Plan:
        kinds = {each.kind for each in changes}
        changed = not kinds <= {Kind.KEEP, Kind.LEAVE}
        was_there = not kinds <= {Kind.CREATE, Kind.LEAVE}
        stop = self._systemctl("stop", SERVICE, SOCKET)
        return Plan(
            # A socket cannot be opened anew while the service has it.
            before=(stop,) if changed and was_there else (),
            changes=changes,
            after=(
                *((self._systemctl("daemon-reload"),) if changed else ()),
                self._forget_failures(),
                self._systemctl("enable", *UNITS),
                self._systemctl("start", *UNITS),
            ),
            directories=self._own_directories(service) if self.scope == "user" else (),
            notes=tuple(notes),
        )

    # ---- what has to be known and said

    def _version(self, *, may_be_absent: bool) -> int | None:
        """The manager's version. UserError when it cannot be reached and has to be there."""
        try:
            answer = ask(self._systemctl("show", "--property=Version", "--value"))
        except UserError:
            if may_be_absent:
                return None
            raise
        if answer.code == 0 and (number := re.search(r"\d+", answer.stdout)):
            return int(number[0])
        if may_be_absent:
            return None
        whose = "your" if self.scope == "user" else "the system's"
        raise UserError(
            f"{whose} systemd cannot be reached: {answer.reason}. A user's manager runs while the "
            "user is logged in (not by `su` or `sudo`). `mcproxy service install --dry-run` shows "
            "the units."
        )

    def _refusal_of(self, sandbox: str, service: Service) -> str | None:
        """Why this program does not run in that sandbox here; None when it does."""
        lines = (line for line in sandbox.splitlines() if "=" in line and line[0].isupper())
        properties = (f"--property={line}" for line in lines)
        run_as_service = ("systemd-run", "--user", "--quiet", "--wait", "--collect")
        try:
            answer = ask((*run_as_service, *properties, "--", *service.command, "--version"))
        except UserError as absence:
            return str(absence)
        return None if answer.code == 0 else answer.reason

    def _notes(self, service: Service) -> Iterator[str]:
        yield from service.notes()
        if self.scope == "user":
            if not _lingers():
                yield "it ends when you log out; to keep it: loginctl enable-linger"
        else:
            if hidden := _hidden(service):
                yield _cannot_see(hidden)
            yield f"add accounts with: {ADD_TO_SYSTEM.format(command=exec_line(service.command))}"
            yield (
                "every user of this machine can use it; to ask them for a key, put one into "
                "/etc/credstore/mcproxy.api-key (mode 0600), then: systemctl restart mcproxy"
            )


def _hidden(service: Service) -> Path | None:
    """What of this installation the system service would not find."""
    program = Path(service.command[0])
    needed = (program, program.resolve(), Path(__file__))
    return next((each for each in needed if any(map(each.is_relative_to, HIDDEN))), None)


def _cannot_see(hidden: Path) -> str:
    return (
        f"the system service cannot see {hidden}: homes and temporary directories are hidden from "
        "it. Install mcproxy for all users, for example with: sudo pipx install --global"
    )


def _status(properties: Mapping[str, str]) -> Status:
    state = properties.get("ActiveState", "unknown")
    is_loaded = properties.get("LoadState") != "not-found"
    return Status(
        state=state if is_loaded else "not installed",
        runs=state in ("active", "reloading"),
        enabled=properties.get("UnitFileState") == "enabled" if is_loaded else None,
        pid=int(properties.get("MainPID", 0)) or None,
        says=properties.get("StatusText") or None,
        since=iso(_moment(properties.get("ActiveEnterTimestamp", ""))),
        restarts=int(properties["NRestarts"]) if properties.get("NRestarts") else None,
        last_exit=_last_exit(properties),
    )


def _last_exit(properties: Mapping[str, str]) -> int | None:
    """What a process that is over ended with; of one that runs it is always 0."""
    code = properties.get("ExecMainStatus", "")
    return int(code) if code.isdecimal() and properties.get("MainPID") == "0" else None


def _moment(shown: str) -> datetime | None:
    """`@1700000000`, as --timestamp=unix has it; empty for never."""
    seconds = shown.removeprefix("@")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds.isdecimal() else None


def _record(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the journal. What is not UTF-8 comes as a list of bytes."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(message).decode(errors="replace")
    seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return {
        "time": iso(datetime.fromtimestamp(seconds, UTC)),
        "priority": int(entry.get("PRIORITY", 6)),
        "message": message,
    }


def _lingers() -> bool:
    """Whether the user's manager outlives the log-in."""
    return is_there(Path("/var/lib/systemd/linger") / pwd.getpwuid(os.getuid()).pw_name)
