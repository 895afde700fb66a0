"""Content parts that OpenAI's request formats share (client-apis.md 2.1, 3.1), by their own names.

Knows what one part means; which types a format has, and what becomes of others, is its own matter.
"""

import base64
import binascii
import mimetypes
from collections.abc import Iterator
from typing import Any

from mcp_proxy.conversation import JsonObject, Media, Text
from mcp_proxy.dialects.inline_data import is_data_url, media_at, read_base64
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, check, get, kind_of, one_of, spell

_AUDIO_FORMATS = ("wav", "mp3")


def read_items(value: Any, where: Where) -> Iterator[tuple[JsonObject, Where]]:
    """The parts of content that is not text, each with its place; null is no part at all."""
    if value is None:
        return
    if not isinstance(value, list):
        raise BadRequest(
            f"expected text or a list of parts, got {kind_of(value)}", param=spell(where)
        )
    for at, item in enumerate(value):
        here: Where = (*where, at)
        yield check(item, dict, here), here


def read_text(part: JsonObject, where: Where) -> Text:
    return Text(get(part, "text", str, where))


def read_refusal(part: JsonObject, where: Where) -> Text:
    return Text(get(part, "refusal", str, where))


def read_image(part: JsonObject, where: Where) -> Media:
    """`image_url` is text in one format and an object in the other; clients mix them up."""
    image = part.get("image_url")
    if isinstance(image, str):
        return media_at(image, (*where, "image_url"), "image/*")
    image = get(part, "image_url", dict, where)
    url = get(image, "url", str, (*where, "image_url"))
    return media_at(url, (*where, "image_url", "url"), "image/*")


def read_audio(part: JsonObject, where: Where) -> Media:
    audio, where = get(part, "input_audio", dict, where), (*where, "input_audio")
    kind = one_of(get(audio, "format", str, where), _AUDIO_FORMATS, (*where, "format"))
    return Media(f"audio/{kind}", read_base64(get(audio, "data", str, where), (*where, "data")))


def read_file(data: str, name: str | None, where: Where) -> Text | Media:
    """A file by its data or address. Plain text becomes text, which every model reads."""
    mime_type = mimetypes.guess_type(name or "")[0] or "application/pdf"
    if is_data_url(data) or "://" in data[:12]:
        return _text_if_plain(media_at(data, where, mime_type, name))
    return _text_if_plain(Media(mime_type, read_base64(data, where), name=name))


def _text_if_plain(media: Media) -> Text | Media:
    if media.data and media.mime_type.startswith("text/"):
        try:
            return Text(base64.b64decode(media.data).decode())
        except (UnicodeDecodeError, binascii.Error):
            return media
    return media
