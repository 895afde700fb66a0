"""What many pages say alike: exit codes, variables, files, security."""

from mcp_proxy.cli.manual.page import Block, Entry, Paragraph
from mcp_proxy.store.environment import VARIABLES
from mcp_proxy.store.secret_files import SECRETS, SUFFIX
from mcp_proxy.store.settings import SETTINGS

MAIN = "mcproxy(1)"
ACCOUNTS_FILE = "mcproxy-accounts.toml(5)"
CONFIG_FILE = "mcproxy-config.toml(5)"
JSON_PAGE = "mcproxy-json(5)"

EXIT_STATUS = (
    Entry("0", "Done."),
    Entry("1", "The operation failed; the message on standard error says why and what mends it."),
    Entry("2", "Wrong usage, or a question that nobody can be asked without a terminal."),
    Entry("78", "The configuration must be mended first."),
    Entry("130", "Interrupted."),
)

PLACES = (
    Entry("ACCOUNTS_CONFIG_PATH", f"Path of the accounts file, see {ACCOUNTS_FILE}."),
    Entry("MCPROXY_CONFIG", f"Path of the settings file, see {CONFIG_FILE}."),
    Entry("MCPROXY_STATE_DIR", "Directory of everything that changes while serving."),
)

_ELSEWHERE = {
    "GOOGLE_CLIENT_ID": "OAuth client of [providers.antigravity].",
    "GOOGLE_CLIENT_SECRET": "Secret of that client.",
    "HTTPS_PROXY, HTTP_PROXY, NO_PROXY": "Proxies on the way out; an account may have its own.",
    "STATE_DIRECTORY, CONFIGURATION_DIRECTORY": "Directories of a systemd service, in place of "
    "the user's own. MCPROXY_STATE_DIR, ACCOUNTS_CONFIG_PATH and MCPROXY_CONFIG beat them.",
    "CREDENTIALS_DIRECTORY": "Credentials of a systemd service; api-key stands for PROXY_API_KEY.",
    "NO_COLOR": "Set to anything: no colours.",
    "FORCE_COLOR, CLICOLOR_FORCE": "Set to 1: colours in a pipe, too. CLICOLOR=0 is like NO_COLOR.",
    "COLUMNS": "Width of what is shown; in a pipe it has none, and every row is one line.",
    "LC_ALL, LC_CTYPE, LANG": "C or POSIX: nothing but ASCII is shown.",
}

FILES = (
    Entry(
        "~/.config/mcproxy/accounts.toml",
        f"Accounts and their credentials, readable by its owner alone. See {ACCOUNTS_FILE}.",
    ),
    Entry("~/.config/mcproxy/config.toml", f"Settings; optional. See {CONFIG_FILE}."),
    Entry(
        "~/.local/state/mcproxy/",
        "Limits, marks, model lists and decisions. Safe to delete while no server runs.",
    ),
    Entry(
        "~/Library/Application Support/mcproxy/",
        "The directory of all of these on macOS; mcproxy paths shows the places in use.",
    ),
)

KEEP_SECRET = Paragraph(
    "Credentials are kept in accounts.toml with mode 0600 in a directory with mode 0700, and are "
    "shown neither in messages nor in logs."
)
SECURITY = (
    Paragraph(
        "The server listens on 127.0.0.1 unless told otherwise, where it needs no key. A bind "
        "beyond loopback is refused without a key of at least 16 characters, and over plain HTTP "
        "everything can be read on the way: put a TLS proxy or a tunnel in front."
    ),
    KEEP_SECRET,
    Paragraph(
        "Keys belong on standard input (--api-key -), in a file or in a variable, since arguments "
        "are seen by every user of the machine. Upstreams are spoken to over TLS; plain http:// "
        "addresses are taken for loopback only."
    ),
)


def variables() -> tuple[Block, ...]:
    """Every variable that means something, with what it sets."""
    of_settings = (
        Entry(row.env, f"{_sentence(row.help)} The same as {row.path} in {CONFIG_FILE}.")
        for row in SETTINGS
        if row.env
    )
    in_files = ", ".join(secret + SUFFIX for secret in SECRETS)
    return (
        Paragraph("A flag beats a variable, a variable beats config.toml."),
        *PLACES,
        *of_settings,
        Entry(in_files, "A file with the value, in place of the variable of that name."),
        *(Entry(names, text) for names, text in _ELSEWHERE.items()),
        Paragraph(
            "These make accounts and names for as long as the process runs: "
            f"{', '.join(VARIABLES)}."
        ),
    )


def variables_of_flags(flags: frozenset[str]) -> tuple[Entry, ...]:
    """The variables that stand for these flags, by parameter name."""
    return tuple(
        Entry(row.env, f"Stands for --{row.flag.replace('_', '-')}.")
        for row in SETTINGS
        if row.env and row.flag in flags
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
