"""All pages of the manual, and how people name them."""

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.manual.files import accounts_page, config_page
from mcp_proxy.cli.manual.page import Page
from mcp_proxy.cli.manual.verbs import commands, page


def all_pages() -> list[Page]:
    """The pages of all commands, then those of the files."""
    return [*map(page, commands(mcproxy)), accounts_page(), config_page()]
