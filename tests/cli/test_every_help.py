"""What is true of the help of every command, and of every word that is mistyped.

The tree of commands is walked, so that a new command is held to the same without being named here.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from harness import Cli, Home

import mcp_proxy.cli as cli_package
from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import VERBS, mcproxy, run
from mcp_proxy.cli.manual.verbs import Command, commands
from mcp_proxy.spelling import alike, did_you_mean

COMMANDS = {command.context.command_path: command for command in commands(mcproxy)}
GROUPS = {path: each for path, each in COMMANDS.items() if isinstance(each.click, click.Group)}

COLUMNS = 80
EXAMPLE = re.compile(r"\bmcproxy(?: (?P<words>(?:(?!\d?[|<>)]).)*))?")
"""A call of ours in a line for a shell, up to a pipe, a redirection or the end of a `$( )`."""


def examples(command: Command) -> Iterator[str]:
    """The lines below `Examples:` in its help."""
    _, _, below = (command.click.epilog or "").partition("Examples:\n")
    yield from (line.strip() for line in below.splitlines() if line.strip())


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.usefixtures("home")
def test_every_command_has_help(
    path: str, flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert run([*path.split()[1:], flag]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"Usage: {path} ")
    assert "Examples:" in said.out
    assert "..." not in said.out.partition("Commands:")[2].partition("Examples:")[0]
    options = said.out.partition("Options:\n")[2].partition("\n\n")[0]
    assert max(map(len, options.splitlines())) <= COLUMNS


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_shows_two_examples_of_itself(path: str) -> None:
    shown = [each for each in examples(COMMANDS[path]) if is_call_of(path, each)]
    assert len(shown) >= 2, f"{path} shows {shown}"


def is_call_of(path: str, example: str) -> bool:
    """Whether the example runs this command, or one below it."""
    return any(found.startswith(path) for found in called(example))


def called(example: str) -> Iterator[str]:
    """The commands that an example runs."""
    for match in EXAMPLE.finditer(example):
        context = parsed(shlex.split(match["words"] or ""))
        yield context.command_path


def parsed(words: list[str]) -> click.Context:
    """The innermost context of the words. UsageError for what the program would refuse."""
    context = mcproxy.make_context("mcproxy", words)
    while isinstance(group := context.command, click.Group):
        # There is no public name for the words of the command below.
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize(
    "example", sorted({line for command in COMMANDS.values() for line in examples(command)})
)
def test_every_example_is_right(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(called(example)), f"{example} runs nothing of ours"


def test_an_example_with_a_mistake_would_be_found() -> None:
    for wrong in ("mcproxy serve --prot 1", "mcproxy acounts list", "mcproxy env codex --shell x"):
        with pytest.raises(click.UsageError):
            list(called(wrong))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_is_for(path: str) -> None:
    command = COMMANDS[path]
    options = [each for each in command.click.get_params(command.context) if each.name]
    silent = [each.opts for each in options if isinstance(each, click.Option) and not each.help]
    hidden = [each.opts for each in options if isinstance(each, click.Option) and each.hidden]
    assert (silent, hidden) == ([], [])


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "mcproxy"])
def test_what_a_command_does_is_one_line_in_the_list(path: str) -> None:
    command = COMMANDS[path]
    assert command.context.parent is not None
    beside = COMMANDS[command.context.parent.command_path].children
    margins = 6
    room = COLUMNS - margins - max(len(each.context.info_name or "") for each in beside)
    shown = VERBS[path.split()[1]].summary if path.count(" ") == 1 else short_help(command)
    assert len(shown) <= room, f"{len(shown) - room} characters too long: {shown}"


def short_help(command: Command) -> str:
    return command.click.get_short_help_str(limit=200)


@pytest.mark.parametrize("name", VERBS)
def test_the_list_of_verbs_says_how_the_help_of_each_begins(name: str) -> None:
    command = COMMANDS[f"mcproxy {name}"]
    assert short_help(command).startswith(VERBS[name].summary.rstrip("."))
    assert VERBS[name].is_group is isinstance(command.click, click.Group)


# ----------------------------------------------------------------------------- mistyped words


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.usefixtures("home")
def test_a_mistyped_option_is_told_the_right_one(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path.split()[1:], "--hepl"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "There is no option --hepl. Did you mean --help" in said.err


@pytest.mark.parametrize("path", GROUPS)
@pytest.mark.usefixtures("home")
def test_a_mistyped_command_is_told_the_right_one(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    group = GROUPS[path]
    for right in (each.context.info_name for each in group.children):
        assert right is not None
        wrong = f"{right}x"
        assert run([*path.split()[1:], wrong]) == 2
        hint = capsys.readouterr().err.partition(f"There is no command '{wrong}'. Did you mean")[2]
        assert right in hint


MISTYPED = {
    "a verb of a group": (["add"], "Did you mean accounts add?", 2),
    "two verbs alike": (["serv"], "Did you mean serve or service?", 2),
    "a provider": (["accounts", "add", "--provider", "Antigravty"], "mean antigravity?", 2),
    "a source": (["accounts", "add", "--from", "codx"], "Did you mean codex", 2),
    "an account to remove": (["accounts", "remove", "wrok", "--yes"], "Did you mean work?", 1),
    "an account to enable": (["accounts", "enable", "WORK"], "Did you mean work?", 1),
    "an account to disable": (["accounts", "disable", "wor"], "Did you mean work?", 1),
    "an account to verify": (["accounts", "verify", "wrok"], "Did you mean work?", 1),
    "an account with limits": (["limits", "wrok"], "Did you mean work?", 1),
    "a model": (["route", "glm-46"], "Did you mean glm-4", 1),
    "a client to run": (["run", "claud-code"], "Did you mean claude-code", 2),
    "a client to set up": (["setup", "codxe", "--dry-run"], "Did you mean codex?", 2),
    "a client to take back": (["unsetup", "ader", "--dry-run"], "Did you mean aider?", 2),
    "a client's variables": (["env", "opncode"], "Did you mean opencode", 2),
    "a topic": (["help", "acounts", "add"], "Did you mean mcproxy help accounts-add?", 2),
    "a file": (["help", "config.tml"], "Did you mean mcproxy help config.toml?", 2),
    "a shell to complete in": (["completion", "fsh"], "Did you mean fish", 2),
    "a shell to print for": (["env", "codex", "--shell", "zhs"], "Did you mean zsh", 2),
    "a strategy": (["serve", "--strategy", "round"], "Did you mean round-robin?", 2),
}


@pytest.mark.parametrize("what", MISTYPED)
@pytest.mark.usefixtures("unserved")
def test_a_mistyped_word_is_told_the_right_one(
    what: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, hint, code = MISTYPED[what]
    home.add(Account("work", "zai", Credential(api_key=Secret("a-key"))))
    assert run(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert hint in said.err


@pytest.mark.usefixtures("home")
def test_nothing_is_suggested_for_what_is_like_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["xylophone"]) == 2
    assert capsys.readouterr().err.endswith("Error: There is no command 'xylophone'.\n")


def test_the_likest_come_first_and_beginnings_count() -> None:
    known = ["serve", "service", "env", "explain", "Claude-Sonnet"]
    assert alike("serv", known) == ("serve", "service")
    assert alike("expl", known)[0] == "explain"
    assert alike("claude-sonet", known) == ("Claude-Sonnet",)
    assert alike("", known) == ()
    assert len(alike("x" * 100_000, known, cutoff=0.0)) == 3
    assert did_you_mean("serv", known) == " Did you mean serve or service?"
    assert did_you_mean("xylophone", known) == ""


# ------------------------------------------------------------------- nobody there to be asked

PROMPTS = {
    "which provider": (["accounts", "add"], "--provider"),
    "the key": (["accounts", "add", "--provider", "zai"], "--api-key"),
    "the terms of use": (["accounts", "add", "--provider", "antigravity"], "--accept-risk"),
    "the terms of use, imported": (["accounts", "add", "--from", "codex"], "--accept-risk"),
    "the page that was reached": (
        ["accounts", "add", "--provider", "antigravity", "--accept-risk", "--no-browser"],
        "--no-browser",
    ),
    "whether to remove": (["accounts", "remove", "work"], "--yes"),
    "whether to install": (["service", "install"], "--yes"),
    "whether to uninstall": (["service", "uninstall"], "--yes"),
    "whether to set up": (["setup", "codex"], "--yes"),
    "whether to take back": (["unsetup", "codex"], "--yes"),
}
"""What somebody at a terminal would be asked; the flag that answers it. Whether another person may
sign in to an account is asked, too: test_accounts_signing_in.py."""


@pytest.mark.parametrize("what", PROMPTS)
def test_without_a_terminal_nobody_is_asked_and_nothing_is_changed(
    what: str, cli: Cli, home: Home
) -> None:
    arguments, flag = PROMPTS[what]
    home.add(Account("work", "zai", Credential(api_key=Secret("a-key"))))
    before = contents(home.root)
    client = {"GOOGLE_CLIENT_ID": "a", "GOOGLE_CLIENT_SECRET": "b"}
    ran = cli(*arguments, env=client)
    assert (ran.code, ran.stdout) == (2, "")
    assert flag in ran.stderr
    assert contents(home.root) == before


def contents(root: Path) -> dict[str, bytes]:
    """Everything of a person's that a verb could have changed; not what it remembers itself."""
    files = (file for file in root.rglob("*") if file.is_file() and ".local/state" not in str(file))
    return {str(file): file.read_bytes() for file in files}


def test_every_question_of_the_code_is_known_here() -> None:
    """A new prompt needs a flag that answers it, and a line in PROMPTS."""
    asking = re.compile(r"click\.(?:confirm|prompt)\(|stdin\.readline\(|\binput\(|getpass\.getpass")
    folder = Path(cli_package.__file__).parent
    places = {
        path.relative_to(folder).as_posix(): len(asking.findall(path.read_text(encoding="utf-8")))
        for path in folder.rglob("*.py")
    }
    assert {name: count for name, count in places.items() if count} == {
        "account_add.py": 1,  # the terms of use
        "account_keeping.py": 1,  # whether another person may sign in
        "account_sign_in.py": 1,  # the key
        "account_wish.py": 2,  # which provider; a secret on stdin, which a flag asks for
        "accounts.py": 1,  # whether to remove
        "service.py": 1,  # whether to install or uninstall
        "setup_client.py": 1,  # whether to set up or take back
        "sign_in_page.py": 1,  # the page that was reached
    }


# -------------------------------------------------------------------------------- quiet ends


LONG_ANSWERS = [["--help"], ["help", "accounts", "add"], ["config", "show"], ["paths"], []]


@pytest.mark.parametrize("arguments", LONG_ANSWERS, ids=" ".join)
@pytest.mark.usefixtures("home")
def test_a_reader_that_leaves_hears_no_complaint(arguments: list[str], cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            cli.command(*arguments), stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, b"")


@pytest.mark.usefixtures("home")
def test_an_error_that_nobody_reads_is_an_error_all_the_same(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(cli.command("serv"), stdout=writing, stderr=writing, check=False)
    finally:
        os.close(writing)
    assert ran.returncode == 1


BROKEN = (
    "import sys; from mcp_proxy import cli; from mcp_proxy.cli.context import App\n"
    "App.account_store = lambda self: 1 / 0\n"
    "sys.exit(cli.run(sys.argv[1:]))"
)


@pytest.mark.parametrize(("flags", "debug"), [([], ""), (["-vv"], ""), ([], "1"), (["-vv"], "1")])
@pytest.mark.usefixtures("home")
def test_a_mistake_of_ours_is_one_line_and_where_to_look(flags: list[str], debug: str) -> None:
    command = [sys.executable, "-c", BROKEN, "accounts", "list", *flags]
    env = {**os.environ, "DEBUG": debug}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    *above, line = ran.stderr.splitlines()
    assert line.startswith("mcproxy: ZeroDivisionError: ")
    assert "DEBUG=1" in line
    assert bool(above) is bool(debug)
    assert ("Traceback" in ran.stderr) is bool(debug)


@pytest.mark.usefixtures("home")
def test_what_a_person_can_mend_has_no_traceback_however_much_is_said(cli: Cli) -> None:
    ran = cli("-vv", "accounts", "enable", "nobody")
    assert (ran.code, ran.stderr.count("\n")) == (1, 1)
