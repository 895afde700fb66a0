"""The server: whether it runs, whose it is, and whether clients can ask it for their models."""

from collections.abc import Iterator

from mcp_proxy import __version__
from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, warning
from mcp_proxy.cli.running_server import NoServer, running_server
from mcp_proxy.cli.server_place import models_of, place_of
from mcp_proxy.errors import UserError
from mcp_proxy.loopback import is_loopback
from mcp_proxy.store.settings import Settings

LISTED_WITHIN = 5.0
"""Seconds; the server itself takes three at most to learn a list."""


def findings(look: Look) -> Iterator[Finding]:
    if look.settings is None:
        return
    yield from _bind(look.settings)
    server = running_server(look.app)
    try:
        health = server.health()
    except NoServer as absence:
        if absence.reason is None:
            yield warning(f"no server runs at {server.url}", "mcproxy serve")
        else:
            yield problem(absence.reason, "mcproxy serve --port 0, or end the other program")
        return
    yield ok(f"{server.url}: mcproxy {health['version']} serves")
    if health["version"] != __version__:
        yield warning(
            f"it is {health['version']}, and {__version__} is installed", "restart mcproxy serve"
        )
    yield from _models(look.settings, server.url)


def _bind(settings: Settings) -> Iterator[Finding]:
    from mcp_proxy.cli.serve import check

    server = settings.server
    try:
        check(settings)
    except UserError as refused:
        yield problem(str(refused), "mcproxy config show --origin")
        return
    if not is_loopback(server.host):
        yield warning(
            f"{server.host}: other machines can connect; what they send is not encrypted",
            "listen on 127.0.0.1, or put a server with TLS before it",
        )
    elif server.api_keys:
        yield ok("clients must send a key")


def _models(settings: Settings, url: str) -> Iterator[Finding]:
    try:
        listed = models_of(place_of(url, settings.server), LISTED_WITHIN)
    except UserError as cause:
        yield problem(str(cause))
        return
    for alias, targets in settings.aliases.items():
        names = [target.rpartition("/")[2] for target in targets]
        if listed and "*" not in alias and not any(name in listed for name in names):
            yield warning(
                f"the alias {alias} leads to {' or '.join(targets)}, which nobody serves",
                f"mcproxy route {alias}",
            )
    yield ok(f"{len(listed)} models can be asked for")
