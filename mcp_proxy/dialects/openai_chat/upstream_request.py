"""Conversation -> Chat Completions request (client-apis.md 2.1) that OpenAI and its kin take.

The messages are rendered in `upstream_messages.py`; here are the tools and settings around them.
Nothing is sent that only some servers know unless it is needed: what one of them refuses all the
same, `providers.features` leaves out the next time.
"""

from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject, OutputFormat, Tool
from mcp_proxy.dialects.call_names import LONGEST_ID, SentNames, legal, within
from mcp_proxy.dialects.effort import SMALL_ANSWER, answer_limit, asked_level
from mcp_proxy.dialects.offered_tools import callable_by_name
from mcp_proxy.dialects.openai_chat.names import NAME
from mcp_proxy.dialects.openai_chat.upstream_messages import Messages, is_only_in_words, is_openais
from mcp_proxy.dialects.sent_schemas import answer_schema, parameters
from mcp_proxy.model import ModelInfo

MAX_STOPS: Final = 4

_MODES: Final = {"any": "required", "none": "none"}
_LEGACY: Final = "functions"
"""Kept among the extras for the client's own sake; the tools say the same."""


def render_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """The request body. Raises BadRequest for a schema beyond all bounds."""
    names = SentNames(tool.name for tool in conversation.tools)
    request: JsonObject = {
        "model": model.id,
        "messages": Messages(names, model).of(conversation),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    _add_tools(request, conversation, names)
    if conversation.output is not None and not is_only_in_words(conversation.output, model):
        request["response_format"] = _format(conversation.output)
    if model.makes_images:
        request["modalities"] = ["image", "text"]
    if is_openais(model):
        _add_openais_settings(request, conversation, model)
    else:
        _add_settings(request, conversation, model)
    if conversation.dialect == NAME:
        extras = {key: value for key, value in conversation.extras.items() if key != _LEGACY}
        request = {**extras, **request}
    return request


# Tools


def _add_tools(request: JsonObject, conversation: Conversation, names: SentNames) -> None:
    choice = conversation.tool_choice
    # Not all servers know a choice of several tools.
    tools = callable_by_name(conversation)
    if not tools:
        return
    request["tools"] = [_declaration(tool, names) for tool in tools.values()]
    if choice.mode == "any" and len(choice.names) == 1:
        function = {"name": names.sent(choice.names[0])}
        request["tool_choice"] = {"type": "function", "function": function}
    elif choice.mode != "auto":
        request["tool_choice"] = _MODES[choice.mode]
    if not choice.parallel:
        request["parallel_tool_calls"] = False


def _declaration(tool: Tool, names: SentNames) -> JsonObject:
    schema, may_be_strict = parameters(tool)
    function: JsonObject = {"name": names.sent(tool.name)}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = schema
    if tool.strict and may_be_strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _format(output: OutputFormat) -> JsonObject:
    if output.schema is None:
        return {"type": "json_object"}
    schema, is_strict = answer_schema(output.schema)
    name = within(LONGEST_ID, legal(output.name or "answer"))
    described = {"name": name, "schema": schema, "strict": is_strict}
    return {"type": "json_schema", "json_schema": described}


# Settings


def _add_openais_settings(
    request: JsonObject, conversation: Conversation, model: ModelInfo
) -> None:
    """Models that reason refuse sampling settings, except with no reasoning at all (2)."""
    cache_key = conversation.session or conversation.cache_key
    if cache_key is not None:
        request["prompt_cache_key"] = within(LONGEST_ID, cache_key)
    if model.thinking is None or not model.thinking.levels:
        _add_settings(request, conversation, model)
        return
    limit = answer_limit(conversation.sampling.max_tokens, model)
    if limit is not None:
        request["max_completion_tokens"] = limit
    effort = _effort(conversation, model)
    if effort is None and limit is not None and limit < SMALL_ANSWER:
        effort = model.thinking.levels[0]
    if effort is not None:
        request["reasoning_effort"] = effort
    if effort == "none":
        _add_sampling(request, conversation)


def _add_settings(request: JsonObject, conversation: Conversation, model: ModelInfo) -> None:
    limit = answer_limit(conversation.sampling.max_tokens, model)
    if limit is not None:
        request["max_tokens"] = limit
    effort = _effort(conversation, model)
    if effort is not None:
        request["reasoning_effort"] = effort
    _add_sampling(request, conversation)
    if conversation.sampling.stop:
        request["stop"] = list(conversation.sampling.stop[:MAX_STOPS])


def _add_sampling(request: JsonObject, conversation: Conversation) -> None:
    sampling = conversation.sampling
    if sampling.temperature is not None:
        request["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        request["top_p"] = sampling.top_p


def _effort(conversation: Conversation, model: ModelInfo) -> str | None:
    """One of the model's levels; None leaves it to the model, or there is no way to say it."""
    spec, wanted = model.thinking, conversation.reasoning
    if spec is None or not spec.levels:
        return None
    if wanted.mode == "off" or (wanted.mode is None and not wanted.by_default):
        must_say = "none" in spec.levels or not spec.can_be_off
        return spec.levels[0] if must_say else None
    return asked_level(wanted, spec.levels)
