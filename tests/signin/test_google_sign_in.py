"""OAuth with Google, against a server that plays it; the test is the browser."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.signin.google import (
    AUTH_URL,
    SCOPES,
    GoogleSignIn,
    OAuthClient,
    oauth_client,
)
from mcp_proxy.signin.loopback import Callback, pasted_callback

CLIENT = OAuthClient("client-id", Secret("canary-secret"))
REDIRECT = "http://localhost:51123/oauth-callback"
GRANTED = {
    "access_token": "ya29.access",
    "refresh_token": "1//refresh",
    "expires_in": 3599,
    "token_type": "Bearer",
    # Google adds `openid` and orders scopes as it likes.
    "scope": f"openid {' '.join(reversed(SCOPES))}",
}


def sign_in(google: Script) -> GoogleSignIn:
    settings = ProviderSettings(auth_url=f"{google.url}/auth", token_url=f"{google.url}/token")
    return GoogleSignIn(CLIENT, settings, redirect_uri=REDIRECT, state="the-state")


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_page_is_googles_and_asks_for_what_is_needed() -> None:
    url = GoogleSignIn(CLIENT, ProviderSettings(), redirect_uri=REDIRECT, state="s").url
    assert url.startswith(f"{AUTH_URL}?")
    asked = query(url)
    challenge = asked.pop("code_challenge")
    assert len(challenge) == 43
    assert asked == {
        "client_id": "client-id",
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "access_type": "offline",
        "prompt": "consent",
        "state": "s",
        "code_challenge_method": "S256",
    }
    assert "canary" not in url


def test_the_code_is_traded_with_verifier_and_the_same_redirect(google: Script) -> None:
    google.says("/token", (200, GRANTED))
    flow = sign_in(google)
    grant = flow.finish("4/code")
    assert (grant.refresh_token, grant.access_token) == (
        Secret("1//refresh"),
        Secret("ya29.access"),
    )
    assert grant.expires_in == 3599
    ((_, headers, _),) = google.seen
    (form,) = google.forms("/token")
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert challenge == query(flow.url)["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "code": "4/code",
        "redirect_uri": REDIRECT,
        "client_id": "client-id",
        "client_secret": "canary-secret",
    }
    assert "authorization" not in headers


REFUSALS: dict[str, tuple[int, Any, str]] = {
    "refused": (400, {"error": "invalid_grant", "error_description": "Bad code."}, "invalid_grant"),
    "no refresh token": (200, {**GRANTED, "refresh_token": None}, "no refresh token"),
    "an error page": (502, b"<html>Bad gateway canary-secret</html>", "answered 502 and no JSON;"),
    "an error": (503, {"error": "internal_failure"}, "answered 503; nothing was added. Try again"),
    "empty": (200, b"", "answered 200 and no JSON;"),
    "no object": (200, b"[]", "answered 200 and no JSON;"),
    "no token": (200, {}, "refused the sign-in: missing_token Missing access token parameter. Try"),
    "a redirect": (307, b"http://127.0.0.1:9/elsewhere", "could not be finished"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_not_a_grant_is_one_clear_error(google: Script, case: str) -> None:
    status, body, reason = REFUSALS[case]
    google.says("/token", (status, body))
    with pytest.raises(UserError) as caught:
        sign_in(google).finish("4/code")
    assert reason in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_clear_error(google: Script) -> None:
    settings = ProviderSettings(auth_url=AUTH_URL, token_url="http://127.0.0.1:1/token")
    flow = GoogleSignIn(CLIENT, settings, redirect_uri=REDIRECT, state="s")
    with pytest.raises(UserError, match=r"could not be finished.*127\.0\.0\.1"):
        flow.finish("4/code")


def test_plain_http_is_for_this_machine_and_the_switch_is_put_back(
    google: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    google.says("/token", (200, GRANTED))
    sign_in(google).finish("4/code")
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in os.environ
    elsewhere = ProviderSettings(auth_url=AUTH_URL, token_url="http://token.example/")
    flow = GoogleSignIn(CLIENT, elsewhere, redirect_uri=REDIRECT, state="s")
    with pytest.raises(UserError, match="insecure_transport"):
        flow.finish("4/code")


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    google: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    google.says("/token", (200, GRANTED))
    assert sign_in(google).finish("4/code").access_token == Secret("ya29.access")


# ------------------------------------------------------------------------------ what is pasted


def test_the_whole_address_or_the_bare_code_may_be_pasted() -> None:
    address = f" {REDIRECT}?state=s&code=4%2Fabc&scope=x \n"
    assert pasted_callback(address, "s") == Callback("4/abc", None)
    assert pasted_callback("state=s&code=4%2Fabc", "s") == Callback("4/abc", None)
    assert pasted_callback("4/0AbCdEfGhIj\n", "s") == Callback("4/0AbCdEfGhIj", None)
    denied = f"{REDIRECT}?state=s&error=access_denied"
    assert pasted_callback(denied, "s") == Callback(None, "access_denied")


ADDRESS = f"{REDIRECT}?state=s&code=4%2F0AbCdEfGhIj&scope=https://www.googleapis.com/auth/x"


@pytest.mark.parametrize(
    "text",
    [
        "4%2F0AbCdEfGhIj",
        "4/0AbCdEfGhIj&scope=email%20https://www.googleapis.com/auth/x",
        "'4/0AbCdEfGhIj'\n",
        f'"{ADDRESS}"',
        f"<{ADDRESS}>",
        f"\u201c{ADDRESS}\u201d",
    ],
)
def test_a_paste_is_taken_as_people_copy_it(text: str) -> None:
    assert pasted_callback(text, "s") == Callback("4/0AbCdEfGhIj", None)


WRONG_PASTES = [f"{REDIRECT}?state=other&code=x", f"{REDIRECT}?code=x", "short", "two words here"]


@pytest.mark.parametrize("text", WRONG_PASTES)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        pasted_callback(text, "s")


# ------------------------------------------------------------------------------ the client


@pytest.mark.parametrize("kind", ["installed", "web"])
def test_googles_own_file_is_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "client_secret.json"
    file.write_text(json.dumps({kind: {"client_id": "a", "client_secret": "b", "x": 1}}))
    configured = ProviderSettings(client_id="c", client_secret=Secret("d"))
    assert oauth_client(configured, file) == OAuthClient("a", Secret("b"))
    assert oauth_client(configured) == OAuthClient("c", Secret("d"))
    file.write_text(file.read_text(), encoding="utf-8-sig")  # as some editors save it
    assert oauth_client(configured, file) == OAuthClient("a", Secret("b"))


WRONG_FILES = [
    *("", "{", "[]", "{}", '{"web": 5}', '{"installed": {}}'),
    '{"installed": {"client_id": null, "client_secret": "b"}}',
    '{"installed": {"client_id": "a b", "client_secret": "b"}}',
    '{"installed": {"client_id": "a", "client_secret": 5}}',
]


@pytest.mark.parametrize("text", WRONG_FILES)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"x\.json: is not a client secrets file"):
        oauth_client(ProviderSettings(), file)


def test_no_client_is_an_error_that_says_how_to_get_one() -> None:
    with pytest.raises(UserError) as caught:
        oauth_client(ProviderSettings(client_id="only half"))
    for way in ("console.cloud.google.com", "--client-secrets", "GOOGLE_CLIENT_ID", "config.toml"):
        assert way in str(caught.value)
