"""The program as a whole: exit codes, help, cold start, quiet ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from mcp_proxy import __version__
from mcp_proxy.cli import VERBS as LISTED
from mcp_proxy.cli import mcproxy

if TYPE_CHECKING:
    from harness import Cli, Home

VERBS = ("accounts", "serve", "limits", "models", "demo")


def test_version_and_help(cli: "Cli") -> None:
    assert cli("--version").stdout == f"mcproxy {__version__}\n"
    for flag in ("-h", "--help"):
        ran = cli(flag)
        assert ran.code == 0
        assert all(f"\n  {verb} " in ran.stdout for verb in VERBS)
        assert "Examples:" in ran.stdout


@pytest.mark.parametrize("name", VERBS)
def test_help_of_the_whole_says_what_the_verb_says_itself(name: str) -> None:
    verb = LISTED[name]
    command = mcproxy.get_command(click.Context(mcproxy), name)
    assert command is not None
    assert command.get_short_help_str(limit=100) == verb.summary


@pytest.mark.usefixtures("unserved")
def test_alone_it_says_what_comes_next(cli: "Cli") -> None:
    ran = cli()
    assert ran.code == 0
    assert "Next: mcproxy accounts add" in ran.stdout


WRONG_USAGE = [
    ["nonsense"],
    ["accounts", "nonsense"],
    ["accounts", "list", "--nonsense"],
    ["accounts", "remove"],
    ["accounts", "add", "--provider", "nonsense"],
    ["accounts", "add", "--callback-port", "70000"],
    ["--config"],
]


@pytest.mark.parametrize("arguments", WRONG_USAGE)
def test_wrong_usage_is_exit_code_2_on_stderr(cli: "Cli", arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.stdout) == (2, "")
    assert "Error: " in ran.stderr


@pytest.mark.parametrize(
    "arguments", [["--config", "no.toml", "accounts", "list"], ["accounts", "list", "--config=x"]]
)
def test_a_config_that_is_not_there_is_exit_code_78(cli: "Cli", arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.stdout) == (78, "")
    assert "there is no such file" in ran.stderr


def test_global_options_may_stand_behind_the_verb(cli: "Cli", home: "Home") -> None:
    home.configure("[server]\nport = 0\n")
    ran = cli("accounts", "list", "--json", "-q", "--config", str(home.paths.config))
    assert (ran.code, json.loads(ran.stdout)["accounts"]) == (0, [])


def test_an_error_is_one_line_without_traceback(cli: "Cli") -> None:
    ran = cli("accounts", "enable", "nobody")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("mcproxy: ")
    assert ran.stderr.count("\n") == 1


def test_a_mistake_of_ours_has_a_traceback_only_in_debug_mode() -> None:
    broken = (
        "import sys; from mcp_proxy import cli; from mcp_proxy.cli.context import App\n"
        "App.account_store = lambda self: 1 / 0\n"
        "sys.exit(cli.run(['accounts', 'list']))"
    )
    for debug, traceback in (("", False), ("1", True)):
        env = {**os.environ, "DEBUG": debug}
        command = [sys.executable, "-c", broken]
        ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert ran.returncode == 1
        assert "ZeroDivisionError" in ran.stderr
        assert ("Traceback" in ran.stderr) is traceback


# What no quick verb may wait for; `ssl` and `asyncio` come with almost every network library.
HEAVY = {"aiohttp", "google", "google_auth_oauthlib", "requests", "ssl", "asyncio", "cryptography"}
QUICK = [["--version"], ["--help"], ["accounts", "list"], ["accounts", "list", "--json"], []]


@pytest.mark.parametrize("arguments", QUICK)
@pytest.mark.usefixtures("home")
def test_quick_verbs_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from mcp_proxy.cli import run\n"
        "code = run(sys.argv[1:])\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.usefixtures("home")
def test_a_reader_that_leaves_is_no_reason_to_complain(cli: "Cli") -> None:
    process = subprocess.Popen(
        cli.command("accounts", "list", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 1)


def test_an_interrupt_is_exit_code_130_and_changes_nothing(cli: "Cli", home: "Home") -> None:
    arguments = ("accounts", "add", "--provider", "antigravity", "--accept-risk", "--no-browser")
    env = {**os.environ, "GOOGLE_CLIENT_ID": "a", "GOOGLE_CLIENT_SECRET": "b"}
    process = subprocess.Popen(
        cli.command(*arguments),
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "Paste" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.05)  # from the line to the read that waits for its answer
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert not home.paths.accounts.exists()


def test_a_terminal_that_knows_only_ascii_is_survived(cli: "Cli", home: "Home") -> None:
    home.paths.accounts.parent.mkdir(parents=True, mode=0o700)
    home.paths.accounts.write_text(
        '[[accounts]]\nid = "a"\nprovider = "zai"\napi_key = "k"\nlabel = "Grüße\\u202e"\n'
    )
    ran = cli("accounts", "list", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert ran.code == 0
    assert "Gr??e" in ran.stdout
    assert ran.stdout.isascii()


# --------------------------------------------------------------- streams that are not all there


def through_shell(cli: "Cli", redirections: str, *arguments: str) -> list[str]:
    """The command with its streams as a shell makes them."""
    return ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *cli.command(*arguments)]


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.usefixtures("unserved")
def test_a_verb_ends_well_without_a_stream(cli: "Cli", redirections: str) -> None:
    for arguments in (["limits"], ["accounts", "list", "--json"], ["--help"]):
        command = through_shell(cli, redirections, *arguments)
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@FULL
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("arguments", [*QUICK, ["limits"], ["paths"], ["help", "serve"]])
@pytest.mark.usefixtures("unserved")
def test_an_answer_that_cannot_be_written_is_one_line(
    cli: "Cli", arguments: list[str], buffered: bool
) -> None:
    env = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    command = through_shell(cli, ">/dev/full", *arguments)
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("mcproxy: ")
    assert "No space left on device" in ran.stderr
    assert ran.stderr.count("\n") == 1


@FULL
@pytest.mark.parametrize(
    ("arguments", "code"), [(["accounts", "list"], 0), (["accounts", "enable", "nobody"], 1)]
)
@pytest.mark.usefixtures("home")
def test_a_full_stderr_changes_no_exit_code(cli: "Cli", arguments: list[str], code: int) -> None:
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    command = through_shell(cli, "2>/dev/full", *arguments)
    assert subprocess.run(command, capture_output=True, env=env, check=False).returncode == code


@pytest.mark.parametrize(
    "redirections", ["<&-", ">&-", "2>&-", pytest.param("2>/dev/full", marks=FULL)]
)
@pytest.mark.parametrize("flags", [[], ["--workers", "2"], ["--log-format", "json"]])
def test_a_server_serves_and_ends_well_without_a_stream(
    cli: "Cli", unserved: int, redirections: str, flags: list[str]
) -> None:
    process = subprocess.Popen(
        through_shell(cli, redirections, "serve", *flags),
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        ends_at = time.monotonic() + 20
        while cli("health").code != 0:
            assert process.poll() is None
            assert time.monotonic() < ends_at
    finally:
        process.terminate()
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (0, b"")
    assert b"Traceback" not in stderr
