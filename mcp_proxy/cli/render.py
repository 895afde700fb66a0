"""How results reach the terminal: one JSON document, or rich tables. Knows no verb.

Names, models and messages come from files and upstreams. They are shown as text, never as markup,
and without anything that a terminal would obey.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

JsonObject = Mapping[str, Any]

PIPE_WIDTH = 160
"""Columns when nobody looks: wide enough that a table is not cut for `grep`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

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
    """Print the result: the document itself, or what `view` makes of it."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    from rich.text import Text

    out = console()
    for each in view(result):
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
