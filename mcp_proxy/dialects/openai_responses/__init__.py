"""OpenAI Responses, both sides."""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import PathTarget, ReplyFrame, UpstreamDialect
from mcp_proxy.dialects.openai_client import OpenAiClient
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.request import parse_request
from mcp_proxy.dialects.openai_responses.stream import ResponseStream, render_reply
from mcp_proxy.dialects.openai_responses.upstream_request import render_request
from mcp_proxy.dialects.openai_responses.upstream_stream import ResponsesStreamParser
from mcp_proxy.model import ModelInfo


class ResponsesClient(OpenAiClient):
    """Implements `ClientDialect`."""

    name = NAME
    render_reply = staticmethod(render_reply)

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_request(body, headers)

    def stream_renderer(self, frame: ReplyFrame) -> ResponseStream:
        return ResponseStream(frame)


class ResponsesUpstream(UpstreamDialect):
    """For OpenAI, Codex and Copilot."""

    name = NAME
    render_request = staticmethod(render_request)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> ResponsesStreamParser:
        return ResponsesStreamParser(conversation, model)


CLIENT: Final = ResponsesClient()
UPSTREAM: Final = ResponsesUpstream()
