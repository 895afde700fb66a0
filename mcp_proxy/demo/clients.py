"""Two small streaming clients, one per API, as the demo plays them. They know the wire, no SDK."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.sse import SseReader
from mcp_proxy.strict_json import decode

Hear = Callable[[str, str], Awaitable[None]]
"""Called with ("thinking" or "text", a piece) while an answer streams in."""


class NotAnswered(Exception):
    """The proxy answered with an error; the text is its own."""


@dataclass(slots=True)
class Heard:
    """One streamed answer, put together."""

    headers: Mapping[str, str]
    events: list[str] = field(default_factory=list)
    """Kinds of events in the order in which they came."""
    thinking: str = ""
    text: str = ""
    signature: str = ""
    stop: str | None = None
    blocks: list[JsonObject] = field(default_factory=list)
    """Anthropic: the content blocks, as the next request repeats them."""
    usage: JsonObject = field(default_factory=dict)

    @property
    def account(self) -> str:
        return self.headers.get("x-mcproxy-account", "")

    @property
    def model(self) -> str:
        return self.headers.get("x-mcproxy-model", "")

    @property
    def fallback(self) -> str | None:
        return self.headers.get("x-mcproxy-fallback")


class DemoClients:
    """Speaks both APIs to one proxy."""

    def __init__(self, session: aiohttp.ClientSession, url: str, hear: Hear) -> None:
        self._session = session
        self._url = url
        self._hear = hear

    async def anthropic(self, body: JsonObject) -> Heard:
        """POST /v1/messages, streamed."""
        heard = Heard({})
        arguments = ""
        async for event in self._events("/v1/messages", body, heard):
            heard.events.append(event["type"])
            match event["type"]:
                case "content_block_start":
                    heard.blocks.append(event["content_block"])
                    arguments = ""
                case "content_block_delta":
                    arguments += await self._delta(event["delta"], heard)
                case "content_block_stop":
                    if heard.blocks[-1]["type"] == "tool_use":
                        heard.blocks[-1]["input"] = decode(arguments or "{}")
                case "message_delta":
                    heard.stop = event["delta"]["stop_reason"]
                    heard.usage = event["usage"]
                case "error":
                    raise NotAnswered(event["error"]["message"])
        return heard

    async def openai(self, body: JsonObject) -> Heard:
        """POST /v1/chat/completions, streamed."""
        heard = Heard({})
        async for chunk in self._events("/v1/chat/completions", body, heard):
            if "error" in chunk:
                raise NotAnswered(chunk["error"]["message"])
            heard.events.append("chunk")
            heard.usage = chunk.get("usage") or heard.usage
            for choice in chunk["choices"]:
                piece = choice["delta"].get("content") or ""
                heard.text += piece
                heard.stop = choice.get("finish_reason") or heard.stop
                if piece:
                    await self._hear("text", piece)
        return heard

    async def get(self, path: str) -> JsonObject:
        async with self._session.get(self._url + path) as response:
            answer: JsonObject = decode(await response.read())
            return answer

    async def _delta(self, delta: JsonObject, heard: Heard) -> str:
        """Adds a piece to the open block; a piece of tool arguments is returned."""
        block = heard.blocks[-1]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
                heard.text += delta["text"]
                await self._hear("text", delta["text"])
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                heard.thinking += delta["thinking"]
                await self._hear("thinking", delta["thinking"])
            case "signature_delta":
                block["signature"] = heard.signature = delta["signature"]
            case "input_json_delta":
                return str(delta["partial_json"])
        return ""

    async def _events(self, path: str, body: JsonObject, heard: Heard) -> AsyncIterator[JsonObject]:
        async with self._session.post(self._url + path, json=body) as response:
            if response.status != 200:
                error = decode(await response.read())["error"]
                raise NotAnswered(f"{response.status}: {error['message']}")
            heard.headers = response.headers
            reader = SseReader()
            async for chunk in response.content.iter_any():
                for data in reader.feed(chunk):
                    if data == b"[DONE]":
                        heard.events.append("[DONE]")
                    else:
                        yield decode(data)
