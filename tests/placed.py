"""A whole proxy over the embedded upstreams of every provider, on sockets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp_proxy.account import Account
from mcp_proxy.demo.places import DemoPlaces, RecordedCall
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.app import Server
from mcp_proxy.store.settings import Settings


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


@asynccontextmanager
async def placed(
    state: Path,
    *providers: str,
    accounts: Sequence[Account] = (),
    settings: Settings | None = None,
    **fields: Any,
) -> AsyncIterator[Placed]:
    """A proxy with one account of each of the providers, and further `accounts`.

    `fields`: further fields of those accounts.
    """
    async with DemoPlaces() as places:
        given = settings or Settings()
        pointed = replace(given, providers={**places.settings(), **given.providers})
        chosen = [places.account(provider, **fields) for provider in providers]
        runtime = Runtime.for_accounts([*chosen, *accounts], pointed, state)
        async with Server(runtime, host="127.0.0.1", port=0) as server:
            yield Placed(places, runtime, server)
