"""launchd, for the user who is signed in to a Mac: one agent, and what launchctl is told.

Commands as launchctl(1) has had them since 10.11: bootstrap, bootout and print, by domain.
"""

import os
import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from mcp_proxy.cli.services.plan import (
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
from mcp_proxy.cli.services.templates import fill, xml, xml_entries, xml_strings
from mcp_proxy.errors import UserError
from mcp_proxy.store.paths import Paths

LABEL = "local.mcproxy"
AGENT = f"{LABEL}.plist"

PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

_FIELD = re.compile(r"^\t(state|pid|last exit code) = (.+)$", re.MULTILINE)


class Launchd:
    """The manager of one user's agents."""

    name = "launchd"
    scope = "user"

    def __init__(self, paths: Paths, *, home: Path, uid: int) -> None:
        self.paths = paths
        self._agent = home / "Library" / "LaunchAgents" / AGENT
        self._log = home / "Library" / "Logs" / "mcproxy" / "mcproxy.log"
        self._domain = f"gui/{uid}"
        self._target = f"{self._domain}/{LABEL}"

    def refuse(self) -> None:
        if os.geteuid() == 0:
            raise UserError("an agent belongs to a user; run this without sudo")

    def places(self) -> tuple[Path, ...]:
        return (self._agent,)

    def program(self) -> Path | None:
        try:
            agent = plistlib.loads(self._agent.read_bytes())
        except (OSError, plistlib.InvalidFileException, ExpatError):
            return None
        return Path(agent["ProgramArguments"][0])

    def install(self, service: Service, *, dry_run: bool) -> Plan:
        change = written(self._agent, self._content(service))
        is_loaded = not dry_run and self._is_loaded()
        reload = change.kind is not Kind.KEEP
        bootstrap: Command = ("launchctl", "bootstrap", self._domain, str(self._agent))
        return Plan(
            before=(self._bootout(),) if is_loaded and reload else (),
            changes=(change,),
            after=(
                ("launchctl", "enable", self._target),
                *((bootstrap,) if reload or not is_loaded else ()),
            ),
            directories=(self._log.parent,),
            notes=("it runs while you are signed in", *service.notes()),
        )

    def uninstall(self) -> Plan:
        changes = removed(self.places())
        is_ours = any(each.kind is Kind.REMOVE for each in changes)
        stop = (self._bootout(),) if is_ours and self._is_loaded() else ()
        return Plan(before=stop, changes=changes, after=())

    def status(self) -> Status:
        try:
            answer = ask(("launchctl", "print", self._target))
        except UserError as absence:
            return Status("unknown", runs=False, problem=str(absence))
        if answer.code != 0:
            state = "not running" if is_there(self._agent) else "not installed"
            return Status(state, runs=False, enabled=False if is_there(self._agent) else None)
        fields = dict(_FIELD.findall(answer.stdout))
        state = fields.get("state", "unknown")
        return Status(
            state,
            runs=state == "running",
            enabled=True,
            pid=_number(fields.get("pid")),
            last_exit=_number(fields.get("last exit code")),
        )

    def log_command(self, lines: int, *, follow: bool) -> Command:
        return ("tail", "-n", str(lines), *(("-F",) if follow else ()), str(self._log))

    def log_records(self, lines: int) -> Sequence[Mapping[str, Any]]:
        text = run(self.log_command(lines, follow=False))
        # The file has no fields: time and level are the first words of our own lines.
        return [{"time": None, "priority": None, "message": line} for line in text.splitlines()]

    def _content(self, service: Service) -> str:
        environment = {"PATH": PATH, **service.variables}
        return fill(
            AGENT,
            {
                "ARGUMENTS": xml_strings((*service.command, "serve"), " " * 8),
                "ENVIRONMENT": xml_entries(environment, " " * 8),
                "LOG": xml(str(self._log)),
            },
        )

    def _is_loaded(self) -> bool:
        return ask(("launchctl", "print", self._target)).code == 0

    def _bootout(self) -> Command:
        return ("launchctl", "bootout", self._target)


def _number(text: str | None) -> int | None:
    """`78`, or the `78: EX_CONFIG` of newer systems; `(never exited)` is none."""
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None
