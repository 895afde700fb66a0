"""The Anthropic Messages API: towards clients such as Claude Code, and towards upstreams."""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import PathTarget, ReplyFrame, UpstreamDialect
from mcp_proxy.dialects.anthropic.errors import render_error
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.anthropic.reply import render_reply
from mcp_proxy.dialects.anthropic.request import parse_request
from mcp_proxy.dialects.anthropic.stream import PING, MessageStream
from mcp_proxy.dialects.anthropic.upstream_request import render_request
from mcp_proxy.dialects.anthropic.upstream_stream import MessagesStreamParser
from mcp_proxy.dialects.recent_messages import RecentMessages
from mcp_proxy.model import ModelInfo
from mcp_proxy.strict_json import JsonObject


class AnthropicClient:
    """Implements `ClientDialect`."""

    name = NAME
    keep_alive = PING
    parse_request = staticmethod(parse_request)
    render_reply = staticmethod(render_reply)
    render_error = staticmethod(render_error)

    def __init__(self) -> None:
        self.read = RecentMessages().read

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """Bodies of count_tokens have no `max_tokens`."""
        return parse_request(body, headers, counting=True)

    def stream_renderer(self, frame: ReplyFrame) -> MessageStream:
        return MessageStream(frame)


class AnthropicUpstream(UpstreamDialect):
    """For Anthropic, Z.AI, and Claude on Vertex and at Copilot."""

    name = NAME
    render_request = staticmethod(render_request)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> MessagesStreamParser:
        return MessagesStreamParser(conversation, model)


CLIENT: Final = AnthropicClient()
UPSTREAM: Final = AnthropicUpstream()
