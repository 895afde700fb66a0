"""Messages -> `contents`: turns, parts, calls and results, pictures, signatures in their place.

Expects what `UpstreamDialect.render_request` promises: seals are of the model's family, calls and
results are paired. Runs over the whole history with every request, so it makes no object that is
not sent. Section and pitfall numbers are those of protocols/cloudcode.md.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.call_names import legal_id
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.dialects.gemini.recent_turns import SHORTEST, Begun, Called, RecentTurns
from mcp_proxy.dialects.gemini.tools import Toolbox
from mcp_proxy.dialects.media_forms import mime_type
from mcp_proxy.dialects.turns import runs
from mcp_proxy.dialects.wording import REMINDER, described
from mcp_proxy.model import Family, ModelInfo

SENTINEL: Final = "skip_thought_signature_validator"
"""Documented by Google for calls whose signature is lost (4.3)."""


_CODE: Final = frozenset(
    ("executableCode", "executable_code", "codeExecutionResult", "code_execution_result")
)
_OF_CODE: Final = _CODE | {"thought", "thoughtSignature", "thought_signature"}
"""Of the parts that go on unread, those that Google's upstreams know, and what may be beside."""


_recent: Final = RecentTurns()


class Contents:
    """Renders the messages; consecutive ones of a role become one content.

    So results of parallel calls are together, and leaving out an empty message cannot break the
    alternation of roles.
    """

    def __init__(self, toolbox: Toolbox, model: ModelInfo, *, thinks: bool) -> None:
        self._toolbox = toolbox
        self._takes_images = model.takes_images
        self._is_claude = model.family is Family.CLAUDE
        self._is_gemini = model.family is Family.GEMINI
        # Claude refuses thinking in the history of a request that does not think.
        self._keeps_thoughts = thinks or not self._is_claude
        self._called: dict[str, Called] = {}

    def of(self, conversation: Conversation) -> list[Any]:
        """Never empty, and no content in it is. Of a long one most are `orjson.Fragment`s."""
        messages = conversation.messages
        if len(messages) >= SHORTEST and messages[0].role != "assistant":
            flags = self._is_claude, self._is_gemini, self._keeps_thoughts, self._takes_images
            # Not the conversation's tools: a model that takes none has other names for calls.
            begun = _recent.begun((flags, self._toolbox.declared), messages)
            if self._goes_on(begun):
                return begun.turns
            self._called = {}
        turns: list[JsonObject] = []
        spoken: str | None = None
        for is_model, run in runs(messages):
            role = "model" if is_model else "user"
            parts = self._model_parts(run) if is_model else self._user_parts(run)
            if not parts:
                continue
            if role == spoken:
                turns[-1]["parts"] += parts
            else:
                turns.append({"role": role, "parts": parts})
                spoken = role
        if not turns or (self._is_gemini and turns[0]["role"] == "model"):
            # The last resort (pitfalls 26, 27): nothing may be empty, and Gemini's first is a user.
            turns.insert(0, {"role": "user", "parts": [{"text": "."}]})
        if self._is_claude and spoken == "model":
            _trim_prefill(turns[-1]["parts"])
        return turns

    def _goes_on(self, begun: Begun) -> bool:
        """Renders what is missing. False when a run of messages is no turn of its own."""
        self._called = begun.called
        names = self._toolbox.sent_names
        declared = len(names)
        is_model = False
        for is_model, run in runs(begun.messages[begun.end :]):
            parts = self._model_parts(run) if is_model else self._user_parts(run)
            if not parts:
                return False  # it would join those before and after it
            begun.add({"role": "model" if is_model else "user", "parts": parts}, len(run))
        if len(names) == declared:
            # Else it has names of no tool, which those that follow must differ from.
            _recent.keep(begun)
        if self._is_claude and is_model:
            _trim_prefill(begun.turns[-1]["parts"])
        return True

    # The user's side: results first and together, in the order of their calls

    def _user_parts(self, messages: Sequence[Message]) -> list[JsonObject]:
        parts = messages[0].parts
        if len(messages) == len(parts) == 1 and type(parts[0]) is ToolResult:
            return [self._result(parts[0])]  # most of a long tool loop
        results: list[ToolResult] = []
        others: list[JsonObject] = []
        for message in messages:
            for part in message.parts:
                if type(part) is ToolResult:
                    results.append(part)
                elif message.role == "system" and isinstance(part, Text) and part.text.strip():
                    others.append({"text": REMINDER + part.text})
                else:
                    self._add(part, others)
        if not results:
            return others
        if len(results) > 1:
            results.sort(key=self._place)
        return [self._result(result) for result in results] + others

    def _place(self, result: ToolResult) -> int:
        called = self._called.get(result.call_id)
        return called[0] if called is not None else len(self._called)

    def _add(self, part: Part, parts: list[JsonObject]) -> None:
        """Text and media; whatever else there is has no place here.

        Empty text is refused by all (26), white space alone by Claude.
        """
        if type(part) is Text:
            text = part.text
            if not text or text.isspace():
                return
            if part.seal is not None and self._is_gemini:
                parts.append({"text": text, "thoughtSignature": part.seal.value})
            else:
                parts.append({"text": text})
        elif isinstance(part, Media):
            if not self._takes_images:
                parts.append({"text": described(part)})
                return
            if part.name and not part.name.isspace():
                # There is no field for it that all of Google's upstreams take.
                parts.append({"text": part.name})
            parts.append(_blob(part))
        elif isinstance(part, Verbatim) and part.dialect == NAME:
            parts += _code(part.value)

    def _result(self, result: ToolResult) -> JsonObject:
        called = self._called.get(result.call_id)
        if called is None:
            name = self._toolbox.sent_name(result.name or result.call_id)
            called = 0, legal_id(result.call_id), name
        inner = result.parts
        if len(inner) == 1 and type(inner[0]) is Text:
            # What nearly every result is.
            answer: JsonObject = {"error" if result.is_error else "result": inner[0].text}
            return {"functionResponse": {"id": called[1], "name": called[2], "response": answer}}
        media = [part for part in inner if isinstance(part, Media)]
        lines = [part.text if isinstance(part, Text) else part.name for part in inner]
        text = "\n".join([line for line in lines if line is not None])
        if media and not text:
            text = ", ".join(part.mime_type for part in media)
        response: JsonObject = {
            "id": called[1],
            "name": called[2],
            "response": {"error" if result.is_error else "result": text},
        }
        if media and self._takes_images:
            # Pictures are seen only in here, and beside it they would part the results (21, 22).
            response["parts"] = [_blob(part) for part in media]
        return {"functionResponse": response}

    # The model's side: thoughts, then text, then calls

    def _model_parts(self, messages: Sequence[Message]) -> list[JsonObject]:
        parts: Sequence[Part] = messages[0].parts
        if len(messages) > 1:
            parts = [part for message in messages for part in message.parts]
        if self._is_gemini:
            parts = _with_seals_in_place(parts)
        thoughts: list[JsonObject] = []
        texts: list[JsonObject] = []
        calls: list[JsonObject] = []
        for part in parts:
            if type(part) is ToolCall:
                calls.append(self._call(part, not calls))
            elif type(part) is Thinking:
                if self._keeps_thoughts and part.seal is not None and not part.redacted:
                    thoughts.append(_thought(part.text, part.seal.value))
            else:
                self._add(part, texts)
        texts += calls
        return thoughts + texts if thoughts else texts

    def _call(self, call: ToolCall, is_first: bool) -> JsonObject:
        sent_id = legal_id(call.id)
        toolbox = self._toolbox
        sent_name = toolbox.sent_names.get(call.name) or toolbox.sent_name(call.name)
        self._called[call.id] = len(self._called), sent_id, sent_name
        # The arguments are JSON already, and nothing in them is anybody's business here (10).
        arguments = orjson.Fragment(call.arguments or "{}")
        function = {"id": sent_id, "name": sent_name, "args": arguments}
        if self._is_gemini and call.seal is not None:
            return {"functionCall": function, "thoughtSignature": call.seal.value}
        if self._is_gemini and is_first:
            # Parallel siblings carry no signature, so they get no sentinel either (15).
            return {"functionCall": function, "thoughtSignature": SENTINEL}
        return {"functionCall": function}


def _code(part: JsonObject) -> list[JsonObject]:
    """A part that goes on unread, less what would cost the whole request: unknown names (4.7)."""
    if _CODE.isdisjoint(part):
        return []
    return [{key: value for key, value in part.items() if key in _OF_CODE}]


def _thought(text: str, signature: str) -> JsonObject:
    # The text key must be there, even if empty, or Google answers 500 (20).
    return {"thought": True, "text": text, "thoughtSignature": signature}


def _with_seals_in_place(parts: Sequence[Part]) -> list[Part]:
    """Gemini signs the part after its thoughts; clients can often carry that only on the thoughts.

    So thinking that is followed by an unsigned part, or by one with the same signature, gives its
    own away and is left out; thinking with a signature of its own stays.
    """
    placed: list[Part] = []
    held: Thinking | None = None
    for part in parts:
        if held is not None and held.seal is not None:
            if isinstance(part, ToolCall) and part.seal is None:
                part = ToolCall(part.id, part.name, part.arguments, held.seal)
            elif isinstance(part, Text) and part.seal is None:
                part = Text(part.text, held.seal)
            elif not _has_signature(part, held.seal.value):
                placed.append(held)
        held = part if isinstance(part, Thinking) else None
        if held is None:
            placed.append(part)
    return placed if held is None else [*placed, held]


def _has_signature(part: Part, signature: str) -> bool:
    return (
        isinstance(part, ToolCall | Text) and part.seal is not None and part.seal.value == signature
    )


def _blob(media: Media) -> JsonObject:
    if media.url is not None:
        return {"fileData": {"mimeType": mime_type(media), "fileUri": media.url}}
    return {"inlineData": {"mimeType": mime_type(media), "data": media.data}}


def _trim_prefill(parts: list[JsonObject]) -> None:
    """Claude refuses an unfinished answer of its own that ends in white space."""
    text = parts[-1].get("text")
    if isinstance(text, str) and text.rstrip():
        parts[-1]["text"] = text.rstrip()
