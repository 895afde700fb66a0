"""Asking whatever has the port: our server, somebody else's, something broken."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mcp_proxy.account import Secret
from mcp_proxy.cli import running_server
from mcp_proxy.cli.running_server import NoServer, RunningServer
from mcp_proxy.store.settings import ServerSettings

HEALTH = b'{"status":"ok","version":"1","accounts":{}}'
LIMITS = b'{"schema":"mcproxy.limits/1","accounts":[]}'
KEY = "a-key-of-the-tests-1"


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\ncontent-type: application/json\r\n\r\n".encode() + body


class Listener:
    """Gives one prepared answer per connection, and keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[bytes] = []
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def settings(self) -> ServerSettings:
        return ServerSettings(port=self._socket.getsockname()[1])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        for answer in self._answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65_536))
                connection.sendall(answer)


@contextmanager
def listening(*answers: bytes) -> Iterator[Listener]:
    listener = Listener(*answers)
    try:
        yield listener
    finally:
        listener.close()


def test_our_server_is_asked_for_its_limits() -> None:
    with listening(http(HEALTH), http(LIMITS)) as ours:
        server = RunningServer(ours.settings)
        assert server.account_limits()["schema"] == "mcproxy.limits/1"
    assert [line.split(b" ")[1] for line in ours.asked] == [b"/health", b"/account-limits"]


def test_the_key_is_sent_to_our_server_only() -> None:
    with listening(http(HEALTH), http(LIMITS)) as ours:
        settings = replace(ours.settings, api_keys=(Secret(KEY),))
        RunningServer(settings).account_limits()
    assert [KEY.encode() in asked for asked in ours.asked] == [False, True]


@pytest.mark.parametrize(
    "answer",
    [http(b'{"hello": 1}'), http(b"[]"), http(b"<html>"), b"SSH-2.0-x\r\n", b"", http(b"")],
)
def test_another_program_on_the_port_is_not_taken_for_ours(answer: bytes) -> None:
    with listening(answer) as other:
        settings = replace(other.settings, api_keys=(Secret(KEY),))
        with pytest.raises(NoServer) as absence:
            RunningServer(settings).account_limits()
    assert absence.value.reason is not None
    assert KEY.encode() not in b"".join(other.asked)


def test_nobody_on_the_port_needs_no_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NoServer) as absence:
        RunningServer(ServerSettings(port=port)).account_limits()
    assert absence.value.reason is None


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_server, "HEALTH_WITHIN", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = ServerSettings(port=silent.getsockname()[1])
        with pytest.raises(NoServer, match="gave no answer"):
            RunningServer(settings).account_limits()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b'{"error":{}}', "401 Unauthorized"), "another key"),
        (http(b'{"error":{}}', "503 Service Unavailable"), "status 503"),
        (http(b'"figures"'), "status 200"),
    ],
)
def test_a_server_of_ours_that_will_not_say_is_named_with_its_reason(
    answer: bytes, reason: str
) -> None:
    with listening(http(HEALTH), answer) as ours, pytest.raises(NoServer, match=reason):
        RunningServer(ours.settings).account_limits()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
    ],
)
def test_a_server_on_every_address_is_asked_on_this_machine(host: str, url: str) -> None:
    assert RunningServer(ServerSettings(host=host)).url == url
