"""What the server tells about itself: models, limits, token refreshes."""

import re
import time
from datetime import datetime
from urllib.parse import quote

import aiohttp
import pytest
from placed import placed
from served import CLAUDE, GEMINI, ONE, THINKER, TWO, serve, settings_with

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.providers import QuotaReading

ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def test_models_come_in_the_shape_of_the_client_that_asks(tmp_path):
    async with serve(tmp_path) as rig:
        as_openai = (await rig.call("GET", "/v1/models")).json
        as_anthropic = (await rig.call("GET", "/v1/models", None, ANTHROPIC)).json
        as_code = (await rig.call("GET", "/v1/models", None, {"User-Agent": "claude-cli/2"})).json
        row = {row["id"]: row for row in as_openai["data"]}[GEMINI]
        assert as_openai["object"] == "list"
        assert row["object"] == "model"
        assert row["owned_by"] == "antigravity"
        assert row["quota"]["remaining"] == 1
        assert row["quota"]["accounts"] == row["quota"]["ready"] == 2
        assert row["context_window"] == 1_048_576
        other = {row["id"]: row for row in as_anthropic["data"]}[GEMINI]
        assert other["type"] == "model"
        assert other["max_input_tokens"] == 1_048_576
        assert other["quota"]["remaining"] == 1
        shown = [row["id"] for row in as_code["data"]]
        assert shown[: len(as_anthropic["data"])] == [row["id"] for row in as_anthropic["data"]]
        assert f"claude/{GEMINI}" in shown, "its picker keeps only ids that begin like this"
        assert {row["id"] for row in as_openai["data"]} == {r["id"] for r in as_anthropic["data"]}
        assert not any("chat_20706" in row["id"] for row in as_openai["data"]), "internal"


async def test_both_sdks_can_list_and_page(tmp_path):
    async with serve(tmp_path) as rig, rig.anthropic() as claude, rig.openai() as openai:
        paged = [model.id async for model in claude.models.list(limit=3)]
        listed = [model.id async for model in openai.models.list()]
        assert paged == listed
        assert len(listed) > 10
        one = await claude.models.retrieve(GEMINI)
        assert one.display_name == "Gemini 3 Flash"
        assert (await openai.models.retrieve(GEMINI)).id == GEMINI
        page = (
            await rig.call("GET", f"/v1/models?before_id={listed[5]}&limit=2", None, ANTHROPIC)
        ).json
        assert [row["id"] for row in page["data"]] == listed[3:5]
        assert page["has_more"] is True


async def test_an_alias_is_listed_and_an_unknown_model_is_a_404(tmp_path):
    settings = settings_with(aliases={"quick": (GEMINI,), "gpt-*": (GEMINI,)})
    async with serve(tmp_path, settings=settings) as rig:
        ids = [row["id"] for row in (await rig.call("GET", "/v1/models")).json["data"]]
        assert "quick" in ids
        assert "gpt-*" not in ids
        assert (await rig.call("GET", "/v1/models/quick")).json["id"] == "quick"
        for name, found in (("quick[1m]", "quick"), (f"{CLAUDE}[1M]", CLAUDE)):
            one = await rig.call("GET", f"/v1/models/{quote(name)}", None, ANTHROPIC)
            assert one.json["id"] == found
        missing = await rig.call("GET", "/v1/models/no%2Fsuch", None, ANTHROPIC)
        assert missing.status == 404
        assert missing.json["error"]["type"] == "not_found_error"
        assert "no/such" in missing.message


NAMES = ("quick", "second", "there", "fast", "to-fast", "gpt-4o", "sonnet", f"antigravity/{GEMINI}")


async def test_whatever_can_be_asked_for_is_found_by_its_name(tmp_path):
    aliases = {
        "quick": (GEMINI,),
        "second": ("quick",),
        "there": (f"antigravity/{GEMINI}",),
        "to-fast": ("fast",),
        "gpt-4o*": (GEMINI,),
    }
    settings = settings_with(aliases=aliases, routes={"fast": ({"model": GEMINI},)})
    async with serve(tmp_path, settings=settings) as rig:
        for name in NAMES:
            assert (await rig.messages(model=name)).status == 200, name
            for path in ("v1", "v1beta"):
                one = await rig.call("GET", f"/{path}/models/{quote(name, safe='/')}")
                assert one.status == 200, (path, name)
            assert (await rig.call("GET", f"/v1/models/{quote(name)}")).json["id"] == name
        ids = [row["id"] for row in (await rig.call("GET", "/v1/models")).json["data"]]
        assert ids[-5:] == ["quick", "second", "there", "to-fast", "fast"]


async def test_models_are_listed_while_the_upstream_is_down(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(FaultKind.SERVER_ERROR, path="fetchAvailableModels", times=None))
        answer = await rig.call("GET", "/v1/models")
        assert GEMINI in {row["id"] for row in answer.json["data"]}
        assert (await rig.messages()).status == 200, "quota figures are no condition for serving"


async def test_limits_are_read_when_asked_for_and_then_remembered(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        rig.upstream.quota.set_left("ada", "claude", 0.4, time.time() + 3600)
        rig.upstream.quota.set_left("grace", "claude", 0, time.time() + 7200)
        report = (await rig.call("GET", "/account-limits")).json
        rows = {
            (account["id"], row["model"]): row
            for account in report["accounts"]
            for row in account["models"]
        }
        some = rows["ada", "claude-sonnet-4-6"]
        assert some["remaining"] == 0.4
        assert some["state"] == "ready"
        assert some["resets_at"].endswith("Z")
        none = rows["grace", "claude-sonnet-4-6"]
        assert none["remaining"] == 0
        assert none["state"] == "exhausted"
        assert rows["grace", GEMINI]["state"] == "ready"
        asked = len(rig.upstream.requests)
        await rig.call("GET", "/account-limits")
        assert len(rig.upstream.requests) == asked, "the figures are fresh"


async def test_limits_come_as_a_table_for_people(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        answer = await rig.call("GET", "/account-limits?format=table")
        assert answer.headers["Content-Type"].startswith("text/plain")
        first, *rows = answer.body.decode().splitlines()
        headings = ["ACCOUNT", "MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE"]
        assert re.split(r"\s{2,}", first) == headings
        assert any(row.split()[:4] == ["ada", GEMINI, "100%", "ready"] for row in rows)


async def test_limits_tell_when_the_last_hours_use_will_have_used_them_up(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        now = time.time()
        reset = now + 9000
        for minutes, claude in ((60, 1.0), (30, 0.8)):
            figures = [QuotaReading(CLAUDE, claude, reset), QuotaReading(GEMINI, 0.6, reset)]
            rig.runtime.ledger.observe_quota("ada", figures, now - minutes * 60, "quota poll")
        rig.upstream.quota.set_left("ada", "claude", 0.6, reset)
        rig.upstream.quota.set_left("ada", "gemini-flash", 0.6, reset)
        (account,) = (await rig.call("GET", "/account-limits")).json["accounts"]
        table = (await rig.call("GET", "/account-limits?format=table")).body.decode().splitlines()
    rows = {row["model"]: row for row in account["models"]}
    ends = datetime.fromisoformat(rows[CLAUDE]["runs_out_at"]).timestamp()
    assert ends == pytest.approx(now + 0.6 / 0.4 * 3600, abs=30)
    assert rows[CLAUDE]["used_per_hour"] == pytest.approx(0.4, abs=0.01)
    assert rows[CLAUDE]["lasts_until_reset"] is False
    idle = {"runs_out_at": None, "lasts_until_reset": True, "used_per_hour": 0}
    assert {name: rows[GEMINI][name] for name in idle} == idle
    unknown = dict.fromkeys(idle)
    assert {name: rows[THINKER][name] for name in idle} == unknown, "it was read once"
    line_of = {line.split()[1]: line for line in table}
    assert rows[CLAUDE]["runs_out_at"] in line_of[CLAUDE]
    assert "not before reset" in line_of[GEMINI]


async def test_tokens_are_refreshed_on_demand(tmp_path):
    async with serve(tmp_path, people=TWO) as rig:
        both = await rig.call("POST", "/refresh-token")
        assert both.status == 200
        assert [(row["id"], row["ok"]) for row in both.json["accounts"]] == [
            ("ada", True),
            ("grace", True),
        ]
        one = await rig.call("POST", "/refresh-token?account=grace")
        assert one.json["accounts"][0]["expires_at"].endswith("Z")
        assert rig.upstream.identity.refreshes == {"ada": 1, "grace": 2}
        unknown = await rig.call("POST", "/refresh-token?account=mallory")
        assert unknown.status == 404
        assert "mallory" in unknown.message


async def test_keys_have_nothing_to_refresh_and_are_no_failure(tmp_path):
    async with placed(tmp_path, "openai", "copilot") as rig, aiohttp.ClientSession() as http:
        async with http.post(f"{rig.url}/refresh-token") as answer:
            assert answer.status == 200
            rows = {row["id"]: row for row in (await answer.json())["accounts"]}
        assert rows["demo-openai"] == {"id": "demo-openai", "ok": True, "expires_at": None}
        assert rows["demo-copilot"]["expires_at"].endswith("Z")
        async with http.get(f"{rig.url}/health") as answer:
            assert (await answer.json())["accounts"]["invalid"] == 0


@pytest.mark.parametrize("again", [False, True])
async def test_a_refresh_that_is_refused_says_so_and_marks_the_account(tmp_path, again):
    async with serve(tmp_path, people=ONE) as rig:
        await rig.messages()
        rig.upstream.identity.revoke("ada")
        answer = await rig.call("POST", "/refresh-token")
        if again:
            answer = await rig.call("POST", "/refresh-token")
        assert answer.status == 502
        assert answer.json["accounts"][0]["ok"] is False
        assert "mcproxy accounts add" in answer.json["accounts"][0]["error"]
        assert (await rig.call("GET", "/health")).json["accounts"]["invalid"] == 1


@pytest.mark.parametrize("kind", [FaultKind.SUSPENDED, FaultKind.VERIFICATION])
async def test_a_refresh_brings_nobody_back_whom_only_its_provider_can_let_in(tmp_path, kind):
    async with serve(tmp_path, people=ONE) as rig:
        rig.upstream.play(Fault(kind))
        assert (await rig.messages()).status >= 400
        marked = (await rig.call("GET", "/account-limits")).json["accounts"]
        assert marked[0]["state"] == "invalid"
        assert (await rig.call("POST", "/refresh-token")).status == 200
        [found] = (await rig.call("GET", "/account-limits")).json["accounts"]
        del found["models"], marked[0]["models"]  # whose figures grow older
        assert found == marked[0]


async def test_tokens_are_counted_without_asking_anybody(tmp_path):
    async with serve(tmp_path) as rig, rig.anthropic() as client:
        messages = [{"role": "user", "content": "word " * 1000}]
        counted = await client.messages.count_tokens(model=GEMINI, messages=messages)
        assert 900 < counted.input_tokens < 3000
        assert not rig.upstream.requests
