"""Content blocks of a Messages request -> parts. Knows nothing of tools or settings.

A block of unknown type becomes a Verbatim, never a refusal: clients send blocks that are younger
than this file (client-apis.md 1.9). A known one that only the other side may say is refused, as by
the real API: no upstream has a place for it, so it would be lost without a word. `cache_control`
and citations go, parts have no place for them.
"""

from collections.abc import Callable
from typing import Any, cast

from mcp_proxy.conversation import (
    UNKNOWN_ORIGIN,
    Media,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.inline_data import media_at, read_base64
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import (
    JsonObject,
    Where,
    check,
    encode,
    get,
    json_text,
    kind_of,
    spell,
)

_Readable = Text | Media
_ANY_IMAGE = "image/*"
_PDF = "application/pdf"

_USERS = frozenset({"tool_result"})
_MODELS = frozenset({"tool_use", "thinking", "redacted_thinking"})
"""Blocks that only one side may say."""


def read_content(content: Any, where: Where, *, by_model: bool) -> tuple[Part, ...]:
    """The parts of a message's `content`, which is text or a list of blocks.

    `by_model`: the message is the assistant's. BadRequest for blocks that are not its side's.
    """
    if type(content) is str:
        return (Text(content),) if content else ()
    try:
        plain = _plain_parts(content, by_model) if type(content) is list else None
    except (KeyError, TypeError):
        plain = None  # also for what cannot be encoded, orjson.JSONEncodeError
    if plain is not None:
        return tuple(plain)
    parts: list[Part] = []
    for index, block in enumerate(_blocks(content, where)):
        at = (*where, index)
        kind = block_type(block, at)
        if kind in (_USERS if by_model else _MODELS):
            speaker = "user" if by_model else "assistant"
            raise BadRequest(
                f"`{kind}` blocks can only be in `{speaker}` messages", param=spell(at)
            )
        read = _READERS.get(kind)
        if read is None:
            parts.append(Verbatim(NAME, block))
        else:
            parts += read(block, at)
    return tuple(parts)


def _plain_parts(blocks: list[Any], by_model: bool) -> list[Part] | None:
    """The parts of blocks that are as they should be and of the kinds that a history is made of.

    None, KeyError or TypeError when there is any other: then all of them go to the readers, which
    know more kinds and say what is wrong. A long history is a thousand times this.
    """
    parts: list[Part] = []
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            text = block["text"]
            if type(text) is not str:
                return None
            parts.append(Text(text))
        elif kind == "tool_use" and by_model:
            call_id, name, arguments = block["id"], block["name"], block["input"]
            if type(call_id) is not str or type(name) is not str or type(arguments) is not dict:
                return None
            if "thoughtSignature" in block or "thought_signature" in block:
                return None
            parts.append(ToolCall(call_id, name, encode(arguments).decode()))
        elif kind == "tool_result" and not by_model:
            call_id, content = block["tool_use_id"], block["content"]
            is_error = block.get("is_error", False)
            if type(call_id) is not str or type(content) is not str or type(is_error) is not bool:
                return None
            parts.append(ToolResult(call_id, (Text(content),) if content else (), is_error))
        elif kind == "thinking" and by_model:
            thought, signature = block["thinking"], block["signature"]
            if type(thought) is not str or type(signature) is not str:
                return None
            parts.append(Thinking(thought, _seal(signature)))
        else:
            return None
    return parts


def block_type(block: Any, where: Where) -> str:
    """The `type` of a block. BadRequest when it is not an object or has none."""
    # A long conversation has thousands of blocks, and nearly all pass this line.
    if type(block) is dict and type(kind := block.get("type")) is str:
        return kind
    return cast(str, get(check(block, dict, where), "type", str, where))


def _blocks(content: Any, where: Where) -> list[Any]:
    if type(content) is list:
        return content
    if content is None:
        raise BadRequest("field required, expected text or a list of blocks", param=spell(where))
    raise BadRequest(
        f"expected text or a list of blocks, got {kind_of(content)}", param=spell(where)
    )


def _readable_parts(content: Any, where: Where) -> tuple[_Readable, ...]:
    """Text and media of a content nested in a tool result or document; other blocks are left out.

    Nested content may be absent, which means empty (client-apis.md 1.2).
    """
    if content is None or content == "":
        return ()
    if type(content) is str:
        return (Text(content),)
    parts: list[_Readable] = []
    for index, block in enumerate(_blocks(content, where)):
        at = (*where, index)
        read = _NESTED_READERS.get(block_type(block, at))
        if read is not None:
            parts += read(block, at)
    return tuple(parts)


def _text(block: JsonObject, where: Where) -> tuple[Text]:
    return (Text(get(block, "text", str, where)),)


def _image(block: JsonObject, where: Where) -> tuple[_Readable, ...]:
    at = (*where, "source")
    source = get(block, "source", dict, where)
    match get(source, "type", str, at):
        case "base64":
            return (Media(get(source, "media_type", str, at), data=_base64(source, at)),)
        case "url":
            return (media_at(get(source, "url", str, at), (*at, "url"), _ANY_IMAGE),)
        case other:
            raise _source_refused(other, ("base64", "url"), at)


def _document(block: JsonObject, where: Where) -> tuple[_Readable, ...]:
    at = (*where, "source")
    source = get(block, "source", dict, where)
    title = get(block, "title", str, where, None)
    context = get(block, "context", str, where, None)
    match get(source, "type", str, at):
        case "base64":
            mime_type = get(source, "media_type", str, at, _PDF)
            media = Media(mime_type, data=_base64(source, at), name=title)
            return (*_lines(context), media)
        case "url":
            url = get(source, "url", str, at)
            return (*_lines(context), media_at(url, (*at, "url"), _PDF, title))
        case "text":
            return _lines(title, context, get(source, "data", str, at))
        case "content":
            inner = _readable_parts(source.get("content"), (*at, "content"))
            return (*_lines(title, context), *inner)
        case other:
            raise _source_refused(other, ("base64", "url", "text", "content"), at)


def _lines(*lines: str | None) -> tuple[Text, ...]:
    """What there is of these as one text; nothing when they are all empty."""
    text = "\n".join([line for line in lines if line])
    return (Text(text),) if text else ()


def _source_refused(kind: str, accepted: tuple[str, ...], where: Where) -> BadRequest:
    choices = ", ".join(f'"{choice}"' for choice in accepted)
    reason = "; uploaded files are not kept here" if kind == "file" else ""
    return BadRequest(
        f'expected one of {choices}, got "{kind[:64]}"{reason}', param=spell((*where, "type"))
    )


def _base64(source: JsonObject, where: Where) -> str:
    return read_base64(get(source, "data", str, where), (*where, "data"))


def _search_result(block: JsonObject, where: Where) -> tuple[Text]:
    found = _readable_parts(block.get("content"), (*where, "content"))
    lines = [
        get(block, "title", str, where, ""),
        get(block, "source", str, where, ""),
        *(part.text for part in found if isinstance(part, Text)),
    ]
    return (Text("\n".join(line for line in lines if line)),)


def _tool_reference(block: JsonObject, where: Where) -> tuple[Text]:
    return (Text(f"Tool found: {get(block, 'tool_name', str, where)}"),)


def _thinking(block: JsonObject, where: Where) -> tuple[Thinking]:
    seal = _seal(get(block, "signature", str, where, ""))
    return (Thinking(get(block, "thinking", str, where, ""), seal),)


def _redacted_thinking(block: JsonObject, where: Where) -> tuple[Thinking]:
    blob = get(block, "data", str, where)
    return (Thinking("", Seal(UNKNOWN_ORIGIN, blob), redacted=True),)


def _tool_use(block: JsonObject, where: Where) -> tuple[ToolCall]:
    arguments = get(block, "input", dict, where, None)
    # Not of the Messages API: clients of other proxies echo a Gemini signature under these names.
    signature = block.get("thoughtSignature") or block.get("thought_signature")
    return (
        ToolCall(
            get(block, "id", str, where),
            get(block, "name", str, where),
            json_text(arguments, (*where, "input")) if arguments else "{}",
            _seal(signature) if type(signature) is str else None,
        ),
    )


def _tool_result(block: JsonObject, where: Where) -> tuple[ToolResult]:
    return (
        ToolResult(
            get(block, "tool_use_id", str, where),
            _readable_parts(block.get("content"), (*where, "content")),
            get(block, "is_error", bool, where, False),
        ),
    )


def _seal(signature: str) -> Seal | None:
    return Seal(UNKNOWN_ORIGIN, signature) if signature else None


_NESTED_READERS: dict[str, Callable[[JsonObject, Where], tuple[_Readable, ...]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}

_READERS: dict[str, Callable[[JsonObject, Where], tuple[Part, ...]]] = {
    **_NESTED_READERS,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
