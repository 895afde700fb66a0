"""The show of `mcproxy demo`: the main job, played through the real server over real HTTP.

A step counts as shown only when everything it claims has been seen on the wire. Knows nothing of
terminals: an Audience is told what happens and shows it as it likes.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import aiohttp

from mcp_proxy.demo.clients import DemoClients, Heard, NotAnswered
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.identity import DemoAccount
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.demo.setup import demo_accounts, demo_settings
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.store.settings import FallbackSettings, LimitSettings, Settings

THINKER = "claude-opus-4-5-thinking"
QUICK = "gemini-3-flash"
SCARCE = "gemini-3-pro-high"
STAND_IN = THINKER

CALLS_EACH = 2
"""Calls of SCARCE that each account has: few enough to watch both of them run dry."""

CONVERSATION = (
    "This is the first answer.",
    "This is the second, from the same account.",
    "This is the third, from the other account.",
    "This is the fourth, and the last of this family.",
    "This is the fifth, from a model of another family.",
)
"""The model's lines in the conversation that uses up SCARCE on both accounts."""

STEP_TIMEOUT = 5.0
"""Seconds; a step takes a fraction of one."""

WEATHER_TOOL: JsonObject = {
    "name": "get_weather",
    "description": "The weather of a city, now",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@dataclass(frozen=True, slots=True)
class Step:
    """One act of the show and whether it really happened."""

    title: str
    ok: bool
    facts: list[str] = field(default_factory=list)
    problem: str | None = None


class Audience:
    """Whoever watches. This one only waits for the end; others show what they are told."""

    async def opens(self, url: str, upstream: str) -> None:
        """The proxy and the upstream behind it are up."""

    async def begins(self, title: str) -> None:
        """A step."""

    async def hears(self, kind: str, piece: str) -> None:
        """A piece of "thinking" or "text" of an answer, as it arrives."""

    async def learns(self, fact: str) -> None:
        """Something that was seen to be so."""

    async def sees(self, report: JsonObject) -> None:
        """The limits of all accounts."""

    async def ends(self, step: Step) -> None:
        """A step, held or failed."""


class NotShown(Exception):
    """A claim of a step was not seen."""


class Served(Protocol):
    """The real server, while it runs."""

    @property
    def url(self) -> str: ...


Serve = Callable[[Runtime], AbstractAsyncContextManager[Served]]
"""Starts the real server on a free port; given, since the server stands beside the demo."""


async def play(audience: Audience, serve: Serve) -> list[Step]:
    """Plays the whole show. Touches no file of the user's."""
    async with _stage(audience, serve) as act:
        return [await _step(title, scene, act) for title, scene in SCENES]


@dataclass(slots=True)
class _Act:
    """What a scene has at hand."""

    clients: DemoClients
    audience: Audience
    facts: list[str] = field(default_factory=list)

    async def tell(self, fact: str) -> None:
        self.facts.append(fact)
        await self.audience.learns(fact)


_Scene = Callable[[_Act], Awaitable[None]]


@asynccontextmanager
async def _stage(audience: Audience, serve: Serve) -> AsyncIterator[_Act]:
    accounts = [
        DemoAccount("ada", calls={"gemini-pro": CALLS_EACH}),
        DemoAccount("grace", rotates=True, calls={"gemini-pro": CALLS_EACH}),
    ]
    settings = Settings(
        # Both accounts are to be used to the last call, which a soft limit is there to prevent.
        limits=replace(LimitSettings(), soft_limit=None),
        fallback=replace(FallbackSettings(), enabled=True),
    )
    with tempfile.TemporaryDirectory(prefix="mcproxy-demo-") as directory:
        async with DemoUpstream(accounts) as upstream:
            runtime = Runtime.for_accounts(
                demo_accounts(upstream), demo_settings(upstream, settings), Path(directory)
            )
            async with (
                serve(runtime) as server,
                aiohttp.ClientSession() as session,
            ):
                await audience.opens(server.url, upstream.url)
                yield _Act(DemoClients(session, server.url, audience.hears), audience)


async def _step(title: str, scene: _Scene, act: _Act) -> Step:
    await act.audience.begins(title)
    act.facts = []
    problem = None
    try:
        async with asyncio.timeout(STEP_TIMEOUT):
            await scene(act)
    except TimeoutError:
        problem = f"not done after {STEP_TIMEOUT:.0f} s"
    except (NotShown, NotAnswered, aiohttp.ClientError) as cause:
        problem = str(cause) or type(cause).__name__
    step = Step(title, problem is None, act.facts, problem)
    await act.audience.ends(step)
    return step


async def _anthropic(act: _Act) -> None:
    text = "Good morning! This was streamed word by word, after some thinking."
    heard = await act.clients.anthropic(_messages(THINKER, f"say {text}"))
    _expect(heard.text == text, f"the text is {heard.text!r}")
    _expect(bool(heard.thinking and heard.signature), "no signed thinking came")
    _expect(heard.events[0] == "message_start", f"the stream begins with {heard.events[0]}")
    _expect(heard.events[-1] == "message_stop", f"the stream ends with {heard.events[-1]}")
    _expect(heard.stop == "end_turn", f"the stop reason is {heard.stop}")
    await act.tell(f"{len(heard.events)} events, thinking signed, {_served(heard)}")


async def _openai(act: _Act) -> None:
    text = "The same accounts speak OpenAI's language, too."
    body = {
        "model": QUICK,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": f"say {text}"}],
    }
    heard = await act.clients.openai(body)
    _expect(heard.text == text, f"the text is {heard.text!r}")
    _expect(heard.stop == "stop", f"the finish reason is {heard.stop}")
    _expect(heard.events[-1] == "[DONE]", "the stream does not end with [DONE]")
    _expect(heard.usage.get("completion_tokens", 0) > 0, "no usage came")
    await act.tell(f"{len(heard.events)} chunks with usage, {_served(heard)}")


async def _tool_call(act: _Act) -> None:
    body = _messages(THINKER, "What is the weather in Oslo?") | {"tools": [WEATHER_TOOL]}
    asking = await act.clients.anthropic(body)
    calls = [block for block in asking.blocks if block["type"] == "tool_use"]
    _expect(asking.stop == "tool_use", f"the stop reason is {asking.stop}")
    _expect(
        [(call["name"], call["input"]) for call in calls] == [("get_weather", {"city": "Oslo"})],
        f"the calls are {calls}",
    )
    await act.tell('the model calls get_weather(city="Oslo"), the client answers "-3 °C and clear"')
    answer = {"type": "tool_result", "tool_use_id": calls[0]["id"], "content": "-3 °C and clear"}
    body["messages"] = [
        *body["messages"],
        {"role": "assistant", "content": asking.blocks},
        {"role": "user", "content": [answer]},
    ]
    heard = await act.clients.anthropic(body)
    _expect("-3 °C and clear" in heard.text, f"the text is {heard.text!r}")
    await act.tell(f"the signature of its thinking was taken back, {_served(heard)}")


async def _runs_dry(act: _Act) -> None:
    served = [await _next_turn(act, turn) for turn in range(CALLS_EACH + 1)]
    first, last = served[0].account, served[-1].account
    _expect(
        [heard.account for heard in served[:-1]] == [first] * CALLS_EACH,
        "the conversation did not stay on its account",
    )
    _expect(last not in ("", first), f"the last answer is from {last}")
    _expect(served[-1].model == SCARCE, f"the last answer is from {served[-1].model}")
    await act.tell(f"{first} answered {CALLS_EACH} times, then its quota was gone")
    await act.tell(f"{last} took over within the same request: the client saw no error")


async def _falls_back(act: _Act) -> None:
    for turn in range(CALLS_EACH + 1, 2 * CALLS_EACH):
        await _next_turn(act, turn)
    heard = await _next_turn(act, 2 * CALLS_EACH)
    expected = f"{SCARCE} -> {STAND_IN}"
    _expect(heard.fallback == expected, f"the fallback is {heard.fallback}")
    _expect(heard.model == STAND_IN, f"the model is {heard.model}")
    await act.tell(f"both accounts are out of {SCARCE} for hours")
    await act.tell(f"fallback: {expected}, served by {heard.account}")


async def _limits(act: _Act) -> None:
    report = await act.clients.get("/account-limits")
    await act.audience.sees(_shortened(report))
    states = {
        row["account"]: row["state"]
        for account in report["accounts"]
        for row in account["models"]
        if row["model"] == SCARCE
    }
    _expect(
        len(states) == 2 and set(states.values()) == {"exhausted"},
        f"the states of {SCARCE} are {states}",
    )
    await act.tell(f"{SCARCE} is exhausted on both accounts until its reset")


SCENES: tuple[tuple[str, _Scene], ...] = (
    (f"Anthropic Messages: streaming with thinking ({THINKER})", _anthropic),
    (f"OpenAI Chat: streaming ({QUICK})", _openai),
    ("A tool call, there and back", _tool_call),
    (f"An account runs dry: fail-over ({SCARCE})", _runs_dry),
    ("All accounts are dry: fallback to another family", _falls_back),
    ("The limits of every account", _limits),
)


async def _next_turn(act: _Act, turn: int) -> Heard:
    heard = await act.clients.anthropic(_scarce(turn))
    _expect(heard.text == CONVERSATION[turn], f"the text is {heard.text!r}")
    await act.tell(f"{heard.model}, {_served(heard)}")
    return heard


def _messages(model: str, prompt: str) -> JsonObject:
    return {
        "model": model,
        "max_tokens": 8192,
        "stream": True,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": [{"role": "user", "content": prompt}],
    }


def _scarce(turn: int) -> JsonObject:
    """One conversation up to this turn."""
    body = _messages(SCARCE, f"say {CONVERSATION[0]}") | {"thinking": {"type": "disabled"}}
    for said, next_one in pairwise(CONVERSATION[: turn + 1]):
        body["messages"] += [
            {"role": "assistant", "content": said},
            {"role": "user", "content": f"say {next_one}"},
        ]
    return body


def _shortened(report: JsonObject) -> JsonObject:
    """The report with only the models that were played with."""
    accounts = [
        account
        | {"models": [row for row in account["models"] if row["model"] in (SCARCE, THINKER, QUICK)]}
        for account in report["accounts"]
    ]
    return report | {"accounts": accounts}


def _served(heard: Heard) -> str:
    return f"served by {heard.account}"


def _expect(held: bool, otherwise: str) -> None:
    if not held:
        raise NotShown(otherwise)
