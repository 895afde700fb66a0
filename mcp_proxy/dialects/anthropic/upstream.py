"""The upstream half of the dialect: for Anthropic, Z.AI, and Claude on Vertex and at Copilot."""

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects.anthropic.blocks import DIALECT
from mcp_proxy.dialects.anthropic.upstream_request import render_request
from mcp_proxy.dialects.anthropic.upstream_stream import MessagesParser
from mcp_proxy.model import ModelInfo
from mcp_proxy.strict_json import JsonObject


class AnthropicUpstream:
    """Implements `UpstreamDialect`."""

    name = DIALECT

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        return render_request(conversation, model)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> MessagesParser:
        return MessagesParser(conversation, model)


UPSTREAM = AnthropicUpstream()
