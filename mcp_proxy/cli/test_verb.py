"""`mcproxy test`: real round trips through the running server, as each client would make them."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import click

from mcp_proxy import __version__
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.health import health_report
from mcp_proxy.cli.probes import DONE, PROBES, Probe, WrongAnswer, error_text, text_of
from mcp_proxy.cli.render import JsonObject, column, json_option, show, table, text
from mcp_proxy.cli.running_server import running_server
from mcp_proxy.cli.server_place import Place, models_of, place_of
from mcp_proxy.errors import UserError
from mcp_proxy.sse import SseReader
from mcp_proxy.strict_json import decode, encode

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from mcp_proxy.cli.layout import Shown

SCHEMA = "mcproxy.test/1"
FAILED = 1
SILENT_FOR = 180.0
"""Seconds. The server waits up to two minutes for an account to be free."""

CHEAP = ("flash-lite", "flash", "haiku", "mini", "nano", "air", "lite")
"""Parts of names of models whose quota is no loss."""
NOT_FOR_TALK = ("image", "embed", "tts", "audio")
LONGEST_SHOWN = 40

EXAMPLES = """\b
Examples:
  mcproxy test
  mcproxy test claude-sonnet-4-6
  mcproxy test --json
"""


class Answered(NamedTuple):
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    records: list[Any]
    first_after: float
    """Seconds to the first record."""


@click.command("test", epilog=EXAMPLES)
@click.argument("model", required=False)
@json_option(SCHEMA)
@pass_app
def test(app: App, /, *, model: str | None, as_json: bool) -> int:
    """Try the running server in the dialects of all clients: exit 1 when an answer is wrong.

    Eight short questions to MODEL, which count as any others; without it, to a small model.
    """
    place = _place_of_server(app)
    asked = model or _cheap_model(place)
    trips = [_tried(place, probe, asked, stream) for probe in PROBES for stream in (False, True)]
    ok = all(trip["ok"] for trip in trips)
    report = {"schema": SCHEMA, "url": place.url, "model": asked, "ok": ok, "trips": trips}
    show(report, trips_view, as_json=as_json)
    return 0 if ok else FAILED


def trips_view(report: JsonObject) -> "Iterable[Shown]":
    """A row per round trip, then what was wrong, whole."""
    rows = table(
        "API",
        "STREAM",
        "RESULT",
        column("FIRST", align="right", minor=True),
        column("ALL", align="right"),
        column("ACCOUNT", minor=True),
        column("ANSWER", wraps=True, minor=True),
    )
    for trip in report["trips"]:
        rows.add_row(
            text(trip["dialect"], "bold"),
            text("yes" if trip["stream"] else "no"),
            text("ok", "green") if trip["ok"] else text("failed", "bold red"),
            text(_milliseconds(trip["seconds_to_first_event"])),
            text(_milliseconds(trip["seconds"])),
            text(trip["account"]),
            text(trip["text"]),
        )
    yield rows
    yield text("")
    for trip in report["trips"]:
        if not trip["ok"]:
            how = "stream" if trip["stream"] else "answer"
            yield text(f"{trip['dialect']}, {how}: {trip['problem']}", "red")
    passed = sum(trip["ok"] for trip in report["trips"])
    yield text(f"{passed} of {len(report['trips'])} right, {report['model']} at {report['url']}")


def _place_of_server(app: App) -> Place:
    """UserError when no server of ours answers."""
    server = running_server(app)
    health = health_report(server)
    if not health["healthy"]:
        raise UserError(f"{health['reason']} (without an account: mcproxy serve --demo)")
    return place_of(server.url, app.settings().server)


def _cheap_model(place: Place) -> str:
    """A small one of those that the server lists. UserError when it lists none."""
    listed = models_of(place, SILENT_FOR)
    names = [name for name in listed if not any(part in name for part in NOT_FOR_TALK)]
    if not names:
        raise UserError("no account serves a model yet. Run: mcproxy accounts add")
    return next((name for part in CHEAP for name in names if part in name), names[0])


def _tried(place: Place, probe: Probe, model: str, stream: bool) -> JsonObject:
    """One round trip as a row of the report. Whatever goes wrong is part of it."""
    from http.client import HTTPException

    row: JsonObject = {
        "dialect": probe.dialect,
        "stream": stream,
        "ok": False,
        "problem": None,
        "status": None,
        "seconds_to_first_event": None,
        "seconds": None,
        "account": None,
        "answered_by": None,
        "text": None,
    }
    started = time.perf_counter()
    try:
        answered = _ask(place, probe, model, stream)
    except (OSError, HTTPException, ValueError) as cause:
        return {**row, "problem": f"no whole answer: {cause}"}
    row = {
        **row,
        "status": answered.status,
        "seconds_to_first_event": round(answered.first_after, 4),
        "seconds": round(time.perf_counter() - started, 4),
        "account": answered.headers.get("x-mcproxy-account"),
        "answered_by": answered.headers.get("x-mcproxy-model"),
    }
    if answered.status != 200:
        why = error_text(answered.records[0]) if answered.records else None
        return {**row, "problem": f"status {answered.status}: {why or 'without a message'}"}
    try:
        said = text_of(probe, answered.records, stream=stream)
    except WrongAnswer as wrong:
        return {**row, "problem": str(wrong)}
    return {**row, "ok": True, "text": said.strip()[:LONGEST_SHOWN]}


def _ask(place: Place, probe: Probe, model: str, stream: bool) -> Answered:
    started = time.perf_counter()
    with closing(place.connected(SILENT_FOR)) as connection:
        connection.request(
            "POST",
            probe.path(quote(model, safe="/:@"), stream),
            encode(probe.body(model, stream)),
            {
                "Content-Type": "application/json",
                "User-Agent": f"mcproxy/{__version__} (test)",
                **probe.headers(place.key),
            },
        )
        response = connection.getresponse()
        records, first_after = [], None
        for record in _records(response):
            first_after = first_after or time.perf_counter() - started
            records.append(record)
        headers = {name.lower(): value for name, value in response.getheaders()}
    return Answered(response.status, headers, records, first_after or time.perf_counter() - started)


def _records(response: "HTTPResponse") -> Iterator[Any]:
    """Each record of a stream as it comes, or the whole document."""
    if response.headers.get_content_type() != "text/event-stream":
        yield decode(response.read())
        return
    reader = SseReader()
    while chunk := response.read1(1 << 16):
        for data in reader.feed(chunk):
            yield DONE if data == DONE.encode() else decode(data)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
