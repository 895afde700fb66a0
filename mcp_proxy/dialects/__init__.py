"""Wire formats. A dialect translates between bytes of one API and the neutral model, both ways.

Hub, not pairs: every dialect knows `Conversation`, `Event` and `Reply`, and no other dialect.
`DIALECTS` is the list; a new wire format is a folder here and a line there.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from mcp_proxy.conversation import Conversation
from mcp_proxy.errors import ProxyError
from mcp_proxy.events import Event, Reply
from mcp_proxy.model import ModelInfo
from mcp_proxy.values import value

JsonObject = dict[str, Any]


EVENT_STREAM = "text/event-stream; charset=utf-8"


@value
class ErrorReply:
    """An error in a dialect's own shape: status, extra headers, JSON body."""

    status: int
    body: JsonObject
    headers: Mapping[str, str]


@value
class ReplyFrame:
    """What a renderer must know of the request that it answers."""

    id: str
    """Fresh id of the answer, without a prefix: 24 hex digits."""
    model: str
    """The model as the client spelled it; echoed in the answer."""
    created: int
    """Unix seconds."""
    prompt_estimate: Callable[[], int]
    """Tokens of the prompt as far as known before the upstream has counted; asked where needed."""
    conversation: Conversation


@value
class PathTarget:
    """What a dialect that names the model in the path says there (Gemini)."""

    model: str
    stream: bool
    array: bool = False
    """The stream is to be one JSON list instead of SSE."""


class StreamParser(Protocol):
    """Upstream side: records of one answer -> events. Holds the state of one stream."""

    @property
    def may_end(self) -> bool:
        """Whether what has come is a whole answer if nothing more comes.

        For APIs that do not mark the last record; never where `Finished` is given with that one.
        """
        ...

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        """Appends the events of one decoded record.

        Raises UpstreamBroke on nonsense, UpstreamSaidError for an error record of its own shape
        (an object with a top-level "error" never gets here).
        """
        ...

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        """All events of an answer that came as one document, `Finished` included.

        For calls that did not ask for a stream, and upstreams that do not heed it.
        """
        ...

    def close(self, out: list[Event]) -> None:
        """The stream ended, or said `[DONE]`; may come twice.

        Gives what was held back, `Finished` at the latest. Raises UpstreamBroke when the answer
        was not complete.
        """
        ...


class StreamRenderer(Protocol):
    """Client side: events of one answer -> bytes. Holds the state of one stream."""

    content_type: str

    def render(self, events: Sequence[Event]) -> bytes:
        """Bytes of a batch of events; may be empty. Never called after `Finished`."""
        ...

    def fail(self, error: ProxyError, request_id: str) -> bytes:
        """The in-stream error that ends a stream that had begun, in place of its terminal event."""
        ...


class ClientDialect(Protocol):
    """The half of a dialect that faces clients."""

    name: str
    keep_alive: bytes
    """Written into a silent stream; b"" where the dialect has none."""

    def read(self, body: bytes) -> JsonObject:
        """The body for `parse_request`, and for nobody else: what is known of it may not be in it.

        Raises BadRequest for what is no JSON object.
        """
        ...

    def parse_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """The request in the neutral model. BadRequest names the field at fault by JSON path.

        `target`: what the path says, for dialects that name the model there.
        """
        ...

    def parse_count_request(
        self, body: JsonObject, headers: Mapping[str, str], target: PathTarget | None = None
    ) -> Conversation:
        """Like `parse_request`, for a request that only asks how long its prompt is."""
        ...

    def stream_renderer(self, frame: ReplyFrame) -> StreamRenderer: ...

    def render_reply(self, reply: Reply, frame: ReplyFrame) -> JsonObject:
        """The whole answer as the body of a non-stream response."""
        ...

    def render_error(self, error: ProxyError, request_id: str) -> ErrorReply: ...


class UpstreamDialect(Protocol):
    """The half of a dialect that faces upstreams."""

    name: str

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        """The request body for `model`, asking for a stream where the body says so.

        May contain `orjson.Fragment`s. Seals in the conversation are already of the model's family,
        tool calls and results are paired, URLs the upstream cannot fetch are inlined.
        """
        ...

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> StreamParser:
        """The parser of the answer; it maps tool names back and drops what the request added."""
        ...

    def explain(self, detail: str, conversation: Conversation, model: ModelInfo) -> str:
        """What an upstream said of a request that it refused, in terms of what the client sent."""
        return detail


_MODULES = {
    "anthropic": "mcp_proxy.dialects.anthropic",
    "openai_chat": "mcp_proxy.dialects.openai_chat",
    "openai_responses": "mcp_proxy.dialects.openai_responses",
    "openai_images": "mcp_proxy.dialects.openai_images",
    "gemini": "mcp_proxy.dialects.gemini",
}
"""Each module has `CLIENT`, `UPSTREAM`, or both. Named, not imported: the CLI loads none."""


@cache
def client_dialect(name: str) -> ClientDialect:
    """The client half of a dialect. KeyError for a name that is not a dialect."""
    return cast(ClientDialect, import_module(_MODULES[name]).CLIENT)


@cache
def upstream_dialect(name: str) -> UpstreamDialect:
    """The upstream half of a dialect. KeyError for a name that is not a dialect."""
    return cast(UpstreamDialect, import_module(_MODULES[name]).UPSTREAM)
