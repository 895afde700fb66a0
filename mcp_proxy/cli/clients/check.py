"""What the clients on this machine will really use, for `mcproxy doctor`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mcp_proxy.cli.checks.finding import Finding, ok, warning
from mcp_proxy.cli.clients import CLIENTS
from mcp_proxy.cli.clients.client import Address, Client, Where
from mcp_proxy.loopback import is_loopback


def findings(home: Path, env: Mapping[str, str], server_url: str) -> list[Finding]:
    """For every client that is pointed at a server on this machine, by whichever file or variable.

    One that is not is none of our business, and gives nothing.
    """
    where = Where(home, env)
    return [each for client in CLIENTS.values() for each in _of(client, where, server_url)]


def _of(client: Client, where: Where, server_url: str) -> Iterator[Finding]:
    addresses = client.addresses(where)
    if not any(_is_here(each.url) for each in addresses):
        return
    taken = []
    for each in addresses:
        if each.unread is None:
            taken.append(each)
        else:
            yield warning(
                f"{client.title} does not take {each.url} from {each.origin}: {each.unread}",
                f"take that out of {each.origin}",
            )
    if taken:
        yield from _of_those_taken(client, where, server_url, *taken)


def _of_those_taken(
    client: Client, where: Where, server_url: str, winner: Address, *others: Address
) -> Iterator[Finding]:
    if _is_same(winner.url, server_url):
        yield ok(f"{client.title} uses {winner.url} ({winner.origin})")
        for what, mend in client.conflicts(where):
            yield warning(f"{client.title}: {what}", mend)
    else:
        yield warning(
            f"{client.title} uses {winner.url} ({winner.origin}), the server is at {server_url}",
            f"mcproxy setup {client.name}",
        )
    for other in others:
        if not _is_same(other.url, winner.url):
            yield _not_used(client, winner, other)


def _not_used(client: Client, winner: Address, other: Address) -> Finding:
    return warning(
        f"{client.title}: {other.origin} says {other.url}, but {winner.origin} goes before it",
        f"let both say the same, or remove one: {other.origin}",
    )


def _is_here(url: str) -> bool:
    host, _ = _host_and_port(url)
    return host == "here"


def _is_same(one: str, other: str) -> bool:
    return _host_and_port(one) == _host_and_port(other)


def _host_and_port(url: str) -> tuple[str, int | None]:
    """All names of this machine are one; an address that is none equals nothing of ours."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return ("here" if host and is_loopback(host) else host), port or usual
