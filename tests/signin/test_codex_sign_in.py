"""Signing in to ChatGPT, against a server that plays it; the test is the browser."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.providers.codex import CLIENT_ID
from mcp_proxy.signin.codex import (
    CALLBACK_PATH,
    CALLBACK_PORTS,
    CodexDeviceSignIn,
    CodexGrant,
    CodexSignIn,
)
from mcp_proxy.signin.codex_claims import Identity, identity_of
from mcp_proxy.signin.loopback import CallbackListener, redirect_uri

REDIRECT = "http://localhost:1455/auth/callback"
AUTH = "https://api.openai.com/auth"


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.sig"


ID_TOKEN = jwt(
    email="me@example.com", **{AUTH: {"chatgpt_account_id": "acct", "chatgpt_plan_type": "plus"}}
)
GRANTED = {
    "id_token": ID_TOKEN,
    "access_token": "at-canary",
    "refresh_token": "rt-canary",
    "expires_in": 864_000,
}
WANTED = CodexGrant(
    Secret("rt-canary"), Secret("at-canary"), 864_000, Identity("acct", "me@example.com", "plus")
)


def settings(server: Script) -> ProviderSettings:
    return ProviderSettings(token_url=f"{server.url}/oauth/token")


def sign_in(server: Script) -> CodexSignIn:
    return CodexSignIn(settings(server), redirect_uri=REDIRECT, state="the-state")


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_page_is_openais_and_asks_as_its_own_client_does() -> None:
    url = CodexSignIn(ProviderSettings(), redirect_uri=REDIRECT, state="s").url
    assert url.startswith("https://auth.openai.com/oauth/authorize?")
    asked = query(url)
    assert len(asked.pop("code_challenge")) == 43
    assert asked == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT,
        "scope": "openid profile email offline_access",
        "state": "s",
        "code_challenge_method": "S256",
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
    }


def test_the_page_can_be_replaced() -> None:
    replaced = ProviderSettings(auth_url="http://127.0.0.1:9/page", client_id="mine")
    flow = CodexSignIn(replaced, redirect_uri=REDIRECT, state="s")
    assert flow.url.startswith("http://127.0.0.1:9/page?")
    assert query(flow.url)["client_id"] == "mine"


def test_the_code_is_traded_with_verifier_and_the_same_redirect(google: Script) -> None:
    google.says("/oauth/token", (200, GRANTED))
    flow = sign_in(google)
    assert flow.finish("the-code") == WANTED
    (form,) = google.forms("/oauth/token")
    verifier = form.pop("code_verifier")
    assert 43 <= len(verifier) <= 128
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert challenge == query(flow.url)["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "code": "the-code",
        "redirect_uri": REDIRECT,
    }


def test_two_sign_ins_share_no_secret() -> None:
    first, second = (
        query(CodexSignIn(ProviderSettings(), redirect_uri=REDIRECT, state="s").url)
        for _ in range(2)
    )
    assert first["code_challenge"] != second["code_challenge"]


REFUSALS: dict[str, tuple[int, Any, str]] = {
    "refused": (400, {"error": "invalid_grant", "error_description": "Bad code."}, "Bad code"),
    "in an object": (401, {"error": {"code": "x", "message": "expired"}}, "expired"),
    "an error page": (502, b"<html>Bad gateway canary</html>", "answered 502"),
    "empty": (200, b"", "refused the sign-in"),
    "no refresh token": (200, {**GRANTED, "refresh_token": None}, "no refresh token"),
    "no account": (200, {**GRANTED, "id_token": jwt(email="x@y")}, "no ChatGPT account"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_not_a_grant_is_one_clear_error(google: Script, case: str) -> None:
    status, body, words = REFUSALS[case]
    google.says("/oauth/token", (status, body))
    with pytest.raises(UserError, match=words) as caught:
        sign_in(google).finish("c")
    assert "canary" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_clear_error(unused_port: int) -> None:
    gone = ProviderSettings(token_url=f"http://127.0.0.1:{unused_port}/oauth/token")
    with pytest.raises(UserError, match="could not be finished"):
        CodexSignIn(gone, redirect_uri=REDIRECT, state="s").finish("c")


def test_a_token_says_itself_when_it_ends(google: Script) -> None:
    bare = {name: value for name, value in GRANTED.items() if name != "expires_in"}
    google.says("/oauth/token", (200, {**bare, "access_token": jwt(exp=1)}))
    assert sign_in(google).finish("c").expires_in == 0.0
    google.says("/oauth/token", (200, bare))
    assert sign_in(google).finish("c").expires_in == 3600.0


def test_the_listener_takes_the_ports_and_the_path_of_this_client(unused_port: int) -> None:
    assert CALLBACK_PORTS == (1455, 1457)
    assert redirect_uri(1455, CALLBACK_PATH) == REDIRECT
    with CallbackListener(ports=(unused_port,), path=CALLBACK_PATH) as listener:
        assert listener.redirect_uri == f"http://localhost:{unused_port}/auth/callback"
        answer = f"http://127.0.0.1:{unused_port}/auth/callback?state={listener.state}&code=abc"
        with urlopen(answer) as page:
            assert page.status == 200
        callback = listener.wait(5)
    assert callback is not None
    assert callback.code == "abc"


def test_ports_that_are_taken_are_named(unused_port: int) -> None:
    with (
        CallbackListener(ports=(unused_port,)),
        pytest.raises(UserError, match=f"port {unused_port} .*--no-browser"),
    ):
        CallbackListener(ports=(unused_port,))


# ---------------------------------------------------------------------------- by a typed code

USER_CODE = "/api/accounts/deviceauth/usercode"
LOOK = "/api/accounts/deviceauth/token"
STARTED = {"device_auth_id": "dev-canary", "user_code": "WXYZ-1", "interval": "5"}
TYPED = {"authorization_code": "auth-code", "code_verifier": "v" * 43, "code_challenge": "c"}


def test_a_typed_code_gives_the_same_grant(google: Script) -> None:
    google.says(USER_CODE, (200, STARTED))
    google.says(LOOK, (403, b""), (404, {"error": "pending"}), (503, b""), (200, TYPED))
    google.says("/oauth/token", (200, GRANTED))
    pauses: list[float] = []
    flow = CodexDeviceSignIn(settings(google))
    code = flow.start()
    assert (code.user_code, code.interval) == ("WXYZ-1", 5.0)
    assert code.url == f"{google.url}/codex/device"
    assert flow.wait(code, clock=lambda: sum(pauses), pause=pauses.append) == WANTED
    assert pauses == [5.0] * 4
    (form,) = google.forms("/oauth/token")
    assert form["code"] == "auth-code"
    assert form["code_verifier"] == "v" * 43
    assert form["redirect_uri"] == "https://auth.openai.com/deviceauth/callback"
    bodies = [json.loads(body) for path, _, body in google.seen if path != "/oauth/token"]
    assert bodies[0] == {"client_id": CLIENT_ID}
    assert bodies[1] == {"device_auth_id": "dev-canary", "user_code": "WXYZ-1"}


def test_the_older_spelling_of_the_code_is_read(google: Script) -> None:
    google.says(USER_CODE, (200, {"device_auth_id": "d", "usercode": "OLD", "interval": 3}))
    code = CodexDeviceSignIn(settings(google)).start()
    assert (code.user_code, code.interval) == ("OLD", 3.0)


@pytest.mark.parametrize("answer", [(404, b""), (200, {}), (500, b"<html>")])
def test_no_code_sends_people_to_the_browser(google: Script, answer: tuple[int, Any]) -> None:
    google.says(USER_CODE, answer)
    with pytest.raises(UserError, match="Sign in with a browser"):
        CodexDeviceSignIn(settings(google)).start()


@pytest.mark.parametrize(
    ("answer", "words"),
    [((400, {"error": "denied"}), "denied"), ((200, {}), "no code in it")],
)
def test_a_refusal_ends_the_wait(google: Script, answer: tuple[int, Any], words: str) -> None:
    google.says(USER_CODE, (200, STARTED))
    google.says(LOOK, answer)
    flow = CodexDeviceSignIn(settings(google))
    code = flow.start()
    pauses: list[float] = []
    with pytest.raises(UserError, match=words):
        flow.wait(code, clock=lambda: sum(pauses), pause=pauses.append)


# ------------------------------------------------------------------------------ claims


def test_tokens_say_together_whose_they_are() -> None:
    profile = jwt(**{"https://api.openai.com/profile": {"email": "p@x"}})
    both = identity_of(profile, ID_TOKEN)
    assert both == Identity("acct", "p@x", "plus")
    assert identity_of("opaque", "") == Identity()
    assert identity_of(jwt(**{AUTH: "odd"}, email=5)) == Identity()
