"""Which addresses count as public, whatever dress they wear."""

import socket
from ipaddress import ip_address

import pytest

from mcp_proxy.engine.public_addresses import (
    AddressRefused,
    CheckedResolver,
    is_elsewhere,
    is_own,
    is_public,
)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.215.14",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)
def test_public_address(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
    ],
)
def test_address_that_is_not_public(address):
    assert not is_public(ip_address(address))
    assert not is_elsewhere(ip_address(address))


def test_own_address_is_recognised_and_a_foreign_one_is_not():
    assert is_own(ip_address("127.0.0.1"))
    assert is_own(ip_address("127.8.8.8"))
    assert not is_own(ip_address("1.1.1.1"))


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_every_spelling_of_loopback_is_refused(name):
    with pytest.raises(AddressRefused):
        await CheckedResolver(is_public).resolve(name, 80, socket.AF_INET)


async def test_allowed_name_resolves_to_the_address_that_was_checked():
    checked = []
    resolver = CheckedResolver(lambda address: not checked.append(address))
    (found,) = await resolver.resolve("127.1", 80, socket.AF_INET)
    assert (found["host"], found["port"]) == ("127.0.0.1", 80)
    assert checked == [ip_address("127.0.0.1")]


def test_address_as_host_is_checked_and_a_name_is_left_to_the_resolver():
    resolver = CheckedResolver(is_public)
    resolver.check_literal("example.org")
    resolver.check_literal("1.1.1.1")
    for host in ("::1", "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "1.2.3.4.5"):
        with pytest.raises(AddressRefused):
            resolver.check_literal(host)
