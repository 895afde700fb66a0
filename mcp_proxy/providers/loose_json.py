"""Fields of upstreams' answers, whatever is in them: a value of the wanted kind, or nothing.

Answers about accounts are read in good faith and without trust; one odd field must not cost the
others. Knows no provider.
"""

import math
from typing import Any

import orjson

from mcp_proxy.policy.durations import plain_number

JsonObject = dict[str, Any]


def object_of(body: bytes) -> JsonObject:
    """ValueError when the body is not a JSON object."""
    value = orjson.loads(body)  # its error is a ValueError
    if not isinstance(value, dict):
        raise ValueError("the answer is not a JSON object")  # noqa: TRY004 - the interface's word
    return value


def object_or_empty(body: bytes) -> JsonObject:
    try:
        return object_of(body)
    except ValueError:
        return {}


def part(holder: JsonObject, name: str) -> JsonObject:
    """The object of that name; {} when there is none."""
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """The objects in a list; [] for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def rows(body: bytes, name: str) -> list[JsonObject]:
    """The objects of the list of that name, as lists of models come; ValueError without one."""
    listed = object_of(body).get(name)
    if not isinstance(listed, list):
        raise ValueError(f"the answer has no list of {name}")  # noqa: TRY004 - the interface's word
    return objects(listed)


def text(value: object) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def number(value: object) -> float | None:
    """A finite number; some upstreams write theirs as text."""
    if isinstance(value, str):
        return plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def count(value: object) -> int | None:
    """A whole number above zero."""
    return value if type(value) is int and value > 0 else None


def fraction(value: float) -> float:
    """A share within 0-1, whatever rounding and overdraft have made of it."""
    return min(max(value, 0.0), 1.0)


def token_text(value: object) -> str | None:
    """A token that can go into a header; None for anything else."""
    found = text(value)
    return found if found and found.isascii() and found.isprintable() and " " not in found else None
