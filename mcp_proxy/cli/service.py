"""`mcproxy service`: install, uninstall, status, logs. The server as the machine's own service.

What would be written is shown before anything is. How each manager wants it is in `services/`.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.lazy import VerbGroup
from mcp_proxy.cli.render import json_option, show
from mcp_proxy.cli.service_views import DONE, plan_view, scope_flag, status_view
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from mcp_proxy.cli.services.plan import Change, Manager, Plan, Status

PLAN_SCHEMA = "mcproxy.service/1"
STATUS_SCHEMA = "mcproxy.service-status/1"
LOGS_SCHEMA = "mcproxy.service-logs/1"
FAILED = 1
USAGE = 2

MOST_LINES = 100_000

system_option = click.option(
    "--system", is_flag=True, help="The machine's own service instead of the user's; for root."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be done; do nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  mcproxy service install --dry-run
  mcproxy service install
  mcproxy service status
""",
)
def service() -> None:
    """Run the server as a service of this machine."""


@service.command(
    epilog="""\b
Examples:
  mcproxy service install --dry-run
  mcproxy service install --yes
  sudo mcproxy service install --system
"""
)
@system_option
@dry_run_option
@yes_option
@json_option(PLAN_SCHEMA)
@pass_app
def install(app: App, /, *, system: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Start the server with the machine, and again when it fails.

    Writes the units of systemd, or the agent of launchd, and starts them. Doing it again brings
    them up to date.
    """
    from mcp_proxy.cli.services import check_command, manager_here, service_of

    _require_answer(dry_run=dry_run, yes=yes)
    manager = manager_here(app, system=system)
    wanted = service_of(manager)
    if not dry_run:
        manager.refuse()
        check_command(wanted.command)
    plan = manager.install(wanted, dry_run=dry_run)
    question = "Write these files and start the service?"
    _carry_out("install", manager, plan, question, dry_run=dry_run, yes=yes, as_json=as_json)


@service.command(
    epilog="""\b
Examples:
  mcproxy service uninstall --dry-run
  mcproxy service uninstall --yes
"""
)
@system_option
@dry_run_option
@yes_option
@json_option(PLAN_SCHEMA)
@pass_app
def uninstall(app: App, /, *, system: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Stop the service and remove the files that install wrote.

    Accounts, settings and state stay, and so do files that somebody else wrote.
    """
    from mcp_proxy.cli.services import manager_here

    _require_answer(dry_run=dry_run, yes=yes)
    manager = manager_here(app, system=system)
    plan = manager.uninstall()
    if not dry_run and plan.concerns_us:
        manager.refuse()
    question = "Stop the service and remove these files?"
    _carry_out("uninstall", manager, plan, question, dry_run=dry_run, yes=yes, as_json=as_json)


@service.command(
    epilog="""\b
Examples:
  mcproxy service status
  mcproxy service status --system --json
"""
)
@system_option
@json_option(STATUS_SCHEMA)
@pass_app
def status(app: App, /, *, system: bool, as_json: bool) -> int:
    """Show whether the service is installed and runs. Exit 0 when it runs, else 1."""
    result = status_of(app, system=system)
    show(result, status_view, as_json=as_json)
    return 0 if result["runs"] else FAILED


@service.command(
    epilog="""\b
Examples:
  mcproxy service logs --lines 100
  mcproxy service logs --follow
"""
)
@system_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, MOST_LINES),
    default=50,
    show_default=True,
    help="How many, from the end.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@json_option(LOGS_SCHEMA)
@pass_app
def logs(app: App, /, *, system: bool, lines: int, follow: bool, as_json: bool) -> int:
    """Show what the service has logged."""
    from mcp_proxy.cli.services import manager_here
    from mcp_proxy.cli.services.programs import show as show_program

    if follow and as_json:
        raise UserError("--follow and --json exclude each other", exit_code=USAGE)
    manager = manager_here(app, system=system)
    if not as_json:
        return min(show_program(manager.log_command(lines, follow=follow)), FAILED)
    records = list(manager.log_records(lines))
    show({"schema": LOGS_SCHEMA, "lines": records}, lambda _: (), as_json=True)
    return 0


def status_of(app: App, *, system: bool) -> dict[str, Any]:
    """How the service is, and what is wrong with it, each with the command that mends it."""
    from mcp_proxy.cli.services import manager_here
    from mcp_proxy.cli.services.plan import is_ours, is_there

    manager = manager_here(app, system=system)
    found = manager.status()
    files = [
        {"path": str(path), "ours": is_ours(path)} for path in manager.places() if is_there(path)
    ]
    return {
        "schema": STATUS_SCHEMA,
        "manager": manager.name,
        "scope": manager.scope,
        "installed": any(each["ours"] for each in files),
        "files": files,
        **asdict(found),
        "problems": [{"problem": what, "mend": how} for what, how in _problems(manager, found)],
    }


def _problems(manager: "Manager", found: "Status") -> Iterator[tuple[str, str]]:
    """What its owner should know, and what to run."""
    from mcp_proxy.cli.services import CONFIG_ERROR
    from mcp_proxy.cli.services.plan import is_ours

    again = f"mcproxy service install{scope_flag(manager.scope)}"
    installed = any(is_ours(path) for path in manager.places())
    if installed and found.last_exit == CONFIG_ERROR and not found.runs:
        yield "its settings have to be mended before it can start", "mcproxy config validate"
        # It also lets the manager forget how often the start has failed.
        yield "once they are right, it has to be started again", again
    if installed and (program := manager.program()) and not program.exists():
        yield f"it would start {program}, which is not there", again
    if installed and not found.runs and found.problem is None:
        yield f"it does not run ({found.state})", f"mcproxy service logs{scope_flag(manager.scope)}"
    if found.runs and found.enabled is False:
        yield "it runs, but will not start with the machine", again


def _require_answer(*, dry_run: bool, yes: bool) -> None:
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UserError(
            "--yes is needed without a terminal; --dry-run shows what would be done",
            exit_code=USAGE,
        )


def _carry_out(
    action: str,
    manager: "Manager",
    plan: "Plan",
    question: str,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    result = _plan_document(action, manager, plan)
    if not as_json:
        show(result, plan_view, as_json=False)
    done = not dry_run and plan.concerns_us
    if done:
        if not yes and not click.confirm(question, err=True):
            raise UserError("nothing was changed")
        plan.carry_out()
    if as_json:
        show({**result, "done": done}, plan_view, as_json=True)
    elif done:
        show(result, DONE[action], as_json=False)


def _plan_document(action: str, manager: "Manager", plan: "Plan") -> dict[str, Any]:
    return {
        "schema": PLAN_SCHEMA,
        "action": action,
        "manager": manager.name,
        "scope": manager.scope,
        "done": False,
        "before": [list(command) for command in plan.before],
        "files": [_change_row(change) for change in plan.changes],
        "after": [list(command) for command in plan.after],
        "directories": [str(directory) for directory in plan.directories],
        "notes": list(plan.notes),
    }


def _change_row(change: "Change") -> dict[str, Any]:
    return {"path": str(change.path), "change": change.kind.value, "content": change.content}
