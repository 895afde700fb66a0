"""The token endpoint, the consent page and userinfo, over sockets."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

from demo_client import DemoClient, demo_client

from mcp_proxy.demo import DemoAccount
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET

REDIRECT = "http://127.0.0.1:51121/oauth-callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]


async def test_a_refresh_gives_an_access_token_and_keeps_the_refresh_token(client):
    token = client.upstream.refresh_token("ada")
    status, answer = await client.refresh(token)
    assert status == 200
    assert answer["access_token"].startswith("ya29.")
    assert answer["expires_in"] == 3599
    assert "refresh_token" not in answer
    assert client.upstream.refresh_token("ada") == token


async def test_refreshes_are_counted_per_account(client):
    before = dict(client.upstream.identity.refreshes)
    await client.sign_in("grace")
    assert client.upstream.identity.refreshes == {**before, "grace": before["grace"] + 1}


async def test_an_unknown_refresh_token_is_an_invalid_grant(client):
    status, answer = await client.refresh("1//nobody")
    assert status == 400
    assert answer == {
        "error": "invalid_grant",
        "error_description": "Token has been expired or revoked.",
    }


async def test_a_revoked_account_is_an_invalid_grant_and_its_access_token_is_refused(client):
    token = client.upstream.refresh_token("ada")
    client.upstream.identity.revoke("ada")
    assert (await client.refresh(token))[1]["error"] == "invalid_grant"
    assert (await client.post("loadCodeAssist", {}))[0] == 401


async def test_another_client_is_refused(client):
    token = client.upstream.refresh_token("ada")
    status, answer = await client.refresh(token, client_secret="guess")
    assert (status, answer["error"]) == (401, "invalid_client")


async def test_other_grants_are_refused(client):
    status, answer = await client.refresh("x", grant_type="password")
    assert (status, answer["error"]) == (400, "unsupported_grant_type")


async def test_a_rotating_account_gets_a_new_refresh_token_each_time(client):
    first = client.upstream.refresh_token("grace")
    _, answer = await client.refresh(first)
    second = answer["refresh_token"]
    assert second != first
    assert (await client.refresh(second))[0] == 200


async def test_reuse_of_a_rotated_token_withdraws_the_whole_sign_in(client):
    first = client.upstream.refresh_token("grace")
    _, answer = await client.refresh(first)
    assert (await client.refresh(first))[1]["error"] == "invalid_grant"
    assert (await client.refresh(answer["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_an_access_token_expires(client):
    client.clock.move(3598)
    assert (await client.post("loadCodeAssist", {}))[0] == 200
    client.clock.move(2)
    status, answer = await client.post("loadCodeAssist", {})
    assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")


async def test_a_short_lifetime_is_reported_and_kept():
    async with demo_client([DemoAccount("brief", token_lifetime=10)]) as client:
        _, answer = await client.refresh(client.upstream.refresh_token("brief"))
        assert answer["expires_in"] == 10
        client.clock.move(11)
        assert (await client.post("loadCodeAssist", {}))[0] == 401


async def test_a_missing_token_is_refused(client):
    del client.headers["authorization"]
    assert (await client.post("fetchAvailableModels", {}))[0] == 401


async def code_from_consent(client: DemoClient, **query: str) -> str:
    query = {"redirect_uri": REDIRECT, "state": "s t", **query}
    url = f"{client.upstream.url}/auth"
    async with client.session.get(url, params=query, allow_redirects=False) as response:
        assert response.status == 302
        back = urlsplit(response.headers["location"])
    assert back._replace(query="").geturl() == REDIRECT
    answer = parse_qs(back.query)
    assert answer["state"] == ["s t"]
    return answer["code"][0]


async def exchange(client: DemoClient, code: str, **changes: str) -> tuple[int, dict]:
    form = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    } | changes
    async with client.session.post(f"{client.upstream.url}/token", data=form) as response:
        return response.status, await response.json()


async def test_a_code_is_exchanged_once_for_both_tokens(client):
    code = await code_from_consent(client, code_challenge=CHALLENGE)
    status, answer = await exchange(client, code)
    assert status == 200
    assert (await client.refresh(answer["refresh_token"]))[0] == 200
    assert (await exchange(client, code))[1]["error"] == "invalid_grant"


async def test_the_code_verifier_is_checked(client):
    code = await code_from_consent(client, code_challenge=CHALLENGE)
    status, answer = await exchange(client, code, code_verifier="w" * 43)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_the_redirect_address_must_be_the_same_twice(client):
    code = await code_from_consent(client)
    _, answer = await exchange(client, code, redirect_uri=REDIRECT.replace("51121", "51122"))
    assert answer["error"] == "redirect_uri_mismatch"


async def test_userinfo_names_the_account_that_consented(client):
    code = await code_from_consent(client, login_hint="grace")
    _, answer = await exchange(client, code)
    headers = {"authorization": f"Bearer {answer['access_token']}"}
    for version in ("v1", "v2"):
        url = f"{client.upstream.url}/oauth2/{version}/userinfo?alt=json"
        async with client.session.get(url, headers=headers) as response:
            assert (await response.json())["email"] == "grace@example.com"


async def test_userinfo_without_a_token_is_refused(client):
    async with client.session.get(f"{client.upstream.url}/oauth2/v2/userinfo") as response:
        assert response.status == 401
