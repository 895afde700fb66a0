"""The benchmark works: with tiny counts its figures mean nothing, but every one is there."""

import json
import math
import os
import pstats
import subprocess
import sys
from pathlib import Path

import pytest
from bench import bodies, processes
from bench.figures import DIRECT, FLOOR, GOALS, PROXY, Figures

ROOT = Path(__file__).parent.parent.parent


def bench(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.bench", "--quick", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quick_run_has_every_figure_that_has_a_target():
    figures = {figure["name"]: figure for figure in json.loads(bench("--json"))["figures"]}
    assert set(GOALS) <= set(figures)
    for name in GOALS:
        assert math.isfinite(figures[name][PROXY])
        assert math.isfinite(figures[name][FLOOR])
        assert figures[name]["met"] in {True, False}


@pytest.mark.skipif(
    not processes.can_pin(), reason="cores can be told apart on Linux, where there are two"
)
def test_measured_processes_can_have_a_core_of_their_own(tmp_path):
    cores = os.sched_getaffinity(0)

    def confined_to() -> list[set[int]]:
        return [set(each.process.cpu_affinity()) for each in (floor, upstream)]

    with (
        processes.upstream(tmp_path) as upstream,
        processes.floor(tmp_path, upstream.url) as floor,
    ):
        with processes.pinned([floor], apart_from=upstream):
            assert [*confined_to(), os.sched_getaffinity(0)] == [
                {min(cores)},
                cores - {min(cores)},
                cores - {min(cores)},
            ]
        assert [*confined_to(), os.sched_getaffinity(0)] == [cores, cores, cores]


def test_a_profile_is_of_the_program(tmp_path):
    file = tmp_path / "profile"
    assert "function calls" in bench("--profile", "stream", "--profile-to", str(file))
    profiled = {path for path, _, _ in pstats.Stats(str(file)).stats}
    assert str(ROOT / "mcp_proxy" / "sse.py") in profiled


def test_bodies_are_of_the_size_they_are_named_for():
    small, turn = bodies.small("small", stream=True), bodies.turn("stream")
    assert len(small) == pytest.approx(4 * 1024, rel=0.02)
    assert len(turn) == pytest.approx(300 * 1024, rel=0.02)
    assert len(json.loads(turn)["tools"]) == 20
    assert turn == bodies.turn("stream")


def test_a_ratio_pairs_the_rounds_and_is_below_one_when_the_proxy_costs_more():
    figures = Figures()
    for floor, proxy in ((100, 50), (10, 4), (1, 0.9)):
        figures.add("small x16: requests/s", FLOOR, floor, more_is_better=True)
        figures.add("small x16: requests/s", PROXY, proxy, more_is_better=True)
        figures.add("small x16: CPU us/request", FLOOR, floor)
        figures.add("small x16: CPU us/request", PROXY, floor / 0.3)
    rate, cpu = figures
    assert (rate.ratio, rate.met) == (pytest.approx(0.5), True)
    assert (cpu.ratio, cpu.met) == (pytest.approx(0.3), False)


@pytest.mark.parametrize(("reached", "met"), [(0.4, True), (0.6, False)])
def test_a_target_of_its_own_is_held_against_the_median(reached, met):
    figures = Figures()
    for value in (reached, 0.0, 9.0):
        figures.add("start: s to first /health", PROXY, value)
    (figure,) = figures
    assert figure.met is met


def test_added_latency_is_what_a_target_takes_beyond_direct():
    figures = Figures()
    for direct, floor in ((1.0, 3.0), (2.0, 5.0)):
        figures.add("latency", DIRECT, direct)
        figures.add("latency", FLOOR, floor)
    figures.add_difference("latency", "added")
    assert [figure.readings for figure in figures if figure.name == "added"] == [
        {FLOOR: [2.0, 3.0]}
    ]
