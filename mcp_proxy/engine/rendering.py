"""Makes a conversation ready for one model: seals settled, history repaired, media inlined."""

from dataclasses import dataclass, replace

from mcp_proxy.account import Candidate
from mcp_proxy.conversation import Conversation, Message, Part, Thinking, ToolCall
from mcp_proxy.dialects import StreamParser, upstream_dialect
from mcp_proxy.dialects.gemini.tools import explain_bad_request
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.policy.repair import repair
from mcp_proxy.policy.seals import settle
from mcp_proxy.providers import JsonObject, provider


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request in the upstream's dialect, and what it was made of."""

    model: ModelInfo
    conversation: Conversation
    body: JsonObject
    dialect: str
    stripped: bool
    """Whether all thinking was taken out of the history."""
    notes: tuple[str, ...]
    """What was repaired or left out, in words."""

    def parser(self) -> StreamParser:
        return upstream_dialect(self.dialect).stream_parser(self.conversation, self.model)


async def render_for(
    runtime: Runtime,
    conversation: Conversation,
    candidate: Candidate,
    *,
    strip_thinking: bool,
    has_media: bool,
) -> Rendered:
    """The conversation as `candidate.model` can take it. Raises BadRequest for what it cannot."""
    model = info(candidate.model)
    dialect = provider(candidate.account.provider).dialect_for(model.id)
    if strip_thinking:
        conversation = without_thinking(conversation)
    conversation, dropped = settle(conversation, model.family, runtime.seals)
    conversation, repaired = repair(conversation, model.family)
    if has_media:
        conversation = await runtime.media.inline(conversation)
    body = upstream_dialect(dialect).render_request(conversation, model)
    notes = (*dropped, *repaired)
    return Rendered(model, conversation, body, dialect, strip_thinking, notes)


def explained(failure: Failure, rendered: Rendered) -> Failure:
    """A refused request in terms of what the client sent: the tool's name, not its number."""
    return replace(failure, detail=explain_bad_request(failure.detail, rendered.conversation))


def without_thinking(conversation: Conversation) -> Conversation:
    """The history without thinking and seals, for upstreams that refused a signature in it."""
    messages = tuple(
        Message(message.role, tuple(_unsealed(message.parts))) for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def _unsealed(parts: tuple[Part, ...]) -> list[Part]:
    return [
        replace(part, seal=None) if isinstance(part, ToolCall) else part
        for part in parts
        if not isinstance(part, Thinking)
    ]
