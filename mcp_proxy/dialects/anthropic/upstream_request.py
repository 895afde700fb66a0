"""Conversation -> Messages request, for Anthropic and everybody who speaks its dialect.

The messages are rendered in `upstream_messages.py`; here are instructions, tools and settings
around them. Sources: client-apis.md 1.2 and 1.3, providers.md 6.
"""

import re
from typing import Final

from mcp_proxy.conversation import Conversation, Tool, ToolChoice
from mcp_proxy.dialects.anthropic.answer_schemas import answer_schema, is_exact
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.anthropic.upstream_messages import (
    EPHEMERAL,
    Turns,
    mark_for_cache,
    without_cache_control,
)
from mcp_proxy.dialects.anthropic.upstream_thinking import ThinkingPlan, plan_thinking
from mcp_proxy.dialects.call_names import SentNames
from mcp_proxy.dialects.effort import top_p_beside_thinking
from mcp_proxy.dialects.offered_tools import callable_by_name
from mcp_proxy.dialects.sent_schemas import parameters
from mcp_proxy.dialects.wording import bad_answer_schema, json_instruction
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.schema_levels import SchemaTooLarge
from mcp_proxy.strict_json import JsonObject

MAX_NAME: Final = 128
_LEGAL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")

_HOME_FIELDS: Final = ("metadata", "service_tier")
"""Fields that only this dialect has and that need no beta header; they come from its clients."""


def sent_names(conversation: Conversation) -> SentNames:
    """The names of a request's tools; its answer is read with the same."""
    return SentNames((tool.name for tool in conversation.tools), _LEGAL_NAME, MAX_NAME)


def render_request(conversation: Conversation, model: ModelInfo) -> JsonObject:
    """The body, asking for a stream. Raises BadRequest for a schema beyond all bounds."""
    plan = plan_thinking(conversation, model)
    names = sent_names(conversation)
    turns = Turns(model, names.sent, thinks=plan.is_on)
    messages = turns.of(conversation)
    tools = _tools(conversation, names, model)
    choice = _tool_choice(conversation.tool_choice, names) if tools else None
    if not tools and turns.called:
        # A history with calls has to come with tools, though none may be called now.
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in turns.called]
        choice = {"type": "none"}
    system = _system(conversation, model)
    _cache(conversation, system, tools, messages)
    body: JsonObject = {
        "model": model.id,
        "max_tokens": plan.max_tokens,
        "system": system or None,
        "messages": messages,
        "tools": tools or None,
        "tool_choice": choice,
        "thinking": plan.field,
        "output_config": _output_config(conversation, plan, model) or None,
        "stream": True,
        **_sampling(conversation, plan, model),
    }
    if conversation.dialect == NAME:
        body |= {name: conversation.extras.get(name) for name in _HOME_FIELDS}
    return {name: value for name, value in body.items() if value is not None}


def _system(conversation: Conversation, model: ModelInfo) -> list[JsonObject]:
    texts = [text.text for text in conversation.system if text.text.strip()]
    output = conversation.output
    if output is not None and not _has_format(conversation, model):
        texts.append(json_instruction(output))
    return [{"type": "text", "text": text} for text in texts]


def _cache(
    conversation: Conversation,
    system: list[JsonObject],
    tools: list[JsonObject],
    messages: list[JsonObject],
) -> None:
    """At most four marks, at what stays the same from one request to the next."""
    for stable in (tools, system):
        if stable:
            stable[-1]["cache_control"] = EPHEMERAL
    # Keeping what is asked once costs a quarter more and is never read again.
    if conversation.tools or len(messages) > 1:
        mark_for_cache(messages)


# Tools


def _tools(conversation: Conversation, names: SentNames, model: ModelInfo) -> list[JsonObject]:
    """What the client runs, and what of Anthropic's own it asks for."""
    tools = {
        name: _tool(tool, names.sent(name), model)
        for name, tool in callable_by_name(conversation).items()
    }
    for server_tool in conversation.server_tools:
        name = str(server_tool.value.get("name"))
        if server_tool.dialect == NAME and name not in tools:
            # A copy: the mark for the cache may go onto it.
            tools[name] = dict(without_cache_control(server_tool.value))
    return list(tools.values())


def _tool(tool: Tool, name: str, model: ModelInfo) -> JsonObject:
    schema, meets_strict_rules = parameters(tool)
    declared: JsonObject = {"name": name, "input_schema": schema}
    if tool.description:
        declared["description"] = tool.description
    if tool.strict and meets_strict_rules and _takes_schemas(model) and is_exact(tool.schema):
        declared["strict"] = True
    return declared


def _tool_choice(choice: ToolChoice, names: SentNames) -> JsonObject | None:
    """None: the default, which is the model's own choice. Of several names, `_tools` sees to it."""
    if choice.mode == "any" and len(choice.names) == 1:
        wanted: JsonObject = {"type": "tool", "name": names.sent(choice.names[0])}
    else:
        wanted = {"type": choice.mode}
    if not choice.parallel and choice.mode != "none":
        wanted["disable_parallel_tool_use"] = True
    return None if wanted == {"type": "auto"} else wanted


# Settings


def _takes_schemas(model: ModelInfo) -> bool:
    """Whether answers and arguments can be held to a schema: Claude, since it thinks."""
    return model.family is Family.CLAUDE and model.thinking is not None


def _has_format(conversation: Conversation, model: ModelInfo) -> bool:
    output = conversation.output
    return output is not None and bool(output.schema) and _takes_schemas(model)


def _output_config(conversation: Conversation, plan: ThinkingPlan, model: ModelInfo) -> JsonObject:
    config: JsonObject = {} if plan.effort is None else {"effort": plan.effort}
    output = conversation.output
    if output is not None and output.schema and _has_format(conversation, model):
        try:
            schema = answer_schema(output.schema)
        except SchemaTooLarge as cause:
            raise bad_answer_schema(cause) from cause
        config["format"] = {"type": "json_schema", "schema": schema}
    return config


def _sampling(conversation: Conversation, plan: ThinkingPlan, model: ModelInfo) -> JsonObject:
    """Only what goes together: with thinking hardly anything does (providers.md 6)."""
    sampling = conversation.sampling
    # White space alone is refused as a stop sequence.
    settings: JsonObject = {"stop_sequences": [s for s in sampling.stop if s.strip()] or None}
    if not _takes_sampling(model):
        return settings
    if plan.is_on:
        settings["top_p"] = top_p_beside_thinking(sampling)
        return settings
    if sampling.temperature is not None:
        settings["temperature"] = min(sampling.temperature, 1.0)
    else:
        settings["top_p"] = sampling.top_p  # one of the two is taken, not both
    settings["top_k"] = sampling.top_k
    return settings


def _takes_sampling(model: ModelInfo) -> bool:
    """The newest models, which take efforts only, refuse every setting but the default."""
    spec = model.thinking
    return spec is None or spec.budgets is not None or not spec.levels
