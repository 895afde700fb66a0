"""Content of a Chat Completions message (client-apis.md 2.1) -> parts.

Knows the part types; does not know which of them a role may carry. An unknown type is kept as
`Verbatim`: it is left out on other wires, never refused.
"""

from collections.abc import Callable
from typing import Any

from mcp_proxy.conversation import JsonObject, Media, Text, Verbatim
from mcp_proxy.dialects.openai_chat.names import NAME
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

ContentPart = Text | Media | Verbatim


def read_content(value: Any, where: Where) -> tuple[ContentPart, ...]:
    """Text, a list of parts, or null, which clients send for "nothing"."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    return tuple([_part(item, here) for item, here in read_items(value, where)])


def _part(part: JsonObject, where: Where) -> ContentPart:
    read = _READERS.get(get(part, "type", str, where))
    return read(part, where) if read else Verbatim(NAME, part)


def _file(part: JsonObject, where: Where) -> ContentPart:
    file, where = get(part, "file", dict, where), (*where, "file")
    if file.get("file_id"):
        raise BadRequest(
            "files are not stored here; send the file itself as file_data",
            param=spell((*where, "file_id")),
        )
    name = get(file, "filename", str, where, default=None)
    data = get(file, "file_data", str, where)
    return read_file(data, name, (*where, "file_data"))


_READERS: dict[str, Callable[[JsonObject, Where], ContentPart]] = {
    "text": read_text,
    "input_text": read_text,
    "refusal": read_refusal,
    "image_url": read_image,
    "input_image": read_image,
    "input_audio": read_audio,
    "file": _file,
}
