"""The Codex provider and the Responses dialect against the embedded back end, over the wire."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

from mcp_proxy.account import Account, Secret
from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.dialects.openai_responses import UPSTREAM
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import Event, Reply, Stop, fold
from mcp_proxy.providers import Ask, ProviderSettings, TokenAnswer, UpstreamCall
from mcp_proxy.providers.codex import PROVIDER
from mcp_proxy.sse import SseReader

NOW = 1_760_000_000.0
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get weather/now", "Tells the weather.", CITY)
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Sends what the provider describes, as the engine would."""

    def __init__(self, http: aiohttp.ClientSession, places: DemoPlaces) -> None:
        self._http = http
        self.settings: ProviderSettings = places.settings()["codex"]
        self.account: Account = places.account("codex", "ada")
        self.host = PROVIDER.hosts(self.account, self.settings)[0]
        self.token = Secret("")

    async def send(self, call: UpstreamCall) -> Answered:
        request = self._http.request(call.method, call.url, headers=call.headers, data=call.body)
        async with request as answer:
            return Answered(answer.status, dict(answer.headers), await answer.read())

    async def sign_in(self) -> TokenAnswer | Failure:
        answer = await self.send(PROVIDER.refresh_call(self.account, self.settings))
        found = PROVIDER.read_refresh(answer.status, answer.headers, answer.body, now=NOW)
        if isinstance(found, TokenAnswer):
            self.token = found.access_token
        return found

    def ask(self, conversation: Conversation) -> Ask:
        model = next(m for m in PROVIDER.models() if m.id == conversation.model)
        return Ask(
            self.account,
            self.token,
            model,
            "openai_responses",
            conversation,
            conversation.identity(),
            self.host,
            self.settings,
        )

    async def answer(self, conversation: Conversation) -> Reply | Failure:
        asked = self.ask(conversation)
        body = UPSTREAM.render_request(conversation, asked.model)
        answer = await self.send(PROVIDER.build_call(body, asked))
        if answer.status != 200:
            return PROVIDER.read_failure(answer.status, answer.headers, answer.body, now=NOW)
        parser, events, reader = UPSTREAM.stream_parser(conversation, asked.model), [], SseReader()
        for record in (*reader.feed(answer.body), *reader.close()):
            parser.feed(orjson.loads(record), events)
        parser.close(events)
        return fold(events)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with DemoPlaces() as places, aiohttp.ClientSession() as http:
        made = Client(http, places)
        await made.sign_in()
        yield made


def talk(*parts: Part, **fields: Any) -> Conversation:
    messages = (Message("user", parts),)
    return Conversation("anthropic", "gpt-5.4", messages, **fields)


def replied(found: Reply | Failure) -> Reply:
    assert isinstance(found, Reply), found
    return found


async def test_refresh_token_works_once_and_the_next_one_is_handed_on(client: Client) -> None:
    again = await client.sign_in()
    assert isinstance(again, Failure)
    assert again.kind is FailureKind.AUTH_REVOKED


async def test_rotated_token_signs_in(client: Client) -> None:
    async with DemoPlaces() as places, aiohttp.ClientSession() as http:
        fresh = Client(http, places)
        first = await fresh.sign_in()
        assert isinstance(first, TokenAnswer)
        assert first.refresh_token is not None
        credential = replace(fresh.account.credential, refresh_token=first.refresh_token)
        fresh.account = replace(fresh.account, credential=credential)
        assert isinstance(await fresh.sign_in(), TokenAnswer)


async def test_text(client: Client) -> None:
    found = replied(await client.answer(talk(Text("say Good morning."))))
    assert found.parts[-1] == Text("Good morning.")
    assert found.stop is Stop.END
    assert found.usage.prompt > 0
    assert found.usage.output > 0


async def test_tool_loop_with_sealed_reasoning(client: Client) -> None:
    asked = talk(
        Text("What is the weather in Ulm? think"),
        tools=(WEATHER,),
        reasoning=Reasoning(mode="adaptive", effort="high"),
    )
    called = replied(await client.answer(asked))
    assert called.stop is Stop.TOOL_CALL
    thoughts = [part for part in called.parts if isinstance(part, Thinking)]
    calls = [part for part in called.parts if isinstance(part, ToolCall)]
    assert thoughts
    assert all(thought.seal is not None for thought in thoughts)
    assert {call.name for call in calls} == {WEATHER.name}
    results = tuple(ToolResult(call.id, (Text("Sunny, 21 degrees."),)) for call in calls)
    history = (*asked.messages, Message("assistant", called.parts), Message("user", results))
    told = replied(await client.answer(replace(asked, messages=history)))
    assert "Sunny, 21 degrees." in "".join(p.text for p in told.parts if isinstance(p, Text))


async def test_forged_seal_is_known_for_what_it_is(client: Client) -> None:
    asked = talk(Text("What is the weather in Ulm? think"), tools=(WEATHER,))
    called = replied(await client.answer(asked))
    forged = tuple(
        replace(part, seal=replace(part.seal, value="gAAAAAforged"))
        if isinstance(part, Thinking) and part.seal is not None
        else part
        for part in called.parts
    )
    results = tuple(ToolResult(p.id, (Text("x"),)) for p in forged if isinstance(p, ToolCall))
    history = (*asked.messages, Message("assistant", forged), Message("user", results))
    found = await client.answer(replace(asked, messages=history))
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.SEAL


async def test_everything_that_the_place_refuses_is_left_out(client: Client) -> None:
    rich = talk(
        Text("What is in this picture? Answer as json."),
        Media("image/png", PNG),
        system=(Text("Be brief."),),
        session="5f0c1f6e-0000-4000-8000-000000000000",
        output=OutputFormat({"type": "object", "properties": {"a": {"type": "string"}}}),
        sampling=Sampling(max_tokens=9000, temperature=0.2, top_p=0.5, stop=("XYZ",)),
    )
    assert replied(await client.answer(rich)).parts


async def test_polls_of_the_account(client: Client) -> None:
    models, usage = [
        poll.read((await client.send(poll.call)).body, NOW)
        for poll in PROVIDER.polls(client.account, client.token, None, client.host, client.settings)
    ]
    assert models.models
    assert {figure.window for figure in usage.figures} == {"5h", "7d"}
    assert usage.plan


async def test_windows_are_in_the_headers_of_an_answer(client: Client) -> None:
    conversation = talk(Text("hi"))
    asked = client.ask(conversation)
    body = UPSTREAM.render_request(conversation, asked.model)
    answer = await client.send(PROVIDER.build_call(body, asked))
    figures = PROVIDER.read_headers(answer.headers, asked.model, now=NOW)
    assert {figure.window for figure in figures} == {"5h", "7d"}
    assert all(figure.remaining is not None and figure.resets_at for figure in figures)


async def test_clients_own_body_is_forwarded(client: Client) -> None:
    conversation = talk(Text("hi"))
    asked = replace(client.ask(conversation), client_headers={"originator": "codex_exec"})
    own = {
        "model": "gpt-5.4",
        "stream": True,
        "temperature": 1,
        "input": [{"role": "system", "content": "Be."}, {"role": "user", "content": "say Hello."}],
    }
    body = PROVIDER.forwardable(own, asked)
    answer = await client.send(PROVIDER.build_call(orjson.dumps(body), asked))
    assert answer.status == 200, answer.body
    parser, events = UPSTREAM.stream_parser(conversation, asked.model), list[Event]()
    for record in SseReader().feed(answer.body):
        parser.feed(orjson.loads(record), events)
    assert fold(events).parts[-1] == Text("Hello.")
