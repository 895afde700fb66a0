"""Thought signatures: what is issued is taken back, anything else is not."""

import base64

import pytest
from demo_client import (
    CLAUDE,
    GEMINI,
    call,
    model_says,
    result,
    results,
    thinking,
    tools,
    user,
)
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.demo import signatures

SENTINEL = signatures.SENTINEL
OTHER_CLAUDE = "claude-sonnet-4-6"
ASK = user("What is the weather in Oslo?")


async def tool_loop(client, model, **changes):
    """A first turn that calls the tool, and the request that brings the result."""
    first = await client.generate(model, {"contents": [ASK], "tools": tools(), **thinking()})
    identifier = first.calls[0]["id"]
    contents = [ASK, first.turn, results(result(identifier))]
    return {"contents": contents, "tools": tools(), **thinking(), **changes}


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_a_tool_loop_with_its_own_signature_is_answered(client, model):
    second = await client.generate(model, await tool_loop(client, model))
    assert "“sunny”" in second.text


async def test_a_signature_is_good_for_other_accounts_and_models_of_the_family(client):
    request = await tool_loop(client, CLAUDE)
    await client.sign_in("grace")
    assert "sunny" in (await client.generate(OTHER_CLAUDE, request)).text


async def test_thinking_may_come_back_without_its_text(client):
    request = await tool_loop(client, CLAUDE)
    request["contents"][1]["parts"][0]["text"] = ""
    assert "sunny" in (await client.generate(CLAUDE, request)).text


async def test_changed_thinking_does_not_fit_its_signature(client):
    request = await tool_loop(client, CLAUDE)
    request["contents"][1]["parts"][0]["text"] += "!"
    status, message = await client.refused(CLAUDE, request)
    assert (status, message) == (
        400,
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    )


async def test_unsigned_thinking_is_refused(client):
    request = await tool_loop(client, CLAUDE)
    del request["contents"][1]["parts"][0]["thoughtSignature"]
    _, message = await client.refused(CLAUDE, request)
    assert message == "messages.1.content.0.thinking.signature: Field required"


@pytest.mark.parametrize("signature", [signatures.issue("gemini", "x"), SENTINEL, "A" * 80])
async def test_claude_takes_no_foreign_signature(client, signature):
    request = await tool_loop(client, CLAUDE)
    request["contents"][1]["parts"][0]["thoughtSignature"] = signature
    assert "Invalid `signature` in `thinking` block" in (await client.refused(CLAUDE, request))[1]


async def test_claude_takes_no_signature_beside_a_call(client):
    request = await tool_loop(client, CLAUDE)
    request["contents"][1]["parts"][-1]["thoughtSignature"] = SENTINEL
    assert "Extra inputs are not permitted" in (await client.refused(CLAUDE, request))[1]


async def test_thinking_in_an_open_loop_is_refused_when_thinking_is_off(client):
    request = await tool_loop(client, CLAUDE, generationConfig={"maxOutputTokens": 500})
    _, message = await client.refused(CLAUDE, request)
    assert "When `thinking` is disabled, an `assistant` message in the final position" in message


async def test_thinking_of_earlier_turns_is_no_matter_when_thinking_is_off(client):
    request = await tool_loop(client, CLAUDE, generationConfig={"maxOutputTokens": 500})
    request["contents"] += [model_says({"text": "Sunny."}), user("thanks")]
    assert (await client.generate(CLAUDE, request)).finish == "STOP"


async def test_a_call_of_gemini_3_needs_its_signature(client):
    request = await tool_loop(client, GEMINI)
    for part in request["contents"][1]["parts"]:
        part.pop("thoughtSignature", None)
    status, message = await client.refused(GEMINI, request)
    assert status == 400
    assert "missing a thought_signature in functionCall parts" in message
    assert "`default_api:get_weather` , position 1.0" in message


async def test_the_sentinel_stands_in_for_a_lost_signature_on_the_first_call_only(client):
    pair = [call(thoughtSignature=SENTINEL), call(identifier="toolu_2")]
    both = results(result(), result("toolu_2"))
    await client.generate(GEMINI, {"contents": [ASK, model_says(*pair), both]})
    pair[1]["thoughtSignature"] = SENTINEL
    _, message = await client.refused(GEMINI, {"contents": [ASK, model_says(*pair), both]})
    assert message == "Corrupted thought signature."


@pytest.mark.parametrize(
    "part",
    [
        call(thoughtSignature=signatures.issue("claude", "x")),
        call(thoughtSignature="A" * 80),
    ],
)
async def test_gemini_takes_no_foreign_signature(client, part):
    contents = [ASK, model_says(part), results(result())]
    assert (await client.refused(GEMINI, {"contents": contents}))[
        1
    ] == "Corrupted thought signature."


async def test_the_sentinel_is_not_for_text(client):
    contents = [ASK, model_says({"text": "a", "thoughtSignature": SENTINEL}), user("b")]
    assert (await client.refused(GEMINI, {"contents": contents}))[
        1
    ] == "Corrupted thought signature."


async def test_older_gemini_calls_need_no_signature(client):
    contents = [ASK, model_says(call()), results(result())]
    assert "sunny" in (await client.generate("gemini-2.5-flash", {"contents": contents})).text


@pytest.mark.parametrize(("family", "lead"), [("claude", "R"), ("gemini", "E")])
def test_signatures_look_like_the_familys_own(family, lead):
    signature = signatures.issue(family, "text")
    assert signature.startswith(lead)
    assert len(signature) >= 50


@given(st.text())
def test_a_signature_is_good_for_its_family_and_text_alone(text):
    signature = signatures.issue("claude", text)
    assert signatures.is_genuine(signature, "claude", text=text)
    assert not signatures.is_genuine(signature, "claude", text=text + "x")
    assert not signatures.is_genuine(signature, "gemini")


@given(st.data())
def test_any_changed_byte_shows(data):
    blob = bytearray(base64.b64decode(signatures.issue("gemini", "text")))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    assert not signatures.is_genuine(base64.b64encode(blob).decode(), "gemini")


@given(st.text(max_size=120), st.sampled_from(["claude", "gemini"]))
def test_what_was_not_issued_is_not_genuine(signature, family):
    assert not signatures.is_genuine(signature, family)
