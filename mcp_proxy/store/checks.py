"""Single values from files, variables and flags: a check returns the value or says why not."""

import math
import re
from collections.abc import Callable
from typing import TypeVar

from mcp_proxy.account import Secret

_HEADER_SAFE = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
# Compiled by the first key that there is: it takes 1 ms, and most servers have none.
_UNSENDABLE = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_OUR_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"}
)
"""They say how a message is framed, which only whoever sends it can know."""

_T = TypeVar("_T")


class WrongValue(ValueError):
    """`str()` continues the name of the field: `must be …`."""


def text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue("must be text")
    return value


def filled_text(value: object) -> str:
    if not text(value).strip():
        raise WrongValue("must not be empty")
    return text(value).strip()


def switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValue("must be true or false")
    return value


def token(value: object) -> str:
    """Text that can stand in a header or a form; what a paste leaves around it is cut off."""
    stripped = text(value).strip()
    if not _HEADER_SAFE.fullmatch(stripped):
        raise WrongValue("must be one run of plain characters (no spaces, no control characters)")
    return stripped


def secret(value: object) -> Secret:
    return Secret(token(value))


def client_key(value: object) -> Secret:
    """A key of our own, which clients send: whatever a header can hold."""
    key = filled_text(value)
    if re.search(_UNSENDABLE, key):
        raise WrongValue("must be one line of text without control characters")
    return Secret(key)


def host_label(value: object) -> str:
    """Text that becomes a part of a host name: with a dot or slash it would name another host."""
    if not _HOST_LABEL.fullmatch(text(value)):
        raise WrongValue("must be made of a-z 0-9 -, like us-central1")
    return text(value)


def headers(value: object) -> dict[str, str]:
    """Names and values as they can be sent. The values may be keys: no reason quotes them."""
    if not isinstance(value, dict):
        raise WrongValue("must be a table of texts")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise WrongValue("must have names that HTTP takes (no spaces, no colon)")
        if name.lower() in _OUR_HEADERS:
            raise WrongValue(f"must not have {name}, which is settled by the request itself")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise WrongValue(f"must have one line of plain text for {name}")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise WrongValue(f"must be a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float, unit: str = "") -> Callable[[object], float]:
    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongValue(f"must be a number{unit}")
        if not math.isfinite(value) or not low <= value <= high:
            raise WrongValue(f"must be a number{unit} from {low:g} to {high:g}")
        return float(value)

    return check


fraction = number(0, 1)


def one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in choices:
            given = f', not "{value[:40]}"' if isinstance(value, str) else ""
            raise WrongValue(f"must be one of {', '.join(choices)}{given}")
        return text(value)

    return check


def list_of(check: Callable[[object], _T]) -> Callable[[object], tuple[_T, ...]]:
    def check_all(value: object) -> tuple[_T, ...]:
        if not isinstance(value, list | tuple):
            raise WrongValue("must be a list")
        try:
            return tuple(check(each) for each in value)
        except WrongValue as wrong:
            raise WrongValue(f"must be a list in which each {wrong}") from wrong

    return check_all


def any_number(value: object) -> tuple[str, ...]:
    """One text or a list of them: always a tuple."""
    return list_of(filled_text)(value if isinstance(value, list | tuple) else [value])


def one_or_more(value: object) -> tuple[str, ...]:
    """The same, never empty."""
    several = any_number(value)
    if not several:
        raise WrongValue("must not be an empty list")
    return several
