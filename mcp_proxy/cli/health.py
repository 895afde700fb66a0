"""`mcproxy health`: does the server answer. For people, and for what watches over containers.

A result and an exit code. Whether the accounts work is another question, that of `limits`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import JsonObject, json_option, show, state_text, text
from mcp_proxy.cli.running_server import NoServer, RunningServer, running_server
from mcp_proxy.errors import UserError
from mcp_proxy.store.settings import ServerSettings

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

SCHEMA = "mcproxy.health/1"
FAILED = 1
USAGE = 2
SAID = ("status", "version", "accounts")
"""What the server itself says; the rest is how it was found."""
HTTP_PORT = 80

EXAMPLES = """\b
Examples:
  mcproxy health
  mcproxy health --quiet
  mcproxy health --url http://192.0.2.7:8080 --json
"""


@click.command(epilog=EXAMPLES)
@click.option("--url", metavar="URL", help="Another server than the one of these settings.")
@json_option(SCHEMA)
@pass_app
def health(app: App, /, *, url: str | None, as_json: bool) -> int:
    """Ask the running server whether it serves: exit 0 when it does, 1 when not.

    With --quiet nothing is said; the exit code is the answer.
    """
    server = RunningServer(_address(url)) if url else running_server(app)
    report = health_report(server)
    healthy: bool = report["healthy"]
    if as_json or (healthy and app.verbosity >= 0):
        show(report, health_view, as_json=as_json)
    elif app.verbosity >= 0:
        raise UserError(report["reason"])
    return 0 if healthy else FAILED


def health_report(server: RunningServer) -> JsonObject:
    """Every key is there either way; what nobody said is None."""
    report = {"schema": SCHEMA, "healthy": False, "url": server.url, "reason": None}
    try:
        said = server.health()
    except NoServer as absence:
        reason = absence.reason or f"nobody listens at {server.url}. Run: mcproxy serve"
        return {**report, "reason": reason, **dict.fromkeys(SAID)}
    return {**report, "healthy": True, **{key: said[key] for key in SAID}}


def health_view(report: JsonObject) -> "Iterable[Shown]":
    """One line: which server, and its accounts by state."""
    line = text(f"mcproxy {report['version']} at {report['url']} is healthy:")
    counted = {state: count for state, count in report["accounts"].items() if count}
    for number, (state, count) in enumerate(counted.items()):
        line.append(", " if number else " ").append(f"{count} ").append_text(state_text(state))
    yield line if counted else line.append(" no accounts yet")


def _address(url: str) -> ServerSettings:
    """The host and port of a URL. UserError for one that is not an address of a server of ours."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or HTTP_PORT
    except ValueError as wrong:
        raise UserError(f"--url {url}: {wrong}", exit_code=USAGE) from wrong
    if parts.scheme != "http" or not host or parts.path.strip("/"):
        raise UserError(
            f"--url {url}: must be the address of a server, like http://127.0.0.1:8080",
            exit_code=USAGE,
        )
    return ServerSettings(host=host, port=port)
