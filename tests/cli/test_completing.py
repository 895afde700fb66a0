"""Completion: what is offered, and that real shells offer it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Cli, Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.completing import answer, candidates
from mcp_proxy.cli.shells import SHELLS
from mcp_proxy.store.state import StateStore


def offered(*words: str) -> list[str]:
    return [item.value for item in candidates(mcproxy, list(words[:-1]), words[-1])]


@pytest.fixture
def known(home: Home) -> Home:
    """Two accounts, one with a list of models, and settings with names."""
    home.add(
        Account("glm", "zai", Credential(api_key=Secret("k"))),
        Account("work", "gemini", Credential(api_key=Secret("k"))),
    )
    home.configure(
        '[aliases]\nfast = "glm-4.7"\n"gpt-*" = "glm-4.7"\n[[routes.cheap]]\nmodel = "x"'
    )
    with StateStore.open(home.paths.state) as state:
        state.put("models", "work", {"provider": "gemini", "models": ["glm-4.7", "llama3:8b"]})
    return home


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["acc"], ["accounts"]),
        (["accounts", "re"], ["remove"]),
        (["accounts", "add", "--provider", "an"], ["antigravity", "anthropic"]),
        (["accounts", "add", "--provider=anti"], ["antigravity"]),
        (["serve", "--soft"], ["--soft-limit"]),
        (["-v", "serve", "--strategy", "r"], ["round-robin"]),
        (["env", "cl"], ["claude-code"]),
        (["completion", ""], list(SHELLS)),
        (["nonsense", "acc"], ["accounts"]),
    ],
)
def test_verbs_options_and_choices_are_offered(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["limits", ""], ["glm", "work"]),
        (["accounts", "verify", "glm", "w"], ["work"]),
        (["accounts", "remove", "g"], ["glm"]),
        (["route", ""], ["cheap", "fast", "glm-4.7", "llama3:8b"]),
        (["run", "codex", "--model", "ll"], ["llama3:8b"]),
    ],
)
def test_accounts_and_models_are_offered_from_files(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_a_settings_file_that_is_named_is_the_one_that_is_read(known: Home) -> None:
    other = known.root / "other.toml"
    other.write_text('[aliases]\nelsewhere = "x"\n')
    assert offered("--config", str(other), "route", "else") == ["elsewhere"]
    assert offered("route", "--config", str(other), "else") == ["elsewhere"]


@pytest.mark.parametrize("content", ["[[accounts", "accounts = 1", '[[accounts]]\nid = "x"'])
def test_files_with_mistakes_offer_nothing_and_say_nothing(
    home: Home, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    home.paths.accounts.parent.mkdir(parents=True)
    home.paths.accounts.write_text(content)
    assert offered("limits", "") == []
    assert caplog.records == []


def test_a_line_of_the_answer_is_kind_value_and_meaning() -> None:
    assert answer(mcproxy, ["heal"]) == (
        "plain\thealth\tAsk the running server whether it serves.\n"
    )
    assert answer(mcproxy, ["accounts", "add", "--file", ""]) == "file\t\t\n"


# ---------------------------------------------------------------------------------- real shells

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_mcproxy mcproxy
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete --do-complete "$argv[2]"'
ZSH = """
compdef() { :; }
compadd() { :; }
_describe() { print -l -- "${(@P)3}"; }
source "$1"; shift
words=("$@"); CURRENT=$#
_mcproxy
"""


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mcproxy` as shells find it."""
    program = tmp_path / "bin" / "mcproxy"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcp_proxy "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def in_shell(shell: str, script: Path, *words: str) -> list[str]:
    commands = {
        "bash": ["bash", "--norc", "-c", BASH, "-", script, *words],
        "zsh": ["zsh", "-f", "-c", ZSH, "-", script, *words],
        "fish": ["fish", "--no-config", "-c", FISH, script, " ".join(words)],
    }
    ran = subprocess.run(commands[shell], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


@pytest.mark.usefixtures("known", "on_path")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_offers_accounts_and_verbs(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(SHELLS[shell].script, encoding="utf-8")
    found = in_shell(shell, script, "mcproxy", "limits", "")
    assert [line.split("\t")[0] for line in found] == ["glm", "work"]
    (verb,) = in_shell(shell, script, "mcproxy", "acc")
    assert verb.startswith("accounts")


# --------------------------------------------------------------------------- mcproxy completion


def test_the_script_is_printed_as_it_is_committed(cli: Cli) -> None:
    for name, shell in SHELLS.items():
        ran = cli("completion", name)
        assert (ran.code, ran.stdout) == (0, shell.script)


def test_installing_says_where_and_changes_nothing_the_second_time(cli: Cli, home: Home) -> None:
    place = home.root / ".local/share/bash-completion/completions/mcproxy"
    env = {"XDG_DATA_HOME": "relative paths do not count"}
    first = cli("completion", "bash", "--install", env=env)
    assert (first.code, place.read_text()) == (0, SHELLS["bash"].script)
    assert f"{place} is written." in first.stdout
    assert f"{place} is there already." in cli("completion", "bash", "--install", env=env).stdout
    place.write_text("old")
    assert f"{place} is updated." in cli("completion", "bash", "--install", env=env).stdout


def test_every_shell_has_its_place(tmp_path: Path) -> None:
    moved = {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/settings"}
    assert {name: str(shell.place(moved, tmp_path)) for name, shell in SHELLS.items()} == {
        "bash": "/data/bash-completion/completions/mcproxy",
        "zsh": "/data/zsh/site-functions/_mcproxy",
        "fish": "/settings/fish/completions/mcproxy.fish",
    }


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(cli: Cli, home: Home) -> None:
    (home.root / ".config").write_text("in the way")
    ran = cli("completion", "fish", "--install", env={"XDG_CONFIG_HOME": ""})
    assert ran.code == 1
    assert "cannot be written" in ran.stderr
    assert ran.stderr.count("\n") == 1
