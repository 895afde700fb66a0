"""Settings: which source wins, what is refused and how it is named, what is only a warning."""

import os
from pathlib import Path
from typing import Any

import pytest

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.store.entries import PROVIDER_NAMES
from mcp_proxy.store.origins import sourced_settings
from mcp_proxy.store.paths import Paths, find_paths
from mcp_proxy.store.settings import SETTINGS, Settings, key_problem, load_settings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "accounts.toml", tmp_path / "config.toml", tmp_path / "state")


def configured(paths: Paths, text: str, mode: int = 0o600) -> Paths:
    paths.config.write_text(text)
    paths.config.chmod(mode)
    return paths


def value(settings: Settings, path: str) -> Any:
    found: Any = settings
    for name in path.split("."):
        found = getattr(found, name)
    return found


def test_nothing_set_gives_the_defaults_of_the_contract(paths: Paths) -> None:
    settings = load_settings(paths, {}, {})
    assert settings == Settings()
    server, limits = settings.server, settings.limits
    assert (server.host, server.port, server.workers) == ("127.0.0.1", 8080, 1)
    assert (server.read_timeout, server.write_timeout, server.idle_timeout) == (30, 300, 120)
    assert (server.max_body, server.drain) == (64 * 1024 * 1024, 30)
    assert (limits.soft_limit, limits.max_wait, limits.stall) == (0.20, 120, 120)
    assert (limits.concurrency, limits.strategy) == (8, "sticky")
    assert not settings.fallback.enabled
    assert settings.server.cors_origins == ()


# path -> what config.toml says, what the variable says, what the flag says; and their meanings
SOURCES = {
    "server.host": ('"0.0.0.0"', "::1", "::"),
    "server.port": ("9000", "9001", 9002),
    "server.api_keys": ('["key-of-the-file"]', "key-of-the-environment", None),
    "server.workers": ("2", None, 3),
    "server.read_timeout": ("1", "2.5", None),
    "server.write_timeout": ("1", "2.5", None),
    "server.idle_timeout": ("1", "2.5", None),
    "server.max_body": ("2048", None, None),
    "server.drain": ("0", None, None),
    "server.cors_enabled": ("false", "yes", None),
    "server.cors_allow_origin": ('["https://a.example"]', "https://b.example", None),
    "server.cors_allow_methods": ('"GET"', "POST", None),
    "server.cors_allow_headers": ('"a"', "b", None),
    "server.cors_max_age": ("1", "2", None),
    "limits.soft_limit": ("0.1", "0.3", 0.4),
    "limits.max_wait": ("1", None, None),
    "limits.stall": ("1", "2", None),
    "limits.concurrency": ("1", None, None),
    "limits.strategy": ('"hybrid"', None, "round-robin"),
    "fallback.enabled": ("true", "off", True),
    "debug": ("true", "0", True),
    "log_format": ('"json"', "text", "auto"),
}


def read(text: str | float) -> Any:
    words = {"true": True, "false": False, "yes": True, "off": False, "0": 0}
    if not isinstance(text, str):
        return text
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return text.strip('["]')


def plain(found: Any) -> Any:
    """One comparable value: keys and origins are lists of one here."""
    if isinstance(found, tuple):
        (found,) = found
    return found.value if isinstance(found, Secret) else found


def test_the_table_of_sources_knows_every_setting() -> None:
    assert set(SOURCES) == {row.path for row in SETTINGS}
    assert all(row.help for row in SETTINGS)
    assert {row.path for row in SETTINGS if row.env} == {p for p, s in SOURCES.items() if s[1]}


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.path)
def test_flag_beats_variable_beats_file_beats_default(paths: Paths, row: Any) -> None:
    in_file, in_env, in_flag = SOURCES[row.path]
    section, _, key = row.path.rpartition(".")
    configured(paths, f"[{section}]\n{key} = {in_file}" if section else f"{key} = {in_file}")
    assert plain(value(load_settings(paths, {}, {}), row.path)) == read(in_file)
    env = {row.env: in_env} if row.env else {}
    if row.env:
        assert plain(value(load_settings(paths, {}, env), row.path)) == read(in_env)
        assert plain(value(load_settings(paths, {}, {row.env: ""}), row.path)) == read(in_file)
    if row.flag:
        assert plain(value(load_settings(paths, {row.flag: in_flag}, env), row.path)) == in_flag


@pytest.mark.parametrize("word", ["1", "true", "YES", "on", " True "])
def test_words_for_yes(paths: Paths, word: str) -> None:
    assert load_settings(paths, {}, {"ENABLE_FALLBACK": word}).fallback.enabled


def test_the_soft_limit_can_be_off_everywhere(paths: Paths) -> None:
    assert load_settings(paths, {"soft_limit": None}, {}).limits.soft_limit is None
    assert load_settings(paths, {}, {"SOFT_LIMIT_THRESHOLD": "off"}).limits.soft_limit is None
    for text in ("false", '"off"'):
        configured(paths, f"[limits]\nsoft_limit = {text}")
        assert load_settings(paths, {}, {}).limits.soft_limit is None


def test_the_sections_with_names_of_ones_own(paths: Paths) -> None:
    configured(
        paths,
        """
[fallback.models]
"gemini-3-pro-high" = ["claude-opus-4-5-thinking", "x"]
[aliases]
haiku = "gemini-3-flash"
"gpt-4o*" = ["a", "b"]
[[routes.fast]]
provider = "zai"
account = "glm"
model = "glm-4.5-air"
[[routes.fast]]
model = "other"
[chains."claude-sonnet-4-5"]
accounts = ["a", "b"]
smart_switch = true
[providers.antigravity]
base_urls = ["https://one.example/", "http://127.0.0.1:9"]
token_url = "http://localhost:1/token"
client_id = "id"
client_secret = "s3cret"
user_agent = "antigravity/hub/3.0.0 linux/amd64"
[providers.zai]
base_url = "https://z.example"
""",
    )
    settings = load_settings(paths, {}, {})
    assert settings.warnings == ()
    assert settings.fallback.models == {"gemini-3-pro-high": ("claude-opus-4-5-thinking", "x")}
    assert settings.aliases == {"haiku": ("gemini-3-flash",), "gpt-4o*": ("a", "b")}
    assert settings.routes == {
        "fast": (
            {"provider": "zai", "account": "glm", "model": "glm-4.5-air"},
            {"model": "other"},
        )
    }
    assert settings.chains == {"claude-sonnet-4-5": {"accounts": ("a", "b"), "smart_switch": True}}
    assert settings.provider("antigravity") == ProviderSettings(
        base_urls=("https://one.example", "http://127.0.0.1:9"),
        token_url="http://localhost:1/token",
        client_id="id",
        client_secret=Secret("s3cret"),
        user_agent="antigravity/hub/3.0.0 linux/amd64",
    )
    assert settings.provider("zai").base_urls == ("https://z.example",)
    assert settings.provider("openai") == ProviderSettings()
    assert "s3cret" not in repr(settings)


def test_googles_client_comes_from_the_environment_first(paths: Paths) -> None:
    configured(paths, '[providers.antigravity]\nclient_id = "a"\nuser_agent = "x"\n')
    env = {"GOOGLE_CLIENT_ID": "b", "GOOGLE_CLIENT_SECRET": "c"}
    found = load_settings(paths, {}, env).provider("antigravity")
    assert (found.client_id, found.client_secret, found.user_agent) == ("b", Secret("c"), "x")


WRONG = {
    '[server]\nport = "8080"': "server.port must be a whole number from 0 to 65535",
    "[server]\nport = 70000": "server.port must be",
    "[server]\nport = true": "server.port must be",
    "[server]\nhost = 5": "server.host must be text",
    '[server]\napi_keys = "key"': "server.api_keys must be a list",
    '[server]\napi_keys = [""]': "server.api_keys must be a list in which each",
    "server = 5": "server must be a table",
    "[server]\nread_timeout = 0": "server.read_timeout must be a number of seconds",
    "[server]\nread_timeout = inf": "server.read_timeout must be a number of seconds",
    "[limits]\nsoft_limit = 20": "limits.soft_limit must be a number",
    '[limits]\nstrategy = "random"': "limits.strategy must be one of sticky, round-robin, hybrid",
    "[fallback]\nenabled = 1": "fallback.enabled must be true or false",
    "[fallback]\nmodels = 1": "fallback.models must be a table",
    "[aliases]\nhaiku = 5": "aliases.haiku must be",
    "[aliases]\nhaiku = []": "aliases.haiku must not be an empty list",
    '[routes]\nfast = "x"': "routes.fast must be a list of steps",
    '[[routes.fast]]\nprovider = "zai"': "routes.fast.model is missing",
    '[[routes.fast]]\nmodel = "m"\nprovider = "x"': "routes.fast.provider must be one of",
    "[chains.m]\nsmart_switch = true": "chains.m.accounts is missing",
    '[providers.antigravity]\nbase_url = "http://evil.example"': "base_url must be https",
    '[providers.antigravity]\nbase_urls = ["http://10.0.0.1"]': "base_urls must be a list in which",
    '[providers.antigravity]\ntoken_url = "https://u:p@x"': "token_url must not carry",
    "[server\n": "line 1, column 8",
    "a = 1\na = 2": "line 2",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items())
def test_what_is_wrong_in_the_file_names_file_and_field(
    paths: Paths, text: str, reason: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_settings(configured(paths, text), {}, {})
    assert str(caught.value).startswith(f"{paths.config}: ")
    assert reason in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_wrong_file_stays_wrong_where_something_else_counts(paths: Paths) -> None:
    configured(paths, '[server]\nport = "x"\n')
    for flags, env in (({"port": 9000}, {}), ({}, {"PORT": "9000"})):
        with pytest.raises(UserError, match=r"server\.port must be a whole number") as caught:
            load_settings(paths, flags, env)
        assert caught.value.exit_code == 78


def test_a_wrong_variable_and_a_wrong_flag_are_named_as_such(paths: Paths) -> None:
    with pytest.raises(UserError, match=r"^PORT must be a whole number") as variable:
        load_settings(paths, {}, {"PORT": "http"})
    with pytest.raises(UserError, match=r"^--soft-limit must be a number") as flag:
        load_settings(paths, {"soft_limit": 5.0}, {})
    assert (variable.value.exit_code, flag.value.exit_code) == (78, 2)


@pytest.mark.parametrize("key", ["x", "my key with spaces", "schlüssel"])
def test_a_key_is_whatever_a_client_can_send(paths: Paths, key: str) -> None:
    of_variable = load_settings(paths, {}, {"PROXY_API_KEY": f" {key} "})
    of_file = load_settings(configured(paths, f'[server]\napi_keys = ["{key}"]\n'), {}, {})
    assert of_variable.server.api_keys == of_file.server.api_keys == (Secret(key),)


@pytest.mark.parametrize(
    ("key", "reason"),
    {
        " ": "must not be empty",
        "two\nlines": "must be one line of text",
        "\udcff": "must be",
    }.items(),
)
def test_a_key_that_cannot_be_sent_is_refused_by_its_name(
    paths: Paths, key: str, reason: str
) -> None:
    with pytest.raises(UserError, match=f"^PROXY_API_KEY {reason}") as caught:
        load_settings(paths, {}, {"PROXY_API_KEY": key})
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("text", ["app:*", "express", "2"])
def test_a_debug_of_another_program_is_a_warning_and_counts_for_nothing(
    paths: Paths, text: str
) -> None:
    configured(paths, "debug = true\n")
    settings, rows = sourced_settings(paths, {}, {"DEBUG": text})
    (warning,) = settings.warnings
    assert warning.startswith("DEBUG is neither true nor false")
    assert settings.debug
    assert [row.where for row in rows if row.path == "debug"] == [f"{paths.config}:1"]


def test_a_pipe_is_no_settings_file(paths: Paths) -> None:
    os.mkfifo(paths.config)
    with pytest.raises(UserError, match="is not a regular file") as caught:
        load_settings(paths, {}, {})
    assert caught.value.exit_code == 78


def test_a_link_is_followed_and_the_null_device_is_an_empty_file(
    paths: Paths, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.toml").write_text("[server]\nport = 1\n")
    paths.config.symlink_to(tmp_path / "elsewhere.toml")
    assert load_settings(paths, {}, {}).server.port == 1
    nowhere = Paths(paths.accounts, Path(os.devnull), paths.state)
    assert load_settings(nowhere, {}, {}) == Settings()


def test_a_file_that_a_flag_asks_for_has_to_be_there(tmp_path: Path) -> None:
    named = find_paths({}, config=tmp_path / "none.toml")
    with pytest.raises(UserError, match="there is no such file") as caught:
        load_settings(named, {}, {})
    assert caught.value.exit_code == 78
    # A variable only says where the file would be; the file is optional there as everywhere.
    usual = find_paths({"MCPROXY_CONFIG": str(tmp_path / "none.toml")})
    assert load_settings(usual, {}, {}) == Settings()


def test_unknown_keys_are_warnings_with_the_nearest_name(paths: Paths) -> None:
    configured(paths, "sever = 1\n[server]\nprot = 1\n[providers.antigravity]\nbase_ulr = 'x'\n")
    warnings = load_settings(paths, {}, {}).warnings
    assert [w.partition(": ")[2].partition(" is not")[0] for w in warnings] == [
        "providers.antigravity.base_ulr",
        "sever",
        "server.prot",
    ]
    for near in ("providers.antigravity.base_url?", "server?", "server.port?"):
        assert any(each.endswith(f"Did you mean {near}") for each in warnings)


def test_secrets_that_others_can_read_are_a_warning(paths: Paths) -> None:
    text = '[server]\napi_keys = ["0123456789abcdefX"]\n'
    assert "chmod 600" in str(load_settings(configured(paths, text, 0o644), {}, {}).warnings)
    assert load_settings(configured(paths, text, 0o600), {}, {}).warnings == ()
    assert load_settings(configured(paths, "[server]\nport = 1\n", 0o644), {}, {}).warnings == ()


def test_cors_is_off_until_an_origin_is_named(paths: Paths) -> None:
    def origins(**env: str) -> tuple[str, ...]:
        return load_settings(paths, {}, env).server.cors_origins

    assert origins(CORS_ENABLED="true") == ()
    two = ("https://a.example", "https://b.example")
    assert origins(CORS_ALLOW_ORIGIN="https://a.example, https://b.example") == two
    assert origins(CORS_ALLOW_ORIGIN="https://a.example", CORS_ENABLED="false") == ()


KEYS = {
    "": ("is empty", "is empty"),
    "short": (None, "is shorter than 16 characters"),
    "0123456789abcde": (None, "is shorter than 16 characters"),
    "Your-Secret-API-Key": (None, "is a well-known sample"),
    "aaaaaaaaaaaaaaaaaaaa": (None, "is a well-known sample"),
    "b3N0IHNlY3JldCBrZXkh": (None, None),
}


@pytest.mark.parametrize(("key", "problems"), KEYS.items())
def test_keys_must_be_strong_beyond_loopback(
    key: str, problems: tuple[str | None, str | None]
) -> None:
    assert (key_problem(key, loopback=True), key_problem(key, loopback=False)) == problems


@pytest.mark.parametrize("name", PROVIDER_NAMES)
def test_every_provider_can_be_pointed_at_another_address(paths: Paths, name: str) -> None:
    configured(
        paths,
        f'[providers.{name}]\nbase_url = "http://127.0.0.1:9/v1"\ntoken_url = "https://x.example"\n',
    )
    settings = load_settings(paths, {}, {})
    assert settings.warnings == ()
    assert settings.provider(name) == ProviderSettings(
        base_urls=("http://127.0.0.1:9/v1",), token_url="https://x.example"
    )
