"""The 66 known pitfalls of the Cloud Code upstream (protocols/cloudcode.md section 9), one by one.

A test is named for its number; those whose proof lives beside the code they concern are listed in
ELSEWHERE, and the last test sees to it that no number is missing.
"""

import platform
import re
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from playbook import (
    OPUS,
    capacity,
    fault,
    needs_owner,
    opus_limited_until,
    plan,
    play,
    quota,
    rate,
)

from mcp_proxy.account import Account, Secret
from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    Conversation,
    Media,
    Message,
    Part,
    Reasoning,
    Sampling,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.dialects import client_dialect
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.dialects.gemini.contents import SENTINEL
from mcp_proxy.dialects.retry_headers import retry_headers
from mcp_proxy.errors import ErrorKind, Failure, FailureKind, ProxyError
from mcp_proxy.events import (
    Event,
    Finished,
    Reply,
    Stop,
    UpstreamBroke,
    Usage,
    UsageSeen,
    fold,
    unfold,
)
from mcp_proxy.policy.limit_signals import classify
from mcp_proxy.policy.models import info
from mcp_proxy.policy.repair import repair
from mcp_proxy.policy.routes import Directory, Routing, resolve
from mcp_proxy.policy.seals import SealCollector, StoredSeals, settle
from mcp_proxy.providers import Ask, ProviderSettings
from mcp_proxy.providers.antigravity import PROVIDER
from mcp_proxy.providers.google_answers import read_models
from mcp_proxy.sse import SseReader

ELSEWHERE = {
    52: "store/test_account_file.py, store/test_account_races.py: replace writes under a lock",
    53: "store/test_tokens_and_locks.py: one refresh at a time across processes",
    55: "signin/test_loopback.py, signin/test_google_sign_in.py: free ports and pasted addresses",
}
"""Number -> the tests that prove it, under tests/, and what they prove."""

NOW = 1_776_676_789.0
CLAUDE = OPUS
GEMINI = "gemini-3-flash"
GEMINI_25 = "gemini-2.5-flash"
PNG = "iVBORw0KGgo="
ACCOUNT = Account("a", "antigravity")
TOKEN = Secret("token")
DEFAULTS = ProviderSettings()
SEALED = Thinking("hm", Seal("claude", "s" * 60))


def user(*parts: Part) -> Message:
    return Message("user", parts)


def says(*parts: Part) -> Message:
    return Message("assistant", parts)


def talk(*messages: Message, **fields: Any) -> Conversation:
    return Conversation("anthropic", "m", messages or (user(Text("hi")),), **fields)


def rendered(conversation: Conversation, model: str = CLAUDE) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(
        orjson.dumps(UPSTREAM.render_request(conversation, info(model)))
    )
    return found


def parts(*messages: Message, model: str = CLAUDE, **fields: Any) -> list[list[dict[str, Any]]]:
    """The parts of every content."""
    contents = rendered(talk(*messages, **fields), model)["contents"]
    return [content["parts"] for content in contents]


def parameters(schema: dict[str, Any], model: str = CLAUDE) -> dict[str, Any]:
    request = rendered(talk(tools=(Tool("f", "", schema),)), model)
    found: dict[str, Any] = request["tools"][0]["functionDeclarations"][0]["parameters"]
    return found


def sent(conversation: Conversation, model: str = CLAUDE, **fields: Any) -> Any:
    ask = Ask(
        account=ACCOUNT,
        token=TOKEN,
        model=info(model),
        dialect="gemini",
        conversation=conversation,
        identity=conversation.identity(),
        host="https://h",
        settings=fields.get("settings", DEFAULTS),
        project=fields.get("project", "p"),
    )
    return PROVIDER.build_call(UPSTREAM.render_request(conversation, info(model)), ask)


def record(*given: dict[str, Any], reason: str | None = None, usage: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {"candidates": [{"content": {"parts": list(given)}}]}
    if reason is not None:
        found["candidates"][0]["finishReason"] = reason
    if usage is not None:
        found["usageMetadata"] = usage
    return found


def events(*records: dict[str, Any], model: str = CLAUDE, **fields: Any) -> list[Event]:
    found: list[Event] = []
    parser = UPSTREAM.stream_parser(talk(**fields), info(model))
    for each in records:
        parser.feed(each, found)
    parser.close(found)
    return found


def reply(*given: dict[str, Any], model: str = CLAUDE, **fields: Any) -> Reply:
    records = [record(part) for part in given]
    return fold(events(*records, record(reason="STOP"), model=model, **fields))


def remembered(answer: tuple[Part, ...], model: str) -> StoredSeals:
    """What is known after a model gave this answer to "go"."""
    collector = SealCollector(info(model), "go")
    collector.add(unfold(Reply(answer, Stop.END)))
    return StoredSeals(dict(collector.found()).get)


def failure(status: int, body: dict[str, Any] | bytes) -> Failure:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return PROVIDER.read_failure(status, {}, raw, now=NOW)


def error(status: int, message: str, name: str = "", **details: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"code": status, "message": message, "status": name}
    if details:
        found["details"] = [details]
    return {"error": found}


# -------------------------------------------------------------------------- thinking and length


def test_pitfall_01_every_call_takes_the_stream_path():
    assert sent(talk()).url.endswith(":streamGenerateContent?alt=sse")


def test_pitfall_02_thinking_always_has_a_budget():
    for reasoning in (Reasoning(), Reasoning("on"), Reasoning("adaptive", effort="high")):
        config = rendered(talk(reasoning=reasoning))["generationConfig"]["thinkingConfig"]
        assert config["thinkingBudget"] >= 1024


@pytest.mark.parametrize("max_tokens", [1, 1024, 32_000, 64_000, 10**7])
@pytest.mark.parametrize("budget", [1, 32_000, 10**7])
def test_pitfall_03_length_exceeds_the_budget(max_tokens, budget):
    conversation = talk(sampling=Sampling(max_tokens), reasoning=Reasoning("on", budget))
    config = rendered(conversation)["generationConfig"]
    assert config["thinkingConfig"]["thinkingBudget"] < config["maxOutputTokens"] <= 64_000


def test_pitfall_04_budget_of_gemini_2_5_is_clamped():
    config = rendered(talk(reasoning=Reasoning("on", 100_000)), GEMINI_25)["generationConfig"]
    assert config["thinkingConfig"]["thinkingBudget"] == 24_576


def test_pitfall_05_cache_control_is_nowhere():
    cached = {"cache_control": {"type": "ephemeral"}}
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", **cached}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, **cached}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go", **cached}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}, **cached}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "text", "text": "r", **cached}],
                        **cached,
                    }
                ],
            },
        ],
    }
    conversation = client_dialect("anthropic").parse_request(body, {})
    assert b"cache_control" not in sent(conversation).body


# ------------------------------------------------------------------------------------- schemas


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_pitfall_06_no_list_stands_where_one_value_belongs(model):
    schema = {
        "type": ["object", "null"],
        "properties": {
            "a": {"type": ["STRING", "null"]},
            "b": {"type": "array", "items": [{"type": "string"}, {"type": "number"}]},
        },
    }
    found = parameters(schema, model)["properties"]
    assert found["a"]["type"] == "string"
    assert isinstance(found["b"]["items"], dict)


def test_pitfall_07_tools_are_one_list_of_declarations():
    tools = (Tool("f", "", {}), Tool("g", "", {}))
    (group,) = rendered(talk(tools=tools))["tools"]
    assert [declared["name"] for declared in group["functionDeclarations"]] == ["f", "g"]
    assert list(group) == ["functionDeclarations"]


def test_pitfall_08_array_without_items_gets_text():
    found = parameters({"properties": {"a": {"type": "array"}}})
    assert found["properties"]["a"]["items"] == {"type": "string"}


def test_pitfall_09_properties_may_be_called_like_keywords():
    names = ["title", "format", "default", "pattern"]
    schema = {"properties": {name: {"type": "string", "title": "T"} for name in names}}
    found = parameters(schema)["properties"]
    assert list(found) == names
    assert found["title"] == {"type": "string"}


def test_pitfall_10_arguments_in_the_history_are_not_cleaned():
    arguments = '{"title":1,"$ref":"x","default":null,"additionalProperties":{"const":2}}'
    found = parts(user(Text("go")), says(ToolCall("a", "f", arguments)), user(ToolResult("a")))
    assert found[1][0]["functionCall"]["args"] == orjson.loads(arguments)


def test_pitfall_11_enum_has_texts_only():
    properties = {
        "a": {"type": "string", "enum": [1, True, "x"]},
        "b": {"type": "integer", "enum": [1, 2]},
    }
    found = parameters({"properties": properties})["properties"]
    assert found["a"]["enum"] == ["1", "true", "x"]
    assert found["b"] == {"type": "integer", "description": "Allowed: 1, 2"}


def test_pitfall_12_nested_object_with_optional_properties_gets_a_required_one():
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    found = parameters({"properties": {"o": inner}})["properties"]["o"]
    assert set(found["required"]) <= set(found["properties"])
    assert found["required"]


def test_pitfall_13_missing_arguments_are_an_empty_object():
    (part,) = reply({"functionCall": {"name": "f", "id": "a"}}).parts
    assert part == ToolCall("a", "f", "{}")


# ---------------------------------------------------------------------------------- signatures


def test_pitfall_14_signature_of_a_call_is_remembered_or_stood_in_for():
    lookup = remembered((ToolCall("a", "f", "{}", Seal("gemini", "real")),), GEMINI)
    history = talk(user(Text("go")), says(ToolCall("a", "f", "{}")), user(ToolResult("a")))
    for known, signature in ((lookup, "real"), (StoredSeals(lambda _key: None), SENTINEL)):
        conversation, _ = settle(history, info(GEMINI), known, identity=history.identity())
        call = rendered(conversation, GEMINI)["contents"][1]["parts"][0]
        assert call["thoughtSignature"] == signature


def test_pitfall_15_parallel_siblings_carry_no_sentinel():
    calls = says(ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    found = parts(user(Text("go")), calls, model=GEMINI)[1]
    assert [part.get("thoughtSignature") for part in found] == [SENTINEL, None]


def test_pitfall_16_signature_on_empty_text_is_read():
    carrier = {"text": "", "thoughtSignature": "sig"}
    call = {"functionCall": {"name": "f", "id": "a", "args": {}}}
    assert reply({"text": "so"}, carrier, model=GEMINI).parts == (
        Text("so", Seal("gemini", "sig")),
    )
    assert reply(carrier, call, model=GEMINI).parts == (
        ToolCall("a", "f", "{}", Seal("gemini", "sig")),
    )


def test_pitfall_17_signature_that_nobody_here_has_issued_is_not_sent():
    history = talk(user(Text("a")), says(Thinking("t", Seal(UNKNOWN_ORIGIN, "x" * 500)), Text("b")))
    conversation, notes = settle(
        history, info(CLAUDE), StoredSeals(lambda _key: None), identity=history.identity()
    )
    assert conversation.messages[1].parts == (Text("b"),)
    assert notes


def test_pitfall_18_signature_of_another_family_is_not_sent():
    lookup = remembered((Thinking("t", Seal("gemini", "g" * 60)), Text("b")), GEMINI)
    history = talk(user(Text("a")), says(Thinking("t", Seal(UNKNOWN_ORIGIN, "g" * 60)), Text("b")))
    conversation, _ = settle(history, info(CLAUDE), lookup, identity=history.identity())
    assert b"g" * 60 not in sent(conversation).body


def test_pitfall_19_tool_loop_without_thinking_goes_on_without_thinking():
    history = talk(user(Text("go")), says(ToolCall("a", "f", "{}")), user(ToolResult("a")))
    conversation, _ = repair(history, info(CLAUDE).family)
    assert "thinkingConfig" not in rendered(conversation)["generationConfig"]


def test_pitfall_20_thought_always_has_a_text_key():
    found = parts(user(Text("a")), says(Thinking("", SEALED.seal), Text("b")), user(Text("c")))
    assert found[1][0] == {"thought": True, "text": "", "thoughtSignature": "s" * 60}


# ----------------------------------------------------------------------- conversations and names


PICTURE_RESULTS = (
    user(Text("go")),
    says(ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")),
    user(
        ToolResult("a", (Text("one"), Media("image/png", PNG))),
        Text("and"),
        ToolResult("b", (Text("two"),)),
    ),
)


def test_pitfall_21_results_of_parallel_calls_stand_together():
    found = parts(*PICTURE_RESULTS)[2]
    assert ["functionResponse" in part for part in found] == [True, True, False]


def test_pitfall_22_pictures_of_a_result_are_inside_it():
    found = parts(*PICTURE_RESULTS)[2][0]["functionResponse"]["parts"]
    assert found == [{"inlineData": {"mimeType": "image/png", "data": PNG}}]


def test_pitfall_23_calls_are_last_in_their_turn():
    turn = says(ToolCall("a", "f", "{}"), Text("so"), SEALED)
    found = parts(user(Text("go")), turn, user(ToolResult("a")))[1]
    assert ["functionCall" in part for part in found] == [False, False, True]
    assert found[0]["thought"] is True


def test_pitfall_24_result_has_the_name_of_its_call():
    found = parts(*PICTURE_RESULTS, model=GEMINI)[2]
    assert [part["functionResponse"]["name"] for part in found[:2]] == ["f", "g"]


def test_pitfall_25_result_without_content_is_an_empty_text():
    found = parts(user(Text("go")), says(ToolCall("a", "f", "{}")), user(ToolResult("a")))
    assert found[2][0]["functionResponse"]["response"] == {"result": ""}


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_pitfall_26_nothing_empty_is_sent(model):
    assert parts(user(Text("a"), Text("")), says(Text(" ")), user(Text("b")), model=model) == [
        [{"text": "a"}, {"text": "b"}]
    ]
    assert parts(user(), model=model) == [[{"text": "."}]]


def test_pitfall_27_gemini_hears_a_user_first():
    history = talk(says(Text("hello")), user(Text("hi")))
    assert rendered(history, GEMINI)["contents"][0]["role"] == "user"
    assert rendered(history, CLAUDE)["contents"][0]["role"] == "model"


def test_pitfall_28_client_sees_its_own_tool_names():
    tools = (Tool("mcp.git/log", "", {}), Tool("mcp_git_log", "", {}))
    declared = rendered(talk(tools=tools))["tools"][0]["functionDeclarations"]
    for tool, declaration in zip(tools, declared, strict=True):
        call = {"functionCall": {"name": declaration["name"], "id": "a", "args": {}}}
        (part,) = reply(call, tools=tools).parts
        assert isinstance(part, ToolCall)
        assert part.name == tool.name


# --------------------------------------------------------------------------------------- answers


def test_pitfall_29_white_space_of_a_stream_is_kept():
    assert reply({"text": "a"}, {"text": " "}, {"text": "\n"}, {"text": "b"}).parts == (
        Text("a \nb"),
    )


def test_pitfall_30_seen_call_decides_the_stop_reason():
    call = {"functionCall": {"name": "f", "id": "a", "args": {}}}
    assert fold(events(record(call), record(reason="STOP"))).stop is Stop.TOOL_CALL


def test_pitfall_31_cached_tokens_are_subtracted_once():
    usage = {"promptTokenCount": 1200, "cachedContentTokenCount": 1000, "candidatesTokenCount": 5}
    found = events(record({"text": "a"}, reason="STOP", usage=usage))
    expected = Usage(input=200, output=5, cache_read=1000)
    assert fold(found).usage == expected  # a whole answer is the same events, folded
    assert UsageSeen(expected) in found


def test_pitfall_32_reasoning_is_never_shown_as_the_answer():
    found = reply({"thought": True, "text": "secret"}, {"text": "open"})
    assert found.parts == (Thinking("secret"), Text("open"))


def test_pitfall_33_last_event_and_huge_events_arrive():
    reader = SseReader()
    huge = b"x" * 3_000_000
    assert reader.feed(b"data: " + huge + b"\n\ndata: la") == [huge]
    assert reader.feed(b"st\n") == []
    assert reader.close() == [b"last"]


def test_pitfall_34_blank_answer_is_a_failure_before_anything_was_told():
    found: list[Event] = []
    parser = UPSTREAM.stream_parser(talk(), info(CLAUDE))
    parser.feed(record(reason="STOP", usage={"promptTokenCount": 3}), found)
    with pytest.raises(UpstreamBroke) as broke:
        parser.close(found)
    assert broke.value.failure.kind is FailureKind.EMPTY
    assert found == []
    play(plan()).tries("a").fails(fault(FailureKind.EMPTY)).pauses().tries("a")


async def test_pitfall_35_error_inside_a_good_status_is_seen_before_the_client_hears(
    upstream, serving
):
    upstream.play(Fault(FaultKind.ERROR_INSIDE, after=0, status=503))
    body = {"model": GEMINI, "max_tokens": 99, "messages": [{"role": "user", "content": "say yes"}]}
    async with serving() as server, aiohttp.ClientSession() as client:
        url = f"{server.url}/v1/messages"
        async with client.post(url, json={**body, "stream": True}) as answer:
            told = await answer.text()
    assert answer.status == 200
    assert "yes" in told
    assert "error" not in told


# ---------------------------------------------------------------------------------------- limits


def test_pitfall_36_limit_of_less_than_a_second_is_waited_for_and_never_stored_as_zero():
    scene = plan(["a", "b"])
    request = play(scene).tries("a").fails(rate(0.4))
    assert (opus_limited_until(scene, "a") or 0) >= 0.4
    request.waits(0.4).tries("a").succeeds()


def test_pitfall_37_one_burst_counts_once():
    alone, burst = plan(), plan()
    play(alone).tries("a").fails(quota(None))
    requests = [play(burst, session=str(number)).tries("a") for number in range(8)]
    for request in requests:
        request.fails(quota(None), after=0.1)
    # Eight strikes would cost two hours, one costs a minute.
    assert 0 < (opus_limited_until(burst, "a") or 0) <= (opus_limited_until(alone, "a") or 0)


def test_pitfall_38_waits_are_no_attempts():
    request = play(plan(max_wait=120))
    for _ in range(2):
        request.tries("a").fails(rate(1.0)).waits(1.0)
    request.tries("a").succeeds()
    assert request.plan.attempts == 3


@pytest.mark.parametrize("status", [503, 529])
def test_pitfall_39_missing_capacity_marks_nobody(status):
    found = failure(status, error(status, "No capacity available for model x", "UNAVAILABLE"))
    assert found.kind is FailureKind.CAPACITY
    scene = plan()
    play(scene).tries("a").fails(capacity())
    assert opus_limited_until(scene, "a") is None


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_pitfall_40_the_word_quota_alone_is_no_limit(status):
    assert classify(status, {}, orjson.dumps(error(status, "quota exceeded")), now=NOW) is None


def test_pitfall_41_exhausted_your_capacity_is_quota_and_not_capacity():
    body = error(
        429,
        "You have exhausted your capacity on this model. Your quota will reset after 1h.",
        "RESOURCE_EXHAUSTED",
        reason="QUOTA_EXHAUSTED",
    )
    assert failure(429, body).kind is FailureKind.QUOTA


def test_pitfall_42_compound_durations_are_read_whole():
    body = error(429, "", "RESOURCE_EXHAUSTED", retryDelay="1h16m0.667s")
    body["error"]["details"][0]["@type"] = "type.googleapis.com/google.rpc.RetryInfo"
    assert failure(429, body).retry_at == pytest.approx(NOW + 4560.667)


def test_pitfall_43_refused_request_is_not_carried_to_other_accounts():
    assert failure(400, error(400, "bad field")).kind is FailureKind.BAD_REQUEST
    request = play(plan(["a", "b"])).tries("a").fails(fault(FailureKind.BAD_REQUEST))
    request.gives_up(ErrorKind.BAD_REQUEST)


def test_pitfall_44_users_own_project_is_never_charged():
    names = {name.lower() for name in sent(talk()).headers}
    assert not names & {"x-goog-user-project", "x-api-key"}


def test_pitfall_45_account_to_be_verified_is_taken_out_and_the_next_one_asked():
    url = "https://accounts.google.com/signin/continue?x=1"
    found = failure(403, error(403, "VALIDATION_REQUIRED", metadata={"validation_url": url}))
    assert (found.kind, found.url) == (FailureKind.VERIFICATION, url)
    scene = plan(["a", "b"])
    play(scene).tries("a").fails(needs_owner(found.kind, found.detail, url)).tries("b").succeeds()
    mark = scene.ledger.mark_of(scene.accounts[0])
    assert mark is not None
    assert mark.url == url


def test_pitfall_46_no_project_is_ever_made_up():
    assert "project" not in orjson.loads(sent(talk(), project=None).body)
    body = error(
        403, "Permission 'cloudaicompanion.companions.generateChat' denied", "PERMISSION_DENIED"
    )
    assert failure(403, body).kind is FailureKind.MISCONFIGURED


@pytest.mark.parametrize(
    "body", [b"fetch failed", b"socket hang up: timeout", b"", b"<html>captive portal</html>"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
def test_pitfall_47_broken_network_revokes_no_sign_in(status, body):
    found = PROVIDER.read_refresh(status, {}, body, now=NOW)
    assert isinstance(found, Failure)
    assert found.kind is not FailureKind.AUTH_REVOKED


# ---------------------------------------------------------------------------- accounts and quota


def test_pitfall_48_onboarding_sends_an_allowed_tier_and_no_project():
    answer = {
        "paidTier": {"id": "g1-pro-tier"},
        "allowedTiers": [{"id": "standard-tier"}, {"id": "free-tier", "isDefault": True}],
    }
    tier = PROVIDER.read_load_code_assist(orjson.dumps(answer)).default_tier
    call = PROVIDER.onboard_call(ACCOUNT, TOKEN, tier, "https://h", DEFAULTS)
    assert orjson.loads(call.body) == {
        "tierId": "free-tier",
        "metadata": {"ideType": "ANTIGRAVITY"},
    }


def test_pitfall_49_missing_fraction_with_a_reset_is_nothing_left():
    models = {"m": {"quotaInfo": {"resetTime": "2026-05-01T07:00:47Z"}}, "n": {"quotaInfo": {}}}
    m, n = read_models(orjson.dumps({"models": models}), NOW).figures
    assert (m.remaining, n.remaining) == (0.0, None)


def test_pitfall_50_quota_is_asked_for_the_project():
    call = PROVIDER.polls(ACCOUNT, TOKEN, "p", "https://h", DEFAULTS)[0].call
    assert orjson.loads(call.body) == {"project": "p"}


def test_pitfall_51_paid_tier_is_read_first():
    answer = {"currentTier": {"id": "free-tier"}, "paidTier": {"id": "g1-ultra-tier"}}
    assert PROVIDER.read_load_code_assist(orjson.dumps(answer)).tier == "ultra"


def test_pitfall_54_client_version_is_new_enough_and_can_be_set():
    version = re.match(r"antigravity/hub/(\d+)\.(\d+)\.(\d+) ", sent(talk()).headers["User-Agent"])
    assert version is not None
    assert tuple(map(int, version.groups())) >= (2, 9, 1)
    assert platform.system().lower() in sent(talk()).headers["User-Agent"]
    newer = sent(talk(), settings=ProviderSettings(user_agent="antigravity/hub/9.0.0 x/y"))
    assert newer.headers["User-Agent"] == "antigravity/hub/9.0.0 x/y"
    refused = failure(400, error(400, "This version of Antigravity is no longer supported"))
    assert refused.kind is FailureKind.MISCONFIGURED


def test_pitfall_56_picture_request_has_its_own_shape():
    conversation = talk(
        tools=(Tool("f", "", {}),),
        reasoning=Reasoning("on", 2000),
        extras={"image_config": {"aspect_ratio": "16:9"}},
    )
    call = sent(conversation, "gemini-3.1-flash-image")
    envelope = orjson.loads(call.body)
    assert envelope["requestType"] == "image_gen"
    assert not {"tools", "toolConfig"} & set(envelope["request"])
    assert envelope["request"]["generationConfig"] == {
        "responseModalities": ["IMAGE"],
        "candidateCount": 1,
        "imageConfig": {"aspectRatio": "16:9"},
    }


def test_pitfall_57_client_is_told_not_to_hammer_an_exhausted_quota():
    request = play(plan(max_wait=60)).tries("a").fails(quota(resets_in=7200))
    told = retry_headers(request.gives_up(ErrorKind.LIMITED, r"^RESOURCE_EXHAUSTED:"))
    assert int(told["retry-after"]) >= 7200
    assert told["x-should-retry"] == "false"
    assert "x-should-retry" not in retry_headers(
        ProxyError(ErrorKind.LIMITED, "soon", retry_after=20)
    )


def test_pitfall_58_stop_sequences_are_the_clients_and_nobody_elses():
    config = rendered(talk(sampling=Sampling(stop=("END",))))["generationConfig"]
    assert config["stopSequences"] == ["END"]
    assert "stopSequences" not in rendered(talk())["generationConfig"]
    assert reply({"text": "data: [DONE]"}, {"text": " \n\nHuman:"}).parts == (
        Text("data: [DONE] \n\nHuman:"),
    )


async def test_pitfall_59_probes_are_answered_without_the_upstream(upstream, serving):
    async with serving() as server, aiohttp.ClientSession() as client:
        async with client.head(server.url) as root:
            assert root.status == 200
        async with client.post(f"{server.url}/api/event_logging/batch", json={}) as logged:
            assert logged.status == 200
    assert not [call for call in upstream.requests if "streamGenerateContent" in call.path]


@pytest.mark.parametrize(
    ("asked", "served"),
    [("gemini-3-pro", "gemini-3-pro-low"), ("gemini-3-flash-high", "gemini-3-flash")],
)
def test_pitfall_60_pro_needs_its_tier_and_flash_has_none(asked, served):
    stages = resolve(asked, Directory([ACCOUNT], {}), Routing())
    assert [stage.model for stage in stages] == [served]


def test_pitfall_61_prompt_that_is_too_long_is_told_and_not_retried():
    found = failure(400, error(400, "Prompt is too long: 210000 tokens > 200000 maximum"))
    assert found.kind is FailureKind.TOO_LONG
    assert found.detail == "prompt is too long: 210000 tokens > 200000 maximum"
    request = play(plan(["a", "b"])).tries("a").fails(fault(found.kind, found.detail))
    request.gives_up(ErrorKind.TOO_LONG, "prompt is too long")


def test_pitfall_62_search_is_never_sent_beside_functions():
    search = Verbatim("anthropic", {"type": "web_search_20250305", "name": "web_search"})
    beside = rendered(talk(server_tools=(search,), tools=(Tool("f", "", {}),)), GEMINI)
    assert [list(group) for group in beside["tools"]] == [["functionDeclarations"]]
    alone = orjson.loads(sent(talk(server_tools=(search,)), GEMINI).body)
    assert alone["requestType"] == "web_search"
    assert alone["request"]["tools"] == [{"googleSearch": {}}]


def test_pitfall_63_stream_without_usage_still_has_some():
    found = events(record({"text": "a"}), record(reason="STOP"))
    assert found[-2:] == [UsageSeen(Usage()), Finished(Stop.END)]


def test_pitfall_64_union_or_reference_does_not_become_an_empty_object():
    schema = {
        "properties": {
            "u": {"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1},
            "r": {"$ref": "#/$defs/R"},
        },
        "$defs": {"R": {"type": "string", "enum": ["x"]}},
    }
    assert parameters(schema)["properties"] == {
        "u": {"type": "integer", "nullable": True, "description": "minimum: 1 (nullable)"},
        "r": {"type": "string", "enum": ["x"]},
    }


def test_pitfall_65_tool_is_declared_once():
    tools = (Tool("f", "first", {}), Tool("f", "second", {}))
    (declared,) = rendered(talk(tools=tools))["tools"][0]["functionDeclarations"]
    assert declared["description"] == "first"


def test_pitfall_66_credits_are_never_spent():
    for model in (CLAUDE, GEMINI, "gemini-3-pro-image"):
        assert b"enabledCreditTypes" not in sent(talk(), model).body
    body = error(429, "no credits", reason="INSUFFICIENT_G1_CREDITS_BALANCE")
    assert failure(429, body).kind is FailureKind.QUOTA


def test_no_pitfall_is_missing():
    here = {
        int(found[1]) for name in globals() if (found := re.match(r"test_pitfall_(\d\d)_", name))
    }
    assert here | set(ELSEWHERE) == set(range(1, 67))
    assert not here & set(ELSEWHERE)
    for places in ELSEWHERE.values():
        for place in places.partition(":")[0].split(", "):
            assert (Path(__file__).parent / place).is_file(), place
