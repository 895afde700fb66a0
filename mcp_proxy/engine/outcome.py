"""What became of a request: for the access log, for metrics, and for `mcproxy explain`."""

from dataclasses import field
from typing import NamedTuple

from mcp_proxy.events import NO_USAGE, Usage
from mcp_proxy.policy.attempts import AttemptPlan
from mcp_proxy.values import stateful

ANSWERED = "answered"
REFRESHED = "refreshed"
"""The result of a step that is neither an attempt nor a wait: an access token was got first."""


class Step(NamedTuple):
    """One thing that took time: an attempt, or a wait for a limit."""

    seconds: float
    result: str
    """ANSWERED, REFRESHED, the kind of failure, or the reason of a wait."""
    account: str = ""
    """Empty for a wait."""
    model: str = ""
    status: int | None = None
    """The upstream's, when it answered with another one than 200."""
    detail: str = ""
    """The upstream's own words."""


@stateful
class Outcome:
    """The facts of one request, gathered while it is answered. Made into text later."""

    plan: AttemptPlan | None = None
    """Knows who was considered, and why each was not asked."""
    attempts: int = 0
    account: str = "-"
    provider: str = "-"
    model: str = "-"
    fallback_from: str | None = None
    usage: Usage = NO_USAGE
    first_event_at: float | None = None
    """By the clock of `time.perf_counter`."""
    upstream_seconds: float = 0.0
    """From sending the request that was answered to the first content of its answer."""
    notes: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    forwarded: bool = False
    """The client's and the upstream's own bytes went through."""
