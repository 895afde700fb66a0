"""`mcproxy doctor`: what is found, what mends it, and an archive in which nothing is secret."""

import json
import os
import socket
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.checks.finding import at_once, told
from mcp_proxy.cli.checks.port_owner import owner_of
from mcp_proxy.store.locks import FileLock
from mcp_proxy.store.state import StateStore

if TYPE_CHECKING:
    from mcp_proxy.demo.cloudcode import DemoUpstream

SECRETS = {
    "refresh_token": "1//refresh-token-of-ada",
    "api_key": "sk-api-key-of-grace",
    "server": "the-servers-own-key-1",
    "client": "GOCSPX-client-secret",
    "header": "Bearer header-of-alan",
    "proxy": "proxy-password",
    "variable": "variable-token-77",
    "mail": "ada@example.com",
}


def found(ran: Ran) -> dict[str, list[tuple[str, str, str | None]]]:
    """Findings by theme as (level, what, mend)."""
    report = json.loads(ran.stdout)
    assert report.keys() == {"schema", "ok", "counts", "findings", "bundle"}
    assert report["schema"] == "mcproxy.doctor/1"
    assert report["ok"] is (ran.code == 0)
    themes: dict[str, list[tuple[str, str, str | None]]] = {}
    for each in report["findings"]:
        assert each.keys() == {"theme", "level", "what", "mend"}
        assert each["level"] == "ok" or each["mend"], "whatever is not right can be mended"
        themes.setdefault(each["theme"], []).append((each["level"], each["what"], each["mend"]))
    return themes


@pytest.fixture
def quiet_home(home: Home, unused_port: int) -> Home:
    """At whose address nobody listens."""
    home.configure(f"[server]\nport = {unused_port}\n")
    return home


@pytest.mark.usefixtures("quiet_home")
def test_a_new_home_is_told_what_to_do_next(cli: Cli) -> None:
    ran = cli("doctor", "--json")
    themes = found(ran)
    assert ran.code == 0
    assert ("warning", "there are no accounts yet", "mcproxy accounts add") in themes["accounts"]
    ((level, what, mend),) = themes["server"]
    assert (level, mend) == ("warning", "mcproxy serve")
    assert "no server runs at http://127.0.0.1:" in what
    assert {level for level, _, _ in themes["installation"]} == {"ok"}
    assert any("parser in C" in what for _, what, _ in themes["installation"])


@pytest.mark.usefixtures("quiet_home")
@pytest.mark.parametrize("columns", [40, 200])
def test_people_read_the_same_with_what_mends_it(cli: Cli, columns: int) -> None:
    ran = cli("doctor", env={"COLUMNS": str(columns), "LC_ALL": "C", "NO_COLOR": "1"})
    assert ran.code == 0
    assert "  warning: there are no accounts yet\n      mend it: mcproxy accounts add" in ran.stdout
    assert "\x1b" not in ran.stdout


async def test_a_server_that_serves_is_found_well(cli: Cli) -> None:
    async with cli.serve("--demo") as url:
        ran = await cli.beside("doctor", "--json", env={"PORT": url.rpartition(":")[2]})
    said = [what for level, what, _ in found(ran)["server"] if level == "ok"]
    assert any(what.startswith(f"{url}: mcproxy ") for what in said)
    assert any("models can be asked for" in what for what in said)


async def test_an_alias_to_a_model_that_nobody_serves_is_named(cli: Cli, home: Home) -> None:
    home.configure('[aliases]\nmine = "no-such-model"\nfast = "gemini-3-flash"\n')
    async with cli.serve("--demo") as url:
        ran = await cli.beside("doctor", "--json", env={"PORT": url.rpartition(":")[2]})
    warned = [(what, mend) for level, what, mend in found(ran)["server"] if level == "warning"]
    assert len(warned) == 1
    assert "mine" in warned[0][0]
    assert warned[0][1] == "mcproxy route mine"


async def test_routes_and_stand_ins_that_lead_nowhere_are_named(cli: Cli, home: Home) -> None:
    home.configure(
        '[[routes.fast]]\nmodel = "none-such"\naccount = "gone"\n'
        '[[routes.good]]\nmodel = "gemini-3-flash"\n'
        '[fallback.models]\n"gemini-3-flash" = ["nothing"]\n'
    )
    home.add(Account("z", "zai", Credential(api_key=Secret("k" * 20))))
    async with cli.serve("--demo") as url:
        ran = await cli.beside("doctor", "--json", env={"PORT": url.rpartition(":")[2]})
    warned = {what: mend for level, what, mend in found(ran)["server"] if level == "warning"}
    assert warned == {
        "the route fast leads to none-such, which nobody serves": "mcproxy route fast",
        "the fallback of gemini-3-flash leads to nothing, which nobody serves": (
            "mcproxy route gemini-3-flash"
        ),
        "the route fast names the account gone, which is not there": (
            f"edit {home.paths.config}, or: mcproxy accounts add --id gone"
        ),
    }


async def test_a_server_with_another_key_is_a_problem(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_API_KEY", SECRETS["server"])
    async with cli.serve("--demo") as url:
        env = {"PORT": url.rpartition(":")[2], "PROXY_API_KEY": "another"}
        ran = await cli.beside("doctor", "--json", env=env)
    assert ran.code == 1
    assert any("another key" in what for level, what, _ in found(ran)["server"])


def test_another_program_on_the_port_is_a_problem_and_named(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = cli("doctor", "--json", env={"PORT": str(silent.getsockname()[1])})
    assert ran.code == 1
    level, what, mend = found(ran)["server"][-1]
    assert level == "problem"
    if sys.platform == "linux":
        assert f"(process {os.getpid()}) has the port" in what
        assert str(mend).endswith(f"kill {os.getpid()}")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_whose_a_port_is(family: socket.AddressFamily, unused_port: int) -> None:
    assert owner_of(unused_port) is None
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as ours:
        owner = owner_of(ours.getsockname()[1])
    assert owner is not None
    assert owner.pid == os.getpid()


def test_a_command_at_the_end_of_a_message_is_what_mends_it() -> None:
    assert told("it is loose. Run: chmod 600 x", "else") == ("it is loose", "chmod 600 x")
    assert told("it is loose", "else") == ("it is loose", "else")
    assert told("Run: a; or look at b", "else") == ("Run: a; or look at b", "else")


@pytest.mark.parametrize(
    ("config", "env", "said"),
    [
        ("[server]\nport = 'x'\n", {}, "server.port must be"),
        ("[server\n", {}, "line 1"),
        ("", {"SOFT_LIMIT_THRESHOLD": "7"}, "SOFT_LIMIT_THRESHOLD"),
    ],
)
def test_wrong_settings_are_one_problem_and_the_rest_is_still_looked_at(
    cli: Cli, home: Home, config: str, env: dict[str, str], said: str
) -> None:
    home.configure(config)
    ran = cli("doctor", "--json", env=env)
    themes = found(ran)
    problems = [row for rows in themes.values() for row in rows if row[0] == "problem"]
    assert ran.code == 1
    assert len(problems) == 1
    assert said in problems[0][1]
    assert problems[0][2] == "mcproxy config validate"
    assert "accounts" in themes


def test_a_bind_for_everybody_without_a_key_is_a_problem(cli: Cli, quiet_home: Home) -> None:
    ran = cli("doctor", "--json", env={"BIND_ADDRESS": "0.0.0.0"})
    assert ran.code == 1
    assert any("without a key" in what for _, what, _ in found(ran)["server"])


@pytest.mark.usefixtures("quiet_home")
def test_each_account_is_told_by_its_state(cli: Cli, home: Home) -> None:
    home.add(
        Account("grace", "openai", Credential(api_key=Secret(SECRETS["api_key"]))),
        Account("off", "zai", Credential(api_key=Secret("k" * 20)), enabled=False),
        Account("gone", "vertex", Credential(source="gcloud", file="/no/such/file.json")),
    )
    ran = cli("doctor", "--json")
    rows = found(ran)["accounts"]
    assert ran.code == 1
    assert ("ok", "grace (openai): unknown", None) in rows
    assert ("ok", "off (zai): disabled", None) in rows
    assert any(level == "problem" and "/no/such/file.json" in what for level, what, _ in rows)


def test_a_malformed_accounts_file_is_a_problem_with_its_line(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.accounts.write_text("[[accounts]]\nid = = 1\n")
    ran = cli("doctor", "--json")
    ((level, what, mend),) = found(ran)["accounts"]
    assert (ran.code, level) == (1, "problem")
    assert "line 2" in what
    assert str(mend).startswith("edit ")
    assert str(quiet_home.paths.accounts) in str(mend)


def test_a_file_of_a_newer_version_asks_for_a_newer_program(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.accounts.write_text("version = 7\n")
    quiet_home.paths.accounts.chmod(0o600)
    ((level, _, mend),) = found(cli("doctor", "--json"))["accounts"]
    assert (level, mend) == ("problem", "pipx upgrade multi-claude-proxy")


def test_an_entry_that_is_wrong_can_be_removed(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.accounts.write_text('[[accounts]]\nid = "bad"\nprovider = "none"\n')
    quiet_home.paths.accounts.chmod(0o600)
    ((level, _, mend),) = found(cli("doctor", "--json"))["accounts"]
    assert level == "problem"
    assert str(mend).endswith("mcproxy accounts remove bad")


def test_settings_with_secrets_that_others_can_read_are_shut_by_a_command(
    cli: Cli, home: Home
) -> None:
    home.configure('[server]\nport = 1\napi_keys = ["k"]\n')
    home.paths.config.chmod(0o644)
    warned = [(what, mend) for level, what, mend in found(cli("doctor", "--json"))["files"]]
    assert (
        f"{home.paths.config}: other users can read the secrets in it",
        f"chmod 600 {home.paths.config}",
    ) in warned


def test_a_lock_that_somebody_holds_is_told_with_the_process(cli: Cli, quiet_home: Home) -> None:
    quiet_home.add(Account("z", "zai", Credential(api_key=Secret("k" * 20))))
    lock = quiet_home.paths.accounts.with_name("accounts.toml.lock")
    with FileLock(lock):
        warned = [what for level, what, _ in found(cli("doctor", "--json"))["files"]]
    assert any(f"still locked by process {os.getpid()}" in what for what in warned)


def test_a_state_that_is_damaged_is_told_once(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.state.mkdir(mode=0o700, parents=True)
    (quiet_home.paths.state / "state.db").write_bytes(b"\xff" * 8192)
    ran = cli("doctor", "--json")
    assert (ran.code, ran.stderr) == (0, "")
    assert [what for _, what, _ in found(ran)["files"] if "is damaged" in what]


def test_a_state_directory_that_is_a_file_is_a_problem(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.state.parent.mkdir(parents=True, exist_ok=True)
    quiet_home.paths.state.write_text("")
    ran = cli("doctor", "--json")
    assert ran.code == 1
    (wrong,) = [what for level, what, _ in found(ran)["files"] if level == "problem"]
    assert "has to be a directory" in wrong


@pytest.mark.usefixtures("quiet_home")
@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12_630, "; its token is good for 3 h 30 m"), (-5, "; its next token is due")],
)
def test_how_long_a_token_is_good_is_told(cli: Cli, home: Home, seconds: int, said: str) -> None:
    home.add(Account("ada", "antigravity", Credential(refresh_token=Secret("1//r" * 9))))
    with StateStore.open(home.paths.state) as state:
        state.put("tokens", "ada", {"sealed": "x", "expires_at": time.time() + seconds})
    rows = found(cli("doctor", "--json"))["accounts"]
    assert ("ok", f"ada (antigravity): unknown{said}", None) in rows


def test_a_file_that_others_could_read_is_told(cli: Cli, quiet_home: Home) -> None:
    quiet_home.paths.accounts.write_text("")
    quiet_home.paths.accounts.chmod(0o644)
    warned = [what for level, what, _ in found(cli("doctor", "--json"))["accounts"]]
    assert any("could be read by other users" in what for what in warned)


def test_a_directory_that_is_copied_elsewhere_is_told(cli: Cli, quiet_home: Home) -> None:
    state = quiet_home.root / "Dropbox" / "state"
    ran = cli("doctor", "--json", env={"MCPROXY_STATE_DIR": str(state)})
    assert any("Dropbox copies it" in what for _, what, _ in found(ran)["files"])


@pytest.mark.usefixtures("quiet_home")
def test_a_client_that_is_pointed_elsewhere_on_this_machine_is_told(cli: Cli, home: Home) -> None:
    ran = cli("doctor", "--json", env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    warned = [each for each in found(ran)["clients"] if each[0] == "warning"]
    assert any("http://127.0.0.1:1" in what for _, what, _ in warned)
    assert any("mcproxy setup" in str(mend) for _, _, mend in warned)


# ----------------------------------------------------------------------------------------- online


async def test_online_asks_the_host_of_each_account(
    cli: Cli, home: Home, upstream: "DemoUpstream", unused_port: int
) -> None:
    home.sign_in(upstream)
    home.add(
        Account(
            "nobody",
            "openai-compatible",
            Credential(),
            base_url=f"http://127.0.0.1:{unused_port}/v1",
            models=("m",),
        )
    )
    offline = await cli.beside("doctor", "--json")
    assert [what for _, what, _ in found(offline)["network"]] == [
        "no provider was asked; --online asks"
    ]
    online = await cli.beside("doctor", "--online", "--json")
    rows = found(online)["network"]
    assert online.code == 1
    assert [level for level, _, _ in rows] == ["ok", "problem"]
    assert rows[0][1].startswith(f"{upstream.url}/: answers in ")
    assert str(unused_port) in rows[1][1]


@pytest.mark.usefixtures("quiet_home")
def test_a_proxy_is_named_without_its_password(cli: Cli) -> None:
    address = f"http://user:{SECRETS['proxy']}@proxy.example:3128"
    ran = cli("doctor", "--json", env={"HTTPS_PROXY": address})
    assert any("proxy.example:3128" in what for _, what, _ in found(ran)["network"])
    assert SECRETS["proxy"] not in ran.stdout


def test_what_does_not_end_is_left_behind() -> None:
    started = time.monotonic()
    ended = at_once({"slow": lambda: time.sleep(30), "quick": lambda: 1}, 0.2)
    assert ended == {"slow": None, "quick": 1}
    assert time.monotonic() - started < 5


# ----------------------------------------------------------------------------------------- bundle


@pytest.fixture
def full_home(home: Home, unused_port: int) -> Home:
    """Every kind of secret in every place where one can be."""
    home.configure(
        f'[server]\nport = {unused_port}\napi_keys = ["{SECRETS["server"]}"]\n'
        f'[providers.antigravity]\nclient_id = "i"\nclient_secret = "{SECRETS["client"]}"\n'
    )
    home.add(
        Account(
            "ada",
            "antigravity",
            Credential(refresh_token=Secret(SECRETS["refresh_token"])),
            label=SECRETS["mail"],
        ),
        Account("grace", "openai", Credential(api_key=Secret(SECRETS["api_key"]))),
        Account(
            "alan",
            "openai-compatible",
            base_url="http://127.0.0.1:9/v1",
            models=("m",),
            headers={"Authorization": SECRETS["header"]},
        ),
    )
    with StateStore.open(home.paths.state) as state:
        # An upstream may quote what it was sent, in whatever it says.
        state.put("notices", "quoted", {"said": f"bad key {SECRETS['api_key']}"})
        state.put("decisions", "req_1", {"why": f"sent {SECRETS['header']}"})
        state.put("tokens", "ada", {"access": SECRETS["refresh_token"]})
    return home


ENV = {
    "HTTPS_PROXY": f"http://user:{SECRETS['proxy']}@127.0.0.1:3128",
    "OTHER_TOKEN": SECRETS["variable"],
    "ANTHROPIC_AUTH_TOKEN": SECRETS["variable"],
}


def members(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
        return
    with tarfile.open(file) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            yield entry.name, content.read()


@pytest.mark.usefixtures("full_home")
@pytest.mark.parametrize("name", ["report.zip", "report.tar.gz"])
def test_no_secret_is_in_the_archive_and_its_files_are_listed(
    cli: Cli, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    ran = cli("doctor", "--bundle", str(file), "--json", env=ENV)
    listed: dict[str, Any] = json.loads(ran.stdout)["bundle"]
    content = dict(members(file))
    assert listed["file"] == str(file)
    assert [f"mcproxy-report/{name}" for name in listed["files"]] == list(content)
    assert file.stat().st_mode & 0o077 == 0
    for kind, secret in SECRETS.items():
        for member, text in content.items():
            assert secret.encode() not in text, (kind, member)
        assert secret not in ran.stdout + ran.stderr, kind
    accounts = json.loads(content["mcproxy-report/accounts.json"])
    assert [row["id"] for row in accounts["accounts"]] == ["ada", "grace", "alan"]
    state = json.loads(content["mcproxy-report/state.json"])
    assert state["notices"]["quoted"] == {"said": "bad key (secret)"}
    assert "tokens" not in state
    decisions = json.loads(content["mcproxy-report/decisions.json"])
    assert decisions == {"req_1": {"why": "sent (secret)"}}
    assert "ANTHROPIC_AUTH_TOKEN" in json.loads(content["mcproxy-report/variables.json"])


@pytest.mark.usefixtures("quiet_home")
def test_people_are_told_what_is_in_it(cli: Cli, tmp_path: Path) -> None:
    ran = cli("doctor", "--bundle", str(tmp_path / "report.zip"))
    assert ran.code == 0
    assert "  accounts.json: accounts with their states" in ran.stdout


def test_a_broken_home_gives_an_archive_as_well(cli: Cli, home: Home, tmp_path: Path) -> None:
    home.configure("[server\n")
    home.paths.accounts.write_text("= 1")
    file = tmp_path / "report.zip"
    assert cli("doctor", "--bundle", str(file)).code == 1
    content = dict(members(file))
    assert "line 1" in json.loads(content["mcproxy-report/config.json"])["problem"]
    assert "line 1" in json.loads(content["mcproxy-report/accounts.json"])["problem"]


@pytest.mark.usefixtures("quiet_home")
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("there.zip", 1, "stays as it is"),
        ("report.rar", 2, "must end in"),
        ("nowhere/report.zip", 1, "no such directory"),
    ],
)
def test_nothing_is_overwritten_and_a_wrong_name_is_told_at_once(
    cli: Cli, tmp_path: Path, name: str, code: int, said: str
) -> None:
    (tmp_path / "there.zip").write_text("mine")
    ran = cli("doctor", "--bundle", str(tmp_path / name))
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert (tmp_path / "there.zip").read_text() == "mine"
