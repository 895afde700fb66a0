"""The templates in `units/`, filled in; values quoted as systemd.syntax(7) and XML want them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from mcp_proxy.errors import UserError

MARK = "Written by `mcproxy service install`"
"""In the first two lines of every file of ours; what lacks it is never changed."""

UNITS = Path(__file__).parents[2] / "units"

_PLACE = re.compile(r"@([A-Z]+)@")
_UNFIT = re.compile(r"[\\\"']")
"""What systemd takes in no name of a program, quoted or not."""
_PLAIN = re.compile(r"[\w/.:=,+@-]+", re.ASCII)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its @PLACES@ filled; a line for which there is nothing is left out."""
    text = (UNITS / template).read_text(encoding="utf-8")
    given = {"MARK": MARK, **values}
    lines = (
        _PLACE.sub(lambda place: given[place[1]], line)
        for line in text.splitlines()
        if not ((alone := _PLACE.fullmatch(line)) and not given[alone[1]])
    )
    return "\n".join(lines) + "\n"


def exec_line(command: Sequence[str]) -> str:
    """A command as in ExecStart=: in its arguments a dollar would begin a variable."""
    program, *arguments = command
    if _UNFIT.search(program):
        raise _refusal(program)
    return " ".join([word(program), *(word(each.replace("$", "$$")) for each in arguments)])


def word(text: str) -> str:
    """One word of a unit file, as it was meant."""
    _refuse_breaks(text)
    doubled = text.replace("%", "%%")
    if _PLAIN.fullmatch(doubled.replace("%", "")):
        return doubled
    return '"' + doubled.replace("\\", "\\\\").replace('"', '\\"') + '"'


def environment_lines(variables: Mapping[str, str]) -> str:
    return "\n".join(f"Environment={word(f'{name}={value}')}" for name, value in variables.items())


def xml_strings(values: Sequence[str], indent: str) -> str:
    return "\n".join(f"{indent}<string>{xml(value)}</string>" for value in values)


def xml_entries(entries: Mapping[str, str], indent: str) -> str:
    return "\n".join(
        f"{indent}<key>{xml(name)}</key>\n{indent}<string>{xml(value)}</string>"
        for name, value in entries.items()
    )


def xml(text: str) -> str:
    _refuse_breaks(text)
    return escape(text)


def _refuse_breaks(text: str) -> None:
    if not text.isprintable():
        raise _refusal(text)


def _refusal(path: str) -> UserError:
    return UserError(f"a service cannot have this path, because of its characters: {path!r}")
