"""The main job with the real SDKs: what a client gets, in both dialects, whole and streamed."""

import base64
import re
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from served import CLAUDE, GEMINI, ONE, THINKER, Json, Rig, chat_body, message_body, serve, until

from mcp_proxy.demo import Fault, FaultKind, RecordedCall, records
from mcp_proxy.demo.signatures import is_genuine
from mcp_proxy.engine.media import MediaFetcher

WEATHER: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ANTHROPIC_TOOL = {"name": "get_weather", "description": "The weather.", "input_schema": WEATHER}
OPENAI_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER},
}
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
THINKING = {"type": "enabled", "budget_tokens": 2000}

MESSAGES = {
    "text": message_body("a long answer, please: long"),
    "gemini": message_body("say hi", GEMINI),
    "thinking": message_body("say hi", THINKER, thinking=THINKING),
    "gemini thinking": message_body("say hi", GEMINI, thinking={"type": "adaptive"}),
    "one tool": message_body("the weather?", tools=[ANTHROPIC_TOOL]),
    "tool after thinking": message_body(
        "the weather?", THINKER, thinking=THINKING, tools=[ANTHROPIC_TOOL]
    ),
    "parallel tools": message_body("both weathers?", GEMINI, tools=[ANTHROPIC_TOOL]),
    "parallel tools of claude": message_body("both weathers?", tools=[ANTHROPIC_TOOL]),
    "json": message_body(
        "a city", output_config={"format": {"type": "json_schema", "schema": CITY}}
    ),
    "out of tokens": message_body("words=500", max_tokens=20),
    "stop sequence": message_body("say one two three", stop_sequences=["two"]),
    "web search": message_body(
        "look it up", GEMINI, tools=[{"type": "web_search_20250305", "name": "web_search"}]
    ),
}
CHATS = {
    "text": chat_body("a long answer, please: long"),
    "claude": chat_body("say hi", CLAUDE),
    "thinking": chat_body("say hi", THINKER, reasoning_effort="high"),
    "one tool": chat_body("the weather?", tools=[OPENAI_TOOL]),
    "parallel tools": chat_body("both weathers?", tools=[OPENAI_TOOL]),
    "parallel tools of claude": chat_body("both weathers?", CLAUDE, tools=[OPENAI_TOOL]),
    "image": chat_body("paint", "gemini-3-pro-image"),
    "json object": chat_body("a city", response_format={"type": "json_object"}),
    "json schema": chat_body(
        "a city",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "strict": True, "schema": CITY},
        },
    ),
    "out of tokens": chat_body("words=500", max_tokens=20),
}


def plain(found: Any) -> Any:
    """An SDK's object without what differs from one answer to the next: ids and the time."""
    known: dict[str, str] = {}

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: named(v) for k, v in value.items() if k != "created" and v is not None}
        if isinstance(value, list):
            return [named(item) for item in value]
        if isinstance(value, str) and re.match(r"(msg|toolu|call|chatcmpl|req)[_-]", value):
            return known.setdefault(value, f"id {len(known)}")
        return value

    return named(found.model_dump(by_alias=True))


@pytest.mark.parametrize("case", MESSAGES)
async def test_a_message_is_the_same_whole_and_streamed(tmp_path, case):
    body = MESSAGES[case]
    async with serve(tmp_path / "whole") as rig, rig.anthropic() as client:
        whole = await client.messages.create(**body)
    async with (
        serve(tmp_path / "stream") as rig,
        rig.anthropic() as client,
        client.messages.stream(**body) as stream,
    ):
        streamed = await stream.get_final_message()

    assert whole.content
    assert whole.usage.output_tokens > 0
    assert plain(streamed)["content"] == plain(whole)["content"]
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.stop_sequence == whole.stop_sequence
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.cache_read_input_tokens == whole.usage.cache_read_input_tokens
    assert streamed.model == whole.model == body["model"]


async def test_an_image_is_the_same_whole_and_streamed(tmp_path):
    """The Messages API itself has no images in answers, so its SDK cannot judge them."""
    async with serve(tmp_path) as rig:
        whole = (await rig.messages("paint", "gemini-3-pro-image")).json
        events = (await rig.messages("paint", "gemini-3-pro-image", stream=True)).events
    blocks = [data["content_block"] for name, data in events if name == "content_block_start"]
    assert blocks[-1] == whole["content"][-1]
    assert base64.b64decode(blocks[-1]["source"]["data"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("case", CHATS)
async def test_a_chat_completion_is_the_same_whole_and_streamed(tmp_path, case):
    body = CHATS[case]
    async with serve(tmp_path / "whole") as rig, rig.openai() as client:
        whole = await client.chat.completions.create(**body)
    async with serve(tmp_path / "stream") as rig:
        streamed = await folded_chat(rig, body)

    choice = whole.choices[0]
    message = plain(choice.message)
    assert message.pop("annotations") == [], "streams have no place for them"
    assert message.get("content") or message.get("tool_calls")
    assert streamed["message"] == message
    assert streamed["finish_reason"] == choice.finish_reason
    assert streamed["usage"] == plain(whole.usage)
    assert whole.model == body["model"]


async def folded_chat(rig: Rig, body: Json) -> Json:
    """A streamed completion put together as its documentation says, not as we think it."""
    message: Json = {}
    calls: list[Json] = []
    end: Json = {}
    async with rig.openai() as client:
        stream = await client.chat.completions.create(
            **body, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            if chunk.usage is not None:
                end["usage"] = plain(chunk.usage)
            for choice in chunk.choices:
                delta = choice.delta.model_dump(exclude_none=True)
                for call in delta.pop("tool_calls", ()):
                    add_call(calls, call)
                for name, value in delta.items():
                    if isinstance(value, str) and name != "role":
                        message[name] = message.get(name, "") + value
                    elif isinstance(value, list):
                        message[name] = [*message.get(name, []), *value]
                    else:
                        message[name] = value
                if choice.finish_reason is not None:
                    end["finish_reason"] = choice.finish_reason
    if calls:
        message["tool_calls"] = [{**call, "id": f"id {at}"} for at, call in enumerate(calls)]
        if not message.get("content"):
            message.pop("content", None)
    return {"message": message, **end}


def add_call(calls: list[Json], delta: Json) -> None:
    at = delta.pop("index")
    if at == len(calls):
        assert delta["id"]
        assert delta["function"]["name"]
        calls.append(delta)
    else:
        assert delta.keys() <= {"function", "type"}, "id and name come once"
        calls[at]["function"]["arguments"] += delta["function"]["arguments"]


SHAPES = {
    "byte by byte": {"sizes": (1,)},
    "in sevens": {"sizes": (7,)},
    "in odd pieces": {"sizes": (3, 1000, 1, 64)},
    "with CRLF": {"crlf": True, "sizes": (13,)},
    "without the last blank line": {"bare_end": True},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_the_upstreams_chunking_makes_no_difference(tmp_path, shape, stream):
    body = message_body("both weathers?", GEMINI, tools=[ANTHROPIC_TOOL], stream=stream)
    answers = []
    for fault in (None, Fault(FaultKind.SHAPE, **SHAPES[shape])):
        async with serve(tmp_path / str(len(answers)), people=ONE) as rig:
            if fault is not None:
                rig.upstream.play(fault)
            answers.append(await rig.post("/v1/messages", body))
            assert len(rig.upstream.faults) == 0
    plain_answer, shaped = (without_ids(answer.body) for answer in answers)
    assert shaped == plain_answer


def without_ids(body: bytes) -> bytes:
    return re.sub(rb'"(msg|toolu|call)_[^"]+"', rb'"\1"', body)


async def test_a_tool_loop_with_thinking_goes_on_over_both_dialects(tmp_path):
    """The upstream refuses thinking without its own signature, so the seals have come through."""
    async with serve(tmp_path, people=ONE) as rig:
        async with rig.anthropic() as client:
            messages: list[Any] = [{"role": "user", "content": "the weather?"}]
            how = {"model": THINKER, "max_tokens": 4000, "thinking": THINKING}
            tools: list[Any] = [ANTHROPIC_TOOL]
            first = await client.messages.create(messages=messages, tools=tools, **how)
            assert first.stop_reason == "tool_use"
            assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
            messages += [
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [tool_result(first.content[-1].id)]},
            ]
            last = await client.messages.create(messages=messages, tools=tools, **how)
            assert "sunny" in last.content[-1].text
        async with rig.openai() as client:
            said: list[Any] = [{"role": "user", "content": "the weather?"}]
            begun = await client.chat.completions.create(
                model=GEMINI, messages=said, tools=[OPENAI_TOOL]
            )
            asked = begun.choices[0].message
            said += [
                asked,
                {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"},
            ]
            done = await client.chat.completions.create(
                model=GEMINI, messages=said, tools=[OPENAI_TOOL]
            )
            assert "sunny" in done.choices[0].message.content
        # OpenAI's dialect cannot carry a signature: it was kept here, by the id of the call.
        [signature] = signatures(rig.generations[-1])
        assert is_genuine(signature, "gemini")
        assert rig.asked == ["ada"] * 4, "nothing had to be tried twice"


async def told_call(rig: Rig, how: Any) -> Any:
    """The call in the stream of an answer that does not come to its end, left at once."""
    call = None
    async with rig.openai() as client:
        with suppress(openai.APIError):
            async with await client.chat.completions.create(stream=True, **how) as stream:
                async for chunk in stream:
                    for piece in chunk.choices[0].delta.tool_calls or ():
                        call = call or piece.model_dump(exclude={"index"})
                        if piece.function.arguments:
                            call["function"]["arguments"] = piece.function.arguments
                            return call
    return call


@pytest.mark.parametrize("model", [GEMINI, THINKER])
@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.CUT, FaultKind.NO_FINISH])
async def test_a_call_keeps_its_signature_without_the_end_of_its_answer(tmp_path, kind, model):
    """Some clients act on a call as soon as they have it, and do not wait for the rest."""
    question = {"role": "user", "content": "the weather?"}
    how: Any = {"model": model, "tools": [OPENAI_TOOL], "reasoning_effort": "high"}
    for told in range(1, 20):  # records, up to the one with the call
        async with serve(tmp_path / str(told), people=ONE) as rig:
            rig.upstream.play(Fault(FaultKind.NO_FINISH, after=told))
            if await told_call(rig, {**how, "messages": [question]}):
                break
    async with serve(tmp_path / "again", people=ONE) as rig:
        rig.upstream.play(Fault(kind, after=told, seconds=30.0))
        call = await told_call(rig, {**how, "messages": [question]})
        await until(lambda: rig.runtime.gates.load("ada") == 0)
        said = [
            question,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
        ]
        async with rig.openai() as client:
            done = await client.chat.completions.create(messages=said, **how)
        assert "sunny" in done.choices[0].message.content
        [signature] = sealed(rig.generations[-1])
        assert is_genuine(signature, FAMILY[model])


LOOP = [
    {"role": "user", "content": "the weather?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}],
    },
]
UNKNOWN = {"type": "compaction", "content": "x"}
UNSIGNED = {"type": "thinking", "thinking": "cut", "signature": ""}
EMPTY_TURNS = {
    "thinking after results": [*LOOP, [UNSIGNED], "go on"],
    "unknown block after results": [*LOOP, [UNKNOWN], "go on"],
    "last": ["hi", "hello", ""],
    "last of white space": ["hi", "hello", " \n"],
    "last of no blocks": ["hi", "hello", []],
    "last of an unknown block": ["hi", "hello", [UNKNOWN]],
}


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "disabled"}])
@pytest.mark.parametrize("case", EMPTY_TURNS)
async def test_a_turn_of_nothing_ends_no_conversation(tmp_path, case, thinking):
    roles = ("user", "assistant")
    history = [
        turn if isinstance(turn, dict) else {"role": roles[at % 2], "content": turn}
        for at, turn in enumerate(EMPTY_TURNS[case])
    ]
    body = message_body("", THINKER, thinking=thinking, tools=[ANTHROPIC_TOOL], max_tokens=4000)
    async with serve(tmp_path, people=ONE) as rig:
        answer = await rig.post("/v1/messages", {**body, "messages": history})
        assert answer.status == 200, answer.body
        [call] = rig.generations
        told = [content["role"] for content in call.body["request"]["contents"]]
        assert told == ["user", "model"] * (len(history) // 2) + ["user"]
        is_thinking = "thinkingConfig" in call.body["request"]["generationConfig"]
        assert is_thinking is (thinking["type"] == "adaptive")


async def test_thinking_stays_in_its_conversation_where_ids_are_used_again(tmp_path, monkeypatch):
    """Both conversations have the same call of the same id, and a client that drops thinking."""
    again = SimpleNamespace(token_hex=lambda n: "0" * 2 * n, token_bytes=bytes)
    monkeypatch.setattr(records, "secrets", again)
    how = {"max_tokens": 4000, "thinking": THINKING, "tools": [ANTHROPIC_TOOL]}
    histories = []
    async with serve(tmp_path, people=ONE) as rig:
        for question in ("Alice asks for the weather?", "Bob asks for the weather?"):
            first = await rig.messages(question, THINKER, **how)
            said = [block for block in first.json["content"] if block["type"] != "thinking"]
            history = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": said},
                {"role": "user", "content": [tool_result(said[-1]["id"])]},
            ]
            histories.append(history)
        assert histories[0][1] == histories[1][1]
        for history, owner in zip(histories, ("Alice", "Bob"), strict=True):
            last = await rig.post("/v1/messages", {"model": THINKER, "messages": history, **how})
            assert last.status == 200, last.body
            [thought] = thoughts(rig.generations[-1])
            assert owner in thought


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_thinking_that_was_not_shown_goes_back_with_its_text(tmp_path, stream):
    """A signature may be bound to it, and then an empty block is refused."""
    hidden = {**THINKING, "display": "omitted"}
    how = {"max_tokens": 4000, "thinking": hidden, "tools": [ANTHROPIC_TOOL]}
    async with serve(tmp_path, people=ONE) as rig:
        messages: list[Any] = [{"role": "user", "content": "the weather?"}]
        said = await said_by(rig, messages, stream=stream, **how)
        assert said[0]["thinking"] == ""
        messages += [
            {"role": "assistant", "content": said},
            {"role": "user", "content": [tool_result(said[-1]["id"])]},
        ]
        await said_by(rig, messages, stream=stream, **how)
        [thought] = thoughts(rig.generations[-1])
        [signature] = sealed(rig.generations[-1])
        assert is_genuine(signature, "claude", text=thought)


async def said_by(rig: Rig, messages: list[Any], *, stream: bool, **how: Any) -> list[Json]:
    """The blocks of the answer, as the SDK has them."""
    async with rig.anthropic() as client:
        if not stream:
            answer = await client.messages.create(model=THINKER, messages=messages, **how)
        else:
            async with client.messages.stream(model=THINKER, messages=messages, **how) as open_one:
                answer = await open_one.get_final_message()
    return [block.model_dump(exclude_none=True) for block in answer.content]


def thoughts(call: RecordedCall) -> list[str]:
    """The text of all thinking in a request's history."""
    return [
        part["text"]
        for content in call.body["request"]["contents"]
        for part in content["parts"]
        if part.get("thought")
    ]


@pytest.mark.parametrize(("block", "kind"), [("image", "image/png"), ("document", "text/plain")])
async def test_thinking_comes_back_whatever_the_first_message_names(tmp_path, block, kind):
    async def page(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"\x89PNG\r\n\x1a\n", content_type=kind)

    how = {"model": THINKER, "max_tokens": 4000, "thinking": THINKING, "tools": [ANTHROPIC_TOOL]}
    async with serve(tmp_path, people=ONE) as rig, RawTestServer(page) as site:
        rig.runtime.media = MediaFetcher(allow=lambda _: True)
        source = {"type": "url", "url": f"http://127.0.0.1:{site.port}/notes"}
        named = [{"type": block, "source": source}, {"type": "text", "text": "the weather?"}]
        question = {"role": "user", "content": named}
        first = await rig.post("/v1/messages", {**how, "messages": [question]})
        said = [block for block in first.json["content"] if block["type"] != "thinking"]
        result = {"role": "user", "content": [tool_result(said[-1]["id"])]}
        history = [question, {"role": "assistant", "content": said}, result]
        assert (await rig.post("/v1/messages", {**how, "messages": history})).status == 200
        assert len(thoughts(rig.generations[-1])) == 1


REFUSED = {
    THINKER: "messages.1.content.0: Invalid `signature` in `thinking` block",
    GEMINI: "Corrupted thought signature.",
}


@pytest.mark.parametrize("model", REFUSED)
@pytest.mark.parametrize("carried", [True, False], ids=["carried", "left to the proxy"])
async def test_a_signature_that_is_refused_is_not_sent_again(tmp_path, model, carried):
    """Nor is it restored from where it is remembered, which is what made a loop end there."""
    tools = [ANTHROPIC_TOOL]
    how = {"max_tokens": 4000, "thinking": THINKING, "tools": tools}
    async with serve(tmp_path, people=ONE) as rig:
        first = await rig.messages("the weather?", model, **how)
        said = first.json["content"]
        if not carried:
            said = [block for block in said if block["type"] != "thinking"]
        answered = [tool_result(said[-1]["id"])]
        history = [
            {"role": "user", "content": "the weather?"},
            {"role": "assistant", "content": said},
            {"role": "user", "content": answered},
        ]
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST, text=REFUSED[model]))
        last = await rig.post("/v1/messages", {"model": model, "messages": history, **how})
        assert last.status == 200, last.body
        assert "sunny" in last.json["content"][-1]["text"]
        refused, taken = map(sealed, rig.generations[-2:])
        assert any(is_genuine(signature, FAMILY[model]) for signature in refused)
        assert not any(is_genuine(signature, FAMILY[model]) for signature in taken)
        once_more = await rig.post("/v1/messages", {"model": model, "messages": history, **how})
        assert once_more.status == 200, once_more.body
        assert len(rig.generations) == 4, "another request does not begin with it"
        assert not set(refused) & set(sealed(rig.generations[-1]))


FAMILY = {THINKER: "claude", GEMINI: "gemini"}


def sealed(call: RecordedCall) -> list[str]:
    """Every signature in a request's history."""
    return [
        part["thoughtSignature"]
        for content in call.body["request"]["contents"]
        for part in content["parts"]
        if "thoughtSignature" in part
    ]


def signatures(call: RecordedCall) -> list[str]:
    """The signature of every tool call in a request's history."""
    return [
        part.get("thoughtSignature", "")
        for content in call.body["request"]["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


def tool_result(call_id: str) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "sunny"}


async def test_a_conversation_survives_a_restart_and_a_change_of_family(tmp_path):
    """Signatures of one family never reach the other, and come back from disk for their own."""
    tools = [OPENAI_TOOL]
    async with serve(tmp_path / "first", people=ONE) as rig:
        upstream = rig.upstream
        begun = (await rig.chat("the weather?", tools=tools)).json
        call = begun["choices"][0]["message"]
        history = [
            {"role": "user", "content": "the weather?"},
            call,
            {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "sunny"},
        ]
        await rig.server.stop(drain=0.0)
        async with serve(tmp_path / "first", upstream=upstream) as again:
            for model in (GEMINI, CLAUDE, "gemini-3-pro-high", THINKER):
                body = {"model": model, "messages": history, "tools": tools}
                answer = await again.post("/v1/chat/completions", body)
                assert answer.status == 200, (model, answer.body)
                assert "sunny" in answer.json["choices"][0]["message"]["content"]
            [signature] = signatures(again.generations[1])
            assert is_genuine(signature, "gemini"), "it came back from the disk"
            assert len(again.generations) == 5, "nothing had to be tried twice"
