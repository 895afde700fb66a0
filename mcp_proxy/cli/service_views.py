"""What `mcproxy service` shows to people: a plan before it is carried out, a state."""

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mcp_proxy.cli.render import facts, indented, text, told, verbatim

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

_SAID = {
    "create": "write",
    "update": "replace",
    "keep": "keep as it is",
    "remove": "remove",
    "leave": "leave (not written by mcproxy)",
}


def plan_view(plan: Mapping[str, Any]) -> "Iterable[Shown]":
    if not plan["files"]:
        yield text("No service of mcproxy is installed.")
    for command in plan["before"]:
        yield verbatim(f"run {shlex.join(command)}", "bold")
    for directory in plan["directories"]:
        yield text(f"make, if it is missing, {directory}", "bold")
    for file in plan["files"]:
        yield text(f"{_SAID[file['change']]} {file['path']}", "bold")
        if file["change"] in ("create", "update"):
            yield from (indented(verbatim(line), 4) for line in file["content"].splitlines())
    for command in plan["after"]:
        yield verbatim(f"run {shlex.join(command)}", "bold")
    for note in plan["notes"]:
        yield text(f"Note: {note}.", "dim")


def _installed_view(plan: Mapping[str, Any]) -> "Iterable[Shown]":
    flag = scope_flag(plan["scope"])
    yield text("The service is installed and runs.", "bold green")
    yield text(f"Next: mcproxy service status{flag}, mcproxy service logs{flag}")


def _removed_view(_plan: Mapping[str, Any]) -> "Iterable[Shown]":
    yield text("The service is removed. Accounts, settings and state are still there.", "bold")


DONE = {"install": _installed_view, "uninstall": _removed_view}


def status_view(result: Mapping[str, Any]) -> "Iterable[Shown]":
    enabled = None if result["enabled"] is None else ("yes" if result["enabled"] else "no")
    said = {
        "manager": f"{result['manager']} ({result['scope']})",
        "state": result["state"],
        "says": result["says"],
        "since": result["since"],
        "enabled": enabled,
        "process": result["pid"],
        "restarts": result["restarts"],
        "last exit": result["last_exit"],
        "manager says": result["problem"],
    }
    yield facts(*((name, text(fact)) for name, fact in said.items()))
    for file in result["files"]:
        yield text(file["path"] + ("" if file["ours"] else "  (not written by mcproxy)"), "dim")
    for each in result["problems"]:
        yield text(told(each["problem"], None, each["mend"]), "yellow")
    if not result["installed"]:
        yield text(
            f"It is not installed. Run: mcproxy service install{scope_flag(result['scope'])}"
        )


def scope_flag(scope: str) -> str:
    """What has to be added to the next command for it to be about the same service."""
    return " --system" if scope == "system" else ""
