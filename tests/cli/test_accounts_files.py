"""`mcproxy accounts` without a network: listing, enabling, removing, and every refusal to start.

The program runs in the test's own process; that it is the same as a process of its own is the
business of `test_cli_main.py` and `test_accounts_signing_in.py`.
"""

import io
import json
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import run
from mcp_proxy.policy.standing import Mark, mark_to_json
from mcp_proxy.store.accounts import AccountStore, credential_id
from mcp_proxy.store.state import StateReader, StateStore
from mcp_proxy.store.tokens import TokenCache

if TYPE_CHECKING:
    from harness import Home


class Ran(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


Cli = Callable[..., Ran]


@pytest.fixture
def cli(
    home: "Home", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """Runs `mcproxy` here; without a terminal unless it is said otherwise."""
    assert not home.paths.state.exists()
    logger = logging.getLogger("mcp_proxy")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def run_here(
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: str = "",
        terminal: bool = False,
    ) -> Ran:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", (Terminal if terminal else io.StringIO)(stdin))
            code = run(list(arguments))
        return Ran(code, *capsys.readouterr())

    yield run_here
    logger.handlers[:], logger.level, logger.propagate = before


WORK = Account(
    "work",
    "antigravity",
    Credential(refresh_token=Secret("1//canary"), client_id="c", client_secret=Secret("canary-2")),
    label="me@example.com",
    added_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
)
GLM = Account("glm", "zai", Credential(api_key=Secret("canary-3")), enabled=False)


def test_list_gives_the_accounts_in_file_order(cli: Cli, home: "Home") -> None:
    home.add(WORK, GLM)
    ran = cli("accounts", "list", "--json")
    result = json.loads(ran.stdout)
    assert result["schema"] == "mcproxy.accounts/1"
    assert result["problems"] == []
    assert result["accounts"] == [
        {
            "id": "work",
            "provider": "antigravity",
            "label": "me@example.com",
            "enabled": True,
            "state": "unknown",
            "reason": None,
            "url": None,
            "mend": None,
            "plan": None,
            "project": None,
            "location": None,
            "base_url": None,
            "source": None,
            "has_refresh_token": True,
            "has_api_key": False,
            "soft_limit": None,
            "models": [],
            "added_at": "2026-11-21T10:00:00Z",
        },
        {
            "id": "glm",
            "provider": "zai",
            "label": None,
            "enabled": False,
            "state": "disabled",
            "reason": None,
            "url": None,
            "mend": None,
            "plan": None,
            "project": None,
            "location": None,
            "base_url": None,
            "source": None,
            "has_refresh_token": False,
            "has_api_key": True,
            "soft_limit": None,
            "models": [],
            "added_at": None,
        },
    ]
    table = cli("accounts", "list")
    assert table.code == ran.code == 0
    assert "me@example.com" in table.stdout
    assert "canary" not in table.stdout + table.stderr + ran.stdout + ran.stderr


def test_no_file_is_an_empty_list_and_stays_no_file(cli: Cli, home: "Home") -> None:
    assert json.loads(cli("accounts", "list", "--json").stdout)["accounts"] == []
    assert "accounts add" in cli("accounts", "list").stdout
    assert list(home.root.iterdir()) == []


def test_what_a_server_found_out_is_shown_with_the_link(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    mark = Mark(
        "verification", "verify \x1b[31myour account", 1.0, credential_id(WORK), "https://g"
    )
    with StateStore.open(home.paths.state) as serving:
        serving.put("marks", "work", mark_to_json(mark))
        serving.flush()
        ran = cli("accounts", "list")  # the server is still running
        (row,) = json.loads(cli("accounts", "list", "--json").stdout)["accounts"]
    assert (row["state"], row["url"]) == ("invalid", "https://g")
    assert "work: verify your account. See https://g Run: mcproxy accounts verify" in ran.stdout
    assert row["mend"] == "mcproxy accounts verify work"


def test_a_mark_against_a_sign_in_that_could_not_be_saved_is_shown(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    newest = WORK.renewed(Secret("1//not-in-the-file"))
    with StateStore.open(home.paths.state) as state:
        TokenCache(state).put_rotation(WORK, Secret("1//not-in-the-file"))
        mark = Mark("invalid", "revoked", 1.0, credential_id(newest))
        state.put("marks", "work", mark_to_json(mark))
    (row,) = json.loads(cli("accounts", "list", "--json").stdout)["accounts"]
    assert (row["state"], row["reason"]) == ("invalid", "revoked")


def test_a_mark_against_an_older_sign_in_counts_for_nothing(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    with StateStore.open(home.paths.state) as state:
        state.put("marks", "work", mark_to_json(Mark("invalid", "revoked", 1.0, "another")))
    (row,) = json.loads(cli("accounts", "list", "--json").stdout)["accounts"]
    assert (row["state"], row["reason"]) == ("unknown", None)


def test_a_wrong_entry_is_named_and_the_others_are_listed(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    with home.paths.accounts.open("a") as file:
        file.write('\n[[accounts]]\nid = "broken"\nprovider = "zai"\napi_key = 5\n')
    ran = cli("accounts", "list", "--json")
    result = json.loads(ran.stdout)
    assert [each["id"] for each in result["accounts"]] == ["work"]
    (problem,) = result["problems"]
    assert (problem["id"], problem["reason"]) == ("broken", "api_key must be text")
    assert "api_key must be text" in ran.stderr
    assert cli("accounts", "remove", "broken", "--yes").code == 0
    assert json.loads(cli("accounts", "list", "--json").stdout)["problems"] == []


EVERY_VERB = {
    "list": [],
    "verify": [],
    "add": ["--provider", "antigravity", "--accept-risk", "--no-browser"],
    "remove": ["work", "--yes"],
    "enable": ["work"],
    "disable": ["work"],
}


@pytest.mark.parametrize(("verb", "arguments"), EVERY_VERB.items())
def test_a_malformed_file_stops_every_verb_first(
    cli: Cli, home: "Home", verb: str, arguments: list[str]
) -> None:
    home.paths.accounts.parent.mkdir(parents=True, mode=0o700)
    home.paths.accounts.write_text('version = 1\n[[accounts]]\nid = "work\n')
    ran = cli("accounts", verb, *arguments)
    assert (ran.code, ran.stdout) == (1, "")
    assert f"{home.paths.accounts}: line 3, column 11" in ran.stderr
    assert home.paths.accounts.read_text() == 'version = 1\n[[accounts]]\nid = "work\n'
    assert not home.paths.state.exists()


@pytest.mark.parametrize(
    "arguments", [["verify", "wrok"], ["remove", "wrok", "--yes"], ["enable", "wrok"]]
)
def test_an_unknown_account_is_exit_code_1_with_the_nearest(
    cli: Cli, home: "Home", arguments: list[str]
) -> None:
    home.add(WORK)
    ran = cli("accounts", *arguments)
    assert (ran.code, ran.stdout) == (1, "")
    assert "Did you mean work?" in ran.stderr


def test_enable_and_disable_are_idempotent(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    store = AccountStore(home.paths.accounts)
    for verb, expected in (("disable", False), ("disable", False), ("enable", True)):
        ran = cli("accounts", verb, "work", "--json")
        assert json.loads(ran.stdout)["account"] == {"id": "work"}
        assert ran.code == 0
        assert store.load().accounts[0].enabled is expected
    assert store.load().accounts == (WORK,)


def test_remove_forgets_account_and_state(cli: Cli, home: "Home") -> None:
    home.add(WORK, GLM)
    with StateStore.open(home.paths.state) as state:
        for table, key in (
            ("marks", "work"),
            ("tokens", "work"),
            ("tokens", "work rotated"),
            ("projects", "work"),
            ("models", "work"),
            ("standings", "work|m"),
            ("standings", "work-2|m"),
        ):
            state.put(table, key, {})
    assert cli("accounts", "remove", "work", "--yes", "--json").code == 0
    assert [each.id for each in AccountStore(home.paths.accounts).load().accounts] == ["glm"]
    reader = StateReader(home.paths.state)
    assert [reader.items(t) for t in ("marks", "tokens", "projects", "models")] == [{}] * 4
    assert set(reader.items("standings")) == {"work-2|m"}


# Without a terminal: arguments -> the flag that the error names.
NEEDED_FLAGS = {
    ("add",): "--provider",
    ("add", "--provider", "antigravity"): "--accept-risk",
    ("add", "--provider", "antigravity", "--from", "antigravity-app"): "--accept-risk",
    ("remove", "work"): "--yes",
    ("add", "--provider", "antigravity", "--accept-risk", "--api-key", "x"): "--api-key",
    ("add", "--provider", "antigravity", "--accept-risk", "--id", "Bad Id"): "--id",
    ("add", "--provider", "antigravity", "--refresh-token", "1//x"): "--refresh-token takes only -",
    (
        *("add", "--provider", "antigravity", "--accept-risk"),
        *("--refresh-token", "-", "--from", "antigravity-app"),
    ): "--from and --refresh-token",
    ("add", "--provider", "antigravity", "--accept-risk", "--base-url", "http://x.y"): "--base-url",
    ("add", "--provider", "antigravity", "--accept-risk", "--project", "a b"): "--project",
    ("add", "--provider", "openai-compatible"): "--base-url is needed",
    ("add", "--provider", "gemini"): "--api-key is needed without a terminal",
    ("add", "--provider", "gemini", "--refresh-token", "-"): "--refresh-token is not for gemini",
    ("add", "--provider", "gemini", "--no-browser"): "--no-browser is not for gemini",
    ("add", "--provider", "gemini", "--header", "a=b"): "--header is not for gemini",
    ("add", "--provider", "gemini", "--api-key", "two words"): "--api-key must be one run",
    (
        "add",
        "--provider",
        "copilot",
        "--accept-risk",
        "--api-key",
        "x",
    ): "--api-key is not for copilot",
    ("add", "--provider", "vertex", "--location", "evil.example/"): "--location must be made of",
    ("add", "--provider", "openai-compatible", "--header", "canary"): "--header takes NAME=VALUE",
    (
        "add",
        "--provider",
        "openai-compatible",
        "--header",
        "Host=canary",
    ): "--header must not have Host",
    (
        "add",
        "--provider",
        "zai",
        "--from",
        "codex",
    ): "--from codex gives accounts of codex, not of zai",
    ("add", "--provider", "zai", "--file", __file__): "--file goes with --from",
}


@pytest.mark.parametrize(("arguments", "flag"), NEEDED_FLAGS.items())
def test_without_a_terminal_the_flag_is_named_and_nothing_changes(
    cli: Cli, home: "Home", arguments: tuple[str, ...], flag: str
) -> None:
    home.add(WORK)
    before = home.paths.accounts.read_bytes()
    ran = cli("accounts", *arguments, stdin="secret\n")
    assert (ran.code, ran.stdout) == (2, "")
    assert flag in ran.stderr
    assert "canary" not in ran.stderr
    assert home.paths.accounts.read_bytes() == before
    assert not home.paths.state.exists()


def test_the_risk_is_told_before_anything_else(cli: Cli) -> None:
    ran = cli("accounts", "add", "--provider", "antigravity")
    for word in ("terms", "suspended", "official API key"):
        assert word in ran.stderr


def test_without_an_oauth_client_the_error_says_how_to_get_one(cli: Cli, home: "Home") -> None:
    ran = cli("accounts", "add", "--provider", "antigravity", "--accept-risk")
    assert ran.code == 1
    assert "--client-secrets" in ran.stderr
    assert not home.paths.accounts.exists()


def test_an_app_that_is_not_there_is_told(cli: Cli, home: "Home") -> None:
    arguments = ("--provider", "antigravity", "--accept-risk", "--from", "antigravity-app")
    ran = cli("accounts", "add", *arguments)
    assert ran.code == 1
    assert "not installed" in ran.stderr
    with sqlite3.connect(home.root / "x.db") as database:
        database.execute("CREATE TABLE ItemTable (key, value)")
    database.close()
    ran = cli("accounts", "add", *arguments, env={"ANTIGRAVITY_STATE_DB": str(home.root / "x.db")})
    assert "nobody is signed in" in ran.stderr
    assert not home.paths.accounts.exists()


# ------------------------------------------------------------------------------ at a terminal


def test_a_person_is_asked_before_an_account_goes(cli: Cli, home: "Home") -> None:
    home.add(WORK)
    store = AccountStore(home.paths.accounts)
    for answer, code in (("n\n", 1), ("", 130), ("y\n", 0)):
        ran = cli("accounts", "remove", "work", stdin=answer, terminal=True)
        assert ran.code == code
        assert "Remove work" in ran.stderr
        assert (store.load().accounts == ()) is (code == 0)


def test_a_person_has_to_agree_to_the_risk(cli: Cli, home: "Home") -> None:
    for answer, code in (("n\n", 1), ("\n", 1), ("", 130)):
        ran = cli("accounts", "add", stdin=f"antigravity\n{answer}", terminal=True)
        assert (ran.code, ran.stdout) == (code, "")
        assert "Go on? [y/N]" in ran.stderr
        assert not home.paths.state.exists()
    ran = cli("accounts", "add", stdin="antigravity\ny\n", terminal=True)
    assert "no OAuth client is configured" in ran.stderr
