"""Makes a request ready for one candidate: forwarded as it came, or rendered in another dialect.

A client's own bytes go on when the upstream speaks its dialect, with only the model's name
replaced. Otherwise: seals settled, history repaired, media inlined, and the dialect renders.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from mcp_proxy.dialects import StreamParser, upstream_dialect
from mcp_proxy.engine.json_bytes import with_model
from mcp_proxy.engine.public_addresses import is_public
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import BadRequest, Failure
from mcp_proxy.loopback import is_loopback
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.policy.repair import repair
from mcp_proxy.policy.seals import disowned, has_foreign_thinking, settle
from mcp_proxy.providers import Ask, JsonObject, Provider, UpstreamCall, provider
from mcp_proxy.providers.features import DIALECT
from mcp_proxy.strict_json import encode, nests_too_deeply
from mcp_proxy.values import value


@value
class Incoming:
    """One client request, before anybody has been chosen to answer it."""

    conversation: Conversation
    size: int
    """Bytes of the body."""
    body: bytes = field(default=b"", repr=False)
    """As it came, when an account might take it so; else empty."""
    parsed: JsonObject = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@value
class Prepared:
    """What a request was made into for one model of one provider.

    Without the body: that of a long history is thousands of objects, which are let go as soon as
    they are encoded. Another attempt that wants the same renders them again.
    """

    model: ModelInfo
    dialect: str
    conversation: Conversation
    """Settled, repaired and with its media, unless it was forwarded; see `forwarded` for how much
    of it is held."""
    stripped: bool = False
    """Whether all thinking was taken out of the history."""
    disowned: tuple[tuple[str, JsonObject], ...] = field(default=(), repr=False)
    """Rows of seals to store once the model has taken the history without thinking."""
    forwarded: bool = False
    """The client's own bytes are sent."""
    notes: tuple[str, ...] = ()
    """What was repaired or left out, in words."""

    def parser(self) -> StreamParser:
        """Of the answer. It holds no history, for it lasts as long as the answer does."""
        conversation = self.conversation
        if conversation.messages:
            conversation = conversation.without_history()
        return upstream_dialect(self.dialect).stream_parser(conversation, self.model)


def forwarded(
    runtime: Runtime,
    incoming: Incoming,
    ask: Ask,
    asked: Conversation | None,
    *,
    has_media: bool,
) -> tuple[Prepared, UpstreamCall] | None:
    """The request with the client's own bytes. None: it has to be rendered.

    `ask.dialect` is the dialect it will be in; see `dialect_of`. `asked`: the conversation without
    its history, to be held in place of it; None: another attempt is made of what was prepared.
    """
    conversation = incoming.conversation
    if ask.dialect != conversation.dialect:
        return None
    if has_media and _would_fetch_here(conversation, ask.host):
        return None
    place = provider(ask.account.provider)
    body = _forwarded(runtime, incoming, ask, place)
    if body is None:
        return None
    ask = replace(ask, stream=conversation.wants_stream, client_headers=incoming.headers)
    call = place.build_call(body, ask)
    return Prepared(ask.model, ask.dialect, asked or conversation, forwarded=True), call


def dialect_of(
    place: Provider, model: ModelInfo, conversation: Conversation, avoided: frozenset[str]
) -> str:
    """The client's own dialect where the place speaks it, else the place's first."""
    spoken = place.dialects(model)
    if avoided:
        spoken = tuple(name for name in spoken if DIALECT + name not in avoided) or spoken
    return conversation.dialect if conversation.dialect in spoken else spoken[0]


def call_again(prepared: Prepared, ask: Ask) -> UpstreamCall:
    """The call for what was rendered for an earlier attempt."""
    body = upstream_dialect(prepared.dialect).render_request(prepared.conversation, prepared.model)
    return _call(prepared.conversation, body, ask)


def _call(conversation: Conversation, body: JsonObject, ask: Ask) -> UpstreamCall:
    if conversation is not ask.conversation:
        ask = replace(ask, conversation=conversation)
    try:
        return provider(ask.account.provider).build_call(body, ask)
    except TypeError as cause:
        if not nests_too_deeply(cause):
            raise
        # Of what goes on unread, a block of a kind that is not known here: see `json_text`.
        raise BadRequest(f"the request cannot be sent on: {cause}") from cause


def _forwarded(runtime: Runtime, incoming: Incoming, ask: Ask, place: Provider) -> bytes | None:
    """The client's body with this place's name of the model; None when it has to be rendered."""
    conversation = incoming.conversation
    if conversation.wants_array or has_foreign_thinking(
        conversation, ask.model, runtime.seals, wants_signed=_wants_signed(incoming, ask.model)
    ):
        return None
    repaired, _ = repair(conversation, ask.model.family)
    if repaired is not conversation:
        return None
    ask = replace(ask, stream=conversation.wants_stream, client_headers=incoming.headers)
    body = place.forwardable(incoming.parsed, ask)
    if body is None:
        return None
    if body is incoming.parsed:
        return with_model(incoming.body, incoming.parsed, ask.model.id)
    return encode({**body, "model": ask.model.id} if "model" in body else body)


def _would_fetch_here(conversation: Conversation, host: str) -> bool:
    """Whether a picture's address would be fetched from this machine or its network.

    Then this program fetches it, which keeps clients away from what they cannot reach themselves.
    """
    addresses = [
        media.url
        for message in conversation.messages
        for part in message.parts
        for media in (part.parts if isinstance(part, ToolResult) else (part,))
        if isinstance(media, Media) and media.url is not None
    ]
    return bool(addresses) and (
        is_loopback(urlsplit(host).hostname or "") or not all(map(_may_be_public, addresses))
    )


def _may_be_public(address: str) -> bool:
    name = urlsplit(address).hostname or ""
    try:
        return is_public(ip_address(name))
    except ValueError:
        return not is_loopback(name)


def _wants_signed(incoming: Incoming, model: ModelInfo) -> bool:
    """Whether thinking that nobody signed is refused: by Claude, and where nothing was stored."""
    match incoming.conversation.dialect:
        case "anthropic":
            return model.family is Family.CLAUDE
        case "openai_responses":
            return incoming.parsed.get("store") is False
        case _:
            return False


def rendered(
    runtime: Runtime, ask: Ask, asked: Conversation | None, *, strip_thinking: bool
) -> tuple[Prepared, UpstreamCall]:
    """The request in `ask.dialect`, of a conversation whose media are in it.

    `asked` is as for `forwarded`. Raises BadRequest for what the candidate cannot take.
    """
    conversation, model = ask.conversation, ask.model
    # Whose rules for histories hold. Chat Completions knows no thinking that might be missed.
    family = Family.OTHER if ask.dialect == "openai_chat" else model.family
    dropped: list[str] = []
    rows: list[tuple[str, JsonObject]] = []
    if strip_thinking:
        rows = disowned(conversation, model, runtime.seals, identity=ask.identity)
        # Not settled: what was refused would be restored from where it is remembered.
        conversation = without_thinking(conversation)
        if family is Family.CLAUDE:
            # Which may have refused where the thinking stood, or that there was none.
            conversation = replace(
                conversation, reasoning=replace(conversation.reasoning, mode="off")
            )
            dropped = ["thinking is off for this request: that of its history was refused"]
    else:
        # Chat Completions has no seals; some of its servers want their reasoning back nevertheless.
        keeps_unsigned = ask.dialect == "openai_chat"
        conversation, dropped = settle(
            conversation,
            model,
            runtime.seals,
            identity=ask.identity,
            keeps_unsigned=keeps_unsigned,
        )
    conversation, repaired = repair(conversation, family, ask.dialect)
    body = upstream_dialect(ask.dialect).render_request(conversation, model)
    notes = (*dropped, *repaired)
    if conversation.server_tools and not _searches(body):
        notes += ("web search is left out: this model has none, or none beside other tools",)
    held = conversation
    if asked is not None:
        # Of what is not history, only how much is thought was changed, if anything.
        is_unchanged = conversation.reasoning is asked.reasoning
        held = asked if is_unchanged else conversation.without_history()
    prepared = Prepared(
        model, ask.dialect, held, stripped=strip_thinking, disowned=tuple(rows), notes=notes
    )
    return prepared, _call(conversation, body, ask)


def _searches(body: JsonObject) -> bool:
    """Whether a rendered body asks the upstream to search."""
    return any(
        "googleSearch" in tool or str(tool.get("type", "")).startswith("web_search")
        for tool in body.get("tools", ())
    )


def explained(failure: Failure, prepared: Prepared) -> Failure:
    """A refused request in terms of what the client sent: the tool's name, not its number."""
    if prepared.forwarded:
        return failure
    dialect = upstream_dialect(prepared.dialect)
    detail = dialect.explain(failure.detail, prepared.conversation, prepared.model)
    return replace(failure, detail=detail)


def without_thinking(conversation: Conversation) -> Conversation:
    """The history without thinking and seals, for upstreams that refused a signature in it."""
    messages = tuple(
        Message(message.role, tuple(_unsealed(message.parts))) for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def _unsealed(parts: tuple[Part, ...]) -> list[Part]:
    return [
        replace(part, seal=None) if isinstance(part, ToolCall | Text) and part.seal else part
        for part in parts
        if not isinstance(part, Thinking)
    ]
