"""What `serve` shows on a terminal before the first request: its address, accounts, what next."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_proxy import __version__
from mcp_proxy.cli.layout import Facts
from mcp_proxy.cli.render import console, indented, state_text, text
from mcp_proxy.cli.terminal import USUAL_WIDTH, width_of
from mcp_proxy.cli.terminal_lines import Page

if TYPE_CHECKING:
    from rich.text import Text

    from mcp_proxy.engine.runtime import Runtime

INDENT = 2
USUAL_PORT = 8080


def show_header(runtime: "Runtime", *, url: str, port: int, demo: bool) -> None:
    """On stderr, as the log that follows."""
    width = width_of(sys.stderr) or USUAL_WIDTH
    out = console(stderr=True)
    for line in header(runtime, width, url=url, port=port, demo=demo):
        out.print(line, soft_wrap=True)


def header(runtime: "Runtime", width: int, *, url: str, port: int, demo: bool) -> "Iterator[Text]":
    """The last line has the headings of the requests that follow."""
    yield text(f"mcproxy {__version__}", "bold")
    # Never broken: scripts wait for the address, and people copy it as they do the commands.
    yield text(f"ready at {url}", "bold")
    yield text("")
    yield from _facts(runtime, demo=demo).lines(width)
    yield text("")
    yield text("To start a client, or to lead one here:")
    # The demo leaves no note of its address: other verbs are not to take it for the server.
    here = f"PORT={port} " if demo and port != USUAL_PORT else ""
    for command in (f"{here}mcproxy run claude-code", f'eval "$({here}mcproxy env claude-code)"'):
        yield indented(text(command), INDENT)
    yield text("Ctrl-C ends the server.")
    yield text("")
    if headings := Page(width, coloured=False).headings():
        yield text(headings, "dim")


def _facts(runtime: "Runtime", *, demo: bool) -> Facts:
    """Who answers, and by which rules."""
    facts = Facts(INDENT)
    if demo:
        facts.add("demo", text("an embedded upstream answers; your own accounts are not asked"))
    for provider, accounts in _accounts(runtime).items():
        facts.add(provider, accounts)
    if not runtime.accounts:
        facts.add("accounts", text("none yet. Run: mcproxy accounts add", "yellow"))
    if runtime.settings.fallback.enabled:
        facts.add("fallback", text("on: another model answers when all accounts are limited"))
    soft_limit = runtime.settings.limits.soft_limit
    if soft_limit is not None:
        facts.add("soft limit", text(f"accounts with {soft_limit:.0%} or less are used last"))
    return facts


def _accounts(runtime: "Runtime") -> "dict[str, Text]":
    """By provider: the accounts, grouped by their state."""
    from mcp_proxy.engine.report import models_of

    now, soft_limit = runtime.clock(), runtime.settings.limits.soft_limit
    grouped: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for account in runtime.accounts:
        state = runtime.ledger.account_state(account, models_of(runtime, account), now, soft_limit)
        grouped[account.provider][state].append(account.id)
    return {provider: _states(states) for provider, states in grouped.items()}


def _states(states: "dict[str, list[str]]") -> "Text":
    """`ada, grace ready; bob invalid`."""
    told = text("")
    for state, ids in states.items():
        told.append("; " if told.plain else "").append(", ".join(ids) + " ")
        told.append_text(state_text(state))
    return told
