"""The service, where one was installed: what it starts, and whether it runs."""

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, warning
from mcp_proxy.cli.services import manager_here
from mcp_proxy.errors import UserError

LINGER = Path("/var/lib/systemd/linger")
INSTALL = "mcproxy service install"


def findings(look: Look) -> Iterator[Finding]:
    try:
        manager = manager_here(look.app, system=False)
    except UserError as unknown:
        yield ok(str(unknown))
        return
    if not any(os.path.lexists(place) for place in manager.places()):
        yield ok(f"no service is installed ({INSTALL})")
        return
    program = manager.program()
    if program is not None and not program.exists():
        yield problem(f"the service starts {program}, which is not there", INSTALL)
    status = manager.status()
    if status.problem:
        yield warning(status.problem)
        return
    if not status.runs:
        yield warning(f"the service is installed and {status.state}", "mcproxy service logs")
    else:
        yield ok(f"the service is {status.state}")
    if manager.name == "systemd" and LINGER.is_dir() and not (LINGER / getpass.getuser()).exists():
        yield warning("the service ends when you log out", "loginctl enable-linger")
