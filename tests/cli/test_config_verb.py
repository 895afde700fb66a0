"""`mcproxy config`: what is in force and who said so, a file to begin with, a wrong one."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from harness import Cli, Home

from mcp_proxy.store.config_template import config_template
from mcp_proxy.store.origins import shown
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import SETTINGS, Settings, load_settings

KEY = "the-keys-of-the-file-1"
CLIENT_SECRET = "GOCSPX-kept-to-ourselves"


def settings_shown(cli: Cli, *flags: str, **env: str) -> dict[str, dict[str, Any]]:
    ran = cli("config", "show", "--json", *flags, env=env)
    assert ran.code == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report.keys() == {"schema", "file", "settings", "warnings"}
    assert report["schema"] == "mcproxy.config/1"
    return {row["path"]: row for row in report["settings"]}


def test_every_setting_is_shown_and_without_a_file_all_are_defaults(cli: Cli) -> None:
    rows = settings_shown(cli)
    assert list(rows) == [row.path for row in SETTINGS]
    assert {row["origin"] for row in rows.values()} == {"default"}
    assert rows["server.port"]["value"] == 8080


def test_a_flag_beats_a_variable_beats_the_file_and_each_is_named(cli: Cli, home: Home) -> None:
    home.configure("[server]\n\nport = 1001\nworkers = 2\nhost = '127.0.0.2'\n")
    rows = settings_shown(cli, "--host", "127.0.0.4", PORT="1002", BIND_ADDRESS="127.0.0.3")
    told = {path: (row["value"], row["origin"], row["where"]) for path, row in rows.items()}
    assert told["server.host"] == ("127.0.0.4", "flag", "--host")
    assert told["server.port"] == (1002, "variable", "PORT")
    assert told["server.workers"] == (2, "file", f"{home.paths.config}:4")
    assert told["server.drain"] == (30.0, "default", None)


def test_sections_of_peoples_own_keys_are_shown_with_their_lines(cli: Cli, home: Home) -> None:
    home.configure(
        '[aliases]\nfast = "a"\n[[routes.r]]\nmodel = "m"\n'
        '[providers.zai]\nbase_url = "http://127.0.0.1:1"\n'
    )
    rows = settings_shown(cli, BIG_MODEL="big")
    where = {path: (row["value"], row["where"]) for path, row in rows.items() if "." in path}
    file = home.paths.config
    assert where["aliases.fast"] == (["a"], f"{file}:2")
    assert where["routes.r"] == ([{"model": "m"}], f"{file}:3")
    assert where["providers.zai.base_urls"] == (["http://127.0.0.1:1"], f"{file}:6")
    assert where["aliases.opus"] == (["openai/big", "big"], "BIG_MODEL")


def test_secrets_are_masked_in_both_forms(cli: Cli, home: Home) -> None:
    home.configure(
        f'[server]\napi_keys = ["{KEY}"]\n'
        f'[providers.antigravity]\nclient_id = "i"\nclient_secret = "{CLIENT_SECRET}"\n'
    )
    for form in ((), ("--json",), ("--origin",)):
        ran = cli("config", "show", *form)
        assert ran.code == 0
        assert KEY not in ran.stdout + ran.stderr
        assert CLIENT_SECRET not in ran.stdout + ran.stderr
    rows = settings_shown(cli)
    assert rows["server.api_keys"]["value"] == ["(secret)"]
    assert rows["providers.antigravity.client_secret"]["value"] == "(secret)"


@pytest.mark.parametrize("source", ["PROXY_API_KEY", "PROXY_API_KEY_FILE", "CREDENTIALS_DIRECTORY"])
def test_each_way_to_hand_over_the_key_is_named(cli: Cli, tmp_path: Path, source: str) -> None:
    (tmp_path / "api-key").write_text(KEY)
    value = {"PROXY_API_KEY": KEY, "PROXY_API_KEY_FILE": str(tmp_path / "api-key")}
    row = settings_shown(cli, **{source: value.get(source, str(tmp_path))})["server.api_keys"]
    assert (row["value"], row["origin"], row["where"]) == (["(secret)"], "variable", source)


def test_people_see_the_origin_when_they_ask_for_it(cli: Cli) -> None:
    plain, told = (
        cli("config", "show", *flags, env={"PORT": "1"}) for flags in ((), ("--origin",))
    )
    assert not re.search(r"^ ?server\.port .*PORT$", plain.stdout, re.MULTILINE)
    assert re.search(r"^ ?server\.port +1 +PORT *$", told.stdout, re.MULTILINE)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(cli: Cli, columns: int) -> None:
    env = {"COLUMNS": str(columns), "LC_ALL": "C", "NO_COLOR": "1"}
    ran = cli("config", "show", "--origin", env=env)
    assert max(map(len, ran.stdout.splitlines())) <= columns


# ------------------------------------------------------------------------------------------- init


def test_the_file_to_begin_with_changes_nothing_and_is_private(cli: Cli, home: Home) -> None:
    ran = cli("config", "init")
    assert ran.code == 0
    assert str(home.paths.config) in ran.stdout
    assert stat.S_IMODE(home.paths.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.paths.config.parent.stat().st_mode) == 0o700
    assert load_settings(home.paths, {}, {}) == Settings()


def test_each_of_its_comments_is_the_default_it_stands_for(tmp_path: Path) -> None:
    template = config_template()
    bare = re.sub(r"^# (?=[a-z_]+ = )", "", template, flags=re.MULTILINE)
    shown = re.findall(r"^([a-z_]+) = ", bare.partition("[fallback.models]")[0], re.MULTILINE)
    assert sorted(shown) == sorted(row.path.rpartition(".")[2] for row in SETTINGS)
    file = tmp_path / "config.toml"
    file.write_text(bare.partition("\n# Another model")[0])
    file.chmod(0o600)
    assert load_settings(Paths(file, file, file), {}, {}) == Settings()


def test_its_examples_are_right_once_they_are_no_comments(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    examples = config_template().partition("\n[fallback.models]")[2]
    file.write_text(
        "[fallback.models]" + re.sub(r'^# (?=["\[a-z_]+[^ ]* ?[=\]])', "", examples, flags=re.M)
    )
    settings = load_settings(Paths(file, file, file), {}, {})
    assert settings.warnings == ()
    assert settings.fallback.models
    assert settings.aliases.keys() == {"fast", "gpt-4o*"}
    assert settings.routes["fast"] == ({"provider": "zai", "model": "glm-4.5-air"},)
    assert settings.provider("zai").base_urls == ("http://127.0.0.1:9000",)


def test_a_file_that_is_there_is_left_alone(cli: Cli, home: Home) -> None:
    home.configure("[server]\nport = 1\n")
    ran = cli("config", "init")
    assert (ran.code, ran.stdout) == (1, "")
    assert "--force" in ran.stderr
    assert home.paths.config.read_text() == "[server]\nport = 1\n"


def test_force_keeps_every_old_file(cli: Cli, home: Home) -> None:
    home.configure("[server]\nport = 1\n")
    first = json.loads(cli("config", "init", "--force", "--json").stdout)
    home.configure("[server]\nport = 2\n")
    second = json.loads(cli("config", "init", "--force", "--json").stdout)
    assert first.keys() == {"schema", "file", "kept"}
    assert Path(first["kept"]).read_text() == "[server]\nport = 1\n"
    assert Path(second["kept"]).read_text() == "[server]\nport = 2\n"
    assert first["kept"].endswith(".bak")
    assert second["kept"].endswith(".bak")


# --------------------------------------------------------------------------------------- validate


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[server]\nport = = 1\n", 2, "line 2, column 8"),
        ("[server]\n\nport = 'x'\n", 3, "line 3: server.port must be a whole number"),
        ("[server]\nhost = '0.0.0.0'\n", None, "without a key"),
        ("[[routes.fast]]\nprovider = 'zai'\n", 1, "line 1: routes.fast.model is missing"),
        ("[aliases]\na = 'b'\n'x y' = 7\n", 3, "line 3: aliases.x y must be"),
        ("[providers.zai]\nbase_url = 'http://example.com'\n", 2, "line 2: providers.zai.base_url"),
        ("limits = 3\n", 1, "line 1: limits must be a table"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    cli: Cli, tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    file = tmp_path / "other.toml"
    file.write_text(text)
    ran = cli("config", "validate", str(file))
    assert (ran.code, ran.stdout) == (78, "")
    assert str(file) in ran.stderr or line is None
    assert said in ran.stderr
    document = cli("config", "validate", str(file), "--json")
    report = json.loads(document.stdout)
    assert (document.code, document.stderr) == (78, "")
    assert report.keys() == {"schema", "file", "valid", "problem", "line", "warnings"}
    assert (report["valid"], report["line"]) == (False, line)


def test_a_file_that_is_named_has_to_be_there(cli: Cli, tmp_path: Path) -> None:
    ran = cli("config", "validate", str(tmp_path / "none.toml"))
    assert ran.code == 78
    assert "no such file" in ran.stderr


def test_a_right_file_is_right_and_its_strangers_are_warned_of(cli: Cli, home: Home) -> None:
    home.configure("[server]\nprot = 1\n")
    ran = cli("config", "validate")
    assert ran.code == 0
    assert "right" in ran.stdout
    assert "Did you mean server.port?" in ran.stderr


def test_without_a_file_the_defaults_are_right(cli: Cli) -> None:
    ran = cli("config", "validate")
    assert ran.code == 0
    assert "not there" in ran.stdout


def test_a_wrong_variable_is_a_wrong_configuration_too(cli: Cli) -> None:
    ran = cli("config", "validate", env={"PORT": "many"})
    assert ran.code == 78
    assert "PORT" in ran.stderr


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("https://h.example/v1", "https://h.example/v1"),
        ("https://h.example/v1?key=abc", "https://h.example/v1?(secret)"),
        ("https://me:word@h.example:1/v1", "https://(secret)@h.example:1/v1"),
        ("https://h?a=b@c/d", "https://h?(secret)"),
    ],
)
def test_what_signs_in_by_an_address_is_masked(address: str, masked: str) -> None:
    assert shown((address,)) == [masked]


def test_a_key_in_an_address_is_not_shown(cli: Cli, home: Home) -> None:
    home.configure('[providers.anthropic]\nbase_url = "https://h.example/v1?key=abcdef"\n')
    rows = settings_shown(cli)
    assert rows["providers.anthropic.base_urls"]["value"] == ["https://h.example/v1?(secret)"]
    assert "abcdef" not in cli("config", "show", "--origin").stdout


def test_a_pipe_in_its_place_is_told_at_once(cli: Cli, home: Home) -> None:
    home.configure("")
    home.paths.config.unlink()
    os.mkfifo(home.paths.config)
    ran = cli("config", "validate")
    assert (ran.code, ran.stdout) == (78, "")
    assert "is not a regular file" in ran.stderr
    assert cli("accounts", "remove", "", env={"_MCPROXY_COMPLETE": "words"}).code == 0
