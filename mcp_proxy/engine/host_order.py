"""In which order to ask the hosts of a place: those that could not be reached lately come last."""

from typing import Final

DOWN_FOR: Final = 30.0
"""Seconds; then one request finds out whether the host is back (faults.md 43)."""


class HostOrder:
    """One for all accounts: a host that is down is so for everybody."""

    def __init__(self) -> None:
        self._down_until: dict[str, float] = {}

    def of(self, hosts: tuple[str, ...], now: float) -> tuple[str, ...]:
        """The hosts, best first."""
        if not self._down_until or len(hosts) == 1:
            return hosts
        for host in hosts:
            if self._down_until.get(host, now + 1.0) <= now:
                self._down_until[host] = now + DOWN_FOR  # whoever asks now finds out for all
                return hosts
        return tuple(sorted(hosts, key=lambda host: host in self._down_until))

    def unreachable(self, host: str, now: float) -> None:
        """There was no connection to it."""
        self._down_until[host] = now + DOWN_FOR

    def reached(self, host: str) -> None:
        """It answered, whatever it said."""
        if self._down_until:
            self._down_until.pop(host, None)
