"""Every provider behind the whole proxy: answers, lists of models, what is left of its windows."""

from dataclasses import dataclass

import pytest
from asking import DAY, HOUR, IMPATIENT, asking, model_row, seconds_until, text_of, who, window
from placed import Clock
from served import settings_with


@dataclass(frozen=True)
class Case:
    provider: str
    model: str
    own: str
    """A client API that it speaks itself."""
    other: str

    def __str__(self) -> str:
        return self.provider


CASES = (
    Case("zai", "glm-4.7", "anthropic", "openai_chat"),
    Case("anthropic", "claude-sonnet-4-6", "anthropic", "gemini"),
    Case("openai", "gpt-5.4", "openai_responses", "anthropic"),
    Case("openai", "gpt-4.1", "openai_chat", "gemini"),
    Case("openai-compatible", "qwen3:8b", "openai_chat", "openai_responses"),
    Case("gemini", "gemini-2.5-pro", "gemini", "anthropic"),
    Case("vertex", "gemini-2.5-flash", "gemini", "openai_chat"),
    Case("vertex", "claude-sonnet-4-6", "anthropic", "openai_responses"),
    Case("codex", "gpt-5.5", "openai_responses", "anthropic"),
    Case("copilot", "claude-sonnet-4.6", "anthropic", "openai_responses"),
    Case("copilot", "gpt-5-mini", "openai_responses", "openai_chat"),
    Case("copilot", "gpt-4.1", "openai_chat", "gemini"),
)
EVERYWHERE = pytest.mark.parametrize("case", CASES, ids=str)


@EVERYWHERE
async def test_it_answers_clients_of_its_own_api_and_of_another(tmp_path, case):
    async with asking(tmp_path, case.provider) as client:
        for api in (case.own, case.other):
            answer = await client.ask(case.model, "say Grüße, 世界", api)
            assert text_of(api, answer) == "Grüße, 世界"
            told = {name: answer.headers[f"x-mcproxy-{name}"] for name in ("provider", "model")}
            assert told == {"provider": case.provider, "model": case.model}
            assert "x-mcproxy-fallback" not in answer.headers


@EVERYWHERE
async def test_its_name_before_the_models_leads_to_it_alone(tmp_path, case):
    async with asking(tmp_path, *{each.provider for each in CASES}) as client:
        api = "anthropic" if case.own == "gemini" else case.own  # a slash ends a name in a path
        answer = await client.ask(f"{case.provider}/{case.model}", api=api)
        assert answer.headers["x-mcproxy-provider"] == case.provider
        nowhere = await client.ask(f"{case.provider}/no-such-model", api=api)
        assert nowhere.status == 404
        assert len(client.asked) == 1


# ---------------------------------------------------------------------------- lists of models


async def test_only_places_that_list_a_model_are_asked_for_it(tmp_path):
    providers = ("anthropic", "openai", "codex", "copilot")
    clock = Clock()
    async with asking(tmp_path, *providers, settings=IMPATIENT, clock=clock) as client:
        await client.limits()
        client.rig.places.quota("copilot").use("premium", 1.0, resets_at=clock() + DAY)
        answer = await client.ask("claude-opus-4.7")
        assert answer.status == 429, "nobody else has it"
        assert client.asked == ["demo-copilot"]
        assert who(await client.ask("gpt-4o-mini", api="openai_chat")) == "demo-openai"
        assert who(await client.ask("gpt-5.6-sol", api="openai_chat")) == "demo-codex"


@pytest.mark.parametrize(
    ("provider", "model"), [("zai", "glm-5-turbo"), ("anthropic", "claude-opus-4-8")]
)
@pytest.mark.parametrize("named", ["{model}", "{provider}/{model}", "route:pinned"])
async def test_a_model_of_the_catalogue_that_the_list_lacks_is_not_asked_for(
    tmp_path, provider, model, named
):
    routes = {"pinned": ({"provider": provider, "model": model},)}
    async with asking(tmp_path, provider, settings=settings_with(routes=routes)) as client:
        await client.limits()
        answer = await client.ask(named.format(provider=provider, model=model))
        assert model not in {call.body["model"] for call in client.rig.generations}
        if answer.status != 200:  # a Claude may be taken for another of its class
            assert answer.status in (404, 503)
            assert model in answer.message


async def test_a_place_without_a_list_is_asked_once_for_what_it_lacks(tmp_path):
    async with asking(tmp_path, "vertex", "copilot") as client:
        for number in range(3):
            answer = await client.ask("claude-opus-4.7", f"say {number}")
            assert who(answer) == "demo-copilot"
        assert client.asked.count("demo-vertex") <= 1
        alone = await client.ask("vertex/claude-opus-4-7")
        assert alone.status == 404
        assert "Model Garden" in alone.message


async def test_a_model_that_only_the_upstreams_own_list_has_is_served(tmp_path):
    async with asking(tmp_path, "openai-compatible") as client:
        answer = await client.ask("llama3.2:3b", api="openai_chat")
        assert answer.headers["x-mcproxy-model"] == "llama3.2:3b"


async def test_an_allow_list_is_enough_where_the_server_lists_nothing(tmp_path):
    async with asking(tmp_path, "openai-compatible", models=("qwen3:8b",)) as client:
        client.rig.places.compatible.lists_models = False
        assert (await client.ask("qwen3:8b")).status == 200
        assert (await client.ask("llama3.2:3b")).status == 404


# ---------------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("provider", "windows"),
    [
        ("codex", {"5h": (0.25, 2 * HOUR), "7d": (0.5, 3 * DAY)}),
        ("zai", {"5h": (0.25, 2 * HOUR), "7d": (0.5, 3 * DAY)}),
    ],
)
async def test_the_windows_of_a_subscription_are_shown(tmp_path, provider, windows):
    clock = Clock()
    async with asking(tmp_path, provider, clock=clock) as client:
        for name, (used, left) in windows.items():
            client.rig.places.quota(provider).use(name, used, resets_at=clock() + left)
        row = (await client.limits())[f"demo-{provider}"]
        for name, (used, left) in windows.items():
            shown = window(row, name)
            assert shown["remaining"] == pytest.approx(1 - used)
            assert shown["state"] == "ready"
            assert abs(seconds_until(shown["resets_at"], clock) - left) < 5
        assert {each["remaining"] for each in row["models"]} == {0.5}, "the tighter one counts"


async def test_copilots_month_is_of_the_models_that_cost_premium_requests(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "copilot", clock=clock) as client:
        client.rig.places.quota("copilot").use("premium", 0.4, resets_at=clock() + DAY)
        row = (await client.limits())["demo-copilot"]
        month = window(row, "month")
        assert month["bucket"] == "premium"
        assert month["remaining"] == pytest.approx(0.6)
        assert model_row(row, "claude-sonnet-4.6")["remaining"] == pytest.approx(0.6)
        assert model_row(row, "gpt-4.1")["remaining"] is None, "costs none"


@pytest.mark.parametrize(
    ("provider", "model", "api", "window_used"),
    [
        ("anthropic", "claude-sonnet-4-6", "anthropic", "tokens"),
        ("anthropic", "claude-sonnet-4-6", "openai_chat", "tokens"),
        ("openai", "gpt-5.4", "openai_responses", "tokens"),
        ("openai", "gpt-4.1", "anthropic", "requests"),
        ("codex", "gpt-5.5", "anthropic", "5h"),
    ],
)
async def test_the_headers_of_an_answer_give_figures(tmp_path, provider, model, api, window_used):
    clock = Clock()
    async with asking(tmp_path, provider, clock=clock) as client:
        await client.limits()
        client.rig.places.quota(provider).use(window_used, 0.7, resets_at=clock() + 50)
        assert (await client.ask(model, api=api)).status == 200
        row = model_row((await client.limits())[f"demo-{provider}"], model)
        assert row["remaining"] == pytest.approx(0.3, abs=0.01)
        assert row["source"] == "answer headers"
