"""`mcproxy serve` under a service manager, which these tests play: what it is told over a real
notify socket, the sockets that it hands over, the lines that its journal gets."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TextIO

import aiohttp
import psutil
import pytest

Message = dict[str, str]

WITHIN = 20.0
BEAT = 0.2
"""Seconds between signs of life, as the manager asks for them."""

HAND_OVER = """
import os, sys
for number, each in enumerate(sys.argv[1].split(",")):
    os.dup2(int(each), 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does between fork and exec."""


@dataclass(slots=True)
class Manager:
    """The manager's end of the notify socket."""

    sock: socket.socket
    address: str
    heard: list[Message]

    async def hears(self, key: str, *, within: float = WITHIN) -> Message:
        """The next message about this; those before it are kept in `heard`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            while True:
                text = (await loop.sock_recv(self.sock, 4096)).decode()
                message = dict(line.split("=", 1) for line in text.splitlines())
                self.heard.append(message)
                if key in message:
                    return message

    async def falls_silent(self, seconds: float) -> bool:
        """Whether, after what is still on its way, nothing comes for so long."""
        for _ in range(8):
            try:
                await self.hears("WATCHDOG", within=seconds)
            except TimeoutError:
                return True
        return False


@pytest.fixture
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """At a path, unless the test asks for an abstract address."""
    abstract = getattr(request, "param", "path") == "abstract"
    if abstract and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    address = f"@mcproxy-test-{token_hex(8)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if abstract else address)
        sock.setblocking(False)
        yield Manager(sock, address, [])


@asynccontextmanager
async def served(
    cli, *arguments: str, env: dict[str, str], launcher: tuple[str, ...] = (), pass_fds=()
) -> AsyncIterator[Process]:
    """`mcproxy serve`, ended when the block does."""
    process = await asyncio.create_subprocess_exec(
        *launcher,
        *cli.command("serve", *arguments),
        cwd=cli.home.root,
        env={**os.environ, **env},
        stderr=PIPE,
        pass_fds=pass_fds,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WITHIN):
            await process.communicate()


async def ended(process: Process) -> int:
    async with asyncio.timeout(WITHIN):
        return await process.wait()


async def health(url: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/health") as answer:
        return answer.status


# ------------------------------------------------------------------------- what the manager hears


@pytest.mark.parametrize(
    ("manager", "workers"), [("path", "1"), ("abstract", "1"), ("path", "2")], indirect=["manager"]
)
async def test_the_manager_hears_of_start_reload_and_end(cli, manager, workers):
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": f"{BEAT * 1e6:.0f}"}
    arguments = ("--demo", "--port", "0", "--workers", workers)
    async with served(cli, *arguments, env=env) as process:
        ready = await manager.hears("READY")
        url = re.search(r"http://\S+", ready["STATUS"])
        assert url is not None
        assert await health(url[0]) == 200
        await manager.hears("WATCHDOG")

        process.send_signal(signal.SIGHUP)
        reloading = await manager.hears("RELOADING")
        assert int(reloading["MONOTONIC_USEC"]) > 0
        await manager.hears("READY", within=5)

        process.send_signal(signal.SIGTERM)
        stopping = await manager.hears("STOPPING")
        assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 30e6, "the time that streams have to end"
        assert await ended(process) == 0
    assert [each for each in manager.heard if "READY" in each][:-1] == [ready], "said once a start"


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_signs_of_life_come_twice_as_often_as_asked_and_end_with_a_hang(
    cli, manager, workers
):
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": f"{BEAT * 1e6:.0f}"}
    arguments = ("--demo", "--port", "0", "--workers", workers)
    async with served(cli, *arguments, env=env) as process:
        await manager.hears("READY")
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            await manager.hears("WATCHDOG")
        took = asyncio.get_running_loop().time() - began
        assert took < 5 * BEAT, f"{took / 5:.3f} s each"
        servers = psutil.Process(process.pid).children() or [psutil.Process(process.pid)]
        servers[-1].suspend()
        try:
            assert await manager.falls_silent(3 * BEAT)
        finally:
            servers[-1].resume()
        await manager.hears("WATCHDOG")


async def test_a_watchdog_for_another_process_is_not_fed(cli, manager):
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    async with served(cli, "--demo", "--port", "0", env=env):
        await manager.hears("READY")
        assert await manager.falls_silent(5 * 0.1)


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:9999"])
async def test_without_an_ear_it_serves_all_the_same(cli, address):
    env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "50000"}
    async with served(cli, "--demo", "--port", "0", env=env) as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        url = re.search(r"http://\S+", line)
        assert url is not None, line
        assert await health(url[0]) == 200


# ------------------------------------------------------------------- sockets that were handed over


@dataclass(slots=True)
class Handed:
    """Sockets of the manager."""

    sockets: list[socket.socket]
    names: str = ""

    @property
    def env(self) -> dict[str, str]:
        return {"LISTEN_FDS": str(len(self.sockets)), "LISTEN_FDNAMES": self.names}

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(each.fileno() for each in self.sockets)

    @property
    def launcher(self) -> tuple[str, ...]:
        return (sys.executable, "-c", HAND_OVER, ",".join(map(str, self.descriptors)))

    def url(self, number: int) -> str:
        host, port = self.sockets[number].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@pytest.fixture
def handing() -> Iterator[Callable[..., Handed]]:
    with ExitStack() as kept:

        def make(*hosts: str, kind: int = socket.SOCK_STREAM, names: str = "") -> Handed:
            sockets = []
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                sock = kept.enter_context(socket.socket(family, kind))
                sock.bind((host, 0))
                if kind == socket.SOCK_STREAM:
                    sock.listen(64)
                sockets.append(sock)
            return Handed(sockets, names)

        yield make


def serve_on(cli, handed: Handed, *arguments: str, **env: str):
    return served(
        cli,
        *arguments,
        env={**handed.env, **env},
        launcher=handed.launcher,
        pass_fds=handed.descriptors,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sockets_of_both_families_are_served_also_what_waited_there(cli, handing, workers):
    handed = handing("127.0.0.1", "::1")
    waiting = [asyncio.create_task(health(handed.url(number))) for number in (0, 1)]
    async with serve_on(cli, handed, "--demo", "--workers", workers):
        async with asyncio.timeout(WITHIN):
            assert await asyncio.gather(*waiting) == [200, 200]


async def test_a_restart_refuses_nobody(cli, handing):
    handed = handing("127.0.0.1")
    async with serve_on(cli, handed, "--demo") as process:
        assert await health(handed.url(0)) == 200
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    between = asyncio.create_task(health(handed.url(0)))
    await asyncio.sleep(0.05)
    assert not between.done()
    async with serve_on(cli, handed, "--demo"), asyncio.timeout(WITHIN):
        assert await between == 200


async def test_sockets_for_another_process_are_left_alone(cli, handing):
    handed = handing("127.0.0.1")
    env = {**handed.env, "LISTEN_PID": "1"}
    async with served(cli, "--demo", "--port", "0", env=env) as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
    assert "ready at" in line
    assert handed.url(0) not in line


@pytest.mark.parametrize(
    ("host", "kind", "says"),
    [
        ("127.0.0.1", socket.SOCK_DGRAM, "descriptor 3 (web), which is not a listening TCP socket"),
        ("0.0.0.0", socket.SOCK_STREAM, "refusing to listen on 0.0.0.0 without a key"),
        ("::", socket.SOCK_STREAM, "refusing to listen on :: without a key"),
    ],
)
async def test_sockets_are_checked_as_an_address_would_be(cli, handing, host, kind, says):
    handed = handing(host, kind=kind, names="web")
    async with serve_on(cli, handed, "--demo") as process:
        _, said = await process.communicate()
    assert process.returncode == 78
    assert says in said.decode()
    assert len(said.decode().strip().splitlines()) == 1


async def test_one_socket_beyond_this_machine_is_enough_to_need_a_key(cli, handing):
    handed = handing("127.0.0.1", "0.0.0.0")
    async with serve_on(cli, handed, "--demo") as process:
        assert await ended(process) == 78


async def test_a_descriptor_that_is_missing_is_named(cli, handing):
    handed = handing("127.0.0.1")
    async with serve_on(cli, handed, "--demo", LISTEN_FDS="7") as process:
        _, said = await process.communicate()
    assert process.returncode == 78
    assert "descriptor 4" in said.decode()


async def test_its_address_is_noted_for_the_other_verbs(cli, home, handing):
    handed = handing("127.0.0.1")
    async with serve_on(cli, handed):
        assert await health(handed.url(0)) == 200
        async with asyncio.timeout(WITHIN):
            # What a server notes is on the disk within two seconds.
            while (ran := await cli.beside("health", "--json")).code != 0:
                pass
    assert json.loads(ran.stdout)["url"] == handed.url(0)


# -------------------------------------------------------------------------------- the journal


@asynccontextmanager
async def journaled(cli, *, is_journal: bool = True) -> AsyncIterator[tuple[Process, TextIO]]:
    """`mcproxy serve` and what it says, on the stream that it takes for the journal or not."""
    reader, writer = os.pipe()
    facts = os.fstat(writer)
    stream = f"{facts.st_dev}:{facts.st_ino}" if is_journal else "1:1"
    process = await asyncio.create_subprocess_exec(
        *cli.command("serve"),
        cwd=cli.home.root,
        env={**os.environ, "JOURNAL_STREAM": stream},
        stderr=writer,
    )
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as said:
        try:
            yield process, said
        finally:
            if process.returncode is None:
                process.terminate()
            await ended(process)


@pytest.mark.parametrize("is_journal", [True, False])
async def test_lines_for_the_journal_begin_with_their_priority(cli, home, is_journal):
    home.configure("[server]\nport = 0\nunheard_of = 1\n")
    async with journaled(cli, is_journal=is_journal) as (_, said):
        line = await asyncio.to_thread(said.readline)
    assert "unheard_of" in line
    assert line.startswith("<4>") == is_journal
    assert ("WARNING" in line) != is_journal


async def test_the_reason_why_it_does_not_start_is_an_error_in_the_journal(cli, home):
    home.configure("[limits]\nsoft_limit = 7\n")
    async with journaled(cli) as (process, said):
        assert await ended(process) == 78
        (line,) = await asyncio.to_thread(said.readlines)
    assert line.startswith("<3>mcproxy: ")
    assert "soft_limit" in line
