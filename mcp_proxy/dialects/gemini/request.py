"""Conversation -> Gemini `generateContent` request, in the form that Cloud Code takes.

Expects what `UpstreamDialect.render_request` promises: seals of the model's family only, calls
and results paired. Section and pitfall numbers are those of protocols/cloudcode.md.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final

import orjson

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.gemini.thinking import plan_thinking
from mcp_proxy.dialects.gemini.tools import Toolbox, searches_the_web, tool_config
from mcp_proxy.jsonschema import narrow_answer
from mcp_proxy.model import Family, ModelInfo

SENTINEL: Final = "skip_thought_signature_validator"
"""Documented by Google for calls whose signature is lost (4.3)."""

MAX_STOPS: Final = 5
"""Stop sequences that Gemini takes."""

_THINK_BETWEEN_CALLS: Final = (
    "You may think between tool calls, and again after each tool result, before you go on."
)
_REMINDER: Final = "[Note from the application, not written by the user]\n"
_JSON_ONLY: Final = "Answer with one JSON value and nothing else: no prose, no code fence."
_JSON_BY_SCHEMA: Final = _JSON_ONLY + " It must be valid against this JSON Schema:\n"


def render_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """The request without its envelope. Raises BadRequest for a tool schema beyond all bounds."""
    if model.makes_images:
        return _image_request(conversation, model)
    thinking = plan_thinking(conversation, model)
    toolbox = Toolbox(conversation.tools, model)
    thinks = thinking.config is not None
    request: JsonObject = {"contents": _Contents(toolbox, model, thinks).of(conversation)}
    system = _system(conversation, model, thinks=thinks)
    if system:
        request["systemInstruction"] = {"role": "user", "parts": system}
    if conversation.tools:
        request["tools"] = [{"functionDeclarations": toolbox.declarations()}]
        request["toolConfig"] = tool_config(conversation.tool_choice, toolbox, model)
    elif searches_the_web(conversation):
        request["tools"] = [{"googleSearch": {}}]
    generation = _sampling(conversation, model)
    if thinking.max_tokens is not None:
        generation["maxOutputTokens"] = thinking.max_tokens
    if thinking.config is not None:
        generation["thinkingConfig"] = thinking.config
    if generation:
        request["generationConfig"] = generation
    return request


def _image_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """Image models refuse tools and thinking, and take their settings one level deeper (3.8)."""
    toolbox = Toolbox((), model)
    request: JsonObject = {"contents": _Contents(toolbox, model, False).of(conversation)}
    system = _texts(conversation.system)
    if system:
        request["systemInstruction"] = {"role": "user", "parts": system}
    generation: JsonObject = {"responseModalities": ["IMAGE"], "candidateCount": 1}
    ratio = _aspect_ratio(conversation)
    if ratio is not None:
        generation["imageConfig"] = {"aspectRatio": ratio}
    request["generationConfig"] = generation
    return request


_RATIOS: Final = frozenset(
    ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
)


def _aspect_ratio(conversation: Conversation) -> str | None:
    """From `image_config.aspect_ratio`, the spelling that chat clients have agreed on."""
    config = conversation.extras.get("image_config")
    ratio = config.get("aspect_ratio") if isinstance(config, dict) else None
    return ratio if isinstance(ratio, str) and ratio in _RATIOS else None


# System text and generation settings


def _system(conversation: Conversation, model: ModelInfo, *, thinks: bool) -> list[JsonObject]:
    parts = _texts(conversation.system)
    if conversation.output is not None and not _has_json_mode(conversation, model):
        parts.append({"text": _json_instruction(conversation)})
    if thinks and model.family is Family.CLAUDE and conversation.tools:
        parts.append({"text": _THINK_BETWEEN_CALLS})
    return parts


def _texts(texts: Iterable[Text]) -> list[JsonObject]:
    return [{"text": text.text} for text in texts if text.text.strip()]


def _has_json_mode(conversation: Conversation, model: ModelInfo) -> bool:
    """Gemini has one, though not together with functions; the others have to be told."""
    return model.family is Family.GEMINI and not conversation.tools


def _json_instruction(conversation: Conversation) -> str:
    schema = conversation.output.schema if conversation.output else None
    return _JSON_ONLY if schema is None else _JSON_BY_SCHEMA + orjson.dumps(schema).decode()


def _sampling(conversation: Conversation, model: ModelInfo) -> JsonObject:
    sampling, is_claude = conversation.sampling, model.family is Family.CLAUDE
    stops = [stop for stop in sampling.stop if stop]
    temperature = sampling.temperature
    if temperature is not None and is_claude:
        temperature = min(temperature, 1.0)
    settings: JsonObject = {
        "temperature": temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "stopSequences": (stops if is_claude else stops[:MAX_STOPS]) or None,
    }
    if conversation.output is not None and _has_json_mode(conversation, model):
        settings["responseMimeType"] = "application/json"
        if conversation.output.schema is not None:
            settings["responseSchema"] = narrow_answer(conversation.output.schema)
    return {key: value for key, value in settings.items() if value is not None}


# Contents


class _Contents:
    """Renders the messages; consecutive ones of a role become one content.

    So results of parallel calls are together, and leaving out an empty message cannot break the
    alternation of roles.
    """

    def __init__(self, toolbox: Toolbox, model: ModelInfo, thinks: bool) -> None:
        self._toolbox = toolbox
        self._model = model
        self._is_claude = model.family is Family.CLAUDE
        self._is_gemini = model.family is Family.GEMINI
        self._thinks = thinks
        self._calls: dict[str, ToolCall] = {}
        self._order: dict[str, int] = {}

    def of(self, conversation: Conversation) -> list[JsonObject]:
        turns: list[tuple[str, list[JsonObject]]] = []
        for is_model, group in groupby(
            conversation.messages, key=lambda message: message.role == "assistant"
        ):
            messages = tuple(group)
            role = "model" if is_model else "user"
            parts = self._model_parts(messages) if is_model else self._user_parts(messages)
            if parts and turns and turns[-1][0] == role:
                turns[-1][1].extend(parts)
            elif parts:
                turns.append((role, parts))
        if not turns or (self._is_gemini and turns[0][0] == "model"):
            # The last resort (pitfalls 26, 27): nothing may be empty, and Gemini's first is a user.
            turns.insert(0, ("user", [{"text": "."}]))
        role, parts = turns[-1]
        if self._is_claude and role == "model":
            _trim_prefill(parts)
        return [{"role": role, "parts": parts} for role, parts in turns]

    # The user's side: results first and together, in the order of their calls

    def _user_parts(self, messages: tuple[Message, ...]) -> list[JsonObject]:
        results: list[ToolResult] = []
        others: list[JsonObject] = []
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolResult):
                    results.append(part)
                elif message.role == "system" and isinstance(part, Text) and part.text.strip():
                    others.append({"text": _REMINDER + part.text})
                else:
                    others += self._common(part)
        if len(results) > 1:
            results.sort(key=lambda result: self._order.get(result.call_id, len(self._order)))
        return [self._result(result) for result in results] + others

    def _common(self, part: Part) -> list[JsonObject]:
        """Text and media; whatever else there is has no place here.

        Empty text is refused by all (26), white space alone by Claude.
        """
        match part:
            case Text(text) if text.strip():
                return [{"text": text}]
            case Media():
                return [self._media(part)]
            case Verbatim("gemini", value):
                return [value]
            case _:
                return []

    def _media(self, media: Media) -> JsonObject:
        if not self._model.takes_images:
            return {"text": f"[{media.name or media.mime_type}: this model takes text only]"}
        return _blob(media)

    def _result(self, result: ToolResult) -> JsonObject:
        call = self._calls.get(result.call_id)
        name = call.name if call is not None else result.name or result.call_id
        text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        media = [part for part in result.parts if isinstance(part, Media)]
        response: JsonObject = {
            "id": _legal_id(result.call_id),
            "name": self._toolbox.sent_name(name),
            "response": {"error" if result.is_error else "result": text},
        }
        if media and self._model.takes_images:
            # Images are seen only in here, and beside it they would part the results (21, 22).
            response["parts"] = [_blob(part) for part in media]
        if media and not text:
            response["response"] = {"result": ", ".join(part.mime_type for part in media)}
        return {"functionResponse": response}

    # The model's side: thoughts, then text, then calls

    def _model_parts(self, messages: tuple[Message, ...]) -> list[JsonObject]:
        parts = [part for message in messages for part in message.parts]
        if self._is_gemini:
            parts = _with_seals_in_place(parts)
        thoughts: list[JsonObject] = []
        texts: list[JsonObject] = []
        calls: list[JsonObject] = []
        self._order = {}
        for part in parts:
            match part:
                case ToolCall():
                    calls.append(self._call(part, is_first=not calls))
                case Thinking(text, Seal(_, signature), redacted=False) if self._keeps_thoughts():
                    # The text key must be there, even if empty, or Google answers 500 (20).
                    thoughts.append({"thought": True, "text": text, "thoughtSignature": signature})
                case Text(text, Seal(_, signature)) if text.strip() and self._is_gemini:
                    texts.append({"text": text, "thoughtSignature": signature})
                case _:
                    texts += self._common(part)
        return thoughts + texts + calls

    def _keeps_thoughts(self) -> bool:
        # Claude refuses thinking in the history of a request that does not think.
        return self._thinks or not self._is_claude

    def _call(self, call: ToolCall, *, is_first: bool) -> JsonObject:
        self._order[call.id] = len(self._order)
        self._calls[call.id] = call
        part: JsonObject = {
            "functionCall": {
                "id": _legal_id(call.id),
                "name": self._toolbox.sent_name(call.name),
                "args": orjson.Fragment(call.arguments or "{}"),
            }
        }
        if self._is_gemini and (call.seal is not None or is_first):
            # Parallel siblings carry no signature, so they get no sentinel either (15).
            part["thoughtSignature"] = call.seal.value if call.seal is not None else SENTINEL
        return part


def _with_seals_in_place(parts: list[Part]) -> list[Part]:
    """Gemini signs the part after its thoughts; clients can often carry that only on the thoughts.

    So thinking that is followed by an unsigned part, or by one with the same seal, gives its seal
    away and is left out; thinking with a seal of its own stays.
    """
    placed: list[Part] = []
    held: Thinking | None = None
    for part in parts:
        if held is not None and held.seal is not None:
            if isinstance(part, ToolCall) and part.seal is None:
                part = ToolCall(part.id, part.name, part.arguments, held.seal)
            elif isinstance(part, Text) and part.seal is None:
                part = Text(part.text, held.seal)
            elif not isinstance(part, ToolCall | Text) or part.seal != held.seal:
                placed.append(held)
        held = part if isinstance(part, Thinking) else None
        if held is None:
            placed.append(part)
    return placed if held is None else [*placed, held]


_ILLEGAL_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


def _legal_id(call_id: str) -> str:
    """Claude takes letters, digits, "_" and "-"; calls and results are mapped alike."""
    return _ILLEGAL_IN_ID.sub("_", call_id)


_MAGIC: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBER": "application/pdf",
}
"""How base64 of well-known files begins."""


def _blob(media: Media) -> JsonObject:
    if media.url is not None:
        return {"fileData": {"mimeType": _mime_type(media), "fileUri": media.url}}
    return {"inlineData": {"mimeType": _mime_type(media), "data": media.data}}


def _mime_type(media: Media) -> str:
    """Mandatory upstream and never a pattern; `image/*` is read off the data."""
    if media.mime_type and not media.mime_type.endswith("/*"):
        return media.mime_type
    for start, mime_type in _MAGIC.items():
        if media.data.startswith(start):
            return mime_type
    return "image/jpeg"


def _trim_prefill(parts: list[JsonObject]) -> None:
    """Claude refuses an unfinished answer of its own that ends in white space."""
    text = parts[-1].get("text")
    if isinstance(text, str) and text.rstrip():
        parts[-1]["text"] = text.rstrip()
