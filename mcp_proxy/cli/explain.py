"""`mcproxy explain`: what became of a request, and why. Read from what servers wrote down."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli import times
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import column, facts, indented, json_option, show, table, text
from mcp_proxy.cli.running_server import NoServer, running_server
from mcp_proxy.errors import UserError
from mcp_proxy.spelling import did_you_mean

if TYPE_CHECKING:
    from rich.text import Text

    from mcp_proxy.cli.layout import Shown

SCHEMA = "mcproxy.explain/1"
INDENT = 2
WRITTEN_WITHIN = 0.5
"""Seconds after an answer in which a server writes down what it did.

Lines of the access log are gathered for 0.25 s (`server.access_log`), rows of the state for 0.2 s
(`store.state`); one comes after the other.
"""

UNNAMED = "-"
"""What the server calls clients that do not say who they are."""

EXAMPLES = """\b
Examples:
  mcproxy explain
  mcproxy explain req_5f0c2a9d1b7e4f60a1c3d5e7
  mcproxy explain --last 20
"""

Row = Mapping[str, Any]


@click.command(epilog=EXAMPLES)
@click.argument("request_id", metavar="[REQUEST-ID]", required=False)
@click.option(
    "--last", type=click.IntRange(1, 1000), metavar="N", help="The latest N, a line each."
)
@json_option(SCHEMA)
@pass_app
def explain(app: App, /, *, request_id: str | None, last: int | None, as_json: bool) -> None:
    """Tell what was decided for a request: the latest one, or one by its id."""
    if request_id is not None and last is not None:
        raise click.UsageError("REQUEST-ID and --last exclude each other")
    rows = _kept(app)
    rows.sort(key=lambda row: str(row.get("at")))
    if last is not None:
        show({"schema": SCHEMA, "requests": rows[-last:]}, _list_view, as_json=as_json)
        return
    show({"schema": SCHEMA, "requests": [_chosen(rows, request_id)]}, _view, as_json=as_json)


def _kept(app: App) -> list[dict[str, Any]]:
    """Everything that is kept, with what a server that runs answered a moment ago."""
    with suppress(NoServer, UserError):
        running_server(app).health()
        time.sleep(WRITTEN_WITHIN)
    return list(app.state_reader().items("decisions").values())


def _chosen(rows: list[dict[str, Any]], request_id: str | None) -> Row:
    if request_id is None:
        if not rows:
            raise UserError(
                "no request for a model has been answered yet; of those to `serve --demo` none is "
                "kept. See whether all works: mcproxy test"
            )
        return rows[-1]
    wanted = _bare(request_id)
    found = [row for row in rows if _bare(row["id"]).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{request_id} is the beginning of {len(found)} requests; give more of it")
    raise UserError(
        f"no request {request_id} is kept; they are kept for 7 days, and of many at once some."
        f"{did_you_mean(request_id, [row['id'] for row in rows])} See: mcproxy explain --last 20"
    )


def _bare(request_id: str) -> str:
    return request_id.strip().removeprefix("req_")


def _list_view(result: Row) -> "Iterable[Shown]":
    if not result["requests"]:
        yield text("No request has been answered yet.")
        return
    rows = table(
        "REQUEST",
        "TIME",
        "ASKED",
        column("SERVED", minor=True),
        column("BY", minor=True),
        "STATUS",
        column("TRIES", align="right", minor=True),
        column("MS", align="right"),
    )
    now = datetime.now(UTC)
    for row in result["requests"]:
        tries = sum(step["kind"] == "attempt" for step in row["steps"])
        rows.add_row(
            text(row["id"]),
            text(times.clock(times.parse(row["at"]), now), "dim"),
            text(row["asked"]),
            text(row["served"]),
            text(row["account"]),
            text(row["status"], "" if row["status"] < 400 else "red"),
            text(tries),
            text(_whole(row["ms"]["total"])),
        )
    yield rows


def _view(result: Row) -> "Iterator[Shown]":
    (row,) = result["requests"]
    yield text(row["id"], "bold")
    yield facts(*((name, text(value)) for name, value in _facts(row)), indent=INDENT)
    yield text("")
    yield text("considered", "bold")
    for each in row["considered"]:
        why = each["why_not"] or ("answered" if _answered(row, each) else "could be asked")
        yield indented(text(f"{each['account']} for {each['model']}: {why}"), INDENT)
    if not row["considered"]:
        yield indented(text("nobody"), INDENT)
    yield text("")
    yield text("what took the time", "bold")
    yield facts(*_timeline(row), indent=INDENT)


def _facts(row: Row) -> Iterator[tuple[str, str]]:
    yield "asked", f"{row['asked']} ({row['dialect']}, {row['path']})"
    yield "at", f"{times.parse(row['at']).astimezone():%Y-%m-%d %H:%M:%S %z}"
    if row["client"] != UNNAMED:
        yield "from", row["client"]
    if row["leads_to"]:
        yield "leads to", ", then ".join(row["leads_to"])
    if row["fallback_from"]:
        yield "fallback", f"{row['fallback_from']} -> {row['served']}"
    yield "answer", f"{row['status']}, {_served(row)}" + (", forwarded" if row["forwarded"] else "")
    if row["error"]:
        yield "error", row["error"]
    usage = row["usage"]
    if usage["input"] or usage["output"]:
        cached = f", {usage['cache_read']} of it cached" if usage["cache_read"] else ""
        prompt = usage["input"] + usage["cache_read"] + usage["cache_write"]
        yield "tokens", f"{prompt} in{cached}, {usage['output']} out"
    for note in row["notes"]:
        yield "note", note


def _served(row: Row) -> str:
    if row["served"] is None:
        return "nobody"
    return f"{row['served']} by {row['provider']}/{row['account']}"


def _answered(row: Row, considered: Row) -> bool:
    return bool(
        row["status"] < 400
        and considered["account"] == row["account"]
        and considered["model"] == row["served"]
    )


def _timeline(row: Row) -> "Iterator[tuple[str, Text]]":
    """What each step took, right-aligned, and what it was."""
    for step in row["steps"]:
        if step["kind"] == "wait":
            yield _took(step["ms"], f"waited: {step['result']}")
            continue
        if step["kind"] == "refresh":
            yield _took(step["ms"], f"{step['account']} got a new access token first")
            continue
        status = f" (HTTP {step['status']})" if step["status"] else ""
        detail = f": {step['detail']}" if step["detail"] else ""
        yield _took(step["ms"], f"{step['account']} {step['result']}{status}{detail}")
    ms = row["ms"]
    if ms["own"] is not None:
        yield _took(ms["own"], "mcproxy itself, up to the first content")
    yield _took(ms["total"], "in all")


def _took(milliseconds: float | None, what: str) -> "tuple[str, Text]":
    return f"{_whole(milliseconds):>7} ms", text(what)


def _whole(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
