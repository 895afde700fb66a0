"""`mcproxy completion`: the script of a shell, printed or put where the shell looks for it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.choices import OneOf
from mcp_proxy.cli.render import json_option, show, text
from mcp_proxy.cli.shells import SHELLS, Shell
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

SCHEMA = "mcproxy.completion/1"

EXAMPLES = """\b
Examples:
  mcproxy completion bash --install
  source <(mcproxy completion zsh)
  mcproxy completion fish | source
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=OneOf(list(SHELLS)), metavar="SHELL")
@click.option("--install", is_flag=True, help="Write it where the shell looks, and say where.")
@json_option(SCHEMA)
def completion(*, shell: str, install: bool, as_json: bool) -> None:
    """Print the script that completes words in bash, zsh or fish.

    Verbs, options, accounts, providers and models are completed, without a network. --install
    writes one file, changes none, and says which: delete that file to take it back.
    """
    chosen = SHELLS[shell]
    place = chosen.place(os.environ, Path.home())
    result = {
        "schema": SCHEMA,
        "shell": shell,
        "file": str(place),
        "action": _install(chosen, place) if install else None,
        "script": chosen.script,
        "hint": chosen.hint.format(directory=place.parent) or None,
    }
    show(result, _installed_view if install else _script_view, as_json=as_json)


def _install(shell: Shell, place: Path) -> str:
    """What had to be done."""
    try:
        if place.is_file() and place.read_text(encoding="utf-8") == shell.script:
            return "unchanged"
        action = "updated" if place.exists() else "written"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(shell.script, encoding="utf-8")
    except (OSError, UnicodeError) as cause:
        raise UserError(f"{place}: cannot be written: {cause}") from cause
    return action


def _script_view(result: Mapping[str, Any]) -> "Iterator[Shown]":
    yield result["script"].removesuffix("\n")


def _installed_view(result: Mapping[str, Any]) -> "Iterator[Shown]":
    was = {"unchanged": "is there already"}.get(result["action"], f"is {result['action']}")
    yield text(f"{result['file']} {was}.")
    if result["hint"]:
        yield text(result["hint"])
    yield text(f"It works in the next {result['shell']} that is started. Delete the file to undo.")
