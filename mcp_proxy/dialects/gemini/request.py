"""Conversation -> Gemini `generateContent` request, in the form that Cloud Code takes.

The messages are rendered in `contents.py`; here are the instruction, tools and settings around
them. Section and pitfall numbers are those of protocols/cloudcode.md.
"""

from typing import Final, NamedTuple

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.effort import top_p_beside_thinking
from mcp_proxy.dialects.gemini.contents import Contents
from mcp_proxy.dialects.gemini.thinking import plan_thinking
from mcp_proxy.dialects.gemini.tools import Toolbox, searches_the_web, tool_config
from mcp_proxy.dialects.wording import bad_answer_schema, json_instruction
from mcp_proxy.jsonschema import NarrowedAnswer, narrow_answer
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.schema_levels import SchemaTooLarge

_MAX_STOPS: Final = 5
"""Stop sequences that Gemini takes."""

_THINK_BETWEEN_CALLS: Final = (
    "You may think between tool calls, and again after each tool result, before you go on."
)


def render_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """The request without its envelope. Raises BadRequest for a schema beyond all bounds."""
    if model.makes_images:
        return _image_request(conversation, model)
    thinking = plan_thinking(conversation, model)
    toolbox = Toolbox(conversation.tools, model)
    thinks = thinking.config is not None
    form = _form_of(conversation, model)
    request: JsonObject = {"contents": Contents(toolbox, model, thinks=thinks).of(conversation)}
    system = _system(conversation, model, form.told, thinks=thinks)
    if system:
        request["systemInstruction"] = {"role": "user", "parts": system}
    if conversation.tools:
        request["tools"] = [{"functionDeclarations": toolbox.declarations()}]
        request["toolConfig"] = tool_config(conversation.tool_choice, toolbox, model)
    elif conversation.server_tools and model.searches and searches_the_web(conversation):
        request["tools"] = [{"googleSearch": {}}]
    generation = _sampling(conversation, model, thinks=thinks)
    if thinking.max_tokens is not None:
        generation["maxOutputTokens"] = thinking.max_tokens
    if thinking.config is not None:
        generation["thinkingConfig"] = thinking.config
    if form.settings:
        generation |= form.settings
    if generation:
        request["generationConfig"] = generation
    return request


def split_stops(conversation: Conversation, model: ModelInfo) -> tuple[list[str], list[str]]:
    """The stop sequences that the upstream takes, and those at which it has to be cut here."""
    stops = [stop for stop in conversation.sampling.stop if stop]
    taken = len(stops) if model.family is Family.CLAUDE else _MAX_STOPS
    return stops[:taken], stops[taken:]


def _image_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """Image models refuse tools and thinking, and take their settings one level deeper (3.8)."""
    toolbox = Toolbox((), model)
    request: JsonObject = {"contents": Contents(toolbox, model, thinks=False).of(conversation)}
    system = [{"text": text.text} for text in conversation.system if text.text.strip()]
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


def _system(
    conversation: Conversation, model: ModelInfo, form: str | None, *, thinks: bool
) -> list[JsonObject]:
    parts = [{"text": text.text} for text in conversation.system if text.text.strip()]
    if form is not None:
        parts.append({"text": form})
    if thinks and model.family is Family.CLAUDE and conversation.tools:
        parts.append({"text": _THINK_BETWEEN_CALLS})
    return parts


class _Form(NamedTuple):
    """The form of the answer."""

    settings: JsonObject
    """What `generationConfig` says of it."""
    told: str | None
    """What the model is told of it, where settings cannot say it."""


_TEXT: Final = _Form({}, None)


def _form_of(conversation: Conversation, model: ModelInfo) -> _Form:
    """Gemini has a mode for JSON, though not together with functions; the others have to be told.

    So is a schema that narrowing would change: an upstream would enforce what nobody asked for.
    """
    output = conversation.output
    if output is None:
        return _TEXT
    if model.family is not Family.GEMINI or conversation.tools:
        return _Form({}, json_instruction(output))
    settings: JsonObject = {"responseMimeType": "application/json"}
    if output.schema is None:
        return _Form(settings, None)
    narrowed = _narrowed(output.schema)
    if not narrowed.is_faithful:
        return _Form(settings, json_instruction(output))
    return _Form({**settings, "responseSchema": narrowed.schema}, None)


def _narrowed(schema: JsonObject) -> NarrowedAnswer:
    try:
        return narrow_answer(schema)
    except SchemaTooLarge as cause:
        raise bad_answer_schema(cause) from cause


def _sampling(conversation: Conversation, model: ModelInfo, *, thinks: bool) -> JsonObject:
    sampling, is_claude = conversation.sampling, model.family is Family.CLAUDE
    stops = split_stops(conversation, model)[0] if sampling.stop else None
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if temperature is not None and is_claude:
        temperature = min(temperature, 1.0)
    if is_claude and thinks:
        # It takes hardly any of them then, and some models think unasked (providers.md 6).
        temperature = top_k = None
        top_p = top_p_beside_thinking(sampling)
    settings: JsonObject = {}
    if temperature is not None:
        settings["temperature"] = temperature
    if top_p is not None:
        settings["topP"] = top_p
    if top_k is not None:
        settings["topK"] = top_k
    if stops:
        settings["stopSequences"] = stops
    return settings
