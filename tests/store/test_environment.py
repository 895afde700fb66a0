"""Accounts and aliases from variables: which are made of what, and that no file ever has them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import AccountStore, UnknownAccount, credential_id
from mcp_proxy.store.checks import WrongValue
from mcp_proxy.store.entries import entry_fields
from mcp_proxy.store.environment import (
    VARIABLES,
    accounts_from,
    aliases_from,
    read_environment,
)
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import load_settings

KEY = Credential(api_key=Secret("sk-canary"))


def of_environment(name: str, credential: Credential = KEY, **fields: object) -> Account:
    made = {"id": f"env-{name}", "provider": name, "credential": credential, **fields}
    return Account(transient=True, **made)  # type: ignore[arg-type]


ACCOUNTS = {
    "nothing": ({}, []),
    "openai": ({"OPENAI_API_KEY": "sk-canary"}, [of_environment("openai")]),
    "openai at its own address": (
        {"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": "https://api.openai.com/v1/"},
        [of_environment("openai")],
    ),
    "openai elsewhere": (
        {"OPENAI_API_KEY": " sk-canary ", "OPENAI_BASE_URL": "https://openrouter.ai/api/v1/"},
        [
            of_environment(
                "openai", provider="openai-compatible", base_url="https://openrouter.ai/api/v1"
            )
        ],
    ),
    "a server on this machine needs no key": (
        {"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"},
        [
            of_environment(
                "openai",
                Credential(),
                provider="openai-compatible",
                base_url="http://127.0.0.1:11434/v1",
            )
        ],
    ),
    "the address that our clients are given": (
        {"OPENAI_API_KEY": "anything", "OPENAI_BASE_URL": "http://localhost:8080/v1"},
        [],
    ),
    "the same on another port": (
        {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://[::1]:9000/v1", "PORT": "9000"},
        [],
    ),
    "gemini": ({"GEMINI_API_KEY": "sk-canary"}, [of_environment("gemini")]),
    "anthropic": ({"ANTHROPIC_API_KEY": "sk-canary"}, [of_environment("anthropic")]),
    "a key for us that stands where Anthropic's would": (
        {"ANTHROPIC_API_KEY": "sk-canary", "ANTHROPIC_BASE_URL": "http://127.0.0.1:8080"},
        [],
    ),
    "a key for us that stands where Google's would": (
        {"GEMINI_API_KEY": "sk-canary", "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:8080"},
        [],
    ),
    "vertex": (
        {
            "USE_VERTEX_AUTH": "True",
            "VERTEX_PROJECT": "my-project",
            "VERTEX_LOCATION": "europe-west4",
            "VERTEX_CREDENTIALS_PATH": "/etc/service account.json",
        },
        [
            of_environment(
                "vertex",
                Credential(source="gcloud", file="/etc/service account.json"),
                project="my-project",
                location="europe-west4",
            )
        ],
    ),
    "vertex as a sample file has it": (
        {"USE_VERTEX_AUTH": "true", "VERTEX_PROJECT": "unset", "VERTEX_LOCATION": "unset"},
        [of_environment("vertex", Credential(source="gcloud"))],
    ),
    "vertex is off": ({"USE_VERTEX_AUTH": "false", "VERTEX_PROJECT": "my-project"}, []),
    "empty and unset": ({"OPENAI_API_KEY": " ", "GEMINI_API_KEY": "unset"}, []),
    "several": (
        {"ANTHROPIC_API_KEY": "sk-canary", "OPENAI_API_KEY": "sk-canary"},
        [of_environment("openai"), of_environment("anthropic")],
    ),
}


@pytest.mark.parametrize(("env", "accounts"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_keys_in_the_environment_are_accounts(env: dict[str, str], accounts: list[Account]) -> None:
    assert list(accounts_from(env)) == accounts
    assert read_environment(env).warnings == ()


UNUSABLE = {
    "OPENAI_BASE_URL": ({"OPENAI_BASE_URL": "http://10.0.0.1:11434/v1"}, "must be https"),
    "OPENAI_BASE_URL, no URL": ({"OPENAI_BASE_URL": "http://[canary"}, "must be a URL"),
    "OPENAI_API_KEY": ({"OPENAI_API_KEY": "sk canary"}, "must be one run of plain characters"),
    "VERTEX_LOCATION": (
        {"USE_VERTEX_AUTH": "1", "VERTEX_LOCATION": "canary.example/"},
        "must be made of",
    ),
}


@pytest.mark.parametrize(("env", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_not_usable_is_a_warning_and_the_others_work(
    env: dict[str, str], reason: str
) -> None:
    found = read_environment({**env, "GEMINI_API_KEY": "sk-canary"})
    assert found.accounts == (of_environment("gemini"),)
    (warning,) = found.warnings
    assert reason in warning
    assert warning.partition(" ")[0] in env
    assert "canary" not in warning


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=40)))
def test_no_value_whatever_makes_trouble(env: dict[str, str]) -> None:
    found = read_environment(env)
    assert all(account.transient for account in found.accounts)
    assert "canary" not in repr(found)
    for secret in filter(None, (account.credential.api_key for account in found.accounts)):
        assert secret.value.isprintable()


ALIASES = {
    "nothing": ({}, {}),
    "keys alone": ({"OPENAI_API_KEY": "sk-canary"}, {}),
    "both": (
        {"BIG_MODEL": "gpt-5.4", "SMALL_MODEL": " gpt-5-mini "},
        {
            "opus": ("openai/gpt-5.4", "gpt-5.4"),
            "sonnet": ("openai/gpt-5.4", "gpt-5.4"),
            "haiku": ("openai/gpt-5-mini", "gpt-5-mini"),
        },
    ),
    "one of them": (
        {"BIG_MODEL": "gpt-5.4"},
        {
            "opus": ("openai/gpt-5.4", "gpt-5.4"),
            "sonnet": ("openai/gpt-5.4", "gpt-5.4"),
            "haiku": ("openai/gpt-4.1-mini", "gpt-4.1-mini"),
        },
    ),
    "google": (
        {"PREFERRED_PROVIDER": "Google"},
        {
            "opus": ("gemini/gemini-2.5-pro", "gemini-2.5-pro"),
            "sonnet": ("gemini/gemini-2.5-pro", "gemini-2.5-pro"),
            "haiku": ("gemini/gemini-2.5-flash", "gemini-2.5-flash"),
        },
    ),
    "google by way of vertex": (
        {"PREFERRED_PROVIDER": "google", "USE_VERTEX_AUTH": "true", "SMALL_MODEL": "m"},
        {
            "opus": ("vertex/gemini-2.5-pro", "gemini-2.5-pro"),
            "sonnet": ("vertex/gemini-2.5-pro", "gemini-2.5-pro"),
            "haiku": ("vertex/m", "m"),
        },
    ),
    "a server that speaks as OpenAI does": (
        {"BIG_MODEL": "qwen3:32b", "SMALL_MODEL": "qwen3", "OPENAI_BASE_URL": "http://127.0.0.1:1"},
        {
            "opus": ("openai-compatible/qwen3:32b", "qwen3:32b"),
            "sonnet": ("openai-compatible/qwen3:32b", "qwen3:32b"),
            "haiku": ("openai-compatible/qwen3", "qwen3"),
        },
    ),
    "anthropic's models have their class in their names": ({"PREFERRED_PROVIDER": "anthropic"}, {}),
    "anthropic, but not its largest": (
        {"PREFERRED_PROVIDER": "anthropic", "SMALL_MODEL": "claude-haiku-5-5"},
        {"haiku": ("anthropic/claude-haiku-5-5", "claude-haiku-5-5")},
    ),
}


@pytest.mark.parametrize(("env", "aliases"), ALIASES.values(), ids=ALIASES)
def test_sonnet_and_opus_are_the_big_model_and_haiku_the_small_one(
    env: dict[str, str], aliases: dict[str, tuple[str, ...]]
) -> None:
    found = aliases_from(env)
    patterns = {name: found.pop(name) for name in list(found) if "*" in name}
    assert found == aliases
    wanted = {f"claude*{name}*": (name,) for name in aliases}
    assert patterns == (wanted if env.get("PREFERRED_PROVIDER") != "anthropic" else {})


def test_a_preferred_provider_that_is_none_is_refused(tmp_path: Path) -> None:
    env = {"PREFERRED_PROVIDER": "openia"}
    with pytest.raises(WrongValue, match="PREFERRED_PROVIDER must be one of openai, google"):
        aliases_from(env)
    paths = Paths(tmp_path / "accounts.toml", tmp_path / "config.toml", tmp_path / "state")
    with pytest.raises(UserError, match="PREFERRED_PROVIDER") as refusal:
        load_settings(paths, {}, env)
    assert refusal.value.exit_code == 78


def test_aliases_of_the_file_count_more(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "accounts.toml", tmp_path / "config.toml", tmp_path / "state")
    paths.config.write_text('[aliases]\nhaiku = "glm-4.5-air"\nfast = "x"\n')
    aliases = load_settings(paths, {}, {"BIG_MODEL": "big", "SMALL_MODEL": "small"}).aliases
    assert aliases == {
        "opus": ("openai/big", "big"),
        "sonnet": ("openai/big", "big"),
        "haiku": ("glm-4.5-air",),
        "fast": ("x",),
        "claude*opus*": ("opus",),
        "claude*sonnet*": ("sonnet",),
        "claude*haiku*": ("haiku",),
    }


# ------------------------------------------------------------------------- beside accounts.toml

ENVIRONMENT = read_environment({"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": ""})


@pytest.fixture
def store(tmp_path: Path) -> AccountStore:
    return AccountStore(tmp_path / "config" / "accounts.toml", environment=ENVIRONMENT)


def keyed(name: str) -> Account:
    return Account(name, "zai", Credential(api_key=Secret("k")))


def test_they_come_after_those_of_the_file_and_never_get_into_it(store: AccountStore) -> None:
    assert store.load().accounts == ENVIRONMENT.accounts
    assert not store.path.exists()
    store.add(keyed("glm"))
    store.set_enabled("glm", False)
    assert [each.id for each in store.load().accounts] == ["glm", "env-openai"]
    assert "env-openai" not in store.path.read_text()
    assert "canary" not in store.path.read_text()


def test_the_file_wins_where_both_have_an_id(store: AccountStore) -> None:
    store.add(keyed("env-openai"))
    assert [each.provider for each in store.load().accounts] == ["zai"]


def test_a_broken_entry_of_that_id_is_not_replaced_in_silence(store: AccountStore) -> None:
    store.add(keyed("env-openai"))
    store.path.write_text(store.path.read_text().replace("api_key", "api_kee"))
    loaded = store.load()
    assert loaded.accounts == ()
    assert [each.reason for each in loaded.problems] == ["api_key is missing"]


def test_changing_one_says_where_it_comes_from(store: AccountStore) -> None:
    with pytest.raises(UserError, match="env-openai comes from the environment") as refusal:
        store.set_enabled("env-openai", False)
    assert not isinstance(refusal.value, UnknownAccount)


def test_such_an_account_is_refused_by_whoever_writes(store: AccountStore) -> None:
    (account,) = ENVIRONMENT.accounts
    with pytest.raises(ValueError, match="never written"):
        entry_fields(account)
    with pytest.raises(ValueError, match="never written"):
        store.add(account)
    assert not store.path.exists()


def test_a_mark_is_bound_to_the_credentials_file() -> None:
    one, other = (
        of_environment("vertex", Credential(file=file)) for file in ("/a.json", "/b.json")
    )
    assert credential_id(one) != credential_id(other)
