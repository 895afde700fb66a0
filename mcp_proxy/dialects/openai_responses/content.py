"""Content of a Responses item (client-apis.md 3.1) -> parts.

Knows the part types; does not know which of them an item may carry. An unknown type is left out:
a `Verbatim` of this dialect is always a whole item, so a part could not travel home as one.
"""

from collections.abc import Callable
from typing import Any

from mcp_proxy.conversation import JsonObject, Media, Text
from mcp_proxy.dialects.inline_data import media_at
from mcp_proxy.dialects.openai_parts import (
    read_audio,
    read_file,
    read_image,
    read_items,
    read_refusal,
    read_text,
)
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, get, spell

ContentPart = Text | Media


def read_content(value: Any, where: Where) -> tuple[ContentPart, ...]:
    """Text, a list of parts, or null."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    parts = []
    for part, here in read_items(value, where):
        if read := _READERS.get(get(part, "type", str, here)):
            parts.append(read(part, here))
    return tuple(parts)


def _image(part: JsonObject, where: Where) -> Media:
    _refuse_stored_file(part, where, "image_url")
    return read_image(part, where)


def _file(part: JsonObject, where: Where) -> ContentPart:
    _refuse_stored_file(part, where, "file_data")
    name = get(part, "filename", str, where, default=None)
    if url := get(part, "file_url", str, where, default=None):
        return media_at(url, (*where, "file_url"), "application/pdf", name)
    return read_file(get(part, "file_data", str, where), name, (*where, "file_data"))


def _refuse_stored_file(part: JsonObject, where: Where, instead: str) -> None:
    if part.get("file_id"):
        raise BadRequest(
            f"files are not stored here; send the file itself as {instead}",
            param=spell((*where, "file_id")),
        )


_READERS: dict[str, Callable[[JsonObject, Where], ContentPart]] = {
    "input_text": read_text,
    "output_text": read_text,
    "text": read_text,
    "refusal": read_refusal,
    "input_image": _image,
    "image_url": _image,
    "input_audio": read_audio,
    "input_file": _file,
}
