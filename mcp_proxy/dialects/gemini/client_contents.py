"""`contents` of a Gemini request -> messages (client-apis.md 4.1).

Calls and results need no ids on this wire: a call without one is numbered, a result without one
belongs to the oldest call of its name that the model's last turn left open. SDKs keep an answer
that they read as a stream in the history as it came, a content for each chunk: pieces of text that
follow each other in the model's turn are one text, and the signature after them is theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

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
from mcp_proxy.dialects.gemini.client_fields import get, listed, snake
from mcp_proxy.dialects.gemini.client_media import read_blob, read_file
from mcp_proxy.dialects.gemini.client_signatures import NO_SIGNATURE, read_signature
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import JsonObject, Where, check, encode, one_of, spell

DIALECT: Final = "gemini"

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


@dataclass(slots=True)
class _Turn:
    """The parts of one message; a run of text or thought pieces waits for its end in `_pieces`."""

    role: Role
    _parts: list[Part] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _kind: type[Text] | type[Thinking] = Text

    def add(self, part: Part) -> None:
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
        if kind is not self._kind and (text or kind is Thinking):
            self._end_run()
            self._kind = kind
        if text:
            self._pieces.append(text)
        if seal is not None:
            self._end_run(seal)

    def message(self) -> Message:
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


class _Marks(NamedTuple):
    """What a part says beside its content."""

    seal: Seal | None = None
    redacted: bool = False
    thought: bool = False


class _Transcript:
    """The messages so far, and the calls that have no result yet."""

    def __init__(self) -> None:
        self._turns: list[_Turn] = []
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        """Id and name of the calls of the model's last turn, in order."""

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
                self._add(turn, check(part, dict, (*where, at)), (*where, at))

    def _turn(self, role: Role) -> _Turn:
        if role == "assistant":
            if self._turns and self._turns[-1].role == role:
                return self._turns[-1]
            self._open = []
        turn = _Turn(role)
        self._turns.append(turn)
        return turn

    def _add(self, turn: _Turn, part: JsonObject, where: Where) -> None:
        marks = _marks(part, where)
        is_known = True
        for key, value in part.items():
            if value is None or key in _BESIDE:
                continue
            read = _READERS.get(key)
            if read is not None:
                here = (*where, key)
                read(self, turn, check(value, dict, here), marks, here)
                return
            is_known = False
        if is_known:
            _add_text(turn, get(part, "text", str, where, ""), marks)
        else:
            turn.add(Verbatim(DIALECT, part))

    # Readers of one kind of part each

    def blob(self, turn: _Turn, blob: JsonObject, _marks: _Marks, where: Where) -> None:
        turn.add(read_blob(blob, where))

    def file(self, turn: _Turn, file: JsonObject, _marks: _Marks, where: Where) -> None:
        turn.add(read_file(file, where))

    def call(self, turn: _Turn, call: JsonObject, marks: _Marks, where: Where) -> None:
        name = read_name(call, where)
        call_id = get(call, "id", str, where, None) or f"gemini_call_{self._calls}"
        self._calls += 1
        self._open.append((call_id, name))
        arguments = get(call, "args", dict, where, None)
        text = _json_text(arguments, (*where, "args")) if arguments else "{}"
        turn.add(ToolCall(call_id, name, text, marks.seal))

    def result(self, turn: _Turn, result: JsonObject, _marks: _Marks, where: Where) -> None:
        name = read_name(result, where)
        call_id = self._answered(get(result, "id", str, where, None), name)
        response = get(result, "response", dict, where, None) or {}
        text = _said(response, (*where, "response"))
        parts: list[Text | Media] = [Text(text)] if text else []
        inside, where = listed(result, "parts", where)
        for at, part in enumerate(inside):
            parts += _readable(check(part, dict, (*where, at)), (*where, at))
        is_error = response.get("error") is not None
        turn.add(ToolResult(call_id, tuple(parts), is_error, name))

    def _answered(self, call_id: str | None, name: str) -> str:
        """The id of the call that a result answers; it is open no longer."""
        for at, (open_id, open_name) in enumerate(self._open):
            if open_id == call_id or (not call_id and open_name == name):
                return self._open.pop(at)[0]
        return call_id or f"gemini_result_of_{name}"


_Reader = Callable[[_Transcript, _Turn, JsonObject, _Marks, Where], None]

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
    name = check(content, dict, where).get("role") or "user"
    known = _ROLES.get(name) if type(name) is str else None
    if known is not None:
        return known
    where = (*where, "role")
    return _ROLES[one_of(check(name, str, where), tuple(_ROLES), where)]


def _marks(part: JsonObject, where: Where) -> _Marks:
    signature = get(part, "thoughtSignature", str, where, None)
    seal, redacted = read_signature(signature) if signature else NO_SIGNATURE
    return _Marks(seal, redacted, bool(part.get("thought")))


def _add_text(turn: _Turn, text: str, marks: _Marks) -> None:
    if turn.role != "assistant":
        turn.add_text(text)
    elif marks.redacted:
        turn.add(Thinking(text, marks.seal, redacted=True))
    else:
        turn.add_piece(Thinking if marks.thought else Text, text, marks.seal)


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


def _readable(part: JsonObject, where: Where) -> list[Text | Media]:
    """Text and media of a part inside a result; other kinds are left out."""
    text = get(part, "text", str, where, "")
    found: list[Text | Media] = [Text(text)] if text else []
    for key, value in part.items():
        if key in _MEDIA and value is not None:
            here = (*where, key)
            found.append(_MEDIA[key](check(value, dict, here), here))
    return found


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
    return value if type(value) is str else _json_text(value, where)


def _json_text(value: Any, where: Where) -> str:
    try:
        return encode(value).decode()
    except orjson.JSONEncodeError as cause:
        raise BadRequest("expected a value that nests less deeply", param=spell(where)) from cause
