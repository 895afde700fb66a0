"""Stop sequences for upstreams that have none: the text is cut where the first one begins."""

from collections.abc import Sequence


class StopCutter:
    """Cuts one text that comes in pieces; holds back only what may yet become a stop sequence."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.hit: str | None = None
        """The stop sequence that was met; nothing of the text counts after it."""

    def feed(self, piece: str) -> str:
        """What of the text so far can be shown now."""
        if self.hit is not None:
            return ""
        text = self._held + piece
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.hit = min(found)
            self._held = ""
            return text[:at]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        """What was held back, now that the text has ended."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, text: str) -> int:
        """Characters at the end with which a stop sequence begins."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
