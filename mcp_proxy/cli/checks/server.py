"""The server: whether it runs, whose it is, and whether clients can ask it for their models."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from mcp_proxy import __version__
from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, told, warning
from mcp_proxy.cli.checks.port_owner import owner_of
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
            yield _somebody_else(server.url, absence.reason)
        return
    yield ok(f"{server.url}: mcproxy {health['version']} serves")
    if health["version"] != __version__:
        yield warning(
            f"it is {health['version']}, and {__version__} is installed", "restart mcproxy serve"
        )
    yield from _models(look, look.settings, server.url)


def _somebody_else(url: str, reason: str) -> Finding:
    owner = owner_of(urlsplit(url).port or 0)
    if owner is None:
        return problem(reason, "mcproxy serve --port 0, or end the other program")
    return problem(
        f"{reason}. {owner.name} (process {owner.pid}) has the port",
        f"mcproxy serve --port 0, or: kill {owner.pid}",
    )


def _bind(settings: Settings) -> Iterator[Finding]:
    from mcp_proxy.cli.serve import check

    server = settings.server
    try:
        check(settings)
    except UserError as refused:
        yield problem(*told(str(refused), "mcproxy config show --origin"))
        return
    if not is_loopback(server.host):
        yield warning(
            f"{server.host}: other machines can connect; what they send is not encrypted",
            "listen on 127.0.0.1, or put a server with TLS before it",
        )
    elif server.api_keys:
        yield ok("clients must send a key")


class _Signpost(NamedTuple):
    """A name of the user's own, and the models it leads to."""

    kind: str
    name: str
    targets: Iterable[str]


def _signposts(settings: Settings) -> Iterator[_Signpost]:
    for alias, targets in settings.aliases.items():
        if "*" not in alias:
            yield _Signpost("alias", alias, targets)
    for route, steps in settings.routes.items():
        yield _Signpost("route", route, [step["model"] for step in steps])
    for model, stand_ins in settings.fallback.models.items():
        yield _Signpost("fallback of", model, stand_ins)


def _models(look: Look, settings: Settings, url: str) -> Iterator[Finding]:
    try:
        listed = models_of(place_of(url, settings.server), LISTED_WITHIN)
    except UserError as cause:
        yield problem(*told(str(cause), "mcproxy serve, started anew with these settings"))
        return
    for kind, name, targets in _signposts(settings):
        if listed and not any(target.rpartition("/")[2] in listed for target in targets):
            yield warning(
                f"the {kind} {name} leads to {' or '.join(targets)}, which nobody serves",
                f"mcproxy route {name}",
            )
    yield from _strangers(look, settings)
    yield ok(f"{len(listed)} models can be asked for")


def _strangers(look: Look, settings: Settings) -> Iterator[Finding]:
    """Accounts that routes and chains name and that are not there."""
    known = {account.id for account in look.loaded.accounts} if look.loaded else set()
    named = [
        *(
            (f"the route {name}", step.get("account"))
            for name, steps in settings.routes.items()
            for step in steps
        ),
        *(
            (f"the chain of {model}", account)
            for model, chain in settings.chains.items()
            for account in chain["accounts"]
        ),
    ]
    for what, account in named:
        if account and known and account not in known:
            yield warning(
                f"{what} names the account {account}, which is not there",
                f"edit {look.app.paths.config}, or: mcproxy accounts add --id {account}",
            )
