"""The limits table at every width, from a report alone."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from mcp_proxy.cli.limit_table import limits_view


@pytest.fixture(autouse=True)
def _in_greenwich(local_zone: Callable[[str], None]) -> None:
    local_zone("UTC")


STATES = ("ready", "soft-limited", "cooling-down", "exhausted", "unknown", "invalid", "disabled")


def row(model: str, **facts: Any) -> dict[str, Any]:
    return {
        "account": "ada",
        "model": model,
        "family": "claude",
        "remaining": 0.8,
        "resets_at": "2026-11-21T16:05:00Z",
        "limited_until": None,
        "state": "ready",
        "age_seconds": 12.0,
        "source": "quota poll",
        "evidence": "quota poll: 80% left",
        **facts,
    }


def account(account_id: str, *rows: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {
        "id": account_id,
        "provider": "antigravity",
        "label": None,
        "enabled": True,
        "state": "ready",
        "reason": None,
        "url": None,
        "read_at": None,
        "models": list(rows),
        **facts,
    }


def report(*accounts: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "mcproxy.limits/1",
        "at": "2026-11-21T13:51:00Z",
        "soft_limit": 0.2,
        "accounts": list(accounts),
    }


def drawn(document: dict[str, Any], width: int = 80, **how: Any) -> str:
    """What the table looks like to somebody without colours."""
    out = Console(file=io.StringIO(), width=width, color_system=None, markup=False)
    for each in limits_view(document, width=width, **how):
        out.print(each)
    file = out.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


LONGEST = row(
    "claude-sonnet-4-5-thinking",
    state="cooling-down",
    limited_until="2026-11-22T13:50:00Z",
    age_seconds=59 * 60.0,
)


def test_a_row_tells_figure_state_reset_and_age() -> None:
    line = drawn(report(account("ada", row("m1")))).splitlines()[2]
    assert " ".join(line.split()) == "m1 ████ 80% ready in 2 h 14 m (16:05) 12 s"


@pytest.mark.parametrize("why", [False, True])
@pytest.mark.parametrize("width", [40, 59, 60, 72, 79, 80, 100, 110, 130, 200])
def test_no_line_is_wider_than_the_terminal_and_no_model_is_cut(width: int, why: bool) -> None:
    text = drawn(report(account("ada", LONGEST)), width, why=why)
    assert max(map(len, text.splitlines())) <= width
    assert "claude-sonnet-4-5-thinking" in text
    assert "cooling-down" in text


@pytest.mark.parametrize("width", [80, 110, 200])
def test_from_80_columns_on_a_row_is_one_line(width: int) -> None:
    table = drawn(report(account("ada", LONGEST)), width).rstrip().splitlines()
    assert len(table) == 3
    assert "in 23 h 59 m" in table[2]
    assert table[2].rstrip().endswith("59 m")


@pytest.mark.parametrize(("width", "clock"), [(40, False), (60, False), (80, True), (200, True)])
def test_where_it_is_narrow_the_wait_stays_and_the_time_of_day_goes(
    width: int, clock: bool
) -> None:
    text = drawn(report(account("ada", row("m1"))), width)
    assert "2 h 14 m" in text
    assert ("(16:05)" in text) is clock


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_word(state: str, width: int) -> None:
    assert state in drawn(report(account("ada", row("m1", state=state))), width)


def test_accounts_are_groups_under_their_names() -> None:
    lines = drawn(report(account("ada", row("m1")), account("grace", row("m1")))).splitlines()
    heads = [index for index, line in enumerate(lines) if "(antigravity)" in line]
    assert [lines[index].split()[0] for index in heads] == ["ada", "grace"]
    assert all(lines[index + 1].startswith("m1") for index in heads)


@pytest.mark.parametrize(
    ("remaining", "cells", "percent"),
    [
        (1.0, "█████", "100%"),
        (0.5, "██▌", "50%"),
        (0.2, "█", "20%"),
        (0.001, "▏", "<1%"),
        (0.0, "", "0%"),
        (None, "", "?"),
    ],
)
def test_a_bar_shows_something_of_everything_above_nothing(
    remaining: float | None, cells: str, percent: str
) -> None:
    line = drawn(report(account("ada", row("m1", remaining=remaining)))).splitlines()[2]
    shown = line.removeprefix("m1").split("ready")[0].split()
    assert shown == ([cells, percent] if cells else [percent])


def test_without_a_unicode_encoding_the_bar_is_ascii() -> None:
    text = drawn(report(account("ada", row("m1", remaining=0.4))), ascii_only=True)
    assert "##...  40%" in text
    assert text.isascii()


def test_an_exhausted_model_shows_its_reset_and_not_the_capped_cooldown() -> None:
    spent = row(
        "m1",
        state="exhausted",
        remaining=0.0,
        limited_until="2026-11-21T14:51:00Z",
        resets_at="2026-11-21T23:51:00Z",
    )
    assert "in 10 h" in drawn(report(account("ada", spent)))


def test_a_cooling_model_shows_when_the_cooldown_ends() -> None:
    cooling = row("m1", state="cooling-down", limited_until="2026-11-21T13:51:30Z")
    assert "in 30 s" in drawn(report(account("ada", cooling)))


def test_what_nobody_said_is_left_empty() -> None:
    unknown = row("m1", remaining=None, resets_at=None, age_seconds=None, state="unknown")
    assert drawn(report(account("ada", unknown))).splitlines()[2].split() == ["m1", "?", "unknown"]


def test_an_account_that_needs_its_owner_says_why_and_where() -> None:
    marked = account(
        "ada", row("m1"), state="invalid", reason="verify it", url="https://example.com/verify"
    )
    assert "ada: verify it. See https://example.com/verify" in drawn(report(marked))


@pytest.mark.parametrize("width", [40, 72, 100, 200])
def test_why_shows_what_a_figure_rests_on(width: int) -> None:
    told = drawn(report(account("ada", row("m1", evidence="429 quota, for 2h"))), width, why=True)
    assert "429 quota, for 2h" in told


def test_why_without_evidence_names_the_source_or_says_that_there_is_none() -> None:
    rows = (
        row("m1", evidence=None, source="answer"),
        row("m2", evidence=None, source=None, remaining=None),
    )
    told = drawn(report(account("ada", *rows)), why=True)
    assert "answer" in told
    assert "nobody has said" in told


def test_an_account_without_models_says_so() -> None:
    assert "no models known yet" in drawn(report(account("ada")))


def test_without_accounts_it_says_how_to_add_one() -> None:
    assert "mcproxy accounts add" in drawn(report())


def test_names_cannot_steer_the_terminal() -> None:
    hostile = account("ada", row("m1\x1b[2J"), reason="\x1b]0;title\x07[red]gone[/red]")
    text = drawn(report(hostile))
    assert "\x1b" not in text
    assert "[red]gone[/red]" in text


# ------------------------------------------------------------------------- when it runs out

ENDS = {"runs_out_at": "2026-11-21T16:01:30Z", "lasts_until_reset": False, "used_per_hour": 0.37}
LASTS = {"runs_out_at": None, "lasts_until_reset": True, "used_per_hour": 0.0}
NOBODY_KNOWS = dict.fromkeys(ENDS)
OUTLOOKS = (
    row("m1", **ENDS),
    row("m2", **LASTS),
    row("m3", **NOBODY_KNOWS),
    row("m4", **{**ENDS, "runs_out_at": "2026-11-21T13:51:00Z"}),
    row("m5"),
)
"""The last one is of a server that does not tell yet."""


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_a_column_tells_when_each_quota_runs_out(width: int) -> None:
    head, *lines = drawn(report(account("ada", *OUTLOOKS)), width).splitlines()
    begin = head.index("RUNS OUT")
    cells = {line.split()[0]: line[begin:].split("  ")[0].strip() for line in lines if line}
    assert [cells[f"m{number}"] for number in range(1, 6)] == [
        "in 2 h 10 m",
        "not before reset",
        "-",
        "now",
        "-",
    ]


def test_where_it_is_narrow_the_outlook_has_a_line_of_its_own() -> None:
    lines = drawn(report(account("ada", *OUTLOOKS)), 40).splitlines()
    below = [lines[lines.index(model) + 2].strip() for model in ("m1", "m2", "m4")]
    assert below == ["runs out in 2 h 10 m", "runs out not before reset", "runs out now"]
    assert lines[lines.index("m3") + 2] == "m4"


@pytest.mark.parametrize("width", [80, 110])
def test_without_any_outlook_there_is_no_column_for_it(width: int) -> None:
    silent = report(account("ada", row("m1", **NOBODY_KNOWS)))
    assert "RUNS OUT" not in drawn(silent, width)


@pytest.mark.parametrize("width", [40, 60, 80, 110, 130, 200])
@pytest.mark.parametrize("why", [False, True])
def test_the_longest_outlook_fits_beside_the_longest_row(width: int, why: bool) -> None:
    longest = {**LONGEST, **LASTS}
    text = drawn(report(account("ada", longest)), width, why=why)
    assert max(map(len, text.splitlines())) <= width
    assert why or "not before reset" in text


def test_a_window_that_models_share_has_an_outlook_of_its_own() -> None:
    window = {**row("", **ENDS), "window": "5h", "bucket": None}
    shown = drawn(report(account("ada", row("m1"), windows=[window])), 110)
    assert re.search(r"all models, 5h .* in 2 h 10 m ", shown)


def test_why_tells_how_fast_it_goes() -> None:
    told = drawn(report(account("ada", *OUTLOOKS)), 200, why=True)
    assert "quota poll: 80% left, 37% used in an hour" in told
    assert "0% used" not in told
