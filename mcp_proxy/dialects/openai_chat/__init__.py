"""OpenAI Chat Completions, both sides."""

from collections.abc import Mapping

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import (
    ClientDialect,
    ErrorReply,
    PathTarget,
    ReplyFrame,
    StreamRenderer,
    UpstreamDialect,
)
from mcp_proxy.dialects.openai_chat.content import NAME
from mcp_proxy.dialects.openai_chat.reply import render_reply
from mcp_proxy.dialects.openai_chat.request import parse_request
from mcp_proxy.dialects.openai_chat.stream import ChatStream
from mcp_proxy.dialects.openai_chat.upstream_request import render_request
from mcp_proxy.dialects.openai_chat.upstream_stream import ChatStreamParser
from mcp_proxy.dialects.openai_errors import render_error
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import Reply
from mcp_proxy.model import ModelInfo


class _Client:
    name = NAME
    # SSE comments: every SDK's decoder skips them (client-apis.md 0).
    keep_alive = b": keep-alive\n\n"

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_request(body, headers)

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """The same: a chat request needs no limit, and so says enough to be counted."""
        return parse_request(body, headers)

    def stream_renderer(self, frame: ReplyFrame) -> StreamRenderer:
        return ChatStream(frame)

    def render_reply(self, reply: Reply, frame: ReplyFrame) -> JsonObject:
        return render_reply(reply, frame)

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply:
        return render_error(error)


class _Upstream:
    name = NAME

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        return render_request(conversation, model)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> ChatStreamParser:
        return ChatStreamParser(conversation, model)


CLIENT: ClientDialect = _Client()
UPSTREAM: UpstreamDialect = _Upstream()
