"""The README, word for word where words can be run: commands, samples, settings, endpoints."""

import asyncio
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anthropic
import click
import pytest
from harness import Cli, Home

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.account_sources import SOURCES
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS
from mcp_proxy.policy.standing import State
from mcp_proxy.providers import KNOWN_PROVIDERS, provider
from mcp_proxy.server.app import METRICS, PREFIXES, ROUTES
from mcp_proxy.store.environment import VARIABLES
from mcp_proxy.store.settings import SETTINGS, load_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The contents of the fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    """What is between the two markers of that name."""
    inside = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README, re.DOTALL)
    assert inside is not None, name
    return inside[1]


def rows_of(name: str) -> list[list[str]]:
    """The cells of a marked table, without its head."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(name).splitlines()[2:]
    ]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


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


ADDING = [quoted(row[1])[0] for row in rows_of("providers")]
PROSE = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
PASSING = sorted(
    {
        each.replace("CLIENT", "claude-code")
        for each in quoted(PROSE)
        if each.startswith("mcproxy ") and not each.endswith(("--help", "--from"))
    }
)
"""Commands in the text."""


@pytest.mark.parametrize("line", [*MCPROXY, *ADDING, *PASSING])
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


@pytest.mark.parametrize("sample", blocks("python"), ids=lambda text: text.split()[1])
async def test_a_python_sample_prints_an_answer(cli: Cli, home: Home, sample: str) -> None:
    for module in re.findall(r"^from (\S+) import", sample, re.MULTILINE):
        pytest.importorskip(module)
    async with cli.serve("--demo") as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", on(url, sample), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0
    assert len(printed.split(b"\n")) > sample.count("print(")


ASKING = {
    "Anthropic Messages": ("/v1/messages", {"max_tokens": 99}),
    "OpenAI Chat Completions": ("/chat/completions", {}),
    "OpenAI Responses": ("/responses", {"input": "say hi"}),
    "OpenAI Images": ("/images/generations", {"model": "gemini-3-pro-image", "prompt": "a fox"}),
    "Gemini": ("/v1beta/models/gemini-3-flash:generateContent", {}),
}
"""API -> what its clients append to the base URL, and what they send beside the messages."""

SAID = {
    "model": "gemini-3-flash",
    "messages": [{"role": "user", "content": "say hi"}],
    "contents": [{"parts": [{"text": "say hi"}]}],
}


async def test_each_base_url_leads_to_its_api(cli: Cli) -> None:
    bases = {}
    for apis, base in rows_of("bases"):
        maker, _, first = apis.partition(", ")[0].partition(" ")
        others = apis.split(", ")[1:]
        names = [f"{maker} {name}".strip() for name in (first, *others)]
        bases.update(dict.fromkeys(names, quoted(base)[0]))
    assert {*bases} == {*ASKING}
    async with cli.serve("--demo") as url, aiohttp.ClientSession() as http:
        for api, (path, fields) in ASKING.items():
            body = {**SAID, **fields}
            async with http.post(on(url, bases[api]) + path, json=body) as response:
                assert response.status == 200, (api, await response.text())


CLIENT_URLS = [url for _, how in rows_of("clients") for url in re.findall(r"http://[^\s`\"]+", how)]
VARIABLES_OF = {
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:8080",
    "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:8080",
    "OPENAI_API_BASE": "http://127.0.0.1:8080/v1",
}


def test_clients_are_given_addresses_that_are_served() -> None:
    served = {quoted(base)[0] for _, base in rows_of("bases")}
    # Vercel's providers append the rest of each API's path to these.
    assert {*CLIENT_URLS} == served | {"http://127.0.0.1:8080/v1beta"}
    given = dict(re.findall(r"(\w+_(?:BASE_URL|API_BASE))=(\S+)", section("clients")))
    assert given == VARIABLES_OF


def test_every_section_that_the_clients_are_sent_to_exists() -> None:
    titles = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    assert {*re.findall(r"\]\(#([\w-]+)\)", README)} <= anchors


async def test_every_model_that_a_client_is_told_to_ask_for_is_served(cli: Cli) -> None:
    (opencode,) = blocks("json")
    (llm,) = blocks("yaml")
    models = json.loads(opencode)["provider"]["mcproxy"]["models"]
    asked = {*models, *re.findall(r"model_name: (\S+)", llm)}
    asked |= {
        *re.findall(r"(?:-m|--model|model) (?:mcproxy/|openai/|`)?((?:claude|gem)[\w.-]+)", README)
    }
    asked |= {*re.findall(r'model="([^"]+)"', README)}
    assert len(asked) > 2
    async with cli.serve("--demo") as url, aiohttp.ClientSession() as http:
        for model in asked:
            async with http.get(f"{url}/v1/models/{model}") as response:
                assert response.status == 200, model


def test_configurations_of_clients_are_whole() -> None:
    (opencode,) = blocks("json")
    (llm,) = blocks("yaml")
    options = json.loads(opencode)["provider"]["mcproxy"]["options"]
    codex = tomllib.loads(CODEX)
    provider = codex["model_providers"][codex["model_provider"]]
    assert provider["wire_api"] == "responses"
    assert f"{provider['env_key']}=mcproxy codex" in section("clients")
    addresses = {options["baseURL"], provider["base_url"], *re.findall(r"api_base: (\S+)", llm)}
    assert addresses == {VARIABLES_OF["OPENAI_API_BASE"]}


def on(url: str, text: str) -> str:
    """The text with the README's port replaced by the one that the test got."""
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", urlsplit(url).netloc)


# ------------------------------------------------------------------------------- configuration


CODEX, CONFIG = blocks("toml")

SHOWN_BY_EXAMPLE = {"server.api_keys", "server.cors_allow_origin"}
"""Settings whose default says nothing; every other one is shown with its default."""


def test_config_toml_is_complete_and_shows_the_defaults(home: Home) -> None:
    home.configure(CONFIG)
    settings = load_settings(home.paths, {}, {})
    assert settings.warnings == ()
    shown = dict(leaves(tomllib.loads(CONFIG)))
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
    assert section("settings") == settings_table(), f"README.md must have:\n{settings_table()}"


def test_every_variable_that_makes_an_account_is_explained() -> None:
    assert {name for row in rows_of("environment") for name in quoted(row[0])} == {*VARIABLES}


# ----------------------------------------------------------------------------------- providers


def test_every_provider_is_shown_and_its_risk_told() -> None:
    shown = {
        line.split()[4]: row[4] for line, row in zip(ADDING, rows_of("providers"), strict=True)
    }
    risks = {name: "**risk**" if provider(name).risk else "" for name in KNOWN_PROVIDERS}
    assert shown == risks
    told = README.partition("## Risks")[2].partition("## Development")[0]
    assert told.count("\n| ") == len([name for name in risks if risks[name]]) + 1


def test_every_source_of_logins_is_shown() -> None:
    assert {name for row in rows_of("imports") for name in quoted(row[0])} == {*SOURCES}


KEYED = [line for line in ADDING if "--api-key -" in line or "openai-compatible" in line]


async def test_accounts_with_keys_are_added_as_shown(cli: Cli, home: Home) -> None:
    async with DemoPlaces() as places:
        config = [
            f'[providers.{name}]\nbase_url = "{settings.base_urls[0]}"'
            for name, settings in places.settings().items()
            if name != "openai-compatible"
        ]
        home.configure("\n".join(config))
        local = places.settings()["openai-compatible"].base_urls[0]
        for line in KEYED:
            words = shlex.split(line.replace("http://127.0.0.1:11434/v1", local))[1:]
            key = places.account(words[3]).credential.api_key
            assert key is not None
            ran = await cli.beside(*words, "--accept-risk", stdin=key.value)
            assert ran.code == 0, f"{line}\n{ran.stdout}{ran.stderr}"
    listed = cli("accounts", "list", "--json").stdout
    assert len(json.loads(listed)["accounts"]) == len(KEYED) == 5


# ----------------------------------------------------------------------------------- endpoints


PROBES = {"/", "/api/event_logging/", "/v1/responses/"}
"""Answered so that clients go on; of no use to people."""

OTHER_SPELLINGS = re.compile(r"/v1(alpha|beta1)/.*|.*/(publishers|projects)/")
"""Of the paths of Gemini's API."""


def test_the_endpoints_are_those_of_the_server() -> None:
    named = re.findall(r"`(GET|POST) (/[^`?{]*)", section("endpoints"))
    served = {
        (method, path)
        for path, methods in {**ROUTES, **PREFIXES}.items()
        for method in methods
        if path not in PROBES and method != "HEAD" and not OTHER_SPELLINGS.fullmatch(path)
    }
    # A WebSocket is refused there, and Gemini's actions are under /v1, too.
    served.add(("GET", METRICS))
    assert set(named) == served - {("GET", "/v1/responses"), ("POST", "/v1/models/")}


def test_the_fallback_that_is_given_as_an_example_is_one() -> None:
    ((stand_in, asked_for),) = re.findall(r"for example `(\S+)` for\s+`(\S+)`", README)
    assert stand_in in DEFAULT_FALLBACKS[asked_for]


def test_every_state_is_explained() -> None:
    explained = re.findall(r"^\| ([a-z-]+) \| ", README.partition("| state |")[2], re.MULTILINE)
    assert set(State) <= set(explained)
