"""The Anthropic Messages API: towards clients such as Claude Code, and towards upstreams."""

from collections.abc import Mapping

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import ClientDialect, ErrorReply, PathTarget, ReplyFrame
from mcp_proxy.dialects.anthropic.blocks import DIALECT
from mcp_proxy.dialects.anthropic.errors import render_error
from mcp_proxy.dialects.anthropic.reply import render_reply
from mcp_proxy.dialects.anthropic.request import parse
from mcp_proxy.dialects.anthropic.stream import PING, MessageStream
from mcp_proxy.dialects.anthropic.upstream import UPSTREAM
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import Reply
from mcp_proxy.strict_json import JsonObject


class AnthropicClient(ClientDialect):
    """The client half of the dialect."""

    name = DIALECT
    keep_alive = PING

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """The request in the neutral model. BadRequest names the field at fault by JSON path."""
        return parse(body, headers)

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """The same for count_tokens, whose bodies have no `max_tokens`."""
        return parse(body, headers, counting=True)

    def stream_renderer(self, frame: ReplyFrame) -> MessageStream:
        return MessageStream(frame)

    def render_reply(self, reply: Reply, frame: ReplyFrame) -> JsonObject:
        """The whole answer as the body of a non-stream response."""
        return render_reply(reply, frame)

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply:
        return render_error(error, request_id)


CLIENT = AnthropicClient()

__all__ = ["CLIENT", "UPSTREAM", "AnthropicClient"]
