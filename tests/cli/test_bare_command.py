"""`mcproxy` alone: how things stand, and what comes next, whatever the state of things is."""

import json
import signal
import socket
import subprocess
import time
from contextlib import closing
from typing import Any

import pytest
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.store.accounts import AccountStore, credential_id
from mcp_proxy.store.state import StateStore

KEYS = {"schema", "version", "server", "accounts", "next_reset", "problems", "next"}
WORK = Account("work", "zai", Credential(api_key=Secret("a-key")))


@pytest.fixture
def home(home: Home, unused_port: int) -> Home:
    """Where a server of the settings would be, there is none."""
    home.configure(f"[server]\nport = {unused_port}\n")
    return home


def document(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.stdout)
    assert (ran.code, found.keys(), found["schema"]) == (0, KEYS, "mcproxy.overview/1")
    return found


def steps(ran: Ran) -> list[str]:
    return [step["run"] for step in document(ran)["next"]]


def test_without_accounts_it_says_how_to_add_one_or_to_look_around(cli: Cli) -> None:
    ran = cli()
    assert (ran.code, ran.stderr) == (0, "")
    assert "no server runs\nNo accounts yet\n" in ran.stdout
    assert "Next: mcproxy accounts add\n" in ran.stdout
    assert "Or:   mcproxy demo\n" in ran.stdout
    assert steps(cli("--json")) == ["mcproxy accounts add", "mcproxy demo", "mcproxy --help"]


def test_with_accounts_and_no_server_it_says_how_to_start_one(cli: Cli, home: Home) -> None:
    home.add(WORK, Account("home", "zai", Credential(api_key=Secret("b-key")), enabled=False))
    ran = cli()
    assert (ran.code, ran.stderr) == (0, "")
    assert "Accounts: 1 unknown, 1 disabled\n" in ran.stdout
    assert "Next: mcproxy serve\n" in ran.stdout
    assert "Or:   mcproxy service install\n" in ran.stdout
    found = document(cli("--json"))
    assert (found["server"]["running"], found["next_reset"], found["problems"]) == (False, None, [])
    assert sum(found["accounts"].values()) == 2


def test_an_account_that_needs_its_owner_comes_first(cli: Cli, home: Home) -> None:
    home.add(WORK)
    (account,) = AccountStore(home.paths.accounts).load().accounts
    mark = {"kind": "invalid", "reason": "the key is refused", "at": time.time()}
    with StateStore.open(home.paths.state) as state:
        state.put("marks", "work", {**mark, "credential_id": credential_id(account)})
    assert "Accounts: 1 invalid\n" in cli().stdout
    assert steps(cli("--json"))[0] == "mcproxy accounts list"


async def test_with_a_server_it_says_where_and_the_next_reset_and_how_to_use_it(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    soon, late = time.time() + 7_200, time.time() + 9_000
    upstream.quota.set_left("ada", "claude", 0.4, late)
    upstream.quota.set_left("grace", "claude", 0.4, soon)
    async with cli.serve() as url:
        await cli.beside("limits", "--json")
        ran = await cli.beside()
        found = document(await cli.beside("--json"))
    assert (ran.code, ran.stderr) == (0, "")
    first, accounts, reset, base, *_ = ran.stdout.splitlines()
    assert first.endswith(f" serves at {url}")
    assert accounts == "Accounts: 2 ready"
    assert reset.startswith(("Next reset in 2 h (", "Next reset in 1 h 59 m ("))
    assert reset.endswith(" of grace")
    assert f"{url}/v1" in base
    assert "Next: mcproxy run claude-code\n" in ran.stdout
    assert found["server"] == {"running": True, "url": url, "version": found["version"]}
    assert found["next_reset"]["account"] == "grace"
    assert found["next_reset"]["at"].endswith("Z")


async def test_a_server_without_accounts_is_no_place_to_lead_clients_to(cli: Cli) -> None:
    async with cli.serve() as url:
        ran = await cli.beside()
    assert f"serves at {url}\nNo accounts yet\n" in ran.stdout
    assert "Next: mcproxy accounts add\n" in ran.stdout


async def test_a_server_with_another_key_is_told_with_what_mends_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_API_KEY", "the-servers-own-key-1")
    async with cli.serve("--demo", "--host", "127.0.0.1") as url:
        monkeypatch.setenv("PROXY_API_KEY", "another-key-than-that-1")
        monkeypatch.setenv("PORT", url.rpartition(":")[2])
        ran = await cli.beside()
    assert ran.code == 0
    assert f"serves at {url}\n" in ran.stdout
    assert "another key than these settings" in ran.stdout
    assert "mend it: set PROXY_API_KEY" in ran.stdout
    assert "Accounts: 2 " in ran.stdout


def test_a_server_that_gives_no_answer_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PORT", str(silent.getsockname()[1]))
        ran = cli()
    assert ran.code == 0
    assert "gave no answer" in ran.stdout
    assert "mend it: mcproxy doctor" in ran.stdout


WRONG = {
    "settings that cannot be read": ("[server", None, "config.toml: line 1", "config validate"),
    "a setting that is wrong": (
        "[limits]\nsoft_limit = 7\n",
        None,
        "limits.soft_limit",
        "config validate",
    ),
    "accounts that cannot be read": ("", "[[accounts", "accounts.toml: line 1", "doctor"),
}


@pytest.mark.usefixtures("unserved")
@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_wrong_is_told_once_with_what_mends_it(
    what: str, cli: Cli, home: Home
) -> None:
    settings, accounts, said, mend = WRONG[what]
    home.configure(settings)
    if accounts is not None:
        home.paths.accounts.write_text(accounts, encoding="utf-8")
        home.paths.accounts.chmod(0o600)
    ran = cli()
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.count(said) == 1
    assert f"mend it: mcproxy {mend}\n" in ran.stdout
    found = document(cli("--json"))
    assert len(found["problems"]) == 1
    assert found["accounts"] is None or accounts is None
    assert found["next"][0]["run"] == "mcproxy doctor"


def test_an_entry_that_is_wrong_is_told_and_the_others_count(cli: Cli, home: Home) -> None:
    home.add(WORK)
    with home.paths.accounts.open("a", encoding="utf-8") as file:
        file.write('[[accounts]]\nid = "odd"\nprovider = "nobody"\n')
    found = document(cli("--json"))
    assert found["accounts"]["unknown"] == 1
    assert [each["what"].count("nobody") for each in found["problems"]] == [1]


def test_a_key_that_is_needed_is_told_before_a_server_refuses_to_start(
    cli: Cli, home: Home, unused_port: int
) -> None:
    home.configure(f'[server]\nhost = "0.0.0.0"\nport = {unused_port}\n')
    ran = cli()
    assert ran.code == 0
    assert "without a key" in ran.stdout
    assert "Set PROXY_API_KEY" in ran.stdout


def test_json_before_a_command_is_told_where_it_belongs(cli: Cli) -> None:
    ran = cli("--json", "limits")
    assert (ran.code, ran.stdout) == (2, "")
    assert "mcproxy limits ... --json" in ran.stderr


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_line_is_longer_than_it_has_to_be(cli: Cli, columns: str) -> None:
    lines = cli(env={"COLUMNS": columns}).stdout.splitlines()
    assert max(map(len, lines)) <= 40
    assert all(line == line.rstrip() for line in lines)


def test_ctrl_c_ends_at_once_while_an_upstream_keeps_silent(cli: Cli, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        home.add(Account("work", "zai", Credential(api_key=Secret("a-key")), base_url=url))
        process = subprocess.Popen(
            cli.command("accounts", "verify"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with closing(silent.accept()[0]) as asked:
            assert asked.recv(1)
            interrupted = time.monotonic()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=10)
    assert time.monotonic() - interrupted < 3
    assert (process.returncode, stdout) == (130, b"")
    assert b"Traceback" not in stderr
