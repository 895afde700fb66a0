"""A whole proxy over the embedded upstreams of every provider, on sockets."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp_proxy.account import Account
from mcp_proxy.demo.places import DemoPlaces, RecordedCall
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.app import Server
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.settings import Settings
from mcp_proxy.store.state import StateStore


@dataclass(slots=True)
class Placed:
    """A server that runs, and the places behind it."""

    places: DemoPlaces
    runtime: Runtime
    server: Server

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def generations(self) -> list[RecordedCall]:
        """Calls that asked for an answer, in order."""
        return [
            call
            for call in self.places.requests
            if call.path.partition("?")[0].endswith(GENERATING)
        ]


GENERATING = (
    "/v1/messages",
    "/chat/completions",
    "/responses",
    ":generateContent",
    ":streamGenerateContent",
    ":rawPredict",
    ":streamRawPredict",
)


class Clock:
    """The time of day, and whatever a test adds to it."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def later(self, seconds: float) -> None:
        self._ahead += seconds


@asynccontextmanager
async def placed(
    state: Path,
    *providers: str,
    accounts: Sequence[Account] = (),
    settings: Settings | None = None,
    places: DemoPlaces | None = None,
    clock: Callable[[], float] = time.time,
    store: AccountStore | None = None,
    **fields: Any,
) -> AsyncIterator[Placed]:
    """A proxy with one account of each of the providers, and further `accounts`.

    `providers`: `codex`, or `codex:ada` for an account with that id. `places` end with the block
    unless they are given. `store`: an accounts.toml that gets the accounts, beside those that it
    has. `fields`: further fields of the accounts.
    """
    async with AsyncExitStack() as stack:
        if places is None:
            places = await stack.enter_async_context(DemoPlaces(clock))
        given = settings or Settings()
        pointed = replace(given, providers={**places.settings(), **given.providers})
        named = (each.partition(":") for each in providers)
        chosen = [places.account(name, who or None, **fields) for name, _, who in named]
        held = [*chosen, *accounts]
        for account in held if store is not None else ():
            store.add(account)
        runtime = Runtime(held, pointed, StateStore.open(state), store=store, clock=clock)
        if store is not None:
            runtime.take(store.load())
        async with Server(runtime, host="127.0.0.1", port=0) as server:
            yield Placed(places, runtime, server)
