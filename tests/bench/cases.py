"""What is measured, and how: each case takes its readings of all targets, round by round.

Targets take turns inside a round and the order turns with the round, so that whatever else the
machine does meets all of them alike. CPU time is that of the target's process alone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import quantiles
from urllib.parse import urlsplit

import aiohttp

from . import bodies
from .figures import Figures
from .load import BadAnswer, Open, Sample, ask, closed_loop, event_delays
from .processes import Target
from .upstream import EVENTS, PACE, SLOW

US = 1e6
MS = 1e3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    rounds: int = 12
    seconds: float = 0.5
    """Of one run against one target. Many short runs in turn, for what else the machine does comes
    and goes within seconds, and would meet one target more than another."""
    streams: int = 1000
    """Open at once in the memory case."""
    settle: float = 1.5 * SLOW
    """Seconds that they stay open, so that each has had an event since its first."""
    paced: int = 16
    starts: int = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a case works with."""

    plan: Plan
    targets: Sequence[Target]
    """Running ones: direct, floor and proxy, or some of them."""
    starters: Mapping[str, Callable[[], AbstractContextManager[Target]]]
    """How a fresh floor or proxy is started, for what has to be measured on one."""
    figures: Figures

    def turns(self) -> Iterable[Target]:
        """Every target once per round, beginning with another one each time."""
        for round_ in range(self.plan.rounds):
            shift = round_ % len(self.targets)
            yield from (*self.targets[shift:], *self.targets[:shift])


def request_for(target: Target, body: bytes) -> bytes:
    return bodies.post(urlsplit(target.url).netloc, "/v1/messages", body)


async def small(bench: Bench) -> None:
    """4 KB in, 1 KB out: what a request costs beside its tokens."""
    whole = bodies.small("small", stream=False)
    for clients in (1, 16):
        await _throughput(bench, "small", "request", whole, clients=clients)
    streamed = bodies.small("small", stream=True)
    await _throughput(bench, "small streamed", "request", streamed, clients=16)


async def turn(bench: Bench) -> None:
    """300 KB and 20 tools in, 200 events out: a turn of Claude Code."""
    body = bodies.turn("stream")
    for clients in (1, 16):
        await _throughput(bench, "turn", "turn", body, clients=clients)


async def stream(bench: Bench) -> None:
    """200 events at full speed: what an event costs."""
    body = bodies.small("stream", stream=True)
    for clients in (1, 16, 64):
        await _throughput(bench, "stream", "stream", body, clients=clients, events=EVENTS)
    body = bodies.small("bursts", stream=True)
    await _throughput(bench, "bursts", "stream", body, clients=16, events=EVENTS)


async def paced(bench: Bench) -> None:
    """An event each 10 ms in 16 streams: how long one is held up."""
    body = bodies.small("paced", stream=True)
    count = bench.plan.paced
    for target in bench.turns():
        delays = await event_delays(
            target.url,
            request_for(target, body),
            streams=count,
            seconds=bench.plan.seconds,
            between=PACE / count,
        )
        for name, value in zip(("p50", "p99"), _p50_p99(delays), strict=True):
            bench.figures.add(f"paced x{count}: event delay {name} ms", target.name, value * MS)


async def memory(bench: Bench) -> None:
    """What an open stream keeps in memory while it waits for its next event."""
    body = bodies.small("slow", stream=True)
    warm_up = bodies.small("stream", stream=True)
    for name, start in bench.starters.items():
        with start() as target:
            await closed_loop(target.url, request_for(target, warm_up), clients=16, seconds=0.3)
            before = target.memory()
            async with Open(target.url, request_for(target, body)) as streams:
                await streams.add(bench.plan.streams)
                await asyncio.sleep(bench.plan.settle)
                streams.check()
                grown = target.memory() - before
            bench.figures.add("memory: KB/open stream", name, grown / 1024 / bench.plan.streams)


async def start(bench: Bench) -> None:
    """From the command to the first answer, and what the idle process occupies."""
    for starter in bench.starters.values():
        with starter():
            """The first start compiles byte code; an installed program's is there already."""
    for _ in range(bench.plan.starts):
        for name, starter in bench.starters.items():
            began = time.perf_counter()
            with starter() as target:
                await _healthy(target)
                bench.figures.add("start: s to first /health", name, time.perf_counter() - began)
                await asyncio.sleep(0.5)
                bench.figures.add("start: idle MB", name, target.memory() / 2**20)


CASES: Mapping[str, Callable[[Bench], Awaitable[None]]] = {
    each.__name__: each for each in (small, turn, stream, paced, memory, start)
}

ON_ONE_CORE = frozenset({"small", "turn", "stream"})
"""Those that compare CPU time. Delays are worse on a core that one may not leave, whoever else
comes to it."""

PROFILED: Mapping[str, Callable[[], bytes]] = {
    "small": lambda: bodies.small("small", stream=False),
    "turn": lambda: bodies.turn("stream"),
    "stream": lambda: bodies.small("stream", stream=True),
    "bursts": lambda: bodies.small("bursts", stream=True),
}
"""Cases that a profile can be taken of, with the request that is sent then."""


async def check(target: Target) -> None:
    """Raises BadAnswer unless the target's answers hold everything that the upstream sent."""
    last = bodies.small("stream", stream=True)
    for body, events in ((last, EVENTS), (bodies.turn("stream"), EVENTS)):
        found = await ask(target.url, request_for(target, body))
        words = sum(found.count(b" word%d and some" % at) > 0 for at in range(events - 1))
        if words != events - 1 or b" end." not in found:
            raise BadAnswer(
                f"{target.name}: {words} of {events - 1} events arrived: {found[:2000]!r}"
            )


async def _throughput(
    bench: Bench, case: str, unit: str, body: bytes, *, clients: int, events: int = 0
) -> None:
    """Readings of one body at one concurrency: rate, CPU and latency, added ones included."""
    name = f"{case} x{clients}"
    figures = bench.figures
    for target in bench.turns():
        sample, cpu = await _run(target, body, clients=clients, seconds=bench.plan.seconds)
        count = len(sample.latencies)
        rate = count / sample.elapsed
        figures.add(f"{name}: {unit}s/s", target.name, rate, more_is_better=True)
        figures.add(f"{name}: CPU us/{unit}", target.name, cpu / count * US)
        if events:
            figures.add(f"{name}: events/s", target.name, rate * events, more_is_better=True)
            figures.add(f"{name}: CPU us/event", target.name, cpu / count / events * US)
        p50, p99 = _p50_p99(sample.latencies)
        figures.add(f"{name}: latency p50 ms", target.name, p50 * MS)
        figures.add(f"{name}: latency p99 ms", target.name, p99 * MS)
        first, _ = _p50_p99(sample.first_bytes)
        figures.add(f"{name}: first event p50 ms", target.name, first * MS)
    for percentile in ("p50", "p99"):
        figures.add_difference(
            f"{name}: latency {percentile} ms", f"{name}: added latency {percentile} ms"
        )


async def _run(
    target: Target, body: bytes, *, clients: int, seconds: float
) -> tuple[Sample, float]:
    """The sample, and the CPU seconds that the target spent on it."""
    request = request_for(target, body)
    await closed_loop(target.url, request, clients=clients, seconds=min(seconds / 5, 0.3))
    before = target.cpu_seconds()
    sample = await closed_loop(target.url, request, clients=clients, seconds=seconds)
    return sample, target.cpu_seconds() - before


async def _healthy(target: Target) -> None:
    async with aiohttp.ClientSession() as session, session.get(target.url + "/health") as answer:
        answer.raise_for_status()


def _p50_p99(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
