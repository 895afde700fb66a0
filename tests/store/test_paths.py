"""Where the files are: defaults, variables, flags."""

from pathlib import Path

import pytest

from mcp_proxy.store.paths import Paths, find_paths


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_defaults_follow_the_platform(user: Path) -> None:
    assert find_paths({}) == Paths(
        accounts=user / ".config/mcproxy/accounts.toml",
        config=user / ".config/mcproxy/config.toml",
        state=user / ".local/state/mcproxy",
    )


def test_a_relative_xdg_path_counts_for_nothing(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    assert find_paths({}).accounts == user / ".config/mcproxy/accounts.toml"


def test_a_variable_replaces_its_path_and_no_other(user: Path) -> None:
    found = find_paths({"ACCOUNTS_CONFIG_PATH": "~/a.toml", "MCPROXY_STATE_DIR": ""})
    assert found.accounts == user / "a.toml"
    assert found.state == user / ".local/state/mcproxy"
    assert find_paths({"MCPROXY_STATE_DIR": "/s"}).state == Path("/s")


def test_the_flag_beats_the_variable(user: Path) -> None:
    found = find_paths({"MCPROXY_CONFIG": "/v.toml"}, config=Path("c.toml"))
    assert found.config == Path.cwd() / "c.toml"
    assert found.config_is_required
    assert find_paths({"MCPROXY_CONFIG": "/v.toml"}).config == Path("/v.toml")
    assert not find_paths({"MCPROXY_CONFIG": "/v.toml"}).config_is_required


def test_directories_of_the_service_stand_for_those_of_the_user() -> None:
    given = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "CONFIGURATION_DIRECTORY": "/etc/mcproxy"}
    assert find_paths(given) == Paths(
        accounts=Path("/etc/mcproxy/accounts.toml"),
        config=Path("/etc/mcproxy/config.toml"),
        state=Path("/var/lib/a"),
    )


def test_variables_of_ours_beat_the_directories_of_the_service() -> None:
    given = {"STATE_DIRECTORY": "/var/lib/a", "CONFIGURATION_DIRECTORY": "/etc/mcproxy"}
    named = {"ACCOUNTS_CONFIG_PATH": "/a", "MCPROXY_CONFIG": "/c", "MCPROXY_STATE_DIR": "/s"}
    assert find_paths({**given, **named}) == Paths(Path("/a"), Path("/c"), Path("/s"))


@pytest.mark.parametrize("directory", ["", "relative", ":/second"])
def test_a_service_directory_that_is_no_absolute_path_counts_for_nothing(
    user: Path, directory: str
) -> None:
    assert find_paths({"STATE_DIRECTORY": directory}).state == user / ".local/state/mcproxy"
