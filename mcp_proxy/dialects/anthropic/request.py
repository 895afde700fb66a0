"""A Messages or count_tokens request -> Conversation (client-apis.md 1.1 to 1.3).

Strict about what it understands, with the JSON path of the fault; tolerant of everything else:
Claude Code sends beta fields as if it spoke to Anthropic, and none of them may be a 400.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from mcp_proxy.conversation import (
    Conversation,
    Effort,
    Message,
    OutputFormat,
    Reasoning,
    Sampling,
    Text,
    ThinkingMode,
)
from mcp_proxy.dialects import PathTarget
from mcp_proxy.dialects.anthropic.blocks import block_type, read_content
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.anthropic.session import session_of
from mcp_proxy.dialects.anthropic.tools import FREE_CHOICE, read_choice, read_tools
from mcp_proxy.dialects.effort import EFFORTS
from mcp_proxy.dialects.recent_messages import Resumed
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import JsonObject, Where, check, get, get_count, kind_of, one_of, spell

_ROLES = ("user", "assistant", "system")
_HIGHEST_TEMPERATURE = 2.0
"""Anthropic's own is 1; clients of several APIs send up to 2, and the target lowers it."""

_THINKING_MODES: dict[str, ThinkingMode] = {
    "enabled": "on",
    "adaptive": "adaptive",
    # Thinks only between tool calls; closest is to leave the amount to the model.
    "between_tools": "adaptive",
    "disabled": "off",
}

_MODELLED = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "thinking",
        "output_config",
        "output_format",
        "stream",
    }
)
"""Fields that a Conversation has a place for; every other one is kept in `extras`."""

_NOTHING_SAID = Reasoning(by_default=False)
_REASONINGS = frozenset({"thinking", "output_config"})
"""Fields of how much to think, and what holds without them."""

_OUTPUTS = frozenset({"output_config", "output_format"})
"""Fields of what the answer shall look like."""

_CHOICES = frozenset({"temperature", "top_p", "top_k", "stop_sequences"})
"""Fields of how to choose the words, and where to stop; most requests have none."""

_ADVISORY = frozenset(
    {
        "betas",
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "service_tier",
        "speed",
        "thread",
        "user_profile_id",
        "workspace_id",
    }
)
"""Fields of the real API that upstreams of other kinds have no use for."""

# Claude Code's attribution line. It differs from request to request and would spoil every prompt
# cache that is keyed by a prefix (client-apis.md 1.9).
_ATTRIBUTION = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n?")


def parse_request(
    body: JsonObject,
    headers: Mapping[str, str],
    _target: PathTarget | None = None,
    *,
    counting: bool = False,
) -> Conversation:
    """The request in the neutral model; `counting`: it is for count_tokens, without `max_tokens`.

    `headers` are looked up in lower case, so they must not care about case.
    """
    box = read_tools(body)
    extras: JsonObject = {}
    if not body.keys() <= _MODELLED:
        extras = {name: value for name, value in body.items() if name not in _MODELLED}
    return Conversation(
        dialect=NAME,
        model=_model(body),
        messages=_messages(body),
        system=_system(body.get("system")),
        tools=box.tools,
        server_tools=box.server_tools,
        tool_choice=read_choice(body, box) if "tool_choice" in body else FREE_CHOICE,
        sampling=_sampling(body, counting=counting),
        reasoning=_NOTHING_SAID if _REASONINGS.isdisjoint(body) else _reasoning(body),
        output=None if _OUTPUTS.isdisjoint(body) else _output(body),
        wants_stream=get(body, "stream", bool, (), False),
        session=session_of(body, headers),
        extras=extras,
        ignored=tuple([name for name in extras if name in _ADVISORY]) if extras else (),
    )


def _model(body: JsonObject) -> str:
    model: str = get(body, "model", str)
    if not model:
        raise BadRequest("must not be empty", param="model")
    return model


def _messages(body: JsonObject) -> tuple[Message, ...]:
    messages: Any = body.get("messages")
    before: tuple[Message, ...] = ()
    if type(messages) is Resumed:
        before = messages.before
    elif type(messages) is not list:
        messages = get(body, "messages", list)  # says what is wrong
    if not messages:
        raise BadRequest("must have at least one message", param="messages")
    read = list(before)
    for index, message in enumerate(messages, len(before)):
        role: Any = message.get("role") if type(message) is dict else None
        if role not in _ROLES:
            # Now it pays to build the path: one of these lines names what is wrong.
            at = ("messages", index)
            role = one_of(get(check(message, dict, at), "role", str, at), _ROLES, (*at, "role"))
        where = ("messages", index, "content")
        parts = read_content(message.get("content"), where, by_model=role == "assistant")
        read.append(Message(role, parts))
    found = tuple(read)
    if type(messages) is Resumed:
        messages.keep(found)
    return found


def _system(value: Any) -> tuple[Text, ...]:
    """Only text can be said here; blocks of any other type are left out (cloudcode.md 3.1)."""
    if value is None:
        return ()
    if type(value) is str:
        text = _ATTRIBUTION.sub("", value)
        return (Text(text),) if text else ()
    texts = _system_texts(value)
    if texts:
        texts[0] = _ATTRIBUTION.sub("", texts[0])
    return tuple([Text(text) for text in texts if text])


def _system_texts(value: Any) -> list[str]:
    if type(value) is not list:
        raise BadRequest(
            f"expected text or a list of text blocks, got {kind_of(value)}", param="system"
        )
    texts = []
    for index, block in enumerate(value):
        where = ("system", index)
        if block_type(block, where) == "text":
            texts.append(get(block, "text", str, where))
    return texts


def _sampling(body: JsonObject, *, counting: bool) -> Sampling:
    max_tokens: Any = body.get("max_tokens")
    if type(max_tokens) is not int or max_tokens < 0:
        max_tokens = _max_tokens(body, counting=counting)
    if _CHOICES.isdisjoint(body):
        return Sampling(max_tokens)
    return Sampling(
        max_tokens=max_tokens,
        temperature=_within(body, "temperature", _HIGHEST_TEMPERATURE),
        top_p=_within(body, "top_p", 1.0),
        top_k=_natural(get(body, "top_k", int, (), None), ("top_k",)),
        stop=_stop(body),
    )


def _max_tokens(body: JsonObject, *, counting: bool) -> int | None:
    limit = _natural(get_count(body, "max_tokens"), ("max_tokens",))
    if limit is None and not counting:
        get(body, "max_tokens", int)  # says that it is required
    return limit


def _natural(value: int | None, where: Where) -> int | None:
    if value is not None and value < 0:
        raise BadRequest(f"expected a whole number of at least 0, got {value}", param=spell(where))
    return value


def _within(body: JsonObject, name: str, highest: float) -> float | None:
    if body.get(name) is None:
        return None
    value: float = get(body, name, float)
    if not 0.0 <= value <= highest:
        raise BadRequest(f"expected a number from 0 to {highest:g}, got {value:g}", param=name)
    return value


def _stop(body: JsonObject) -> tuple[str, ...]:
    if body.get("stop_sequences") is None:
        return ()
    sequences = get(body, "stop_sequences", list)
    for index, sequence in enumerate(sequences):
        check(sequence, str, ("stop_sequences", index))
    return tuple([sequence for sequence in sequences if sequence])


def _reasoning(body: JsonObject) -> Reasoning:
    effort = get(get(body, "output_config", dict, (), {}), "effort", str, ("output_config",), None)
    thinking = get(body, "thinking", dict, (), {})
    where = ("thinking",)
    kind = get(thinking, "type", str, where, "")
    # A kind of thinking that is younger than this file is still thinking.
    mode = _THINKING_MODES.get(kind, "adaptive") if kind else None
    return Reasoning(
        mode=mode,
        budget=_budget(thinking, where) if mode == "on" else None,
        effort=cast(Effort, effort) if effort in EFFORTS else None,
        visible=thinking.get("display") != "omitted",
        by_default=False,
    )


def _budget(thinking: JsonObject, where: Where) -> int | None:
    budget = get_count(thinking, "budget_tokens", where)
    return _natural(budget, (*where, "budget_tokens"))


def _output(body: JsonObject) -> OutputFormat | None:
    """`output_config.format`, or `output_format` as the beta spelled it."""
    where: Where = ("output_config", "format")
    wanted = get(get(body, "output_config", dict, (), {}), "format", dict, where[:1], None)
    if wanted is None:
        where = ("output_format",)
        wanted = get(body, "output_format", dict, (), None)
    if wanted is None or wanted.get("type") != "json_schema":
        return None
    return OutputFormat(get(wanted, "schema", dict, where), get(wanted, "name", str, where, None))
