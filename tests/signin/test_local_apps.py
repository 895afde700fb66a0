"""The Antigravity app's login, from a database like its own."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mcp_proxy.account import Secret
from mcp_proxy.signin import local_apps
from mcp_proxy.signin.local_apps import app_database, read_app_token


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "state.vscdb"
    monkeypatch.setenv("ANTIGRAVITY_STATE_DB", str(file))
    return file


def holds(file: Path, value: object, key: str = "antigravityAuthStatus") -> None:
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE ItemTable (key TEXT UNIQUE, value BLOB)")
        made.execute("INSERT INTO ItemTable VALUES (?, ?)", (key, value))
    made.close()


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_login_is_read_and_the_file_left_alone(database: Path, as_bytes: bool) -> None:
    text = json.dumps({"apiKey": "ya29.app", "email": "me@example.com", "name": "Me"})
    holds(database, text.encode() if as_bytes else text)
    before = database.read_bytes()
    assert read_app_token() == ("me@example.com", Secret("ya29.app"))
    assert database.read_bytes() == before
    assert [each.name for each in database.parent.iterdir()] == ["state.vscdb"]


def test_nothing_is_left_beside_a_database_whose_app_is_closed(database: Path) -> None:
    with sqlite3.connect(database) as app:
        app.execute("PRAGMA journal_mode=WAL")
    app.close()
    holds(database, '{"apiKey": "ya29.app"}')
    before = database.read_bytes()
    assert read_app_token() == (None, Secret("ya29.app"))
    assert database.read_bytes() == before
    assert [each.name for each in database.parent.iterdir()] == ["state.vscdb"]


def test_what_the_app_has_written_last_is_seen_while_it_runs(database: Path) -> None:
    holds(database, '{"apiKey": "ya29.before"}')
    with closing(sqlite3.connect(database)) as app:
        app.execute("PRAGMA journal_mode=WAL")
        app.execute("PRAGMA wal_autocheckpoint=0")
        app.execute("UPDATE ItemTable SET value = ?", ('{"apiKey": "ya29.after"}',))
        app.commit()
        assert read_app_token() == (None, Secret("ya29.after"))


def test_a_database_that_is_locked_is_only_in_use(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_apps, "PATIENCE", 0.0)
    holds(database, '{"apiKey": "ya29.app"}')
    with closing(sqlite3.connect(database, isolation_level=None)) as app:
        app.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError, match="in use"):
            read_app_token()


def test_an_address_may_be_missing(database: Path) -> None:
    holds(database, '{"apiKey": "ya29.app"}')
    assert read_app_token() == (None, Secret("ya29.app"))


def test_no_app_is_not_found(database: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not installed"):
        read_app_token()


@pytest.mark.parametrize("value", ["{}", '{"apiKey": ""}', '{"apiKey": null}'])
def test_nobody_signed_in(database: Path, value: str) -> None:
    holds(database, value)
    with pytest.raises(LookupError, match="signed in"):
        read_app_token()


def test_no_row_is_nobody_signed_in(database: Path) -> None:
    holds(database, "x", key="other")
    with pytest.raises(LookupError, match="signed in"):
        read_app_token()


@pytest.mark.parametrize("value", ["{", "[]", None, '{"apiKey": "a\\nb"}'])
def test_something_else_is_not_used(database: Path, value: str | None) -> None:
    holds(database, value)
    with pytest.raises(ValueError, match="Antigravity app's"):
        read_app_token()


def test_a_file_that_is_no_database(database: Path) -> None:
    database.write_bytes(b"x" * 4096)
    with pytest.raises(ValueError, match="cannot be read"):
        read_app_token()


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTIGRAVITY_STATE_DB", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    expected = tmp_path / ".config/Antigravity/User/globalStorage/state.vscdb"
    assert app_database() == expected
