"""What `mcproxy doctor` looks at, by theme. `THEMES` is the list; a new one is a module here."""

from collections.abc import Callable, Iterable, Mapping

from mcp_proxy.cli.checks import (
    accounts,
    clients,
    files,
    installation,
    network,
    server,
    service,
)
from mcp_proxy.cli.checks.finding import Finding, Look

THEMES: Mapping[str, Callable[[Look], Iterable[Finding]]] = {
    "installation": installation.findings,
    "files": files.findings,
    "server": server.findings,
    "accounts": accounts.findings,
    "network": network.findings,
    "service": service.findings,
    "clients": clients.findings,
}
"""In the order in which they are told. They are looked at all at once."""
