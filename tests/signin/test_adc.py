"""Google's application default credentials: real files, and a token endpoint that is played."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google_script import Script, scripted_google  # noqa: F401 - a fixture
from harness import Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.jwt_claims import claims_of
from mcp_proxy.signin.adc import credentials_file, read_google_login

ACCOUNT = Account("v", "vertex", Credential(source="gcloud"))
GRANTED = {"access_token": "ya29.canary", "expires_in": 3599, "token_type": "Bearer"}
USER = {
    "type": "authorized_user",
    "client_id": "cid",
    "client_secret": "canary-secret",
    "refresh_token": "1//canary",
    "quota_project_id": "quota-project",
    "account": "me@example.com",
}


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(autouse=True)
def no_other_credentials(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's, and no question to a cloud that is not there."""
    for name in (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_CONFIG",
        "GOOGLE_CLOUD_PROJECT",
        "ANTHROPIC_VERTEX_PROJECT_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def service_account(server: Script, private_key: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "sa-project",
        "private_key_id": "kid-1",
        "private_key": private_key,
        "client_email": "robot@sa-project.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }


def held_in(file: Path, content: Any, **fields: Any) -> Account:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return replace(ACCOUNT, credential=Credential(file=str(file)), **fields)


def test_a_service_account_signs_for_itself(
    google: Script, private_key: str, tmp_path: Path
) -> None:
    google.says("/token", (200, GRANTED))
    file = tmp_path / "sa.json"
    login = read_google_login(held_in(file, service_account(google, private_key)))
    assert login.token == Secret("ya29.canary")
    assert login.expires_at == pytest.approx(time.time() + 3599, abs=10)
    assert (login.project, login.email) == (
        "sa-project",
        "robot@sa-project.iam.gserviceaccount.com",
    )
    assert login.read == str(file)
    (form,) = google.forms("/token")
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = claims_of(form["assertion"])
    assert claims["iss"] == "robot@sa-project.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"


def test_gclouds_own_file_is_used_with_its_own_client(google: Script, tmp_path: Path) -> None:
    google.says("/token", (200, GRANTED))
    account = held_in(tmp_path / "adc.json", USER, token_url=f"{google.url}/token")
    before = (tmp_path / "adc.json").read_bytes()
    login = read_google_login(account)
    assert (login.project, login.email) == ("quota-project", "me@example.com")
    (form,) = google.forms("/token")
    assert form == {
        "grant_type": "refresh_token",
        "client_id": "cid",
        "client_secret": "canary-secret",
        "refresh_token": "1//canary",
    }
    assert (tmp_path / "adc.json").read_bytes() == before
    assert "canary" not in repr(login)


def test_the_accounts_own_file_beats_the_environment_beats_gclouds(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert credentials_file(ACCOUNT) is None
    usual = home.root / ".config" / "gcloud" / "application_default_credentials.json"
    usual.parent.mkdir(parents=True)
    usual.write_text("{}")
    assert credentials_file(ACCOUNT) == usual
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/env.json")
    assert credentials_file(ACCOUNT) == Path("/env.json")
    own = replace(ACCOUNT, credential=Credential(file="~/own.json"))
    assert credentials_file(own) == home.root / "own.json"


def test_gclouds_directory_can_be_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    file = tmp_path / "application_default_credentials.json"
    file.write_text("{}")
    assert credentials_file(ACCOUNT) == file


@pytest.mark.parametrize("name", ["GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID"])
def test_the_environment_names_the_project_first(
    google: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    google.says("/token", (200, GRANTED))
    monkeypatch.setenv(name, "env-project")
    account = held_in(tmp_path / "adc.json", USER, token_url=f"{google.url}/token")
    assert read_google_login(account).project == "env-project"


def test_no_credentials_say_how_to_make_some() -> None:
    with pytest.raises(LookupError, match="gcloud auth application-default login"):
        read_google_login(ACCOUNT)


def test_a_refusal_is_told_without_secrets(google: Script, tmp_path: Path) -> None:
    gone = {"error": "invalid_grant", "error_description": "Bad Request 1//canary"}
    google.says("/token", (400, gone))
    account = held_in(tmp_path / "adc.json", USER, token_url=f"{google.url}/token")
    with pytest.raises(ValueError, match=r"refuses the credentials .*invalid_grant") as caught:
        read_google_login(account)
    assert "canary" not in str(caught.value)


def test_no_network_is_no_refusal(unused_port: int, tmp_path: Path) -> None:
    account = held_in(
        tmp_path / "adc.json", USER, token_url=f"http://127.0.0.1:{unused_port}/token"
    )
    with pytest.raises(ConnectionError):
        read_google_login(account)


def test_secrets_go_nowhere_over_plain_http(tmp_path: Path) -> None:
    account = held_in(tmp_path / "adc.json", {**USER, "token_uri": "http://evil.example/token"})
    with pytest.raises(ValueError, match="not https"):
        read_google_login(account)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ({}, "not a credentials file of Google"),
        ({"type": ["odd"]}, "not a credentials file of Google"),
        ({"type": "authorized_user"}, "x.json"),
        ({"type": "service_account", "client_email": "x"}, "x.json"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_google_login(held_in(tmp_path / "x.json", content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = replace(ACCOUNT, credential=Credential(file=str(tmp_path / "none.json")))
    with pytest.raises(OSError, match=r"none\.json cannot be read"):
        read_google_login(missing)


def test_the_accounts_proxy_is_asked(google: Script, tmp_path: Path, unused_port: int) -> None:
    google.says("/token", (200, GRANTED))
    account = held_in(
        tmp_path / "adc.json",
        USER,
        token_url=f"http://127.0.0.1:{unused_port}/token",
        proxy=google.url,
    )
    assert read_google_login(account).token == Secret("ya29.canary")
