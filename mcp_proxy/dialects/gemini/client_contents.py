"""`contents` of a Gemini request -> messages (client-apis.md 4.1).

Calls and results need no ids on this wire: a call without one is numbered, a result without one
belongs to the oldest call of its name that the model's last turn left open. SDKs keep an answer
that they read as a stream in the history as it came, a content for each chunk: pieces of text that
follow each other in the model's turn are one text, and the signature after them is theirs.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final

from mcp_proxy.conversation import (
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
from mcp_proxy.dialects.gemini.client_fields import listed, snake
from mcp_proxy.dialects.gemini.client_media import read_blob, read_file
from mcp_proxy.dialects.gemini.client_signatures import NO_SIGNATURE, Signature, read_signature
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import JsonObject, Where, check, get, json_text, one_of, spell
from mcp_proxy.values import stateful

_ROLES: Final[dict[str, Role]] = {"user": "user", "model": "assistant", "function": "user"}


def read_contents(body: JsonObject, where: Where = ()) -> tuple[Message, ...]:
    """The messages, at least one. BadRequest names the field at fault by JSON path."""
    contents, where = listed(body, "contents", where)
    if not contents:
        raise BadRequest("expected at least one content", param=spell(where))
    transcript = _Transcript()
    for at, content in enumerate(contents):
        transcript.add(content, (*where, at))
    return transcript.messages()


@stateful
class _Turn:
    """The parts of one message; a run of text or thought pieces waits for its end in `_pieces`."""

    role: Role
    _parts: list[Part] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _kind: type[Text] | type[Thinking] = Text

    def add(self, part: Part) -> None:
        if self._pieces:
            self._end_run()
        self._parts.append(part)

    def add_text(self, text: str) -> None:
        """What users say stays in the pieces it came in: they may be of different origin."""
        if self.role == "assistant":
            self.add_piece(Text, text, None)
        elif text:
            self.add(Text(text))

    def add_piece(self, kind: type[Text] | type[Thinking], text: str, seal: Seal | None) -> None:
        """A piece of the model's text or thought; a signature ends the run.

        One that comes with empty text is of what went before it, thoughts included.
        """
        if not text and seal is None:
            return
        if kind is not self._kind and (text or kind is Thinking):
            self._end_run()
            self._kind = kind
        if text:
            self._pieces.append(text)
        if seal is not None:
            self._end_run(seal)

    def message(self) -> Message:
        if self._pieces:
            self._end_run()
        return Message(self.role, tuple(self._parts))

    def _end_run(self, seal: Seal | None = None) -> None:
        if self._pieces:
            self._parts.append(self._kind("".join(self._pieces), seal))
            self._pieces = []
        elif seal is not None and self._kind is Thinking:
            # Thinking whose text was never shown: the seal is all there is of it.
            self._parts.append(Thinking("", seal))
        self._kind = Text


class _Transcript:
    """The messages so far, and the calls that have no result yet."""

    def __init__(self) -> None:
        self._turns: list[_Turn] = []
        self._calls = 0
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        """Name -> ids of the calls of the model's last turn, in order."""
        self._answered: set[str] = set()
        """Those of them that have a result."""

    def messages(self) -> tuple[Message, ...]:
        return tuple([turn.message() for turn in self._turns])

    def add(self, content: Any, where: Where) -> None:
        turn = self._turn(_role(content, where))
        parts, where = listed(content, "parts", where)
        for at, part in enumerate(parts):
            # A history is mostly text: a part of nothing else takes the short way.
            if type(part) is dict and len(part) == 1 and type(text := part.get("text")) is str:
                turn.add_text(text)
            else:
                here = (*where, at)
                self._add(turn, check(part, dict, here), here)

    def _turn(self, role: Role) -> _Turn:
        if role == "assistant":
            if self._turns and self._turns[-1].role == role:
                return self._turns[-1]
            self._waiting.clear()
            self._answered.clear()
        turn = _Turn(role)
        self._turns.append(turn)
        return turn

    def _add(self, turn: _Turn, part: JsonObject, where: Where) -> None:
        is_known = True
        for key, value in part.items():
            read = _READERS.get(key)
            if read is not None and value is not None:
                here = (*where, key)
                read(self, turn, part, check(value, dict, here), here)
                return
            if read is None and key not in _BESIDE and value is not None:
                is_known = False
        if is_known or part.get("text") is not None:
            _add_text(turn, part, where)
        else:
            turn.add(Verbatim(NAME, part))

    # Readers of one kind of part each

    def blob(self, turn: _Turn, _part: JsonObject, blob: JsonObject, where: Where) -> None:
        turn.add(read_blob(blob, where))

    def file(self, turn: _Turn, _part: JsonObject, file: JsonObject, where: Where) -> None:
        turn.add(read_file(file, where))

    def call(self, turn: _Turn, part: JsonObject, call: JsonObject, where: Where) -> None:
        name = read_name(call, where)
        call_id = get(call, "id", str, where, None) or f"gemini_call_{self._calls}"
        self._calls += 1
        self._waiting[name].append(call_id)
        arguments = get(call, "args", dict, where, None)
        text = json_text(arguments, (*where, "args")) if arguments else "{}"
        turn.add(ToolCall(call_id, name, text, _signature(part, where).seal))

    def result(self, turn: _Turn, _part: JsonObject, result: JsonObject, where: Where) -> None:
        name = read_name(result, where)
        call_id = get(result, "id", str, where, None) or self._oldest_open(name)
        self._answered.add(call_id)
        response = get(result, "response", dict, where, None) or {}
        text = _said(response, where)
        parts: tuple[Text | Media, ...] = (Text(text),) if text else ()
        if "parts" in result:
            parts += _attached(result, where)
        turn.add(ToolResult(call_id, parts, response.get("error") is not None, name))

    def _oldest_open(self, name: str) -> str:
        """The call that a result without an id answers; one that answers none is told apart."""
        waiting = self._waiting[name]
        while waiting:
            call_id = waiting.popleft()
            if call_id not in self._answered:
                return call_id
        return f"gemini_result_of_{name}"


_Reader = Callable[[_Transcript, _Turn, JsonObject, JsonObject, Where], None]

_KINDS: Final[dict[str, _Reader]] = {
    "functionCall": _Transcript.call,
    "functionResponse": _Transcript.result,
    "inlineData": _Transcript.blob,
    "fileData": _Transcript.file,
}
_READERS: Final = _KINDS | {snake(name): read for name, read in _KINDS.items()}

_NAMES: Final = ("text", "thought", "thoughtSignature", "videoMetadata", "mediaResolution")
_BESIDE: Final = frozenset((*_NAMES, *map(snake, _NAMES), "partMetadata", "part_metadata"))
"""Text, and what says something about a part: beside these, a key makes a part of another kind."""


def _role(content: Any, where: Where) -> Role:
    name: Any = content.get("role", "user") if type(content) is dict else None
    role = _ROLES.get(name) if type(name) is str else None
    if role is None:
        # Now it pays to build the path: one of these lines names what is wrong.
        name = get(check(content, dict, where), "role", str, where, "user")
        role = _ROLES[one_of(name or "user", tuple(_ROLES), (*where, "role"))]
    return role


def _signature(part: JsonObject, where: Where) -> Signature:
    key = "thoughtSignature" if "thoughtSignature" in part else "thought_signature"
    signature = get(part, key, str, where, None)
    return read_signature(signature) if signature else NO_SIGNATURE


def _add_text(turn: _Turn, part: JsonObject, where: Where) -> None:
    text = get(part, "text", str, where, "")
    if turn.role != "assistant":
        turn.add_text(text)
        return
    seal, redacted = _signature(part, where)
    if redacted:
        turn.add(Thinking(text, seal, redacted=True))
    else:
        turn.add_piece(Thinking if part.get("thought") else Text, text, seal)


def read_name(named: JsonObject, where: Where) -> str:
    """The name of a function. BadRequest when it is missing or empty."""
    name: str = get(named, "name", str, where)
    if not name:
        raise BadRequest("expected a name, got empty text", param=spell((*where, "name")))
    return name


_MEDIA: Final[dict[str, Callable[[JsonObject, Where], Text | Media]]] = {
    spelled: read
    for name, read in (("inlineData", read_blob), ("fileData", read_file))
    for spelled in (name, snake(name))
}


def _attached(result: JsonObject, where: Where) -> tuple[Text | Media, ...]:
    """Text and media beside a function's answer; parts of other kinds are left out."""
    found: list[Text | Media] = []
    parts, where = listed(result, "parts", where)
    for at, item in enumerate(parts):
        inside = (*where, at)
        part = check(item, dict, inside)
        if text := get(part, "text", str, inside, ""):
            found.append(Text(text))
        for key, value in part.items():
            if key in _MEDIA and value is not None:
                here = (*inside, key)
                found.append(_MEDIA[key](check(value, dict, here), here))
    return tuple(found)


_WRAPPERS: Final = frozenset({"output", "result", "error"})
"""By convention a function's answer is an object of one of these keys (client-apis.md 4.1)."""


def _said(response: JsonObject, where: Where) -> str:
    """A function's answer as text; nothing was said in an empty one."""
    if not response:
        return ""
    value: Any = response
    if len(response) == 1:
        ((key, inner),) = response.items()
        value = inner if key in _WRAPPERS else response
    return value if type(value) is str else json_text(value, (*where, "response"))
