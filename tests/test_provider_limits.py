"""Accounts out of quota, in the words of each provider: who answers then, and until when."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from asking import APIS, DAY, HOUR, IMPATIENT, Asker, asking, model_row, seconds_until, who
from placed import Clock

from mcp_proxy.demo.refusals import Answer


@dataclass(frozen=True)
class Spent:
    """A window of a provider that a test empties."""

    provider: str
    model: str
    window: str
    seconds: float
    """Until it is full again, and how long the provider says so."""
    api: str = "anthropic"

    def __str__(self) -> str:
        return f"{self.provider}-{self.window}"

    def empty(self, client: Asker, clock: Clock, *accounts: str) -> None:
        allowance = client.rig.places.quota(self.provider)
        for account in accounts:
            allowance.use(self.window, 1.0, resets_at=clock() + self.seconds, account=account)


SPENT = (
    Spent("zai", "glm-4.7", "5h", 2 * HOUR),
    Spent("zai", "glm-4.7", "7d", 5 * HOUR),
    Spent("anthropic", "claude-sonnet-4-6", "tokens", 300),
    Spent("anthropic", "claude-sonnet-4-6", "requests", 45, "openai_chat"),
    Spent("openai", "gpt-5.4", "tokens", 300),
    Spent("openai", "gpt-4.1", "requests", 45, "openai_chat"),
    Spent("gemini", "gemini-2.5-flash", "per-minute", 40, "gemini"),
    Spent("codex", "gpt-5.5", "5h", 2 * HOUR),
    Spent("codex", "gpt-5.5", "7d", 5 * HOUR, "openai_responses"),
)


@pytest.mark.parametrize("spent", SPENT, ids=str)
async def test_the_next_account_answers_until_the_reset_that_the_provider_named(tmp_path, spent):
    clock = Clock()
    people = (f"{spent.provider}:ada", f"{spent.provider}:grace")
    async with asking(tmp_path, *people, settings=IMPATIENT, clock=clock) as client:
        spent.empty(client, clock, "ada")
        first = await client.ask(spent.model, "say first", spent.api)
        assert who(first) == "grace"
        assert client.asked == ["ada", "grace"]
        for number in range(3):
            assert who(await client.ask(spent.model, f"say {number}", spent.api)) == "grace"
        assert client.asked.count("ada") == 1, "a known limit is not asked about again"
        row = model_row((await client.limits())["ada"], spent.model)
        assert row["state"] in ("exhausted", "cooling-down")
        assert abs(seconds_until(row["limited_until"], clock) - spent.seconds) < 5
        clock.later(spent.seconds + 5)
        texts = (f"say later {number}" for number in range(3))
        assert "ada" in {who(await client.ask(spent.model, text, spent.api)) for text in texts}


@pytest.mark.parametrize("spent", SPENT, ids=str)
async def test_a_limit_that_everybody_has_is_a_429_that_says_until_when(tmp_path, spent):
    clock = Clock()
    people = (f"{spent.provider}:ada", f"{spent.provider}:grace")
    async with asking(tmp_path, *people, settings=IMPATIENT, clock=clock) as client:
        spent.empty(client, clock, "ada", "grace")
        for api in APIS:
            answer = await client.ask(spent.model, "say hi", api, stream=api != "openai_chat")
            assert answer.status == 429
            assert answer.message.startswith("RESOURCE_EXHAUSTED")
            assert abs(int(answer.headers["retry-after"]) - spent.seconds) <= 5
            assert ("x-should-retry" in answer.headers) is (spent.seconds > 60)
            ERRORS[api](answer)
        assert sorted(client.asked) == ["ada", "grace"]


def _as_anthropic(answer):
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == "rate_limit_error"


def _as_openai(answer):
    assert answer.json["error"]["type"] == "rate_limit_error"
    assert answer.json["error"]["code"] == "rate_limit_exceeded"


def _as_gemini(answer):
    error = answer.json["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    (told,) = (each for each in error["details"] if each["@type"].endswith("RetryInfo"))
    delay = float(told["retryDelay"].removesuffix("s"))
    assert abs(delay - int(answer.headers["retry-after"])) <= 1


ERRORS = {
    "anthropic": _as_anthropic,
    "openai_chat": _as_openai,
    "openai_responses": _as_openai,
    "gemini": _as_gemini,
}


async def test_geminis_day_ends_at_midnight_in_california(tmp_path):
    clock = Clock()
    before = _california(clock).replace(hour=21, minute=0)
    clock.later(before.timestamp() - clock())
    async with asking(tmp_path, "gemini", settings=IMPATIENT, clock=clock) as client:
        allowance = client.rig.places.quota("gemini")
        allowance.use("per-day", 1.0, resets_at=clock() + 3 * HOUR)
        answer = await client.ask("gemini-2.5-flash")
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) == pytest.approx(3 * HOUR, abs=60)


async def test_copilots_month_is_asked_about_again_after_some_hours(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "copilot", settings=IMPATIENT, clock=clock) as client:
        allowance = client.rig.places.quota("copilot")
        allowance.use("premium", 1.0, resets_at=clock() + 9 * DAY)
        for _ in range(2):
            answer = await client.ask("claude-sonnet-4.6")
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) == pytest.approx(6 * HOUR, abs=5)
        assert len(client.asked) == 1
        clock.later(6 * HOUR + 5)
        assert (await client.ask("claude-sonnet-4.6")).status == 429
        assert len(client.asked) == 2


@pytest.mark.parametrize(
    ("provider", "model", "window"),
    [
        ("copilot", "claude-sonnet-4.6", "premium"),
        ("zai", "glm-4.7", "5h"),
        ("codex", "gpt-5.5", "7d"),
    ],
)
async def test_quota_that_is_back_early_is_used_once_it_has_been_read(
    tmp_path, provider, model, window
):
    clock = Clock()
    async with asking(tmp_path, provider, settings=IMPATIENT, clock=clock) as client:
        allowance = client.rig.places.quota(provider)
        allowance.use(window, 1.0, resets_at=clock() + 5 * HOUR)
        assert (await client.ask(model)).status == 429
        await client.limits()
        clock.later(310)
        allowance.use(window, 0.1, resets_at=clock() + 9 * DAY)
        assert (await client.ask(model)).status == 429, "nobody has looked"
        await client.limits()
        assert (await client.ask(model)).status == 200


async def test_vertex_says_nothing_of_time_so_it_rests_for_a_while(tmp_path):
    clock = Clock()
    people = ("vertex:ada", "vertex:grace")
    async with asking(tmp_path, *people, settings=IMPATIENT, clock=clock) as client:
        allowance = client.rig.places.quota("vertex")
        allowance.use("per-minute", 1.0, resets_at=clock() + 20, account="ada")
        for number in range(3):
            assert who(await client.ask("gemini-2.5-flash", f"say {number}")) == "grace"
        assert client.asked.count("ada") == 1
        row = model_row((await client.limits())["ada"], "gemini-2.5-flash")
        assert row["state"] == "cooling-down"
        assert 20 < seconds_until(row["limited_until"], clock) <= 60
        await client.ask("claude-sonnet-4-6")
        assert client.asked.count("ada") == 2, "a limit of one model is not another's"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "90"}, 90), ({"retry-after-ms": "90500"}, 90), ({}, 30)],
    ids=["seconds", "milliseconds", "nothing"],
)
async def test_a_server_that_is_compatible_is_left_alone_as_its_headers_say(
    tmp_path, headers, seconds
):
    clock = Clock()
    async with asking(tmp_path, "openai-compatible", settings=IMPATIENT, clock=clock) as client:
        busy = Answer(429, {"error": {"message": "Too many requests"}}, headers)
        client.rig.places.play("openai-compatible", busy)
        answer = await client.ask("qwen3:8b", api="openai_chat")
        assert answer.status == 429
        assert abs(int(answer.headers["retry-after"]) - seconds) <= 2
        assert (await client.ask("qwen3:8b", api="openai_chat")).status == 429
        assert len(client.asked) == 1
        clock.later(seconds + 2)
        assert (await client.ask("qwen3:8b", api="openai_chat")).status == 200


# ------------------------------------------------------------------------------- soft limits


@pytest.mark.parametrize(
    ("provider", "model", "window"),
    [
        ("zai", "glm-4.7", "5h"),
        ("zai", "glm-4.7", "7d"),
        ("codex", "gpt-5.5", "7d"),
        ("copilot", "claude-sonnet-4.6", "premium"),
    ],
)
async def test_an_account_whose_window_is_nearly_used_comes_last(tmp_path, provider, model, window):
    clock = Clock()
    async with asking(tmp_path, f"{provider}:ada", f"{provider}:grace", clock=clock) as client:
        allowance = client.rig.places.quota(provider)
        allowance.use(window, 0.9, resets_at=clock() + HOUR, account="ada")
        row = model_row((await client.limits())["ada"], model)
        assert row["state"] == "soft-limited"
        answers = [await client.ask(model, f"say {number}") for number in range(4)]
        assert {who(answer) for answer in answers} == {"grace"}
        allowance.use(window, 1.0, resets_at=clock() + HOUR, account="grace")
        assert who(await client.ask(model, "say last")) == "ada", "better than nobody"


async def test_a_copilot_that_is_nearly_used_still_gives_what_costs_nothing(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "copilot:ada", settings=IMPATIENT, clock=clock) as client:
        client.rig.places.quota("copilot").use("premium", 1.0, resets_at=clock() + DAY)
        assert (await client.ask("claude-sonnet-4.6")).status == 429
        for model in ("gpt-4.1", "gpt-5-mini"):
            assert who(await client.ask(model)) == "ada"
        rows = (await client.limits())["ada"]
        assert model_row(rows, "claude-haiku-4.5")["state"] == "exhausted"
        assert model_row(rows, "gpt-4.1")["state"] in ("ready", "unknown")
        assert (await client.ask("claude-haiku-4.5")).status == 429
        assert [call.body["model"] for call in client.rig.generations] == [
            "claude-sonnet-4.6",
            "gpt-4.1",
            "gpt-5-mini",
        ]


def _california(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock(), ZoneInfo("America/Los_Angeles"))
