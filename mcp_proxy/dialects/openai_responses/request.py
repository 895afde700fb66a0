"""A Responses request -> Conversation (client-apis.md 3.1).

Three kinds of fields: those that are honoured, those that change the meaning and cannot be (a 400
that names them), and advice that an answer is right without (left out, and listed).
"""

from collections.abc import Mapping

from mcp_proxy.conversation import Conversation, JsonObject, OutputFormat, Reasoning, Sampling
from mcp_proxy.dialects.openai_fields import (
    read_cache_key,
    read_effort,
    read_format,
    read_limit,
    read_model,
    read_number,
)
from mcp_proxy.dialects.openai_responses.history import read_input
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.tools import read_choice, read_tools
from mcp_proxy.dialects.session_headers import ANYBODYS, session_in
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, get, one_of

_HONOURED = (
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "reasoning",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
)
"""`include` and `store` among them: seals are always shown, and nothing is ever stored."""

_ADVISORY = (
    "client_metadata",
    "context_management",
    "max_tool_calls",
    "metadata",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "truncation",
    "user",
)

ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
)
"""Fields that an answer repeats as they were; kept in `Conversation.extras` until then."""

_REBUILT = ("reasoning", "text")
"""Fields that an answer repeats with what the client left out."""

_KEPT = frozenset((*ECHOED, *_REBUILT))
_KNOWN = frozenset(_HONOURED + _ADVISORY)

_CODEXS_HEADERS = ("session-id", "session_id")
"""Of now and of before."""

_SUMMARIES = ("auto", "concise", "detailed", "none")


def parse_request(body: JsonObject, headers: Mapping[str, str]) -> Conversation:
    """The request in the neutral model. BadRequest names the field at fault by JSON path."""
    _refuse_what_cannot_be_honoured(body)
    _check_what_is_left_out(body)
    system, messages = read_input(body)
    declared = read_tools(body)
    tool_choice, tools = read_choice(body, declared)
    advice = tuple(key for key in _ADVISORY if body.get(key) is not None)
    return Conversation(
        dialect=NAME,
        model=read_model(body),
        messages=messages,
        system=system,
        tools=tools.own,
        server_tools=tools.server,
        tool_choice=tool_choice,
        sampling=Sampling(
            max_tokens=read_limit(body, "max_output_tokens"),
            temperature=read_number(body, "temperature", highest=2),
            top_p=read_number(body, "top_p", highest=1),
        ),
        reasoning=_reasoning(body),
        output=_output(body),
        wants_stream=get(body, "stream", bool, default=False),
        session=session_in(headers, *ANYBODYS, *_CODEXS_HEADERS),
        cache_key=read_cache_key(body),
        extras={key: body[key] for key in body if key in _KEPT or key not in _KNOWN},
        ignored=(*advice, *declared.ignored),
    )


def _refuse_what_cannot_be_honoured(body: JsonObject) -> None:
    for key in ("previous_response_id", "conversation"):
        if body.get(key) is not None:
            raise BadRequest(
                "conversations are not kept here; send the whole history in input", param=key
            )
    if get(body, "background", bool, default=False):
        raise BadRequest("answers are not made in the background", param="background")
    if body.get("prompt") is not None:
        raise BadRequest("prompt templates are not kept here; send the prompt", param="prompt")
    if get(body, "top_logprobs", int, default=0):
        raise BadRequest("log probabilities are not available", param="top_logprobs")


def _check_what_is_left_out(body: JsonObject) -> None:
    """What no answer depends on is still refused when it is of a type that cannot be meant."""
    get(body, "include", list, default=None)
    get(body, "metadata", dict, default=None)
    get(body, "truncation", str, default=None)


def _reasoning(body: JsonObject) -> Reasoning:
    """As in OpenAI's own API, thinking is shown to those who ask for a summary of it."""
    where: Where = ("reasoning",)
    wanted = get(body, "reasoning", dict, default={})
    visible = any(
        _summary(wanted, key, where) not in (None, "none")
        for key in ("summary", "generate_summary")
    )
    effort = get(wanted, "effort", str, where, default=None)
    if effort is None:
        return Reasoning(visible=visible)
    return read_effort(effort, (*where, "effort"), visible=visible)


def _summary(wanted: JsonObject, key: str, where: Where) -> str | None:
    summary = get(wanted, key, str, where, default=None)
    return None if summary is None else one_of(summary, _SUMMARIES, (*where, key))


def _output(body: JsonObject) -> OutputFormat | None:
    where: Where = ("text", "format")
    wanted = get(get(body, "text", dict, default={}), "format", dict, where[:1], default=None)
    return None if wanted is None else read_format(wanted, where)
