"""All pages of the manual, and how people name them."""

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.manual.files import accounts_page, config_page
from mcp_proxy.cli.manual.json_page import json_page
from mcp_proxy.cli.manual.page import Page
from mcp_proxy.cli.manual.verbs import commands, page


def all_pages() -> list[Page]:
    """The pages of all commands, then those of the files and of what is printed."""
    found = commands(mcproxy)
    return [*map(page, found), accounts_page(), config_page(), json_page(found)]
