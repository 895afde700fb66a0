"""What a plan obeys and what it answers with: ask somebody, wait, or give up."""

from typing import NamedTuple

from mcp_proxy.account import Candidate
from mcp_proxy.errors import ProxyError
from mcp_proxy.values import value


@value
class Rules:
    """Settings that an attempt obeys."""

    max_wait: float = 120.0
    """Seconds a request may wait for limits, all waits together."""
    soft_limit: float | None = 0.2
    fallback: bool = False
    fault_tries: int = 3


class Try(NamedTuple):
    candidate: Candidate
    host: int
    """Which of the provider's addresses: 0, 1, …; the caller takes it modulo their number."""


class Wait(NamedTuple):
    seconds: float
    reason: str
    for_anybody: bool = False
    """It is over as soon as somebody else may have come."""


class GiveUp(NamedTuple):
    error: ProxyError


Step = Try | Wait | GiveUp


class Considered(NamedTuple):
    """An account and model that might have answered."""

    account: str
    model: str
    reason: str
    """Why it is not asked; empty when it could be."""
