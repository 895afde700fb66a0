"""Messages -> Chat Completions messages (client-apis.md 2.1, 5.4): turns, results, media, thoughts.

Expects what `UpstreamDialect.render_request` promises: seals are the model's own, calls and results
are paired. Runs over the whole history with every request, so it makes no object that is not sent.
"""

from collections.abc import Sequence
from typing import Any, Final

from mcp_proxy.conversation import (
    Conversation,
    JsonObject,
    Media,
    Message,
    OutputFormat,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.call_names import LONGEST_ID, SentNames, legal_id, within
from mcp_proxy.dialects.media_forms import address, mime_type
from mcp_proxy.dialects.openai_chat.names import NAME
from mcp_proxy.dialects.openai_chat.seals import call_extra, sealed_thoughts
from mcp_proxy.dialects.sent_schemas import is_of_object
from mcp_proxy.dialects.turns import runs
from mcp_proxy.dialects.wording import ERROR, REMINDER, described, json_instruction
from mcp_proxy.model import Family, ModelInfo

_SEE_BELOW: Final = "[shown in the next message]"
_AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}


def is_openais(model: ModelInfo) -> bool:
    """Whether it is one of OpenAI's hosted models: those of open weights are served by others."""
    return model.family is Family.GPT and "gpt-oss" not in model.id


def is_only_in_words(output: OutputFormat, model: ModelInfo) -> bool:
    """Whether the model's API has no field that takes this wish for an answer."""
    return is_openais(model) and output.schema is not None and not is_of_object(output.schema)


class Messages:
    """Renders the history; what one side says in a row becomes one message.

    Chat templates of many servers refuse a role that speaks twice, and OpenAI refuses calls whose
    results do not follow at once.
    """

    def __init__(self, names: SentNames, model: ModelInfo) -> None:
        self._names = names
        self._model = model
        self._takes_images = model.takes_images
        self._is_openais = is_openais(model)
        reasons = model.thinking is not None and bool(model.thinking.levels)
        self._system_role = "developer" if self._is_openais and reasons else "system"
        # OpenAI shows no thoughts and takes none; its models' kin want theirs back in a tool loop.
        self._returns_thoughts = not self._is_openais
        self._returns_seals = bool(model.issuer)

    def of(self, conversation: Conversation) -> list[JsonObject]:
        """Never empty, and ends with something that can be answered."""
        sent: list[JsonObject] = []
        system = self._instructions(conversation)
        if system:
            sent.append({"role": self._system_role, "content": system})
        # What would leave nothing behind must not part what one side says.
        turns = list(runs([each for each in conversation.messages if _says_something(each)]))
        loop = _start_of_loop(turns)
        for at, (is_model, messages) in enumerate(turns):
            if is_model:
                self._model_turn(messages, sent, in_loop=at >= loop)
            else:
                self._user_turn(messages, sent)
        if all(message["role"] == self._system_role for message in sent):
            sent.append({"role": "user", "content": "."})
        return sent

    def _instructions(self, conversation: Conversation) -> str:
        texts = [text.text for text in conversation.system if text.text]
        output = conversation.output
        # JSON mode is refused unless some message has the word, and runs wild without the wish.
        if output is not None and (output.schema is None or is_only_in_words(output, self._model)):
            texts.append(json_instruction(output))
        return "\n\n".join(texts)

    # The user's side: all results, then what was in them beside text, then what the user says

    def _user_turn(self, messages: Sequence[Message], sent: list[JsonObject]) -> None:
        content: list[JsonObject] = []
        for message in messages:
            sent += [self._result(p, content) for p in message.parts if type(p) is ToolResult]
        for message in messages:
            if message.role == "system" and self._is_openais:
                self._say(content, sent)
                content = []
                text = "\n\n".join([part.text for part in message.parts if type(part) is Text])
                if text:
                    sent.append({"role": self._system_role, "content": text})
                continue
            for part in message.parts:
                self._add(part, content, before=REMINDER if message.role == "system" else "")
        self._say(content, sent)

    def _say(self, content: list[JsonObject], sent: list[JsonObject]) -> None:
        if content:
            sent.append({"role": "user", "content": _plain_if_text(content)})

    def _add(self, part: Part, content: list[JsonObject], *, before: str = "") -> None:
        """Text and media; whatever else there is has no place here. Some refuse empty text."""
        if type(part) is Text:
            if part.text:
                content.append({"type": "text", "text": before + part.text})
        elif isinstance(part, Media):
            content.append(self._media(part))
        elif isinstance(part, Verbatim) and part.dialect == NAME:
            content.append(part.value)

    def _result(self, result: ToolResult, hoisted: list[JsonObject]) -> JsonObject:
        """The message of one result; its media, which may not stand in it, go to `hoisted`."""
        call_id = _sent_id(result.call_id)
        texts: list[str] = []
        media: list[JsonObject] = []
        for part in result.parts:
            if type(part) is Text:
                texts.append(part.text)
            elif isinstance(part, Media) and self._is_shown(part):
                media.append(self._media(part))
                texts.append(_SEE_BELOW)
            elif isinstance(part, Media):
                texts.append(described(part))
        if media:
            hoisted.append({"type": "text", "text": f"[Result of tool call {call_id}:]"})
            hoisted += media
        text = "\n".join(texts)
        content = f"{ERROR}{text}" if result.is_error else text
        return {"role": "tool", "tool_call_id": call_id, "content": content}

    def _is_shown(self, media: Media) -> bool:
        return self._takes_images or not mime_type(media).startswith("image/")

    def _media(self, media: Media) -> JsonObject:
        kind = mime_type(media)
        if kind.startswith("image/"):
            if not self._takes_images:
                return {"type": "text", "text": described(media)}
            return {"type": "image_url", "image_url": {"url": address(media)}}
        if kind in _AUDIO_FORMATS and media.data:
            audio = {"data": media.data, "format": _AUDIO_FORMATS[kind]}
            return {"type": "input_audio", "input_audio": audio}
        if kind.startswith(("audio/", "video/")):
            return {"type": "text", "text": described(media)}
        file = {"filename": media.name or "document.pdf", "file_data": address(media)}
        return {"type": "file", "file": file}

    # The model's side

    def _model_turn(
        self, messages: Sequence[Message], sent: list[JsonObject], *, in_loop: bool
    ) -> None:
        texts: list[str] = []
        calls: list[JsonObject] = []
        thoughts: list[Thinking] = []
        for message in messages:
            for part in message.parts:
                if type(part) is Text:
                    if part.text:
                        texts.append(part.text)
                elif type(part) is ToolCall:
                    calls.append(self._call(part))
                elif type(part) is Thinking:
                    thoughts.append(part)
        turn: JsonObject = {"role": "assistant", "content": "\n\n".join(texts) if texts else None}
        if thoughts and in_loop and self._returns_thoughts:
            self._add_thoughts(turn, thoughts)
        if calls:
            turn["tool_calls"] = calls
        sent.append(turn)

    def _add_thoughts(self, turn: JsonObject, thoughts: Sequence[Thinking]) -> None:
        """Some models refuse a tool loop without the thoughts that led to it (3, DeepSeek)."""
        text = "\n\n".join([part.text for part in thoughts if part.text and not part.redacted])
        if text:
            turn["reasoning_content"] = text
        if self._returns_seals:
            turn.update(sealed_thoughts(thoughts))

    def _call(self, call: ToolCall) -> JsonObject:
        function = {"name": self._names.sent(call.name), "arguments": call.arguments or "{}"}
        sent: JsonObject = {"id": _sent_id(call.id), "type": "function", "function": function}
        if call.seal is not None and self._returns_seals:
            sent["extra_content"] = call_extra(call.seal)
        return sent


def _says_something(message: Message) -> bool:
    """Whether there is anything in it that is sent by itself; thoughts go with what they led to."""
    is_model = message.role == "assistant"
    for part in message.parts:
        if type(part) is Text:
            if part.text:
                return True
        elif type(part) is ToolCall:
            if is_model:
                return True
        elif not is_model and (
            isinstance(part, Media | ToolResult)
            or (isinstance(part, Verbatim) and part.dialect == NAME)
        ):
            return True
    return False


def _start_of_loop(turns: Sequence[tuple[bool, Sequence[Message]]]) -> int:
    """The turn after the last one in which a user said something, beside handing in results."""
    for at in range(len(turns) - 1, -1, -1):
        is_model, messages = turns[at]
        if not is_model and any(
            message.role == "user" and any(type(part) is not ToolResult for part in message.parts)
            for message in messages
        ):
            return at
    return 0


def _plain_if_text(content: list[JsonObject]) -> Any:
    """Content as one text where it is nothing else: not every server reads lists."""
    if all(part.get("type") == "text" for part in content):
        return "\n\n".join([part["text"] for part in content])
    return content


def _sent_id(call_id: str) -> str:
    return within(LONGEST_ID, legal_id(call_id))
