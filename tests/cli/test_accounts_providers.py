"""`accounts add` for providers with keys, and keys in the environment, against loopback servers."""

import asyncio
import json
import os
import pty
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.store.accounts import AccountStore

Json = dict[str, Any]

KEYED = ("anthropic", "openai", "gemini", "zai")


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as listening:
        yield listening


@pytest.fixture
def near(home: Home, places: DemoPlaces) -> Home:
    """A home in which every provider's address is that of the places."""
    lines = []
    for name, settings in places.settings().items():
        if name != "openai-compatible":
            lines += [f"[providers.{name}]", f'base_url = "{settings.base_urls[0]}"']
    home.configure("\n".join(lines))
    return home


def key_of(places: DemoPlaces, provider: str, name: str = "me") -> str:
    key = places.account(provider, name).credential.api_key
    assert key is not None
    return key.value


def compatible_url(places: DemoPlaces) -> str:
    return places.settings()["openai-compatible"].base_urls[0]


def account(ran: Ran) -> Json:
    found: Json = json.loads(ran.stdout)["account"]
    return found


def stored(home: Home) -> list[Account]:
    return list(AccountStore(home.paths.accounts).load().accounts)


# ------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize("provider", KEYED)
async def test_a_key_from_stdin_is_tried_and_kept(
    cli: Cli, near: Home, places: DemoPlaces, provider: str
) -> None:
    key = key_of(places, provider)
    add = ("accounts", "add", "--provider", provider, "--api-key", "-", "--json")
    ran = await cli.beside(*add, stdin=f"{key}\n")
    assert (ran.code, json.loads(ran.stdout)["action"]) == (0, "added")
    row = account(ran)
    assert (row["id"], row["provider"], row["ok"]) == (provider, provider, True)
    assert row["models"]
    assert key not in ran.stdout + ran.stderr
    (kept,) = stored(near)
    assert kept.credential == Credential(api_key=Secret(key))
    assert stat.S_IMODE(near.paths.accounts.stat().st_mode) == 0o600
    again = await cli.beside(*add, stdin=f"{key}\n")
    assert (json.loads(again.stdout)["action"], len(stored(near))) == ("updated", 1)
    other = await cli.beside(*add, stdin=key_of(places, provider, "another"))
    assert account(other)["id"] == f"{provider}-2"


async def test_a_plans_terms_are_told_once_and_ask_for_no_answer(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    add = ("accounts", "add", "--provider", "zai", "--api-key", "-", "--id", "plan")
    first = await cli.beside(*add, stdin=key_of(places, "zai"))
    again = await cli.beside(*add, stdin=key_of(places, "zai"))
    assert (first.code, again.code) == (0, 0)
    assert ("own risk" in first.stderr, "own risk" in again.stderr) == (True, False)


async def test_a_key_may_stand_on_the_command_line(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "anthropic")
    add = ("accounts", "add", "--provider", "anthropic", "--id", "work", "--api-key", key)
    ran = await cli.beside(*add)
    assert ran.code == 0
    assert "Added work (anthropic)." in ran.stdout
    assert "work (anthropic) works: " in ran.stdout
    assert "claude-" in ran.stdout


async def test_a_key_that_could_not_be_kept_goes_nowhere(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    near.paths.accounts.touch(0o600)
    add = ("accounts", "add", "--provider", "anthropic", "--api-key", "-")
    ran = await cli.beside(*add, stdin=key_of(places, "anthropic"))
    assert (ran.code, ran.stdout) == (1, "")
    assert "Nothing was changed" in ran.stderr
    assert not places.requests


async def test_without_a_terminal_and_a_key_nothing_is_made(cli: Cli, home: Home) -> None:
    ran = await cli.beside("accounts", "add", "--provider", "zai")
    assert (ran.code, ran.stdout) == (2, "")
    assert "--api-key" in ran.stderr
    assert not home.paths.accounts.parent.exists()


async def test_a_key_that_is_refused_is_not_kept_and_replaces_none(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    add = ("accounts", "add", "--provider", "anthropic", "--api-key", "-")
    ran = await cli.beside(*add, stdin="sk-wrong\n")
    assert (ran.code, ran.stdout) == (1, "")
    assert "the key is refused" in ran.stderr
    assert "sk-wrong" not in ran.stderr
    assert not near.paths.accounts.exists()
    key = key_of(places, "anthropic")
    await cli.beside(*add, "--id", "work", stdin=key)
    assert (await cli.beside(*add, "--id", "work", stdin="sk-wrong\n")).code == 1
    assert [each.credential.api_key for each in stored(near)] == [Secret(key)]


async def test_a_new_key_for_an_account_changes_nothing_else(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    old = Account(
        "work",
        "anthropic",
        Credential(api_key=Secret("sk-old")),
        label="mine",
        enabled=False,
        soft_limit=0.5,
        extras={"colour": "blue"},
    )
    near.add(old)
    key = key_of(places, "anthropic")
    ran = await cli.beside("accounts", "add", "--id", "work", "--api-key", "-", stdin=key)
    assert ran.code == 0
    (kept,) = stored(near)
    assert kept.credential == Credential(api_key=Secret(key))
    assert (kept.label, kept.enabled, kept.soft_limit, kept.extras) == (
        "mine",
        False,
        0.5,
        {"colour": "blue"},
    )


async def test_what_was_learned_is_there_for_the_other_verbs(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    add = ("accounts", "add", "--provider", "gemini", "--api-key", "-")
    await cli.beside(*add, stdin=key_of(places, "gemini"))
    asked = len(places.requests)
    models = await cli.beside("models", "--json")
    assert {tuple(row["accounts"]) for row in json.loads(models.stdout)["models"]} == {("gemini",)}
    assert len(places.requests) == asked
    assert (await cli.beside("accounts", "verify")).code == 0


def typed(command: list[str], line: str) -> tuple[int, str]:
    """Runs a command on a terminal and types one line; its exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown = b""
    with suppress(OSError):  # the terminal is gone with its last process
        while b"API key" not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, line.encode() + b"\n")
        while piece := os.read(terminal, 1024):
            shown += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


async def test_a_key_is_typed_without_an_echo(cli: Cli, near: Home, places: DemoPlaces) -> None:
    key = key_of(places, "gemini")
    command = cli.command("accounts", "add", "--provider", "gemini")
    code, shown = await asyncio.to_thread(typed, command, key)
    assert code == 0, shown
    assert "API key for gemini" in shown
    assert key not in shown
    assert [each.credential.api_key for each in stored(near)] == [Secret(key)]


# ----------------------------------------------------------------------- servers with OpenAI's API


async def test_a_local_server_needs_nothing_but_its_address(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    url = compatible_url(places)
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url, "--json")
    ran = await cli.beside(*add)
    assert ran.code == 0, ran.stderr
    row = account(ran)
    assert (row["id"], row["ok"]) == ("127.0.0.1", True)
    (kept,) = stored(near)
    assert (kept.base_url, kept.credential) == (url, Credential())
    models = await cli.beside("models", "--json")
    served = [each["id"] for each in json.loads(models.stdout)["models"]]
    assert sorted(served) == sorted(each["id"] for each in row["models"])
    again = await cli.beside(*add)
    assert (json.loads(again.stdout)["action"], len(stored(near))) == ("updated", 1)


async def test_headers_and_models_of_ones_own_are_kept(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    ran = await cli.beside(
        *("accounts", "add", "--provider", "openai-compatible", "--id", "router"),
        *("--base-url", compatible_url(places), "--header", "X-Title=a=b"),
        *("--header", "HTTP-Referer=https://me.example", "--model", "m-1", "--model", "m-2"),
    )
    assert ran.code in (0, 1), ran.stderr
    (kept,) = stored(near)
    assert kept.headers == {"X-Title": "a=b", "HTTP-Referer": "https://me.example"}
    assert kept.models == ("m-1", "m-2")
    assert places.requests[-1].headers["X-Title"] == "a=b"


def test_a_server_that_does_not_run_yet_is_kept_and_told(
    cli: Cli, home: Home, unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}/v1"
    ran = cli("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    assert ran.code == 1
    assert "When that is mended: mcproxy accounts verify 127.0.0.1" in ran.stdout
    assert [each.base_url for each in stored(home)] == [url]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:11434/v1", "ollama"),
        ("http://127.0.0.1:1234/v1", "lmstudio"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1"),
        ("https://openrouter.ai/api/v1", "openrouter.ai"),
    ],
)
def test_a_server_is_called_by_what_it_is_or_where(
    cli: Cli, home: Home, url: str, name: str
) -> None:
    # The proxy keeps all of them out of reach: what counts is what is written down.
    env = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    cli(*add, env=env)
    assert [each.id for each in stored(home)] == [name]


# --------------------------------------------------------------------------------- the environment


async def test_keys_in_the_environment_serve_and_are_shown_as_such(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "gemini")
    env = {"GEMINI_API_KEY": key, "OPENAI_BASE_URL": compatible_url(places)}
    models = await cli.beside("models", "--json", env=env)
    served = {name for row in json.loads(models.stdout)["models"] for name in row["accounts"]}
    assert served == {"env-gemini", "env-openai"}
    listed = await cli.beside("accounts", "list", "--json", env=env)
    rows = json.loads(listed.stdout)["accounts"]
    assert [(row["id"], row["source"]) for row in rows] == [
        ("env-openai", "environment"),
        ("env-gemini", "environment"),
    ]
    assert (await cli.beside("accounts", "verify", "env-gemini", env=env)).code == 0
    disabled = await cli.beside("accounts", "disable", "env-gemini", env=env)
    assert disabled.code == 1
    assert "comes from the environment" in disabled.stderr
    assert not near.paths.accounts.exists()
    everything = b"".join(f.read_bytes() for f in near.root.rglob("*") if f.is_file())
    assert key.encode() not in everything


async def test_a_server_answers_with_a_key_of_the_environment(
    cli: Cli, near: Home, places: DemoPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", key_of(places, "gemini"))
    monkeypatch.setenv("PREFERRED_PROVIDER", "google")
    monkeypatch.setenv("SMALL_MODEL", "gemini-2.5-flash")
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "say hi"}],
    }
    async with (
        cli.serve() as url,
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/messages", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert answer.headers["x-mcproxy-account"] == "env-gemini"
        assert answer.headers["x-mcproxy-model"] == "gemini-2.5-flash"
    assert not near.paths.accounts.exists()


async def test_keys_in_the_environment_can_be_taken_over(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "gemini")
    env = {"GEMINI_API_KEY": key, "OPENAI_BASE_URL": compatible_url(places)}
    ran = await cli.beside("accounts", "add", "--from", "env", "--json", env=env)
    assert ran.code == 0, ran.stderr
    rows = json.loads(ran.stdout)["accounts"]
    assert [(row["action"], row["provider"]) for row in rows] == [
        ("added", "openai-compatible"),
        ("added", "gemini"),
    ]
    assert "took the account of gemini" in ran.stderr
    assert key not in ran.stdout + ran.stderr
    assert [each.transient for each in stored(near)] == [False, False]


def test_an_environment_without_keys_is_told(cli: Cli, home: Home) -> None:
    ran = cli("accounts", "add", "--from", "env")
    assert (ran.code, ran.stdout) == (1, "")
    assert "env has no login that could be used" in ran.stderr


def test_models_that_are_named_help_nobody_where_no_server_listens(
    cli: Cli, unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}/v1"
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    ran = cli(*add, "--model", "mine")
    assert ran.code == 1, ran.stdout
    assert "127.0.0.1 failed at models: 127.0.0.1" in ran.stdout


async def test_models_that_are_named_are_shown_where_a_server_has_no_list(cli: Cli) -> None:
    async def nothing(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    server = web.Server(nothing)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    ran = await cli.beside(*add, "--model", "mine")
    listening.close()
    await server.shutdown(0.0)
    assert ran.code == 0, ran.stderr
    assert "works: 1 model" in ran.stdout
    assert "mine" in ran.stdout


async def test_accounts_that_are_added_at_the_same_time_all_get_an_id(
    cli: Cli, home: Home, places: DemoPlaces
) -> None:
    # One server by several addresses: the name of an account is its host, the same for all.
    host = compatible_url(places).rpartition("/v1")[0]
    urls = [f"{host}/{number}/v1" for number in range(6)]
    add = ("accounts", "add", "--provider", "openai-compatible", "--model", "mine")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cli.beside(*add, "--base-url", url)) for url in urls]
    told = "".join(task.result().stderr for task in tasks)
    assert "there is already an account" not in told
    assert sorted(each.base_url or "" for each in stored(home)) == urls
    assert len({each.id for each in stored(home)}) == len(urls)


def test_a_line_that_is_far_too_long_for_a_key_is_refused(cli: Cli, home: Home) -> None:
    add = ("accounts", "add", "--provider", "openai", "--api-key", "-")
    ran = cli(*add, stdin="k" * (17 << 20))
    assert (ran.code, ran.stdout) == (2, "")
    assert "--api-key - reads one line, and this one has more than 65536" in ran.stderr
    assert not home.paths.accounts.exists()
