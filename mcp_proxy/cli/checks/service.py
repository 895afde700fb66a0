"""The services, where some were installed: what each starts, and whether it runs."""

import getpass
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_proxy.cli.checks.finding import Finding, Look, ok, warning
from mcp_proxy.cli.service import status_of
from mcp_proxy.cli.service_views import scope_flag
from mcp_proxy.errors import UserError

LINGER = Path("/var/lib/systemd/linger")
INSTALL = "mcproxy service install"


def findings(look: Look) -> Iterator[Finding]:
    scopes = (False, True) if sys.platform == "linux" else (False,)
    try:
        statuses = [status_of(look.app, system=system) for system in scopes]
    except UserError as unknown:
        yield ok(str(unknown))
        return
    installed = [each for each in statuses if each["installed"]]
    if not installed:
        yield ok(f"no service is installed ({INSTALL})")
    for status in installed:
        yield from _of(status)


def _of(status: Mapping[str, Any]) -> Iterator[Finding]:
    which = "the system's service" if status["scope"] == "system" else "the service"
    for each in status["problems"]:
        yield warning(f"{which}: {each['problem']}", each["mend"])
    if status["problem"]:
        yield warning(
            f"{which}: {status['problem']}",
            f"mcproxy service status{scope_flag(status['scope'])}, as the user who is logged in",
        )
    elif status["runs"]:
        yield ok(f"{which} is {status['state']}")
    if status["manager"] == "systemd" and status["scope"] == "user" and _ends_with_log_in():
        yield warning("the service ends when you log out", "loginctl enable-linger")


def _ends_with_log_in() -> bool:
    return LINGER.is_dir() and not (LINGER / getpass.getuser()).exists()
