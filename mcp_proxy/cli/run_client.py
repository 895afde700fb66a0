"""`mcproxy run`: a client with the server as its API, and a server for it if none runs."""

from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.client_argument import client_argument, model_option
from mcp_proxy.cli.context import App, pass_app

if TYPE_CHECKING:
    from mcp_proxy.cli.clients.client import Client

EXAMPLES = """\b
Examples:
  mcproxy run claude-code
  mcproxy run codex --model gpt-5.5 -- exec "Say hello."
  mcproxy run claude-code --demo -- -p "Run echo hi"
"""


@click.command(epilog=EXAMPLES)
@client_argument
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]...")
@model_option
@click.option("--demo", is_flag=True, help="On the embedded upstream; no account is needed.")
@pass_app
def run(
    app: App, /, *, client: "Client", arguments: tuple[str, ...], model: str | None, demo: bool
) -> int:
    """Start a client with the server as its API.

    Starts a server for as long as the client runs if none does. Touches no file of the client. The
    exit code is the client's. What follows -- is for the client.
    """
    from mcp_proxy.cli.launching import run_to_its_end

    return run_to_its_end(app, client, arguments, model=model, demo=demo)
