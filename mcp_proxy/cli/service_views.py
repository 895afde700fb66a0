"""What `mcproxy service` shows to people: a plan before it is carried out, a state."""

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mcp_proxy.cli.render import text

if TYPE_CHECKING:
    from rich.console import RenderableType

_SAID = {
    "create": "write",
    "update": "replace",
    "keep": "keep as it is",
    "remove": "remove",
    "leave": "leave (not written by mcproxy)",
}


def plan_view(plan: Mapping[str, Any]) -> "Iterable[RenderableType]":
    if not plan["files"]:
        yield text("No service of mcproxy is installed.")
    for command in plan["before"]:
        yield text(f"run {shlex.join(command)}", "bold")
    for directory in plan["directories"]:
        yield text(f"make, if it is missing, {directory}", "bold")
    for file in plan["files"]:
        yield text(f"{_SAID[file['change']]} {file['path']}", "bold")
        if file["change"] in ("create", "update"):
            yield from map(_indented, file["content"].splitlines())
    for command in plan["after"]:
        yield text(f"run {shlex.join(command)}", "bold")
    for note in plan["notes"]:
        yield text(f"Note: {note}.", "dim")


def _indented(line: str) -> "RenderableType":
    """A line of a file as it stands there; `text` alone would move it to the margin."""
    from rich.text import Text

    return Text(" " * (4 + len(line) - len(line.lstrip()))).append_text(text(line))


def _installed_view(plan: Mapping[str, Any]) -> "Iterable[RenderableType]":
    flag = scope_flag(plan["scope"])
    yield text("The service is installed and runs.", "bold green")
    yield text(f"Next: mcproxy service status{flag}, mcproxy service logs{flag}")


def _removed_view(_plan: Mapping[str, Any]) -> "Iterable[RenderableType]":
    yield text("The service is removed. Accounts, settings and state are still there.", "bold")


DONE = {"install": _installed_view, "uninstall": _removed_view}


def status_view(result: Mapping[str, Any]) -> "Iterable[RenderableType]":
    facts = {
        "manager": f"{result['manager']} ({result['scope']})",
        "state": result["state"],
        "says": result["says"],
        "since": result["since"],
        "enabled": None if result["enabled"] is None else ("yes" if result["enabled"] else "no"),
        "process": result["pid"],
        "restarts": result["restarts"],
        "last exit": result["last_exit"],
        "manager says": result["problem"],
    }
    for name, fact in facts.items():
        if fact is not None:
            yield text(f"{name:<13} {fact}")
    for file in result["files"]:
        yield text(file["path"] + ("" if file["ours"] else "  (not written by mcproxy)"), "dim")
    for each in result["problems"]:
        yield text(f"{each['problem']}. Run: {each['mend']}", "yellow")
    if not result["installed"]:
        yield text(
            f"It is not installed. Run: mcproxy service install{scope_flag(result['scope'])}"
        )


def scope_flag(scope: str) -> str:
    """What has to be added to the next command for it to be about the same service."""
    return " --system" if scope == "system" else ""
