"""Where a client is to be pointed: the running server, or the address at which one would be."""

import os
from dataclasses import dataclass
from pathlib import Path

from mcp_proxy.account import Secret
from mcp_proxy.cli.clients import offers
from mcp_proxy.cli.clients.client import Place, Where
from mcp_proxy.cli.context import App
from mcp_proxy.cli.running_server import NoServer, RunningServer, running_server
from mcp_proxy.errors import UserError


@dataclass(frozen=True, slots=True)
class Found:
    """A place, and whether somebody of ours answers there."""

    place: Place
    is_running: bool
    notes: tuple[str, ...] = ()


def where() -> Where:
    """This user's home and variables."""
    return Where(Path.home(), os.environ, Path.cwd())


def find_place(app: App, model: str | None, *, models_needed: bool = False) -> Found:
    """Where the server is. UserError for a model that it does not have.

    `models_needed`: the client's settings list them, so the accounts are asked without a server.
    """
    server = running_server(app)
    try:
        server.health()
    except NoServer as absence:
        return _without_server(app, server, absence, model, models_needed=models_needed)
    return Found(at_server(app, server, model), is_running=True)


def at_server(app: App, server: RunningServer, model: str | None) -> Place:
    """The place that this server is; it must take the key of these settings."""
    try:
        offered = offers.from_server(server.models())
    except NoServer as refusal:
        raise UserError(
            f"{refusal.reason}. Set PROXY_API_KEY to its key, or restart it: mcproxy serve"
        ) from refusal
    chosen = offers.chosen(model, offered, offers.route_here(app)) if model else None
    return Place(server.url, _key(app), chosen, offered)


def _without_server(
    app: App, server: RunningServer, absence: NoServer, model: str | None, *, models_needed: bool
) -> Found:
    if server.url.endswith(":0"):
        raise UserError(
            "no server runs, and the settings leave its port open. Run: mcproxy serve, or set a"
            " port under [server] in config.toml"
        )
    offered = offers.from_accounts(app) if model or models_needed else ()
    chosen = offers.chosen(model, offered, offers.route_here(app)) if model else None
    why = absence.reason or f"no server runs at {server.url} yet"
    return Found(
        Place(server.url, _key(app), chosen, offered),
        is_running=False,
        notes=(f"{why}. Start it: mcproxy serve",),
    )


def _key(app: App) -> Secret | None:
    keys = app.settings().server.api_keys
    return keys[0] if keys else None
