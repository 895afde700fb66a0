"""What is written about a request: one line of facts, bodies only for `--debug`, secrets never."""

import logging
import re

import pytest
from served import GEMINI, ONE, TWO, serve, settings_with, until

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.server import access_log
from mcp_proxy.server.decisions import Decisions, Finished

ACCESS = "mcp_proxy.access"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == ACCESS]


async def test_a_request_is_one_line_with_all_facts(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    settings = settings_with(aliases={"quick": (GEMINI,)})
    async with serve(tmp_path, people=TWO, settings=settings) as rig:
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR))
        answer = await rig.messages("say one two", "quick", stream=True)
        await until(lambda: lines(caplog))
    [line] = lines(caplog)
    facts = dict(re.findall(r"(\w+)=(\S+)", line))
    assert line.startswith(f"{answer.headers['request-id']} POST /v1/messages 200 ")
    assert facts["dialect"] == "anthropic"
    assert facts["model"] == "quick"
    assert facts["served"] == GEMINI
    assert facts["by"] == f"antigravity/{answer.headers['x-mcproxy-account']}"
    assert facts["attempts"] == "2"
    assert facts["first"].endswith("ms")
    assert facts["total"].endswith("ms")
    assert int(facts["in"]) > 0
    assert int(facts["out"]) > 0
    assert facts["cached"] == "0"


async def test_what_a_client_sends_breaks_no_line_and_probes_are_quiet(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with serve(tmp_path) as rig:
        await rig.call("HEAD", "/")
        await rig.call("GET", "/health")
        await rig.messages(model="no\nsuch\x1b[31m\rmodel\u2028")
        await until(lambda: lines(caplog))
    [line] = lines(caplog)
    assert " 404 " in line
    assert line.isprintable()


@pytest.mark.parametrize("quoted", ['"{}"', '"{}', "`{}`"])
async def test_what_an_upstream_quotes_of_a_prompt_is_told_to_nobody_else(tmp_path, caplog, quoted):
    caplog.set_level(logging.INFO)
    prompt = r"my diary, in which I have written \"all\" of it down"
    text = "Invalid value at 'request.contents[0]': " + quoted.format(prompt)
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST, text=text))
        answer = await rig.messages()
        assert answer.status == 400
        assert "my diary" in answer.message, "whoever has asked may see it"
        await until(lambda: lines(caplog))
        await until(lambda: rig.runtime.state.items("decisions"))
        assert "diary" not in str(rig.runtime.state.items("decisions"))
    assert "diary" not in caplog.text
    assert "request.contents[0]" in lines(caplog)[0]


async def test_a_client_that_left_is_logged_as_gone(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with serve(tmp_path, people=ONE) as rig:
        response = await rig.http.post(
            f"{rig.url}/v1/messages",
            json={
                "model": GEMINI,
                "max_tokens": 9000,
                "stream": True,
                "messages": [{"role": "user", "content": "pace=20 events=500"}],
            },
        )
        await response.content.readany()
        response.close()
        await until(lambda: lines(caplog))
    assert " 499 " in lines(caplog)[0]


async def test_bodies_are_shown_for_debug_only_and_never_a_secret(tmp_path, caplog):
    text = "say the token ya29.abcdefghijklmnop and the key sk-ant-abcdefghijklmnop"
    async with serve(tmp_path, people=ONE) as rig:
        caplog.set_level(logging.INFO)
        await rig.messages("say nothing much")
        assert "nothing much" not in caplog.text
        caplog.set_level(logging.DEBUG)
        answer = await rig.post(
            "/v1/messages",
            {
                "model": GEMINI,
                "max_tokens": 500,
                "messages": [{"role": "user", "content": text}],
                "metadata": {"api_key": "a-very-secret-key"},
            },
            {"x-api-key": "the-clients-own-key"},
        )
        assert answer.status == 200
        secret = rig.upstream.refresh_token("ada")
    assert "say the token" in caplog.text
    for hidden in ("ya29.", "sk-ant-abc", "a-very-secret-key", "the-clients-own-key", secret):
        assert hidden not in caplog.text


async def test_nobody_is_said_to_have_served_an_answer_that_broke_each_time(tmp_path, monkeypatch):
    told: list[Finished] = []
    monkeypatch.setattr(Decisions, "keep", lambda _self, finished: told.extend(finished))
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.NO_FINISH, after=1, times=None))
        assert (await rig.messages("tell me a long story")).status == 502
        await until(lambda: told)
    [facts] = map(access_log.facts, told)
    assert (facts.served, facts.first_ms, facts.attempts) == (None, None, 3)
