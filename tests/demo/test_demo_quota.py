"""Quota falls in steps, is gone, and comes back."""

from demo_client import CLAUDE, GEMINI, DemoClient, demo_client, user

from mcp_proxy.demo import DemoAccount

HELLO = {"contents": [user("hello")]}


async def quota_of(client: DemoClient, model: str) -> dict:
    _, answer = await client.post("fetchAvailableModels", {"project": "demo-project-ada"})
    return answer["models"][model]["quotaInfo"]


async def test_a_bucket_falls_in_fifths_and_the_figure_vanishes_at_zero():
    async with demo_client([DemoAccount("ada", calls={"gemini-flash": 5})]) as client:
        seen = [(await quota_of(client, GEMINI)).get("remainingFraction")]
        for _ in range(5):
            await client.generate(GEMINI, HELLO)
            seen.append((await quota_of(client, GEMINI)).get("remainingFraction"))
    assert seen == [1.0, 0.8, 0.6, 0.4, 0.2, None]


async def test_an_empty_bucket_answers_429_with_the_time_of_its_reset():
    async with demo_client([DemoAccount("ada", calls={"gemini-flash": 1})]) as client:
        await client.generate(GEMINI, HELLO)
        client.clock.move(1800)
        body = client.envelope(GEMINI, HELLO)
        status, answer = await client.post("streamGenerateContent", body)
        error = answer["error"]
        assert (status, error["status"]) == (429, "RESOURCE_EXHAUSTED")
        info, retry = error["details"]
        assert info["reason"] == "QUOTA_EXHAUSTED"
        assert info["metadata"]["model"] == GEMINI
        assert info["metadata"]["quotaResetDelay"] == "4h30m0s"
        assert retry["retryDelay"] == "16200s"
        assert (await quota_of(client, GEMINI))["resetTime"] == "2027-01-15T13:00:00Z"


async def test_a_bucket_is_full_again_after_its_window():
    async with demo_client([DemoAccount("ada", calls={"gemini-flash": 1})]) as client:
        await client.generate(GEMINI, HELLO)
        client.clock.move(5 * 3600)
        await client.sign_in("ada")
        assert (await quota_of(client, GEMINI))["remainingFraction"] == 1.0
        await client.generate(GEMINI, HELLO)


async def test_models_of_one_bucket_fall_together_and_others_stay(client):
    client.upstream.quota.set_left("ada", "claude", 0.0, client.clock() + 60)
    assert "remainingFraction" not in await quota_of(client, CLAUDE)
    assert "remainingFraction" not in await quota_of(client, "gpt-oss-120b-medium")
    assert (await quota_of(client, GEMINI))["remainingFraction"] == 1.0


async def test_accounts_have_their_own_quota(client):
    client.upstream.quota.set_left("ada", "gemini-flash", 0.0, client.clock() + 60)
    assert (await client.refused(GEMINI, HELLO))[0] == 429
    await client.sign_in("grace")
    await client.generate(GEMINI, HELLO)


async def test_without_the_project_every_figure_reads_full(client):
    client.upstream.quota.set_left("ada", "gemini-flash", 0.2, client.clock() + 60)
    _, answer = await client.post("fetchAvailableModels", {})
    assert answer["models"][GEMINI]["quotaInfo"]["remainingFraction"] == 1.0


async def test_a_refused_request_costs_nothing():
    async with demo_client([DemoAccount("ada", calls={"gemini-flash": 1})]) as client:
        assert (await client.refused(GEMINI, {"contents": []}))[0] == 400
        await client.generate(GEMINI, HELLO)


async def test_the_listing_has_internal_models_and_those_that_search(client):
    _, answer = await client.post("fetchAvailableModels", {})
    assert {"chat_20706", "tab_flash_lite_preview"} <= answer["models"].keys()
    assert answer["webSearchModelIds"]
    assert answer["models"][CLAUDE]["displayName"] == "Claude Opus 4.6 (Thinking)"
