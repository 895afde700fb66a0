"""`mcproxy explain` over requests that a real server has answered."""

import json

import aiohttp
import pytest

from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.faults import Fault, FaultKind

CANARY = "canary-in-the-prompt"


@pytest.fixture
async def asked(cli, home):
    """Three requests: answered at once, by the second account, and not at all. Their ids."""
    ids = []
    async with DemoUpstream() as upstream:
        home.sign_in(upstream)
        async with cli.serve() as url, aiohttp.ClientSession() as http:
            for model, fault in (
                ("claude-sonnet-4-6", None),
                ("gemini-3-flash", Fault(FaultKind.QUOTA, account="ada", seconds=900)),
                ("no-such-model", None),
            ):
                if fault is not None:
                    upstream.play(fault)
                body = {
                    "model": model,
                    "max_tokens": 100,
                    "messages": [{"role": "user", "content": f"say hi {CANARY}"}],
                }
                async with http.post(f"{url}/v1/messages", json=body) as answer:
                    ids.append(answer.headers["request-id"])
                    await answer.read()
            yield ids, url


async def explained(cli, *arguments: str) -> list[dict]:
    ran = await cli.beside("explain", "--json", *arguments)
    assert ran.code == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["schema"] == "mcproxy.explain/1"
    assert CANARY not in ran.stdout, "bodies are never kept"
    return result["requests"]


async def test_a_request_is_told_from_the_name_to_the_milliseconds(cli, asked):
    (first, _, _), _ = asked
    # On disk within two seconds, as everything else that a running server knows.
    (row,) = await until_kept(cli, first)
    assert row["id"] == first
    assert row["leads_to"] == ["claude-sonnet-4-6"]
    assert [each["account"] for each in row["considered"]] == ["ada", "grace"]
    assert [(step["kind"], step["result"]) for step in row["steps"]] == [
        ("refresh", "refreshed"),
        ("attempt", "answered"),
    ]
    shares = sum(step["ms"] for step in row["steps"])
    assert shares <= row["ms"]["total"] + 0.1, "no time is told twice"
    assert "got a new access token first" in (await cli.beside("explain", first)).stdout
    assert row["status"] == 200
    assert row["usage"]["output"] > 0
    assert 0 <= row["ms"]["own"] <= row["ms"]["first"] <= row["ms"]["total"]


async def test_what_was_answered_a_moment_ago_is_there(cli, asked):
    (_, _, third), _ = asked
    (row,) = await explained(cli)
    assert row["id"] == third


async def until_kept(cli, request_id: str) -> list[dict]:
    for _ in range(20):
        ran = await cli.beside("explain", "--json", request_id)
        if ran.code == 0:
            return await explained(cli, request_id)
    raise AssertionError(ran.stderr)


async def test_a_fail_over_names_who_was_asked_first_and_why_not_again(cli, asked):
    (_, second, _), _ = asked
    (row,) = await until_kept(cli, second)
    attempts = [
        (step["account"], step["result"]) for step in row["steps"] if step["kind"] == "attempt"
    ]
    assert attempts[-1][1] == "answered"
    if attempts[0][0] == "ada":
        assert attempts == [("ada", "quota"), ("grace", "answered")]
        ada = next(each for each in row["considered"] if each["account"] == "ada")
        assert ada["why_not"].startswith("limited for")
        ran = await cli.beside("explain", second)
        assert "ada quota" in ran.stdout
        assert "grace answered" in ran.stdout


async def test_the_latest_come_a_line_each_and_one_by_the_beginning_of_its_id(cli, asked):
    (first, second, third), _ = asked
    await until_kept(cli, third)
    listed = [row["id"] for row in await explained(cli, "--last", "5")]
    assert listed == [first, second, third]
    (row,) = await explained(cli)
    assert row["id"] == third
    (row,) = await explained(cli, first.removeprefix("req_")[:12])
    assert row["id"] == first
    table = (await cli.beside("explain", "--last", "5")).stdout
    assert first in table


async def test_a_name_that_leads_nowhere_is_explained_too(cli, asked):
    (_, _, third), _ = asked
    (row,) = await until_kept(cli, third)
    assert (row["asked"], row["status"]) == ("no-such-model", 404)
    assert (row["leads_to"], row["considered"], row["steps"]) == ([], [], [])
    assert "no-such-model" in row["error"]
    told = (await cli.beside("explain", third)).stdout
    assert "404, nobody" in told


async def test_an_id_that_was_mistyped_is_told_the_nearest(cli, asked):
    (first, _, _), _ = asked
    await until_kept(cli, first)
    ran = await cli.beside("explain", first[:-1] + ("0" if first[-1] != "0" else "1"))
    assert ran.code == 1
    assert "Did you mean" in ran.stderr
    assert first in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 1, "no request for a model has been answered yet"),
        (("req_none",), 1, "explain --last 20"),
        (("req_none", "--last", "3"), 2, "exclude each other"),
    ],
)
def test_what_cannot_be_explained_is_said(cli, arguments, code, told):
    ran = cli("explain", *arguments)
    assert ran.code == code
    assert told in ran.stderr
