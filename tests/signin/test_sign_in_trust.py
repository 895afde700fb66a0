"""Whose certificates are accepted while somebody signs in: the same as at any other time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google_script import Script, scripted_google_behind_tls  # noqa: F401 - a fixture

from mcp_proxy import trust
from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.signin.adc import read_google_login
from mcp_proxy.signin.google import GoogleSignIn, OAuthClient
from mcp_proxy.signin.http import send

GRANTED = {
    "access_token": "ya29.access",
    "refresh_token": "1//refresh",
    "expires_in": 3599,
    "token_type": "Bearer",
}


def by_code(google: Script, _: Path) -> str:
    settings = ProviderSettings(token_url=f"{google.url}/token")
    client = OAuthClient("client-id", Secret("secret"))
    return (
        GoogleSignIn(client, settings, redirect_uri="http://localhost:1/callback", state="s")
        .finish("4/code")
        .access_token.value
    )


def by_gcloud(google: Script, directory: Path) -> str:
    file = directory / "adc.json"
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s"}
    file.write_text(json.dumps({**user, "refresh_token": "1//r", "project_id": "p"}))
    credential = Credential(source="gcloud", file=str(file))
    account = Account("v", "vertex", credential, token_url=f"{google.url}/token")
    return read_google_login(account).token.value


def by_hand(google: Script, _: Path) -> str:
    answer = send(UpstreamCall(f"{google.url}/token", {}, b"{}", "POST"))
    token: str = json.loads(answer.body)["access_token"]
    return token


WAYS: dict[str, Callable[[Script, Path], str]] = {
    "by code": by_code,
    "by gcloud": by_gcloud,
    "by hand": by_hand,
}


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    trust.authorities.cache_clear()
    yield
    trust.authorities.cache_clear()


@pytest.mark.parametrize("way", WAYS)
def test_an_authority_that_the_variable_names_is_trusted(
    way: str,
    google_behind_tls: Script,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    google_behind_tls.says("/token", (200, GRANTED))
    assert WAYS[way](google_behind_tls, tmp_path) == "ya29.access"


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_goes_to_somebody_with_another_certificate(
    way: str, google_behind_tls: Script, tmp_path: Path
) -> None:
    with pytest.raises((OSError, UserError)) as caught:
        WAYS[way](google_behind_tls, tmp_path)
    assert not google_behind_tls.seen
    if way != "by gcloud":
        assert "certificate of 127.0.0.1 is not accepted" in str(caught.value)
        assert "SSL_CERT_FILE" in str(caught.value)
