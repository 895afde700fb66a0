"""The clients that mcproxy can lead to itself. A new one is a module here and one of `_NAMES`."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from mcp_proxy.errors import UserError
from mcp_proxy.spelling import did_you_mean

if TYPE_CHECKING:
    from mcp_proxy.cli.clients.client import Client

USAGE = 2

_NAMES = ("claude-code", "codex", "gemini-cli", "opencode", "aider", "llm")


class _Clients(Mapping[str, "Client"]):
    """Each is imported when it is asked for: a shell that completes its name needs none of them."""

    def __getitem__(self, name: str) -> "Client":
        if name not in _NAMES:
            raise KeyError(name)
        module = name.replace("-", "_")
        return cast("Client", getattr(import_module(f"{__name__}.{module}"), module.upper()))

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


CLIENTS = _Clients()


def client_named(name: str) -> "Client":
    """UserError with the nearest name. What people call a client by its command is taken, too."""
    if name in CLIENTS:
        return CLIENTS[name]
    by_command = {each.command: each for each in CLIENTS.values()}
    if name in by_command:
        return by_command[name]
    hint = did_you_mean(name, [*CLIENTS, *by_command])
    raise UserError(
        f"no client is named {name!r}.{hint} Known are {', '.join(CLIENTS)}.", exit_code=USAGE
    )
