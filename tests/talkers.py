"""Four clients that hold the same conversation, each through the real SDK of its API.

A talker keeps its history in its own API's form, so a tool loop sends back exactly what that SDK
hands out. What was said comes back in one shape, to be compared across APIs.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anthropic
import openai
from google import genai
from google.genai import types

Json = dict[str, Any]

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mPQz7+PFTEMLQkAC/NfQca0VdEAAAAA"
    "SUVORK5CYII="
)
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["city"],
}
READ = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = {"get_weather": WEATHER, "read_file": READ}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for beside the text."""

    stream: bool = False
    tools: bool = False
    thinks: bool = False
    schema: bool = False
    image: bool = False
    system: str = ""
    max_tokens: int = 8000


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, whatever API it came through."""

    text: str
    thought: str
    calls: tuple[Call, ...]
    stop: str
    """`end`, `tool`, `length`, or the API's own word for anything else."""
    prompt: int
    output: int

    @property
    def gist(self) -> tuple[str, str, tuple[tuple[str, str], ...], str]:
        """What a stream and a whole answer have in common; ids are fresh each time."""
        calls = tuple((call.name, json.dumps(call.arguments)) for call in self.calls)
        return self.text, self.thought, calls, self.stop


class Talker(Protocol):
    """One client with one conversation."""

    async def ask(self, text: str, wish: Wish) -> Said: ...

    async def answer(self, results: Mapping[str, str], wish: Wish) -> Said:
        """Tool results by call id."""
        ...

    def recall(self, turns: int) -> None:
        """Puts a history of that many finished turns before what comes."""
        ...


def finished_turns(count: int) -> list[Json]:
    """As Anthropic's API and both of OpenAI's spell them."""
    return [
        {"role": role, "content": f"{said} {turn}"}
        for turn in range(count)
        for role, said in (("user", "question"), ("assistant", "answer"))
    ]


class AnthropicTalker:
    def __init__(self, client: anthropic.AsyncAnthropic, model: str) -> None:
        self._client = client
        self._model = model
        self._history: list[Json] = []

    async def ask(self, text: str, wish: Wish) -> Said:
        content: list[Json] = [{"type": "text", "text": text}]
        if wish.image:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            content.append({"type": "image", "source": source})
        return await self._say(content, wish)

    async def answer(self, results: Mapping[str, str], wish: Wish) -> Said:
        blocks = [
            {"type": "tool_result", "tool_use_id": call_id, "content": text}
            for call_id, text in results.items()
        ]
        return await self._say(blocks, wish)

    def recall(self, turns: int) -> None:
        self._history += finished_turns(turns)

    async def _say(self, content: list[Json], wish: Wish) -> Said:
        self._history.append({"role": "user", "content": content})
        asked = self._asked(wish)
        if wish.stream:
            async with self._client.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await self._client.messages.create(**asked)
        blocks = [block.model_dump(exclude_unset=True) for block in message.content]
        self._history.append({"role": "assistant", "content": blocks})
        stops = {"end_turn": "end", "tool_use": "tool", "max_tokens": "length"}
        usage = message.usage
        return Said(
            text="".join(b["text"] for b in blocks if b["type"] == "text"),
            thought="".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
            calls=tuple(
                Call(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"
            ),
            stop=stops.get(message.stop_reason or "", str(message.stop_reason)),
            prompt=usage.input_tokens
            + (usage.cache_read_input_tokens or 0)
            + (usage.cache_creation_input_tokens or 0),
            output=usage.output_tokens,
        )

    def _asked(self, wish: Wish) -> Json:
        asked: Json = {
            "model": self._model,
            "max_tokens": wish.max_tokens,
            "messages": self._history,
        }
        if wish.system:
            asked["system"] = wish.system
        if wish.tools:
            asked["tools"] = [
                {"name": name, "description": name, "input_schema": schema}
                for name, schema in TOOLS.items()
            ]
        if wish.thinks:
            asked["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if wish.schema:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return asked


REASONING = ("reasoning_content", "reasoning")
"""Where servers of this API put it; clients read both."""


class ChatTalker:
    def __init__(self, client: openai.AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model
        self._history: list[Any] = []

    async def ask(self, text: str, wish: Wish) -> Said:
        content: list[Json] = [{"type": "text", "text": text}]
        if wish.image:
            url = f"data:image/png;base64,{PNG}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        if wish.system and not self._history:
            self._history.append({"role": "system", "content": wish.system})
        self._history.append({"role": "user", "content": content})
        return await self._say(wish)

    async def answer(self, results: Mapping[str, str], wish: Wish) -> Said:
        self._history += [
            {"role": "tool", "tool_call_id": call_id, "content": text}
            for call_id, text in results.items()
        ]
        return await self._say(wish)

    def recall(self, turns: int) -> None:
        self._history += finished_turns(turns)

    async def _say(self, wish: Wish) -> Said:
        asked = self._asked(wish)
        if wish.stream:
            message, reason, usage = await self._streamed(asked)
        else:
            completion = await self._client.chat.completions.create(**asked)
            choice, usage = completion.choices[0], completion.usage
            message = choice.message.model_dump(exclude_none=True)
            reason = choice.finish_reason
        back = {k: v for k, v in message.items() if k not in ("annotations", "refusal")}
        self._history.append(back)
        calls = [
            Call(each["id"], each["function"]["name"], json.loads(each["function"]["arguments"]))
            for each in message.get("tool_calls", ())
        ]
        stops = {"stop": "end", "tool_calls": "tool", "length": "length"}
        return Said(
            text=message.get("content") or "",
            thought="".join(message.get(name) or "" for name in REASONING),
            calls=tuple(calls),
            stop=stops.get(reason, reason),
            prompt=usage.prompt_tokens,
            output=usage.completion_tokens,
        )

    async def _streamed(self, asked: Json) -> tuple[Json, str, Any]:
        """Puts the deltas together as every client has to."""
        message: Json = {"role": "assistant", "content": ""}
        calls: dict[int, Json] = {}
        reason, usage = "", None
        stream = await self._client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                delta = choice.delta
                message["content"] += delta.content or ""
                for name in REASONING:
                    if thought := (delta.model_extra or {}).get(name):
                        message[name] = message.get(name, "") + thought
                for piece in delta.tool_calls or ():
                    _join(calls.setdefault(piece.index, {"type": "function"}), piece)
        if calls:
            message["tool_calls"] = [calls[at] for at in sorted(calls)]
        return message, reason, usage

    def _asked(self, wish: Wish) -> Json:
        asked: Json = {
            "model": self._model,
            "messages": self._history,
            "max_completion_tokens": wish.max_tokens,
        }
        if wish.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {"name": name, "description": name, "parameters": schema},
                }
                for name, schema in TOOLS.items()
            ]
        if wish.thinks:
            asked["reasoning_effort"] = "low"
        if wish.schema:
            wanted = {"name": "person", "schema": SCHEMA, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return asked


def _join(call: Json, piece: Any) -> None:
    function = call.setdefault("function", {"name": "", "arguments": ""})
    call["id"] = piece.id or call.get("id")
    function["name"] += piece.function.name or ""
    function["arguments"] += piece.function.arguments or ""


class ResponsesTalker:
    def __init__(self, client: openai.AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model
        self._history: list[Any] = []

    async def ask(self, text: str, wish: Wish) -> Said:
        content: list[Json] = [{"type": "input_text", "text": text}]
        if wish.image:
            url = f"data:image/png;base64,{PNG}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        self._history.append({"role": "user", "content": content})
        return await self._say(wish)

    async def answer(self, results: Mapping[str, str], wish: Wish) -> Said:
        self._history += [
            {"type": "function_call_output", "call_id": call_id, "output": text}
            for call_id, text in results.items()
        ]
        return await self._say(wish)

    def recall(self, turns: int) -> None:
        self._history += finished_turns(turns)

    async def _say(self, wish: Wish) -> Said:
        asked = self._asked(wish)
        if wish.stream:
            # Its `stream` helper takes an incomplete answer for none at all.
            response: Any = None
            async for event in await self._client.responses.create(**asked, stream=True):
                response = getattr(event, "response", response)
        else:
            response = await self._client.responses.create(**asked)
        items = [item.model_dump(exclude_none=True) for item in response.output]
        for item in items:
            item.pop("parsed_arguments", None)
            for part in item.get("content") or ():
                part.pop("parsed", None)
        self._history += items
        calls = tuple(
            Call(item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in items
            if item["type"] == "function_call"
        )
        stop = "tool" if calls else "end"
        if response.status == "incomplete":
            stop = {"max_output_tokens": "length"}.get(
                response.incomplete_details.reason, "refusal"
            )
        return Said(
            text=response.output_text,
            thought="".join(
                part["text"]
                for item in items
                if item["type"] == "reasoning"
                for part in item.get("summary", ())
            ),
            calls=calls,
            stop=stop,
            prompt=response.usage.input_tokens,
            output=response.usage.output_tokens,
        )

    def _asked(self, wish: Wish) -> Json:
        asked: Json = {
            "model": self._model,
            "input": self._history,
            "max_output_tokens": wish.max_tokens,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
        if wish.system:
            asked["instructions"] = wish.system
        if wish.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": name,
                    "description": name,
                    "parameters": schema,
                    "strict": False,
                }
                for name, schema in TOOLS.items()
            ]
        if wish.thinks:
            asked["reasoning"] = {"effort": "low", "summary": "auto"}
        if wish.schema:
            wanted = {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}
            asked["text"] = {"format": wanted}
        return asked


class GeminiTalker:
    def __init__(self, client: genai.Client, model: str) -> None:
        self._client = client
        self._model = model
        self._history: list[types.Content] = []
        self._names: dict[str, str] = {}

    async def ask(self, text: str, wish: Wish) -> Said:
        parts = [types.Part(text=text)]
        if wish.image:
            blob = types.Blob(data=base64.b64decode(PNG), mime_type="image/png")
            parts.append(types.Part(inline_data=blob))
        return await self._say(parts, wish)

    async def answer(self, results: Mapping[str, str], wish: Wish) -> Said:
        parts = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call_id, name=self._names[call_id], response={"result": text}
                )
            )
            for call_id, text in results.items()
        ]
        return await self._say(parts, wish)

    def recall(self, turns: int) -> None:
        for turn in range(turns):
            self._history += [
                types.Content(role="user", parts=[types.Part(text=f"question {turn}")]),
                types.Content(role="model", parts=[types.Part(text=f"answer {turn}")]),
            ]

    async def _say(self, parts: list[types.Part], wish: Wish) -> Said:
        self._history.append(types.Content(role="user", parts=parts))
        asked: Json = {
            "model": self._model,
            "contents": self._history,
            "config": self._config(wish),
        }
        models = self._client.aio.models
        if wish.stream:
            chunks = [each async for each in await models.generate_content_stream(**asked)]
        else:
            chunks = [await models.generate_content(**asked)]
        found: list[types.Part] = []
        for chunk in chunks:
            for candidate in chunk.candidates or ():
                if candidate.content is not None:
                    found += candidate.content.parts or ()
        self._history.append(types.Content(role="model", parts=found))
        calls = tuple(
            Call(
                str(p.function_call.id), str(p.function_call.name), dict(p.function_call.args or {})
            )
            for p in found
            if p.function_call is not None
        )
        self._names |= {call.id: call.name for call in calls}
        last = [c.candidates[0].finish_reason for c in chunks if c.candidates]
        reason = next((each.name for each in reversed(last) if each is not None), "none")
        usage = next(c.usage_metadata for c in reversed(chunks) if c.usage_metadata is not None)
        stop = {"STOP": "tool" if calls else "end", "MAX_TOKENS": "length"}.get(reason, reason)
        return Said(
            text="".join(p.text or "" for p in found if not p.thought),
            thought="".join(p.text or "" for p in found if p.thought),
            calls=calls,
            stop=stop,
            prompt=usage.prompt_token_count or 0,
            output=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        )

    @staticmethod
    def _config(wish: Wish) -> types.GenerateContentConfig:
        fields: Json = {"max_output_tokens": wish.max_tokens}
        if wish.system:
            fields["system_instruction"] = wish.system
        if wish.tools:
            declared = [
                types.FunctionDeclaration(
                    name=name, description=name, parameters_json_schema=schema
                )
                for name, schema in TOOLS.items()
            ]
            fields["tools"] = [types.Tool(function_declarations=declared)]
        if wish.thinks:
            thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
            fields["thinking_config"] = thinking
        if wish.schema:
            fields["response_mime_type"] = "application/json"
            fields["response_json_schema"] = SCHEMA
        return types.GenerateContentConfig(**fields)


@asynccontextmanager
async def talker(api: str, url: str, model: str) -> AsyncIterator[Talker]:
    """A client of that API at that proxy. It does not retry, and takes nothing but the API."""
    async with AsyncExitStack() as stack:
        if api == "anthropic":
            claude = anthropic.AsyncAnthropic(
                api_key="x",
                base_url=url,
                max_retries=0,
                timeout=30,
                _strict_response_validation=True,
            )
            yield AnthropicTalker(await stack.enter_async_context(claude), model)
        elif api == "gemini":
            client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=url))
            yield GeminiTalker(client, model)
            await client.aio.aclose()
        else:
            gpt = openai.AsyncOpenAI(
                api_key="x",
                base_url=f"{url}/v1",
                max_retries=0,
                timeout=30,
                _strict_response_validation=True,
            )
            kind = ChatTalker if api == "openai_chat" else ResponsesTalker
            yield kind(await stack.enter_async_context(gpt), model)


APIS: Sequence[str] = ("anthropic", "openai_chat", "openai_responses", "gemini")
