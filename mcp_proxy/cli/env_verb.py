"""`mcproxy env`: the variables that lead a client to the server, for a shell to read."""

import os
import sys
from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.choices import OneOf
from mcp_proxy.cli.client_argument import client_argument, model_option
from mcp_proxy.cli.clients.shells import SHELLS, shell_of
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import json_option, show

if TYPE_CHECKING:
    from mcp_proxy.cli.clients.client import Client

SCHEMA = "mcproxy.env/1"

EXAMPLES = """\b
Examples:
  eval "$(mcproxy env claude-code)"
  mcproxy env codex --shell fish | source
  mcproxy env gemini-cli --model gemini-3-flash --json
"""


@click.command(epilog=EXAMPLES)
@client_argument
@click.option("--shell", type=OneOf(list(SHELLS)), help="Whose syntax to print.  [yours]")
@model_option
@json_option(SCHEMA)
@pass_app
def env(
    app: App, /, *, client: "Client", shell: str | None, model: str | None, as_json: bool
) -> None:
    """Print the variables that lead a client to the server.

    Changes nothing; the shell that reads them does.
    """
    from mcp_proxy.cli.client_place import find_place, where

    found = find_place(app, model, models_needed=client.names_models)
    variables, arguments = client.variables(found.place), client.arguments(found.place)
    syntax = shell or shell_of(os.environ)
    lines = SHELLS[syntax].lines(variables, client.command, arguments)
    notes = [*found.notes, *client.env_notes, *client.overrides(found.place, where())]
    result = {
        "schema": SCHEMA,
        "client": client.name,
        "url": found.place.url,
        "running": found.is_running,
        "variables": variables,
        "arguments": list(arguments),
        "shell": syntax,
        "lines": lines,
        "notes": notes,
    }
    for note in () if as_json else notes:
        app.say(note)
    # Plain lines: a shell reads them, at every start of some people's.
    show(result, lambda shown: shown["lines"], as_json=as_json)
    if sys.stdout.isatty() and not as_json:
        app.say(f'To set them here: eval "$(mcproxy env {client.name})"')
