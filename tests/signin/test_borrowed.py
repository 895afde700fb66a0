"""Borrowing logins of other programs: read anew each time, never written, never renewed."""

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture
from harness import Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.signin.borrowed import SOURCES, Borrowed, read
from mcp_proxy.signin.codex_file import read_codex_login

ACCOUNT = Account("c", "codex", Credential(source="codex"))
LATER = int(time.time()) + 3600
AUTH = "https://api.openai.com/auth"


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.sig"


ACCESS = jwt(exp=LATER, **{AUTH: {"chatgpt_account_id": "claimed", "chatgpt_plan_type": "pro"}})


def login(**tokens: Any) -> dict[str, Any]:
    held = {"access_token": ACCESS, "id_token": jwt(email="me@x"), "refresh_token": "rt-canary"}
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": {**held, **tokens}}


@pytest.fixture
def codex_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of the Codex CLI, in its usual place."""
    monkeypatch.delenv("CODEX_HOME", raising=False)
    directory = home.root / ".codex"
    directory.mkdir()
    return directory


def written(directory: Path, content: Any) -> Path:
    file = directory / "auth.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


class TestCodex:
    def test_the_login_is_read_and_the_file_left_alone(self, codex_home: Path) -> None:
        file = written(codex_home, login())
        before = file.read_bytes()
        found = read(ACCOUNT)
        assert found == Borrowed(Secret(ACCESS), float(LATER), "me@x", "claimed", plan="pro")
        assert file.read_bytes() == before
        assert [each.name for each in codex_home.iterdir()] == ["auth.json"]
        assert ACCESS not in repr(found)

    def test_what_the_file_names_beats_the_claim(self, codex_home: Path) -> None:
        written(codex_home, login(account_id="acct"))
        assert read(ACCOUNT).workspace == "acct"

    def test_its_home_can_be_elsewhere(
        self, codex_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CODEX_HOME", str(tmp_path))
        written(tmp_path, login(account_id="elsewhere"))
        assert read(ACCOUNT).workspace == "elsewhere"

    def test_an_account_may_name_the_file_itself(self, tmp_path: Path) -> None:
        file = written(tmp_path, login())
        assert read(replace(ACCOUNT, credential=Credential(file=str(file)))).label == "me@x"

    def test_a_login_that_changed_hands_is_not_used(self, codex_home: Path) -> None:
        written(codex_home, login(account_id="acct"))
        assert read(replace(ACCOUNT, workspace="acct")).workspace == "acct"
        with pytest.raises(LookupError, match="another ChatGPT account"):
            read(replace(ACCOUNT, workspace="mine"))

    def test_a_login_that_ran_out_says_who_renews_it(self, codex_home: Path) -> None:
        written(codex_home, login(access_token=jwt(exp=1)))
        with pytest.raises(ValueError, match="renewed when `codex` is used"):
            read(ACCOUNT)

    def test_an_opaque_token_is_used_without_an_end(self, codex_home: Path) -> None:
        written(codex_home, login(access_token="at-opaque"))
        assert read(ACCOUNT).expires_at is None

    def test_an_api_key_is_no_such_login(self, codex_home: Path) -> None:
        written(codex_home, {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-canary"})
        with pytest.raises(LookupError, match="--provider openai") as caught:
            read(ACCOUNT)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("content", [{}, {"tokens": None}, {"tokens": {}}])
    def test_nobody_signed_in(self, codex_home: Path, content: Any) -> None:
        written(codex_home, content)
        with pytest.raises(LookupError, match="nobody is signed in"):
            read(ACCOUNT)

    def test_no_such_program(self, codex_home: Path) -> None:
        with pytest.raises(FileNotFoundError, match="does not exist"):
            read(ACCOUNT)

    def test_a_file_that_is_just_being_written_is_read_again(self, codex_home: Path) -> None:
        file = written(codex_home, '{"tokens": {')
        pauses: list[float] = []

        def finish(seconds: float) -> None:
            pauses.append(seconds)
            file.write_text(json.dumps(login()))

        assert read_codex_login(ACCOUNT, pause=finish).token == Secret(ACCESS)
        assert len(pauses) == 1

    @pytest.mark.parametrize("content", ["{", "[]"])
    def test_something_else_is_refused_after_a_few_looks(
        self, codex_home: Path, content: str
    ) -> None:
        written(codex_home, content)
        pauses: list[float] = []
        with pytest.raises(ValueError, match="is not a login of the Codex CLI"):
            read_codex_login(ACCOUNT, pause=pauses.append)
        assert len(pauses) == 2


def test_googles_credentials_are_borrowed_by_name_or_by_file(
    google: Script, home: Home, tmp_path: Path
) -> None:
    google.says("/token", (200, {"access_token": "ya29.x", "expires_in": 3599}))
    file = tmp_path / "adc.json"
    user = {"client_id": "c", "client_secret": "s", "refresh_token": "1//r"}
    file.write_text(json.dumps({"type": "authorized_user", "quota_project_id": "p", **user}))
    for source in ("gcloud", None):
        credential = Credential(source=source, file=str(file))
        account = Account("v", "vertex", credential, token_url=f"{google.url}/token")
        found = read(account)
        assert (found.token, found.project) == (Secret("ya29.x"), "p")


def test_the_antigravity_app_is_a_source_too() -> None:
    assert set(SOURCES) == {"antigravity-app", "codex", "gcloud"}


@pytest.mark.parametrize("source", ["other", None])
def test_another_program_is_refused_by_name(source: str | None) -> None:
    with pytest.raises(LookupError, match="no program"):
        read(Account("x", "openai", Credential(source=source)))
