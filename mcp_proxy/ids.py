"""Ids that only have to differ, never to be guarded: requests, answers, tool calls.

Drawn from a generator seeded once per process. Asking the operating system for every id costs ten
times as much, and a small request needs three.
"""

from random import getrandbits

_HEX_24 = 96
_VARIANTS = "89ab"


def new_id() -> str:
    """24 random hex digits, as the ids of the big APIs have."""
    return f"{getrandbits(_HEX_24):024x}"


def new_uuid() -> str:
    """A random UUID (RFC 9562, version 4) in its usual spelling."""
    digits = f"{getrandbits(128):032x}"
    variant = _VARIANTS[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
