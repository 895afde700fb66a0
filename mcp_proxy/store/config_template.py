"""A config.toml to begin with: every setting with its default, as a comment, and what it is for.

Made from the table that settings are read by, so that it knows all of them and no other.
"""

from collections.abc import Iterator
from itertools import groupby

import tomli_w

from mcp_proxy.store.setting import Setting
from mcp_proxy.store.settings import SETTINGS

_HEAD = """\
# Settings of mcproxy. Every line is a comment that shows a default: take the # away to change it.
# A flag beats a variable, a variable beats this file. The program never writes here.
# Check it with: mcproxy config validate
"""

_EXAMPLES = """\
# Another model when all accounts are limited, in order. It replaces the usual list of that model.
[fallback.models]
# "gemini-3-pro-high" = ["claude-opus-4-5-thinking"]

# Other names for models; the first that is served counts.
[aliases]
# fast = "gemini-3-flash"
# "gpt-4o*" = ["claude-sonnet-4-5", "gemini-3-flash"]

# A name that leads to these places, tried in order.
# [[routes.fast]]
# provider = "zai"
# model = "glm-4.5-air"

# A provider at another address.
# [providers.zai]
# base_url = "http://127.0.0.1:9000"
"""


def config_template() -> str:
    """The whole text, which changes nothing as it is."""
    # TOML wants the keys of no section before all sections.
    rows = sorted(SETTINGS, key=lambda row: "." in row.path)
    sections = (
        "\n".join(_section(name, list(group))) for name, group in groupby(rows, _section_of)
    )
    return "\n".join((_HEAD, *sections, _EXAMPLES))


def _section_of(row: Setting) -> str:
    return row.path.rpartition(".")[0]


def _section(name: str, rows: list[Setting]) -> Iterator[str]:
    if name:
        yield f"[{name}]"
    for row in rows:
        also = f" ({row.env})" if row.env else ""
        yield f"# {row.help}{also}"
        default = list(row.default) if isinstance(row.default, tuple) else row.default
        yield f"# {tomli_w.dumps({row.path.rpartition('.')[2]: default})}"
