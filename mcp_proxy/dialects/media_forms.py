"""Media as upstreams take them: a type that is never a pattern, and data URLs."""

from typing import Final

from mcp_proxy.conversation import Media

_MAGIC: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBER": "application/pdf",
}
"""How base64 of well-known files begins."""


def mime_type(media: Media) -> str:
    """Mandatory upstream and never a pattern; `image/*` is read off the data."""
    if media.mime_type and not media.mime_type.endswith("/*"):
        return media.mime_type
    for start, found in _MAGIC.items():
        if media.data.startswith(start):
            return found
    return "image/jpeg"


def address(media: Media) -> str:
    """Its URL, or a `data:` URL of what is inline."""
    return media.url or f"data:{mime_type(media)};base64,{media.data}"
