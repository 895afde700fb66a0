"""A diff of somebody's settings file, without the values that are none of our business.

Lines that change are shown, but for the values of keys and tokens. Those that stay, also if they
get a comma, are only there to say where: of them the names are shown. A value may go on for lines,
in a string, a list or a block, and of such a line by itself nobody can tell whether it is part of
a secret.
"""

import re
from collections.abc import Iterable

from mcp_proxy.cli.clients.client import PLACEHOLDER

_SECRET = re.compile(
    r"""
    (?P<name>
        (?:key|token|secret|password|authorization|credential|custom_header)s?
        ["']?[ \t]*[:=][ \t]*
    )
    (?:
        (?P<open>"{3}|'{3}|["'])                      # quoted: up to the same quotes again
        (?P<quoted>(?:\\.|(?!(?P=open))[^\r\n])+)
    |
        (?P<bare>
            \[[^\]\r\n]+
            | [\w.+-]+(?=[ \t]*(?:[,}\]\r]|$))          # a word of JSON
            | [^"'\s{\[](?:\\.|[^"\\\r\n])*             # a line of a file, or of a quoted text
        )
    )
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)

_MARKS_ONLY = re.compile(r"[\s{}\[\](),;]*")
_TABLE = re.compile(r"\[{1,2}[\w-]+(?:\.(?:[\w-]+|\"[^\"\\]+\"))*\]{1,2}")
"""A header of TOML."""
_NAMED = re.compile(
    r"""
    (?P<name>
        \s* (?:"[\w.@/*-]{1,60}" | [A-Za-z_][\w.-]{0,59})
        [ \t]* (?: : (?=\s|$|") | = (?!=|\s*$) ) [ \t]*    # a long word may end in = or ==
    )
    (?P<value>.*)
    """,
    re.VERBOSE,
)


def concealed_diff(diff: Iterable[str]) -> str:
    """The lines of a unified diff, each with its end."""
    lines = list(diff)
    old, new = ({_essence(line) for line in lines if line[0] == sign} for sign in "-+")
    stay = old & new
    return concealed(
        "".join(
            _outlined(line) if line[0] == " " or _essence(line) in stay else line for line in lines
        )
    )


def _essence(line: str) -> str:
    """What makes two lines the same, though another may follow the one and none the other."""
    return line[1:].strip().rstrip(",")


def concealed(text: str) -> str:
    """With three dots for the whole value of everything that is named like a secret.

    The whole: where there is a scheme before the secret, as in `Basic …`, it may be any word.
    """
    return _SECRET.sub(_dotted, text)


def _dotted(found: re.Match[str]) -> str:
    if (found["quoted"] or found["bare"]).strip() in {PLACEHOLDER, "null", "true"}:
        return found[0]
    return f"{found['name']}{found['open'] or ''}…"


def _outlined(line: str) -> str:
    """A line that stays: its marks and its name."""
    sign, text = line[0], line[1:].rstrip()
    if _MARKS_ONLY.fullmatch(text) or _TABLE.fullmatch(text):
        return line
    comma = "," if text.endswith(",") else ""
    named = _NAMED.fullmatch(text)
    if named is None:
        return f"{sign}{text[: len(text) - len(text.lstrip())]}…{comma}\n"
    is_opening = _MARKS_ONLY.fullmatch(named["value"])
    return f"{sign}{named['name']}{named['value'] if is_opening else f'…{comma}'}\n"
