"""Requests as `mcproxy explain` tells them: who was asked, who was not, and what took the time.

Written with the access log, when the answers are long gone. Bodies are never kept.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mcp_proxy.engine.outcome import REFRESHED, Outcome, Step
from mcp_proxy.engine.report import moment
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.printable import without_quotations
from mcp_proxy.server.answers import Call

JsonObject = dict[str, Any]

MOST_KEPT: Final = 5_000
MOST_AT_ONCE: Final = 100
PER_SECOND: Final = 40.0
"""Kept of a burst, and from then on. Under load every single request is of little interest; those
go first that failed, and then those that did not go the usual way."""

_LONGEST_TEXT: Final = 500
_LONGEST_NAME: Final = 128


class Finished(NamedTuple):
    """A request that is over."""

    call: Call
    status: int
    ended: float
    """By the clock of `time.perf_counter`."""


class Decisions:
    """Keeps what was decided for requests in the state table "decisions"."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ids = deque(runtime.state.keys("decisions"))
        self._room = float(MOST_AT_ONCE)
        self._kept_at = time.perf_counter()

    def keep(self, finished: Sequence[Finished]) -> None:
        """Takes in a batch of requests; those that asked no model are passed over."""
        told = [
            each
            for each in finished
            # Also by a name that leads nowhere: why it does is what its owner wants to know.
            if each.call.outcome is not None
            or (each.call.error is not None and each.call.model != "-")
        ]
        now = time.perf_counter()
        self._room = min(MOST_AT_ONCE, self._room + (now - self._kept_at) * PER_SECOND)
        self._kept_at = now
        if len(told) > self._room:
            told = _of_interest(told, int(self._room))
        self._room -= len(told)
        for each in told:
            self._ids.append(each.call.id)
            self._runtime.state.put("decisions", each.call.id, self._row(each))
        while len(self._ids) > MOST_KEPT:
            self._runtime.state.delete("decisions", self._ids.popleft())

    def _row(self, finished: Finished) -> JsonObject:
        call, outcome = finished.call, finished.call.outcome or Outcome()
        now = self._runtime.clock()
        plan = outcome.plan
        error = call.error
        return {
            "id": call.id,
            "at": moment(now - (time.perf_counter() - call.started)),
            "client": _cut(call.request.headers.get("User-Agent", "-"), _LONGEST_NAME),
            "dialect": call.dialect,
            "path": _cut(call.path, _LONGEST_NAME),
            "asked": _cut(call.model, _LONGEST_NAME),
            "leads_to": list(plan.leads_to) if plan is not None else [],
            "considered": [
                {"account": each.account, "model": each.model, "why_not": _cut(each.reason)}
                for each in (plan.considered(now) if plan is not None else ())
            ],
            "steps": [_step(step) for step in outcome.steps],
            "served": None if outcome.model == "-" else outcome.model,
            "provider": None if outcome.provider == "-" else outcome.provider,
            "account": None if outcome.account == "-" else outcome.account,
            "fallback_from": outcome.fallback_from,
            "forwarded": outcome.forwarded,
            "notes": [_cut(note) for note in outcome.notes],
            "status": finished.status,
            "error": None if error is None else _cut(error.message),
            "usage": {
                "input": outcome.usage.input,
                "output": outcome.usage.output,
                "thinking": outcome.usage.thinking,
                "cache_read": outcome.usage.cache_read,
                "cache_write": outcome.usage.cache_write,
                "searches": outcome.usage.searches,
            },
            "ms": _milliseconds(finished, outcome),
        }


def _of_interest(finished: Sequence[Finished], count: int) -> list[Finished]:
    """Those of which there is most to tell: that failed, then that did not go the usual way."""
    failed, unusual, usual = [], [], []
    for each in finished:
        outcome = each.call.outcome
        if each.status >= 400:
            failed.append(each)
        elif outcome is not None and (len(outcome.steps) > 1 or outcome.notes):
            unusual.append(each)
        else:
            usual.append(each)
    return [*failed, *unusual, *usual][:count]


def _step(step: Step) -> JsonObject:
    return {
        "kind": _kind(step),
        "account": step.account or None,
        "model": step.model or None,
        "result": step.result,
        "status": step.status,
        "detail": _cut(step.detail),
        "ms": round(step.seconds * 1000, 1),
    }


def _kind(step: Step) -> str:
    if step.result == REFRESHED:
        return "refresh"
    return "attempt" if step.account else "wait"


def _milliseconds(finished: Finished, outcome: Outcome) -> JsonObject:
    """`own` is what the proxy itself took of the time to the first content."""
    call = finished.call
    first = None if outcome.first_event_at is None else outcome.first_event_at - call.started
    own = None
    if first is not None:
        elsewhere = sum(step.seconds for step in outcome.steps[:-1]) + outcome.upstream_seconds
        own = max(first - elsewhere, 0.0)
    seconds = {
        "total": finished.ended - call.started,
        "first": first,
        "upstream": outcome.upstream_seconds or None,
        "own": own,
    }
    return {name: None if s is None else round(s * 1000, 1) for name, s in seconds.items()}


def _cut(text: str, longest: int = _LONGEST_TEXT) -> str:
    """As much as is kept of words of strangers, with nothing in it that is no text."""
    text = without_quotations(text).encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"
