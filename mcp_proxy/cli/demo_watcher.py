"""The audience of `mcproxy demo` at a terminal, or in a file that is read later."""

import asyncio
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.render import PIPE_WIDTH, JsonObject, Paper, indented, text, verbatim
from mcp_proxy.cli.wrapping import HANG, cells
from mcp_proxy.demo.play import Audience, Step

if TYPE_CHECKING:
    from rich.text import Text

TYPING_PAUSE = 0.035
"""Seconds between pieces at a terminal: text that appears at once does not look streamed."""

_LEAD = {"thinking": "thinks: ", "text": "says: "}
_MARGIN = 3
"""Blanks before what happens in an act."""

_WORDS = re.compile(r"(\s*)(\S*)")


class Watcher(Audience):
    """Prints what happens; without a terminal also without colours and pauses."""

    def __init__(self) -> None:
        self._paper = Paper()
        self._acts = 0
        self._kind: str | None = None
        """What the open line of streamed text is; None: no line is open."""
        self._column = 0
        self._blank = False
        """Whether the next word stands apart from the last one."""

    async def opens(self, url: str, upstream: str) -> None:
        self._line(f"mcproxy on {url}, in front of an embedded upstream on {upstream}", "dim")

    async def begins(self, title: str) -> None:
        self._acts += 1
        self._line("")
        self._line(f"{self._acts}. {title}", "bold cyan")

    async def hears(self, kind: str, piece: str) -> None:
        if kind != self._kind:
            self._close_line()
            self._kind = kind
            self._put(" " * _MARGIN + _LEAD[kind].rstrip(), "dim")
            self._column, self._blank = _MARGIN + len(_LEAD[kind]) - 1, True
        self._type(piece, "dim italic" if kind == "thinking" else "")
        if self._paper.out.is_terminal:
            self._paper.out.file.flush()
            await asyncio.sleep(TYPING_PAUSE)

    async def learns(self, fact: str) -> None:
        self._line(fact, "green", _MARGIN)

    async def sees(self, report: JsonObject) -> None:
        self._close_line()
        out = self._paper.out
        for each in limits_view(report, width=out.width, ascii_only=out.options.ascii_only):
            self._paper.print(each)
        self._line("")

    async def ends(self, step: Step) -> None:
        if step.problem is not None:
            self._line(f"failed: {step.problem}", "bold red", _MARGIN)
        self._close_line()

    def _line(self, line: str, style: str = "", margin: int = 0) -> None:
        self._close_line()
        self._paper.print(indented(text(line, style), margin))

    def _close_line(self) -> None:
        if self._kind is not None:
            self._paper.out.print()
            self._kind = None

    def _type(self, piece: str, style: str) -> None:
        """More of the open line: one per answer, since a thought's own breaks would tear it."""
        for blank, word in _WORDS.findall(piece):
            self._blank = self._blank or bool(blank)
            if not word:
                continue
            shown = " " * self._blank + text(word).plain
            if self._blank and self._column + cells(shown) > (self._paper.width or PIPE_WIDTH):
                self._paper.out.print()
                shown, self._column = " " * (_MARGIN + HANG) + shown.lstrip(), 0
            self._put(shown, style)
            self._column += cells(shown)
            self._blank = False

    def _put(self, shown: str, style: str) -> None:
        self._paper.out.print(shown, end="", style=style, soft_wrap=True)


def farewell(report: JsonObject) -> "Iterator[Text]":
    """How the show went, and what comes next."""
    steps = report["steps"]
    failed = sum(not step["ok"] for step in steps)
    yield text("")
    if failed:
        yield text(f"{failed} of {len(steps)} steps failed.", "bold red")
        return
    seconds = f"{report['seconds']:.1f} s"
    yield text(f"All {len(steps)} steps held, in {seconds}. Now with your own accounts:", "bold")
    for command in ("mcproxy accounts add --provider antigravity", "mcproxy serve"):
        yield indented(verbatim(command), 2)
