"""Usage of Chat Completions and its dialects -> `Usage` (client-apis.md 5.2, providers.md 3)."""

from typing import Any

from mcp_proxy.conversation import JsonObject
from mcp_proxy.dialects.token_counts import token_count
from mcp_proxy.events import Usage


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
    of_prompt = usage.get("prompt_tokens_details")
    prompt = token_count(usage, "prompt_tokens")
    output = token_count(usage, "completion_tokens")
    cached = (
        token_count(of_prompt, "cached_tokens")
        or token_count(usage, "prompt_cache_hit_tokens")  # DeepSeek
        or token_count(usage, "cached_tokens")  # Kimi
    )
    written = token_count(of_prompt, "cache_write_tokens")
    thinking = token_count(usage.get("completion_tokens_details"), "reasoning_tokens")
    thinking = thinking or token_count(usage, "reasoning_tokens")
    if thinking and token_count(usage, "total_tokens") == prompt + output + thinking:
        output += thinking  # xAI counts reasoning beside the completion
    return Usage(
        # Some vendors leave cached tokens out already.
        input=max(prompt - cached - written, 0),
        output=output,
        thinking=min(thinking, output),
        cache_read=cached,
        cache_write=written,
        searches=token_count(usage.get("server_tool_use"), "web_search_requests"),
    )


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
