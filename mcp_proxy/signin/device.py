"""The device flow (RFC 8628): a code that is typed on a page elsewhere, and the wait for it.

Knows no provider: what is asked, and what an answer means, is the caller's.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError

_T = TypeVar("_T")

SLOW_DOWN = 5.0
"""Seconds by which the pauses grow when an endpoint says so."""


class DeviceCode(NamedTuple):
    """What a person types, where, and how long it is good for."""

    user_code: str
    url: str
    handle: Secret
    """What the endpoint knows the sign-in by."""
    interval: float
    """Seconds between two looks."""
    lifetime: float


class Pending(NamedTuple):
    """Nobody has typed the code yet."""

    slow_down: bool = False
    interval: float | None = None
    """Seconds that the endpoint asks for from now on."""


def wait_for(
    code: DeviceCode,
    look: Callable[[], _T | Pending],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> _T:
    """What `look` gives once the code has been typed. UserError when it has run out."""
    interval, ends_at = code.interval, clock() + code.lifetime
    while clock() + interval < ends_at:
        pause(interval)
        answer = look()
        if not isinstance(answer, Pending):
            return answer
        if answer.slow_down:
            interval = max(answer.interval or 0.0, interval + SLOW_DOWN)
    raise UserError(
        f"nobody typed the code within {code.lifetime / 60:.0f} minutes; nothing was added"
    )
