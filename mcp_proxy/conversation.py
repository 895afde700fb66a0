"""The neutral model of a request: what every dialect's request is parsed into and rendered from.

Pure values. Lists keep the order of the wire. Parts are frozen; a repair makes new ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from operator import attrgetter
from typing import Any, Final, Literal

from mcp_proxy.values import value

JsonObject = dict[str, Any]

UNKNOWN_ORIGIN = ""

_LONGEST_NAME: Final = 512
"""Characters of a first message that a conversation is recognised by."""

_END: Final = _LONGEST_NAME // 2


@value
class Seal:
    """A thought signature: opaque, and worth something only to the model family that made it."""

    origin: str
    """A `Family` value, or UNKNOWN_ORIGIN for one that a client sent and nobody has looked up."""
    value: str


@value
class Text:
    text: str
    seal: Seal | None = None


@value
class Thinking:
    """Reasoning that a model showed. Without a seal of the target's family it is not re-sent."""

    text: str
    seal: Seal | None = None
    redacted: bool = False
    """True: `seal.value` is an encrypted blob that stands for text nobody may read."""


@value
class ToolCall:
    id: str
    name: str
    arguments: str
    """JSON text of an object, validated by the parser that made it; embedded unparsed."""
    seal: Seal | None = None


@value
class Media:
    """An image, a document, or sound; inline as base64 or by address."""

    mime_type: str
    """`image/*` or `application/pdf` when the client did not say more."""
    data: str = field(default="", repr=False)
    """Standard base64 with padding; empty when `url` is set."""
    url: str | None = None
    name: str | None = None


@value
class ToolResult:
    call_id: str
    parts: tuple["Text | Media", ...] = ()
    is_error: bool = False
    name: str | None = None
    """The tool's name where the dialect gives it with the result."""


@value
class SearchHit:
    """One page that a web search found."""

    url: str
    title: str = ""
    text: str = ""
    """What the answer took from it, where the upstream says so."""


@value
class WebSearch:
    """A search that the upstream itself ran for its answer. Not re-sent: the answer has used it."""

    queries: tuple[str, ...]
    hits: tuple[SearchHit, ...] = ()
    id: str = ""


@value
class Verbatim:
    """A block that only one dialect knows. It travels home unchanged and nowhere else."""

    dialect: str
    value: JsonObject


Part = Text | Thinking | ToolCall | ToolResult | Media | WebSearch | Verbatim

Role = Literal["system", "user", "assistant"]
ChoiceMode = Literal["auto", "any", "none"]
ThinkingMode = Literal["on", "adaptive", "off"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
"""How strongly a model shall think, weakest first."""


@value
class Message:
    role: Role
    parts: tuple[Part, ...]


@value
class Tool:
    """A function the model may call. The schema is the client's own, untouched."""

    name: str
    description: str
    schema: JsonObject
    strict: bool | None = None
    freeform: JsonObject | None = None
    """The `format` of a tool that takes plain text (OpenAI's custom tools), {} when it has none.
    Elsewhere it is a function whose schema is FREEFORM_SCHEMA."""
    namespace: str | None = None
    """The group it was declared in; `name` then is the flat name, `namespace__name`."""


FREEFORM_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""How a tool that takes plain text is offered where all tools take objects."""


@value
class ToolChoice:
    mode: ChoiceMode = "auto"
    names: tuple[str, ...] = ()
    """With `any`: only these may be called; empty means every declared tool."""
    parallel: bool = True


@value
class Sampling:
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()


@value
class Reasoning:
    """What the client wants of the model's thinking.

    `mode` None: nothing was said, the model's own default applies. "on" with a budget comes from
    Anthropic's `enabled`; "adaptive" leaves the amount to the model, guided by `effort`.
    """

    mode: ThinkingMode | None = None
    budget: int | None = None
    effort: Effort | None = None
    visible: bool = True
    """False: think, but do not send the text."""
    by_default: bool = True
    """Whether a model that thinks of itself shows it when nothing was said. In some APIs (OpenAI
    Chat) nothing said means as the model likes; in others (Anthropic) it means no thinking."""


@value
class OutputFormat:
    """The answer must be JSON; with a schema when one is given."""

    schema: JsonObject | None = None
    name: str | None = None


@value
class Conversation:
    """One request, whoever sent it and whoever will answer it."""

    dialect: str
    """Name of the dialect that it came in."""
    model: str
    """As the client spelled it."""
    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    server_tools: tuple[Verbatim, ...] = ()
    """Tools the upstream itself would run (web search); left out where it has none."""
    tool_choice: ToolChoice = ToolChoice()
    sampling: Sampling = Sampling()
    reasoning: Reasoning = Reasoning()
    output: OutputFormat | None = None
    wants_stream: bool = False
    wants_array: bool = False
    """The stream shall be one growing JSON list instead of SSE (Gemini without `alt=sse`)."""
    wants_usage: bool = True
    """Whether a stream shall carry usage (OpenAI's `stream_options.include_usage`)."""
    session: str | None = None
    """The client's own session id, the best key for keeping a conversation on one account."""
    cache_key: str | None = None
    """What the client wants its prompts cached under. Many applications have one for all of their
    conversations, so it tells none of them from another."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """Unknown top-level fields; they travel home with the same dialect."""
    ignored: tuple[str, ...] = ()
    """Known, advisory fields that were left out on the way; shown with `--debug`."""

    def has_media(self) -> bool:
        """Whether there is any image, document or sound in it."""
        for message in self.messages:
            for part in message.parts:
                if type(part) is Media:
                    return True
                if type(part) is ToolResult:
                    for inner in part.parts:
                        if type(inner) is Media:
                            return True
        return False

    def without_history(self) -> "Conversation":
        """What its answer is read and written by: everything but what has been said."""
        return Conversation(self.dialect, self.model, (), (), *_beyond_history(self))

    def identity(self) -> str:
        """The same for every turn of a conversation: the client's session id, else how its first
        user message begins and ends; "" if that has no text.

        All texts of the message count, since some clients begin each of them with the same
        preamble; a long one only with its length and ends, for this is hashed for each request.
        """
        if self.session is not None:
            return self.session
        for message in self.messages:
            if message.role == "user":
                texts = [part.text for part in message.parts if type(part) is Text and part.text]
                if texts:
                    text = texts[0] if len(texts) == 1 else "\n".join(texts)
                    if len(text) <= _LONGEST_NAME:
                        return text
                    return f"{len(text)}:{text[:_END]}{text[-_END:]}"
        return ""


_beyond_history: Final[Callable[[Conversation], tuple[Any, ...]]] = attrgetter(
    *(each.name for each in fields(Conversation)[4:])
)
"""All fields after `messages` and `system`; `replace` would look at each of them four times."""
