"""An upstream's own words about a failure, made fit to be shown: no secrets, readable length.

Knows nothing of what a failure means; that is for the tables of each provider.
"""

import re
from typing import Final

from mcp_proxy.printable import without_secrets

MAX_DETAIL: Final = 2048
"""Characters of an upstream's message that are kept."""


def scrubbed(text: str) -> str:
    """The text without anything that looks like a credential, cut to a readable length."""
    text = without_secrets(text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


_TITLE: Final = rb"(?is)<title[^>]*>(.*?)</title"


def is_page(body: bytes) -> bool:
    """Whether this is a web page of something in between, not the API."""
    return body.lstrip()[:1] == b"<"


def page_title(status: int, body: bytes) -> str:
    """What can be told of a web page that came in place of an answer."""
    found = re.search(_TITLE, body[:8192])
    title = f": {found[1].decode('utf-8', 'replace').strip()}" if found else ""
    return scrubbed(f"the upstream answered {status} with a web page{title}")


# Not the digits of a model's name, as in gpt-4o-2024-08-06.
_TOKENS_OVER: Final = r"(?<![\w.-])(\d[\d,]{2,})(?!\w|-\d)\D+?(?<![\w.-])(\d[\d,]{2,})(?!\w|-\d)"


def too_long(message: str) -> str:
    """In the words that clients look for when they decide to compact a conversation."""
    found = re.search(_TOKENS_OVER, message)
    if found is None:
        return (
            message if "prompt is too long" in message.lower() else f"prompt is too long: {message}"
        )
    tokens, maximum = sorted((int(n.replace(",", "")) for n in found.groups()), reverse=True)
    return f"prompt is too long: {tokens} tokens > {maximum} maximum"
