"""`mcproxy serve` as a process: its first line, its signals, its end, and what a kill leaves."""

import asyncio
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest
from served import GEMINI, ONE, TWO, Json, message_body, strict_records, until

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo import DemoUpstream, Fault, FaultKind, demo_accounts
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET
from mcp_proxy.demo.signatures import is_genuine
from mcp_proxy.store.locks import FileLock


@dataclass(slots=True)
class Serving:
    """A server in a process of its own."""

    process: Process
    url: str
    first_line: str
    log: list[str]

    async def ended(self, within: float = 10.0) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


@asynccontextmanager
async def serving(cli, *arguments: str, **env: str) -> AsyncIterator[Serving]:
    """`mcproxy serve` with these arguments, once it accepts connections."""
    process = await asyncio.create_subprocess_exec(
        *cli.command("serve", "--port", "0", *arguments),
        cwd=cli.home.root,
        env={**os.environ, **env},
        stderr=PIPE,
    )
    assert process.stderr is not None
    reading = None
    try:
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        log: list[str] = []
        reading = asyncio.create_task(gather_lines(process.stderr, log))
        yield Serving(process, found[0], line, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def gather_lines(stderr: asyncio.StreamReader, log: list[str]) -> None:
    while line := await stderr.readline():
        log.append(line.decode())


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def configured(home, upstream: DemoUpstream, more: str = "") -> None:
    """The upstream's accounts and addresses in the user's files."""
    home.add(*demo_accounts(upstream))
    home.configure(
        f'[providers.antigravity]\nbase_urls = ["{upstream.url}"]\n'
        f'token_url = "{upstream.url}/token"\n'
        f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n{more}'
    )


async def ask(http: aiohttp.ClientSession, url: str, **body: object) -> tuple[int, Json]:
    async with http.post(f"{url}/v1/messages", json=message_body(**body)) as answer:
        return answer.status, await answer.json()


async def answered(http: aiohttp.ClientSession, url: str, **body: object) -> None:
    """Returns when a request is answered, which takes two seconds at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (await ask(http, url, **body))[0] != 200:
        assert loop.time() - began < 2
        await asyncio.sleep(0.05)


async def test_the_first_line_says_where_it_can_be_reached(cli, http):
    async with serving(cli, "--demo") as server:
        assert server.first_line.startswith("mcproxy is ready at http://127.0.0.1:")
        assert (await ask(http, server.url))[0] == 200
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == 0


@pytest.mark.parametrize(("flags", "traced"), [((), False), (("--debug",), True)])
async def test_what_is_no_http_is_logged_without_trace_or_key(cli, flags, traced):
    async with serving(cli, "--demo", *flags) as server:
        address = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /health HTTP/1.1\r\nx-api-key : not-for-the-log\r\n\r\n")
        answer = await reader.readline()
        writer.close()
        await until(lambda: any("Error handling request" in line for line in server.log))
        await until(lambda: not traced or any("Traceback" in line for line in server.log))
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert traced or not any(
        "Traceback" in line or "not-for-the-log" in line for line in server.log
    )


async def test_modules_of_the_working_directory_are_not_loaded(cli, http):
    """It may be a repository that somebody has just cloned."""
    for name in ("secrets", "click", "mcp_proxy"):
        (cli.home.root / f"{name}.py").write_text("raise SystemExit(7)")
    async with serving(cli, "--demo", "--workers", "2") as server:
        assert (await ask(http, server.url))[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0


async def test_workers_end_with_whoever_watched_over_them(cli, http):
    async with serving(cli, "--demo", "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 2
        server.process.kill()
        await until(lambda: not any(map(runs, workers)))


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_server_that_ends_leaves_the_other_one_to_be_found(cli, http, upstream):
    configured(cli.home, upstream)
    async with serving(cli) as first:
        async with serving(cli) as second:
            second.process.send_signal(signal.SIGTERM)
            assert await second.ended() == 0
        ran = await cli.beside("health")
        assert ran.code == 0, ran.stderr
        assert first.url in ran.stdout + ran.stderr
        first.process.send_signal(signal.SIGTERM)
        assert await first.ended() == 0
    assert (await cli.beside("health")).code == 1


async def test_the_first_sigterm_lets_streams_end_and_refuses_new_work(cli, http):
    async with serving(cli, "--demo") as server:
        body = message_body("pace=20 events=30", stream=True)
        async with http.post(f"{server.url}/v1/messages", json=body) as answer:
            begun = await answer.content.readany()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            with pytest.raises(aiohttp.ClientConnectionError):
                await ask(http, server.url)
            events = strict_records(begun + await answer.content.read())
        assert events[-1][0] == "message_stop"
        assert "event 30 of 30" in "".join(str(data) for _, data in events)
        assert await server.ended() == 0
    assert any("POST /v1/messages 200" in line for line in server.log)


async def test_a_reload_while_it_ends_changes_nothing(cli, http):
    async with serving(cli, "--demo") as server:
        body = message_body("pace=20 events=30", stream=True)
        async with http.post(f"{server.url}/v1/messages", json=body) as answer:
            begun = await answer.content.readany()
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: any("letting open answers end" in line for line in server.log))
            server.process.send_signal(signal.SIGHUP)
            events = strict_records(begun + await answer.content.read())
        assert events[-1][0] == "message_stop"
        assert await server.ended() == 0
    assert not any("exception" in line for line in server.log), server.log


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_who_still_waits_when_it_ends_is_given_an_answer(cli, http, upstream, stream):
    configured(cli.home, upstream, "[server]\ndrain = 0.2\n")
    upstream.play(Fault(FaultKind.HANG, seconds=30, times=None))
    async with serving(cli) as server:
        waiting = asyncio.create_task(ask(http, server.url, stream=stream))
        await until(lambda: bool(upstream.requests))
        server.process.send_signal(signal.SIGTERM)
        status, answer = await waiting
        assert (status, answer["error"]["type"]) == (529, "overloaded_error")
        assert await server.ended() == 0


async def test_a_second_signal_ends_it_at_once(cli, http):
    async with serving(cli, "--demo") as server:
        body = message_body("pace=2 events=1000", stream=True)
        async with http.post(f"{server.url}/v1/messages", json=body) as answer:
            await answer.content.readany()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            assert server.process.returncode is None
            server.process.send_signal(signal.SIGTERM)
            assert await server.ended(within=2.0) == 130


async def test_sighup_reads_the_files_again(cli, home, http):
    async with DemoUpstream(ONE) as upstream:
        configured(home, upstream)
        async with serving(cli) as server:
            assert (await ask(http, server.url, model="quick"))[0] == 404
            home.configure(home.paths.config.read_text() + '[aliases]\nquick = "gemini-3-flash"\n')
            server.process.send_signal(signal.SIGHUP)
            await answered(http, server.url, model="quick")


async def test_edits_of_both_files_count_within_two_seconds(cli, home, http):
    async with DemoUpstream(TWO) as upstream:
        ada, grace = demo_accounts(upstream)
        configured(home, upstream)
        home.paths.accounts.unlink()
        async with serving(cli) as server:
            assert "mcproxy accounts add" in server.first_line
            status, refusal = await ask(http, server.url)
            assert status == 503
            assert "mcproxy accounts add" in refusal["error"]["message"]
            home.add(ada)
            await answered(http, server.url)
            home.paths.accounts.write_text("[[accounts]\n")
            await until(lambda: any("accounts.toml" in line for line in server.log), within=3)
            assert (await ask(http, server.url))[0] == 200, "the old state is kept"
    assert grace.credential.refresh_token.value not in "".join(server.log)
    assert ada.credential.refresh_token.value not in "".join(server.log)


def starting_servers(lock: Path) -> list[psutil.Process]:
    """Servers, or workers of one, that wait for the state: far from ready."""
    started = psutil.Process().children(recursive=True)
    return [p for p in started if any(file.path == str(lock) for file in p.open_files())]


async def test_edits_of_both_files_while_the_server_starts_count_too(cli, home, http):
    lock = home.paths.state / "state.lock"
    async with DemoUpstream(TWO) as upstream, AsyncExitStack() as kept:
        configured(home, upstream)
        home.paths.accounts.unlink()
        with FileLock(lock):
            starting = asyncio.create_task(kept.enter_async_context(serving(cli)))
            await until(lambda: starting_servers(lock), within=10)  # it has read both files
            home.configure(home.paths.config.read_text() + '[aliases]\nquick = "gemini-3-flash"\n')
            home.add(*demo_accounts(upstream))
        await answered(http, (await starting).url, model="quick")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_start_takes_signals_as_a_server_that_is_ready_does(cli, home, workers):
    lock = home.paths.state / "state.lock"
    command = cli.command("serve", "--port", "0", "--workers", str(workers))
    with FileLock(lock):
        server = await asyncio.create_subprocess_exec(*command, cwd=home.root, stderr=PIPE)
        await until(lambda: len(starting_servers(lock)) == workers, within=10)
        server.send_signal(signal.SIGHUP)
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, told = await server.communicate()
    assert (server.returncode, told) == (0, b"")


async def test_what_was_learnt_two_seconds_ago_survives_a_kill(cli, home, http):
    async with DemoUpstream(TWO) as upstream:
        configured(home, upstream)
        async with serving(cli) as server:
            upstream.play(Fault(FaultKind.VERIFICATION, account="ada", times=None))
            upstream.play(Fault(FaultKind.QUOTA, account="grace", seconds=900, times=None))
            status, refusal = await ask(http, server.url)
            assert status == 429, refusal
            await asyncio.sleep(1.5)
            server.process.kill()
            await server.ended()
        asked = len([c for c in upstream.requests if "streamGenerate" in c.path])
        async with serving(cli) as server:
            async with http.get(f"{server.url}/health") as answer:
                assert (await answer.json())["accounts"]["invalid"] == 1
            status, refusal = await ask(http, server.url)
            assert status == 429
            assert refusal["error"]["message"].startswith("RESOURCE_EXHAUSTED")
        assert len([c for c in upstream.requests if "streamGenerate" in c.path]) == asked
        assert upstream.identity.refreshes == {"ada": 1, "grace": 1}


async def test_several_workers_are_one_server(cli, http):
    async with serving(cli, "--demo", "--workers", "2") as server:
        body = message_body("pace=20 events=20", stream=True)
        async with http.post(f"{server.url}/v1/messages", json=body) as answer:
            begun = await answer.content.readany()
            server.process.send_signal(signal.SIGTERM)
            events = strict_records(begun + await answer.content.read())
        assert events[-1][0] == "message_stop", "the worker without a stream ends first"
        assert await server.ended() == 0
    assert not any("ready" in line for line in server.log), "it is said once"


WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}


async def test_workers_agree_on_signatures_and_homes_from_one_turn_to_the_next(cli, home):
    """Each turn comes on a connection of its own, at once, and mostly to the other worker."""
    async with DemoUpstream(TWO) as upstream:
        configured(home, upstream)
        async with serving(cli, "--workers", "2") as server:
            url = f"{server.url}/v1/chat/completions"
            for number in range(8):
                asked = {"role": "user", "content": f"the weather? {number}"}
                [call] = (await chat(url, [asked]))["choices"][0]["message"]["tool_calls"]
                kept = {name: call[name] for name in ("id", "type", "function")}
                message = {"role": "assistant", "tool_calls": [kept]}
                result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
                await chat(url, [asked, message, result])
        turns = [call for call in upstream.requests if "streamGenerate" in call.path]
    assert len(turns) == 16
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        [called] = second.body["request"]["contents"][1]["parts"]
        assert is_genuine(called["thoughtSignature"], "gemini")
        assert first.account == second.account


async def chat(url: str, messages: list[Json]) -> Json:
    body = {"model": GEMINI, "messages": messages, "tools": [WEATHER]}
    async with aiohttp.ClientSession() as own, own.post(url, json=body) as answer:
        assert answer.status == 200
        found: Json = await answer.json()
    return found


async def test_a_worker_that_dies_ends_the_server(cli, http):
    async with serving(cli, "--demo", "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 2
        workers[0].kill()
        assert await server.ended() == 1
    assert not any(worker.is_running() for worker in workers)


# ------------------------------------------------------------------------ it does not start


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_port_in_use_is_one_line_and_exit_1(cli, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = await cli.beside("serve", "--demo", "--port", port, "--workers", workers)
    assert ran.code == 1
    assert ran.stdout == ""
    assert len(ran.stderr.strip().splitlines()) == 1
    assert port in ran.stderr
    assert "--port" in ran.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_there_is_not_is_told_as_that(cli, workers):
    where = ("--host", "no.such.host.invalid", "--port", "0", "--workers", workers)
    ran = cli("serve", *where, env={"PROXY_API_KEY": "a-key-that-nobody-knows"})
    assert ran.code == 1
    assert re.fullmatch(r"mcproxy: cannot listen on no\.such\.host\.invalid: .*\n", ran.stderr)
    assert "Unknown error" not in ran.stderr
    assert "--host" in ran.stderr


async def test_an_ipv6_address_may_have_its_brackets(cli, http):
    async with serving(cli, "--demo", "--host", "[::1]") as server:
        assert server.url.startswith("http://[::1]:")
        async with http.get(f"{server.url}/health") as answer:
            assert answer.status == 200


async def test_where_all_accounts_are_disabled_one_can_be_enabled(cli, home):
    home.add(Account("work", "zai", Credential(api_key=Secret("k")), enabled=False))
    async with serving(cli) as server:
        said = "(0 accounts, all disabled; enable one with: mcproxy accounts enable work)"
        assert server.first_line.strip().endswith(said)


@pytest.mark.parametrize("key", ["", "k3y-of-mine", "changeme-changeme"])
def test_beyond_this_machine_it_needs_a_good_key(cli, key):
    ran = cli("serve", "--host", "0.0.0.0", "--port", "0", env={"PROXY_API_KEY": key})
    assert ran.code == 78
    assert "key" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not key or key not in ran.stderr


def test_a_bad_configuration_is_exit_78_and_names_the_place(cli, home):
    home.configure("[limits]\nsoft_limit = 7\n")
    ran = cli("serve", "--port", "0")
    assert ran.code == 78
    assert "config.toml" in ran.stderr
    assert "soft_limit" in ran.stderr


def test_a_malformed_accounts_file_is_exit_1_and_left_alone(cli, home):
    home.paths.accounts.parent.mkdir(parents=True)
    home.paths.accounts.write_text("[[accounts]\n")
    ran = cli("serve", "--port", "0")
    assert ran.code == 1
    assert "line 1" in ran.stderr
    assert home.paths.accounts.read_text() == "[[accounts]\n"
