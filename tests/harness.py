"""The parts of the fixtures: a user's home, the command line as a process, servers to test against.

Nothing here stands in for our own classes: the command line is a process, the server listens on a
socket, and the upstream behind it is the one that `mcproxy demo` plays.
"""

import asyncio
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_proxy.account import Account
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import Settings

if TYPE_CHECKING:
    # Imported where they are used: suites of pure code start without aiohttp.
    from mcp_proxy.demo.cloudcode import DemoUpstream
    from mcp_proxy.server.app import Server


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
    environment: Mapping[str, str] | None = None
    """In place of this process's own."""

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
            env={**self._environment, **(env or {})},
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
            env=self._environment,
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

    @property
    def _environment(self) -> Mapping[str, str]:
        return os.environ if self.environment is None else self.environment

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """For those who start it themselves."""
        return [sys.executable, "-P", "-m", "mcp_proxy", *arguments]


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


def free_port() -> int:
    """One on which nobody listens.

    None of those that a connection is given which some other test makes meanwhile: it would be
    taken before anybody listens there.
    """
    for port in random.sample(range(20_000, 32_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")
