"""Secrets that a variable names a file for: where they count, and what is refused."""

from pathlib import Path

import pytest

from mcp_proxy.errors import UserError
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.secret_files import SECRETS, SUFFIX, with_secret_files
from mcp_proxy.store.settings import load_settings

SECRET = "the-secret-in-a-file-1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secret"
    made.write_text(f"{SECRET}\n")
    return made


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "accounts.toml", tmp_path / "config.toml", tmp_path / "state")


def test_without_such_variables_the_environment_is_as_it_was() -> None:
    env = {"PROXY_API_KEY": "k", "PROXY_API_KEY_FILE": "", "PATH": "/bin"}
    assert with_secret_files(env) == env


def test_the_key_of_the_server_may_be_in_a_file(paths: Paths, file: Path) -> None:
    paths.config.write_text('[server]\napi_keys = ["the-key-of-the-file"]\n')
    settings = load_settings(paths, {}, {"PROXY_API_KEY_FILE": str(file)})
    assert [key.value for key in settings.server.api_keys] == [SECRET]


def test_the_secret_of_googles_client_may_be_in_a_file(paths: Paths, file: Path) -> None:
    settings = load_settings(paths, {}, {"GOOGLE_CLIENT_SECRET_FILE": str(file)})
    secret = settings.provider("antigravity").client_secret
    assert secret is not None
    assert secret.value == SECRET


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n", b"\xff\xfe"])
def test_a_file_that_gives_no_secret_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (file := tmp_path / "secret").write_bytes(content)
    refused(name, {name + SUFFIX: str(file)}, says=str(file))


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    refused(name, {name + SUFFIX: str(tmp_path / "none")}, says="No such file")


@pytest.mark.parametrize("name", SECRETS)
def test_of_a_variable_and_its_file_neither_is_guessed_to_be_meant(file: Path, name: str) -> None:
    refused(name, {name: "another-secret", name + SUFFIX: str(file)}, says="both set")


def test_a_credential_of_systemd_is_the_key_of_the_server(paths: Paths, file: Path) -> None:
    file.rename(file.with_name("api-key"))
    settings = load_settings(paths, {}, {"CREDENTIALS_DIRECTORY": str(file.parent)})
    assert [key.value for key in settings.server.api_keys] == [SECRET]


@pytest.mark.parametrize("name", ["PROXY_API_KEY", "PROXY_API_KEY_FILE"])
def test_variables_of_ours_beat_the_credential(tmp_path: Path, file: Path, name: str) -> None:
    (tmp_path / "api-key").write_text("the-credential")
    given = {"PROXY_API_KEY": SECRET, "PROXY_API_KEY_FILE": str(file)}
    env = with_secret_files({name: given[name], "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert env["PROXY_API_KEY"] == SECRET


def test_a_directory_of_other_credentials_gives_no_key(tmp_path: Path) -> None:
    env = with_secret_files({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "PROXY_API_KEY" not in env


def test_an_empty_credential_is_no_way_to_serve_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("\n")
    with pytest.raises(UserError, match="api-key"):
        with_secret_files({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def refused(name: str, env: dict[str, str], *, says: str) -> None:
    with pytest.raises(UserError) as refusal:
        with_secret_files(env)
    assert refusal.value.exit_code == 78
    assert name + SUFFIX in str(refusal.value)
    assert says in str(refusal.value)
    assert SECRET not in str(refusal.value)
