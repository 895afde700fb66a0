"""`mcproxy models` as a process, over the embedded upstream and without any."""

import json
from typing import Any

import pytest
from harness import Cli, Home

from mcp_proxy.cli.models import tokens
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.policy.models import ANTIGRAVITY


@pytest.fixture
def signed_in(home: Home, upstream: DemoUpstream) -> Home:
    home.sign_in(upstream)
    return home


def by_id(stdout: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(stdout)["models"]}


async def test_a_model_tells_its_family_window_and_who_serves_it(cli: Cli, signed_in: Home) -> None:
    ran = await cli.beside("models", "--json")
    assert (ran.code, ran.stderr) == (0, "")
    row = by_id(ran.stdout)["claude-sonnet-4-6"]
    assert row["family"] == "claude"
    assert row["providers"] == ["antigravity"]
    assert row["context_window"] == 200_000
    assert row["accounts"] == ["ada", "grace"]
    assert row["quota"]["remaining"] == 1.0


async def test_class_names_and_aliases_are_told_with_what_they_mean(
    cli: Cli, signed_in: Home
) -> None:
    with signed_in.paths.config.open("a") as config:
        config.write('[aliases]\nfast = "gemini-3-flash"\n')
    as_json = json.loads((await cli.beside("models", "--json")).stdout)
    table = (await cli.beside("models")).stdout
    assert as_json["classes"]["opus"] == "claude-opus-4-6-thinking"
    assert as_json["aliases"] == {"fast": ["gemini-3-flash"]}
    assert "opus means claude-opus-4-6-thinking" in table
    assert "fast means gemini-3-flash" in table


async def test_upstreams_are_asked_once_and_then_remembered(
    cli: Cli, signed_in: Home, upstream: DemoUpstream
) -> None:
    first = await cli.beside("models", "--json")
    asked = len(upstream.requests)
    second = await cli.beside("models", "--json")
    assert asked > 0
    assert len(upstream.requests) == asked
    assert by_id(first.stdout).keys() == by_id(second.stdout).keys()


def test_offline_the_usual_list_is_shown_and_called_that(
    cli: Cli, home: Home, unused_port: int
) -> None:
    nowhere = f"http://127.0.0.1:{unused_port}"
    home.configure("")
    home.paths.accounts.write_text(
        f'[[accounts]]\nid = "ada"\nprovider = "antigravity"\nproject = "p"\n'
        f'refresh_token = "1//x"\nclient_id = "c"\nclient_secret = "s"\n'
        f'base_url = "{nowhere}"\ntoken_url = "{nowhere}/token"\n'
    )
    home.paths.accounts.chmod(0o600)
    ran = cli("models", "--json")
    assert ran.code == 0
    assert "ada: its list could not be read, this is the usual one" in ran.stderr
    assert by_id(ran.stdout).keys() == {model.id for model in ANTIGRAVITY}


async def test_a_disabled_account_serves_nothing(cli: Cli, signed_in: Home) -> None:
    await cli.beside("accounts", "disable", "ada")
    rows = by_id((await cli.beside("models", "--json")).stdout)
    assert {tuple(row["accounts"]) for row in rows.values()} == {("grace",)}


@pytest.mark.parametrize("columns", ["80", "200"])
async def test_the_table_fits_the_terminal(cli: Cli, signed_in: Home, columns: str) -> None:
    ran = await cli.beside("models", env={"COLUMNS": columns})
    assert max(map(len, ran.stdout.splitlines())) <= int(columns)


def test_without_accounts_it_says_how_to_add_one(cli: Cli, home: Home) -> None:
    ran = cli("models")
    assert ran.code == 0
    assert "mcproxy accounts add" in ran.stdout


@pytest.mark.parametrize(
    ("count", "text"),
    [(1_048_576, "1M"), (200_000, "200k"), (65_536, "64k"), (65_535, "66k"), (128_000, "125k")],
)
def test_sizes_are_written_as_vendors_write_them(count: int, text: str) -> None:
    assert tokens(count) == text
