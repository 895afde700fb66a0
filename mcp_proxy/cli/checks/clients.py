"""What the clients on this machine will really use, as `cli/clients` knows them."""

from collections.abc import Iterator

from mcp_proxy.cli.checks.finding import Finding, Look
from mcp_proxy.cli.clients import check
from mcp_proxy.cli.running_server import running_server


def findings(look: Look) -> Iterator[Finding]:
    if look.settings is not None:
        yield from check.findings(look.home, look.env, running_server(look.app).url)
