"""`mcproxy paths`: where everything is, and what has put it there."""

import json
import sys
from pathlib import Path

import pytest
from harness import Cli, Home


def test_the_files_in_use_are_named(cli: Cli, home: Home) -> None:
    ran = cli("paths", "--json")
    report = json.loads(ran.stdout)
    assert (ran.code, ran.stderr) == (0, "")
    assert report.keys() == {"schema", "paths"}
    assert report["schema"] == "mcproxy.paths/1"
    rows = report["paths"]
    assert rows.keys() == {"accounts", "config", "state", "program", "python"}
    assert rows["accounts"] == {
        "path": str(home.paths.accounts),
        "exists": False,
        "named_by": None,
    }
    assert rows["config"]["path"] == str(home.paths.config)
    assert rows["state"]["path"] == str(home.paths.state)
    assert rows["python"] == {"path": sys.executable, "exists": True, "named_by": None}
    assert (Path(rows["program"]["path"]) / "cli").is_dir()


@pytest.mark.parametrize(
    ("name", "variable", "value", "path"),
    [
        ("accounts", "ACCOUNTS_CONFIG_PATH", "/x/a.toml", "/x/a.toml"),
        ("accounts", "CONFIGURATION_DIRECTORY", "/x", "/x/accounts.toml"),
        ("config", "MCPROXY_CONFIG", "/x/c.toml", "/x/c.toml"),
        ("state", "MCPROXY_STATE_DIR", "/x/s", "/x/s"),
        ("state", "STATE_DIRECTORY", "/x/s:/y", "/x/s"),
    ],
)
def test_a_variable_that_moved_a_file_is_named(
    cli: Cli, name: str, variable: str, value: str, path: str
) -> None:
    rows = json.loads(cli("paths", "--json", env={variable: value}).stdout)["paths"]
    assert rows[name] == {"path": path, "exists": False, "named_by": variable}


def test_so_is_the_flag(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.touch()
    rows = json.loads(cli("--config", str(file), "paths", "--json").stdout)["paths"]
    assert rows["config"] == {"path": str(file), "exists": True, "named_by": "--config"}


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(cli: Cli, columns: int) -> None:
    ran = cli("paths", env={"COLUMNS": str(columns), "LC_ALL": "C", "NO_COLOR": "1"})
    assert ran.code == 0
    too_wide = [line.split() for line in ran.stdout.splitlines() if len(line) > columns]
    assert all(words[0] == "path" and len(words) == 2 for words in too_wide), "a path stays whole"


def test_a_pipe_is_given_whole_paths(cli: Cli, home: Home) -> None:
    printed = cli("paths", env={"COLUMNS": "400"}).stdout
    assert str(home.paths.accounts) in printed
    assert "accounts and credentials (not there yet)" in printed
