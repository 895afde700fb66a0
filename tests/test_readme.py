"""The README, word for word where words can be run: commands, samples, settings, endpoints."""

import asyncio
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import click
import pytest
from harness import Cli, Home

from mcp_proxy.cli import mcproxy
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS
from mcp_proxy.policy.standing import State
from mcp_proxy.server.app import PREFIXES, ROUTES
from mcp_proxy.store.settings import SETTINGS, load_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The contents of the fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


LINES = [line for block in blocks("sh") for line in block.splitlines()]
PIP = [line for line in LINES if line.startswith("pip ")]
EXPORTS = [line for line in LINES if line.startswith("export ")]
MCPROXY = [line for line in LINES if line.startswith("mcproxy ")]
CLAUDE = "claude"


def test_every_line_of_a_shell_block_is_of_a_kind_that_is_tested() -> None:
    assert sorted(LINES) == sorted([*PIP, *EXPORTS, *MCPROXY, CLAUDE])


# ------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize("line", PIP)
def test_the_two_commands_are_run_in_a_fresh_environment_by_ci(line: str) -> None:
    assert f'step "{line}"\n' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_distribution_of_a_stranger_is_never_installed() -> None:
    assert not re.search(r"(pip|pipx|uv tool) install (mcproxy|mcp-proxy)\b", README)


@pytest.mark.parametrize("line", MCPROXY)
def test_a_command_is_one_that_exists(line: str) -> None:
    command: click.Command = mcproxy
    words = shlex.split(line)[1:]
    context = click.Context(mcproxy)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words)


SIGN_IN = """
import sys, urllib.request
urllib.request.urlopen(sys.argv[1])
"""


@pytest.fixture
def browser(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser in which the user agrees to everything."""
    script = home.root / "browser.py"
    script.write_text(SIGN_IN)
    monkeypatch.setenv("BROWSER", f"{sys.executable} {script} %s &")


@pytest.mark.usefixtures("browser")
async def test_the_commands_work_one_after_the_other(
    cli: Cli, home: Home, upstream: DemoUpstream
) -> None:
    home.sign_in(upstream)
    for line in MCPROXY:
        words = shlex.split(line)[1:]
        if words[0] == "serve":
            async with cli.serve(*words[1:]) as url:
                assert url.startswith("http://127.0.0.1:")
            continue
        # Without a terminal the notice about risks cannot be answered, only passed over.
        agreed = ["--accept-risk"] if words[:2] == ["accounts", "add"] else []
        ran = await cli.beside(*words, *agreed)
        assert ran.code == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        assert ran.stdout, line


# ------------------------------------------------------------------------------------- clients


async def test_the_variables_for_claude_code_lead_to_answers(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in EXPORTS:
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    async with cli.serve("--demo") as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", on(url, os.environ["ANTHROPIC_BASE_URL"]))
        async with anthropic.AsyncAnthropic() as client:
            for name in [name for name in os.environ if re.match(r"ANTHROPIC_.*MODEL$", name)]:
                answer = await client.messages.create(
                    model=os.environ[name],
                    max_tokens=200,
                    messages=[{"role": "user", "content": "Say hello."}],
                )
                assert [part.text for part in answer.content if part.type == "text"] != [], name


async def test_the_python_sample_prints_an_answer(cli: Cli, home: Home) -> None:
    (sample,) = blocks("python")
    async with cli.serve("--demo") as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", on(url, sample), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0
    assert printed.strip()


def on(url: str, text: str) -> str:
    """The text with the README's port replaced by the one that the test got."""
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", urlsplit(url).netloc)


# ------------------------------------------------------------------------------- configuration


SHOWN_BY_EXAMPLE = {"server.api_keys", "server.cors_allow_origin"}
"""Settings whose default says nothing; every other one is shown with its default."""


def test_config_toml_is_complete_and_shows_the_defaults(home: Home) -> None:
    (sample,) = blocks("toml")
    home.configure(sample)
    settings = load_settings(home.paths, {}, {})
    assert settings.warnings == ()
    shown = dict(leaves(tomllib.loads(sample)))
    assert [row.path for row in SETTINGS if row.path not in shown] == []
    differing = {r.path for r in SETTINGS if r.kind.check(shown[r.path]) != r.default}
    assert differing == SHOWN_BY_EXAMPLE


def leaves(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def settings_table() -> str:
    """What the README says between its two markers."""
    rows = ["| config.toml | variable | flag | default | |", "|---|---|---|---|---|"]
    for row in SETTINGS:
        if not row.env and not row.flag:
            continue
        cells = (
            f"`{row.path}`",
            f"`{row.env}`" if row.env else "",
            f"`--{row.flag.replace('_', '-')}`" if row.flag else "",
            in_toml(row.default),
            row.help,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def in_toml(value: object) -> str:
    if value in ((), None):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_of_settings_is_that_of_the_program() -> None:
    shown = README.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert shown == settings_table(), f"README.md must have:\n{settings_table()}"


# ----------------------------------------------------------------------------------- endpoints


PROBES = {"/", "/api/event_logging/"}
"""Answered so that Claude Code goes on; of no use to people."""


def test_the_endpoints_are_those_of_the_server() -> None:
    named = re.findall(r"`(GET|POST) (/[^`?{]*)", README)
    served = {
        (method, path)
        for path, methods in {**ROUTES, **PREFIXES}.items()
        for method in methods
        if path not in PROBES and method != "HEAD"
    }
    assert set(named) == served


def test_the_fallback_that_is_given_as_an_example_is_one() -> None:
    ((stand_in, asked_for),) = re.findall(r"for example `(\S+)` for\s+`(\S+)`", README)
    assert stand_in in DEFAULT_FALLBACKS[asked_for]


def test_every_state_is_explained() -> None:
    explained = re.findall(r"^\| ([a-z-]+) \| ", README.partition("| state |")[2], re.MULTILINE)
    assert set(State) <= set(explained)
