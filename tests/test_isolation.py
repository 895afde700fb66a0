"""The tests' own walls: no other machine, nothing of the user's."""

import socket
from pathlib import Path

import pytest
from harness import Cli, Home

from mcp_proxy.store.paths import find_paths


def test_a_connection_to_another_machine_is_refused_and_noted(
    connections_elsewhere: list[str],
) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="no network"):
        sock.connect(("192.0.2.1", 443))
    assert connections_elsewhere == ["192.0.2.1"]
    connections_elsewhere.clear()


def test_a_name_of_another_machine_is_not_resolved() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 443)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        socket.create_connection(listening.getsockname()).close()


def test_the_home_of_a_test_is_where_the_program_looks(home: Home) -> None:
    assert find_paths({}) == home.paths


def test_the_command_line_of_a_test_knows_no_other_home(cli: Cli, home: Home) -> None:
    ran = cli("accounts", "list", "--json")
    assert (ran.code, ran.stderr) == (0, "")
    assert '"accounts": []' in ran.stdout
    assert list(Path(home.root).iterdir()) == []
