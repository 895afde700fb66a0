"""How much of a place's windows is used, per account: figures that a test sets and a place reports.

Nothing is counted here: an account has what `use` said last. The clock is an argument elsewhere;
reset times are given as Unix times.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    used: float
    """Fraction 0-1."""
    resets_at: float


class Allowance:
    """The windows of one place."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str | None, str], Window] = {}

    def use(
        self, window: str, used: float, *, resets_at: float, account: str | None = None
    ) -> None:
        """From now on `used` (0-1) of this window is gone; without `account`, of everybody's."""
        self._windows[account, window] = Window(used, resets_at)

    def of(self, account: str, window: str, *, default_reset: float) -> Window:
        """What is reported of one window."""
        found = self._windows.get((account, window)) or self._windows.get((None, window))
        return found or Window(0.0, default_reset)

    def exhausted(self, account: str, windows: tuple[str, ...], now: float) -> Window | None:
        """The window that is used up and resets last; None while there is something left."""
        spent = [
            found
            for window in windows
            if (found := self.of(account, window, default_reset=now)).used >= 1
            and found.resets_at > now
        ]
        return max(spent, key=lambda window: window.resets_at, default=None)
