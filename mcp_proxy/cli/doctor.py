"""`mcproxy doctor`: everything that is known to go wrong, looked at, with what mends it.

The checks are in `checks/`, one file a theme; here they are run, all at once and in bounded time,
and told. A check that fails itself is a finding, too.
"""

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import JsonObject, counted, indented, json_option, show, text
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from mcp_proxy.cli.checks.finding import Finding, Look
    from mcp_proxy.cli.layout import Shown
    from mcp_proxy.store.accounts import Loaded
    from mcp_proxy.store.settings import Settings

SCHEMA = "mcproxy.doctor/1"
FAILED = 1
ALL_WITHIN = 9.0
"""Seconds for all checks; the whole command takes ten at most."""

REPORT = "mcproxy doctor --bundle mcproxy-report.tar.gz, and report it with that file"

_SIGNS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "problem": ("problem", "bold red"),
}

EXAMPLES = """\b
Examples:
  mcproxy doctor
  mcproxy doctor --online
  mcproxy doctor --bundle mcproxy-report.tar.gz
"""


@click.command(epilog=EXAMPLES)
@click.option("--online", is_flag=True, help="Also see whether each provider can be reached.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what helps with a bug report to FILE (.zip or .tar.gz), without secrets.",
)
@json_option(SCHEMA)
@pass_app
def doctor(app: App, /, *, online: bool, bundle: Path | None, as_json: bool) -> int:
    """Look for what is wrong, and say what mends it: exit 1 when something does not work.

    Takes ten seconds at most.
    """
    if bundle is not None:
        from mcp_proxy.cli.bundle import check_place

        check_place(bundle)
    report = doctor_report(app, online=online)
    if bundle is not None:
        from mcp_proxy.cli.bundle import write_bundle

        report = {**report, "bundle": write_bundle(app, bundle, report)}
    show(report, doctor_view, as_json=as_json)
    return 0 if report["ok"] else FAILED


def doctor_report(app: App, *, online: bool) -> JsonObject:
    """All findings by theme, in the order of the themes."""
    from mcp_proxy.cli.checks.finding import Level, Look, at_once, warning
    from mcp_proxy.cli.checks.themes import THEMES

    # A state that cannot be read is a finding; each look at it would say so once more.
    logging.getLogger("mcp_proxy.store.state").setLevel(logging.ERROR)
    look = Look(app, os.environ, Path.home(), _settings(app), _loaded(app), online=online)
    calls = {name: partial(_looked_at, check, look) for name, check in THEMES.items()}
    slow = [warning(f"could not be looked at within {ALL_WITHIN:g} s", "mcproxy doctor")]
    found = {
        name: slow if each is None else each for name, each in at_once(calls, ALL_WITHIN).items()
    }
    levels = [each.level for findings in found.values() for each in findings]
    return {
        "schema": SCHEMA,
        "ok": Level.PROBLEM not in levels,
        "counts": {str(level): levels.count(level) for level in Level},
        "findings": [
            {"theme": theme, "level": str(each.level), "what": each.what, "mend": each.mend}
            for theme, findings in found.items()
            for each in findings
        ],
        "bundle": None,
    }


def doctor_view(report: JsonObject) -> "Iterable[Shown]":
    """A line for each finding under its theme, and what mends it below."""
    theme = None
    for each in report["findings"]:
        if each["theme"] != theme:
            theme = each["theme"]
            yield text(theme, "bold")
        sign, style = _SIGNS[each["level"]]
        said = each["what"].removesuffix(f"; run: {each['mend']}")
        yield indented(text(f"{sign}: ", style).append(" ").append_text(text(said, "not bold")), 2)
        if each["mend"]:
            yield indented(text(f"mend it: {each['mend']}"), 6)
    counts = report["counts"]
    problems, warnings = (counted(counts[each], each) for each in ("problem", "warning"))
    yield text(f"{problems}, {warnings}, {counts['ok']} ok", "bold")
    if report["bundle"]:
        yield text(f"Wrote {report['bundle']['file']}. In it, without secrets:")
        for name, what in report["bundle"]["files"].items():
            yield indented(text(f"{name}: {what}"), 2)


def _settings(app: App) -> "Settings | None":
    try:
        return app.settings()
    except UserError:
        return None


def _loaded(app: App) -> "Loaded | None":
    """Read once: to read accounts.toml mends its mode, and says so only the first time."""
    try:
        return app.account_store().load()
    except UserError:
        return None


def _looked_at(check: "Callable[[Look], Iterable[Finding]]", look: "Look") -> "list[Finding]":
    """What there is until something goes wrong in the check itself, and that."""
    from mcp_proxy.cli.checks.finding import problem, told

    found: list[Finding] = []
    try:
        for each in check(look):
            found.append(each)  # noqa: PERF402 - what came before a failure is to be kept
    except UserError as cause:
        found.append(problem(*told(str(cause), REPORT)))
    except Exception as cause:  # noqa: BLE001 - whoever asks a doctor is in trouble already
        found.append(problem(f"this check failed itself: {type(cause).__name__}", REPORT))
    return found
