"""What stands at the end of a stream: its width, whether it shows colours, which letters it has.

Obeys COLUMNS, NO_COLOR (no-color.org), FORCE_COLOR, CLICOLOR and CLICOLOR_FORCE
(bixense.com/clicolors), TERM=dumb, and a locale that says C. A pipe has no width: nothing is cut or
broken there.
"""

import codecs
import os
import sys
from collections.abc import Mapping
from typing import IO

USUAL_WIDTH = 80

_SPELLED = {"…": "...", "–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "→": "->"}
"""Typography that has a spelling where there are no such letters; all others become `?`."""

DUMB = ("dumb", "unknown")
"""Values of TERM that stand for terminals without colours and a cursor to be moved."""


def width_of(stream: IO[str]) -> int | None:
    """Columns. None where lines may be as long as they are."""
    named = os.environ.get("COLUMNS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    if not stream.isatty():
        return None
    # A terminal that was never told its size says 0.
    return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH


def shows_colours(stream: IO[str], env: Mapping[str, str]) -> bool:
    """Whoever wants none is heard first, then whoever insists."""
    if env.get("NO_COLOR"):
        return False
    if any(env.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and env.get("CLICOLOR") != "0" and env.get("TERM") not in DUMB


def spelled(shown: str, stream: IO[str]) -> str:
    """The text in letters that the stream has, so that its width is known before it is written."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if shown.isascii() or encoding.lower().startswith("utf"):
        return shown
    return shown.encode(encoding, _HANDLER).decode(encoding)


_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""By descriptor."""


def open_missing_streams() -> None:
    """Leads to nowhere what the program was started without, as by `mcproxy serve >&-`.

    Else the next files to be opened get the numbers: what is said would be written into them, and
    uvloop aborts over descriptors that are not its own.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, which is this one. Children are to have it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 - for good


def let_go_of_the_unwritable() -> None:
    """Before the end: of what is still to be written and cannot be, Python would make exit 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def adapt_streams() -> None:
    """Both streams, so that no character is a traceback, and C in a locale means ASCII.

    Python takes LC_ALL=C for UTF-8 (PEP 540); whoever has said C has a reason.
    """
    ascii_only = _locale(os.environ) in ("C", "POSIX") and not any(
        os.environ.get(name) for name in ("PYTHONIOENCODING", "PYTHONUTF8")
    )
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER, **({"encoding": "ascii"} if ascii_only else {}))


def _locale(env: Mapping[str, str]) -> str:
    """The one in force for letters; empty: nobody has said."""
    return next((env[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(name)), "")


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_SPELLED.get(each, "?") for each in bad), error.end


_HANDLER = "mcproxy.spelled"
codecs.register_error(_HANDLER, _spell)
