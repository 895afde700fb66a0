"""The `messages` of a Chat Completions request (client-apis.md 2.1) -> system texts and messages.

The wire has one message per tool result; the neutral model has all results of a turn in one.
"""

from collections.abc import Callable
from dataclasses import field

from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    JsonObject,
    Message,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.openai_chat.content import ContentPart, read_content
from mcp_proxy.dialects.openai_chat.seals import call_signature
from mcp_proxy.dialects.openai_fields import SPEAKERS, object_text, read_name, split_system
from mcp_proxy.dialects.openai_tools import wrapped_text
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, check, get, one_of, spell
from mcp_proxy.values import stateful

_RESULTS = ("tool", "function")
_ROLES = (*SPEAKERS, *_RESULTS)


def read_messages(body: JsonObject) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The leading system texts, and the messages after them (at least one)."""
    items = get(body, "messages", list)
    if not items:
        raise BadRequest("expected at least one message", param="messages")
    transcript = _Transcript()
    for at, item in enumerate(items):
        where: Where = ("messages", at)
        transcript.add(check(item, dict, where), where)
    return split_system(transcript.close())


@stateful
class _Transcript:
    """Messages so far; tool results wait here until another role speaks."""

    _messages: list[Message] = field(default_factory=list)
    _results: list[ToolResult] = field(default_factory=list)
    _function_call: str = ""
    """Id given to the latest legacy `function_call`, which has none on the wire."""

    def add(self, item: JsonObject, where: Where) -> None:
        role = one_of(get(item, "role", str, where), _ROLES, (*where, "role"))
        if role in _RESULTS:
            self._results.append(self._result(item, role, where))
            return
        self._end_results()
        if item.get("function_call"):
            self._function_call = _legacy_id(where)
        parts = _assistant(item, where) if role == "assistant" else _content(item, where)
        self._messages.append(Message(SPEAKERS[role], parts))

    def close(self) -> list[Message]:
        self._end_results()
        return self._messages

    def _end_results(self) -> None:
        if self._results:
            self._messages.append(Message("user", tuple(self._results)))
            self._results = []

    def _result(self, item: JsonObject, role: str, where: Where) -> ToolResult:
        content = _content(item, where)
        parts = tuple([part for part in content if not isinstance(part, Verbatim)])
        if role == "tool":
            call_id = get(item, "tool_call_id", str, where)
            return ToolResult(call_id, parts, name=get(item, "name", str, where, default=None))
        name = get(item, "name", str, where)
        return ToolResult(self._function_call or _legacy_id(where), parts, name=name)


def _legacy_id(where: Where) -> str:
    return f"call_function_{where[1]}"


def _content(item: JsonObject, where: Where) -> tuple[ContentPart, ...]:
    if "content" not in item:
        raise BadRequest("field required", param=spell((*where, "content")))
    return read_content(item["content"], (*where, "content"))


def _assistant(item: JsonObject, where: Where) -> tuple[Part, ...]:
    parts: list[Part] = []
    thought = item.get("reasoning_content") or item.get("reasoning")
    if isinstance(thought, str) and thought:
        parts.append(Thinking(thought))
    parts += read_content(item.get("content"), (*where, "content"))
    if item.get("refusal"):
        parts.append(Text(get(item, "refusal", str, where)))
    for at, call in enumerate(get(item, "tool_calls", list, where, default=())):
        here = (*where, "tool_calls", at)
        parts.append(_tool_call(check(call, dict, here), here))
    if item.get("function_call"):
        function_call = get(item, "function_call", dict, where)
        name, arguments = _function(function_call, (*where, "function_call"))
        parts.append(ToolCall(_legacy_id(where), name, arguments))
    return tuple(parts)


def _tool_call(call: JsonObject, where: Where) -> ToolCall:
    kind = one_of(get(call, "type", str, where, default="function"), _KINDS, (*where, "type"))
    name, arguments = _CALLS[kind](get(call, kind, dict, where), (*where, kind))
    return ToolCall(get(call, "id", str, where), name, arguments, _seal(call))


def _function(function: JsonObject, where: Where) -> tuple[str, str]:
    arguments = get(function, "arguments", str, where, default="")
    return read_name(function, where), object_text(arguments, (*where, "arguments"))


def _custom(custom: JsonObject, where: Where) -> tuple[str, str]:
    return read_name(custom, where), wrapped_text(get(custom, "input", str, where, default=""))


_CALLS: dict[str, Callable[[JsonObject, Where], tuple[str, str]]] = {
    "function": _function,
    "custom": _custom,
}
_KINDS = tuple(_CALLS)


def _seal(call: JsonObject) -> Seal | None:
    """The signature where Google's own OpenAI-compatible API puts it."""
    value = call_signature(call)
    return Seal(UNKNOWN_ORIGIN, value) if value else None
