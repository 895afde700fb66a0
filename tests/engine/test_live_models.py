"""What upstreams have said of their models outlives the process."""

from dataclasses import replace

import pytest

from mcp_proxy.account import Account
from mcp_proxy.engine.live_models import LiveModels
from mcp_proxy.model import ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.store.state import StateStore

ACCOUNTS = {
    "antigravity": Account("ada", "antigravity"),
    "copilot": Account("hub", "copilot"),
    "openai-compatible": Account("here", "openai-compatible", base_url="http://127.0.0.1:11434/v1"),
}


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("antigravity", info("claude-sonnet-4-6")),
        ("antigravity", replace(info("gemini-3-flash"), context_window=7, display_name="Flash")),
        ("antigravity", replace(info("gemini-3-flash"), searches=False)),
        ("copilot", replace(info("gpt-5.4", "copilot"), dialects=("openai_chat",), bucket="x")),
        ("copilot", info("claude-sonnet-4.6", "copilot")),
        (
            "openai-compatible",
            replace(
                info("qwen3", "openai-compatible"),
                thinking=ThinkingSpec((1, 9), ("low", "high"), 5, can_be_off=False),
                takes_images=False,
            ),
        ),
    ],
)
def test_a_model_is_the_same_after_a_restart(tmp_path, provider, model):
    account = ACCOUNTS[provider]
    with StateStore.open(tmp_path) as state:
        models = LiveModels(state)
        assert models.seen(account, [model])
        assert not models.seen(account, [model]), "nothing new"
    with StateStore.open(tmp_path) as state:
        # Accounts are not known yet when this is read: serve reads its files later.
        again = LiveModels(state)
        assert again.ids() == {account.id: frozenset({model.id})}
        assert again.get(account, model.id) == model


def test_a_list_of_another_server_is_not_believed(tmp_path):
    here = ACCOUNTS["openai-compatible"]
    there = replace(here, base_url="http://127.0.0.1:8080/v1")
    with StateStore.open(tmp_path) as state:
        LiveModels(state).seen(here, [info("qwen3", "openai-compatible")])
    with StateStore.open(tmp_path) as state:
        for account, is_believed in (
            (here, True),
            (there, False),
            (replace(here, provider="zai"), False),
        ):
            models = LiveModels(state)
            models.forget_other_servers([account])
            assert models.is_read(account) is is_believed


def test_a_list_without_an_address_is_of_the_usual_one(tmp_path):
    ada = ACCOUNTS["antigravity"]
    with StateStore.open(tmp_path) as state:
        state.put("models", "ada", {"provider": "antigravity", "models": ["gemini-3-flash"]})
        models = LiveModels(state)
        models.forget_other_servers([ada])
        assert models.is_read(ada)
        models.forget_other_servers([replace(ada, base_url="http://127.0.0.1:8080")])
        assert not models.is_read(ada)


def test_a_refused_feature_is_remembered_for_its_server_and_model(tmp_path):
    account, other = ACCOUNTS["openai-compatible"], Account("o", "openai-compatible")
    model = info("qwen3", "openai-compatible")
    with StateStore.open(tmp_path) as state:
        LiveModels(state).avoid(account, model, "stop")
    with StateStore.open(tmp_path) as state:
        again = LiveModels(state)
        assert again.avoided(account, model) == {"stop"}
        assert again.avoided(replace(account, id="twin"), model) == {"stop"}
        assert again.avoided(other, model) == frozenset()
        assert again.avoided(account, info("llama", "openai-compatible")) == frozenset()


def test_an_empty_list_says_nothing(tmp_path):
    with StateStore.open(tmp_path) as state:
        models = LiveModels(state)
        assert not models.seen(ACCOUNTS["copilot"], [])
        assert not models.is_read(ACCOUNTS["copilot"])


def test_facts_that_cannot_be_read_are_passed_over(tmp_path):
    with StateStore.open(tmp_path) as state:
        row = {"models": ["gemini-3-flash"], "facts": {"gemini-3-flash": {"thinking": 7}}}
        state.put("models", "ada", row)
        known = LiveModels(state).get(ACCOUNTS["antigravity"], "gemini-3-flash")
        assert known == info("gemini-3-flash")
