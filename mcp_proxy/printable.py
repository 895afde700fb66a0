"""Words of strangers in a log: nothing in them is obeyed, nothing is lost but what they quote."""

import re
from typing import Final

# Each begins where no run of its letters has begun before: else a long one is gone through again
# from each of its places.
_SECRETS: Final = (
    r"ya29\.[\w.-]+"  # Google access tokens
    r"|1//[\w-]+"  # Google refresh tokens
    r"|AIza[\w-]{20,}"  # Google API keys
    r"|GOCSPX-[\w-]+"  # OAuth client secrets
    r"|\bsk-[\w-]{8,}"
    r"|\b(?:gsk|xai|gh[opsu]|github_pat)[-_]\w{16,}"  # Groq, xAI, GitHub
    r"|(?<![\w-])eyJ[\w-]{10,}\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|(?<=Bearer )[^\s\"']+"
    r"|(?<=key=)[^\s&\"']+"
)

_QUOTED: Final = r'(?s)"(?:[^"\\]|\\.){40,}+(?:"|\\?$)|`[^`]{40,}+(?:`|$)'


def printable(text: str) -> str:
    r"""The text with everything invisible spelled out: line breaks as `\n`, escapes as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def without_secrets(text: str) -> str:
    """The text without anything that looks like a credential."""
    return re.sub(_SECRETS, "…", text)


def without_quotations(text: str) -> str:
    """The text without what it quotes at length: that may be what somebody has asked.

    Names of fields and models are shorter.
    """
    return re.sub(_QUOTED, "“…”", text)
