"""Token counts of a Messages answer -> Usage (client-apis.md 1.4, 5.2)."""

from mcp_proxy.dialects.token_counts import token_count
from mcp_proxy.events import Usage
from mcp_proxy.strict_json import JsonObject


def read_usage(usage: JsonObject) -> Usage:
    """`input_tokens` excludes what a cache gave or took, as `Usage.input` does."""
    return Usage(
        input=token_count(usage, "input_tokens"),
        output=token_count(usage, "output_tokens"),
        thinking=token_count(usage.get("output_tokens_details"), "thinking_tokens"),
        cache_read=token_count(usage, "cache_read_input_tokens"),
        cache_write=token_count(usage, "cache_creation_input_tokens"),
        searches=token_count(usage.get("server_tool_use"), "web_search_requests"),
    )
