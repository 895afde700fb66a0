"""Figures of a benchmark: readings round by round, their medians, and the targets they are held to.

Knows nothing of how a reading is taken.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final, Literal

from rich.table import Table

DIRECT: Final = "direct"
FLOOR: Final = "floor"
PROXY: Final = "mcproxy"
TARGETS: Final = (DIRECT, FLOOR, PROXY)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure has to reach: a ratio to the floor, or a value of its own."""

    kind: Literal["ratio", "at most"]
    value: float


GOALS: Final = {
    "small x16: requests/s": Goal("ratio", 0.4),
    "small x16: CPU us/request": Goal("ratio", 0.4),
    "stream x16: streams/s": Goal("ratio", 0.6),
    "stream x16: CPU us/stream": Goal("ratio", 0.6),
    "turn x16: turns/s": Goal("ratio", 0.4),
    "turn x16: CPU us/turn": Goal("ratio", 0.4),
    "paced x16: event delay p99 ms": Goal("at most", 1.0),
    "memory: KB/open stream": Goal("at most", 60.0),
    "start: s to first /health": Goal("at most", 0.5),
    "start: idle MB": Goal("at most", 50.0),
}


@dataclass(slots=True)
class Figure:
    """One line of the result."""

    name: str
    more_is_better: bool
    readings: dict[str, list[float]] = field(default_factory=dict)
    """By target, one for each round, in the order of the rounds."""

    def median(self, target: str) -> float | None:
        return median(self.readings[target]) if target in self.readings else None

    @property
    def ratio(self) -> float | None:
        """The proxy as a fraction of the floor, 1 when it costs nothing; paired by round."""
        pairs = list(zip(self.readings.get(PROXY, ()), self.readings.get(FLOOR, ()), strict=False))
        quotients = [
            proxy / floor if self.more_is_better else floor / proxy
            for proxy, floor in pairs
            if proxy > 0 and floor > 0
        ]
        return median(quotients) if quotients else None

    @property
    def goal(self) -> Goal | None:
        return GOALS.get(self.name)

    @property
    def met(self) -> bool | None:
        """None without a goal, or when the proxy was not measured."""
        reached = self.median(PROXY)
        if self.goal is None or reached is None:
            return None
        if self.goal.kind == "at most":
            return reached <= self.goal.value
        return self.ratio is not None and self.ratio >= self.goal.value


class Figures:
    """All figures of a run, in the order in which they were first read."""

    def __init__(self) -> None:
        self._by_name: dict[str, Figure] = {}

    def add(self, name: str, target: str, value: float, *, more_is_better: bool = False) -> None:
        figure = self._by_name.setdefault(name, Figure(name, more_is_better))
        figure.readings.setdefault(target, []).append(value)

    def add_difference(self, name: str, difference: str) -> None:
        """A figure of what the other targets take beyond `direct`, round by round."""
        readings = self._by_name[name].readings
        for target in readings.keys() - {DIRECT}:
            for reached, direct in zip(readings[target], readings.get(DIRECT, ()), strict=False):
                self.add(difference, target, reached - direct)

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._by_name.values())

    def as_json(self) -> str:
        return json.dumps(
            {
                "figures": [
                    {
                        "name": figure.name,
                        **{target: figure.median(target) for target in TARGETS},
                        "ratio_to_floor": figure.ratio,
                        "goal": None if figure.goal is None else asdict(figure.goal),
                        "met": figure.met,
                        "readings": figure.readings,
                    }
                    for figure in self
                ]
            }
        )

    def as_table(self) -> Table:
        table = Table(title="Medians of all rounds; ratio: 1 would be the floor itself")
        table.add_column("figure")
        for name in (*TARGETS, "ratio", "target", "met"):
            table.add_column(name, justify="right")
        for figure in self:
            table.add_row(
                figure.name,
                *(_number(figure.median(target)) for target in TARGETS),
                _number(figure.ratio),
                _goal(figure.goal),
                {None: "", True: "yes", False: "[red]no[/red]"}[figure.met],
            )
        return table


def _goal(goal: Goal | None) -> str:
    if goal is None:
        return ""
    return f"{'>=' if goal.kind == 'ratio' else '<='} {goal.value:g}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
