"""`mcproxy accounts add` and `verify` as processes, against the embedded upstream's sign-in."""

import asyncio
import json
import re
import sqlite3
import stat
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET
from mcp_proxy.signin.loopback import CallbackListener
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.state import StateReader, StateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Cli, Home, Ran

# A browser that asks for a favicon and falls for a forgery before it does what it is there for.
BROWSER = """\
#!{python}
import os, sys
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen
url = sys.argv[1]
back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
for stray in (back.rpartition("/")[0] + "/favicon.ico", back + "?state=forged&code=stolen"):
    try:
        urlopen(stray)
    except HTTPError:
        pass
urlopen(url + os.environ.get("DEMO_LOGIN", "")).read()
"""

ADD = ("accounts", "add", "--provider", "antigravity", "--accept-risk")


@pytest.fixture
async def upstream() -> "AsyncIterator[DemoUpstream]":
    people = (DemoAccount("ann"), DemoAccount("ben", onboarded=False, polls=1, rotates=True))
    async with DemoUpstream(accounts=people) as listening:
        yield listening


@pytest.fixture
def signing(
    cli: "Cli", home: "Home", upstream: DemoUpstream, monkeypatch: pytest.MonkeyPatch
) -> "Cli":
    """The command line with everything of Google's pointed at the upstream, and a browser."""
    home.configure(
        f"""
[providers.antigravity]
base_url = "{upstream.url}"
auth_url = "{upstream.url}/auth"
token_url = "{upstream.url}/token"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
"""
    )
    browser = home.root / "browser"
    browser.write_text(BROWSER.format(python=sys.executable))
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    return cli


def account(ran: "Ran") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.stdout)["account"]
    return found


def stored(home: "Home") -> list[Account]:
    return list(AccountStore(home.paths.accounts).load().accounts)


async def test_adding_through_the_browser(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    ran = await signing.beside(*ADD, "--json")
    assert ran.code == 0
    assert json.loads(ran.stdout)["action"] == "added"
    added = account(ran)
    assert (added["id"], added["label"], added["ok"]) == ("ann", "ann@example.com", True)
    assert (added["project"], added["tier"]) == ("demo-project-ann", "free")
    assert {"id", "remaining", "resets_at"} == set(added["models"][0])
    (kept,) = stored(home)
    assert upstream.identity.holder(kept.credential.refresh_token.value) == "ann"  # type: ignore[union-attr]
    assert kept.credential.client_id == CLIENT_ID
    assert kept.added_at is not None
    assert stat.S_IMODE(home.paths.accounts.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.paths.accounts.parent.stat().st_mode) == 0o700
    everything = ran.stdout + ran.stderr
    assert "1//" not in everything
    assert "ya29" not in everything
    assert CLIENT_SECRET not in everything


async def test_the_summary_for_people(signing: "Cli") -> None:
    ran = await signing.beside(*ADD, "--id", "work")
    assert "Added work (antigravity, ann@example.com)." in ran.stdout
    assert "work (antigravity) works: project demo-project-ann, tier free" in ran.stdout
    assert "claude-opus-4-6-thinking" in ran.stdout
    assert "100%" in ran.stdout


async def test_a_server_takes_the_sign_in_over_without_another_call(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    await signing.beside(*ADD)
    state = StateReader(home.paths.state)
    assert set(state.items("tokens")) == {"ann"}
    project = state.get("projects", "ann")
    assert project is not None
    assert project["project"] == "demo-project-ann"
    assert any(key.startswith("ann|") for key in state.items("standings"))
    listed = await signing.beside("accounts", "list", "--json")
    (row,) = json.loads(listed.stdout)["accounts"]
    assert (row["state"], row["project"]) == ("ready", "demo-project-ann")


async def test_signing_in_again_changes_the_sign_in_and_nothing_else(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    old = Account(
        id="work",
        provider="antigravity",
        credential=Credential(refresh_token=Secret("1//revoked")),
        label="ann@example.com",
        enabled=False,
        project="my-own-project",
        soft_limit=0.4,
        extras={"colour": "blue"},
    )
    home.add(old)
    with StateStore.open(home.paths.state) as state:
        state.put("marks", "work", {"kind": "invalid", "at": 1.0, "credential_id": "x"})
    upstream.identity.accounts["ann"] = DemoAccount("ann", project="my-own-project")
    ran = await signing.beside(*ADD, "--json")
    assert json.loads(ran.stdout)["action"] == "updated"
    (kept,) = stored(home)
    assert kept.credential.refresh_token != old.credential.refresh_token
    assert (kept.id, kept.enabled, kept.project) == ("work", False, "my-own-project")
    assert (kept.soft_limit, kept.extras, kept.label) == (0.4, {"colour": "blue"}, old.label)
    assert StateReader(home.paths.state).get("marks", "work") is None
    assert not any("loadCodeAssist" in call.path for call in upstream.requests)
    again = await signing.beside(*ADD, "--json")
    assert (again.code, len(stored(home))) == (0, 1)


UNSIGNED = """\
version = 1
[[accounts]]
id = "work"
provider = "antigravity"
email = "ann@example.com"
soft_limit = 0.4
colour = "blue"
"""


def write_accounts(home: "Home", text: str) -> None:
    home.paths.accounts.write_text(text)
    home.paths.accounts.chmod(0o600)


@pytest.mark.parametrize("arguments", [(), ("--id", "work")], ids=["by address", "by id"])
async def test_an_entry_that_lacks_only_its_sign_in_is_given_one(
    signing: "Cli", home: "Home", arguments: tuple[str, ...]
) -> None:
    write_accounts(home, UNSIGNED)
    ran = await signing.beside(*ADD, *arguments, "--json")
    assert (ran.code, json.loads(ran.stdout)["action"]) == (0, "updated")
    (kept,) = stored(home)
    assert (kept.id, kept.soft_limit, kept.extras) == ("work", 0.4, {"colour": "blue"})
    assert kept.credential.refresh_token is not None


OTHER_NAMES = {
    "other capitals": 'email = "Ann@Example.com"',
    "a label, too": 'label = "my work account"\nemail = "ann@example.com"',
}


@pytest.mark.parametrize("arguments", [(), ("--id", "work")], ids=["by address", "by id"])
@pytest.mark.parametrize("names", OTHER_NAMES.values(), ids=OTHER_NAMES)
async def test_whoever_signs_in_again_is_known_by_the_address(
    signing: "Cli", home: "Home", names: str, arguments: tuple[str, ...]
) -> None:
    write_accounts(home, UNSIGNED.replace('email = "ann@example.com"', names))
    ran = await signing.beside(*ADD, *arguments, "--json")
    assert (ran.code, json.loads(ran.stdout)["action"]) == (0, "updated")
    assert len(stored(home)) == 1
    assert names in home.paths.accounts.read_text()  # as its owner wrote it


async def test_a_label_hides_nobody_from_being_asked(signing: "Cli", home: "Home") -> None:
    write_accounts(home, UNSIGNED + 'label = "my work account"\n')
    ran = await signing.beside(*ADD, "--id", "work", env={"DEMO_LOGIN": "&login_hint=ben"})
    assert (ran.code, ran.stdout) == (2, "")
    assert "belongs to ann@example.com, but ben@example.com has signed in" in ran.stderr


HOPELESS = {
    UNSIGNED.replace("0.4", '"0.4"'): (
        "account 'work' (line 2): soft_limit must be a number. Mend this entry of accounts.toml,"
        " or run: mcproxy accounts remove work"
    ),
    UNSIGNED.replace("antigravity", "codex"): "work is an account of codex; choose another --id",
    "": "is empty, as a full disk or a power cut may leave it. Put back what was in it",
}


@pytest.mark.parametrize(("text", "reason"), HOPELESS.items())
async def test_nobody_signs_in_where_the_sign_in_could_not_be_kept(
    signing: "Cli", home: "Home", text: str, reason: str
) -> None:
    write_accounts(home, text)
    ran = await signing.beside(*ADD, "--id", "work")
    assert (ran.code, ran.stdout) == (1, "")
    assert reason in ran.stderr
    assert not home.paths.state.exists()  # made when a sign-in begins
    assert home.paths.accounts.read_text() == text


async def test_the_wrong_person_does_not_replace_an_account(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    credential = Credential(refresh_token=Secret("1//anns"))
    home.add(Account("work", "antigravity", credential, label="ann@example.com"))
    ran = await signing.beside(*ADD, "--id", "work", env={"DEMO_LOGIN": "&login_hint=ben"})
    assert (ran.code, ran.stdout) == (2, "")
    assert "belongs to ann@example.com, but ben@example.com has signed in" in ran.stderr
    assert stored(home)[0].credential == credential


async def test_a_second_person_is_a_second_account_and_is_onboarded(
    signing: "Cli", home: "Home"
) -> None:
    await signing.beside(*ADD)
    ran = await signing.beside(*ADD, "--json", env={"DEMO_LOGIN": "&login_hint=ben"})
    assert (account(ran)["id"], account(ran)["project"]) == ("ben", "demo-project-ben")
    assert [each.id for each in stored(home)] == ["ann", "ben"]


async def test_pasting_the_address_that_the_browser_ended_on(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    process = await asyncio.create_subprocess_exec(
        *signing.command(*ADD, "--no-browser", "--callback-port", "50999", "--json"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    while not (line := (await process.stderr.readline()).decode()).startswith(upstream.url):
        assert line
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(line.strip(), allow_redirects=False) as page,
    ):
        address = page.headers["Location"]
    assert address.startswith("http://localhost:50999/oauth-callback?")
    stdout, _ = await process.communicate(f"{address}\n".encode())
    assert process.returncode == 0
    assert json.loads(stdout)["account"]["ok"]
    assert [each.id for each in stored(home)] == ["ann"]


async def test_a_callback_port_that_is_taken_is_told_and_the_next_one_is_in_both_redirects(
    signing: "Cli",
) -> None:
    with CallbackListener() as other:
        ran = await signing.beside(*ADD, "--callback-port", str(other.port), "--json")
    assert (ran.code, account(ran)["id"]) == (0, "ann")
    assert re.search(rf"Port {other.port} is not free; the browser comes back to \d+\.", ran.stderr)


async def test_nothing_pasted_is_exit_code_2_and_nothing_kept(signing: "Cli", home: "Home") -> None:
    ran = await signing.beside(*ADD, "--no-browser")
    assert (ran.code, ran.stdout) == (2, "")
    assert "--no-browser" in ran.stderr
    assert not home.paths.accounts.exists()


async def test_no_browser_and_no_terminal_is_exit_code_2(signing: "Cli", home: "Home") -> None:
    ran = await signing.beside(*ADD, env={"BROWSER": "/bin/false", "PATH": "", "DISPLAY": ""})
    assert (ran.code, ran.stdout) == (2, "")
    assert "--no-browser" in ran.stderr
    assert not home.paths.accounts.exists()


async def test_a_refresh_token_from_stdin_stays_off_the_command_line(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    given = upstream.refresh_token("ben")
    ran = await signing.beside(*ADD, "--refresh-token", "-", "--json", stdin=f" {given}\n")
    assert (ran.code, account(ran)["id"]) == (0, "ben")
    (kept,) = stored(home)
    # The upstream rotated it at once: the one that is kept is the new one.
    assert kept.credential.refresh_token == Secret(upstream.refresh_token("ben")) != Secret(given)


async def test_a_refresh_token_that_does_not_work_is_not_kept(signing: "Cli", home: "Home") -> None:
    for token, code in (("1//nobodys", 1), ("", 2), ("two words", 2)):
        ran = await signing.beside(*ADD, "--refresh-token", "-", stdin=f"{token}\n")
        assert (ran.code, ran.stdout) == (code, "")
        assert "refresh" in ran.stderr
    assert not home.paths.accounts.exists()


async def test_googles_own_client_file_may_be_given(
    signing: "Cli", home: "Home", tmp_path: Path
) -> None:
    home.configure(home.paths.config.read_text().replace("client_", "# client_"))
    file = tmp_path / "client.json"
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    file.write_text(json.dumps({"installed": client}))
    ran = await signing.beside(*ADD, "--client-secrets", str(file))
    assert ran.code == 0
    # The token is bound to the client, so the client is kept beside it, and verify needs no other.
    assert (await signing.beside("accounts", "verify")).code == 0


async def test_the_apps_login_is_used_on_request_and_read_again(
    signing: "Cli", home: "Home", upstream: DemoUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = upstream.backend.now()
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": upstream.refresh_token("ann"),
    }
    token = upstream.identity.token(form, now)["access_token"]
    app = home.root / "state.vscdb"
    with sqlite3.connect(app) as database:
        database.execute("CREATE TABLE ItemTable (key, value)")
        status = json.dumps({"apiKey": token, "email": "ann@example.com"})
        row = ("antigravityAuthStatus", status)
        database.execute("INSERT INTO ItemTable VALUES (?, ?)", row)
    database.close()
    monkeypatch.setenv("ANTIGRAVITY_STATE_DB", str(app))
    ran = await signing.beside(*ADD, "--from", "antigravity-app", "--json")
    assert (ran.code, account(ran)["id"]) == (0, "ann")
    (kept,) = stored(home)
    assert kept.credential == Credential(source="antigravity-app")
    assert token not in home.paths.accounts.read_text()
    assert (await signing.beside("accounts", "verify")).code == 0
    app.unlink()
    ran = await signing.beside("accounts", "verify")
    assert ran.code == 1
    assert "not installed" in ran.stdout


async def test_the_notice_is_agreed_to_once(signing: "Cli") -> None:
    first = await signing.beside(*ADD)
    second = await signing.beside("accounts", "add", "--provider", "antigravity")
    assert (first.code, second.code) == (0, 0)
    assert "suspended" in first.stderr
    assert "suspended" not in second.stderr


async def test_an_account_that_does_not_work_yet_is_kept_and_told(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    upstream.play(Fault(FaultKind.VERIFICATION, path="loadCodeAssist", url="https://g.example/v"))
    ran = await signing.beside(*ADD)
    assert ran.code == 1
    assert "failed at project" in ran.stdout
    assert "See https://g.example/v" in ran.stdout
    assert "mcproxy accounts verify ann" in ran.stdout
    assert [each.id for each in stored(home)] == ["ann"]
    (row,) = json.loads((await signing.beside("accounts", "list", "--json")).stdout)["accounts"]
    assert (row["state"], row["url"]) == ("invalid", "https://g.example/v")
    assert (await signing.beside("accounts", "verify", "ann")).code == 0
    (row,) = json.loads((await signing.beside("accounts", "list", "--json")).stdout)["accounts"]
    assert (row["state"], row["url"]) == ("ready", None)


async def test_verify_tries_each_account_and_fails_when_one_does(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    for name in ("ann", "ben"):
        credential = Credential(refresh_token=Secret(upstream.refresh_token(name)))
        home.add(Account(name, "antigravity", credential))
    off = Account("off", "antigravity", Credential(refresh_token=Secret("x")), enabled=False)
    home.add(off)
    assert (await signing.beside("accounts", "verify")).code == 0
    upstream.identity.revoke("ann")
    ran = await signing.beside("accounts", "verify", "--json")
    ann, ben = json.loads(ran.stdout)["accounts"]
    assert ran.code == 1
    assert (ann["ok"], ann["failed_at"], ann["kind"]) == (False, "sign-in", "auth_revoked")
    assert ben["ok"]
    listed = await signing.beside("accounts", "list", "--json")
    assert [row["state"] for row in json.loads(listed.stdout)["accounts"]] == [
        "invalid",
        "ready",
        "disabled",
    ]
    assert (await signing.beside("accounts", "verify", "ben")).code == 0
    assert (await signing.beside("accounts", "verify", "off")).code == 1


async def test_trouble_on_the_way_is_not_held_against_the_account(
    signing: "Cli", home: "Home", upstream: DemoUpstream
) -> None:
    credential = Credential(refresh_token=Secret(upstream.refresh_token("ann")))
    home.add(Account("ann", "antigravity", credential))
    upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token"))
    ran = await signing.beside("accounts", "verify")
    assert ran.code == 1
    assert "failed at sign-in" in ran.stdout
    assert "Run:" not in ran.stdout
    assert StateReader(home.paths.state).items("marks") == {}


async def test_a_revoked_sign_in_is_shown_with_the_command_that_renews_it(
    signing: "Cli", home: "Home"
) -> None:
    home.add(Account("ann", "antigravity", Credential(refresh_token=Secret("revoked"))))
    ran = await signing.beside("accounts", "verify", "ann")
    assert ran.code == 1
    command = "mcproxy accounts add --provider antigravity --id ann"
    assert f"Run: {command}" in " ".join(ran.stdout.split())


async def test_the_file_is_plain_toml_for_people(signing: "Cli", home: "Home") -> None:
    await signing.beside(*ADD)
    (entry,) = tomllib.loads(home.paths.accounts.read_text())["accounts"]
    assert set(entry) == {
        "id",
        "provider",
        "email",
        "enabled",
        "added_at",
        "refresh_token",
        "client_id",
        "client_secret",
    }
