"""The `input` of a Responses request (client-apis.md 3.1) -> system texts and messages.

The wire is a flat list of items. The neutral model has turns: what an assistant thought, said and
called between two inputs is one message, and so are the results that follow. Items that only this
API knows become `Verbatim`, each a whole item.
"""

from collections.abc import Callable
from dataclasses import field

from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    JsonObject,
    Media,
    Message,
    Part,
    Role,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.inline_data import read_base64
from mcp_proxy.dialects.openai_fields import SPEAKERS, object_text, read_name, split_system
from mcp_proxy.dialects.openai_responses.content import read_content
from mcp_proxy.dialects.openai_responses.names import NAME, REDACTED, flat_name
from mcp_proxy.dialects.openai_tools import wrapped_text
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, check, get, kind_of, one_of, spell
from mcp_proxy.values import stateful

# `item_reference` points at an item that was to be stored; the rest of the history stands without.
_LEFT_OUT = frozenset({"additional_tools", "item_reference", "compaction_trigger"})
"""`additional_tools` are read with the tools."""


def read_input(body: JsonObject) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The instructions and leading system texts, and the messages after them (at least one)."""
    given = body.get("input")
    if isinstance(given, str):
        messages = [Message("user", read_content(given, ("input",)))]
    else:
        messages = _messages(given)
    instructions = get(body, "instructions", str, default=None)
    system, rest = split_system(messages)
    return ((Text(instructions), *system) if instructions else system), rest


def _messages(given: object) -> list[Message]:
    if not isinstance(given, list):
        found = "field required" if given is None else f"got {kind_of(given)}"
        raise BadRequest(f"expected text or a list of items, {found}", param="input")
    transcript = _Transcript()
    for at, item in enumerate(given):
        where: Where = ("input", at)
        transcript.add(check(item, dict, where), where)
    messages = transcript.close()
    if not messages:
        raise BadRequest("expected at least one message", param="input")
    return messages


@stateful
class _Transcript:
    """Messages so far; the parts of the turn that is going on wait here until it is over."""

    _messages: list[Message] = field(default_factory=list)
    _role: Role = "user"
    _parts: list[Part] = field(default_factory=list)

    def add(self, item: JsonObject, where: Where) -> None:
        kind = get(item, "type", str, where, default="message")
        if kind == "message":
            self._add_message(item, where)
        elif read := _ANSWERED.get(kind):
            self._extend("assistant", read(item, where))
        elif read := _RETURNED.get(kind):
            self._extend("user", read(item, where))
        elif kind not in _LEFT_OUT:
            role: Role = "user" if kind.endswith("_output") else "assistant"
            self._extend(role, (Verbatim(NAME, item),))

    def close(self) -> list[Message]:
        self._end_turn()
        return self._messages

    def _add_message(self, item: JsonObject, where: Where) -> None:
        said = one_of(get(item, "role", str, where), tuple(SPEAKERS), (*where, "role"))
        if "content" not in item:
            raise BadRequest("field required", param=spell((*where, "content")))
        role, parts = SPEAKERS[said], read_content(item["content"], (*where, "content"))
        if role == "assistant":
            self._extend(role, parts)
        else:
            self._end_turn()
            self._messages.append(Message(role, parts))

    def _extend(self, role: Role, parts: tuple[Part, ...]) -> None:
        if role != self._role:
            self._end_turn()
            self._role = role
        self._parts += parts

    def _end_turn(self) -> None:
        if self._parts:
            self._messages.append(Message(self._role, tuple(self._parts)))
            self._parts = []


def _reasoning(item: JsonObject, where: Where) -> tuple[Part, ...]:
    text = _joined(item, "summary", where) or _joined(item, "content", where)
    sealed = get(item, "encrypted_content", str, where, default="")
    if sealed.startswith(REDACTED):
        seal = Seal(UNKNOWN_ORIGIN, sealed.removeprefix(REDACTED))
        return (Thinking("", seal, redacted=True),)
    if sealed:
        return (Thinking(text, Seal(UNKNOWN_ORIGIN, sealed)),)
    return (Thinking(text),) if text else ()


def _joined(item: JsonObject, key: str, where: Where) -> str:
    texts = []
    for at, part in enumerate(get(item, key, list, where, default=())):
        here: Where = (*where, key, at)
        texts.append(get(check(part, dict, here), "text", str, here, default=""))
    return "\n\n".join(texts)


def _function_call(item: JsonObject, where: Where) -> tuple[Part, ...]:
    arguments = get(item, "arguments", str, where, default="")
    return (_call(item, object_text(arguments, (*where, "arguments")), where),)


def _custom_call(item: JsonObject, where: Where) -> tuple[Part, ...]:
    return (_call(item, wrapped_text(get(item, "input", str, where, default="")), where),)


def _call(item: JsonObject, arguments: str, where: Where) -> ToolCall:
    namespace = get(item, "namespace", str, where, default=None)
    name = flat_name(namespace, read_name(item, where))
    return ToolCall(get(item, "call_id", str, where), name, arguments)


def _image(item: JsonObject, where: Where) -> tuple[Part, ...]:
    """An image of an earlier answer; without its data there is nothing to show."""
    result = get(item, "result", str, where, default="")
    if not result:
        return ()
    kind = get(item, "output_format", str, where, default="png")
    return (Media(f"image/{kind}", read_base64(result, (*where, "result"))),)


def _output(item: JsonObject, where: Where) -> tuple[Part, ...]:
    parts = read_content(item.get("output"), (*where, "output"))
    return (ToolResult(get(item, "call_id", str, where), parts),)


_Reader = Callable[[JsonObject, Where], tuple[Part, ...]]

_ANSWERED: dict[str, _Reader] = {
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "image_generation_call": _image,
}
"""Items that belong to the assistant's turn."""

_RETURNED: dict[str, _Reader] = {
    "function_call_output": _output,
    "custom_tool_call_output": _output,
}
"""Items that answer the assistant's calls."""
