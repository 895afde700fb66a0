"""Every fault, as a client of the upstream sees it on the wire."""

import asyncio

import aiohttp
import orjson
import pytest
from demo_client import GEMINI, DemoClient, Streamed, user

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.demo.faults import FaultQueue, read_fault

HELLO = {"contents": [user("events=5")]}


async def body_of(client: DemoClient) -> bytes:
    status, body = await client.raw(client.envelope(GEMINI, HELLO))
    assert status == 200
    return body


async def error_of(client: DemoClient) -> tuple[int, dict]:
    status, body = await client.raw(client.envelope(GEMINI, HELLO))
    return status, orjson.loads(body)["error"]


LIMITS = [
    (Fault(FaultKind.RATE_LIMIT), "RATE_LIMIT_EXCEEDED", "479.417207ms", "0.479417207s", "0s"),
    (Fault(FaultKind.QUOTA), "QUOTA_EXHAUSTED", "1h43m33.5s", "6213.5s", "1h43m33s"),
    (Fault(FaultKind.RATE_LIMIT, seconds=5), "RATE_LIMIT_EXCEEDED", "5s", "5s", "5s"),
]


@pytest.mark.parametrize(("fault", "reason", "delay", "retry", "told"), LIMITS)
async def test_a_limit_says_how_long_in_every_form(client, fault, reason, delay, retry, told):
    client.upstream.play(fault)
    status, error = await error_of(client)
    assert (status, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    assert error["message"].endswith(f"Your quota will reset after {told}.")
    info, retry_info = error["details"]
    assert info["reason"] == reason
    assert info["metadata"]["quotaResetDelay"] == delay
    assert retry_info == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": retry,
    }


REFUSALS = [
    (Fault(FaultKind.GENERIC_LIMIT), 429, "Resource has been exhausted (e.g. check quota)."),
    (Fault(FaultKind.CAPACITY), 503, f"No capacity available for model {GEMINI} on the server"),
    (Fault(FaultKind.CAPACITY, status=529), 529, "No capacity available"),
    (Fault(FaultKind.VERIFICATION), 403, "VALIDATION_REQUIRED"),
    (Fault(FaultKind.SUSPENDED), 403, "has been disabled in this account for violation of Terms"),
    (Fault(FaultKind.CREDITS), 429, "Insufficient Google One AI credits"),
    (Fault(FaultKind.PROJECT), 404, "Requested entity was not found."),
    (Fault(FaultKind.BAD_REQUEST, text="no"), 400, "no"),
    (Fault(FaultKind.UNAUTHORIZED), 401, "invalid authentication credentials"),
    (Fault(FaultKind.SERVER_ERROR), 500, "Internal error encountered."),
]


@pytest.mark.parametrize(("fault", "status", "text"), REFUSALS, ids=lambda value: str(value)[:30])
async def test_a_refusal_is_played_once_and_the_next_call_is_answered(client, fault, status, text):
    client.upstream.play(fault)
    seen, error = await error_of(client)
    assert seen == status
    assert text in error["message"]
    assert Streamed(await body_of(client)).finish == "STOP"


async def test_details_carry_what_a_client_must_read(client):
    client.upstream.play(
        Fault(FaultKind.VERIFICATION, url="https://example.com/verify"),
        Fault(FaultKind.CAPACITY),
        Fault(FaultKind.CREDITS),
    )
    details = [(await error_of(client))[1]["details"][0] for _ in range(3)]
    assert details[0]["metadata"]["validation_url"] == "https://example.com/verify"
    assert details[1]["reason"] == "MODEL_CAPACITY_EXHAUSTED"
    assert details[2]["reason"] == "INSUFFICIENT_G1_CREDITS_BALANCE"


async def test_headers_can_be_added_to_a_refusal(client):
    client.upstream.play(Fault(FaultKind.GENERIC_LIMIT, headers={"retry-after": "7"}))
    url = f"{client.upstream.url}/v1internal:streamGenerateContent"
    body = client.envelope(GEMINI, HELLO)
    async with client.session.post(url, json=body, headers=client.headers) as response:
        assert response.headers["retry-after"] == "7"


async def test_an_html_page_comes_instead_of_json(client):
    client.upstream.play(Fault(FaultKind.HTML, status=502))
    status, body = await client.raw(client.envelope(GEMINI, HELLO))
    assert status == 502
    assert body.startswith(b"<!DOCTYPE html>")


async def test_the_connection_is_reset_before_the_headers(client):
    # Two: aiohttp's client repeats a request once when a kept connection turns out to be dead.
    client.upstream.play(Fault(FaultKind.RESET, times=2))
    with pytest.raises(aiohttp.ClientOSError):
        await body_of(client)


async def test_the_connection_is_reset_in_the_middle(client):
    client.upstream.play(Fault(FaultKind.CUT, after=2))
    url = f"{client.upstream.url}/v1internal:streamGenerateContent"
    body = client.envelope(GEMINI, HELLO)
    async with client.session.post(url, json=body, headers=client.headers) as response:
        seen = await response.content.readany()
        with pytest.raises(aiohttp.ClientError):
            await response.content.readany()
    assert seen.count(b"data: ") == 2


async def test_a_stream_ends_cleanly_without_a_finish_reason(client):
    client.upstream.play(Fault(FaultKind.NO_FINISH, after=3))
    body = await body_of(client)
    assert body.count(b"data: ") == 3
    assert b"finishReason" not in body


@pytest.mark.parametrize("after", [0, 2])
async def test_an_error_comes_inside_a_200(client, after):
    client.upstream.play(Fault(FaultKind.ERROR_INSIDE, after=after))
    records = (await body_of(client)).split(b"\n\n")[:-1]
    assert len(records) == after + 1
    assert orjson.loads(records[-1].removeprefix(b"data: "))["error"]["code"] == 429


async def test_an_error_inside_may_have_another_code(client):
    client.upstream.play(Fault(FaultKind.ERROR_INSIDE, after=0, status=503, text="overloaded"))
    error = orjson.loads((await body_of(client)).removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == (503, "overloaded")


async def test_nothing_and_empty_are_a_200_without_content(client):
    client.upstream.play(Fault(FaultKind.NOTHING), Fault(FaultKind.EMPTY))
    assert await body_of(client) == b""
    empty = Streamed(await body_of(client))
    assert (empty.text, empty.calls, empty.finish) == ("", [], "STOP")


async def test_one_record_is_not_json(client):
    client.upstream.play(Fault(FaultKind.GARBAGE, after=1))
    records = (await body_of(client)).split(b"\n\n")[:-1]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(records[1].removeprefix(b"data: "))
    assert len(records) == 7


async def test_the_records_may_come_as_one_json_array(client):
    client.upstream.play(Fault(FaultKind.WHOLE))
    url = f"{client.upstream.url}/v1internal:streamGenerateContent"
    body = client.envelope(GEMINI, HELLO)
    async with client.session.post(url, json=body, headers=client.headers) as response:
        assert response.content_type == "application/json"
        records = await response.json()
    assert len(records) == 6
    assert records[-1]["response"]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "SAFETY", "RECITATION"])
async def test_an_answer_may_end_for_a_reason_and_without_content(client, reason):
    client.upstream.play(Fault(FaultKind.FINISH, reason=reason))
    said = Streamed(await body_of(client))
    assert (said.text, said.finish) == ("", reason)


async def test_a_storm_of_tool_calls(client):
    client.upstream.play(Fault(FaultKind.TOOL_STORM, count=40))
    said = Streamed(await body_of(client))
    assert len({c["id"] for c in said.calls}) == 40


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.STALL])
async def test_silence_lasts_as_long_as_it_is_told(client, kind):
    client.upstream.play(Fault(kind, seconds=30), Fault(kind, seconds=0.01))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(body_of(client), 0.05)
    assert Streamed(await body_of(client)).finish == "STOP"


async def test_a_stall_comes_after_the_records_that_it_names(client):
    client.upstream.play(Fault(FaultKind.STALL, after=2, seconds=30))
    url = f"{client.upstream.url}/v1internal:streamGenerateContent"
    body = client.envelope(GEMINI, HELLO)
    seen = b""
    async with client.session.post(url, json=body, headers=client.headers) as response:
        while seen.count(b"\n\n") < 2:
            seen += await response.content.readany()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.02)
    assert seen.count(b"data: ") == 2


async def test_a_stream_may_be_paced(client):
    client.upstream.play(Fault(FaultKind.SHAPE, pace=200))
    started = asyncio.get_running_loop().time()
    await body_of(client)
    assert asyncio.get_running_loop().time() - started >= 0.025


async def test_bytes_may_be_cut_anywhere_without_changing_the_answer(client):
    client.upstream.play(Fault(FaultKind.SHAPE, sizes=(1, 7, 64)))
    said = Streamed(await body_of(client))
    assert said.text == "".join(f"event {n} of 5. " for n in range(1, 6))


async def test_lines_may_end_in_crlf_and_the_last_record_without_its_blank_line(client):
    client.upstream.play(Fault(FaultKind.SHAPE, crlf=True, bare_end=True))
    body = await body_of(client)
    assert body.count(b"\r\n\r\n") == 5
    assert body.endswith(b"}")


async def test_manner_and_fault_go_together(client):
    client.upstream.play(Fault(FaultKind.NO_FINISH, after=2, crlf=True))
    assert (await body_of(client)).count(b"\r\n\r\n") == 2


async def test_faults_wait_for_their_account_model_and_path(client):
    client.upstream.play(
        Fault(FaultKind.SERVER_ERROR, account="grace"),
        Fault(FaultKind.SERVER_ERROR, model="gemini-3-pro-high"),
        Fault(FaultKind.HTML, path="/daily/"),
    )
    assert Streamed(await body_of(client)).finish == "STOP"
    status, _ = await client.raw(client.envelope(GEMINI, HELLO), prefix="/daily")
    assert status == 503
    await client.sign_in("grace")
    assert (await error_of(client))[0] == 500
    assert len(client.upstream.faults) == 1


async def test_other_endpoints_fail_on_demand_too(client):
    client.upstream.play(
        Fault(FaultKind.HTML, path="/token"),
        Fault(FaultKind.SERVER_ERROR, path="fetchAvailableModels"),
    )
    form = {"grant_type": "refresh_token"}
    async with client.session.post(f"{client.upstream.url}/token", data=form) as response:
        assert response.status == 503
    assert (await client.post("fetchAvailableModels", {}))[0] == 500


async def test_a_fault_of_the_token_endpoint_can_be_meant_for_one_account(client):
    client.upstream.play(Fault(FaultKind.SERVER_ERROR, path="/token", account="grace"))
    assert (await client.refresh(client.upstream.refresh_token("ada")))[0] == 200
    assert (await client.refresh(client.upstream.refresh_token("grace")))[0] == 500


async def test_a_prompt_can_ask_for_its_own_fault(client):
    request = {"contents": [user("hello fault=capacity")]}
    for _ in range(2):
        assert (await client.refused(GEMINI, request))[0] == 503
    said = await client.say(GEMINI, "hello fault=unknown")
    assert said.finish == "STOP"


def test_a_fault_is_used_up_by_as_many_calls_as_it_says():
    queue = FaultQueue()
    queue.put(Fault(FaultKind.QUOTA, times=2))
    queue.put(Fault(FaultKind.HTML, times=None))
    kinds = [queue.take("/v1internal:streamGenerateContent", "a", "m") for _ in range(4)]
    assert [fault.kind for fault in kinds if fault] == ["quota", "quota", "html", "html"]
    queue.clear()
    assert queue.take("/v1internal:streamGenerateContent", "a", "m") is None


def test_a_fault_can_be_read_from_json():
    assert read_fault({"kind": "cut", "after": 3, "sizes": [1, 2]}) == Fault(
        FaultKind.CUT, after=3, sizes=(1, 2)
    )


@pytest.mark.parametrize("document", [{"kind": "quake"}, {}, {"kind": "cut", "depth": 3}])
def test_a_fault_that_does_not_exist_is_refused(document):
    with pytest.raises(ValueError):
        read_fault(document)
