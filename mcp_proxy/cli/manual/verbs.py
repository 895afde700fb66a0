"""A page for every command, from the click tree: whatever a verb's help says is on its page."""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import NamedTuple

import click

from mcp_proxy.cli.manual import common
from mcp_proxy.cli.manual.page import Block, Entry, Heading, Page, Paragraph, Verbatim, sections
from mcp_proxy.cli.render import schema_of

_NO_WRAP = "\b"
"""How click is told that a paragraph is to stay as it is."""
_EXAMPLES = "Examples:"
_RANGE = re.compile(r"(?:INTEGER|FLOAT)(?: RANGE)?")
"""What click calls a number; its range is told in the text."""

_SECURITY_OF: dict[str, tuple[Block, ...]] = {
    "mcproxy": common.SECURITY,
    "mcproxy-serve": common.SECURITY[:1],
    "mcproxy-accounts-add": common.SECURITY[1:],
}


class Command(NamedTuple):
    """A command where it stands in the tree."""

    click: click.Command
    context: click.Context

    @property
    def name(self) -> str:
        """`mcproxy-accounts-add`."""
        return self.context.command_path.replace(" ", "-")

    @property
    def summary(self) -> str:
        """The first sentence of the help, without its full stop."""
        return _paragraphs(self.click.help)[0].rstrip(".")

    @property
    def children(self) -> list["Command"]:
        if not isinstance(self.click, click.Group):
            return []
        named = (
            (name, self.click.get_command(self.context, name))
            for name in self.click.list_commands(self.context)
        )
        return [
            Command(found, _context(found, name, self.context))
            for name, found in named
            if found is not None and not found.hidden
        ]

    def walk(self) -> Iterator["Command"]:
        """Itself and everything below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def commands(root: click.Command) -> list[Command]:
    """Every command that is shown to people."""
    return list(Command(root, _context(root, "mcproxy", None)).walk())


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """What help is made in; which options ask for it comes from the settings of the parents."""
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def page(command: Command) -> Page:
    """The page of one command."""
    told, examples = _epilog(command.click.epilog)
    return Page(
        command.name,
        1,
        command.summary,
        sections(
            ("SYNOPSIS", (Verbatim((_usage(command),)),)),
            ("DESCRIPTION", (*map(Paragraph, _paragraphs(command.click.help)), *told)),
            ("COMMANDS", tuple(Entry(c.name, f"{c.summary}.") for c in command.children)),
            ("OPTIONS", tuple(_options(command))),
            ("EXIT STATUS", common.EXIT_STATUS),
            ("ENVIRONMENT", _environment(command)),
            ("FILES", common.FILES),
            ("EXAMPLES", examples),
            ("SECURITY", _SECURITY_OF.get(command.name, (common.KEEP_SECRET,))),
            ("SEE ALSO", (Paragraph(", ".join(_see_also(command))),)),
        ),
    )


def _usage(command: Command) -> str:
    pieces = command.click.collect_usage_pieces(command.context)
    return " ".join((command.context.command_path, *pieces))


def _options(command: Command) -> Iterator[Block]:
    for parameter in command.click.get_params(command.context):
        record = parameter.get_help_record(command.context)
        if record is not None:
            term, text = record
            yield Entry(_RANGE.sub("N", term), " ".join(text.split()))


def _environment(command: Command) -> tuple[Block, ...]:
    if command.context.parent is None:
        return common.variables()
    flags = frozenset(each.name for each in command.click.params if each.name)
    return (
        *common.PLACES,
        *common.variables_of_flags(flags),
        Paragraph(f"All others are in {common.MAIN}."),
    )


def _see_also(command: Command) -> Iterator[str]:
    """The parents, what is below, what is beside it, and the files."""
    parent = command.context.parent
    if parent is not None:
        above = Command(parent.command, parent)
        yield f"{above.name}(1)"
        beside = above.children if parent.parent is not None else []
        yield from (f"{each.name}(1)" for each in beside if each.name != command.name)
    yield from (f"{each.name}(1)" for each in command.children)
    yield common.ACCOUNTS_FILE
    yield common.CONFIG_FILE
    if parent is None or schema_of(command.click) is not None:
        yield common.JSON_PAGE


def _paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a docstring, each as one line."""
    return [" ".join(each.split()) for each in cleandoc(text or "").split("\n\n")]


def _epilog(text: str | None) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """What an epilog tells beside its examples, and the examples."""
    told: list[Block] = []
    examples: list[Block] = []
    for part in (text or "").split("\n\n"):
        if not part.strip():
            continue
        title, _, rest = part.removeprefix(f"{_NO_WRAP}\n").rstrip().partition("\n")
        lines = Verbatim(tuple(line.strip() for line in rest.splitlines()))
        if title == _EXAMPLES:
            examples.append(lines)
        else:
            told += [Heading(title.rstrip(":")), lines]
    return tuple(told), tuple(examples)
