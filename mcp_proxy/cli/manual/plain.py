"""A page as text for a terminal that has no `man`."""

import textwrap
from collections.abc import Iterator

from mcp_proxy.cli.manual.page import Block, Entry, Heading, Page, Paragraph, Verbatim

_INDENT = 4
_NARROW = 24
"""Columns below which text is not squeezed any further."""


def plain(page: Page, width: int) -> str:
    """The page in lines of at most `width` columns; what is shown verbatim stays as it is."""
    lines = ["NAME", *_wrapped(f"{page.name} - {page.summary}", width, _INDENT)]
    for section in page.sections:
        lines += ["", section.title]
        previous: Block | None = None
        for block in section.blocks:
            if previous is not None and not isinstance(previous, Heading):
                lines.append("")
            lines += _block(block, width)
            previous = block
    return "\n".join(lines)


def _block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading(text):
            yield from _wrapped(text, width, _INDENT // 2)
        case Paragraph(text):
            yield from _wrapped(text, width, _INDENT)
        case Entry(term, text):
            yield from _wrapped(term, width, _INDENT)
            yield from _wrapped(text, width, 2 * _INDENT)
        case Verbatim(lines):
            yield from (" " * 2 * _INDENT + line if line else "" for line in lines)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text,
        max(width, _NARROW),
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
