"""The listener that a browser is sent back to after sign-in. One answer, then it is gone.

It listens on 127.0.0.1 alone and believes only a request that knows the random state. Whatever else
comes by, a favicon request, another page's forgery, a second tab, is answered and forgotten.
"""

import hmac
import os
import secrets
import string
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from mcp_proxy.errors import UserError

CALLBACK_PATH = "/oauth-callback"
FIRST_PORT = 51121
"""The port that Google's own client registers; the ones after it serve when it is taken."""
_PORTS_TRIED = 10
_LAST_PORT = 65535
GOOGLE_PORTS: Final = (*range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED), 0)
_ADDRESS = "127.0.0.1"
_OUR_NAMES = frozenset({"localhost", "127.0.0.1"})


class Callback(NamedTuple):
    """What the sign-in page sent back; one of the two is set."""

    code: str | None
    error: str | None


class CallbackListener:
    """`with CallbackListener() as listener:` listens; `wait` gives what came."""

    def __init__(
        self,
        port: int | None = None,
        *,
        ports: Sequence[int] = GOOGLE_PORTS,
        path: str = CALLBACK_PATH,
    ) -> None:
        """The first of `ports` that is free (0: any); `port`: it and its neighbours before these.

        UserError when there is none.
        """
        self.path = path
        self.state = new_state()
        self._came = threading.Event()
        self._callback: Callback | None = None
        server = _bound(_beginning_with(port, ports), self)
        if server is None:
            raise _none_free(ports)
        self._server = server
        self.port = server.server_port
        self.redirect_uri = redirect_uri(self.port, path)

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, timeout: float) -> Callback | None:
        """The callback; None when nothing believable came in time."""
        self._came.wait(timeout)
        return self._callback

    def take(self, query: str) -> bool:
        """Whether the query of a callback is the one waited for. Only the first one counts."""
        callback = read_callback(query, self.state)
        if callback is None or self._came.is_set():
            return False
        self._callback = callback
        self._came.set()
        return True


def new_state() -> str:
    """What only the page that we sent somebody to can know."""
    return secrets.token_urlsafe(32)


def redirect_uri(port: int, path: str = CALLBACK_PATH) -> str:
    return f"http://localhost:{port}{path}"


def read_callback(query: str, state: str) -> Callback | None:
    """None unless the query has the state and either a code or an error."""
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    given = fields.get("state", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, state.encode()):
        return None
    if fields.get("error"):
        return Callback(None, fields["error"])
    return Callback(fields["code"], None) if fields.get("code") else None


_AROUND = string.whitespace + "\"'`<>“”‘’"
"""What a paste brings along around an address or a code."""


def pasted_callback(text: str, state: str, path: str = CALLBACK_PATH) -> Callback:
    """What a person copied: the whole address of the page they ended on, or the bare code."""
    pasted = text.strip(_AROUND)
    if not pasted.startswith(("http://", "https://")) and "code=" not in pasted:
        # Cut out of the address, it is still encoded, and the next field may hang on.
        code = unquote(pasted.partition("&")[0])
        if len(code) < 10 or any(each.isspace() for each in code):
            raise UserError("that is neither the address of the last page nor its code")
        return Callback(code, None)
    query = urlsplit(pasted).query or pasted.partition("?")[2] or pasted
    callback = read_callback(query, state)
    if callback is None:
        raise UserError(
            f"that address does not belong to this sign-in; it ends in {path}?… and is"
            " of use once. Start again: mcproxy accounts add"
        )
    return callback


class _Server(ThreadingHTTPServer):
    """A thread per connection: browsers open spare ones and leave them silent."""

    daemon_threads = True
    # The port of the last sign-in stays in TIME_WAIT for a minute. POSIX lets nobody have a port on
    # which somebody listens even so; Windows does.
    allow_reuse_address = os.name == "posix"
    allow_reuse_port = False
    listener: CallbackListener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


def _beginning_with(port: int | None, ports: Sequence[int]) -> Sequence[int]:
    if port is None:
        return ports
    if 0 not in ports:  # the provider knows these, and none beside them
        return (port, *ports)
    return (*range(port, min(port + _PORTS_TRIED, _LAST_PORT + 1)), 0)


def _bound(ports: Sequence[int], listener: CallbackListener) -> _Server | None:
    """On the first port that is free; None when none is."""
    for each in ports:
        try:
            server = _Server((_ADDRESS, each), _Handler)
        except OSError:
            continue  # taken, or reserved by the system: the next one
        server.listener = listener
        return server
    return None


def _none_free(ports: Sequence[int]) -> UserError:
    """`ports` without 0 are all that the provider sends people back to: no other would do."""
    if 0 in ports:
        return UserError(f"no port of {_ADDRESS} is free; sign in with --no-browser")
    registered = ", ".join(map(str, ports))
    return UserError(
        f"port {registered} on {_ADDRESS} is not free. The provider knows no other than"
        f" {registered}: end the program that listens there, or sign in with --no-browser."
    )


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>mcproxy</title>'
    "<body><h1>{title}</h1><p>{text}</p></body></html>"
)
_DONE = _PAGE.format(title="Signed in", text="You can close this page and return to the terminal.")
_NOT_DONE = _PAGE.format(
    title="Not signed in", text="Nothing was granted. The terminal says what to do."
)
_NOT_OURS = _PAGE.format(title="Nothing here", text="This page belongs to a sign-in in a terminal.")

# The pages are fixed: nothing of a request is ever shown in them.
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "mcproxy"
    sys_version = ""

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if target.path != self.server.listener.path or host not in _OUR_NAMES:
            self._answer(404, _NOT_OURS)
        elif not self.server.listener.take(target.query):
            self._answer(400, _NOT_OURS)
        else:
            denied = "error" in parse_qs(target.query)
            self._answer(200, _NOT_DONE if denied else _DONE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """The query holds a code: not for any log."""

    def _answer(self, status: int, page: str) -> None:
        body = page.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
