"""A whole proxy over the embedded upstream, on sockets, for suites that look at it from outside.

`serve` gives a `Rig`: the upstream to play faults on, the runtime to look into, the address, and
plain HTTP as well as both SDKs to call it with. Streams are read strictly: what is not a record of
the dialect fails the test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai

from mcp_proxy.account import Account
from mcp_proxy.demo.cloudcode import DemoUpstream, RecordedCall
from mcp_proxy.demo.identity import DemoAccount
from mcp_proxy.demo.setup import demo_accounts, demo_settings, provider_settings
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.app import Server
from mcp_proxy.store.settings import (
    FallbackSettings,
    LimitSettings,
    ServerSettings,
    Settings,
)

Json = dict[str, Any]

CLAUDE = "claude-sonnet-4-6"
"""Thinks when it is asked to."""
THINKER = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-flash"

ONE = (DemoAccount("ada"),)
TWO = (DemoAccount("ada"), DemoAccount("grace"))

PATIENCE = 10.0
"""Seconds for things that take milliseconds, on a machine that does a hundred others."""


def settings_with(
    *,
    server: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    fallback: bool = False,
    **others: Any,
) -> Settings:
    """The defaults, but for these."""
    return Settings(
        server=replace(ServerSettings(), **(server or {})),
        limits=replace(LimitSettings(), **(limits or {})),
        fallback=FallbackSettings(enabled=fallback),
        **others,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str | None, Any]]:
        """The records of a stream as (event name, data)."""
        assert self.headers["Content-Type"].startswith("text/event-stream")
        return strict_records(self.body)

    @property
    def message(self) -> str:
        """What an error says, in either dialect."""
        text: str = self.json["error"]["message"]
        return text


def strict_records(body: bytes) -> list[tuple[str | None, Any]]:
    """Server-sent events as our server writes them; anything else is an AssertionError."""
    assert body.endswith(b"\n\n"), "the stream ends in the middle of a record"
    found: list[tuple[str | None, Any]] = []
    for block in body[:-2].decode("utf-8").split("\n\n"):
        if block.startswith(":"):
            found.append((None, None))
            continue
        name: str | None = None
        lines = block.split("\n")
        if lines[0].startswith("event: "):
            name = lines.pop(0).removeprefix("event: ")
        assert len(lines) == 1, block
        assert lines[0].startswith("data: "), block
        data = lines[0].removeprefix("data: ")
        found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


@dataclass(slots=True)
class Rig:
    """A server that runs, and what is behind and before it."""

    upstream: DemoUpstream
    runtime: Runtime
    server: Server
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every call."""

    @property
    def url(self) -> str:
        return self.server.url

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request as it is, nothing followed, nothing decoded."""
        async with self.http.request(
            method,
            self.url + path,
            data=body,
            headers={**self.headers, **(headers or {})},
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.call("POST", path, json.dumps(body).encode(), headers)

    async def messages(self, text: str = "say hi", model: str = CLAUDE, **more: Any) -> Answer:
        """Asks as an Anthropic client."""
        return await self.post("/v1/messages", message_body(text, model, **more))

    async def chat(self, text: str = "say hi", model: str = GEMINI, **more: Any) -> Answer:
        """Asks as an OpenAI client."""
        return await self.post("/v1/chat/completions", chat_body(text, model, **more))

    def anthropic(self) -> anthropic.AsyncAnthropic:
        """To be used in a `with`. Does not retry, and refuses what the API does not have."""
        return anthropic.AsyncAnthropic(
            api_key="x",
            base_url=self.url,
            max_retries=0,
            timeout=30,
            _strict_response_validation=True,
        )

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key="x",
            base_url=f"{self.url}/v1",
            max_retries=0,
            timeout=30,
            _strict_response_validation=True,
        )

    @property
    def generations(self) -> list[RecordedCall]:
        """The generation calls that the upstream got, in order."""
        return [call for call in self.upstream.requests if "streamGenerate" in call.path]

    @property
    def asked(self) -> list[str]:
        """The accounts of those calls."""
        return [call.account for call in self.generations]


def message_body(text: str = "say hi", model: str = CLAUDE, **more: Any) -> Json:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "max_tokens": 4000, "messages": messages, **more}


def chat_body(text: str = "say hi", model: str = GEMINI, **more: Any) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def serve(
    state: Path,
    *,
    upstream: DemoUpstream | None = None,
    people: Sequence[DemoAccount] = TWO,
    accounts: Sequence[Account] | None = None,
    settings: Settings | None = None,
    hosts: Sequence[str] = (),
    **playing: Any,
) -> AsyncIterator[Rig]:
    """A proxy with that state directory, over an upstream that ends with it unless given.

    `people` has the upstream's accounts, `playing` its other arguments; `accounts` are the proxy's,
    the same people's unless given. `hosts`: first path segments by which the upstream plays several
    addresses.
    """
    if upstream is None:
        async with (
            DemoUpstream(people, **playing) as own,
            serve(state, upstream=own, accounts=accounts, settings=settings, hosts=hosts) as rig,
        ):
            yield rig
        return
    pointed = demo_settings(upstream, settings or Settings())
    if hosts:
        addresses = tuple(f"{upstream.url}/{host}" for host in hosts)
        there = replace(provider_settings(upstream), base_urls=addresses)
        pointed = replace(pointed, providers={"antigravity": there})
    chosen = demo_accounts(upstream) if accounts is None else accounts
    runtime = Runtime.for_accounts(chosen, pointed, state)
    async with (
        Server(runtime, host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        yield Rig(upstream, runtime, server, http)


async def until(holds: Callable[[], object], *, within: float = PATIENCE) -> float:
    """Waits until something holds; seconds that it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not holds():
        assert loop.time() - began < within, "it did not happen in time"
        await asyncio.sleep(0.01)
    return loop.time() - began
