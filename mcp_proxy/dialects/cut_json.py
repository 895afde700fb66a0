"""JSON text that was cut off, completed to an object.

An answer that reaches its limit of tokens may end within a tool's arguments. What has come of
them is shown all the same, as the APIs themselves do, and has to be an object for its readers.
"""

import re
from typing import Final

import orjson

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_CLOSERS: Final = {"{": "}", "[": "]"}

_AFTER_STRING: Final = (
    '"',
    *('\\"', '0000"', '000"', '00"', '0"'),  # cut within an escape: \, \u, \u1, \u12, \u123
    *('00\\udc00"', '0\\udc00"', '\\udc00"', 'udc00"', 'dc00"', 'c00"'),  # within a surrogate pair
)
_FILLS: Final = (
    *("", "null", ":null", '"":null'),  # a value, a member, or what follows a comma in an object
    *("0", "rue", "ue", "e", "alse", "lse", "se", "ull", "ll", "l"),
    *_AFTER_STRING,
    *(f"{end}:null" for end in _AFTER_STRING),  # the string is a key
)
"""What may be missing directly after the cut, before the open brackets are closed."""


def ending_of(text: str) -> str | None:
    """What makes the text an object when it is put after it; None when nothing does.

    "" for a text that is an object. What has come stays as it is, since it may have been sent on.
    """
    if not text or text.isspace():
        return "{}"
    closers = _closers(text)
    for fill in _FILLS:
        if _is_object(text + fill + closers):
            return fill + closers
    return None


def _closers(text: str) -> str:
    """What closes every bracket that is open, the innermost first."""
    stack: list[str] = []
    for char in _STRING.sub("", text):
        if char in _CLOSERS:
            stack.append(_CLOSERS[char])
        elif char in "]}" and stack:
            stack.pop()
    return "".join(reversed(stack))


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
