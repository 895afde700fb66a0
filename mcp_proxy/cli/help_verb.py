"""`mcproxy help`: the pages of the manual where there is no `man`."""

import shutil
from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.render import json_option, show
from mcp_proxy.errors import UserError
from mcp_proxy.spelling import alike, suggestion

if TYPE_CHECKING:
    from mcp_proxy.cli.manual.page import Page

SCHEMA = "mcproxy.help/1"
USAGE = 2

WIDEST = 100
"""Columns beyond which running text is hard to read."""

EXAMPLES = """\b
Examples:
  mcproxy help accounts add
  mcproxy help config.toml
"""


@click.command("help", epilog=EXAMPLES)
@click.argument("topic", nargs=-1, metavar="[TOPIC]...")
@json_option(SCHEMA)
def show_help(*, topic: tuple[str, ...], as_json: bool) -> None:
    """Show a page of the manual: of a verb, or of a file.

    Without TOPIC, that of mcproxy itself. The files are accounts.toml and config.toml; json tells
    what each command prints with --json.
    """
    from mcp_proxy.cli.manual.plain import plain

    page = _page("-".join(topic))
    width = min(shutil.get_terminal_size().columns, WIDEST)
    result = {
        "schema": SCHEMA,
        "page": page.name,
        "section": page.number,
        "text": plain(page, WIDEST),
    }
    show(result, lambda _: [plain(page, width)], as_json=as_json)


def _page(topic: str) -> "Page":
    """The page of `accounts-add` or `mcproxy-accounts-add`. UserError names the nearest."""
    from mcp_proxy.cli.manual.pages import all_pages

    short = topic.removeprefix("mcproxy").lstrip("-")
    pages = {page.name.removeprefix("mcproxy").lstrip("-"): page for page in all_pages()}
    if short in pages:
        return pages[short]
    near = [f"mcproxy help {name}" for name in alike(short, filter(None, pages))[:1]]
    raise UserError(
        f"there is no page {topic!r}.{suggestion(near) or ' Run: mcproxy help'}", exit_code=USAGE
    )
