"""The embedded Codex and Copilot back ends with their sign-ins."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import anthropic
import openai
import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.demo.places.codex_tokens import CLIENT_ID
from mcp_proxy.jwt_claims import claims_of
from mcp_proxy.signin.github import GitHubSignIn
from mcp_proxy.sse import SseReader

MODEL = "gpt-5.4"
HEADERS = {"editor-version": "vscode/1.0", "copilot-integration-id": "vscode-chat"}


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def secret_of(account: Account) -> str:
    assert account.credential.refresh_token is not None
    return account.credential.refresh_token.value


async def refreshed(
    places: DemoPlaces, session: aiohttp.ClientSession, token: str
) -> tuple[int, dict[str, Any]]:
    body = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": token}
    url = places.settings()["codex"].token_url
    async with session.post(url, json=body) as response:
        return response.status, await response.json()


class Codex:
    """One signed-in account's calls."""

    def __init__(self, places: DemoPlaces, session: aiohttp.ClientSession, tokens: Any) -> None:
        self.base = places.settings()["codex"].base_urls[0]
        self.session = session
        claims = claims_of(tokens["access_token"])["https://api.openai.com/auth"]
        self.headers = {
            "authorization": f"Bearer {tokens['access_token']}",
            "chatgpt-account-id": claims["chatgpt_account_id"],
            "accept": "text/event-stream",
        }

    async def post(self, **changes: Any) -> tuple[int, Any, Any]:
        body = {
            "model": MODEL,
            "instructions": "",
            "input": [{"role": "user", "content": "say Good morning, world."}],
            "store": False,
            "stream": True,
            "include": ["reasoning.encrypted_content"],
        } | changes
        body = {name: value for name, value in body.items() if value is not None}
        url = f"{self.base}/responses"
        async with self.session.post(url, json=body, headers=self.headers) as response:
            raw = await response.read()
            if response.status != 200:
                return response.status, response.headers, json.loads(raw)
            events = [json.loads(data) for data in SseReader().feed(raw)]
            return response.status, response.headers, events


@pytest.fixture
async def codex(places: DemoPlaces, session: aiohttp.ClientSession) -> Codex:
    account = places.account("codex", "ada")
    _status, tokens = await refreshed(places, session, secret_of(account))
    return Codex(places, session, tokens)


async def test_codex_streams_items_and_completes_with_an_empty_output(codex: Codex) -> None:
    status, headers, events = await codex.post()
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert status == 200
    assert done[1]["content"][0]["text"] == "Good morning, world."
    assert done[0]["encrypted_content"]
    assert (events[-1]["type"], events[-1]["response"]["output"]) == ("response.completed", [])
    assert headers["x-codex-primary-window-minutes"] == "300"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"max_output_tokens": 99}, "Unsupported parameter: max_output_tokens"),
        ({"instructions": None}, "Instructions are required"),
        ({"store": True}, "Store must be set to false"),
        ({"stream": False}, "Stream must be set to true"),
        ({"input": "hello"}, "Input must be a list"),
        ({"input": [{"role": "system", "content": "x"}]}, "System messages are not allowed"),
        ({"model": "gpt-4o"}, "not supported when using Codex"),
    ],
)
async def test_codex_wants_its_own_form(codex: Codex, changes: dict[str, Any], detail: str) -> None:
    status, _headers, answer = await codex.post(**changes)
    assert status == 400
    assert detail in answer["detail"]


async def test_codex_says_when_a_window_opens_again(places: DemoPlaces, codex: Codex) -> None:
    resets_at = places.desk.now() + 900
    places.quota("codex").use("5h", 1.0, resets_at=resets_at, account="ada")
    status, _headers, answer = await codex.post()
    assert status == 429
    assert answer["error"]["type"] == "usage_limit_reached"
    assert answer["error"]["resets_at"] == int(resets_at)
    for base in (codex.base.removesuffix("/codex"), f"{places.url}/backend-api"):
        url = f"{base}/wham/usage"
        async with codex.session.get(url, headers=codex.headers) as response:
            usage = (await response.json())["rate_limit"]
        assert usage["limit_reached"]
        assert usage["primary_window"]["used_percent"] == 100


async def test_a_refresh_token_is_good_once(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    token = secret_of(places.account("codex", "ada"))
    status, first = await refreshed(places, session, token)
    assert status == 200
    status, second = await refreshed(places, session, token)
    assert (status, second["error"]["code"]) == (401, "refresh_token_reused")
    status, _third = await refreshed(places, session, first["refresh_token"])
    assert status == 200


async def test_the_codex_page_redirects_with_a_code_that_pkce_guards(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "client_id": CLIENT_ID,
        "redirect_uri": "http://localhost:1455/auth/callback",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "state": "s",
    }
    settings = places.settings()["codex"]
    codes = []
    for _ in range(2):
        async with session.get(settings.auth_url, params=query, allow_redirects=False) as response:
            back = parse_qs(urlsplit(response.headers["location"]).query)
        assert back["state"] == ["s"]
        codes.append(back["code"][0])
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "redirect_uri": query["redirect_uri"],
    }
    for code, proof, expected in ((codes[0], "x" * 43, 400), (codes[1], verifier, 200)):
        sent = form | {"code": code, "code_verifier": proof}
        async with session.post(settings.token_url, data=sent) as response:
            assert response.status == expected


async def copilot_token(
    places: DemoPlaces, session: aiohttp.ClientSession, account: Account
) -> dict[str, Any]:
    headers = {"authorization": f"token {secret_of(account)}"}
    async with session.get(places.settings()["copilot"].token_url, headers=headers) as response:
        return await response.json()


@pytest.fixture
async def copilot(places: DemoPlaces, session: aiohttp.ClientSession) -> dict[str, Any]:
    return await copilot_token(places, session, places.account("copilot", "ada"))


def openai_client(copilot: dict[str, Any], **headers: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=copilot["token"],
        base_url=copilot["endpoints"]["api"],
        default_headers=HEADERS | headers,
        max_retries=0,
    )


async def test_copilot_serves_each_model_where_its_list_says(copilot: dict[str, Any]) -> None:
    message = [{"role": "user", "content": "say hello"}]
    async with openai_client(copilot) as api:
        listed = {model.id: model async for model in api.models.list()}
        assert listed["gpt-5.4"].supported_endpoints == ["/responses"]
        answer = await api.chat.completions.create(model="gpt-4.1", messages=message)
        assert answer.choices[0].message.content == "hello"
        with pytest.raises(openai.BadRequestError) as caught:
            await api.chat.completions.create(model="gpt-5.4", messages=message)
        assert caught.value.code == "unsupported_api_for_model"
    async with anthropic.AsyncAnthropic(
        auth_token=copilot["token"],
        base_url=copilot["endpoints"]["api"],
        default_headers=HEADERS,
        max_retries=0,
    ) as claude:
        said = await claude.messages.create(
            model="claude-sonnet-4.6", max_tokens=99, messages=message
        )
    assert said.content[0].text == "hello"


async def test_copilots_item_ids_differ_in_every_event(copilot: dict[str, Any]) -> None:
    async with openai_client(copilot) as api:
        stream = await api.responses.create(
            model="gpt-5.4", input="say one two three four", store=False, stream=True
        )
        ids = [event.item_id async for event in stream if hasattr(event, "item_id")]
    assert len(ids) == len(set(ids)) > 3
    assert min(map(len, ids)) > 300


async def test_copilot_puts_claudes_calls_into_a_choice_of_their_own(
    copilot: dict[str, Any],
) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": None}}
    tool["function"]["parameters"] = {"type": "object", "properties": {"city": {"type": "string"}}}
    async with openai_client(copilot) as api:
        answer = await api.chat.completions.create(
            model="claude-sonnet-4.6",
            messages=[{"role": "user", "content": "weather in Oslo"}],
            tools=[tool],
        )
    text, calls = answer.choices
    assert text.message.content == "I will use get_weather."
    assert calls.message.tool_calls[0].function.arguments == '{"city":"Oslo"}'


async def test_copilot_wants_its_headers_and_says_so_of_pictures(
    copilot: dict[str, Any],
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = {"model": "gpt-4o", "messages": [{"role": "user", "content": [picture]}]}
    async with openai_client(copilot) as api:
        with pytest.raises(openai.BadRequestError) as caught:
            await api.chat.completions.create(**seen)
        assert "Copilot-Vision-Request" in caught.value.response.text
    async with openai_client(copilot, **{"Copilot-Vision-Request": "true"}) as api:
        await api.chat.completions.create(**seen)
    plain = openai.AsyncOpenAI(
        api_key=copilot["token"], base_url=copilot["endpoints"]["api"], max_retries=0
    )
    async with plain:
        with pytest.raises(openai.BadRequestError) as caught:
            await plain.models.list()
        assert "missing Editor-Version" in caught.value.response.text


async def test_used_up_premium_requests_leave_the_free_models(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    account = places.account("copilot", "ada")
    token = await copilot_token(places, session, account)
    places.quota("copilot").use("premium", 1.0, resets_at=places.desk.now() + 10**6)
    message = [{"role": "user", "content": "say hello"}]
    async with openai_client(token) as api:
        await api.chat.completions.create(model="gpt-4.1", messages=message)
        with pytest.raises(openai.APIStatusError) as caught:
            await api.chat.completions.create(model="claude-sonnet-4.6", messages=message)
    assert (caught.value.status_code, caught.value.code) == (402, "quota_exceeded")
    url = f"{places.url}/github/copilot_internal/user"
    headers = {"authorization": f"token {secret_of(account)}"}
    async with session.get(url, headers=headers) as response:
        quota = (await response.json())["quota_snapshots"]["premium_interactions"]
    assert (quota["remaining"], quota["percent_remaining"]) == (0, 0.0)


async def test_a_revoked_github_token_gives_no_more_tokens(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    account = places.account("copilot", "ada")
    places.copilot.github.revoke("ada")
    assert (await copilot_token(places, session, account))["message"] == "Bad credentials"


async def test_githubs_device_flow_ends_in_a_token_that_is_exchanged(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    sign_in = GitHubSignIn(places.settings()["copilot"])

    def signed_in() -> Secret:
        return sign_in.wait(sign_in.start(), pause=lambda _seconds: None)

    token = await asyncio.to_thread(signed_in)
    assert await asyncio.to_thread(sign_in.login_of, token) == "demo-copilot"
    account = Account("c", "copilot", Credential(refresh_token=token))
    assert (await copilot_token(places, session, account))["token"].startswith("tid=")


async def test_codexs_device_flow_gives_a_code_with_its_verifier(
    places: DemoPlaces, session: aiohttp.ClientSession
) -> None:
    device = f"{places.url}/auth/api/accounts/deviceauth"
    async with session.post(f"{device}/usercode", json={"client_id": CLIENT_ID}) as response:
        handle = await response.json()
    statuses = []
    for _ in range(2):
        async with session.post(f"{device}/token", json=handle) as response:
            statuses.append(response.status)
            granted = await response.json()
    assert statuses == [403, 200]
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "redirect_uri": "https://auth.openai.com/deviceauth/callback",
        "code": granted["authorization_code"],
        "code_verifier": granted["code_verifier"],
    }
    async with session.post(places.settings()["codex"].token_url, data=form) as response:
        tokens = await response.json()
    assert claims_of(tokens["id_token"])["email"] == "demo-codex@example.com"
