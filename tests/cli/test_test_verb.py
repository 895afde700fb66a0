"""`mcproxy test`: eight round trips, and that a wrong answer is called wrong."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from harness import Cli, Home

from mcp_proxy.cli.probes import PROBES, Probe, WrongAnswer, text_of
from mcp_proxy.demo.places import DemoPlaces

KEY = "the-servers-own-key-1"
BY_NAME = {probe.dialect: probe for probe in PROBES}


def at(url: str) -> dict[str, str]:
    """Settings under which that server is the running one."""
    return {"PORT": url.rpartition(":")[2]}


async def test_every_dialect_is_tried_with_and_without_a_stream(cli: Cli) -> None:
    async with cli.serve("--demo") as url:
        ran = await cli.beside("test", "--json", env=at(url))
    report = json.loads(ran.stdout)
    assert (ran.code, ran.stderr) == (0, "")
    assert report.keys() == {"schema", "url", "model", "ok", "trips"}
    assert (report["schema"], report["url"], report["ok"]) == ("mcproxy.test/1", url, True)
    assert "flash" in report["model"]
    tried = [(trip["dialect"], trip["stream"]) for trip in report["trips"]]
    assert tried == [(name, stream) for name in BY_NAME for stream in (False, True)]
    for trip in report["trips"]:
        assert trip["ok"], trip
        assert trip["account"] in {"ada", "grace"}
        assert trip["answered_by"] == report["model"]
        assert trip["text"]
        assert 0 < trip["seconds_to_first_event"] <= trip["seconds"]


async def test_people_see_times_and_the_sum(cli: Cli) -> None:
    async with cli.serve("--demo") as url:
        ran = await cli.beside("test", "claude-sonnet-4-6", env={**at(url), "COLUMNS": "200"})
    assert ran.code == 0
    assert len(re.findall(r"ok +\d+ ms +\d+ ms +(?:ada|grace)", ran.stdout)) == 8
    assert f"8 of 8 right, claude-sonnet-4-6 at {url}" in ran.stdout


async def test_the_servers_key_is_shown_as_each_dialect_shows_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_API_KEY", KEY)
    async with cli.serve("--demo") as url:
        right = await cli.beside("test", env=at(url))
        wrong = await cli.beside("test", "gemini-3-flash", env={**at(url), "PROXY_API_KEY": "no"})
    assert right.code == 0
    assert wrong.code == 1
    assert wrong.stdout.count("status 401") == 8
    assert KEY not in right.stdout + right.stderr


async def test_a_model_that_nobody_serves_fails_in_words(cli: Cli) -> None:
    async with cli.serve("--demo") as url:
        ran = await cli.beside("test", "gemini-3-flahs", env=at(url))
    assert ran.code == 1
    assert "0 of 8 right" in ran.stdout
    assert "Did you mean" in ran.stdout


async def test_a_server_without_accounts_says_how_to_add_one(cli: Cli) -> None:
    async with cli.serve() as url:
        ran = await cli.beside("test", env=at(url))
    assert (ran.code, ran.stdout) == (1, "")
    assert "mcproxy accounts add" in ran.stderr


def test_without_a_server_the_command_that_starts_one_is_named(
    cli: Cli, home: Home, unused_port: int
) -> None:
    home.configure(f"[server]\nport = {unused_port}\n")
    ran = cli("test")
    assert (ran.code, ran.stdout) == (1, "")
    assert "mcproxy serve" in ran.stderr
    assert "mcproxy serve --demo" in ran.stderr


class Liar(BaseHTTPRequestHandler):
    """Looks healthy and answers every question with half a stream."""

    def do_GET(self) -> None:
        self.answer("application/json", b'{"status":"ok","version":"0","accounts":{}}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer("text/event-stream", b'data: {"type":"message_start"}\n\n')

    def answer(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def lying() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_answers_nonsense_passes_no_trip(cli: Cli) -> None:
    with lying() as url:
        ran = cli("test", "any", "--json", env=at(url))
    assert ran.code == 1
    assert [trip["ok"] for trip in json.loads(ran.stdout)["trips"]] == [False] * 8


# --------------------------------------------------------------------- what counts as an answer

M = "m"
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
GOOD: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "message_start", "message": {"model": M}},
        {"type": "content_block_start", "index": 0},
        DELTA,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ],
    "openai-chat": [
        {
            "object": "chat.completion.chunk",
            "id": "c",
            "model": M,
            "choices": [{"delta": {"content": "hi"}, "finish_reason": None}],
        },
        {
            "object": "chat.completion.chunk",
            "id": "c",
            "model": M,
            "choices": [{"delta": {}, "finish_reason": "stop"}],
        },
        "[DONE]",
    ],
    "openai-responses": [
        {"type": "response.created", "sequence_number": 0},
        {"type": "response.output_text.delta", "delta": "hi", "sequence_number": 1},
        {
            "type": "response.completed",
            "sequence_number": 2,
            "response": {
                "object": "response",
                "model": M,
                "status": "completed",
                "usage": {"total_tokens": 1},
                "output": [{"type": "message", "content": [{"text": "hi"}]}],
            },
        },
    ],
    "gemini": [
        {"modelVersion": M, "candidates": [{"content": {"parts": [{"text": "hi"}]}}]},
        {
            "modelVersion": M,
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"totalTokenCount": 1},
        },
    ],
}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.dialect)
def test_a_whole_stream_gives_its_text(probe: Probe) -> None:
    assert text_of(probe, GOOD[probe.dialect], stream=True) == "hi"


@pytest.mark.parametrize(
    ("dialect", "left_out"),
    [(dialect, place) for dialect, events in GOOD.items() for place in range(len(events))],
)
def test_a_stream_that_lacks_any_of_its_events_is_wrong(dialect: str, left_out: int) -> None:
    events = [event for place, event in enumerate(GOOD[dialect]) if place != left_out]
    with pytest.raises(WrongAnswer):
        text_of(BY_NAME[dialect], events, stream=True)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.dialect)
@pytest.mark.parametrize("records", [[], [{}], [None], ["[DONE]"], [[]], [{"error": "no"}]])
@pytest.mark.parametrize("stream", [False, True])
def test_anything_else_is_wrong_and_never_a_traceback(
    probe: Probe, records: list[Any], stream: bool
) -> None:
    with pytest.raises(WrongAnswer):
        text_of(probe, records, stream=stream)


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        ("anthropic", {"type": "error", "error": {"type": "api_error", "message": "cut off"}}),
        ("openai-chat", {"error": {"message": "cut off"}}),
        (
            "openai-responses",
            {"type": "response.failed", "response": {"error": {"message": "cut off"}}},
        ),
        ("gemini", {"error": {"code": 500, "message": "cut off"}}),
    ],
)
def test_an_error_in_the_stream_is_told_in_its_own_words(dialect: str, event: Any) -> None:
    events = [*GOOD[dialect][:1], event, *GOOD[dialect][1:]]
    with pytest.raises(WrongAnswer, match="cut off"):
        text_of(BY_NAME[dialect], events, stream=True)


async def test_an_alias_that_another_server_answers_in_its_own_words_is_right(
    cli: Cli, home: Home
) -> None:
    async with DemoPlaces() as places:
        home.add(places.account("anthropic"))
        base_url = places.settings()["anthropic"].base_urls[0]
        home.configure(
            f"""
            [aliases]
            mine = "claude-sonnet-4-6"
            [providers.anthropic]
            base_url = "{base_url}"
            """
        )
        async with cli.serve() as url:
            ran = await cli.beside("test", "mine", env=at(url))
    assert ran.code == 0, ran.stdout
    assert "8 of 8 right" in ran.stdout
