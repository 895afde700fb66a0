"""The benchmark's command line: `python -m tests.bench --help`."""

import argparse
import pstats
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console

from . import processes
from .cases import CASES, ON_ONE_CORE, PROFILED, Bench, Plan, check, request_for
from .figures import DIRECT, FLOOR, PROXY, TARGETS, Figures
from .load import closed_loop
from .processes import Target

DESCRIPTION = """\
Measures the program beside two yardsticks in one go: `direct`, the client talking to the upstream
itself, and `floor`, a bare pass-through on the same stack. Targets are ratios to the floor.

  python -m tests.bench                            everything, a dozen rounds (some minutes)
  python -m tests.bench --case stream --rounds 30  one case
  python -m tests.bench --profile stream           where the program's time goes in one case: the 25
                                                   functions, and then those of its own, that
                                                   cost most under cProfile

`--profile-to FILE` keeps the profile for pstats, snakeviz and others.
"""

SPREAD = """\
let the system run every process where it likes; else floor and mcproxy have one core for
themselves where CPU time is measured, which is what those targets are for (Linux, two cores or
more)"""

QUICK = Plan(rounds=1, seconds=0.05, streams=5, settle=0.0, starts=1)
PROFILE_CLIENTS = 16
PROFILE_LINES = 25
WORTH_TELLING = 0.005
"""Share of the processor time without which the figures are a little worse than they might be."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json)
    with tempfile.TemporaryDirectory(prefix="mcproxy-bench-") as home:
        if options.profile is not None:
            uvloop.run(_profile(options.profile, Path(home), options))
            return 0
        figures = uvloop.run(_measure(options, Path(home), console))
    if options.json:
        print(figures.as_json())
    else:
        Console(width=None if console.is_terminal else 130).print(figures.as_table())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--case", action="append", choices=CASES, help="may be repeated")
    parser.add_argument("--target", action="append", choices=TARGETS, help="may be repeated")
    parser.add_argument("--rounds", type=int, help=f"[{plan.rounds}]")
    parser.add_argument("--seconds", type=float, help=f"of one run [{plan.seconds:g}]")
    parser.add_argument("--streams", type=int, help=f"open in the memory case [{plan.streams}]")
    parser.add_argument("--spread", action="store_true", help=SPREAD)
    parser.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--profile", choices=PROFILED, help="profile the program in this case")
    parser.add_argument("--profile-to", type=Path, metavar="FILE", help="keep the profile there")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    given = {name: getattr(options, name) for name in ("rounds", "seconds", "streams")}
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


async def _measure(options: argparse.Namespace, home: Path, console: Console) -> Figures:
    wanted = [name for name in TARGETS if name in (options.target or TARGETS)]
    with ExitStack() as running:
        upstream = running.enter_context(processes.upstream(home))
        starters: dict[str, Callable[[], AbstractContextManager[Target]]] = {
            FLOOR: lambda: processes.floor(home, upstream.url),
            PROXY: lambda: processes.mcproxy(home, upstream.url),
        }
        starters = {name: start for name, start in starters.items() if name in wanted}
        started = [running.enter_context(start()) for start in starters.values()]
        targets = [upstream, *started] if DIRECT in wanted else started
        for target in targets:
            await check(target)
        bench = Bench(_plan(options), targets, starters, Figures())
        for name in options.case or CASES:
            has_core = name in ON_ONE_CORE and not options.spread and processes.can_pin()
            told = " on one core" if has_core else ""
            console.print(f"measuring {name}{told} ...", style="dim")
            with (
                processes.pinned(started, apart_from=upstream) if has_core else nullcontext(),
                processes.lost_to_host() as lost,
            ):
                await CASES[name](bench)
            if lost() >= WORTH_TELLING:
                console.print(f"  the host kept {lost():.0%} of the time for others", style="dim")
        return bench.figures


async def _profile(case: str, home: Path, options: argparse.Namespace) -> None:
    file = options.profile_to or home / "profile"
    # Several times a usual run, so that what is done once at the start does not lead the list.
    seconds = 16 * _plan(options).seconds
    with processes.upstream(home) as upstream:
        with processes.mcproxy(home, upstream.url):
            """Compiles byte code, which is no part of what is asked here."""
        with processes.mcproxy(home, upstream.url, profile=file) as proxy:
            request = request_for(proxy, PROFILED[case]())
            sample = await closed_loop(proxy.url, request, clients=PROFILE_CLIENTS, seconds=seconds)
    print(f"{case}: {len(sample.latencies)} answers in {sample.elapsed:.1f} s, while profiled")
    stats = pstats.Stats(str(file))
    stats.sort_stats("tottime").print_stats(PROFILE_LINES)
    stats.sort_stats("cumtime").print_stats("mcp_proxy", PROFILE_LINES)
