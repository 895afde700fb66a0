"""What `mcproxy serve` says: to a person at a terminal, to a pipe, to a collector of JSON lines.

Real processes on real terminals; behind them an upstream that fails on purpose.
"""

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
import struct
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from harness import Cli, Home
from served import CLAUDE, GEMINI, Json, message_body, until

from mcp_proxy.demo import DemoUpstream, Fault, FaultKind

CLIENT = "claude-cli/2.0.1 (external, cli)"
READY = re.compile(r"ready at (http://[\d.:]+)")
PAINT = re.compile(r"\x1b\[[\d;]*m")
FALLBACK = "[fallback]\nenabled = true"


@dataclass(slots=True)
class Listening:
    """A server, and whoever reads what it says."""

    process: Process
    http: aiohttp.ClientSession
    url: str = ""
    heard: list[bytes] = field(default_factory=list)

    @property
    def painted(self) -> str:
        return b"".join(self.heard).decode().replace("\r\n", "\n")

    @property
    def said(self) -> str:
        """Without colours."""
        return PAINT.sub("", self.painted)

    @property
    def lines(self) -> list[str]:
        return self.said.splitlines()

    @property
    def records(self) -> list[Json]:
        """Every line is one."""
        return [json.loads(line) for line in self.lines]

    async def ask(self, text: str = "say hi", model: str = CLAUDE, agent: str = CLIENT) -> int:
        """The status of one request."""
        body, headers = message_body(text, model), {"User-Agent": agent}
        url = f"{self.url}/v1/messages"
        async with self.http.post(url, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def hears(self, words: str) -> None:
        """Returns when it has been said; lines are written in batches."""
        try:
            await until(lambda: words in self.said)
        except AssertionError:
            raise AssertionError(f"{words!r} is not in:\n{self.said}") from None

    async def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            return await self.process.wait()


@asynccontextmanager
async def listening(
    cli: Cli, *arguments: str, columns: int | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Listening]:
    """`mcproxy serve` with stderr on a terminal of so many columns, or on a pipe."""
    ours, its = os.openpty() if columns else os.pipe()
    if columns:
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *cli.command(*arguments),
        cwd=cli.home.root,
        env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        stderr=its,
    )
    os.close(its)
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        server = Listening(process, http)

        def hear() -> None:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # a terminal whose last user has left
                piece = b""
            server.heard.append(piece)
            if not piece:
                loop.remove_reader(ours)

        loop.add_reader(ours, hear)
        try:
            await until(lambda: READY.search(server.said) or process.returncode is not None)
            ready = READY.search(server.said)
            assert ready is not None, server.said
            server.url = ready[1]
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            loop.remove_reader(ours)
            os.close(ours)


# ------------------------------------------------------------------------------ on a terminal


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("env", [{"LC_ALL": "C", "NO_COLOR": "1"}, {"LC_ALL": "C.UTF-8"}])
async def test_a_header_says_where_on_whom_and_what_next(
    cli: Cli, home: Home, upstream: DemoUpstream, columns: int, env: dict[str, str]
) -> None:
    home.sign_in(upstream)
    async with listening(cli, "serve", "--fallback", columns=columns, env=env) as server:
        await server.hears("Ctrl-C ends")
        await server.ask()
        await server.hears(" 200 ")
        assert await server.end() == 0
    said = server.said
    assert said.startswith("mcproxy ")
    for words in ("antigravity", "ada, grace", "fallback", "soft limit", "20%"):
        assert words in said
    assert "\n  mcproxy run claude-code\n" in said
    assert '\n  eval "$(mcproxy env claude-code)"\n' in said
    assert said.isascii()
    assert max(map(len, said.splitlines())) <= columns
    assert ("\x1b" in server.painted) == ("NO_COLOR" not in env)


async def test_without_accounts_it_says_how_to_add_one(cli: Cli) -> None:
    async with listening(cli, "serve", "--port", "0", columns=80) as server:
        await server.hears("none yet. Run: mcproxy accounts add")


async def test_a_request_is_one_quiet_line_under_its_headings(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream, '[aliases]\nquick = "gemini-3-flash"')
    async with listening(cli, "serve", columns=120, env={"NO_COLOR": "1"}) as server:
        await server.ask("words=1200", "quick")
        await server.hears("quick -> gemini-3-flash")
        head, line = server.lines[-2:]
    assert head.split() == ["TIME", "CLIENT", "MODEL", "ACCOUNT", "IN", "OUT", "CACHED", "TOOK"]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d 200 claude-cli +quick -> gemini-3-flash +(ada|grace) +\d+ +1\.\dk +0 +"
        r"\d+\.\ds",
        line,
    )
    ends = [head.index(name) + len(name) for name in ("OUT", "TOOK")]
    assert [line[end - 1] for end in ends] == ["k", "s"]


async def test_fail_over_and_the_limit_behind_it_are_told(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with listening(cli, "serve", columns=160, env={"TZ": "XXX-5"}) as server:
        upstream.play(Fault(FaultKind.QUOTA, seconds=7200.0))
        assert await server.ask(model=GEMINI) == 200
        await server.hears("is limited until ")
        await server.hears(": quota\n")
    [first] = re.findall(r"(\w+) \(antigravity\) is limited until", server.said)
    [request] = [line for line in server.painted.splitlines() if "claude-cli" in line]
    assert request.endswith(f"\x1b[33m{first}: quota\x1b[0m")
    event = " ".join(server.said.partition(f"{first} (anti")[2].split())
    assert re.search(r"until \d\d:\d\d \(in (2 h|1 h 59 m)\) for ", event)
    assert "other accounts answer meanwhile" in event
    assert "attempt 1 at" not in server.said


async def test_a_fallback_is_told_with_both_models(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream, FALLBACK)
    async with listening(cli, "serve", columns=80, env={"NO_COLOR": "1"}) as server:
        upstream.play(*[Fault(FaultKind.QUOTA, model=CLAUDE, seconds=7200.0)] * 2)
        assert await server.ask() == 200
        await server.hears("fallback claude-sonnet-4-6")
        await server.hears("warning: ")
        told = " ".join(server.said.split())
    assert f"fallback {CLAUDE} -> {GEMINI}" in told
    assert "ada: quota;" in told
    assert "grace: quota;" in told
    assert "no other account has" in told
    assert "Run: mcproxy accounts add" in told


async def test_an_account_that_needs_its_owner_and_the_error_that_follows_are_loud(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with listening(cli, "serve", columns=200) as server:
        upstream.play(*[Fault(FaultKind.VERIFICATION, url="https://verify.example/me")] * 2)
        assert await server.ask() == 503
        await server.hears("warning: grace")
        await server.hears("warning: ada")
    assert "\x1b[31m503\x1b[0m" in server.painted
    told = " ".join(server.said.partition("warning: ada")[2].split())
    assert told.startswith("(antigravity) is out (verification needed): ")
    assert "See https://verify.example/me Run: mcproxy accounts verify ada" in told


async def test_what_clients_send_moves_no_cursor_and_fakes_no_line(cli: Cli) -> None:
    async with listening(cli, "serve", "--demo", "--port", "0", columns=80) as server:
        assert await server.ask(model="a\x1b[2J\r\n00:00:00 200\u202e") == 404
        await server.hears("404")
    assert "\x1b[2J" not in server.painted
    assert not [line for line in server.lines if line.startswith("00:00:00 200")]


async def test_quiet_leaves_the_address_and_warnings(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with listening(cli, "--quiet", "serve", columns=80) as server:
        upstream.play(Fault(FaultKind.SUSPENDED, account="ada", times=None))
        upstream.play(Fault(FaultKind.SUSPENDED, account="grace", times=None))
        await server.ask()
        await server.hears("grace (anti")
        await server.hears("ada (anti")
    first, *rest = server.said.splitlines()
    assert first == f"mcproxy is ready at {server.url} (2 accounts)"
    assert all("warning: " in line or line.startswith(" ") for line in rest)


async def test_text_can_be_had_on_a_terminal(cli: Cli) -> None:
    arguments = ("serve", "--demo", "--port", "0", "--log-format", "text")
    async with listening(cli, *arguments, columns=80) as server:
        await server.ask()
        await server.hears(" served=")
    assert server.lines[0].startswith("mcproxy is ready at ")
    assert "\x1b" not in server.painted


async def test_ctrl_c_says_what_it_waits_for(cli: Cli) -> None:
    async with listening(cli, "serve", "--demo", "--port", "0", columns=80) as server:
        asking = asyncio.create_task(server.ask("pace=10 events=15"))
        await server.hears("Ctrl-C ends")
        await asyncio.sleep(0.3)
        ended = asyncio.create_task(server.end())
        await server.hears("letting open answers end")
        assert await asking == 200
        assert await ended == 0


# ---------------------------------------------------------------------------------- elsewhere


async def test_a_pipe_gets_the_ready_line_and_a_record_per_line(cli: Cli) -> None:
    async with listening(cli, "serve", "--demo", "--port", "0") as server:
        await server.ask()
        await server.hears(" served=")
    first, *rest = server.lines
    assert first == f"mcproxy is ready at {server.url} (the embedded demo upstream)"
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 INFO    ", line) for line in rest)


TYPES: dict[str, type | tuple[type, ...]] = {
    "request_id": str,
    "method": str,
    "path": str,
    "status": int,
    "client": str,
    "dialect": str,
    "model": str,
    "served": str,
    "provider": str,
    "account": str,
    "attempts": int,
    "first_ms": float,
    "total_ms": float,
    "input_tokens": int,
    "output_tokens": int,
    "cached_tokens": int,
    "notes": list,
    "error": type(None),
}


async def test_json_lines_have_the_facts_as_typed_fields(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream, FALLBACK)
    async with listening(cli, "serve", env={"MCPROXY_LOG_FORMAT": "json"}) as server:
        upstream.play(*[Fault(FaultKind.QUOTA, model=CLAUDE, seconds=7200.0)] * 2)
        await server.ask("say one two")
        await server.hears("mcp_proxy.access")
        await until(lambda: "limited" in {record.get("event") for record in server.records})
    assert {record["level"] for record in server.records} <= {"info", "warning"}
    for record in server.records:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["ts"])
        assert record["message"]
    ready = server.records[0]
    assert (ready["logger"], ready["event"], ready["url"]) == (
        "mcp_proxy.serve",
        "ready",
        server.url,
    )
    [request] = [each for each in server.records if each["logger"] == "mcp_proxy.access"]
    assert request.keys() == {"ts", "level", "logger", "message", *TYPES}
    wrong = [name for name, kind in TYPES.items() if not isinstance(request[name], kind)]
    assert wrong == []
    assert request["message"] == "POST /v1/messages 200"
    assert (request["model"], request["served"], request["attempts"]) == (CLAUDE, GEMINI, 3)
    assert f"fallback {CLAUDE} -> {GEMINI}" in request["notes"]
    assert request["output_tokens"] > 0
    [limited, *_] = [each for each in server.records if each.get("event") == "limited"]
    assert limited["provider"] == "antigravity"
    assert CLAUDE in limited["models"]
    assert limited["until"].endswith("Z")


async def test_json_is_one_object_per_line_whatever_is_sent(cli: Cli) -> None:
    arguments = ("serve", "--demo", "--port", "0", "--log-format", "json")
    hostile = 'a\r\nb\u2028"}\x00{"level": "error"\x1b[31m\udcff'
    async with listening(cli, *arguments) as server:
        async with server.http.get(f"{server.url}/x%0Ay%00%ff") as answer:
            assert answer.status == 404
        assert await server.ask(model=hostile.replace("\udcff", "ÿ")) == 404
        assert await server.ask(agent='x"y\\') == 200
        await until(lambda: len(requests_in(server.records)) == 3)
    path, model, agent = requests_in(server.records)
    assert path["path"].startswith("/x\ny\x00")
    assert (path["model"], path["attempts"], path["first_ms"]) == (None, None, None)
    assert model["model"] == hostile.replace("\udcff", "ÿ")
    assert model["error"]
    assert agent["client"] == 'x"y\\'


async def test_workers_do_not_write_into_each_others_lines(cli: Cli) -> None:
    arguments = ("serve", "--demo", "--port", "0", "--workers", "2", "--log-format", "json")
    count = 240
    async with listening(cli, *arguments) as server:
        long = "m" * 128
        asked = [server.ask(model=f"{number}-{long}") for number in range(count)]
        assert set(await asyncio.gather(*asked)) <= {404}
        await until(lambda: len(requests_in(server.records)) == count)
    assert len({each["request_id"] for each in requests_in(server.records)}) == count
    assert [each["event"] for each in server.records if "event" in each] == ["ready"]


async def test_json_says_why_it_did_not_start(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = await cli.beside("serve", "--demo", "--port", port, "--log-format", "json")
    [record] = map(json.loads, ran.stderr.splitlines())
    assert (ran.code, record["level"]) == (1, "error")
    assert "choose another one with --port" in record["message"]


@pytest.mark.parametrize(("flag", "shows_bodies"), [("-v", False), ("--debug", True)])
async def test_bodies_are_only_shown_for_debug(cli: Cli, flag: str, shows_bodies: bool) -> None:
    words = (flag, "serve") if flag == "-v" else ("serve", flag)
    text = "say watermelon with the key sk-ant-abcdefghijklmnop"
    async with listening(cli, *words, "--demo", "--port", "0", "--log-format", "json") as server:
        await server.ask(text)
        await server.hears("mcp_proxy.access")
    assert ("watermelon" in server.said) == shows_bodies
    assert "sk-ant-abc" not in server.said
    assert (len(server.records)) > 2


def test_an_unknown_format_is_wrong_usage(cli: Cli) -> None:
    ran = cli("serve", "--log-format", "jsn")
    assert ran.code == 2
    assert "json" in ran.stderr


def requests_in(records: list[Json]) -> list[Json]:
    return [each for each in records if each["logger"] == "mcp_proxy.access"]
