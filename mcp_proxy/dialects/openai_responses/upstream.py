"""Responses, the upstream side: what OpenAI, Codex and Copilot take and answer.

Knows nothing of addresses and accounts, nor of what a single place refuses; that is the providers'.
"""

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.upstream_request import render_request
from mcp_proxy.dialects.openai_responses.upstream_stream import ResponsesStreamParser
from mcp_proxy.model import ModelInfo


class ResponsesUpstream:
    """Implements `UpstreamDialect`."""

    name = NAME

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        return render_request(conversation, model)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> ResponsesStreamParser:
        return ResponsesStreamParser(conversation, model)


UPSTREAM = ResponsesUpstream()
