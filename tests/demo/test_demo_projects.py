"""Projects and tiers: loadCodeAssist, onboardUser and what a wrong project earns."""

import pytest
from demo_client import GEMINI, demo_client, user

from mcp_proxy.demo import DemoAccount

HELLO = {"contents": [user("hello")]}


async def test_an_account_is_told_its_project_and_tier(client):
    _, answer = await client.post("loadCodeAssist", {"metadata": {"ideType": "ANTIGRAVITY"}})
    assert answer["cloudaicompanionProject"] == "demo-project-ada"
    assert answer["currentTier"] == {"id": "free-tier"}
    assert answer["allowedTiers"][0]["isDefault"] is True
    assert "paidTier" not in answer


async def test_a_project_may_come_as_an_object_and_a_paid_tier_beside_the_current_one():
    account = DemoAccount("ada", project="own", project_as_object=True, paid_tier="g1-pro-tier")
    async with demo_client([account]) as client:
        _, answer = await client.post("loadCodeAssist", {})
    assert answer["cloudaicompanionProject"] == {"id": "own"}
    assert answer["paidTier"] == {"id": "g1-pro-tier"}


async def test_a_new_account_has_its_project_only_after_onboarding():
    async with demo_client([DemoAccount("new", onboarded=False, polls=2)]) as client:
        assert "cloudaicompanionProject" not in (await client.post("loadCodeAssist", {}))[1]
        assert (await client.refused(GEMINI, HELLO))[0] == 403
        body = {"tierId": "free-tier", "metadata": {"ideType": "ANTIGRAVITY"}}
        assert (await client.post("onboardUser", body))[1]["done"] is False
        _, done = await client.post("onboardUser", {"tier_id": "free-tier"})
        assert done["response"] == {"cloudaicompanionProject": {"id": "demo-project-new"}}
        assert (await client.generate(GEMINI, HELLO)).finish == "STOP"


@pytest.mark.parametrize(
    "body",
    [
        {"tierId": "free-tier", "cloudaicompanionProject": "p"},
        {"tierId": "g1-pro-tier"},
        {"metadata": {}},
    ],
)
async def test_onboarding_refuses_what_the_real_one_refuses(client, body):
    assert (await client.post("onboardUser", body))[0] == 400


async def test_an_unknown_project_is_a_404_that_names_it(client):
    status, answer = await client.post(
        "streamGenerateContent", client.envelope(GEMINI, HELLO, project="typo")
    )
    assert status == 404
    assert answer["error"]["details"][0]["resourceName"] == "projects/typo"


@pytest.mark.parametrize("project", ["demo-project-grace", "rising-fact-p41fc"])
async def test_somebody_elses_project_is_denied(client, project):
    status, message = await client.refused(GEMINI, HELLO, project=project)
    assert status == 403
    assert "cloudaicompanion.companions.generateChat" in message


async def test_every_api_path_is_served_below_a_host_name_too(client):
    status, _ = await client.raw(client.envelope(GEMINI, HELLO), prefix="/daily")
    assert status == 200
    assert client.upstream.requests[-1].path.startswith("/daily/v1internal:")


async def test_calls_are_recorded_with_account_headers_and_body(client):
    await client.generate(GEMINI, HELLO)
    recorded = client.upstream.requests[-1]
    assert recorded.account == "ada"
    assert recorded.headers["User-Agent"].startswith("antigravity/")
    assert recorded.body["request"] == HELLO


async def test_recording_can_be_switched_off():
    async with demo_client(records_calls=False) as client:
        await client.generate(GEMINI, HELLO)
        assert not client.upstream.requests
