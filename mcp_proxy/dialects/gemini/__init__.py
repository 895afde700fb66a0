"""Gemini `generateContent`, the upstream side: what Cloud Code, Gemini and Vertex take and answer.

Knows nothing of envelopes, addresses and accounts; those are the providers'.
"""

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.gemini.request import render_request
from mcp_proxy.dialects.gemini.stream import GeminiStreamParser
from mcp_proxy.model import ModelInfo


class GeminiUpstream:
    """Implements `UpstreamDialect`."""

    name = "gemini"

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        return render_request(conversation, model)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> GeminiStreamParser:
        return GeminiStreamParser(conversation, model)


UPSTREAM = GeminiUpstream()
