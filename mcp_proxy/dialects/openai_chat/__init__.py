"""OpenAI Chat Completions, both sides."""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import PathTarget, ReplyFrame, UpstreamDialect
from mcp_proxy.dialects.openai_chat.names import NAME
from mcp_proxy.dialects.openai_chat.reply import render_reply
from mcp_proxy.dialects.openai_chat.request import parse_request
from mcp_proxy.dialects.openai_chat.stream import ChatStream
from mcp_proxy.dialects.openai_chat.upstream_request import render_request
from mcp_proxy.dialects.openai_chat.upstream_stream import ChatStreamParser
from mcp_proxy.dialects.openai_client import OpenAiClient
from mcp_proxy.model import ModelInfo


class ChatClient(OpenAiClient):
    """Implements `ClientDialect`."""

    name = NAME
    render_reply = staticmethod(render_reply)

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_request(body, headers)

    def stream_renderer(self, frame: ReplyFrame) -> ChatStream:
        return ChatStream(frame)


class ChatUpstream(UpstreamDialect):
    """For OpenAI, Copilot, and all that is compatible with OpenAI."""

    name = NAME
    render_request = staticmethod(render_request)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> ChatStreamParser:
        return ChatStreamParser(conversation, model)


CLIENT: Final = ChatClient()
UPSTREAM: Final = ChatUpstream()
