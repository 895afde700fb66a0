"""`mcproxy setup` and `unsetup` on a client's own files, in an empty home."""

import json
import os
import pty
import stat
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import Cli, Home, Ran
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mcp_proxy.account import Account, Secret
from mcp_proxy.cli import run
from mcp_proxy.cli.client_changes import planned, planned_back, set_up, take_back
from mcp_proxy.cli.clients import CLIENTS
from mcp_proxy.cli.clients.client import Client, Model, Place, Where
from mcp_proxy.cli.clients.receipt import Receipts

KEY = "a-key-of-decent-length"
URL = "http://127.0.0.1:8080"

FILES = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/config.toml",
    "gemini-cli": ".gemini/.env",
    "opencode": ".config/opencode/opencode.json",
    "aider": ".aider.conf.yml",
    "llm": "llm/extra-openai-models.yaml",
}
"""The one of a client's files that has the address."""

OWN = {
    "claude-code": '{\n  "env": {"FOO": "1", "ANTHROPIC_API_KEY": "sk-mine"}\n}\n',
    "codex": '# mine\nmodel = "gpt-5"\n\n[projects."/x"]\ntrust_level = "trusted"\n',
    "gemini-cli": "# mine\nGEMINI_API_KEY=mine\nFOO=1\n",
    "opencode": '{\n  "theme": "x", // mine\n  "provider": {\n    "o": {}\n  }\n}\n',
    "aider": "# mine\nmodel: sonnet  # good\nread:\n  - a.md\n",
    "llm": "# mine\n- model_id: own\n  model_name: own\n",
}
"""What its owner has in it already."""

ADDED = {
    "claude-code": lambda text: text.replace('"FOO"', '"BAR": "2", "FOO"'),
    "codex": lambda text: text + '\n[mcp_servers.x]\ncommand = "x"\n',
    "gemini-cli": lambda text: text + "BAR=2\n",
    "opencode": lambda text: text.replace('"theme": "x"', '"theme": "y"'),
    "aider": lambda text: text + "dark-mode: true\n",
    "llm": lambda text: text + "- model_id: later\n  model_name: later\n",
}
"""What its owner changes afterwards."""

MODELS = (
    Model("claude-sonnet-4-6", 200_000, 64_000),
    Model("gemini-3-flash", 1_048_576, 65_536),
)

every_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
def own_place(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LLM_USER_PATH", str(home.root / "llm"))
    return home


class Here:
    """The command line in this process: these tests have many short runs."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        with self._patch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = run(list(arguments))
        said = self._capture.readouterr()
        return Ran(code, said.out, said.err)


@pytest.fixture
def cli(
    own_place: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    return Here(monkeypatch, capsys)


@pytest.fixture
def served(own_place: Home, unused_port: int) -> None:
    """Some models to choose from, without a server that could be asked."""
    own_place.add(
        Account(
            id="local",
            provider="openai-compatible",
            base_url=f"http://127.0.0.1:{unused_port}/v1",
            models=("claude-sonnet-4-6", "gemini-3-flash"),
        )
    )


def write(home: Home, client: str, text: str) -> Path:
    path = home.root / FILES[client]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def set_up_with(cli: Here, client: str, *arguments: str, **env: str) -> dict[str, Any]:
    ran = cli("setup", client, "--yes", "--json", *arguments, env=env)
    assert ran.code == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.usefixtures("served")
def test_a_diff_conceals_the_whole_of_a_header(cli: Here, own_place: Home) -> None:
    headers = "Authorization: Basic canary"
    env = {"ANTHROPIC_CUSTOM_HEADERS": headers, "MY_TOKEN": "Token canary"}
    write(own_place, "claude-code", json.dumps({"env": env}, indent=2))
    ran = cli("setup", "claude-code", "--dry-run")
    assert (ran.code, "MY_TOKEN" in ran.stdout) == (0, True)
    assert "canary" not in ran.stdout


# ------------------------------------------------------------------------------- there and back


@every_client
@pytest.mark.usefixtures("served")
def test_what_was_there_is_there_again(cli: Here, own_place: Home, client: str) -> None:
    path = write(own_place, client, OWN[client])
    path.chmod(0o640)
    set_up_with(cli, client)
    assert "127.0.0.1:8080" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    ran = cli("unsetup", client, "--yes")
    assert ran.code == 0, ran.stderr
    assert path.read_bytes() == OWN[client].encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir() if "bak" in each.name] == []


@every_client
@pytest.mark.usefixtures("served")
def test_files_that_were_not_there_are_gone_again(cli: Here, own_place: Home, client: str) -> None:
    before = {each for each in own_place.root.rglob("*") if each.is_file()}
    made = [Path(row["path"]) for row in set_up_with(cli, client)["files"] if row["changed"]]
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it may hold a key"
    assert cli("unsetup", client, "--yes").code == 0
    left = {each for each in own_place.root.rglob("*") if each.is_file()} - before
    assert {each for each in left if "mcproxy" not in each.parts} == set()


@every_client
def test_what_is_changed_in_between_is_kept(tmp_path: Path, own_place: Home, client: str) -> None:
    path = write(own_place, client, OWN[client])
    receipts, known = Receipts(tmp_path), CLIENTS[client]
    set_up_here(own_place, known, receipts)
    path.write_text(ADDED[client](path.read_text()))
    undo_here(known, receipts)
    assert path.read_text() == ADDED[client](OWN[client])


@every_client
def test_a_second_setup_is_undone_to_what_was_before_the_first(
    tmp_path: Path, own_place: Home, client: str
) -> None:
    path = write(own_place, client, OWN[client])
    receipts, known = Receipts(tmp_path), CLIENTS[client]
    set_up_here(own_place, known, receipts)
    set_up_here(own_place, known, receipts, url="http://127.0.0.1:9999", model=MODELS[1])
    assert "8080" not in path.read_text()
    undo_here(known, receipts)
    assert path.read_text() == OWN[client]


def place(url: str = URL, model: Model | None = None) -> Place:
    return Place(url, Secret(KEY), model, MODELS)


def set_up_here(home: Home, client: Client, receipts: Receipts, **how: Any) -> None:
    earlier = receipts.read(client.name)
    wishes = client.files(place(**how), Where(home.root, os.environ))
    set_up(client.name, planned(wishes, earlier), receipts, earlier)


def undo_here(client: Client, receipts: Receipts) -> None:
    receipt = receipts.read(client.name)
    assert receipt is not None
    take_back(client.name, planned_back(receipt), receipts)


json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
json_files = st.dictionaries(
    st.sampled_from(["env", "theme", "model", "provider", "x"]),
    st.dictionaries(st.sampled_from(["ANTHROPIC_BASE_URL", "FOO", "baz"]), json_values)
    | json_values,
)


@given(json_files, st.sampled_from([None, 2, "\t"]), st.sampled_from(["claude-code", "opencode"]))
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
def test_any_settings_file_comes_back_byte_for_byte(
    tmp_path: Path, own_place: Home, document: Any, indent: Any, client: str
) -> None:
    for key in ("env", "provider"):
        table = document.get(key, {})
        # Refused, which is another test's.
        assume(isinstance(table, dict))
    before = json.dumps(document, indent=indent)
    path = write(own_place, client, before)
    receipts = Receipts(tmp_path)
    set_up_here(own_place, CLIENTS[client], receipts)
    assert json.loads(path.read_text()) != document
    undo_here(CLIENTS[client], receipts)
    assert path.read_text() == before


def test_a_key_of_ours_that_was_changed_since_stays_and_is_named(
    cli: Here, own_place: Home
) -> None:
    path = write(own_place, "claude-code", '{"env": {"ANTHROPIC_BASE_URL": "https://old"}}')
    set_up_with(cli, "claude-code")
    changed = path.read_text().replace(URL, "https://mine")
    path.write_text(changed)
    ran = cli("unsetup", "claude-code", "--yes")
    assert "env.ANTHROPIC_BASE_URL was changed since and stays as it is" in ran.stderr
    assert json.loads(path.read_text()) == {"env": {"ANTHROPIC_BASE_URL": "https://mine"}}
    assert "A copy of the file as it was" in ran.stdout


def test_what_the_user_had_already_said_is_not_ours_to_remove(cli: Here, own_place: Home) -> None:
    own = json.dumps({"hasCompletedOnboarding": True})
    state = own_place.root / ".claude.json"
    state.write_text(own)
    set_up_with(cli, "claude-code")
    cli("unsetup", "claude-code", "--yes")
    assert state.read_text() == own


# -------------------------------------------------------------------------------- what is written


def test_claude_code_is_led_here_without_its_first_questions(cli: Here, own_place: Home) -> None:
    set_up_with(cli, "claude-code", PROXY_API_KEY=KEY)
    env = json.loads((own_place.root / ".claude/settings.json").read_text())["env"]
    assert env["ANTHROPIC_BASE_URL"] == URL
    assert env["ANTHROPIC_AUTH_TOKEN"] == KEY
    assert env["ANTHROPIC_API_KEY"] == ""
    assert json.loads((own_place.root / ".claude.json").read_text())["hasCompletedOnboarding"]


def test_claude_code_s_directory_is_where_its_variable_says(cli: Here, own_place: Home) -> None:
    there = own_place.root / "elsewhere"
    set_up_with(cli, "claude-code", CLAUDE_CONFIG_DIR=str(there))
    assert {each.name for each in there.iterdir()} == {"settings.json", ".claude.json"}


def test_codex_gets_a_provider_and_a_model(own_place: Home, tmp_path: Path) -> None:
    path = write(own_place, "codex", OWN["codex"])
    set_up_here(own_place, CLIENTS["codex"], Receipts(tmp_path), model=MODELS[0])
    found = tomllib.loads(path.read_text())
    assert found["model_provider"] == "mcproxy"
    assert found["model"] == "claude-sonnet-4-6"
    assert found["model_context_window"] == 200_000
    assert found["model_providers"]["mcproxy"] == {
        "name": "mcproxy",
        "base_url": f"{URL}/v1",
        "wire_api": "responses",
        "http_headers": {"Authorization": f"Bearer {KEY}"},
    }
    assert found["projects"] == {"/x": {"trust_level": "trusted"}}


# ---------------------------------------------------------------------------- asking and refusing


def test_without_a_terminal_nothing_is_changed_unless_it_is_said(
    cli: Here, own_place: Home
) -> None:
    ran = cli("setup", "claude-code")
    assert (ran.code, "--yes" in ran.stderr) == (2, True)
    assert not (own_place.root / ".claude").exists()


@pytest.mark.parametrize(("answer", "code", "is_made"), [("n", 1, False), ("y", 0, True)])
def test_at_a_terminal_the_change_is_shown_and_asked_about(
    own_place: Home, answer: str, code: int, is_made: bool
) -> None:
    path = write(own_place, "aider", OWN["aider"])
    keyboard, terminal = pty.openpty()
    command = Cli.command("setup", "aider")
    with subprocess.Popen(
        command, cwd=own_place.root, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asking:
        os.close(terminal)
        os.write(keyboard, f"{answer}\n".encode())
        stdout, stderr = asking.communicate(timeout=20)
    os.close(keyboard)
    assert asking.returncode == code
    assert b"+openai-api-base: http://127.0.0.1:8080/v1" in stdout
    assert b"Make this change?" in stderr
    assert (path.read_text() != OWN["aider"]) is is_made


def test_a_dry_run_shows_the_change_and_makes_none(cli: Here, own_place: Home) -> None:
    path = write(own_place, "claude-code", OWN["claude-code"])
    ran = cli("setup", "claude-code", "--dry-run", env={"PROXY_API_KEY": KEY})
    assert ran.code == 0
    assert '+  "env": {"FOO": "1"' in ran.stdout
    assert path.read_text() == OWN["claude-code"]
    assert not own_place.paths.state.joinpath("clients").exists()


@every_client
@pytest.mark.usefixtures("served")
def test_no_key_is_shown(cli: Here, own_place: Home, client: str) -> None:
    write(own_place, client, OWN[client])
    ran = cli("setup", client, "--dry-run", env={"PROXY_API_KEY": KEY})
    as_json = cli("setup", client, "--dry-run", "--json", env={"PROXY_API_KEY": KEY})
    for text in (ran.stdout, ran.stderr, as_json.stdout):
        assert KEY not in text
        assert "sk-mine" not in text


def test_a_second_setup_has_nothing_to_do(cli: Here, own_place: Home) -> None:
    set_up_with(cli, "aider")
    again = set_up_with(cli, "aider")
    assert [row["changed"] for row in again["files"]] == [False]
    assert cli("setup", "aider", "--yes").stdout.endswith("There is nothing to change.\n")


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("claude-code", '{"env": "x"}'),
        ("claude-code", "{"),
        ("claude-code", '{\n  // mine\n  "theme": "dark"\n}\n'),
        ("claude-code", '{"permissions": {"allow": ["Bash",]}}'),
        ("codex", 'model_providers = { x = { name = "x" } }\n'),
        ("aider", "openai-api-base: |\n  x\n"),
    ],
)
def test_a_file_that_cannot_be_followed_is_left_alone_and_the_lines_are_shown(
    cli: Here, own_place: Home, client: str, text: str
) -> None:
    path = write(own_place, client, text)
    ran = cli("setup", client, "--yes")
    assert ran.code == 1
    assert str(path) in ran.stderr
    assert "127.0.0.1:8080" in ran.stderr
    assert path.read_text() == text
    assert not own_place.paths.state.joinpath("clients", f"{client}.json").exists()


def test_a_comma_too_many_where_something_is_added_is_no_hindrance(
    cli: Here, own_place: Home
) -> None:
    path = write(own_place, "claude-code", '{"theme": "dark",}')
    set_up_with(cli, "claude-code")
    assert json.loads(path.read_text())["theme"] == "dark"
    assert cli("unsetup", "claude-code", "--yes").code == 0
    assert path.read_text() == '{"theme": "dark",}'


def test_why_a_file_with_comments_would_be_of_no_use_is_said(cli: Here, own_place: Home) -> None:
    write(own_place, "claude-code", '{\n  // mine\n  "theme": "dark"\n}\n')
    ran = cli("setup", "claude-code", "--yes")
    assert "a comment or a trailing comma (line 2) Claude Code passes over the whole" in ran.stderr
    shown = "".join(line for line in ran.stderr.splitlines() if not line.startswith("mcproxy:"))
    assert json.loads(shown)["env"]["ANTHROPIC_BASE_URL"] == URL


def test_llm_needs_the_names_of_models(cli: Here, unused_port: int) -> None:
    ran = cli("setup", "llm", "--yes", env={"PORT": str(unused_port)})
    assert ran.code == 1
    assert "mcproxy accounts add" in ran.stderr


def test_when_one_file_is_refused_the_others_stay_too(cli: Here, own_place: Home) -> None:
    (own_place.root / ".claude.json").write_text("[]")
    assert cli("setup", "claude-code", "--yes").code == 1
    assert not (own_place.root / ".claude").exists()


def test_a_link_is_followed_and_stays_a_link(cli: Here, own_place: Home) -> None:
    real = own_place.root / "dotfiles" / "aider.yml"
    real.parent.mkdir()
    real.write_text(OWN["aider"])
    link = own_place.root / ".aider.conf.yml"
    link.symlink_to(real)
    set_up_with(cli, "aider")
    assert link.is_symlink()
    assert "127.0.0.1" in real.read_text()
    cli("unsetup", "aider", "--yes")
    assert link.is_symlink()
    assert real.read_text() == OWN["aider"]


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _second_name(path: Path) -> None:
    path.write_text("")
    path.with_name("other").hardlink_to(path)


def _directory(path: Path) -> None:
    path.mkdir()


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_dangling, "leads nowhere"),
        (_second_name, "second name"),
        (_directory, "not a regular file"),
        (_binary, "not UTF-8"),
    ],
)
def test_what_is_no_plain_file_is_refused(
    cli: Here, own_place: Home, make: Callable[[Path], None], reason: str
) -> None:
    make(own_place.root / ".aider.conf.yml")
    ran = cli("setup", "aider", "--yes")
    assert ran.code == 1
    assert reason in ran.stderr


def test_without_a_receipt_nothing_is_taken_back(cli: Here, own_place: Home) -> None:
    path = write(own_place, "aider", f"openai-api-base: {URL}/v1\n")
    ran = cli("unsetup", "aider", "--yes")
    assert ran.code == 1
    assert "mcproxy setup aider --dry-run" in ran.stderr
    assert path.exists()


def test_a_file_that_changes_while_somebody_thinks_is_not_overwritten(
    tmp_path: Path, own_place: Home
) -> None:
    path = write(own_place, "aider", OWN["aider"])
    client = CLIENTS["aider"]
    changes = planned(client.files(place(), Where(own_place.root, {})), None)
    path.write_text("newer: 1\n")
    with pytest.raises(Exception, match="somebody else just now"):
        set_up("aider", changes, Receipts(tmp_path), None)
    assert path.read_text() == "newer: 1\n"


def test_the_document_of_a_setup(cli: Here, own_place: Home) -> None:
    found = set_up_with(cli, "aider")
    assert found["schema"] == "mcproxy.setup/1"
    assert {"client", "url", "running", "done", "files", "backups", "notes"} < found.keys()
    (row,) = found["files"]
    assert row.keys() == {"path", "exists", "removed", "changed", "diff"}
    undone: Ran = cli("unsetup", "aider", "--yes", "--json")
    assert json.loads(undone.stdout)["schema"] == "mcproxy.unsetup/1"
