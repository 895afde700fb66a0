"""Words of strangers in a log: nothing in them is obeyed, nothing is lost but what they quote."""

import re

_QUOTED = re.compile(r'"(?:[^"\\]|\\.){40,}(?:"|$)|`[^`]{40,}(?:`|$)', re.DOTALL)


def printable(text: str) -> str:
    r"""The text with everything invisible spelled out: line breaks as `\n`, escapes as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def without_quotations(text: str) -> str:
    """The text without what it quotes at length: that may be what somebody has asked.

    Names of fields and models are shorter.
    """
    return _QUOTED.sub("“…”", text)
