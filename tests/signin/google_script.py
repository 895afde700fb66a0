"""A small web server that answers from a script: what Google may say on its worst days."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import trustme


@dataclass
class Script:
    """Answers by path, in order; the last one is repeated. `seen` is what was asked."""

    url: str = ""
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def says(self, path: str, *answers: tuple[int, Any]) -> None:
        """Bytes as they are, anything else as JSON."""
        self.answers[path] = [
            (status, body if isinstance(body, bytes) else orjson.dumps(body))
            for status, body in answers
        ]

    def next(self, path: str) -> tuple[int, bytes]:
        waiting = self.answers.get(path, [(404, b"nothing here")])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def forms(self, path: str) -> list[dict[str, str]]:
        """Form bodies that were posted there."""
        bodies = [body for asked, _, body in self.seen if asked == path]
        return [{k: v[0] for k, v in parse_qs(body.decode()).items()} for body in bodies]

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.seen]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: Script


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        script, path = self.server.script, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        script.seen.append((path, headers, body))
        status, answer = script.next(path)
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", answer.decode())
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_args: Any) -> None:
        """The test looks at `seen` instead."""


@pytest.fixture(name="google")
def scripted_google() -> Iterator[Script]:
    """To be imported by the suites that ask for `google`."""
    yield from _played("http")


@pytest.fixture(name="google_behind_tls")
def scripted_google_behind_tls(authority: trustme.CA) -> Iterator[Script]:
    """The same with a certificate of the test's own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    yield from _played("https", context)


def _played(scheme: str, context: ssl.SSLContext | None = None) -> Iterator[Script]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.script = Script(url=f"{scheme}://127.0.0.1:{server.server_port}")
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.script
    server.shutdown()
    server.server_close()
    thread.join()
