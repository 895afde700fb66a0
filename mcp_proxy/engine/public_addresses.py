"""Which addresses a fetch on a client's behalf may reach, and a resolver that holds to it.

A name is resolved once and the connection goes to the very addresses that were checked, so a name
that answers differently the second time (DNS rebinding) gains nothing (faults.md T19).
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

IPAddress = IPv4Address | IPv6Address
Rule = Callable[[IPAddress], bool]

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The rule does not let this host be reached."""


def is_public(address: IPAddress) -> bool:
    """Whether the address, and any IPv4 address written inside it, belongs to the open Internet."""
    inner = _inside(address)
    if inner:
        return all(is_public(each) for each in inner)
    # Python calls multicast global; reserved covers the deprecated ::127.0.0.1 form.
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inside(address: IPAddress) -> tuple[IPv4Address, ...]:
    if isinstance(address, IPv4Address):
        return ()
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    inner = address.ipv4_mapped or address.sixtofour
    return (inner,) if inner else address.teredo or ()


def is_own(address: IPAddress) -> bool:
    """Whether this machine has the address: only then can a socket be bound to it.

    Nothing is sent. Where the system lets sockets take foreign addresses, all count as own.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def is_elsewhere(address: IPAddress) -> bool:
    """The default rule: public, and not this machine by its public address."""
    return is_public(address) and not is_own(address)


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that the rule allows; one bad address refuses the name."""

    def __init__(self, allow: Rule) -> None:
        self._allow = allow

    def check_literal(self, host: str) -> None:
        """Raises AddressRefused. aiohttp asks no resolver about what looks like an address."""
        if ":" not in host and not host.replace(".", "").isdigit():
            return
        try:
            address = ip_address(host)
        except ValueError:
            # 127.1, 2130706433: shortened and decimal forms that sockets understand.
            raise AddressRefused from None
        self._check(address)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressRefused, or OSError when the name has no address."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        for *_, where in found:
            self._check(ip_address(where[0]))
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, where in found
        ]

    async def close(self) -> None:
        """Nothing is held open."""

    def _check(self, address: IPAddress) -> None:
        if not self._allow(address):
            raise AddressRefused
