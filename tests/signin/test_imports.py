"""Taking over logins of other programs: real files in, accounts out, nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.signin.imports import IMPORTS, NEW, Imported, read_import


def written(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def copilot_account(token: str, label: str | None = None) -> Account:
    return Account(NEW, "copilot", Credential(refresh_token=Secret(token)), label=label)


def check_told(imported: Imported, file: Path, *secrets: str) -> None:
    told = " ".join(imported.told)
    assert str(file) in told
    assert not [secret for secret in secrets if secret in told]


class TestCopilot:
    def test_apps_json(self, home: Home) -> None:
        app = {"user": "me", "oauth_token": "ghu_canary", "githubAppId": "Iv1.b"}
        file = written(
            home.root / ".config" / "github-copilot" / "apps.json",
            {"github.com:Iv1.b": app, "github.com:Iv1.c": app, "ghe.example:x": app, "odd": 5},
        )
        before = file.read_bytes()
        imported = read_import("copilot")
        assert imported.accounts == (copilot_account("ghu_canary", "me"),)
        check_told(imported, file, "ghu_canary")
        assert "me" in imported.told[0]
        assert file.read_bytes() == before

    def test_the_older_hosts_json(self, home: Home) -> None:
        written(
            home.root / ".config" / "github-copilot" / "hosts.json",
            {"github.com": {"user": "me", "oauth_token": "gho_old"}},
        )
        assert read_import("copilot").accounts == (copilot_account("gho_old", "me"),)

    def test_opencode(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        entry = {"type": "oauth", "refresh": "gho_oc", "access": "tid=x", "expires": 0}
        written(
            home.root / ".local" / "share" / "opencode" / "auth.json",
            {"github-copilot": entry, "anthropic": {"refresh": "other"}},
        )
        assert read_import("copilot").accounts == (copilot_account("gho_oc"),)

    def test_copilot_api(self, tmp_path: Path) -> None:
        file = written(tmp_path / "github_token", "gho_plain\n")
        assert read_import("copilot", file).accounts == (copilot_account("gho_plain"),)

    @pytest.mark.parametrize("content", ["", "two words", "tök"])
    def test_what_is_no_token_is_not_taken_for_one(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(LookupError, match="nobody is signed in"):
            read_import("copilot", written(tmp_path / "github_token", content))


class TestGeminiCli:
    def test_the_refresh_token_is_taken(self, home: Home) -> None:
        file = written(
            home.root / ".gemini" / "oauth_creds.json",
            {
                "refresh_token": "1//canary",
                "access_token": "ya29.x",
                "id_token": "e30.eyJlbWFpbCI6ICJtZUB4In0.s",
            },
        )
        imported = read_import("gemini-cli")
        credential = Credential(refresh_token=Secret("1//canary"))
        assert imported.accounts == (Account(NEW, "antigravity", credential, label="me@x"),)
        check_told(imported, file, "1//canary", "ya29")
        assert "GOOGLE_CLIENT_ID" in imported.told[0]

    def test_nobody_signed_in(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError, match="nobody is signed in"):
            read_import("gemini-cli", written(tmp_path / "x.json", {}))


ENTRIES: dict[str, tuple[dict[str, Any], Account | None]] = {
    "with a project": (
        {"email": "me@x", "source": "oauth", "refreshToken": "1//a", "projectId": "p"},
        Account(NEW, "antigravity", Credential(Secret("1//a")), label="me@x", project="p"),
    ),
    "all in one text": (
        {"refreshToken": "1//a|p|managed"},
        Account(NEW, "antigravity", Credential(Secret("1//a")), project="managed"),
    ),
    "all in one text, without": (
        {"refreshToken": "1//a|p|"},
        Account(NEW, "antigravity", Credential(Secret("1//a")), project="p"),
    ),
    "project of the subscription": (
        {"refreshToken": "1//a", "subscription": {"tier": "pro", "projectId": "s"}},
        Account(NEW, "antigravity", Credential(Secret("1//a")), project="s"),
    ),
    "switched off": (
        {"refreshToken": "1//a", "enabled": False},
        Account(NEW, "antigravity", Credential(Secret("1//a")), enabled=False),
    ),
    "a key": (
        {"provider": "zai", "apiKey": "k", "name": "glm"},
        Account(NEW, "zai", Credential(api_key=Secret("k")), label="glm"),
    ),
    "the app's login": ({"email": "me@x", "source": "database"}, None),
    "a short-lived token": ({"email": "me@x", "source": "manual", "apiKey": "ya29.x"}, None),
    "an unknown provider": ({"provider": "other", "refreshToken": "1//a"}, None),
}


class TestAccountLists:
    @pytest.mark.parametrize("case", ENTRIES)
    def test_an_entry_becomes_an_account(self, tmp_path: Path, case: str) -> None:
        entry, account = ENTRIES[case]
        other = {"email": "other@x", "refreshToken": "1//other"}
        file = written(tmp_path / "a.json", {"accounts": [entry, other, "odd"], "activeIndex": 0})
        imported = read_import("multi-claude-proxy", file)
        assert imported.accounts[:-1] == ((account,) if account else ())
        assert imported.accounts[-1].label == "other@x"
        check_told(imported, file, "1//", "ya29")
        assert ("left out" in " ".join(imported.told)) == (account is None)

    @pytest.mark.parametrize(
        ("source", "directory"),
        [
            ("antigravity-claude-proxy", "antigravity-proxy"),
            ("multi-claude-proxy", "multi-claude-proxy"),
        ],
    )
    def test_the_usual_places(self, home: Home, source: str, directory: str) -> None:
        content = {"accounts": [{"refreshToken": "1//a"}]}
        written(home.root / ".config" / directory / "accounts.json", content)
        assert len(read_import(source).accounts) == 1

    @pytest.mark.parametrize("content", [{}, {"accounts": []}, {"accounts": 5}])
    def test_no_accounts_are_no_import(self, tmp_path: Path, content: Any) -> None:
        with pytest.raises(LookupError, match="nobody"):
            read_import("multi-claude-proxy", written(tmp_path / "a.json", content))


@pytest.mark.parametrize("source", IMPORTS)
def test_what_is_not_there_is_named(home: Home, source: str) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        read_import(source)


@pytest.mark.parametrize("source", IMPORTS)
@pytest.mark.parametrize("content", ["{", "[]", '"x"'])
def test_another_file_is_refused_by_name(tmp_path: Path, source: str, content: str) -> None:
    with pytest.raises(ValueError, match=r"x\.json is not"):
        read_import(source, written(tmp_path / "x.json", content))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "github_token"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not text"):
        read_import("copilot", file)
