"""A bare client of the embedded upstream: what the tests of tests/demo drive it with."""

import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from mcp_proxy.demo import DemoAccount, DemoUpstream
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET

JsonObject = dict[str, Any]

AGENT = "antigravity/hub/2.9.1 linux/amd64"
CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-flash"

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = 1_800_000_000.0

    def __call__(self) -> float:
        return self.moment

    def move(self, seconds: float) -> None:
        self.moment += seconds


class DemoClient:
    """One account's calls."""

    def __init__(self, upstream: DemoUpstream, session: aiohttp.ClientSession, clock: Clock):
        self.upstream = upstream
        self.session = session
        self.clock = clock
        self.token = ""
        self.account = ""
        self.headers: dict[str, str] = {"user-agent": AGENT, "content-type": "application/json"}

    async def refresh(self, refresh_token: str, **changes: str) -> tuple[int, JsonObject]:
        form = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        } | changes
        async with self.session.post(f"{self.upstream.url}/token", data=form) as response:
            return response.status, await response.json()

    async def sign_in(self, account: str) -> None:
        status, answer = await self.refresh(self.upstream.refresh_token(account))
        assert status == 200
        self.account = account
        self.token = answer["access_token"]
        self.headers["authorization"] = f"Bearer {self.token}"

    async def post(self, verb: str, body: JsonObject, prefix: str = "") -> tuple[int, JsonObject]:
        url = f"{self.upstream.url}{prefix}/v1internal:{verb}"
        async with self.session.post(url, data=sent(body), headers=self.headers) as response:
            return response.status, orjson.loads(await response.read())

    def envelope(self, model: str, request: JsonObject, **changes: Any) -> JsonObject:
        kind = "image_gen" if "image" in model else "agent"
        return {
            "project": f"demo-project-{self.account}",
            "model": model,
            "userAgent": "antigravity",
            "requestType": kind,
            "requestId": "agent-1",
            "request": request,
        } | changes

    async def raw(self, body: JsonObject, prefix: str = "") -> tuple[int, bytes]:
        """Status and bytes of a streamed generation, however it ends."""
        url = f"{self.upstream.url}{prefix}/v1internal:streamGenerateContent?alt=sse"
        async with self.session.post(url, data=sent(body), headers=self.headers) as response:
            return response.status, await response.read()

    async def refused(self, model: str, request: JsonObject, **changes: Any) -> tuple[int, str]:
        """Status and message of a generation that is not answered."""
        status, body = await self.raw(self.envelope(model, request, **changes))
        assert status != 200, body
        return status, orjson.loads(body)["error"]["message"]

    async def generate(self, model: str, request: JsonObject) -> "Streamed":
        status, body = await self.raw(self.envelope(model, request))
        assert status == 200, body
        return Streamed(body)

    async def say(self, model: str, text: str, **request: Any) -> "Streamed":
        return await self.generate(model, {"contents": [user(text)], **request})


class Streamed:
    """A streamed answer, read."""

    def __init__(self, body: bytes) -> None:
        self.records = [
            orjson.loads(record.removeprefix(b"data: ")) for record in body.split(b"\n\n") if record
        ]
        self.responses = [record["response"] for record in self.records]
        self.parts: list[JsonObject] = [
            part
            for response in self.responses
            for part in response["candidates"][0]["content"].get("parts", ())
        ]
        self.usage: JsonObject = self.responses[-1]["usageMetadata"]
        self.finish: str = self.responses[-1]["candidates"][0]["finishReason"]

    @property
    def text(self) -> str:
        return "".join(p["text"] for p in self.parts if "text" in p and not p.get("thought"))

    @property
    def thoughts(self) -> str:
        return "".join(p["text"] for p in self.parts if p.get("thought"))

    @property
    def calls(self) -> list[JsonObject]:
        return [part["functionCall"] for part in self.parts if "functionCall" in part]

    @property
    def turn(self) -> JsonObject:
        """The answer as the next request repeats it."""
        kept = [part for part in self.parts if part != {"text": ""}]
        signed = [p for p in kept if p.get("thought") and "thoughtSignature" in p]
        if self.thoughts and signed:
            whole = {"thought": True, "text": self.thoughts}
            kept = [
                whole | {"thoughtSignature": signed[0]["thoughtSignature"]},
                *(p for p in kept if not p.get("thought")),
            ]
        else:
            kept = [p for p in kept if not p.get("thought")]
        return {"role": "model", "parts": kept}


def sent(body: JsonObject) -> io.BytesIO:
    """A file, since aiohttp warns of large bodies that are not."""
    return io.BytesIO(orjson.dumps(body))


def user(text: str) -> JsonObject:
    return {"role": "user", "parts": [{"text": text}]}


def model_says(*parts: JsonObject) -> JsonObject:
    return {"role": "model", "parts": list(parts)}


def call(name: str = "get_weather", identifier: str = "toolu_1", **more: Any) -> JsonObject:
    return {"functionCall": {"id": identifier, "name": name, "args": {"city": "Oslo"}}, **more}


def result(identifier: str = "toolu_1", text: str = "sunny") -> JsonObject:
    answer = {"id": identifier, "name": "get_weather", "response": {"result": text}}
    return {"functionResponse": answer}


def results(*parts: JsonObject) -> JsonObject:
    return {"role": "user", "parts": list(parts)}


def tools(*declarations: JsonObject) -> list[JsonObject]:
    return [{"functionDeclarations": list(declarations or (WEATHER,))}]


def thinking(budget: int = 2048, limit: int = 8192) -> JsonObject:
    config = {"includeThoughts": True, "thinkingBudget": budget}
    return {"generationConfig": {"thinkingConfig": config, "maxOutputTokens": limit}}


@asynccontextmanager
async def demo_client(
    accounts: Iterable[DemoAccount] = (DemoAccount("ada"), DemoAccount("grace", rotates=True)),
    **options: Any,
) -> AsyncIterator[DemoClient]:
    """A client signed in as the first account of a running upstream."""
    clock = Clock()
    known = list(accounts)
    async with (
        DemoUpstream(known, now=clock, **options) as upstream,
        aiohttp.ClientSession() as session,
    ):
        client = DemoClient(upstream, session, clock)
        await client.sign_in(known[0].id)
        yield client
