"""Seals in `thoughtSignature`, which Google defines as bytes: whatever is in it must be base64.

Google's SDKs decode it and encode it again, in the URL-safe alphabet (recordings py-genai-*), so a
client returns other text than it was given. Base64 is read back to the standard alphabet, in which
Google and Anthropic write; seals of any other form (OpenAI's are URL-safe to begin with) and blobs
of redacted thinking travel as base64 of themselves, behind a mark.
"""

import base64
import binascii
from typing import Final, NamedTuple

from mcp_proxy.conversation import UNKNOWN_ORIGIN, Seal
from mcp_proxy.dialects.gemini.client_fields import standard_base64
from mcp_proxy.dialects.gemini.contents import SENTINEL

# Nine bytes each: a multiple of three, so that a mark is also a prefix of its base64.
_WRAPPED: Final = b"mcproxy.s"
_REDACTED: Final = b"mcproxy.r"
_MARK_LENGTH: Final = 9
_MARKS: Final = tuple(base64.b64encode(mark).decode() for mark in (_WRAPPED, _REDACTED))


class Signature(NamedTuple):
    seal: Seal | None
    redacted: bool = False
    """The seal stands for thinking that nobody may read."""


NO_SIGNATURE: Final = Signature(None)


def write_signature(seal: Seal, *, redacted: bool = False) -> str:
    """The seal as base64 from which `read_signature` makes it again."""
    value = seal.value
    if not redacted and _is_canonical(value) and not value.startswith(_MARKS):
        return value
    mark = _REDACTED if redacted else _WRAPPED
    return base64.b64encode(mark + value.encode()).decode()


def read_signature(text: str) -> Signature:
    """Whatever a client sent; what this program never issued is not worth an error."""
    if not text or text == SENTINEL:
        return NO_SIGNATURE
    value = standard_base64(text)
    if not value.startswith(_MARKS):
        return Signature(Seal(UNKNOWN_ORIGIN, value))
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
        wrapped = raw[_MARK_LENGTH:].decode()
    except ValueError:
        return NO_SIGNATURE
    return Signature(Seal(UNKNOWN_ORIGIN, wrapped), raw.startswith(_REDACTED))


def _is_canonical(value: str) -> bool:
    """Whether decoding and encoding gives the same text again."""
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return base64.b64encode(raw).decode() == value
