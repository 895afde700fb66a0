"""A page as man(7) source, in the part of the language that groff and mandoc agree on.

Every hyphen is a minus sign: what is copied from a page then works in a shell.
"""

import re
import textwrap
from collections.abc import Iterator

from mcp_proxy.cli.manual.page import Block, Entry, Heading, Page, Paragraph, Section, Verbatim

_SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_WIDTH = 78
"""Columns of source: mandoc has something against text lines above 80."""


def roff(page: Page, *, version: str, date: str) -> str:
    """The text of the file, line break at the end included."""
    head = (
        '.\\" Made by python -m mcp_proxy.cli.reference --write; do not edit.',
        f".TH {_quoted(page.name.upper())} {page.number} {date} {_quoted(f'mcproxy {version}')}",
        ".SH NAME",
        *_wrapped(f"{page.name} - {page.summary}"),
    )
    body = (line for section in page.sections for line in _section(section))
    return "\n".join((*head, *body)) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f".SH {section.title}"
    after_heading = True
    for block in section.blocks:
        yield from _block(block, after_heading=after_heading)
        after_heading = isinstance(block, Heading)


def _block(block: Block, *, after_heading: bool) -> Iterator[str]:
    """A paragraph macro right after a heading does nothing, and mandoc says so."""
    match block:
        case Heading(text):
            yield f".SS {_quoted(text)}"
        case Entry(term, text):
            yield ".TP"
            yield f"\\fB{_escaped(term)}\\fR"
            yield from _wrapped(text)
        case Paragraph(text):
            if not after_heading:
                yield ".PP"
            yield from _wrapped(text)
        case Verbatim(lines):
            if not after_heading:
                yield ".PP"
            yield from (".RS 4", ".nf", *map(_line, lines), ".fi", ".RE")


def _wrapped(text: str) -> Iterator[str]:
    lines = textwrap.wrap(_escaped(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return map(_guarded, lines)


def _line(text: str) -> str:
    return _guarded(_escaped(text))


def _guarded(line: str) -> str:
    """A line that would begin with a control character is kept from being a macro."""
    return f"\\&{line}" if line.startswith((".", "\\(aq")) else line


def _escaped(text: str) -> str:
    return re.sub(r"[\\'`^~-]|[^\x00-\x7f]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SPECIAL.get(character) or f"\\[u{ord(character):04X}]"


def _quoted(text: str) -> str:
    """An argument of a macro."""
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'
