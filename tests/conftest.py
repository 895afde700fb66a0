"""What every suite can ask for: a clean home, the command line, an upstream, a server over it."""

import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from harness import Cli, Home, Serving, free_port

from mcp_proxy.store.environment import VARIABLES
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.secret_files import SECRETS, SUFFIX
from mcp_proxy.store.settings import SETTINGS

if TYPE_CHECKING:
    # Imported where they are used: suites of pure code start without aiohttp.
    import trustme

    from mcp_proxy.demo.cloudcode import DemoUpstream

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script that starts the tests in its background has them ignore Ctrl-C, and every program
    # that they start would inherit that, those too that are tested for what Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: much of the time goes to waiting for processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(2, (cores or 1) * 3 // 2)


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


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The SDKs read all authorities of the machine for each client, a fifth of what a test with one
    costs; what they talk to here shows no certificate."""
    begins, ends = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    _, _, others = certifi.contents().partition(begins)
    file = tmp_path_factory.mktemp("authorities") / "one.pem"
    file.write_text(begins + others.partition(ends)[0] + ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        patch.delenv("SSL_CERT_DIR", raising=False)
        yield


@pytest.fixture(autouse=True)
def _quiet_logger() -> Iterator[None]:
    """The program's logger as it was: a command that ran in this process set it up for itself."""
    yield
    logger = logging.getLogger("mcp_proxy")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


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
    "ANTHROPIC_AUTH_TOKEN",
    "ANTIGRAVITY_STATE_DB",
    "BROWSER",
    "CODEX_HOME",
    "COLUMNS",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "FORCE_COLOR",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_PROJECT",
    "JOURNAL_STREAM",
    "LISTEN_FDS",
    "MCPROXY_CONFIG",
    "MCPROXY_STATE_DIR",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "STATE_DIRECTORY",
    "WATCHDOG_USEC",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, with nothing in the environment that means anything to mcproxy."""
    settings = (row.env for row in SETTINGS if row.env)
    proxies = (name for upper in _PROXY_VARIABLES for name in (upper, upper.lower()))
    files = (secret + SUFFIX for secret in SECRETS)
    for name in (*settings, *VARIABLES, *files, *_OTHER_VARIABLES, *proxies):
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
def hangups_are_heard() -> Iterator[None]:
    """By children of ours, also where we are one of `nohup`, which has them ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def authority() -> "trustme.CA":
    """One that nobody knows."""
    import trustme

    return trustme.CA()


@pytest.fixture
def bundle(authority: "trustme.CA", tmp_path: Path) -> Path:
    """The file that makes somebody trust the authority."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    return free_port()


@pytest.fixture
def unserved(home: Home, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The port where a server is looked for, and none is: the usual one may well be in use."""
    monkeypatch.setenv("PORT", str(unused_port))
    return unused_port


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


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again is asked at once. How long it waits is told by `tests/policy`."""
    from mcp_proxy.policy import attempts

    at_once = {kind: (0.0,) * len(pauses) for kind, pauses in attempts._PAUSES.items()}
    monkeypatch.setattr(attempts, "_PAUSES", at_once)


@pytest.fixture
def serving(upstream: "DemoUpstream", tmp_path: Path) -> Serving:
    return Serving(upstream, tmp_path)
