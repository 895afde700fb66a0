"""How results reach the terminal: one JSON document, or rich tables. Knows no verb.

Names, models and messages come from files and upstreams. They are shown as text, never as markup,
and without anything that a terminal would obey.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

JsonObject = Mapping[str, Any]

PIPE_WIDTH = 160
"""Columns when nobody looks: wide enough that a table is not cut for `grep`."""

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
    view: Callable[[JsonObject], "Iterable[RenderableType]"],
    *,
    as_json: bool,
) -> None:
    """Print the result: the document itself, or what `view` makes of it.

    A plain `str` of the view is printed as it is: scripts for a shell, pages, which need no rich.
    """
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    out: Console | None = None
    for each in view(result):
        if isinstance(each, str):
            click.echo(each)
        else:
            out = out or console()
            _draw(out, each)


def _draw(out: "Console", each: "RenderableType") -> None:
    from rich.text import Text

    # A line of text is never broken by us: links stay whole, `grep` finds what it looks for.
    out.print(each, soft_wrap=isinstance(each, Text))


def console(*, stderr: bool = False) -> "Console":
    """Honours NO_COLOR, COLUMNS, and whether it is a terminal at all."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def table(*headings: str) -> "Table":
    """An empty table; its lines are ASCII where the terminal knows no others."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def text(value: object, style: str = "") -> "Text":
    """Data as it may be shown; None as nothing."""
    from rich.text import Text

    return Text("" if value is None else clean(str(value)), style)


def state_text(state: str) -> "Text":
    return text(state, STATE_STYLES.get(state, ""))


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])")
_BREAKS = re.compile(r"[^\S ]+")


def clean(value: str) -> str:
    """One line without control, direction or invisible characters."""
    line = _BREAKS.sub(" ", _ESCAPES.sub("", value))
    return line.strip() if line.isprintable() else "".join(filter(str.isprintable, line)).strip()


def survive_narrow_encodings() -> None:
    """A terminal that cannot show a character shows a question mark instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
