"""Ctrl-C and its kin, while a provider may just have renewed a token that nobody else has."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from harness import Cli, Home
from served import until

from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind

pytestmark = pytest.mark.usefixtures("hangups_are_heard")

ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")
ADD = ("accounts", "add", "--provider", "antigravity", "--accept-risk", "--refresh-token", "-")


@pytest.fixture
async def upstream() -> AsyncIterator[DemoUpstream]:
    async with DemoUpstream(accounts=[DemoAccount("ben", rotates=True)]) as listening:
        yield listening


@asynccontextmanager
async def waiting(
    cli: Cli, upstream: DemoUpstream, *arguments: str, stdin: str = "", path: str, seconds: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, with its call of `path` on the way: the answer takes so many seconds."""
    upstream.play(Fault(FaultKind.HANG, path=path, seconds=seconds))
    process = await asyncio.create_subprocess_exec(
        *cli.command(*arguments),
        cwd=cli.home.root,
        env=os.environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(stdin.encode())
    process.stdin.close()
    try:
        await until(lambda: not len(upstream.faults))
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def tokens(home: Home) -> Iterator[str]:
    for line in home.paths.accounts.read_text().splitlines():
        name, _, value = line.partition(" = ")
        if name == "refresh_token":
            yield value.strip('"')


@pytest.mark.parametrize(
    ("verb", "ending"),
    [
        *(("accounts verify", ending) for ending in ENDINGS),
        *(("limits", ending) for ending in ENDINGS),
        ("limits --watch --json", "SIGTERM"),
        ("models", "SIGTERM"),
    ],
)
async def test_a_token_that_is_being_renewed_is_waited_for_and_kept(
    cli: Cli, home: Home, upstream: DemoUpstream, verb: str, ending: str
) -> None:
    home.sign_in(upstream)
    [before] = tokens(home)
    async with waiting(cli, upstream, *verb.split(), path="/token", seconds=2.5) as process:
        process.send_signal(getattr(signal, ending))
        _, stderr = await process.communicate()
    assert process.returncode == 130
    assert b"waiting for the renewed sign-in of ben" in stderr
    assert before != upstream.refresh_token("ben")
    assert list(tokens(home)) == [upstream.refresh_token("ben")]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_account_whose_token_was_renewed_meanwhile_is_added_all_the_same(
    cli: Cli, home: Home, upstream: DemoUpstream, ending: str
) -> None:
    home.sign_in(upstream)
    home.paths.accounts.unlink()
    given = upstream.refresh_token("ben")
    how = {"stdin": f"{given}\n", "path": "/token", "seconds": 0.5}
    async with waiting(cli, upstream, *ADD, **how) as process:
        process.send_signal(getattr(signal, ending))
        _, stderr = await process.communicate()
    assert process.returncode == 130
    assert b"ben is kept" in stderr
    assert list(tokens(home)) == [upstream.refresh_token("ben")] != [given]


@pytest.mark.parametrize("verb", ["accounts verify", "limits"])
async def test_a_second_interruption_waits_for_nothing(
    cli: Cli, home: Home, upstream: DemoUpstream, verb: str
) -> None:
    home.sign_in(upstream)
    async with waiting(cli, upstream, *verb.split(), path="/token", seconds=60) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert b"waiting for" in await process.stderr.readline()
        told = time.monotonic()
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert time.monotonic() - told < 3, "it takes 4 s to give up"


async def test_nothing_but_a_token_is_waited_for(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    how = {"path": "fetchAvailableModels", "seconds": 60}
    async with waiting(cli, upstream, "accounts", "verify", **how) as process:
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
    assert (process.returncode, stderr.strip()) == (130, b"")
