"""Upstreams behind TLS: whose certificates are accepted, and what becomes of those that are not."""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import trustme
from served import message_body

from mcp_proxy.demo import DemoUpstream, demo_accounts
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET


@dataclass(slots=True)
class Front:
    """A port that speaks TLS before the upstream, as everything that providers have does."""

    url: str = ""
    visits: int = 0
    """Connections, whether or not the visitor liked the certificate."""


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def front(authority: trustme.CA, upstream: DemoUpstream, name: str) -> AsyncIterator[Front]:
    """It passes bytes on; its certificate is for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    found = Front()
    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.visits += 1
        with suppress(OSError):
            await writer.start_tls(context)
            port = int(upstream.url.rpartition(":")[2])
            inward, outward = await asyncio.open_connection("127.0.0.1", port)
            for way in (pass_on(reader, outward), pass_on(inward, writer)):
                visits.add(asyncio.create_task(way))

    listening = await asyncio.start_server(visit, "127.0.0.1", 0)
    found.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        listening.close()
        for each in visits:
            each.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


@asynccontextmanager
async def outbound(*, expects: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy on the way out that opens tunnels for those who say `expects`, and its address; with
    what it was asked to open."""
    asked: list[str] = []
    visits: list[asyncio.Task[None]] = []

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        asked.append(f"{method} {target}")
        if f"Proxy-Authorization: {expects}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = target.rpartition(":")
        inward, outward = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")
        visits.extend(
            asyncio.create_task(pass_on(*way)) for way in ((reader, outward), (inward, writer))
        )

    listening = await asyncio.start_server(visit, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked
    finally:
        listening.close()
        for each in visits:
            each.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


def signed_in(home, upstream: DemoUpstream, url: str, *, proxy: str | None = None) -> None:
    """Two of the upstream's accounts, which are to be reached behind TLS, and with a proxy all of
    them through it."""
    home.add(*(replace(each, proxy=proxy) for each in demo_accounts(upstream)[:2]))
    home.configure(
        f'[providers.antigravity]\nbase_urls = ["{url}"]\n'
        f'token_url = "{upstream.url if proxy is None else url}/token"\n'
        f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
    )


@asynccontextmanager
async def asked(cli, home, *, trusts: Path | None) -> AsyncIterator[tuple[int, str]]:
    """Status and body of one request to a `serve` of its own."""
    variables = {"SSL_CERT_FILE": str(trusts)} if trusts else {}
    command = cli.command("serve", "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=home.root, env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        url = next(word for word in line.split() if word.startswith("http"))
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/messages", json=message_body("echo me")) as answer,
        ):
            yield answer.status, await answer.text()
    finally:
        process.kill()
        await process.communicate()


async def test_own_authorities_are_named_by_the_variable(cli, home, upstream, authority, bundle):
    async with front(authority, upstream, "127.0.0.1") as place:
        signed_in(home, upstream, place.url)
        async with asked(cli, home, trusts=bundle) as (status, text):
            assert status == 200, text


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere.example"])
async def test_who_is_not_trusted_is_not_asked_and_not_asked_again(
    cli, home, upstream, authority, bundle, name
):
    """Neither the certificate of an unknown authority nor one of another name will do."""
    unknown = name == "127.0.0.1"
    async with front(authority, upstream, name) as place:
        signed_in(home, upstream, place.url)
        async with asked(cli, home, trusts=None if unknown else bundle) as (status, text):
            error = json.loads(text)["error"]
            assert (status, error["type"]) == (502, "api_error")
            assert "certificate of 127.0.0.1 is not accepted" in error["message"]
            assert "SSL_CERT_FILE" in error["message"]
        assert place.visits == 2, "once by each account"
    assert not upstream.requests


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_a_proxy_on_the_way_out_opens_tunnels_for_who_has_its_password(
    cli, home, upstream, authority, bundle, password
):
    expects = "Basic " + base64.b64encode(b"me:right").decode()
    async with front(authority, upstream, "127.0.0.1") as place, outbound(expects=expects) as out:
        address, tunnels = out
        signed_in(home, upstream, place.url, proxy=f"http://me:{password}@{address}")
        async with asked(cli, home, trusts=bundle) as (status, text):
            if password == "right":
                assert status == 200, text
            else:
                assert status == 502
                assert "outbound proxy refused the connection" in text
            assert password not in text
        assert set(tunnels) == {f"CONNECT {place.url.removeprefix('https://')}"}
        assert place.visits == (len(tunnels) if password == "right" else 0)


SEEN = """
import json, os
from mcp_proxy import trust
with trust.not_yet_read():
    import aiohttp.connector as library
print(json.dumps({
    "library's": library._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"],
    "ours": trust.authorities().cert_store_stats()["x509_ca"],
    "once": trust.authorities() is trust.authorities(),
    "checks": [trust.authorities().check_hostname, trust.authorities().verify_mode.name],
    "variables": [os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")],
}))
"""


@pytest.mark.parametrize("directory", [None, "/nowhere"])
def test_the_library_reads_no_certificates_as_it_is_imported(bundle, directory):
    variables = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"}
    variables |= {"SSL_CERT_FILE": str(bundle)} | ({"SSL_CERT_DIR": directory} if directory else {})
    said = subprocess.run(
        [sys.executable, "-c", SEEN], env=variables, capture_output=True, check=True
    )
    assert json.loads(said.stdout) == {
        "library's": 0,
        "ours": 1,
        "once": True,
        "checks": [True, "CERT_REQUIRED"],
        "variables": [str(bundle), directory],
    }


RAN = """
import sys
from mcp_proxy.cli import run
run(sys.argv[1:])
import aiohttp.connector as library
print(library._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"])
"""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("verb", ["limits", "models", "demo"])
def test_no_verb_has_the_library_read_them(bundle, verb):
    variables = os.environ | {"SSL_CERT_FILE": str(bundle)}
    command = [sys.executable, "-P", "-c", RAN, verb]
    said = subprocess.run(command, env=variables, capture_output=True, check=True)
    assert said.stdout.splitlines()[-1] == b"0"
