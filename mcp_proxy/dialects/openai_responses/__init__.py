"""OpenAI Responses, both sides."""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import PathTarget, ReplyFrame
from mcp_proxy.dialects.openai_client import OpenAiClient
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.request import parse_request
from mcp_proxy.dialects.openai_responses.stream import ResponseStream, render_reply
from mcp_proxy.dialects.openai_responses.upstream_request import render_request
from mcp_proxy.dialects.openai_responses.upstream_stream import ResponsesStreamParser
from mcp_proxy.events import Reply
from mcp_proxy.model import ModelInfo


class ResponsesClient(OpenAiClient):
    """Implements `ClientDialect`."""

    name = NAME

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_request(body, headers)

    def stream_renderer(self, frame: ReplyFrame) -> ResponseStream:
        return ResponseStream(frame)

    def render_reply(self, reply: Reply, frame: ReplyFrame) -> JsonObject:
        return render_reply(reply, frame)


class ResponsesUpstream:
    """Implements `UpstreamDialect`: for OpenAI, Codex and Copilot."""

    name = NAME

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        return render_request(conversation, model)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> ResponsesStreamParser:
        return ResponsesStreamParser(conversation, model)


CLIENT: Final = ResponsesClient()
UPSTREAM: Final = ResponsesUpstream()
