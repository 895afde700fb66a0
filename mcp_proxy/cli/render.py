"""How results reach the terminal: one JSON document, or lines and tables. Knows no verb.

Names, models and messages come from files and upstreams. They are shown as text, never as markup,
and without anything that a terminal would obey.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mcp_proxy.cli.terminal import DUMB, shows_colours, spelled, width_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from mcp_proxy.cli.layout import Column, Facts, Shown, Table

JsonObject = Mapping[str, Any]

PIPE_WIDTH = 10_000
"""Columns for whom rich has to be told a number where there is none."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


class JsonOption(click.Option):
    """`--json`, which knows the name of the document that is printed then."""

    def __init__(self, *args: Any, schema: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.schema = schema


def json_option(schema: str) -> Callable[[_Command], _Command]:
    """Declares `--json`; the name, as in `mcproxy.paths/1`, is told in help and manual."""
    text = f"Print one JSON document ({schema})."
    return click.option("--json", "as_json", is_flag=True, cls=JsonOption, schema=schema, help=text)


def schema_of(command: click.Command) -> str | None:
    """The name of what a command prints with `--json`; None when it has no such option."""
    options = (each for each in command.params if isinstance(each, JsonOption))
    return next((each.schema for each in options), None)


STATE_STYLES = {
    "ready": "green",
    "soft-limited": "yellow",
    "cooling-down": "yellow",
    "exhausted": "red",
    "invalid": "bold red",
    "disabled": "dim",
    "unknown": "dim",
}


def show(
    result: JsonObject,
    view: Callable[[JsonObject], "Iterable[Shown | str]"],
    *,
    as_json: bool,
) -> None:
    """Print the result: the document itself, or what `view` makes of it.

    A plain `str` of the view is printed as it is: scripts for a shell, pages, files, which need no
    rich. Everything else is fitted to the terminal.
    """
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    paper: Paper | None = None
    for each in view(result):
        if isinstance(each, str):
            click.echo(each)
        else:
            paper = paper or Paper()
            paper.print(each)


def tell(message: str) -> None:
    """A message for the person at the terminal, apart from the answer.

    Where it cannot be written there is nobody to be told, and the work goes on.
    """
    from mcp_proxy.cli.wrapping import fold

    with suppress(OSError):
        click.echo(fold(clean(message), width_of(sys.stderr)), err=True)


class Paper:
    """Where lines, tables and facts are printed, at the width of the terminal."""

    def __init__(self) -> None:
        self.out = console()
        self.width = width_of(sys.stdout)

    def print(self, each: "Shown") -> None:
        from mcp_proxy.cli.layout import lines_of

        for line in lines_of(each, self.width):
            self.out.print(line, soft_wrap=True)


def console(*, stderr: bool = False) -> "Console":
    """Rich's view of a stream, for those who draw in place."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    moves = stream.isatty() and os.environ.get("TERM") not in DUMB
    return Console(
        file=stream,
        # A terminal is asked again and again: its size may change.
        width=None if moves else width_of(stream) or PIPE_WIDTH,
        force_terminal=moves,
        color_system="standard" if shows_colours(stream, os.environ) else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def table(*columns: "Column | str") -> "Table":
    """An empty table; how wide it becomes is decided when it is shown."""
    from mcp_proxy.cli.layout import Table

    return Table(*columns)


def column(heading: str, **traits: Any) -> "Column":
    """A column that has more to it than a heading: `align`, `wraps`, `minor`."""
    from mcp_proxy.cli.layout import Column

    return Column(heading, **traits)


def facts(*rows: "tuple[str, Text]", indent: int = 0) -> "Facts":
    """Names, each with what is to be said of it; those of which nothing is are left out."""
    from mcp_proxy.cli.layout import Facts

    made = Facts(indent)
    for name, value in rows:
        made.add(name, value)
    return made


def text(value: object, style: str = "") -> "Text":
    """Data as it may be shown; None as nothing."""
    from rich.text import Text

    return Text("" if value is None else spelled(clean(str(value)), sys.stdout), style)


def verbatim(line: str, style: str = "") -> "Text":
    """A line of a file, or a command, as it stands there: indented, and never broken."""
    from rich.text import Text

    line = line.expandtabs()
    margin = len(line) - len(line.lstrip(" "))
    return Text(" " * margin, no_wrap=True).append_text(text(line, style))


def indented(line: "Text", columns: int) -> "Text":
    """The line as part of what stands above it."""
    from rich.text import Text

    if not line.plain:
        return line
    return Text(" " * columns, no_wrap=line.no_wrap).append_text(line)


def told(reason: str, url: str | None, mend: str | None = None) -> str:
    """What is wrong, where its owner goes, and what to run then: last, and only once."""
    if mend is not None:
        reason = reason.removesuffix(f"; run: {mend}")
    more = [f"See {url}"] * bool(url) + [f"Run: {mend}"] * bool(mend)
    end = "." * (bool(more) and not reason.endswith((".", "!", "?")))
    return " ".join((reason + end, *more))


def counted(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def state_text(state: str) -> "Text":
    return text(state, STATE_STYLES.get(state, ""))


_ESCAPES: Final = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])"


def clean(value: str) -> str:
    """One line without control, direction or invisible characters."""
    line = re.sub(r"[^\S ]+", " ", re.sub(_ESCAPES, "", value))
    return line.strip() if line.isprintable() else "".join(filter(str.isprintable, line)).strip()
