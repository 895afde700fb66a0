"""`mcproxy limits` as a process: against a running server, and against the upstreams."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import Cli, Home, Serving

from mcp_proxy.account import Secret
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.settings import ServerSettings, Settings


@pytest.fixture
def signed_in(home: Home, upstream: DemoUpstream) -> Home:
    """A home with the upstream's accounts, and no server."""
    home.sign_in(upstream)
    return home


def port_of(url: str) -> dict[str, str]:
    return {"PORT": str(urlsplit(url).port)}


def rows_of(stdout: str) -> dict[tuple[str, str], dict[str, Any]]:
    report = json.loads(stdout)
    return {(row["account"], row["model"]): row for a in report["accounts"] for row in a["models"]}


async def test_a_running_server_is_asked_and_not_the_upstream(
    cli: Cli, serving: Serving, upstream: DemoUpstream
) -> None:
    async with serving() as server:
        first = await cli.beside("limits", "--json", env=port_of(server.url))
        asked = len(upstream.requests)
        second = await cli.beside("limits", "--json", env=port_of(server.url))
    assert (first.code, first.stderr) == (0, "")
    assert asked > 0
    assert len(upstream.requests) == asked
    assert rows_of(first.stdout).keys() == rows_of(second.stdout).keys()


async def test_without_a_server_the_upstreams_are_asked(
    cli: Cli, signed_in: Home, upstream: DemoUpstream
) -> None:
    upstream.quota.set_left("ada", "claude", 0.4, time.time() + 3600)
    ran = await cli.beside("limits", "--json")
    assert (ran.code, ran.stderr) == (0, "")
    rows = rows_of(ran.stdout)
    assert rows["ada", "claude-sonnet-4-6"]["remaining"] == 0.4
    assert rows["ada", "claude-sonnet-4-6"]["state"] == "ready"
    assert rows["grace", "claude-sonnet-4-6"]["remaining"] == 1.0


async def test_server_and_upstreams_give_the_same_figures(
    cli: Cli, signed_in: Home, upstream: DemoUpstream
) -> None:
    upstream.quota.set_left("ada", "claude", 0.0, time.time() + 3600)
    async with cli.serve() as url:
        served = rows_of((await cli.beside("limits", "--json", env=port_of(url))).stdout)
    alone = rows_of((await cli.beside("limits", "--json")).stdout)
    assert {key: (row["remaining"], row["state"]) for key, row in served.items()} == {
        key: (row["remaining"], row["state"]) for key, row in alone.items()
    }
    spent = ("ada", "claude-sonnet-4-6")
    assert served[spent]["state"] == "exhausted"
    assert served[spent]["resets_at"] == alone[spent]["resets_at"]


@pytest.mark.parametrize("by_server", [True, False])
async def test_an_account_that_is_named_is_shown_alone(
    cli: Cli, signed_in: Home, serving: Serving, by_server: bool
) -> None:
    async with serving() as server:
        env = port_of(server.url) if by_server else {}
        ran = await cli.beside("limits", "grace", "--json", env=env)
    assert {account for account, _ in rows_of(ran.stdout)} == {"grace"}


@pytest.mark.parametrize("by_server", [True, False])
async def test_an_unknown_account_fails_with_the_nearest_name(
    cli: Cli, signed_in: Home, serving: Serving, upstream: DemoUpstream, by_server: bool
) -> None:
    async with serving() as server:
        env = port_of(server.url) if by_server else {}
        ran = await cli.beside("limits", "graze", env=env)
    assert (ran.code, ran.stdout) == (1, "")
    assert "no account 'graze'. Did you mean grace?" in ran.stderr
    assert by_server or not upstream.requests


@pytest.mark.parametrize("by_server", [True, False])
async def test_an_account_with_a_wrong_entry_fails_with_what_is_wrong(
    cli: Cli, signed_in: Home, serving: Serving, by_server: bool
) -> None:
    with signed_in.paths.accounts.open("a") as file:
        file.write('\n[[accounts]]\nid = "broken"\nprovider = "zai"\napi_key = 5\n')
        file.write('\n[[accounts]]\nid = "bare"\nprovider = "zai"\n')
    async with serving() as server:
        env = port_of(server.url) if by_server else {}
        wrong = await cli.beside("limits", "broken", env=env)
        bare = await cli.beside("limits", "bare", env=env)
    assert (wrong.code, bare.code) == (1, 1)
    assert "api_key must be text. Mend this entry" in wrong.stderr
    assert "is missing. Run: mcproxy accounts add --provider zai --id bare" in bare.stderr
    assert "there is no account" not in wrong.stderr + bare.stderr


async def test_a_server_with_another_key_is_passed_over_and_named(
    cli: Cli, signed_in: Home, serving: Serving
) -> None:
    settings = Settings(server=ServerSettings(api_keys=(Secret("the-servers-own-key-1"),)))
    async with serving([], settings) as server:
        refused = await cli.beside("limits", "--json", env=port_of(server.url))
        key = {"PROXY_API_KEY": "the-servers-own-key-1"}
        accepted = await cli.beside("limits", "--json", env={**port_of(server.url), **key})
    assert refused.code == 0
    assert "has another key" in refused.stderr
    assert {account for account, _ in rows_of(refused.stdout)} == {"ada", "grace"}
    assert json.loads(accepted.stdout)["accounts"] == []


async def test_what_could_not_be_read_anew_is_named_and_the_old_figures_are_shown(
    cli: Cli, signed_in: Home
) -> None:
    await cli.beside("limits", "--json")
    AccountStore(signed_in.paths.accounts).update_fields("ada", {"refresh_token": "1//gone"})
    ran = await cli.beside("limits", "--json")
    assert ran.code == 0
    assert "ada: no fresh figures" in ran.stderr
    states = {each["id"]: each["state"] for each in json.loads(ran.stdout)["accounts"]}
    assert states == {"ada": "invalid", "grace": "ready"}
    assert rows_of(ran.stdout)["ada", "gemini-3-flash"]["remaining"] == 1.0


def test_when_nobody_can_be_asked_it_fails_and_still_shows_what_is_known(
    cli: Cli, home: Home, dead_accounts: None
) -> None:
    ran = cli("limits", "--json")
    assert ran.code == 1
    assert "no fresh figures" in ran.stderr
    assert {row["state"] for row in rows_of(ran.stdout).values()} == {"unknown"}


@pytest.fixture
def dead_accounts(home: Home, unused_port: int) -> None:
    """An account whose upstream is not there."""
    home.configure("[server]\nport = 0\n")
    home.paths.accounts.write_text(
        f"""
        [[accounts]]
        id = "ada"
        provider = "antigravity"
        project = "p"
        refresh_token = "1//x"
        client_id = "c"
        client_secret = "s"
        base_url = "http://127.0.0.1:{unused_port}"
        token_url = "http://127.0.0.1:{unused_port}/token"
        """
    )
    home.paths.accounts.chmod(0o600)


@pytest.mark.parametrize("columns", ["40", "80", "200"])
async def test_the_table_fits_the_terminal(cli: Cli, signed_in: Home, columns: str) -> None:
    ran = await cli.beside("limits", env={"COLUMNS": columns})
    assert ran.code == 0
    assert max(map(len, ran.stdout.splitlines())) <= int(columns)
    assert ran.stdout.count("claude-sonnet-4-5-thinking") == 2


@pytest.mark.parametrize(
    "env",
    [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {}],
    ids=["no color", "dumb", "ascii", "piped"],
)
async def test_a_pipe_gets_plain_text(cli: Cli, signed_in: Home, env: dict[str, str]) -> None:
    ran = await cli.beside("limits", env=env)
    assert ran.code == 0
    assert "\x1b" not in ran.stdout
    assert "ready" in ran.stdout
    assert ran.stdout.isascii()
    assert {line.split()[0] for line in ran.stdout.splitlines()[1:]} == {"ada", "grace"}


@pytest.mark.parametrize("flags", [["--json"], []], ids=["json", "table"])
async def test_watch_goes_on_until_it_is_interrupted(
    cli: Cli, serving: Serving, flags: list[str]
) -> None:
    async with serving() as server:
        watching = await asyncio.create_subprocess_exec(
            *cli.command("limits", "--watch", *flags),
            env={**os.environ, **port_of(server.url)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert watching.stdout is not None
        first = await watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, stderr = await watching.communicate()
    assert (watching.returncode, stderr.strip()) == (130, b"")
    if flags:
        assert json.loads(first)["schema"] == "mcproxy.limits/1"
    else:
        assert first.startswith(b"ACCOUNT")


async def test_a_server_that_answers_costs_no_heavy_imports(
    cli: Cli, serving: Serving, home: Home
) -> None:
    script = (
        "import sys; from mcp_proxy.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'aiohttp', 'asyncio', 'ssl', 'google', 'requests'} & sys.modules.keys();"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    async with serving() as server:
        for arguments in (["limits", "--json"], ["limits"], ["limits", "--help"]):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                script,
                *arguments,
                env={**os.environ, **port_of(server.url)},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, stderr = await process.communicate()
            assert (process.returncode, stderr) == (0, b""), arguments


def test_a_malformed_accounts_file_is_named_with_its_line(cli: Cli, home: Home) -> None:
    home.configure("[server]\nport = 0\n")
    Path(home.paths.accounts).write_text("[[accounts]]\nid = \n")
    ran = cli("limits")
    assert (ran.code, ran.stdout) == (1, "")
    assert "accounts.toml: line 2" in ran.stderr


def test_without_accounts_it_says_how_to_add_one(cli: Cli, home: Home) -> None:
    home.configure("[server]\nport = 0\n")
    ran = cli("limits")
    assert (ran.code, ran.stdout) == (0, "No accounts yet. Add one: mcproxy accounts add\n")
