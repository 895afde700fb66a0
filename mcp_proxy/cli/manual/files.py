"""The pages of accounts.toml and config.toml, from the tables that the files are read by."""

import json
from collections.abc import Iterator
from itertools import groupby

from mcp_proxy.cli.manual import common
from mcp_proxy.cli.manual.page import Block, Entry, Heading, Page, Paragraph, Verbatim, sections
from mcp_proxy.store.entries import PROVIDER_NAMES
from mcp_proxy.store.setting import Setting
from mcp_proxy.store.settings import SETTINGS

FIELDS = {
    "id": "Name of the account, unique: small letters, digits, dot, underscore and hyphen.",
    "provider": f"Whose account it is: {', '.join(PROVIDER_NAMES)}.",
    "email": "Address of the account, for people.",
    "label": "Free text for people, where there is no address.",
    "enabled": "false keeps the account without using it.",
    "added_at": "When it was added.",
    "source": "Program on this machine whose login is borrowed; nothing is written there.",
    "refresh_token": "Sign-in of antigravity, codex, copilot and vertex.",
    "api_key": "Key of anthropic, openai, gemini, zai and openai-compatible.",
    "client_id": "OAuth client that the refresh token was issued to.",
    "client_secret": "Secret of that client.",
    "credentials_file": "Credentials file of that program, or of Google.",
    "workspace": "Which of the login's accounts: ChatGPT's account, OpenAI's organization.",
    "project": "Cloud project; found out when left out, taken as it is when set.",
    "location": "Region of Vertex AI.",
    "base_url": "Replaces the provider's address for this account.",
    "token_url": "Replaces the OAuth token endpoint for this account.",
    "soft_limit": "Fraction of quota at or below which this account is used last.",
    "models": "The only models it is used for; empty: all that it offers.",
    "proxy": "Proxy on the way out for this account.",
    "headers": "Table of headers that are sent with every call.",
}
"""Every field of an `[[accounts]]` entry, in the order of the page."""

_ACCOUNTS_EXAMPLE = Verbatim(
    (
        "version = 1",
        "",
        "[[accounts]]",
        'id = "glm"',
        'provider = "zai"',
        'api_key = "..."',
        "",
        "[[accounts]]",
        'id = "local"',
        'provider = "openai-compatible"',
        'base_url = "http://127.0.0.1:11434/v1"',
    )
)

_CONFIG_EXAMPLE = Verbatim(
    (
        "[server]",
        "port = 9000",
        "",
        "[fallback]",
        "enabled = true",
        "",
        "[aliases]",
        'fast = "gemini-3-flash"',
        '"gpt-4o*" = ["claude-sonnet-4-5", "gemini-3-flash"]',
        "",
        "[[routes.cheap]]",
        'provider = "zai"',
        'model = "glm-4.5-air"',
    )
)

_FREE_SECTIONS = (
    Heading("[fallback.models]"),
    Entry(
        'MODEL = ["OTHER", ...]',
        "Models that stand in, in order; replaces the usual list of MODEL.",
    ),
    Heading("[aliases]"),
    Entry('NAME = "MODEL"', "Another name; a list means the first that is served, * any text."),
    Heading("[[routes.NAME]]"),
    Entry("provider, account, model", "A step of the route NAME; steps are tried in order."),
    Heading('[chains."MODEL"]'),
    Entry('accounts = ["ID", ...]', "The accounts that serve MODEL, in this order."),
    Heading("[providers.NAME]"),
    Entry("base_url, base_urls", "Replace the provider's own addresses."),
    Entry("auth_url, token_url", "Replace its sign-in page and token endpoint."),
    Entry("client_id, client_secret", "The OAuth client to sign in with."),
    Entry("user_agent", "What upstreams are told that we are."),
)


def accounts_page() -> Page:
    return Page(
        "mcproxy-accounts.toml",
        5,
        "accounts of mcproxy and their credentials",
        sections(
            ("SYNOPSIS", (Verbatim((common.FILES[0].term,)),)),
            (
                "DESCRIPTION",
                (
                    Paragraph(
                        "A TOML file with one [[accounts]] table for each account. mcproxy "
                        "accounts add writes it; it may be edited by hand, and a running server "
                        "takes up the change within two seconds."
                    ),
                    Paragraph(
                        "Unknown keys are kept. A malformed file is never overwritten. An entry "
                        "that is wrong is named with the reason, and the others work."
                    ),
                ),
            ),
            ("OPTIONS", tuple(Entry(name, text) for name, text in FIELDS.items())),
            ("ENVIRONMENT", common.PLACES[:1]),
            ("FILES", common.FILES),
            ("EXAMPLES", (_ACCOUNTS_EXAMPLE,)),
            ("SECURITY", (common.KEEP_SECRET,)),
            (
                "SEE ALSO",
                (Paragraph(f"{common.MAIN}, mcproxy-accounts(1), {common.CONFIG_FILE}"),),
            ),
        ),
    )


def config_page() -> Page:
    return Page(
        "mcproxy-config.toml",
        5,
        "settings of mcproxy",
        sections(
            ("SYNOPSIS", (Verbatim((common.FILES[1].term,)),)),
            (
                "DESCRIPTION",
                (
                    Paragraph(
                        "A TOML file that nothing but mcproxy config init writes. A flag beats a "
                        "variable beats this file beats the default. A running server takes up "
                        "changes within two seconds; a file with a mistake changes nothing."
                    ),
                    Paragraph("Each setting is shown with its default."),
                ),
            ),
            ("OPTIONS", (*_settings(), *_FREE_SECTIONS)),
            ("EXIT STATUS", (common.EXIT_STATUS[3],)),
            ("ENVIRONMENT", common.variables()),
            ("FILES", common.FILES),
            ("EXAMPLES", (_CONFIG_EXAMPLE,)),
            ("SECURITY", common.SECURITY),
            (
                "SEE ALSO",
                (Paragraph(f"{common.MAIN}, mcproxy-config(1), {common.ACCOUNTS_FILE}"),),
            ),
        ),
    )


def _settings() -> Iterator[Block]:
    """The rows of the table, section by section; those of no section first, as TOML wants it."""
    rows = sorted(SETTINGS, key=lambda row: "." in row.path)
    for name, group in groupby(rows, lambda row: row.path.rpartition(".")[0]):
        if name:
            yield Heading(f"[{name}]")
        yield from map(_setting, group)


def _setting(row: Setting) -> Entry:
    default = list(row.default) if isinstance(row.default, tuple) else row.default
    also = [f"variable {row.env}"] if row.env else []
    also += [f"flag --{row.flag.replace('_', '-')}"] if row.flag else []
    said = f" ({', '.join(also)})" if also else ""
    # TOML and JSON write texts, numbers, switches and lists of them alike.
    term = f"{row.path.rpartition('.')[2]} = {json.dumps(default)}"
    return Entry(term, f"{row.help[:1].upper()}{row.help[1:]}{said}.")
