"""One question in each client API, by plain HTTP, and what came back: status, headers, body.

Beside `talkers.py`, which holds conversations through the SDKs: here it matters which account was
asked, what a refusal says, and how a stream ends.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from placed import Placed, placed
from served import Answer, settings_with

from mcp_proxy.demo.places import RecordedCall

Json = dict[str, Any]

HOUR, DAY = 3600.0, 86_400.0

IMPATIENT = settings_with(limits={"max_wait": 0})
"""Nobody waits for a limit."""

APIS: Sequence[str] = ("anthropic", "openai_chat", "openai_responses", "gemini")


def _messages(text: str, model: str, stream: bool) -> Json:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "max_tokens": 4000, "messages": messages, "stream": stream}


def _chat(text: str, model: str, stream: bool) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}


def _responses(text: str, model: str, stream: bool) -> Json:
    return {"model": model, "input": text, "stream": stream, "store": False}


def _contents(text: str, _model: str, _stream: bool) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


_BODIES: Mapping[str, Callable[[str, str, bool], Json]] = {
    "anthropic": _messages,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _contents,
}
_PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
}


def _path(api: str, model: str, stream: bool) -> str:
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return _PATHS.get(api) or f"/v1beta/models/{model}:{action}"


def text_of(api: str, answer: Answer) -> str:
    """What a whole answer says."""
    assert answer.status == 200, answer.body
    body = answer.json
    match api:
        case "anthropic":
            blocks = body["content"]
            return "".join(block["text"] for block in blocks if block["type"] == "text")
        case "openai_chat":
            return body["choices"][0]["message"]["content"]
        case "openai_responses":
            parts = (part for item in body["output"] for part in item.get("content") or ())
            return "".join(part.get("text", "") for part in parts)
        case _:
            parts = body["candidates"][0]["content"]["parts"]
            return "".join(part["text"] for part in parts if not part.get("thought"))


def broke_off(api: str, answer: Answer) -> bool:
    """Whether a stream ended with its API's word for a failure, and not as if all were well."""
    assert answer.status == 200, answer.body
    events = answer.events
    kinds = [name for name, _ in events]
    data = [each for _, each in events if isinstance(each, dict)]
    match api:
        case "anthropic":
            return kinds[-1] == "error" and "message_stop" not in kinds
        case "openai_chat":
            reasons = [c["finish_reason"] for d in data for c in d.get("choices", ())]
            return "error" in data[-1] and not any(reasons)
        case "openai_responses":
            return kinds[-1] in ("response.failed", "error") and "response.completed" not in kinds
        case _:
            return list(data[-1])[:1] == ["error"]


@dataclass(slots=True)
class Asker:
    """Somebody who asks the proxy of a `Placed`."""

    rig: Placed
    http: aiohttp.ClientSession

    async def ask(
        self, model: str, text: str = "say hi", api: str = "anthropic", *, stream: bool = False
    ) -> Answer:
        return await self.post(api, model, _BODIES[api](text, model, stream), stream=stream)

    async def post(self, api: str, model: str, body: Json, *, stream: bool = False) -> Answer:
        url = self.rig.url + _path(api, model, stream)
        async with self.http.post(url, json=body) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def limits(self) -> dict[str, Json]:
        """The rows of `/account-limits` by account."""
        async with self.http.get(self.rig.url + "/account-limits") as response:
            report = json.loads(await response.read())
        return {row["id"]: row for row in report["accounts"]}

    @property
    def asked(self) -> list[str]:
        """The accounts that upstreams were asked with for an answer, in order."""
        return [call.account for call in self.rig.generations]

    @property
    def last(self) -> RecordedCall:
        """The latest of those calls."""
        return self.rig.generations[-1]


@asynccontextmanager
async def asking(state: Path, *providers: str, **how: Any) -> AsyncIterator[Asker]:
    """The arguments are those of `placed`."""
    async with placed(state, *providers, **how) as rig, aiohttp.ClientSession() as http:
        yield Asker(rig, http)


def who(answer: Answer) -> str:
    """The account that answered."""
    assert answer.status == 200, answer.body
    return answer.headers["x-mcproxy-account"]


def seconds_until(moment: str, clock: Callable[[], float]) -> float:
    """From now until a time as reports give it."""
    return datetime.fromisoformat(moment).timestamp() - clock()


def window(row: Json, name: str) -> Json:
    """One of the account's windows in a row of `/account-limits`."""
    return next(each for each in row["windows"] if each["window"] == name)


def model_row(row: Json, model: str) -> Json:
    """One of the account's models in it."""
    return next(each for each in row["models"] if each["model"] == model)
