"""Proof keys for code exchange (RFC 7636): only who asked for a code can trade it."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import NamedTuple, Self


class ProofKey(NamedTuple):
    verifier: str
    challenge: str
    """S256 of the verifier."""

    @classmethod
    def fresh(cls) -> Self:
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        return cls(verifier, urlsafe_b64encode(digest).rstrip(b"=").decode())
