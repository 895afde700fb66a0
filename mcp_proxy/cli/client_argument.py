"""The arguments that the verbs for clients share."""

from typing import Any

import click

from mcp_proxy.cli.clients import CLIENTS, client_named


class ClientType(click.Choice[str]):
    """One of the clients, by its name or its command."""

    def __init__(self) -> None:
        super().__init__(list(CLIENTS))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The client itself. UserError with the nearest name for one that is not known."""
        return client_named(value) if isinstance(value, str) else value


client_argument = click.argument("client", type=ClientType())

model_option = click.option("--model", help="Model to use; any name that the server takes.")
