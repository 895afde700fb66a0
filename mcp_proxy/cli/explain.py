"""`mcproxy explain`: what became of a request, and why. Read from the state; no server is asked."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.render import json_option, show, table, text
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "mcproxy.explain/1"

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
    rows = list(app.state_reader().items("decisions").values())
    rows.sort(key=lambda row: str(row.get("at")))
    if last is not None:
        show({"schema": SCHEMA, "requests": rows[-last:]}, _list_view, as_json=as_json)
        return
    show({"schema": SCHEMA, "requests": [_chosen(rows, request_id)]}, _view, as_json=as_json)


def _chosen(rows: list[dict[str, Any]], request_id: str | None) -> Row:
    if request_id is None:
        if not rows:
            raise UserError("no request has been answered yet. Start the server: mcproxy serve")
        return rows[-1]
    wanted = _bare(request_id)
    found = [row for row in rows if _bare(row["id"]).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{request_id} is the beginning of {len(found)} requests; give more of it")
    raise UserError(
        f"no request {request_id} is kept; they are kept for 7 days. See: mcproxy explain --last 20"
    )


def _bare(request_id: str) -> str:
    return request_id.strip().removeprefix("req_")


def _list_view(result: Row) -> "Iterable[RenderableType]":
    if not result["requests"]:
        yield text("No request has been answered yet.")
        return
    rows = table("TIME", "REQUEST", "ASKED", "SERVED BY", "STATUS", "TRIES", "MS")
    for row in result["requests"]:
        tries = sum(step["kind"] == "attempt" for step in row["steps"])
        rows.add_row(
            text(row["at"][11:19], "dim"),
            text(row["id"]),
            text(row["asked"]),
            text(_served(row)),
            text(row["status"], "" if row["status"] < 400 else "red"),
            text(tries),
            text(_whole(row["ms"]["total"])),
        )
    yield rows


def _view(result: Row) -> "Iterator[RenderableType]":
    (row,) = result["requests"]
    yield text(row["id"], "bold").append_text(text(f"  {row['at']}", "dim not bold"))
    for name, value in _facts(row):
        yield text(f"{name:<10}", "dim").append_text(text(value, "not dim"))
    yield text("")
    yield text("considered", "dim")
    for each in row["considered"]:
        why = each["why_not"] or ("answered" if _answered(row, each) else "could be asked")
        yield text(f"  {each['account']}  {each['model']}: {why}")
    if not row["considered"]:
        yield text("  nobody")
    yield text("")
    yield text("what took the time", "dim")
    yield from (text(f"  {line}") for line in _timeline(row))


def _facts(row: Row) -> Iterator[tuple[str, str]]:
    yield "asked", f"{row['asked']} ({row['dialect']}, {row['path']})"
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


def _timeline(row: Row) -> Iterator[str]:
    for step in row["steps"]:
        if step["kind"] == "wait":
            yield f"{_whole(step['ms']):>7} ms  waited: {step['result']}"
            continue
        status = f" (HTTP {step['status']})" if step["status"] else ""
        detail = f": {step['detail']}" if step["detail"] else ""
        yield f"{_whole(step['ms']):>7} ms  {step['account']} {step['result']}{status}{detail}"
    ms = row["ms"]
    if ms["own"] is not None:
        yield f"{_whole(ms['own']):>7} ms  mcproxy itself, up to the first content"
    yield f"{_whole(ms['total']):>7} ms  in all"


def _whole(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
