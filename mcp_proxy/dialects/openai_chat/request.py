"""A Chat Completions request -> Conversation (client-apis.md 2.1).

Three kinds of fields: those that are honoured, those that change the meaning and cannot be (a 400
that names them), and advice that an answer is right without (left out, and listed).
"""

from collections.abc import Mapping
from typing import Any

from mcp_proxy.conversation import (
    Conversation,
    JsonObject,
    OutputFormat,
    Reasoning,
    Sampling,
    Verbatim,
)
from mcp_proxy.dialects.openai_chat.messages import read_messages
from mcp_proxy.dialects.openai_chat.names import NAME
from mcp_proxy.dialects.openai_chat.tools import is_legacy, read_choice, read_tools
from mcp_proxy.dialects.openai_fields import (
    read_cache_key,
    read_effort,
    read_format,
    read_limit,
    read_model,
    read_number,
)
from mcp_proxy.dialects.session_headers import ANYBODYS, session_in
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, check, get, kind_of

_HONOURED = (
    "audio",
    "function_call",
    "functions",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "web_search_options",
)
_ADVISORY = (
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "moderation",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "user",
    "verbosity",
)
"""Left out on the way to other dialects; kept in `extras` for servers of this one."""

_MODELLED = frozenset(_HONOURED)


def parse_request(body: JsonObject, headers: Mapping[str, str]) -> Conversation:
    """The request in the neutral model. BadRequest names the field at fault by JSON path."""
    _refuse_what_cannot_be_honoured(body)
    get(body, "metadata", dict, default=None)  # left out later, but never of another type
    system, messages = read_messages(body)
    declared, server_tools = read_tools(body)
    if body.get("web_search_options") is not None:
        options = get(body, "web_search_options", dict)
        server_tools += (Verbatim(NAME, {"type": "web_search", **options}),)
    tool_choice, tools = read_choice(body, declared, server_tools)
    streams = get(body, "stream", bool, default=False)
    return Conversation(
        dialect=NAME,
        model=read_model(body),
        messages=messages,
        system=system,
        tools=tools,
        server_tools=server_tools,
        tool_choice=tool_choice,
        sampling=_sampling(body),
        reasoning=_reasoning(body),
        output=_output(body),
        wants_stream=streams,
        wants_usage=_wants_usage(body) if streams else True,
        session=session_in(headers, *ANYBODYS),
        cache_key=read_cache_key(body),
        extras=_extras(body),
        ignored=tuple(key for key in _ADVISORY if body.get(key) is not None),
    )


def _refuse_what_cannot_be_honoured(body: JsonObject) -> None:
    if get(body, "n", int, default=1) != 1:
        raise BadRequest("only one choice per request is served", param="n")
    if get(body, "logprobs", bool, default=False):
        raise BadRequest("log probabilities are not available", param="logprobs")
    if get(body, "top_logprobs", int, default=0):
        raise BadRequest("log probabilities are not available", param="top_logprobs")
    if "audio" in get(body, "modalities", list, default=()):
        raise BadRequest("spoken answers are not available", param="modalities")
    if body.get("audio") is not None:
        raise BadRequest("spoken answers are not available", param="audio")
    if body.get("previous_response_id") is not None:
        raise BadRequest(
            "conversations are not kept here; send the whole history in messages",
            param="previous_response_id",
        )


def _sampling(body: JsonObject) -> Sampling:
    older, newer = read_limit(body, "max_tokens"), read_limit(body, "max_completion_tokens")
    return Sampling(
        max_tokens=older if newer is None else newer,
        temperature=read_number(body, "temperature", highest=2),
        top_p=read_number(body, "top_p", highest=1),
        top_k=_top_k(body),
        stop=_stop(body.get("stop")),
    )


def _top_k(body: JsonObject) -> int | None:
    """-1 is how servers of this API that have the field (vLLM, SGLang) write that it is unset."""
    top_k: int | None = get(body, "top_k", int, default=None)
    if top_k is not None and top_k < -1:
        raise BadRequest(f"expected a whole number of at least -1, got {top_k}", param="top_k")
    return None if top_k == -1 else top_k


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise BadRequest(f"expected text or a list of texts, got {kind_of(value)}", param="stop")
    return tuple(check(item, str, ("stop", at)) for at, item in enumerate(value))


def _reasoning(body: JsonObject) -> Reasoning:
    where: Where = ("reasoning_effort",)
    effort = get(body, "reasoning_effort", str, default=None)
    if effort is None:
        where = ("reasoning", "effort")
        effort = get(get(body, "reasoning", dict, default={}), "effort", str, where[:1], None)
    if effort is None:
        return Reasoning()
    return read_effort(effort, where)


def _output(body: JsonObject) -> OutputFormat | None:
    wanted = get(body, "response_format", dict, default=None)
    return (
        None if wanted is None else read_format(wanted, ("response_format",), inside="json_schema")
    )


def _wants_usage(body: JsonObject) -> bool:
    options = get(body, "stream_options", dict, default={})
    return bool(get(options, "include_usage", bool, ("stream_options",), default=False))


def _extras(body: JsonObject) -> dict[str, Any]:
    """What has no place in the conversation; and `functions`, by which the answer's renderer knows
    a legacy client."""
    extras = {
        key: value
        for key, value in body.items()
        if key not in _MODELLED and (value is not None or key not in _ADVISORY)
    }
    if is_legacy(body):
        extras["functions"] = body["functions"]
    return extras
