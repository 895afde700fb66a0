"""Completion: what is offered, and that real shells offer it."""

import fcntl
import os
import pty
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from harness import Cli, Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.completing import answer, candidates
from mcp_proxy.cli.shells import SHELLS
from mcp_proxy.store.settings import SETTINGS
from mcp_proxy.store.state import StateStore


def offered(*words: str) -> list[str]:
    return [item.value for item in candidates(mcproxy, list(words[:-1]), words[-1])]


@pytest.fixture
def known(home: Home) -> Home:
    """Two accounts, one with a list of models, and settings with names."""
    home.add(
        Account("glm", "zai", Credential(api_key=Secret("k"))),
        Account("old", "zai", Credential(api_key=Secret("k")), enabled=False),
        Account("work", "gemini", Credential(api_key=Secret("k")), label="me@example.org"),
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
        (["help", "acc"], ["accounts", "accounts.toml"]),
        (["help", "accounts", "e"], ["enable"]),
        (["help", "serve", ""], []),
        (["nonsense", "acc"], ["accounts"]),
    ],
)
def test_verbs_options_and_choices_are_offered(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["limits", ""], ["glm", "old", "work"]),
        (["accounts", "verify", "glm", "w"], ["work"]),
        (["accounts", "remove", "g"], ["glm"]),
        (["limits", "glm", ""], ["old", "work"]),
        (["limits", "--watch", ""], ["glm", "old", "work"]),
        (["route", "l"], ["llama3:8b"]),
        (["run", "codex", "--model", "ll"], ["llama3:8b"]),
        (["route", "glm-4.6"], ["glm-4.6"]),
        (["route", "f"], ["fast"]),
        (["route", "chea"], ["cheap"]),
        (["route", "gpt"], []),
    ],
)
def test_accounts_and_models_are_offered_from_files(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_what_is_offered_is_explained(known: Home) -> None:
    lines = answer(mcproxy, ["limits", ""]) + answer(mcproxy, ["route", ""])
    assert {
        "plain\told\tzai, disabled",
        "plain\twork\tgemini, me@example.org",
        "plain\tllama3:8b\tgemini",
        "plain\tfast\tan alias",
        "plain\tcheap\ta route",
    } <= set(lines.splitlines())


def test_a_class_is_offered_when_some_account_serves_it(home: Home) -> None:
    home.add(Account("own", "openai-compatible", base_url="http://127.0.0.1:9", models=("m",)))
    assert offered("route", "") == ["m"]
    home.add(Account("key", "gemini", Credential(api_key=Secret("k"))))
    assert {"haiku", "m"} <= set(offered("route", ""))
    assert "opus" not in offered("route", "")


def test_words_for_a_client_are_files() -> None:
    assert answer(mcproxy, ["run", "codex", "--", "fi"]) == "file\tfi\t\n"


def test_every_word_that_can_be_known_is_offered() -> None:
    """Whoever adds a parameter decides here whether something can be offered for it."""
    free = {
        *("api_key", "base_url", "headers", "location", "project", "refresh_token"),
        *("arguments", "callback_port", "last", "lines", "request_id", "url"),
        *(setting.flag for setting in SETTINGS),
    }
    known = {
        parameter.name
        for command in _commands(mcproxy)
        for parameter in command.params
        if not getattr(parameter, "is_flag", False) and not getattr(parameter, "count", False)
        if not isinstance(parameter.type, click.Choice | click.Path)
    }
    assert known - free == {"id", "ids", "model", "models", "topic", "watch"}


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found)


def test_a_settings_file_that_is_named_is_the_one_that_is_read(known: Home) -> None:
    other = known.root / "other.toml"
    other.write_text('[aliases]\nelsewhere = "x"\n')
    assert offered("--config", str(other), "route", "else") == ["elsewhere"]
    assert offered("route", "--config", str(other), "else") == ["elsewhere"]


@pytest.mark.parametrize("content", ["[[accounts", "accounts = 1", '[[accounts]]\nid = "x"'])
def test_files_with_mistakes_offer_nothing_and_say_nothing(home: Home, content: str) -> None:
    home.paths.accounts.parent.mkdir(parents=True)
    home.paths.accounts.write_text(content)
    assert offered("limits", "") == []
    assert offered("route", "") == []


def test_a_line_of_the_answer_is_kind_value_and_meaning() -> None:
    assert answer(mcproxy, ["heal"]) == (
        "plain\thealth\tAsk the running server whether it serves.\n"
    )
    assert answer(mcproxy, ["accounts", "add", "--file", ""]) == "file\t\t\n"


# ---------------------------------------------------------------------------------- real shells

TERMINALS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "-i"],
}

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
"""What finds installed scripts; without it people source them, as the hint says."""

ONCE_INSTALLED = {
    "bash": f"source {BASH_COMPLETION if BASH_COMPLETION.exists() else 'INSTALLED'}",
    "zsh": "fpath=(${INSTALLED:h} $fpath); autoload -Uz compinit && compinit -u -D",
    "fish": "function fish_prompt; end",
}
"""What is in the start-up file of somebody who has installed the script."""

TYPED = {
    "acco\t re\t wo\t": "<accounts><remove><work>",
    "accounts add --provider=anti\t": "<accounts><add><--provider=antigravity>",
    "route llama3:\t": "<route><llama3:8b>",
    "run codex --model=llama3:\t": "<run><codex><--model=llama3:8b>",
    "accounts add --file my\t": "<accounts><add><--file><my key.json>",
    "accounts add --file=my\t": "<accounts><add><--file=my key.json>",
    "--config 'my key.json' health --js\t": "<--config><my key.json><health><--json>",
    "run codex -- exec my\t": "<run><codex><--><exec><my key.json>",
}
"""What somebody types, with a tab where something is to be completed -> what mcproxy is given."""

PROGRAM = f"""\
#!/bin/sh
[ -n "$_MCPROXY_COMPLETE" ] && exec "{sys.executable}" -m mcp_proxy "$@"
printf '<%s>' "$@" >>"$HOME/words"
echo >>"$HOME/words"
"""
"""`mcproxy` as shells find it; run for itself, it leaves the words that it was given."""


@pytest.fixture
def installed(cli: Cli, known: Home, shell: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The script is where `--install` puts it, and the program on the path."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = known.root / "bin" / "mcproxy"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TERM", "dumb")
    assert cli("completion", shell, "--install").code == 0
    return known


def typed(home: Home, shell: str, lines: Iterable[str]) -> None:
    """Somebody sits at a terminal and types that."""
    place = SHELLS[shell].place(os.environ, home.root)
    begin = ONCE_INSTALLED[shell].replace("${INSTALLED:h}", str(place.parent))
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        TERMINALS[shell],
        cwd=home.root,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=_take_terminal,
    ) as running:
        os.close(terminal)
        listener = threading.Thread(target=_drained, args=(keyboard,))
        listener.start()
        for each in (begin.replace("INSTALLED", str(place)), *lines, "exit"):
            os.write(keyboard, f"{each}\n".encode())
        running.wait(60)
        listener.join(5)
    os.close(keyboard)


def _take_terminal() -> None:
    """In the new session, whose terminal it is to be: fish does not start without one."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _drained(keyboard: int) -> None:
    """A shell whose terminal nobody reads stops. EIO: the last of its processes is gone."""
    with suppress(OSError):
        while os.read(keyboard, 4096):
            pass


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes_what_is_typed(installed: Home, shell: str) -> None:
    (installed.root / "my key.json").write_text("{}")
    typed(installed, shell, (f"mcproxy {line}" for line in TYPED))
    given = (installed.root / "words").read_text().splitlines()
    assert dict(zip(TYPED, given, strict=False)) == TYPED


@pytest.mark.parametrize("shell", ["fish"])
def test_a_shell_that_shows_meanings_is_told_them(installed: Home, shell: str) -> None:
    command = [shell, "-c", "complete --do-complete 'mcproxy limits '"]
    shown = subprocess.run(command, cwd=installed.root, capture_output=True, text=True, check=True)
    assert shown.stdout == "glm\tzai\nold\tzai, disabled\nwork\tgemini, me@example.org\n"


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
    moved["BASH_COMPLETION_USER_DIR"] = "/own"
    assert str(SHELLS["bash"].place(moved, tmp_path)) == "/own/completions/mcproxy"


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(cli: Cli, home: Home) -> None:
    (home.root / ".config").write_text("in the way")
    ran = cli("completion", "fish", "--install", env={"XDG_CONFIG_HOME": ""})
    assert ran.code == 1
    assert "cannot be written" in ran.stderr
    assert ran.stderr.count("\n") == 1
