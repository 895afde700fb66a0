"""Answers that time alone does not mend: no money, no plan, too many at once, a closed account."""

import asyncio
import time
from itertools import combinations

import pytest
from asking import HOUR, IMPATIENT, Asker, asking, model_row, seconds_until, who
from placed import Clock

from mcp_proxy.demo.refusals import Answer


def zai(code: str, text: str) -> Answer:
    return Answer(429, {"error": {"code": code, "message": text}})


def openai(code: str, kind: str = "insufficient_quota") -> Answer:
    text = "You exceeded your current quota, please check your plan and billing details."
    return Answer(429, {"error": {"message": text, "type": kind, "param": None, "code": code}})


def anthropic(status: int, kind: str, text: str) -> Answer:
    return Answer(status, {"type": "error", "error": {"type": kind, "message": text}})


BILLING = [
    ("openai", "gpt-4.1", openai("insufficient_quota")),
    ("openai", "gpt-5.4", openai("credit_balance_exhausted")),
    ("openai", "gpt-4.1", openai("organization_spend_limit_exceeded", "rate_limit_error")),
    ("zai", "glm-4.7", zai("1113", "Insufficient balance or no resource package.")),
    (
        "anthropic",
        "claude-sonnet-4-6",
        anthropic(400, "invalid_request_error", "Your credit balance is too low to access the API"),
    ),
    ("gemini", "gemini-2.5-flash", Answer(402, {"error": {"code": 402, "message": "No credit"}})),
    (
        "openai-compatible",
        "qwen3:8b",
        Answer(402, {"error": {"code": 402, "message": "Insufficient credits"}}),
    ),
]


@pytest.mark.parametrize(("provider", "model", "answer"), BILLING)
async def test_an_account_without_money_is_left_alone_for_an_hour(
    tmp_path, provider, model, answer
):
    clock = Clock()
    people = (f"{provider}:ada", f"{provider}:grace")
    async with asking(tmp_path, *people, settings=IMPATIENT, clock=clock) as client:
        client.rig.places.play(provider, answer)
        first = await client.ask(model, "say hi")
        poor, rich = client.asked
        assert {poor, rich} == {"ada", "grace"}
        assert who(first) == rich
        for number in range(3):
            assert who(await client.ask(model, f"say {number}")) == rich
        row = model_row((await client.limits())[poor], model)
        assert row["state"] == "exhausted"
        assert seconds_until(row["limited_until"], clock) == pytest.approx(HOUR, abs=5)
        every = model_row((await client.limits())[poor], _other(provider))
        assert every["state"] == "exhausted", "money is the account's, not the model's"


def _other(provider: str) -> str:
    return {
        "openai": "gpt-4o",
        "zai": "glm-4.6",
        "anthropic": "claude-haiku-5-5",
        "gemini": "gemini-2.5-pro",
        "openai-compatible": "llama3.2:3b",
    }[provider]


async def test_alone_it_is_a_429_that_tells_clients_not_to_try_again(tmp_path):
    async with asking(tmp_path, "openai", settings=IMPATIENT) as client:
        client.rig.places.play("openai", openai("insufficient_quota"))
        answer = await client.ask("gpt-4.1")
        assert answer.status == 429
        assert answer.headers["x-should-retry"] == "false"
        assert int(answer.headers["retry-after"]) == pytest.approx(HOUR, abs=5)


async def test_a_crowded_zai_account_is_asked_one_question_at_a_time(tmp_path):
    async with asking(tmp_path, "zai") as client:
        together = await asyncio.gather(*(span_of(client, f"{n}") for n in range(3)))
        assert any(overlap(a, b) for a, b in combinations(together, 2))
        crowded = zai("1302", "High concurrency usage of this API, please reduce concurrency")
        client.rig.places.play("zai", crowded)
        assert (await client.ask("glm-4.7")).status == 200, "a moment later it is asked again"
        alone = await asyncio.gather(*(span_of(client, f"more {n}") for n in range(3)))
        assert not any(overlap(a, b) for a, b in combinations(alone, 2))


async def span_of(client: Asker, text: str) -> tuple[float, float]:
    """When the first and the last bytes of an answer of some 0.3 s came."""
    body = {
        "model": "glm-4.7",
        "max_tokens": 100,
        "stream": True,
        "messages": [{"role": "user", "content": f"events=10 pace=40 {text}"}],
    }
    async with client.http.post(client.rig.url + "/v1/messages", json=body) as response:
        assert response.status == 200
        await response.content.readany()
        began = time.monotonic()
        await response.read()
        return began, time.monotonic()


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    slack = 0.05
    return one[0] + slack < other[1] and other[0] + slack < one[1]


FAIR_USE = zai("1313", "Your account does not comply with the fair use policy.")
NO_CODEX = Answer(429, {"error": {"type": "usage_not_included", "message": "Upgrade to Plus"}})
NO_PLAN = zai("1309", "Your plan has expired")
CLOSED = anthropic(403, "permission_error", "Your organization has been disabled.")


@pytest.mark.parametrize(
    ("provider", "model", "answer", "words"),
    [
        ("zai", "glm-4.7", FAIR_USE, "fair use"),
        ("codex", "gpt-5.5", NO_CODEX, "does not include Codex"),
        ("anthropic", "claude-sonnet-4-6", CLOSED, "disabled"),
    ],
)
async def test_an_account_that_the_provider_closed_is_out_and_says_why(
    tmp_path, provider, model, answer, words
):
    async with asking(tmp_path, f"{provider}:ada", f"{provider}:grace") as client:
        client.rig.places.play(provider, answer)
        assert (await client.ask(model)).status == 200
        closed, open_ = client.asked
        for number in range(2):
            assert who(await client.ask(model, f"say {number}")) == open_
        row = (await client.limits())[closed]
        assert row["state"] == "invalid"
        assert words in row["reason"]
        client.rig.places.play(provider, answer)
        refused = await client.ask(model, "say last")
        assert refused.status == 503
        assert words in refused.message
        assert f"mcproxy accounts verify {closed}" in refused.message
        assert refused.headers["x-should-retry"] == "false"
        assert len(client.asked) == 5, "both are out: nobody is asked"


async def test_a_closed_account_stays_out_over_a_restart(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "zai", clock=clock) as client:
        places, (account,) = client.rig.places, client.rig.runtime.accounts
        places.play("zai", FAIR_USE)
        assert (await client.ask("glm-4.7")).status == 503
    async with asking(tmp_path, accounts=[account], clock=clock) as client:
        answer = await client.ask("glm-4.7")
        assert answer.status == 503
        assert "fair use" in answer.message
        assert client.asked == []


async def test_an_expired_plan_is_passed_over_without_being_closed(tmp_path):
    async with asking(tmp_path, "zai:ada", "zai:grace") as client:
        client.rig.places.play("zai", NO_PLAN)
        assert (await client.ask("glm-4.7")).status == 200
        passed, _ = client.asked
        assert (await client.limits())[passed]["state"] != "invalid"


@pytest.mark.parametrize("api", ["anthropic", "openai_chat", "openai_responses", "gemini"])
async def test_the_request_that_is_wrong_is_not_carried_around(tmp_path, api):
    async with asking(tmp_path, "anthropic:ada", "anthropic:grace") as client:
        wrong = anthropic(400, "invalid_request_error", "messages.0: something is wrong with it")
        client.rig.places.play("anthropic", wrong, times=2)
        answer = await client.ask("claude-sonnet-4-6", api=api)
        assert answer.status == 400
        assert "something is wrong" in answer.message
        # As it came it is tried once more rewritten, and by the same account.
        assert len(client.asked) == (2 if api == "anthropic" else 1)
        assert len(set(client.asked)) == 1
