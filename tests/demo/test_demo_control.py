"""The remote control over HTTP."""

import pytest
from demo_client import GEMINI, DemoClient, user

HELLO = {"contents": [user("hello")]}


async def control(client: DemoClient, document: dict) -> tuple[int, dict]:
    async with client.session.post(f"{client.upstream.url}/control", json=document) as response:
        return response.status, await response.json()


async def test_faults_are_queued_and_cleared(client):
    status, report = await control(client, {"faults": [{"kind": "quota", "account": "ada"}]})
    assert (status, report["faults"]) == (200, 1)
    assert (await client.refused(GEMINI, HELLO))[0] == 429
    await control(client, {"faults": [{"kind": "html"}, {"kind": "reset"}]})
    _, report = await control(client, {"clear": True, "faults": [{"kind": "server_error"}]})
    assert report["faults"] == 1
    assert (await client.refused(GEMINI, HELLO))[0] == 500


async def test_quota_is_set_and_reported(client):
    entry = {"account": "ada", "model": GEMINI, "remaining": 0, "resets_in": 900}
    _, report = await control(client, {"quota": [entry]})
    assert report["accounts"]["ada"]["quota"]["gemini-flash"] == 0
    assert report["accounts"]["grace"]["quota"]["gemini-flash"] == 1
    _, message = await client.refused(GEMINI, HELLO)
    assert message.endswith("reset after 15m0s.")


async def test_sign_ins_are_expired_and_revoked(client):
    await control(client, {"expire": ["ada"]})
    assert (await client.post("loadCodeAssist", {}))[0] == 401
    await client.sign_in("ada")
    await control(client, {"revoke": ["ada"]})
    status, answer = await client.refresh(client.upstream.refresh_token("ada"))
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_the_report_counts_refreshes(client):
    async with client.session.get(f"{client.upstream.url}/control") as response:
        report = await response.json()
    assert report["accounts"]["ada"]["refreshes"] == 1


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"fault": []}, "unknown field 'fault'"),
        ({"faults": [{"kind": "quake"}]}, "'quake' is not a valid FaultKind"),
        ({"quota": [{"account": "ada", "model": "m", "remaining": 0}]}, "unknown model 'm'"),
        ({"revoke": ["nobody"]}, "unknown account 'nobody'"),
    ],
)
async def test_a_wrong_document_changes_nothing(client, document, text):
    status, answer = await control(client, {"faults": [{"kind": "html"}], **document})
    assert status == 400
    assert text in answer["error"]["message"]
    assert len(client.upstream.faults) == 0
