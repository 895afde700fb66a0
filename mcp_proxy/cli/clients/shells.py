"""Variables as each shell sets them, quoted so that nothing in a value means anything to it."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _pwsh(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _cmd(value: str) -> str:
    """For an argument of a doskey macro: `\\"` is a quote to the program that is started."""
    return '"' + value.replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class Shell:
    """How one shell is spoken to."""

    variable: str
    """With `{name}` and `{value}`."""
    function: str
    """A command that adds arguments, with `{command}` and `{arguments}`."""
    quote: Callable[[str], str]
    quote_value: Callable[[str], str] | None = None
    """Where a variable's value is quoted in another way."""

    def lines(
        self, variables: Mapping[str, str], command: str, arguments: tuple[str, ...]
    ) -> list[str]:
        """What the shell is to read; with arguments, the command becomes a function with them."""
        quote = self.quote_value or self.quote
        made = [
            self.variable.format(name=name, value=quote(value)) for name, value in variables.items()
        ]
        if arguments:
            given = " ".join(map(self.quote, arguments))
            made.append(self.function.format(command=command, arguments=given))
        return made


_POSIX = Shell(
    "export {name}={value}",
    '{command}() {{ command {command} {arguments} "$@"; }}',
    lambda value: shlex.quote(value) if value else "''",
)

SHELLS: Mapping[str, Shell] = {
    "bash": _POSIX,
    "zsh": _POSIX,
    "fish": Shell(
        "set -gx {name} {value}",
        "function {command}; command {command} {arguments} $argv; end",
        _fish,
    ),
    "pwsh": Shell(
        "$env:{name} = {value}",
        "function {command} {{ & (Get-Command -CommandType Application {command})[0]"
        " {arguments} @args }}",
        _pwsh,
    ),
    # Without quotes inside: `set "A=x"` takes everything up to the last quote of the line.
    "cmd": Shell('set "{name}={value}"', "doskey {command}={command} {arguments} $*", _cmd, str),
}

USUAL = "bash"


def shell_of(env: Mapping[str, str]) -> str:
    """The shell of the user, as far as the variables tell."""
    name = PurePath(env.get("SHELL", "")).name
    known = re.sub(r"[\d.-]+$", "", name)
    return known if known in SHELLS else USUAL
