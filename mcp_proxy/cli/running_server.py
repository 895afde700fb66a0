"""Asks the mcproxy that runs on this machine. Knows where it would be and how to tell it is ours.

By hand, on a socket: every HTTP client of the standard library imports `ssl`, which takes longer
than the whole exchange, and the server is one that we know.
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp_proxy.account import Secret
from mcp_proxy.store.settings import ServerSettings
from mcp_proxy.strict_json import decode

if TYPE_CHECKING:
    from mcp_proxy.cli.context import App

JsonObject = dict[str, Any]

CONNECT_WITHIN = 0.5
HEALTH_WITHIN = 2.0
FIGURES_WITHIN = 40.0
"""Seconds. The server may have to ask its upstreams first."""

LARGEST_ANSWER = 16 << 20

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told apart, not listened on
_HEALTH_FIELDS = {"status", "version", "accounts"}


class NoServer(Exception):
    """No server of ours gave an answer. `reason` is None when nobody listens there at all."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class RunningServer:
    """The server that these settings would start. Asking it imports and keeps nothing."""

    def __init__(self, settings: ServerSettings) -> None:
        self._address = (_ANY_ADDRESS.get(settings.host, settings.host), settings.port)
        self._key = settings.api_keys[0] if settings.api_keys else None

    @property
    def url(self) -> str:
        return f"http://{self._authority}"

    def health(self) -> JsonObject:
        """Its `/health`, for which no key is needed. NoServer when there is none."""
        status, body = self._get("/health", HEALTH_WITHIN)
        if not isinstance(body, dict) or not body.keys() >= _HEALTH_FIELDS:
            raise NoServer(f"the server at {self.url} is not mcproxy")
        if status != 200:
            raise NoServer(f"the server at {self.url} answered with status {status}")
        return body

    def account_limits(self, within: float = FIGURES_WITHIN) -> JsonObject:
        """Its `/account-limits`. NoServer when there is none, or none `within` these seconds."""
        return self._document("/account-limits", "accounts", within)

    def models(self) -> list[JsonObject]:
        """The rows of its `/v1/models`. NoServer when there is none."""
        rows: list[JsonObject] = self._document("/v1/models", "data")["data"]
        return rows

    def _document(self, path: str, field: str, within: float = FIGURES_WITHIN) -> JsonObject:
        """What it answers there, if it is ours and the answer has the field."""
        # The key is only for ours; somebody else's program may have the port.
        self.health()
        status, body = self._get(path, within, self._key)
        if status == 401:
            raise NoServer(f"the server at {self.url} has another key than these settings")
        if status != 200 or not isinstance(body, dict) or field not in body:
            raise NoServer(f"the server at {self.url} answered with status {status}")
        return body

    @property
    def _authority(self) -> str:
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _get(self, path: str, within: float, key: Secret | None = None) -> tuple[int, object]:
        """Status and document. HTTP/1.0, so that the answer is all there is until the end."""
        head = [f"GET {path} HTTP/1.0", f"Host: {self._authority}", "User-Agent: mcproxy"]
        if key is not None:
            head.append(f"x-api-key: {key.value}")
        request = "\r\n".join([*head, "", ""]).encode()
        try:
            with socket.create_connection(self._address, timeout=CONNECT_WITHIN) as sock:
                sock.settimeout(within)
                sock.sendall(request)
                with sock.makefile("rb") as answer:
                    return _read_answer(answer.read)
        except ConnectionRefusedError as cause:
            raise NoServer from cause
        except (OSError, ValueError) as cause:
            raise NoServer(f"the server at {self.url} gave no answer: {cause}") from cause


def running_server(app: "App") -> RunningServer:
    """At the address that a server on the same state directory noted, else at the configured one.

    Flags may have put it anywhere. Nobody has been asked yet whether it is there.
    """
    configured = app.settings().server
    noted = app.state_reader().get("notices", "server") or {}
    host, port = noted.get("host"), noted.get("port")
    if isinstance(host, str) and isinstance(port, int):
        configured = replace(configured, host=host, port=port)
    return RunningServer(configured)


def _read_answer(read: Callable[[int], bytes]) -> tuple[int, object]:
    """ValueError for anything but an HTTP answer with a JSON document."""
    head, _, body = read(LARGEST_ANSWER).partition(b"\r\n\r\n")
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("it does not speak HTTP")
    return int(rest[:3]), decode(body)
