"""Starts a client with the server as its API, and a server for it if none runs.

Nothing of the user's is changed: what variables and arguments cannot say is said in files of a
directory that goes away with the client.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Self
from urllib.parse import urlsplit

from mcp_proxy.cli.client_place import at_server, where
from mcp_proxy.cli.clients.client import Client, Launch, Place
from mcp_proxy.cli.clients.text_edit import CannotEdit
from mcp_proxy.cli.context import App
from mcp_proxy.cli.lent_server import lent_server
from mcp_proxy.cli.running_server import NoServer, RunningServer, running_server
from mcp_proxy.errors import UserError
from mcp_proxy.store.atomic import make_private_directory, replace_file

KILLED = 128
"""Exit code of what a signal ended, less the signal's number: what a shell makes of it."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def run_to_its_end(
    app: App, client: Client, arguments: tuple[str, ...], *, model: str | None, demo: bool
) -> int:
    """Its exit code, as a shell would have it. UserError for what keeps it from starting."""
    program = shutil.which(client.command)
    if program is None:
        raise UserError(
            f"{client.title} is not installed: there is no `{client.command}` on the PATH."
            f" Run: {client.install}"
        )
    with _Signals() as signals, ExitStack() as lent:
        server = _server(app, lent, demo=demo)
        place = at_server(app, server, model)
        scratch = Path(lent.enter_context(TemporaryDirectory(prefix="mcproxy-run-")))
        launch = _prepared(client, place, scratch)
        for note in client.run_notes if app.verbosity > 0 else ():
            app.say(note)
        environment = {**os.environ, **launch.variables, **_past_proxies(os.environ, place.url)}
        return signals.run([program, *launch.arguments, *arguments], environment)


def _server(app: App, lent: ExitStack, *, demo: bool) -> RunningServer:
    """The one that runs, else one of our own."""
    if not demo:
        server = running_server(app)
        try:
            server.health()
        except NoServer as absence:
            if absence.reason:
                app.say(f"{absence.reason}; starting another one")
        else:
            return server
        if not app.accounts().accounts:
            raise UserError(
                "there is no account yet that could answer. Run: mcproxy accounts add; or look"
                " around first, with --demo"
            )
    url = urlsplit(lent.enter_context(lent_server(app.config, demo=demo)))
    settings = replace(app.settings().server, host=str(url.hostname), port=int(url.port or 0))
    return RunningServer(settings)


def _prepared(client: Client, place: Place, scratch: Path) -> Launch:
    try:
        launch = client.launched(place, where(), scratch)
    except CannotEdit as cause:
        raise UserError(
            f"the settings of {client.title} cannot be followed: {cause}. Mend the file, or move it"
            " out of the way"
        ) from cause
    for name, target in launch.links.items():
        make_private_directory(name.parent)
        name.symlink_to(target)
    for path, text in launch.files.items():
        make_private_directory(path.parent)
        replace_file(path, text.encode())
    return launch


class _Signals:
    """Leaves the terminal's Ctrl-C to the client, and hands on what is sent to us alone.

    Before there is a client they end the command, and with it a server that it has started.
    """

    _HANDED_ON = (signal.SIGTERM, signal.SIGHUP)
    _LEFT_TO_IT = (signal.SIGINT, signal.SIGQUIT)

    def __init__(self) -> None:
        self._client: subprocess.Popen[bytes] | None = None
        self._is_starting = False
        self._early: list[int] = []
        """What came while the client was starting: it may be there before we are told."""

    def __enter__(self) -> Self:
        numbers = (*self._HANDED_ON, *self._LEFT_TO_IT)
        # Not SIG_IGN for any of them, which the client would inherit.
        self._before = {number: signal.signal(number, self._take) for number in numbers}
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: list[str], environment: Mapping[str, str]) -> int:
        """The exit code, as a shell would have it."""
        self._is_starting = True
        self._client = subprocess.Popen(command, env=environment)  # noqa: S603
        for number in self._early:
            self._client.send_signal(number)
        code = self._client.wait()
        return code if code >= 0 else KILLED - code

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_starting:
            raise KeyboardInterrupt
        if number not in self._HANDED_ON:
            return
        if self._client is None:
            self._early.append(number)
        else:
            self._client.send_signal(number)


def _past_proxies(env: Mapping[str, str], url: str) -> dict[str, str]:
    """The server's host for NO_PROXY: clients would send calls to it through a proxy, too."""
    if not any(env.get(name) or env.get(name.lower()) for name in _PROXIES):
        return {}
    host = str(urlsplit(url).hostname)
    said = env.get("NO_PROXY") or env.get("no_proxy") or ""
    if host in said.split(",") or said.strip() == "*":
        return {}
    both = ",".join(filter(None, (said, host)))
    return {"NO_PROXY": both, "no_proxy": both}
