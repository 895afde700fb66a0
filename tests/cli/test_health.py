"""`mcproxy health`: the answer of the running server as words, a document and an exit code."""

import asyncio
import json
import re
import socket

import pytest
from harness import Cli, Home, Ran

KEYS = {"schema", "healthy", "url", "reason", "status", "version", "accounts"}


async def test_a_server_that_serves_is_healthy(cli: Cli) -> None:
    async with cli.serve("--demo") as url:
        ran = await cli.beside("health", "--url", url)
        document = json.loads((await cli.beside("health", "--json", "--url", url)).stdout)
    assert (ran.code, ran.stderr) == (0, "")
    assert re.search(rf"mcproxy \S+ at {url} is healthy: 2 (ready|unknown)$", ran.stdout.strip())
    assert document.keys() == KEYS
    assert document["schema"] == "mcproxy.health/1"
    assert (document["healthy"], document["url"], document["reason"]) == (True, url, None)
    assert sum(document["accounts"].values()) == 2


async def test_it_finds_the_server_wherever_flags_have_put_it(cli: Cli) -> None:
    async with cli.serve() as url:
        ran = await once_noted(cli)
    assert url in ran.stdout
    assert "no accounts yet" in ran.stdout


async def test_a_server_on_every_address_is_asked_without_its_key(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_API_KEY", "the-servers-own-key-1")
    async with cli.serve("--host", "0.0.0.0"):
        monkeypatch.delenv("PROXY_API_KEY")
        ran = await once_noted(cli)
    assert "http://127.0.0.1:" in ran.stdout


async def once_noted(cli: Cli) -> Ran:
    """`mcproxy health`, once the server's note of its address is on disk: two seconds at most."""
    async with asyncio.timeout(10):
        ran = await cli.beside("health")
        while ran.code != 0:
            ran = await cli.beside("health")
    return ran


async def test_quiet_is_an_exit_code_and_nothing_else(cli: Cli, unused_port: int) -> None:
    nobody = f"http://127.0.0.1:{unused_port}"
    async with cli.serve() as url:
        healthy = await cli.beside("health", "--quiet", "--url", url)
    absent = cli("health", "--quiet", "--url", nobody)
    assert (healthy.code, healthy.stdout, healthy.stderr) == (0, "", "")
    assert (absent.code, absent.stdout, absent.stderr) == (1, "", "")


def test_without_a_server_the_command_that_starts_one_is_named(
    cli: Cli, home: Home, unused_port: int
) -> None:
    home.configure(f"[server]\nport = {unused_port}\n")
    ran = cli("health")
    assert (ran.code, ran.stdout) == (1, "")
    assert f"127.0.0.1:{unused_port}" in ran.stderr
    assert "mcproxy serve" in ran.stderr
    document = cli("health", "--json")
    assert document.code == 1
    assert document.stderr == ""
    said = json.loads(document.stdout)
    assert said.keys() == KEYS
    assert said["healthy"] is False
    assert said["version"] is None


def test_a_program_of_somebody_else_is_not_healthy(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = cli("health", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert ran.code == 1
    assert "gave no answer" in ran.stderr


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8080",
        "127.0.0.1:8080",
        "http://",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:port",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_server_is_wrong_usage(cli: Cli, url: str) -> None:
    ran = cli("health", "--url", url)
    assert (ran.code, ran.stdout) == (2, "")
    assert "--url" in ran.stderr
