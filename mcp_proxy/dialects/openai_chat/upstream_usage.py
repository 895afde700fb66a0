"""Usage of Chat Completions and its dialects -> `Usage` (client-apis.md 5.2, providers.md 3)."""

from typing import Any, Final

from mcp_proxy.conversation import JsonObject
from mcp_proxy.events import Usage

_MOST_TOKENS: Final = 2**53
"""Above it JavaScript clients would read another number than was sent."""


def usage_in(record: JsonObject) -> JsonObject | None:
    """The usage of a record, wherever a server puts it; None while there is none."""
    usage = record.get("usage")
    if not usage and "x_groq" in record:
        usage = _object(record["x_groq"]).get("usage")
    if not usage:
        # Kimi's is that of the choice.
        for choice in record.get("choices") or ():
            usage = usage or _object(choice).get("usage")
    return usage if isinstance(usage, dict) and usage else None


def read_usage(usage: JsonObject) -> Usage:
    """The prompt includes what was cached, the completion includes reasoning."""
    of_prompt = _object(usage.get("prompt_tokens_details"))
    prompt = _count(usage, "prompt_tokens")
    output = _count(usage, "completion_tokens")
    cached = (
        _count(of_prompt, "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens")  # DeepSeek
        or _count(usage, "cached_tokens")  # Kimi
    )
    written = _count(of_prompt, "cache_write_tokens")
    thinking = _count(_object(usage.get("completion_tokens_details")), "reasoning_tokens")
    thinking = thinking or _count(usage, "reasoning_tokens")
    if thinking and _count(usage, "total_tokens") == prompt + output + thinking:
        output += thinking  # xAI counts reasoning beside the completion
    return Usage(
        # Some vendors leave cached tokens out already.
        input=max(prompt - cached - written, 0),
        output=output,
        thinking=min(thinking, output),
        cache_read=cached,
        cache_write=written,
        searches=_count(_object(usage.get("server_tool_use")), "web_search_requests"),
    )


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _count(usage: JsonObject, name: str) -> int:
    """A count that clients can read; an answer is not lost over a strange one (faults.md 71)."""
    value = usage.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0
