"""Messages -> `messages` of a Messages request: turns, blocks, results first, where to cache.

Expects what `UpstreamDialect.render_request` promises: seals are the model's own, calls and results
are paired. Runs over the whole history with every request, so it makes no object that is not sent.
Rules: client-apis.md 1.2.
"""

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final

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
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.call_names import legal_id
from mcp_proxy.dialects.media_forms import mime_type
from mcp_proxy.dialects.turns import runs
from mcp_proxy.dialects.wording import REMINDER, described
from mcp_proxy.model import ModelInfo
from mcp_proxy.strict_json import JsonObject

EPHEMERAL: Final[JsonObject] = {"type": "ephemeral"}
"""Value of `cache_control`: the prompt up to the block that has it is kept for five minutes."""

_CACHEABLE: Final = frozenset({"text", "image", "document", "tool_result"})
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF: Final = "application/pdf"
_SILENT_FAILURE: Final = "The tool failed and gave no message."


class Turns:
    """Renders the messages; consecutive ones of a side become one, so that results are together."""

    def __init__(self, model: ModelInfo, sent_name: Callable[[str], str], *, thinks: bool) -> None:
        self._takes_images = model.takes_images
        self._sent_name = sent_name
        # A request that does not think may not end in thinking of its own.
        self._keeps_thoughts = thinks
        self.called: dict[str, None] = {}
        """Names of the tools that the history calls, as they are sent, in order."""

    def of(self, conversation: Conversation) -> list[JsonObject]:
        """Never empty, begins with the user, and no content in it is empty."""
        turns: list[JsonObject] = []
        for is_model, messages in runs(conversation.messages):
            role = "assistant" if is_model else "user"
            content = self._model_blocks(messages) if is_model else self._user_blocks(messages)
            if content and turns and turns[-1]["role"] == role:
                turns[-1]["content"] += content
            elif content:
                turns.append({"role": role, "content": content})
        if not turns or turns[0]["role"] == "assistant":
            turns.insert(0, {"role": "user", "content": [{"type": "text", "text": "."}]})
        if turns[-1]["role"] == "assistant":
            _trim_prefill(turns[-1]["content"])
        return turns

    # The user's side: results first, whatever the client's order was

    def _user_blocks(self, messages: Sequence[Message]) -> list[JsonObject]:
        results: list[JsonObject] = []
        others: list[JsonObject] = []
        for message in messages:
            prefix = REMINDER if message.role == "system" else ""
            for part in message.parts:
                if type(part) is ToolResult:
                    results.append(self._result(part))
                else:
                    self._add(part, others, prefix)
        return results + others

    def _result(self, result: ToolResult) -> JsonObject:
        block: JsonObject = {"type": "tool_result", "tool_use_id": legal_id(result.call_id)}
        parts = result.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            # What nearly every result is.
            block["content"] = parts[0].text
        elif parts:
            content: list[JsonObject] = []
            for part in parts:
                self._add(part, content)
            block["content"] = content
        if result.is_error:
            block["is_error"] = True
            # An error has to say something.
            block["content"] = block.get("content") or _SILENT_FAILURE
        return block

    def _add(self, part: Part, blocks: list[JsonObject], prefix: str = "") -> None:
        """What both sides may say. Text of white space alone is refused, so it is left out."""
        if type(part) is Text:
            text = part.text
            if text and not text.isspace():
                blocks.append({"type": "text", "text": prefix + text})
        elif isinstance(part, Media):
            blocks.append(self._media(part))
        elif isinstance(part, Verbatim) and part.dialect == NAME:
            blocks.append(without_cache_control(part.value))

    def _media(self, media: Media) -> JsonObject:
        kind = mime_type(media)
        if kind == _PDF or kind.startswith("text/"):
            return _document(media, kind)
        is_image = kind in _IMAGES or (media.url is not None and kind.startswith("image/"))
        if self._takes_images and is_image:
            return {"type": "image", "source": _source(media, kind)}
        return {"type": "text", "text": described(media)}

    # The model's side: calls last, since what follows a call has to be its result

    def _model_blocks(self, messages: Sequence[Message]) -> list[JsonObject]:
        blocks: list[JsonObject] = []
        calls: list[JsonObject] = []
        for message in messages:
            for part in message.parts:
                if type(part) is ToolCall:
                    calls.append(self._call(part))
                elif type(part) is Thinking:
                    if self._keeps_thoughts and part.seal is not None:
                        blocks.append(_thought(part, part.seal.value))
                elif type(part) is Media:
                    # A picture that some model made; only users may show pictures.
                    blocks.append({"type": "text", "text": f"[{part.name or part.mime_type}]"})
                else:
                    self._add(part, blocks)
        return blocks + calls

    def _call(self, call: ToolCall) -> JsonObject:
        name = self._sent_name(call.name)
        self.called[name] = None
        # The arguments are JSON already, and nothing in them is anybody's business here.
        arguments = orjson.Fragment(call.arguments or "{}")
        return {"type": "tool_use", "id": legal_id(call.id), "name": name, "input": arguments}


def _thought(thinking: Thinking, signature: str) -> JsonObject:
    if thinking.redacted:
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": thinking.text, "signature": signature}


def _source(media: Media, kind: str) -> JsonObject:
    if media.url is not None:
        return {"type": "url", "url": media.url}
    return {"type": "base64", "media_type": kind, "data": media.data}


def _document(media: Media, kind: str) -> JsonObject:
    block: JsonObject = {"type": "document", "source": _source(media, kind)}
    if kind != _PDF and media.url is None:
        text = b64decode(media.data).decode("utf-8", "replace")
        block["source"] = {"type": "text", "media_type": "text/plain", "data": text}
    if media.name:
        block["title"] = media.name
    return block


def _trim_prefill(content: list[JsonObject]) -> None:
    """An unfinished answer of the model's own may not end in white space."""
    if content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()


# Prompt caching, which clients of other dialects cannot ask for


def mark_for_cache(turns: Sequence[JsonObject]) -> None:
    """Marks the end of the last two turns of the user.

    The next request finds the last one kept; the one before it is what this request finds, however
    many blocks the turn between them has.
    """
    marked = 0
    for turn in reversed(turns):
        if turn["role"] == "user" and marked < 2:
            marked += 1
            last = next((b for b in reversed(turn["content"]) if b["type"] in _CACHEABLE), None)
            if last is not None:
                last["cache_control"] = EPHEMERAL


def without_cache_control(value: JsonObject) -> JsonObject:
    """A client's own block without its mark: there may be four in all, and they are set here."""
    if "cache_control" not in value:
        return value
    return {name: each for name, each in value.items() if name != "cache_control"}
