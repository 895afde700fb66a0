"""The audience of `mcproxy demo` at a terminal, or in a file that is read later."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_proxy.cli.limit_table import limits_view
from mcp_proxy.cli.render import JsonObject, console, text
from mcp_proxy.demo.play import Audience, Step

if TYPE_CHECKING:
    from rich.text import Text

TYPING_PAUSE = 0.035
"""Seconds between pieces at a terminal: text that appears at once does not look streamed."""

_LEAD = {"thinking": "thinks: ", "text": "says: "}


class Watcher(Audience):
    """Prints what happens; without a terminal also without colours and pauses."""

    def __init__(self) -> None:
        self._out = console()
        self._acts = 0
        self._kind: str | None = None
        """What the open line of streamed text is; None: no line is open."""

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
            self._out.print("   " + _LEAD[kind], end="", style="dim")
        style = "dim italic" if kind == "thinking" else ""
        # One line per answer: a thought's own line breaks would tear the column.
        self._out.print(piece.replace("\n", " "), end="", style=style, soft_wrap=True)
        if self._out.is_terminal:
            self._out.file.flush()
            await asyncio.sleep(TYPING_PAUSE)

    async def learns(self, fact: str) -> None:
        self._line(f"   {fact}", "green")

    async def sees(self, report: JsonObject) -> None:
        self._close_line()
        ascii_only = self._out.options.ascii_only
        for each in limits_view(report, width=self._out.width, ascii_only=ascii_only):
            self._out.print(each)

    async def ends(self, step: Step) -> None:
        if step.problem is not None:
            self._line(f"   failed: {step.problem}", "bold red")
        self._close_line()

    def _line(self, line: str, style: str = "") -> None:
        self._close_line()
        self._out.print(line, style=style, soft_wrap=True)

    def _close_line(self) -> None:
        if self._kind is not None:
            self._out.print()
            self._kind = None


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
        yield text("").append(f"  {command}")
