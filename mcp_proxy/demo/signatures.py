"""Thought signatures: opaque to everybody else, issued and checked here.

One says which family made it and, for Claude, which thinking it belongs to. It is good for every
account and after a restart, as the real ones are; the key is no secret, it only makes tampering
show. The outside looks like the real thing: Claude's are base64 in base64 and begin with "R",
Gemini's are a protobuf-like blob that begins with 0x12. Source: cloudcode.md 4.1-4.3.
"""

import base64
import binascii
import hashlib
import hmac

SENTINEL = "skip_thought_signature_validator"
"""Google's documented stand-in for a Gemini signature that is not there any more."""

_KEY = b"mcproxy embedded upstream"
_MAC_BYTES = 32
_URL_SAFE = str.maketrans("-_", "+/")
_LEAD = {
    "claude": b"\x12\xa0",
    "gemini": b"\x12\xb0",
    "gpt": b"\x80\x00",
    "copilot": b"\x12\xc0",
}
"""Who made it. Copilot's are good only there, whatever the model (providers.md 8.5)."""


def issue(family: str, text: str) -> str:
    """A signature for `text`: the thinking of a Claude model, anything for others."""
    payload = _LEAD[family] + hashlib.sha256(text.encode()).digest()
    blob = base64.b64encode(payload + _mac(payload))
    if family == "claude":
        blob = base64.b64encode(blob)
    return blob.decode()


def is_genuine(signature: str, family: str, *, text: str | None = None) -> bool:
    """Whether it was issued here for this family, and for this text when one is given."""
    try:
        # Google's are bytes in a protocol buffer, so that JSON may have either alphabet.
        plain = signature.translate(_URL_SAFE) if family == "gemini" else signature
        blob = base64.b64decode(plain, validate=True)
        if family == "claude":
            blob = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    payload, mac = blob[:-_MAC_BYTES], blob[-_MAC_BYTES:]
    if not payload.startswith(_LEAD[family]) or not hmac.compare_digest(mac, _mac(payload)):
        return False
    return text is None or payload[2:] == hashlib.sha256(text.encode()).digest()


def _mac(payload: bytes) -> bytes:
    return hmac.digest(_KEY, payload, "sha256")
