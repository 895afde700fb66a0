"""What a JSON web token says of itself, unverified. Knows nothing of keys and issuers.

Nothing here is trusted: the token came over TLS from the endpoint that made it, and the claims are
read only to learn whose it is and when it ends (providers.md 7.3).
"""

import binascii
from base64 import urlsafe_b64decode
from typing import Any

import orjson

JsonObject = dict[str, Any]


def claims_of(token: str) -> JsonObject:
    """The claims; {} for anything that is not a JSON web token."""
    pieces = token.split(".")
    if len(pieces) != 3:
        return {}
    payload = pieces[1]
    try:
        claims = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def expiry_of(token: str) -> float | None:
    """Unix time at which the token ends; None when it does not say."""
    moment = claims_of(token).get("exp")
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return None
    return float(moment)
