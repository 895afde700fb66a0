"""What every suite can ask for: a clean home, the command line, an upstream, a server over it.

Nothing here stands in for our own classes: the command line is a process, the server listens on a
socket, and the upstream behind it is the one that `mcproxy demo` plays.
"""

import asyncio
import ipaddress
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_proxy.account import Account
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import SETTINGS, Settings

if TYPE_CHECKING:
    # Imported where they are used: suites of pure code start without aiohttp.
    from mcp_proxy.demo.cloudcode import DemoUpstream
    from mcp_proxy.server.app import Server

# ---------------------------------------------------------------------------------- no network


@pytest.fixture(scope="session", autouse=True)
def _connections_elsewhere() -> Iterator[list[str]]:
    """Connections to other machines fail as they do offline, and are noted."""
    noted: list[str] = []
    connect, connect_ex, resolve = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def refused(address: Any) -> bool:
        if not isinstance(address, tuple) or _is_here(address[0]):
            return False
        noted.append(str(address[0]))
        return True

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        if refused(address):
            raise OSError(101, "the tests have no network")
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        return 101 if refused(address) else connect_ex(sock, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_here(host):
            # Not noted: to ask for a name is no connection, and a name that is not found is a case.
            raise socket.gaierror(socket.EAI_NONAME, "the tests have no name server")
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_resolve)
        yield noted


@pytest.fixture(autouse=True)
def connections_elsewhere(_connections_elsewhere: list[str]) -> Iterator[list[str]]:
    """Hosts outside this machine that the test tried to reach; it fails when there are any."""
    _connections_elsewhere.clear()
    yield _connections_elsewhere
    assert not _connections_elsewhere, "a test must not leave this machine"


def _is_here(host: Any) -> bool:
    if not isinstance(host, str) or host in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(_plain(host.partition("%")[0]))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _plain(host: str) -> str:
    """127.0.0.1 for 2130706433, 0x7f000001 and the like, which resolvers take, too."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host


# ------------------------------------------------------------------- a home and the command line

_OTHER_VARIABLES = (
    "ACCOUNTS_CONFIG_PATH",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTIGRAVITY_STATE_DB",
    "BROWSER",
    "COLUMNS",
    "FORCE_COLOR",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "MCPROXY_CONFIG",
    "MCPROXY_STATE_DIR",
    "NO_COLOR",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Home:
    """A user's empty home directory, and where mcproxy's files are in it."""

    root: Path
    paths: Paths

    def add(self, *accounts: Account) -> None:
        """Puts accounts into accounts.toml."""
        store = AccountStore(self.paths.accounts)
        for account in accounts:
            store.add(account)

    def sign_in(self, upstream: "DemoUpstream", config: str = "") -> None:
        """All accounts of the upstream, with settings that lead to it. `config`: further settings.

        The port is that of no running server.
        """
        from mcp_proxy.demo.setup import demo_accounts, provider_settings

        place = provider_settings(upstream)
        assert place.client_secret is not None
        self.add(*demo_accounts(upstream))
        self.configure(
            f"""
            [server]
            port = 0
            [providers.antigravity]
            base_url = "{upstream.url}"
            auth_url = "{upstream.url}/auth"
            token_url = "{upstream.url}/token"
            client_id = "{place.client_id}"
            client_secret = "{place.client_secret.value}"
            {config}
            """
        )

    def configure(self, text: str) -> None:
        """Writes config.toml."""
        self.paths.config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.paths.config.write_text(text, encoding="utf-8")
        self.paths.config.chmod(0o600)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, with nothing in the environment that means anything to mcproxy."""
    settings = (row.env for row in SETTINGS if row.env)
    proxies = (name for upper in _PROXY_VARIABLES for name in (upper, upper.lower()))
    for name in (*settings, *_OTHER_VARIABLES, *proxies):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "home"
    configured, state = root / ".config" / "mcproxy", root / ".local" / "state" / "mcproxy"
    root.mkdir()
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(configured.parent))
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parent))
    return Home(root, Paths(configured / "accounts.toml", configured / "config.toml", state))


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets local time, as in `local_zone("XXX-1")` for an hour east of Greenwich."""

    def set_zone(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Cli:
    """Runs `mcproxy` as a process of its own, without a terminal."""

    home: Home

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 30.0,
    ) -> Ran:
        """Runs it to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.home.root,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    async def beside(self, *arguments: str, **how: Any) -> Ran:
        """The same while the test's own loop goes on: it may be serving the command."""
        return await asyncio.to_thread(self, *arguments, **how)

    @asynccontextmanager
    async def serve(self, *arguments: str) -> AsyncIterator[str]:
        """A `serve` on a free port, until the block ends; gives its URL."""
        process = await asyncio.create_subprocess_exec(
            *self.command("serve", "--port", "0", *arguments),
            cwd=self.home.root,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        said = b""
        try:
            while not (ready := re.search(rb"ready at (http://\S+)", said)):
                line = await process.stderr.readline()
                assert line, f"serve ended with {await process.wait()}: {said.decode()}"
                said += line
            yield ready[1].decode()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """For those who start it themselves."""
        return [sys.executable, "-m", "mcp_proxy", *arguments]


@pytest.fixture
def cli(home: Home) -> Cli:
    return Cli(home)


# --------------------------------------------------------------------- an upstream and a server


@pytest.fixture
async def upstream() -> AsyncIterator["DemoUpstream"]:
    """The embedded Cloud Code, listening in the test's own loop."""
    from mcp_proxy.demo.cloudcode import DemoUpstream

    async with DemoUpstream() as listening:
        yield listening


class Serving:
    """Servers over the embedded upstream: `async with serving() as server: server.url`."""

    def __init__(self, upstream: "DemoUpstream", directory: Path) -> None:
        self._upstream = upstream
        self._states = (directory / f"served-state-{number}" for number in count(1))

    def __call__(
        self,
        accounts: Iterable[Account] | None = None,
        settings: Settings | None = None,
        *,
        state: Path | None = None,
    ) -> AbstractAsyncContextManager["Server"]:
        """`accounts`: the upstream's own unless given; `state`: a fresh directory unless given."""
        from mcp_proxy.demo.setup import demo_accounts, provider_settings
        from mcp_proxy.engine.runtime import Runtime
        from mcp_proxy.server.app import Server

        chosen = list(demo_accounts(self._upstream) if accounts is None else accounts)
        given = settings or Settings()
        providers = {"antigravity": provider_settings(self._upstream), **given.providers}
        runtime = Runtime.for_accounts(
            chosen, replace(given, providers=providers), state or next(self._states)
        )
        return Server(runtime, host="127.0.0.1", port=0)


@pytest.fixture
def serving(upstream: "DemoUpstream", tmp_path: Path) -> Serving:
    return Serving(upstream, tmp_path)
