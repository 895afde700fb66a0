"""OpenAI Responses, both sides."""

from collections.abc import Mapping

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import ClientDialect, ErrorReply, PathTarget, ReplyFrame, StreamRenderer
from mcp_proxy.dialects.openai_errors import render_error
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.request import parse_request
from mcp_proxy.dialects.openai_responses.stream import ResponseStream, render_reply
from mcp_proxy.dialects.openai_responses.upstream import UPSTREAM as UPSTREAM
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import Reply


class _OpenAiResponses:
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
        """The same: a request needs no limit, and so says enough to be counted."""
        return parse_request(body, headers)

    def stream_renderer(self, frame: ReplyFrame) -> StreamRenderer:
        return ResponseStream(frame)

    def render_reply(self, reply: Reply, frame: ReplyFrame) -> JsonObject:
        return render_reply(reply, frame)

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply:
        return render_error(error)


CLIENT: ClientDialect = _OpenAiResponses()
