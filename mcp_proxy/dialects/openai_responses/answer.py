"""The response object around the output (client-apis.md 3.2): the same in a stream and without.

Knows the request's fields that an answer repeats, usage, and how an answer ends; the items of the
output are made in `output.py`.
"""

from math import ceil

from mcp_proxy.conversation import JsonObject
from mcp_proxy.dialects import ReplyFrame
from mcp_proxy.dialects.openai_responses.request import ECHOED
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.events import Stop, Usage

_INCOMPLETE = {Stop.LENGTH: "max_output_tokens", Stop.REFUSAL: "content_filter"}
"""Stops that leave an answer incomplete, and the reason given; after all others it is complete."""

_DEFAULTS: JsonObject = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}

_CODES = {
    ErrorKind.BAD_REQUEST: "invalid_prompt",
    ErrorKind.TOO_LARGE: "invalid_prompt",
    ErrorKind.TOO_LARGE_UPSTREAM: "invalid_prompt",
    ErrorKind.NOT_FOUND: "invalid_prompt",
    ErrorKind.UNKNOWN_MODEL: "invalid_prompt",
    ErrorKind.TOO_LONG: "context_length_exceeded",
    ErrorKind.LIMITED: "rate_limit_exceeded",
    ErrorKind.OVERLOADED: "server_is_overloaded",
}
"""Codes inside a stream (3.4); every other kind is a `server_error`, which clients repeat."""


def response_object(frame: ReplyFrame) -> JsonObject:
    """The response as it begins: nothing put out, nothing counted."""
    asked = frame.conversation.extras
    given = {key: asked[key] for key in ECHOED if asked.get(key) is not None}
    return {
        "id": f"resp_{frame.id}",
        "object": "response",
        "created_at": frame.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": frame.model,
        "output": [],
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **(asked.get("reasoning") or {})},
        # Whatever was asked for: there is nothing to get later.
        "store": False,
        "text": {"format": {"type": "text"}, **(asked.get("text") or {})},
        "usage": None,
        **_DEFAULTS,
        **given,
    }


def is_complete(stop: Stop) -> bool:
    return stop not in _INCOMPLETE


def ended(response: JsonObject, output: list[JsonObject], usage: Usage, stop: Stop) -> JsonObject:
    """The response as it ends. There is no other reason for the end: calls speak for themselves."""
    reason = _INCOMPLETE.get(stop)
    return {
        **response,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": usage_object(usage),
    }


def failed(response: JsonObject, output: list[JsonObject], error: ProxyError) -> JsonObject:
    """The response as it breaks off, with the items that were whole by then."""
    return {**response, "status": "failed", "output": output, "error": _error_object(error)}


def _error_object(error: ProxyError) -> JsonObject:
    code, message = _CODES.get(error.kind, "server_error"), error.message
    if error.kind is ErrorKind.LIMITED:
        if error.retry_is_pointless:
            # Codex would sleep for as long as it is told to, and gives up on this code instead.
            code = "insufficient_quota"
        elif error.retry_after is not None:
            message = f"{message} Please try again in {max(1, ceil(error.retry_after))}s."
    return {"code": code, "message": message}


def usage_object(usage: Usage) -> JsonObject:
    """The prompt includes what caches gave or took, the output includes thinking (5.2)."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": usage.prompt + usage.output,
    }
