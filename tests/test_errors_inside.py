"""An error inside a 200 teaches what the same error teaches as a status, and tells no more."""

import asyncio
import contextlib
import json
import logging

import pytest
from served import ONE, message_body, serve, until
from test_forwarding import MODELS, forwarding

from mcp_proxy.demo import Fault, FaultKind

KEY = "sk-own-key"
"""The rig's, and of no shape by which keys are known."""
QUOTES_KEY = json.dumps({"error": {"message": f"no such key: {KEY}"}}).encode()
BEGUN = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"llama",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}'
    b"\n\n"
)
CROWDED = json.dumps({"error": {"code": "1302", "message": "High concurrency usage"}}).encode()


@pytest.mark.parametrize(
    "fault",
    [Fault(FaultKind.UNAUTHORIZED), Fault(FaultKind.ERROR_INSIDE, status=401, after=0)],
    ids=["status", "inside"],
)
async def test_a_refused_token_is_not_sent_again(tmp_path, fault):
    async with serve(tmp_path, people=ONE) as rig:
        assert (await rig.messages()).status == 200
        rig.upstream.play(fault)
        assert (await rig.messages()).status == 200
        assert rig.upstream.identity.refreshes["ada"] == 2


async def test_a_token_of_a_revoked_sign_in_is_not_sent_again_once_that_is_mended(tmp_path):
    text = "Token has been expired or revoked."
    async with serve(tmp_path, people=ONE) as rig:
        assert (await rig.messages()).status == 200
        rig.upstream.play(Fault(FaultKind.ERROR_INSIDE, status=401, after=0, text=text))
        assert (await rig.messages()).status == 503
        assert rig.upstream.identity.refreshes["ada"] == 1, "its owner has to sign in anew"
        rig.runtime.ledger.clear_mark("ada")
        assert (await rig.messages()).status == 200
        assert rig.upstream.identity.refreshes["ada"] == 2


@pytest.mark.parametrize("status", [429, 200])
async def test_a_crowded_account_gets_one_call_at_a_time(tmp_path, monkeypatch, status):
    monkeypatch.setitem(MODELS, "zai", "glm-4.6")
    answer = {"answer": CROWDED, "status": status, "content_type": "application/json"}
    async with forwarding(tmp_path, "zai", **answer) as rig:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await rig.http.post(f"{rig.url}/v1/messages", json=message_body("hi", "alias"))
        assert rig.runtime.gates.enter_now("one")
        assert not rig.runtime.gates.enter_now("one")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, QUOTES_KEY),
        (200, QUOTES_KEY),
        (200, b"data: %b\n\n" % QUOTES_KEY),
        (200, BEGUN + b"data: %b\n\n" % QUOTES_KEY),
    ],
    ids=["status", "document", "first", "after content"],
)
async def test_a_key_that_is_quoted_is_told_to_nobody(tmp_path, caplog, status, answer):
    caplog.set_level(logging.INFO)
    kind = "application/json" if answer == QUOTES_KEY else "text/event-stream"
    told = {"answer": answer, "status": status, "content_type": kind, "cut": 10_000}
    async with forwarding(tmp_path, "openai-compatible", **told) as rig:
        body = message_body("hi", "alias", stream=True)
        async with rig.http.post(f"{rig.url}/v1/messages", json=body) as response:
            heard = await response.read()
        await until(lambda: rig.runtime.state.items("decisions"))
        rows = rig.runtime.state.items("decisions")
    for each in (heard.decode(), caplog.text, json.dumps(rows)):
        assert "no such key" in each
        assert KEY not in each
