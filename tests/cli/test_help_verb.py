"""`mcproxy help`: every page is found by the names that people give it, at any width."""

import json

import pytest
from harness import Cli

from mcp_proxy.cli.manual.page import Page, Verbatim
from mcp_proxy.cli.manual.pages import all_pages
from mcp_proxy.cli.manual.plain import plain


@pytest.mark.parametrize(
    ("topic", "page"),
    [
        ([], "mcproxy"),
        (["mcproxy"], "mcproxy"),
        (["accounts", "add"], "mcproxy-accounts-add"),
        (["mcproxy-accounts-add"], "mcproxy-accounts-add"),
        (["config"], "mcproxy-config"),
        (["config.toml"], "mcproxy-config.toml"),
        (["mcproxy-accounts.toml"], "mcproxy-accounts.toml"),
    ],
)
def test_a_page_is_found_by_its_names(cli: Cli, topic: list[str], page: str) -> None:
    ran = cli("help", *topic, "--json")
    found = json.loads(ran.stdout)
    assert (ran.code, found["schema"], found["page"]) == (0, "mcproxy.help/1", page)
    assert found["text"].startswith(f"NAME\n    {page} - ")


def test_an_unknown_page_is_wrong_usage_and_the_nearest_is_named(cli: Cli) -> None:
    ran = cli("help", "acounts", "add")
    assert (ran.code, ran.stdout) == (2, "")
    assert "Did you mean mcproxy help accounts-add" in ran.stderr


def test_the_width_of_the_terminal_is_kept(cli: Cli) -> None:
    narrow, wide = (
        cli("help", "paths", env={"COLUMNS": columns, "PYTHONIOENCODING": "ascii"}).stdout
        for columns in ("50", "300")
    )
    assert 40 < max(map(len, narrow.splitlines())) <= 50
    assert 80 < max(map(len, wide.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_no_running_text_is_wider_than_it_may_be(page: Page, width: int) -> None:
    as_is = {
        line.strip()
        for section in page.sections
        for block in section.blocks
        if isinstance(block, Verbatim)
        for line in block.lines
    }
    running = {line for line in plain(page, width).splitlines() if line.strip() not in as_is}
    too_wide = {line.strip() for line in running if len(line) > width}
    assert not {line for line in too_wide if " " in line}, "more than a word that cannot be broken"
