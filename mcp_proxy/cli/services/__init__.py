"""mcproxy as a service: which manager this machine has, and what it is to run.

The managers know what they are told and how; this decides for whom, with which files, and from
which settings.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mcp_proxy.cli.context import App
from mcp_proxy.cli.own_command import OWN_COMMAND
from mcp_proxy.cli.services.launchd import Launchd
from mcp_proxy.cli.services.plan import Command, Manager, Service
from mcp_proxy.cli.services.programs import ask
from mcp_proxy.cli.services.systemd import Systemd
from mcp_proxy.errors import UserError
from mcp_proxy.store.environment import VARIABLES
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import SETTINGS, ServerSettings, load_settings

CONFIG_ERROR = 78
USAGE = 2

SYSTEM_PATHS = Paths(
    accounts=Path("/var/lib/mcproxy/accounts/accounts.toml"),
    config=Path("/etc/mcproxy/config.toml"),
    state=Path("/var/lib/mcproxy/state"),
)
"""What `units/system/mcproxy.service` makes of its directories."""

SYSTEM_KEY = Path("/etc/credstore/mcproxy.api-key")
"""Where its LoadCredential= finds the key that clients must send."""

OF_THE_SHELL = (
    *(row.env for row in SETTINGS if row.env),
    *VARIABLES,
    "HTTPS_PROXY",
    "HTTP_PROXY",
)
"""Variables that mean something to `serve` and that no service inherits."""


def manager_here(app: App, *, system: bool) -> Manager:
    """The service manager of this machine. UserError where there is none that we know."""
    if sys.platform == "darwin":
        if system:
            raise UserError(
                "--system is for systemd; on macOS mcproxy runs as an agent of the user who is "
                "signed in. Run: mcproxy service install",
                exit_code=USAGE,
            )
        return Launchd(app.paths, home=Path.home(), uid=os.getuid())
    if sys.platform != "linux":
        raise UserError(f"mcproxy knows the services of Linux and macOS, not of {sys.platform}")
    if system:
        return Systemd(SYSTEM_PATHS, directory=Path("/etc/systemd/system"), system=True)
    configured = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    directory = Path(configured).expanduser() / "systemd" / "user"
    return Systemd(app.paths, directory=directory, system=False)


def service_of(manager: Manager) -> Service:
    """What the manager shall run. UserError when it could not serve with its settings."""
    server = _settings_of(manager.paths)
    return Service(
        command=own_command(),
        paths=manager.paths,
        addresses=tuple(_addresses(server)),
        not_inherited=tuple(name for name in OF_THE_SHELL if os.environ.get(name)),
    )


def check_command(command: Command) -> None:
    """UserError when a manager could not start it: a checkout runs only where it lies."""
    answer = ask((*command, "--version"), bare=True)
    if answer.code != 0:
        raise UserError(
            f"a service cannot start this mcproxy ({answer.reason}). Install it, for example with "
            "pipx, and run the installed one: mcproxy service install"
        )


def own_command() -> Command:
    """This mcproxy as anybody can start it from anywhere; a link to it stays one, since links
    are what an upgrade keeps."""
    script = Path(sys.argv[0]).absolute()
    if script.name == "mcproxy" and os.access(script, os.X_OK):
        return (str(script),)
    return OWN_COMMAND


def _settings_of(paths: Paths) -> ServerSettings:
    """What the service will find, which is not what this shell sees."""
    from mcp_proxy.cli.serve import check

    env = {}
    if paths is SYSTEM_PATHS and os.access(SYSTEM_KEY, os.R_OK):
        env["PROXY_API_KEY_FILE"] = str(SYSTEM_KEY)
    settings = load_settings(paths, {}, env)
    check(settings)
    if settings.server.port == 0:
        raise UserError(
            f"{paths.config}: port = 0 takes another port at each start; a service needs one that "
            "clients can know. Set [server] port.",
            exit_code=CONFIG_ERROR,
        )
    return settings.server


def _addresses(server: ServerSettings) -> Iterator[str]:
    """Host and port as ListenStream= has them; on loopback in both families where there are two."""
    if server.host in ("localhost", "127.0.0.1"):
        yield f"127.0.0.1:{server.port}"
        if _has_ipv6():
            yield f"[::1]:{server.port}"
    elif ":" in server.host:
        yield f"[{server.host}]:{server.port}"
    else:
        yield f"{server.host}:{server.port}"


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False
