"""Messages -> input items: turns, calls and results, media, reasoning in its place.

Expects what `UpstreamDialect.render_request` promises: seals are the model's own, calls and results
are paired. Runs over the whole history with every request, so it makes no object that is not sent.
Section numbers are those of protocols/client-apis.md.
"""

from collections.abc import Sequence
from typing import Final

from mcp_proxy.conversation import (
    JsonObject,
    Media,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.call_names import LONGEST_ID, within
from mcp_proxy.dialects.media_forms import address, mime_type
from mcp_proxy.dialects.openai_responses.names import NAME
from mcp_proxy.dialects.openai_responses.upstream_tools import Toolbox
from mcp_proxy.dialects.openai_tools import free_text
from mcp_proxy.dialects.wording import ERROR, described
from mcp_proxy.model import ModelInfo

_FROM_ANSWER: Final = "[Picture from the answer above]"
"""Before a picture that the model made: its own messages can hold text only."""


class Items:
    """Renders the messages of one conversation."""

    def __init__(self, toolbox: Toolbox, model: ModelInfo) -> None:
        self._toolbox = toolbox
        self._takes_images = model.takes_images
        self._custom_calls: set[str] = set()
        """Ids of calls of tools that take plain text: their results are of another type."""
        self._items: list[JsonObject] = []

    def of(self, messages: Sequence[Message]) -> list[JsonObject]:
        """Never empty."""
        for message in messages:
            if message.role == "assistant":
                self._add_answer(message)
            else:
                self._drop_unfollowed_reasoning()
                self._add_said("developer" if message.role == "system" else "user", message)
        self._drop_unfollowed_reasoning()
        # The last resort: an empty list is refused.
        return self._items or [_message("user", [_input_text(".")])]

    # What the client's side says

    def _add_said(self, role: str, message: Message) -> None:
        content: list[JsonObject] = []
        for part in message.parts:
            if type(part) is ToolResult:
                self._items.append(self._result(part))
            else:
                self._add_content(part, content)
        if content:
            self._items.append(_message(role, content))

    def _add_content(self, part: Part, content: list[JsonObject]) -> None:
        if type(part) is Text:
            if part.text:
                content.append(_input_text(part.text))
        elif type(part) is Media:
            content.append(self._media(part))
        elif type(part) is Verbatim:
            self._add_verbatim(part)

    def _add_verbatim(self, part: Verbatim) -> None:
        """A whole item. Searches have served their answer, and their ids are nobody's here."""
        if part.dialect == NAME and part.value.get("type") != "web_search_call":
            self._items.append(part.value)

    def _result(self, result: ToolResult) -> JsonObject:
        is_custom = result.call_id in self._custom_calls
        return {
            "type": "custom_tool_call_output" if is_custom else "function_call_output",
            "call_id": within(LONGEST_ID, result.call_id),
            "output": self._output(result),
        }

    def _output(self, result: ToolResult) -> str | list[JsonObject]:
        """Text as text, which every upstream takes; a list only where there is more."""
        parts, prefix = result.parts, ERROR if result.is_error else ""
        if len(parts) == 1 and type(parts[0]) is Text:
            return prefix + parts[0].text
        if not any(type(part) is Media for part in parts):
            return prefix + "\n".join(part.text for part in parts if type(part) is Text)
        content: list[JsonObject] = [_input_text(ERROR)] if prefix else []
        for part in parts:
            self._add_content(part, content)
        return content

    def _media(self, media: Media) -> JsonObject:
        kind = mime_type(media)
        if kind.startswith("image/"):
            if not self._takes_images:
                return _input_text(described(media))
            return {"type": "input_image", "image_url": address(media), "detail": "auto"}
        if kind != "application/pdf":
            return _input_text(described(media))
        if media.url is not None:
            return {"type": "input_file", "file_url": media.url}
        name = media.name or "document.pdf"
        return {"type": "input_file", "filename": name, "file_data": address(media)}

    # What the model said

    def _add_answer(self, message: Message) -> None:
        content: list[JsonObject] | None = None
        for part in message.parts:
            if type(part) is Text:
                if not part.text:
                    continue
                if content is None:
                    content = []
                    self._items.append(_message("assistant", content))
                content.append({"type": "output_text", "text": part.text})
                continue
            content = None
            if type(part) is ToolCall:
                self._items.append(self._call(part))
            elif type(part) is Thinking:
                if part.seal is not None:
                    self._items.append(_reasoning(part, part.seal.value))
            elif type(part) is Media:
                self._items.append(_message("user", [_input_text(_FROM_ANSWER), self._media(part)]))
            elif type(part) is Verbatim:
                self._add_verbatim(part)

    def _call(self, call: ToolCall) -> JsonObject:
        item = {
            "type": "function_call",
            "call_id": within(LONGEST_ID, call.id),
            "name": self._toolbox.sent_name(call.name),
        }
        if self._toolbox.is_freeform(call.name):
            self._custom_calls.add(call.id)
            item["type"] = "custom_tool_call"
            item["input"] = free_text(call.arguments)
        else:
            item["arguments"] = call.arguments or "{}"
        return item

    def _drop_unfollowed_reasoning(self) -> None:
        """Reasoning that led to nothing in its own turn: the upstream refuses that."""
        while self._items and self._items[-1].get("type") == "reasoning":
            self._items.pop()


def _message(role: str, content: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}


def _input_text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}


def _reasoning(thinking: Thinking, encrypted: str) -> JsonObject:
    """Without an id: nothing is stored upstream that one could name (providers.md 7.5)."""
    summary = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": encrypted}
