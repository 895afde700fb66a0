"""What both of OpenAI's APIs have in common towards clients, beside their bodies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from mcp_proxy.conversation import Conversation, JsonObject
from mcp_proxy.dialects import ErrorReply, PathTarget
from mcp_proxy.dialects.openai_errors import render_error
from mcp_proxy.errors import ProxyError
from mcp_proxy.strict_json import read_object


class OpenAiClient(ABC):
    """A base for their `ClientDialect`s."""

    # SSE comments: every SDK's decoder skips them (client-apis.md 0).
    keep_alive = b": keep-alive\n\n"
    read = staticmethod(read_object)

    @abstractmethod
    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation: ...

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """The same: a request needs no limit, and so says enough to be counted."""
        return self.parse_request(body, headers, target)

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply:
        return render_error(error)
