"""The page of the JSON documents: who prints which, and what is in it."""

from collections.abc import Iterator, Sequence

from mcp_proxy.cli.manual import common
from mcp_proxy.cli.manual.documents import DOCUMENTS, TYPES, Shape
from mcp_proxy.cli.manual.page import Block, Entry, Heading, Page, Paragraph, Verbatim, sections
from mcp_proxy.cli.manual.verbs import Command
from mcp_proxy.cli.render import schema_of

_CONVENTIONS = (
    Paragraph(
        "With --json a command prints one JSON document on standard output and nothing else; "
        "messages and errors go to standard error. A command that fails prints either its "
        "document, which tells what failed, or none. With limits --watch there is a document a "
        "line."
    ),
    Paragraph(
        "schema names the document and its version. Within a version keys may be added; none is "
        "renamed, removed, or given another meaning. Every key named here is always there."
    ),
    Paragraph(
        "Keys are written as jq has them: .accounts[].id is the id of each element of the list "
        "accounts. A * stands for any name; jq wants a name with a hyphen in quotes. A ? behind "
        "the type: or null."
    ),
)

_EXAMPLES = Verbatim(
    (
        "mcproxy accounts list --json | jq -r '.accounts[] | select(.state == \"ready\") | .id'",
        "mcproxy limits --json | jq '[.accounts[].models[].remaining // 0] | min'",
        "mcproxy health --json | jq -e .healthy",
    )
)


def json_page(commands: Sequence[Command]) -> Page:
    """Of all documents that some of these commands print."""
    printing = {name: list(_printing(name, commands)) for name in DOCUMENTS}
    return Page(
        common.JSON_PAGE.partition("(")[0],
        5,
        "the JSON documents that mcproxy prints",
        sections(
            ("SYNOPSIS", (Verbatim(("mcproxy COMMAND ... --json",)),)),
            (
                "DESCRIPTION",
                (*_CONVENTIONS, *(Entry(kind, text) for kind, text in TYPES.items())),
            ),
            (
                "DOCUMENTS",
                tuple(
                    block
                    for name, shape in DOCUMENTS.items()
                    for block in _document(name, shape, printing[name])
                ),
            ),
            ("EXIT STATUS", common.EXIT_STATUS),
            ("ENVIRONMENT", common.PLACES),
            ("FILES", common.FILES),
            ("EXAMPLES", (_EXAMPLES,)),
            ("SECURITY", (common.KEEP_SECRET,)),
            ("SEE ALSO", (Paragraph(f"{common.MAIN}, {common.CONFIG_FILE}"),)),
        ),
    )


def _printing(name: str, commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        if schema_of(command.click) == name:
            yield command.context.command_path


def _document(name: str, shape: Shape, printing: list[str]) -> Iterator[Block]:
    yield Heading(name)
    yield Paragraph(f"Printed by {', '.join(printing)}.")
    width = max(map(len, shape))
    yield Verbatim(tuple(f".{path:<{width}}  {kind}" for path, kind in shape.items()))
