"""Conversation -> Responses request (client-apis.md 3.1).

The messages are rendered in `upstream_items.py`, tools in `upstream_tools.py`; here are the
instructions and settings around them. Nothing is ever kept upstream: the history is sent whole, and
with it, encrypted, the reasoning that the model needs to go on.
"""

from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject, OutputFormat, Reasoning, Text
from mcp_proxy.dialects.call_names import LONGEST_ID, legal, within
from mcp_proxy.dialects.effort import SMALL_ANSWER, answer_limit, asked_level, nearest
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.upstream_items import Items
from mcp_proxy.dialects.openai_responses.upstream_tools import Toolbox
from mcp_proxy.dialects.search_tools import search_tool
from mcp_proxy.dialects.sent_schemas import answer_schema, is_of_object
from mcp_proxy.dialects.wording import json_instruction
from mcp_proxy.model import ModelInfo, ThinkingSpec

SMALLEST_LIMIT: Final = 16
"""Tokens; a smaller `max_output_tokens` is refused."""

ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
SEARCH_SOURCES: Final = "web_search_call.action.sources"

_HOME_FIELDS: Final = (
    "max_tool_calls",
    "metadata",
    "safety_identifier",
    "service_tier",
    "truncation",
    "user",
)
"""Advice of clients of this very dialect, which other dialects have no words for."""


def render_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """The request body. Raises BadRequest for a schema beyond all bounds."""
    toolbox = Toolbox(conversation)
    items = Items(toolbox, model).of(conversation.messages)
    request: JsonObject = {"model": model.id, "input": items, "stream": True, "store": False}
    instructions = "\n\n".join([text.text for text in conversation.system if text.text])
    if instructions:
        request["instructions"] = instructions
    tools = toolbox.declarations()
    if tools:
        request["tools"] = tools
        request["tool_choice"] = toolbox.choice()
        request["parallel_tool_calls"] = conversation.tool_choice.parallel
    if conversation.output is not None:
        _add_format(request, items, conversation, conversation.output)
    cache_key = conversation.session or conversation.cache_key
    if cache_key is not None:
        request["prompt_cache_key"] = within(LONGEST_ID, cache_key)
    _add_limits(request, conversation, model)
    _add_reasoning(request, conversation, model)
    if conversation.dialect == NAME:
        _add_home_fields(request, conversation)
    return request


def _add_home_fields(request: JsonObject, conversation: Conversation) -> None:
    extras = conversation.extras
    request.update((name, extras[name]) for name in _HOME_FIELDS if extras.get(name) is not None)
    verbosity = (extras.get("text") or {}).get("verbosity")
    if verbosity is not None:
        request["text"] = {**request.get("text", {}), "verbosity": verbosity}


def _add_limits(request: JsonObject, conversation: Conversation, model: ModelInfo) -> None:
    sampling = conversation.sampling
    limit = answer_limit(sampling.max_tokens, model)
    if limit is not None:
        request["max_output_tokens"] = max(limit, SMALLEST_LIMIT)
    if model.thinking is None:
        # Models that reason refuse both (providers.md 2).
        if sampling.temperature is not None:
            request["temperature"] = sampling.temperature
        if sampling.top_p is not None:
            request["top_p"] = sampling.top_p


def _add_reasoning(request: JsonObject, conversation: Conversation, model: ModelInfo) -> None:
    """How much to think, whether to show it, and what the answer shall carry beside its text."""
    wanted: list[str] = []
    if model.thinking is not None:
        wanted.append(ENCRYPTED_REASONING)
        reasoning: JsonObject = {}
        effort = _effort(conversation, model.thinking)
        if effort is not None:
            reasoning["effort"] = effort
        if _is_shown(conversation.reasoning):
            reasoning["summary"] = "auto"
        if reasoning:
            request["reasoning"] = reasoning
    if search_tool(conversation) is not None:
        wanted.append(SEARCH_SOURCES)
    if wanted:
        request["include"] = wanted


def _effort(conversation: Conversation, spec: ThinkingSpec) -> str | None:
    """One of the model's levels; None leaves it to the model."""
    effort = _chosen_effort(conversation, spec.levels) if spec.levels else None
    if effort == "minimal" and search_tool(conversation) is not None:
        return nearest("low", spec.levels)  # web search is refused with less
    return effort


def _chosen_effort(conversation: Conversation, levels: tuple[str, ...]) -> str | None:
    wanted, limit = conversation.reasoning, conversation.sampling.max_tokens
    if wanted.mode == "off":
        return levels[0]
    asked = asked_level(wanted, levels)
    if asked is None and limit is not None and limit < SMALL_ANSWER:
        return levels[0]
    return asked


def _is_shown(wanted: Reasoning) -> bool:
    if wanted.mode is None:
        return wanted.visible and wanted.by_default
    return wanted.visible and wanted.mode != "off"


def _add_format(
    request: JsonObject, items: list[JsonObject], conversation: Conversation, output: OutputFormat
) -> None:
    """A list, say, can only be asked for in words: schemas of all but objects are refused."""
    if output.schema is None:
        request["text"] = {"format": {"type": "json_object"}}
        is_in_words = not _mentions_json(conversation)
    else:
        is_in_words = not is_of_object(output.schema)
        if not is_in_words:
            request["text"] = {"format": _format(output.schema, output.name)}
    if is_in_words:
        items.insert(0, _json_note(output))


def _format(schema: JsonObject, name: str | None) -> JsonObject:
    sent, is_strict = answer_schema(schema)
    name = within(LONGEST_ID, legal(name or "answer"))
    return {"type": "json_schema", "name": name, "schema": sent, "strict": is_strict}


def _mentions_json(conversation: Conversation) -> bool:
    """JSON mode is refused unless some message has the word."""
    return any(
        type(part) is Text and "json" in part.text.lower()
        for message in conversation.messages
        for part in message.parts
    )


def _json_note(output: OutputFormat) -> JsonObject:
    content = [{"type": "input_text", "text": json_instruction(output)}]
    return {"type": "message", "role": "developer", "content": content}
