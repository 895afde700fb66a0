"""The embedded Vertex AI and Z.AI, and what all places share: delivery, faults, clients that go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import anthropic
import httpx2
import pytest

from mcp_proxy.account import Credential
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.signin.adc import read_google_login

MESSAGE = {"role": "user", "content": "say hello"}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "say hello"}]}]}
CLAUDE = "claude-sonnet-4-5@20250929"


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


class Vertex:
    def __init__(self, places: DemoPlaces, session: aiohttp.ClientSession, token: str) -> None:
        self.session = session
        self.headers = {"authorization": f"Bearer {token}"}
        self.base = places.settings()["vertex"].base_urls[0] + "/v1/projects"

    async def post(
        self, verb: str, body: dict[str, Any], project: str = "demo-project-ada"
    ) -> tuple[int, Any]:
        url = f"{self.base}/{project}/locations/us-central1/publishers/{verb}"
        async with self.session.post(url, json=body, headers=self.headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def vertex(places: DemoPlaces, session: aiohttp.ClientSession) -> Vertex:
    account = places.account("vertex", "ada")
    login = await asyncio.to_thread(read_google_login, account)
    assert login.project == account.project
    return Vertex(places, session, login.token.value)


async def test_vertex_takes_a_signed_assertion_and_serves_both_publishers(vertex: Vertex) -> None:
    status, answer = await vertex.post("google/models/gemini-2.5-flash:generateContent", CONTENTS)
    assert status == 200
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == "hello"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 99, "messages": [MESSAGE]}
    status, answer = await vertex.post(f"anthropic/models/{CLAUDE}:rawPredict", body)
    assert (status, answer["content"][0]["text"]) == (200, "hello")
    count = {"model": CLAUDE, "messages": [MESSAGE]}
    status, answer = await vertex.post("anthropic/models/count-tokens:rawPredict", count)
    assert (status, answer["input_tokens"] > 0) == (200, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": CLAUDE}, "model: Extra inputs are not permitted"),
        ({"anthropic_version": "2023-06-01"}, "anthropic_version: Field required"),
        ({"stream": True}, "does not agree with the method"),
    ],
)
async def test_vertex_wants_claudes_body_its_own_way(
    vertex: Vertex, changes: dict[str, Any], message: str
) -> None:
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 99, "messages": [MESSAGE]}
    status, answer = await vertex.post(f"anthropic/models/{CLAUDE}:rawPredict", body | changes)
    assert status == 400
    assert message in answer["error"]["message"]


async def test_vertex_knows_its_projects_and_models(vertex: Vertex) -> None:
    verb = "google/models/gemini-2.5-flash:generateContent"
    status, answer = await vertex.post(verb, CONTENTS, project="another")
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    status, answer = await vertex.post("google/models/none:generateContent", CONTENTS)
    assert status == 404
    assert "Publisher Model `/demo-project-ada/" in answer["error"]["message"]


@pytest.fixture
async def zai(places: DemoPlaces) -> AsyncIterator[anthropic.AsyncAnthropic]:
    key = places.account("zai", "ada").credential.api_key
    assert key is not None
    async with anthropic.AsyncAnthropic(
        auth_token=key.value,
        base_url=places.settings()["zai"].base_urls[0],
        default_headers={"anthropic-version": "2023-06-01"},
        max_retries=0,
    ) as made:
        yield made


async def test_zai_speaks_messages_and_signs_nothing(zai: anthropic.AsyncAnthropic) -> None:
    answer = await zai.messages.create(
        model="glm-4.7",
        max_tokens=4096,
        messages=[MESSAGE],
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert (answer.content[0].signature, answer.content[1].text) == ("", "hello")


async def test_zai_gives_business_codes_and_times_of_beijing(
    places: DemoPlaces, zai: anthropic.AsyncAnthropic, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(anthropic.BadRequestError) as unknown:
        await zai.messages.create(model="glm-none", max_tokens=9, messages=[MESSAGE])
    assert unknown.value.body["error"]["code"] == "1211"
    places.quota("zai").use("5h", 1.0, resets_at=4_000_000_000.0)  # 2096-10-02 07:06:40 UTC
    with pytest.raises(anthropic.RateLimitError) as spent:
        await zai.messages.create(model="glm-4.7", max_tokens=9, messages=[MESSAGE])
    assert spent.value.body["error"]["code"] == "1308"
    assert "will reset at 2096-10-02 15:06:40" in spent.value.body["error"]["message"]
    headers = {"authorization": f"Bearer {zai.auth_token}"}
    url = f"{places.url}/api/monitor/usage/quota/limit"
    async with session.get(url, headers=headers) as response:
        limits = (await response.json())["data"]["limits"]
    assert limits[0]["percentage"] == 100
    assert limits[0]["nextResetTime"] == 4_000_000_000_000
    assert "nextResetTime" not in limits[1]
    async with session.get(url, headers={"authorization": "Bearer wrong"}) as response:
        assert response.status == 200
        assert not (await response.json())["success"]


async def test_records_leave_one_by_one_and_a_client_that_goes_is_noticed(
    places: DemoPlaces, zai: anthropic.AsyncAnthropic
) -> None:
    slow = {"role": "user", "content": "events=50 pace=100"}
    async with zai.messages.stream(model="glm-4.7", max_tokens=999, messages=[slow]) as stream:
        async for text in stream.text_stream:
            assert text == "event 1 of 50. "
            break
    for _ in range(500):
        if places.hung_up:
            break
        await asyncio.sleep(0.01)
    assert list(places.hung_up) == ["zai"]


async def test_a_fault_in_the_prompt_cuts_the_stream(zai: anthropic.AsyncAnthropic) -> None:
    cut = {"role": "user", "content": "words=50 fault=cut"}
    with pytest.raises(httpx2.TransportError):
        async with zai.messages.stream(model="glm-4.7", max_tokens=999, messages=[cut]) as stream:
            await stream.get_final_message()


async def test_a_persons_own_google_credentials_are_good_too(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    account = places.account("vertex", "ada")
    file = places.vertex.tokens.user_file("ada", "demo-project-ada", directory=places.directory)
    borrowed = replace(
        account,
        credential=Credential(file=str(file)),
        token_url=places.settings()["vertex"].token_url,
    )
    login = await asyncio.to_thread(read_google_login, borrowed)
    vertex = Vertex(places, session, login.token.value)
    status, _answer = await vertex.post("google/models/gemini-2.5-flash:countTokens", CONTENTS)
    assert status == 200
