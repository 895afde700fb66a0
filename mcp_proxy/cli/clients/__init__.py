"""The clients that mcproxy can lead to itself. A new one is a module here and a line in CLIENTS."""

import difflib

from mcp_proxy.cli.clients.aider import AIDER
from mcp_proxy.cli.clients.claude_code import CLAUDE_CODE
from mcp_proxy.cli.clients.client import Client
from mcp_proxy.cli.clients.codex import CODEX
from mcp_proxy.cli.clients.gemini_cli import GEMINI_CLI
from mcp_proxy.cli.clients.llm import LLM
from mcp_proxy.cli.clients.opencode import OPENCODE
from mcp_proxy.errors import UserError

CLIENTS = {each.name: each for each in (CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, AIDER, LLM)}

USAGE = 2


def client_named(name: str) -> Client:
    """UserError with the nearest name. What people call a client by its command is taken, too."""
    by_command = {each.command: each for each in CLIENTS.values()}
    client = CLIENTS.get(name) or by_command.get(name)
    if client is not None:
        return client
    near = difflib.get_close_matches(name, [*CLIENTS, *by_command], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(
        f"no client is named {name!r}.{hint} Known are {', '.join(CLIENTS)}.", exit_code=USAGE
    )
