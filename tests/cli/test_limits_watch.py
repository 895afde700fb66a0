"""`mcproxy limits --watch` as a process: in a terminal of its own, and in a pipe."""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import Cli, Home, Serving

from mcp_proxy.cli.watch_screen import alike_together
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.store.accounts import AccountStore

PATIENCE = 15.0
"""Seconds for things that take a few, on a machine that does a hundred others."""

HOME, CLEAR = b"\x1b[H", b"\x1b[2J"
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?25h\x1b[?1049l"
_STYLES = re.compile(rb"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Terminal:
    """What a process has drawn. Each picture begins in the corner and fills the whole terminal."""

    fd: int
    process: Process
    columns: int
    lines: int
    raw: bytes = b""

    @property
    def pictures(self) -> list[list[str]]:
        parts = self.raw.split(LEFT)[0].split(HOME)[1:]
        plain = (_STYLES.sub(b"", part).decode(errors="replace") for part in parts)
        return [each.split("\r\n") for each in plain]

    def picture(self) -> str:
        """The last one, if it is complete: a read can end in the middle of its last line."""
        last = self.pictures[-1] if self.pictures else []
        complete = len(last) == self.lines and len(last[-1]) == self.columns
        return "\n".join(last) if complete else ""

    async def shows(self, wanted: Callable[[str], object]) -> str:
        """The first picture of which this holds."""
        until = time.monotonic() + PATIENCE
        while not wanted(self.picture()):
            assert time.monotonic() < until, f"it shows {self.pictures[-1:]}"
            await self.read()
        return self.picture()

    async def draws_again(self) -> None:
        """Waits for another picture."""
        seen = len(self.pictures)
        await self.shows(lambda picture: picture and len(self.pictures) > seen)

    async def read(self) -> None:
        """What has come, waiting a moment for it."""
        ready = await asyncio.to_thread(select.select, [self.fd], [], [], 0.1)
        if ready[0]:
            with suppress(OSError):  # how Linux says that nobody has it open any more
                self.raw += os.read(self.fd, 1 << 16)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def ends(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(PATIENCE):
            while self.process.returncode is None:
                await self.read()
        await self.read()
        assert self.process.returncode is not None
        return self.process.returncode


Watching = Callable[..., AbstractAsyncContextManager[Terminal]]


@pytest.fixture
def watching(cli: Cli) -> Watching:
    @asynccontextmanager
    async def watch(
        *arguments: str, url: str | None = None, columns: int = 80, lines: int = 24
    ) -> AsyncIterator[Terminal]:
        ours, theirs = pty.openpty()
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        process = await asyncio.create_subprocess_exec(
            *cli.command("limits", "--watch", *arguments),
            cwd=cli.home.root,
            env=at(url) | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            process_group=0,
        )
        os.close(theirs)
        try:
            yield Terminal(ours, process, columns, lines)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            os.close(ours)

    return watch


def at(url: str | None) -> dict[str, str]:
    """The environment of somebody whose server is there."""
    place = {"PORT": str(urlsplit(url).port)} if url else {}
    # LINES is how some runners of tests tell the size of a terminal that is not ours.
    return {name: value for name, value in os.environ.items() if name != "LINES"} | place


# ------------------------------------------------------------------------- on a terminal


@pytest.mark.usefixtures("hangups_are_heard")
@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_it_draws_in_place_and_leaves_the_terminal_as_it_was(
    watching: Watching, serving: Serving, ending: str
) -> None:
    async with serving() as server, watching("1", url=server.url) as terminal:
        shown = await terminal.shows(lambda picture: "Ctrl-C ends" in picture)
        await terminal.draws_again()
        os.kill(terminal.process.pid, getattr(signal, ending))
        code = await terminal.ends()
    assert code == 130
    assert re.search(r"claude-\S+ .* ready +in [45] h", shown)
    assert re.search(r"^\d\d:\d\d:\d\d, every 1 s; Ctrl-C ends *$", shown, re.MULTILINE)
    assert terminal.raw.startswith(ENTERED)
    assert terminal.raw.rstrip().endswith(LEFT)
    assert CLEAR not in terminal.raw, "an empty screen between two pictures is a flicker"


async def test_a_new_size_is_drawn_long_before_the_next_figures(
    watching: Watching, serving: Serving
) -> None:
    async with serving() as server, watching("3600", url=server.url) as terminal:
        await terminal.shows(lambda picture: "LEFT" in picture)
        terminal.resize(40, 60)
        narrow = await terminal.shows(lambda picture: "100% ready, resets in" in picture)
        terminal.resize(130, 70)
        wide = await terminal.shows(lambda picture: "LEFT" in picture)
    assert {len(line) for line in narrow.splitlines()} == {40}
    assert {len(line) for line in wide.splitlines()} == {130}
    assert narrow.count("claude-opus-4-6") == wide.count("claude-opus-4-6") == 2


async def test_where_there_is_little_room_models_that_are_alike_share_a_row(
    watching: Watching, serving: Serving
) -> None:
    async with serving() as server, watching(url=server.url) as terminal:
        shared = await terminal.shows(lambda picture: "Ctrl-C ends" in picture)
        terminal.resize(80, 7)
        cut = await terminal.shows(lambda picture: "Ctrl-C ends" in picture)
    assert re.search(r"claude-\S+ \+4 ", shared)
    assert "grace (antigravity)" in shared
    assert re.search(r"^\d+ more lines do not fit here", cut, re.MULTILINE)


async def test_a_server_that_stops_is_waited_for_even_at_another_address(
    watching: Watching, cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with AsyncExitStack() as first, AsyncExitStack() as opened:
        url = await first.enter_async_context(cli.serve())
        terminal = await opened.enter_async_context(watching("1"))
        await terminal.shows(lambda picture: "ready" in picture)
        await first.aclose()
        gone = await terminal.shows(lambda picture: "has stopped" in picture)
        asked = len(upstream.requests)
        await terminal.draws_again()
        assert len(upstream.requests) == asked, "it asks the upstreams itself"
        async with cli.serve():
            back = await terminal.shows(lambda picture: picture and "stopped" not in picture)
    assert f"the server at {url} has stopped" in gone
    assert "Waiting for it." in gone
    assert "ready" in gone
    assert "ready" in back


async def test_a_watch_that_is_stopped_gives_the_terminal_back_for_the_time(
    watching: Watching, serving: Serving
) -> None:
    async with serving() as server, watching("1", url=server.url) as terminal:
        await terminal.shows(lambda picture: "ready" in picture)
        pid = terminal.process.pid
        os.kill(pid, signal.SIGTSTP)
        async with asyncio.timeout(PATIENCE):
            while not is_stopped(pid):
                await terminal.read()
        await terminal.read()
        assert terminal.raw.rstrip().endswith(LEFT)
        terminal.raw = b""
        os.kill(pid, signal.SIGCONT)
        await terminal.shows(lambda picture: "ready" in picture)
        os.kill(pid, signal.SIGINT)
        assert await terminal.ends() == 130
    assert terminal.raw.startswith(ENTERED)
    assert terminal.raw.rstrip().endswith(LEFT)


def is_stopped(pid: int) -> bool:
    """By Linux's word for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_what_goes_wrong_is_told_in_the_picture_and_nowhere_across_it(
    watching: Watching, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    AccountStore(home.paths.accounts).update_fields("ada", {"refresh_token": "1//gone"})
    async with watching("1") as terminal:
        shown = await terminal.shows(lambda picture: "no fresh figures" in picture)
        await terminal.draws_again()
        await terminal.draws_again()
    assert "ada: no fresh figures" in shown
    assert "grace (antigravity)" in shown
    for picture in terminal.pictures[1:-1]:
        assert {len(line) for line in picture} == {80}, "something else was written"
        assert len(picture) == 24


# ------------------------------------------------------------------------- in a pipe


@asynccontextmanager
async def piped(cli: Cli, *arguments: str, url: str | None = None) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *cli.command("limits", "--watch", *arguments),
        cwd=cli.home.root,
        env=at(url),
        stdout=PIPE,
        stderr=PIPE,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    async with asyncio.timeout(PATIENCE):
        return await stream.readline()


async def test_a_pipe_gets_one_document_a_line_and_stderr_what_became_of_the_server(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        url = await first.enter_async_context(cli.serve())
        async with piped(cli, "1", "--json") as process:
            before = [json.loads(await line(process.stdout)) for _ in range(2)]
            await first.aclose()
            note = await line(process.stderr)
            await second.enter_async_context(cli.serve())
            after = json.loads(await line(process.stdout))
            process.send_signal(signal.SIGINT)
            _, stderr = await process.communicate()
    assert process.returncode == 130
    assert stderr.strip() == b"", "it is said once"
    assert f"the server at {url} has stopped" in note.decode()
    documents = [*before, after]
    assert {each["schema"] for each in documents} == {"mcproxy.limits/1"}
    assert len({each["at"] for each in documents}) == 3


async def test_without_a_server_upstreams_are_asked_once_a_minute_at_most(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with piped(cli, "1", "--json", "grace") as process:
        first = json.loads(await line(process.stdout))
        asked = len(upstream.requests)
        second = json.loads(await line(process.stdout))
    assert asked > 0
    assert len(upstream.requests) == asked
    assert second["at"] > first["at"]
    assert [account["id"] for account in second["accounts"]] == ["grace"]


async def test_a_server_that_comes_is_asked_from_then_on(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with AsyncExitStack() as later, piped(cli, "1", "--json") as process:
        await line(process.stdout)
        await later.enter_async_context(cli.serve())
        came = time.time()
        # Some lines were written while it started.
        while seconds_of(json.loads(await line(process.stdout))["at"]) < came + 1:
            pass
        await later.aclose()
        assert b"has stopped" in await line(process.stderr)


def seconds_of(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


async def test_tables_follow_each_other_in_a_pipe(cli: Cli, serving: Serving) -> None:
    async with serving() as server, piped(cli, "1", url=server.url) as process:
        lines = [await line(process.stdout) for _ in range(60)]
    heads = [number for number, each in enumerate(lines) if b"RUNS OUT" in each]
    assert heads[0] == 0
    assert len(heads) == 2
    assert lines[heads[1] - 1] == b"\n"
    assert not any(b"\x1b" in each for each in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--watch", "0"], 2, "not in the range of 1 to 86400 seconds"),
        (["--watch=0.5"], 2, "not in the range"),
        (["--watch", "86401"], 2, "not in the range"),
        (["--watch", "graze"], 1, "no account 'graze'. Did you mean grace?"),
        (["graze", "--watch", "2"], 1, "no account 'graze'"),
        (["--watch", "-1"], 2, "-1"),
    ],
)
def test_seconds_and_accounts_are_told_apart(
    cli: Cli, dead_end: None, arguments: list[str], code: int, told: str
) -> None:
    ran = cli("limits", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert told in ran.stderr


@pytest.fixture
def dead_end(home: Home) -> None:
    """Accounts of an upstream that is not there."""
    home.configure("[server]\nport = 0\n")
    rows = "".join(
        f'[[accounts]]\nid = "{name}"\nprovider = "openai"\napi_key = "sk-none"\n'
        for name in ("ada", "grace")
    )
    home.paths.accounts.write_text(rows)
    home.paths.accounts.chmod(0o600)


# ------------------------------------------------------------------------- models alike


def row(model: str, **facts: Any) -> Mapping[str, Any]:
    return {"account": "ada", "model": model, "family": "claude", "remaining": 1.0, **facts}


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([], []),
        ([row("a"), row("b"), row("c")], ["a +2"]),
        ([row("a"), row("b", remaining=0.5), row("c")], ["a +1", "b"]),
        ([row("a"), row("b", family="gemini")], ["a", "b"]),
        ([row("a", runs_out_at="2026-11-21T10:00:00Z"), row("b")], ["a", "b"]),
    ],
)
def test_models_of_a_family_with_the_same_figures_are_alike(
    rows: list[Mapping[str, Any]], shown: list[str]
) -> None:
    report = {"accounts": [{"id": "ada", "models": rows}, {"id": "grace", "models": rows[:1]}]}
    ada, grace = alike_together(report)["accounts"]
    assert [each["model"] for each in ada["models"]] == shown
    assert grace["models"] == rows[:1], "each account for itself"
