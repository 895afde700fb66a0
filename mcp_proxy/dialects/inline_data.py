"""Base64 and `data:` URLs as clients write them -> standard base64 with padding.

Many encoders break lines, and no upstream takes that. What is not base64 at all is refused here,
with the field's path: upstream it would be an error without one.
"""

import base64
import binascii
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from mcp_proxy.conversation import Media
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, spell


def read_base64(text: str, where: Where) -> str:
    """The same bytes without line breaks. BadRequest when it does not decode or is empty."""
    if text and _decodes(text):
        return text
    tidy = "".join(text.split())
    if tidy and tidy != text and _decodes(tidy):
        return tidy
    raise BadRequest("expected base64, got text that does not decode", param=spell(where))


def read_data_url(url: str, where: Where) -> tuple[str, str]:
    """MIME type ("" when the URL has none) and base64 of a `data:` URL (RFC 2397)."""
    head, comma, payload = url.partition(",")
    if not comma:
        raise BadRequest("expected a data: URL with a comma before its data", param=spell(where))
    mime_type, *parameters = head[len("data:") :].split(";")
    if any(parameter.strip().lower() == "base64" for parameter in parameters):
        data = read_base64(unquote(payload) if "%" in payload else payload, where)
    else:
        data = base64.b64encode(unquote_to_bytes(payload)).decode("ascii")
    return mime_type.strip().lower(), data


def media_at(url: str, where: Where, mime_type: str, name: str | None = None) -> Media:
    """Media by its address; `mime_type` holds where a `data:` URL does not say."""
    if is_data_url(url):
        said, data = read_data_url(url, where)
        return Media(said or mime_type, data, name=name)
    if url[:8].lower().startswith(("http://", "https://")):
        return Media(mime_type, url=url, name=name)
    raise BadRequest(f"expected an http, https or data: URL{_to(url)}", param=spell(where))


def _to(url: str) -> str:
    """The host of a URL that is refused: with it, its owner finds it. Never a password in it."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    return f", got one to {host[:253]!r}" if host else ""


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def _decodes(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return False
    return True
