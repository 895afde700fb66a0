"""Content of a Chat Completions message (client-apis.md 2.1) -> parts.

Knows the part types; does not know which of them a role may carry. An unknown type is kept as
`Verbatim`: it is left out on other wires, never refused.
"""

from collections.abc import Callable
from typing import Any

from mcp_proxy.conversation import JsonObject, Media, Text, Verbatim
from mcp_proxy.dialects.inline_data import media_at, read_base64
from mcp_proxy.dialects.openai_fields import read_file
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, check, get, kind_of, one_of, spell

NAME = "openai_chat"

ContentPart = Text | Media | Verbatim

_AUDIO_FORMATS = ("wav", "mp3")


def read_content(value: Any, where: Where) -> tuple[ContentPart, ...]:
    """Text, a list of parts, or null, which clients send for "nothing"."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRequest(
            f"expected text or a list of parts, got {kind_of(value)}", param=spell(where)
        )
    return tuple([_part(item, (*where, at)) for at, item in enumerate(value)])


def _part(item: Any, where: Where) -> ContentPart:
    part = check(item, dict, where)
    read = _READERS.get(get(part, "type", str, where))
    return read(part, where) if read else Verbatim(NAME, part)


def _text(part: JsonObject, where: Where) -> Text:
    return Text(get(part, "text", str, where))


def _refusal(part: JsonObject, where: Where) -> Text:
    return Text(get(part, "refusal", str, where))


def _image(part: JsonObject, where: Where) -> Media:
    image = part.get("image_url")
    if isinstance(image, str):
        return media_at(image, (*where, "image_url"), "image/*")
    image = get(part, "image_url", dict, where)
    url = get(image, "url", str, (*where, "image_url"))
    return media_at(url, (*where, "image_url", "url"), "image/*")


def _audio(part: JsonObject, where: Where) -> Media:
    audio, where = get(part, "input_audio", dict, where), (*where, "input_audio")
    kind = one_of(get(audio, "format", str, where), _AUDIO_FORMATS, (*where, "format"))
    return Media(f"audio/{kind}", read_base64(get(audio, "data", str, where), (*where, "data")))


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
    "text": _text,
    "input_text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_image": _image,
    "input_audio": _audio,
    "file": _file,
}
