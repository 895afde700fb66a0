"""Gemini `generateContent`, both ways: clients such as Gemini CLI, and Google's own upstreams.

The upstream side is what Cloud Code, Gemini and Vertex take and answer; envelopes, addresses and
accounts are the providers'. Modules of the side that faces clients are named `client_*`.
"""

from collections.abc import Mapping
from typing import Final

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import (
    ErrorReply,
    JsonObject,
    PathTarget,
    ReplyFrame,
    StreamParser,
    UpstreamDialect,
)
from mcp_proxy.dialects.cut_stream import CutStreamParser
from mcp_proxy.dialects.gemini.client_errors import render_error
from mcp_proxy.dialects.gemini.client_reply import render_reply
from mcp_proxy.dialects.gemini.client_request import parse_count_request, parse_request
from mcp_proxy.dialects.gemini.client_stream import KEEP_ALIVE, GeminiStream
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.dialects.gemini.request import render_request, split_stops
from mcp_proxy.dialects.gemini.stream import GeminiStreamParser
from mcp_proxy.dialects.gemini.tools import explain_bad_request
from mcp_proxy.errors import ProxyError
from mcp_proxy.model import ModelInfo
from mcp_proxy.strict_json import read_object


class GeminiClient:
    """Implements `ClientDialect`."""

    name = NAME
    keep_alive = KEEP_ALIVE
    read = staticmethod(read_object)
    render_reply = staticmethod(render_reply)

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_request(body, target)

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        return parse_count_request(body, target)

    def stream_renderer(self, frame: ReplyFrame) -> GeminiStream:
        return GeminiStream(frame)

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply:
        return render_error(error)


class GeminiUpstream(UpstreamDialect):
    """For Antigravity, Gemini and Vertex."""

    name = NAME
    render_request = staticmethod(render_request)
    explain = staticmethod(explain_bad_request)

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> StreamParser:
        parser = GeminiStreamParser(conversation, model)
        if not conversation.sampling.stop:
            return parser
        _, beyond = split_stops(conversation, model)
        return CutStreamParser(parser, beyond) if beyond else parser


CLIENT: Final = GeminiClient()
UPSTREAM: Final = GeminiUpstream()
