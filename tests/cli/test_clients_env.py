"""`mcproxy env`, and what `mcproxy doctor` is told of clients."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import Cli, Home
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.account import Secret
from mcp_proxy.cli.checks.finding import Level
from mcp_proxy.cli.clients import CLIENTS
from mcp_proxy.cli.clients.check import findings
from mcp_proxy.cli.clients.client import Model, Place
from mcp_proxy.cli.clients.shells import SHELLS, shell_of
from mcp_proxy.demo.cloudcode import DemoUpstream

KEY = "it's-a-'key'-of-$HOME"
URL = "http://127.0.0.1:8080"
SONNET = Model("claude-sonnet-4-6", 200_000, 64_000)
FLASH = Model("gemini-3-flash", 1_048_576, 65_536)
LOCAL = Model("qwen3", 32_768, None)


def place(*models: Model, model: Model | None = None) -> Place:
    return Place(URL, Secret(KEY), model, models)


# ------------------------------------------------------------------------------- the variables


def test_claude_code_is_told_one_key_and_no_other() -> None:
    env = CLIENTS["claude-code"].variables(place())
    assert env == {
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_API_KEY": "",
    }


def test_claude_code_compacts_within_the_smallest_window_of_its_classes() -> None:
    env = CLIENTS["claude-code"].variables(place(SONNET, FLASH, LOCAL))
    assert env["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "200000"
    assert "ANTHROPIC_MODEL" not in env, "the server knows the newest model of each class"


def test_claude_code_uses_the_model_that_was_named_for_everything() -> None:
    env = CLIENTS["claude-code"].variables(place(SONNET, LOCAL, model=LOCAL))
    named = {name for name, value in env.items() if value == "qwen3"}
    assert named == {
        "ANTHROPIC_MODEL",
        "ANTHROPIC_DEFAULT_OPUS_MODEL",
        "ANTHROPIC_DEFAULT_SONNET_MODEL",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
        "CLAUDE_CODE_SUBAGENT_MODEL",
    }
    assert env["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "32768"


def test_a_class_is_left_to_claude_code_and_the_server() -> None:
    env = CLIENTS["claude-code"].variables(place(SONNET, model=Model("sonnet", 200_000)))
    assert {name for name, value in env.items() if value == "sonnet"} == {
        "ANTHROPIC_MODEL",
        "CLAUDE_CODE_SUBAGENT_MODEL",
    }


def test_claude_code_gets_a_model_where_none_of_its_classes_is_served() -> None:
    assert CLIENTS["claude-code"].variables(place(LOCAL))["ANTHROPIC_MODEL"] == "qwen3"


def test_claude_code_is_told_of_a_window_of_a_million_by_the_name() -> None:
    env = CLIENTS["claude-code"].variables(place(model=FLASH))
    assert env["ANTHROPIC_MODEL"] == "gemini-3-flash[1m]"
    assert "CLAUDE_CODE_AUTO_COMPACT_WINDOW" not in env


def test_opencode_knows_every_model_with_its_window() -> None:
    (content,) = CLIENTS["opencode"].variables(place(SONNET, LOCAL)).values()
    document = json.loads(content)
    provider = document["provider"]["mcproxy"]
    assert document["model"] == document["small_model"] == "mcproxy/claude-sonnet-4-6"
    assert provider["options"] == {"baseURL": f"{URL}/v1", "apiKey": KEY}
    assert provider["models"]["qwen3"]["limit"]["context"] == 32_768


def test_codex_is_led_by_arguments_and_the_key_is_in_none_of_them() -> None:
    arguments = CLIENTS["codex"].arguments(place(SONNET))
    assert arguments[::2] == ("-c",) * (len(arguments) // 2)
    assert f"model_providers.mcproxy.base_url={URL}/v1" in arguments
    assert "model_context_window=200000" in arguments
    assert KEY not in " ".join(arguments)


def test_an_argument_of_codex_that_would_be_a_number_is_quoted() -> None:
    assert 'model="5"' in CLIENTS["codex"].arguments(place(model=Model("5")))


def test_aider_leaves_the_key_alone_that_a_server_would_take_for_an_account() -> None:
    env = CLIENTS["aider"].variables(place(SONNET))
    assert env["AIDER_MODEL"] == "openai/claude-sonnet-4-6"
    assert "OPENAI_API_KEY" not in env


# ----------------------------------------------------------------------------------- the shells

values = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


def read_back(program: str, lines: list[str], ask: str) -> str:
    script = "\n".join([*lines, ask])
    ran = subprocess.run([program, "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_what_was_meant(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    nasty = "a'b\"c$HOME`id`\\ ;*é#{}!%"
    client = tmp_path / "client"
    client.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    client.chmod(0o700)
    lines = SHELLS[shell].lines({"VALUE": nasty, "BLANK": ""}, "client", ("-c", nasty))
    asked = f'PATH="{tmp_path}:$PATH"; ' if shell != "fish" else f"set -x PATH {tmp_path} $PATH; "
    asked += 'printf "%s|" "$VALUE" "$BLANK"; client own'
    assert read_back(program, lines, asked) == f"{nasty}||-c|{nasty}|own|"


@given(values)
def test_quoting_for_posix_shells_is_undone_by_splitting(value: str) -> None:
    (line,) = SHELLS["bash"].lines({"X": value}, "c", ())
    assert shlex.split(line) == ["export", f"X={value}"]


@given(values)
def test_a_value_never_leaves_its_quotes(value: str) -> None:
    (fish,) = SHELLS["fish"].lines({"X": value}, "c", ())
    inside = fish.removeprefix("set -gx X '").removesuffix("'")
    assert inside.replace("\\\\", "").replace("\\'", "").count("'") == 0
    (pwsh,) = SHELLS["pwsh"].lines({"X": value}, "c", ())
    assert pwsh.removeprefix("$env:X = '").removesuffix("'").replace("''", "") == value.replace(
        "'", ""
    )


def test_the_command_prompt_takes_what_is_between_the_outermost_quotes() -> None:
    assert SHELLS["cmd"].lines({"X": '{"a": 1}', "Y": ""}, "c", ()) == [
        'set "X={"a": 1}"',
        'set "Y="',
    ]


@pytest.mark.parametrize(
    ("shell", "name"),
    [
        ("/bin/zsh", "zsh"),
        ("/usr/bin/fish", "fish"),
        ("/bin/bash-5.2", "bash"),
        ("/bin/sh", "bash"),
    ],
)
def test_the_shell_is_the_user_s(shell: str, name: str) -> None:
    assert shell_of({"SHELL": shell}) == name


# -------------------------------------------------------------------------------------- the verb


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_printed_can_be_evaluated(cli: Cli, unserved: int, client: str) -> None:
    ran = cli("env", client, "--shell", "bash", env={"PROXY_API_KEY": KEY})
    assert ran.code == 0
    there = Place(f"http://127.0.0.1:{unserved}", Secret(KEY), None, ())
    known = CLIENTS[client].variables(there)
    asked = "\n".join(f'printf "%s\\0" "${name}"' for name in known)
    said = read_back("/bin/bash", ran.stdout.splitlines(), asked).split("\0")[:-1]
    assert dict(zip(known, said, strict=True)) == known
    assert "no server runs" in ran.stderr


async def test_the_running_server_is_found_wherever_it_is(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    async with cli.serve() as url:
        ran = await cli.beside("env", "claude-code", "--json", "--model", "sonnet")
        unknown = await cli.beside("env", "claude-code", "--model", "gemini-3-flsh")
    found = json.loads(ran.stdout)
    assert found["schema"] == "mcproxy.env/1"
    assert (found["url"], found["running"], found["notes"]) == (url, True, [])
    assert found["variables"]["ANTHROPIC_MODEL"] == "sonnet"
    assert found["variables"]["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "200000"
    assert unknown.code == 1
    assert "Did you mean gemini-3-flash" in unknown.stderr


async def test_a_server_with_another_key_is_said_to_have_one(cli: Cli, home: Home) -> None:
    home.configure('[server]\napi_keys = ["another-key"]\n')
    async with cli.serve():
        ran = await cli.beside("env", "claude-code", env={"PROXY_API_KEY": KEY})
    assert ran.code == 1
    assert "has another key than these settings. Set PROXY_API_KEY" in ran.stderr
    assert ran.stdout == ""


def test_a_port_that_is_open_is_no_address(cli: Cli, home: Home) -> None:
    home.configure("[server]\nport = 0\n")
    ran = cli("env", "claude-code")
    assert ran.code == 1
    assert "mcproxy serve" in ran.stderr


def test_a_client_by_its_command_or_nearly(cli: Cli, home: Home) -> None:
    assert "ANTHROPIC_BASE_URL" in cli("env", "claude").stdout
    ran = cli("env", "claude-cod")
    assert (ran.code, ran.stdout) == (2, "")
    assert "Did you mean claude-code" in ran.stderr


def test_settings_that_go_before_the_variables_are_named(cli: Cli, home: Home) -> None:
    file = home.root / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"env": {"ANTHROPIC_BASE_URL": "https://elsewhere"}}')
    ran = cli("env", "claude-code")
    assert f"{file} sets ANTHROPIC_BASE_URL, which goes before the variable" in ran.stderr


# ------------------------------------------------------------------------------ for the doctor


def claude_settings(home: Path, **env: str) -> None:
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text(json.dumps({"env": env}))


def told(home: Path, **env: str) -> list[tuple[Level, str]]:
    return [(each.level, each.what) for each in findings(home, env, URL)]


def test_a_client_that_is_not_pointed_here_gives_no_finding(tmp_path: Path) -> None:
    claude_settings(tmp_path, ANTHROPIC_BASE_URL="https://api.example.org")
    assert told(tmp_path) == []


def test_a_client_that_is_pointed_at_the_server_is_fine(tmp_path: Path) -> None:
    claude_settings(tmp_path, ANTHROPIC_BASE_URL="http://localhost:8080")
    assert [level for level, _ in told(tmp_path)] == [Level.OK]


def test_a_client_that_is_pointed_at_another_port_is_told_of(tmp_path: Path) -> None:
    claude_settings(tmp_path, ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    (found,) = findings(tmp_path, {}, URL)
    assert (found.level, found.mend) == (Level.WARNING, "mcproxy setup claude-code")


def test_a_shell_that_says_something_else_than_the_settings_is_told_of(tmp_path: Path) -> None:
    claude_settings(tmp_path, ANTHROPIC_BASE_URL="https://api.example.org")
    first, second = told(tmp_path, ANTHROPIC_BASE_URL=URL)
    assert "uses https://api.example.org" in first[1]
    assert "goes before it" in second[1]


def test_a_file_that_the_client_passes_over_is_told_of(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    file = tmp_path / ".claude" / "settings.json"
    file.write_text(f'{{"env": {{"ANTHROPIC_BASE_URL": "{URL}"}}}} // mine')
    ((level, what),) = told(tmp_path)
    assert level is Level.WARNING
    assert "passes over the whole file" in what
    assert [level for level, _ in told(tmp_path, ANTHROPIC_BASE_URL=URL)] == [
        Level.WARNING,
        Level.OK,
    ]


def test_a_second_key_is_told_of_without_showing_it(tmp_path: Path) -> None:
    claude_settings(tmp_path, ANTHROPIC_BASE_URL=URL)
    found = findings(tmp_path, {"ANTHROPIC_API_KEY": "sk-secret"}, URL)
    assert [each.mend for each in found] == [None, "unset ANTHROPIC_API_KEY"]
    assert "sk-secret" not in str(found)


@pytest.mark.parametrize("client", CLIENTS)
def test_after_a_setup_the_client_is_found_to_use_the_server(
    cli: Cli, home: Home, client: str, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    home.configure("")
    home.paths.accounts.write_text(
        f'[[accounts]]\nid = "local"\nprovider = "openai-compatible"\nmodels = ["m"]\n'
        f'base_url = "http://127.0.0.1:{unused_port}/v1"\n'
    )
    home.paths.accounts.chmod(0o600)
    assert cli("setup", client, "--yes").code == 0
    env = {"XDG_CONFIG_HOME": str(home.root / ".config")}
    assert [each.level for each in findings(home.root, env, URL)] == [Level.OK]
