"""Where a model name leads now: the candidates in the order in which a new conversation asks them.

Nothing is sent and nothing is changed. The rules are those of `policy/attempts.py`; here they are
put into words, one for each candidate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_proxy.account import Account, Candidate
from mcp_proxy.engine.report import moment
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.engine.schemas import ROUTE_SCHEMA
from mcp_proxy.policy.durations import spell_duration
from mcp_proxy.policy.ledger import soft_threshold
from mcp_proxy.policy.models import info
from mcp_proxy.policy.refusals import mending_command
from mcp_proxy.policy.routes import Stage
from mcp_proxy.policy.selection import Situation, chooser
from mcp_proxy.policy.standing import Mark, State

JsonObject = dict[str, Any]

NO_CONVERSATION = ""
"""The session key that is nobody's: whom a conversation would stay with is not asked here."""


def route_report(runtime: Runtime, name: str) -> JsonObject:
    """Every candidate for a client's model name, and what would become of a request now.

    Raises UnknownModel, which names the three nearest spellings.
    """
    now = runtime.clock()
    own = [row for stage in runtime.names.stages(name) for row in _stage_rows(runtime, stage, now)]
    others = [
        row for stage in _stand_ins(runtime, name) for row in _stage_rows(runtime, stage, now)
    ]
    is_on = runtime.settings.fallback.enabled
    rows = [*own, *(others if is_on else map(_left_aside, others))]
    return {
        "schema": ROUTE_SCHEMA,
        "at": moment(now),
        "name": name,
        "strategy": runtime.settings.limits.strategy,
        "fallback": is_on,
        "outcome": _outcome(own, others if is_on else [], runtime.settings.limits.max_wait, now),
        "candidates": list(_numbered(rows)),
    }


def _stand_ins(runtime: Runtime, name: str) -> Sequence[Stage]:
    own = runtime.names.stages(name)
    found = runtime.names.fallbacks(own[0].model)
    return [stage for stage in found if stage.model not in {each.model for each in own}]


@dataclass(frozen=True, slots=True)
class _Row:
    """One candidate, or an account that would be one."""

    account: Account
    model: str
    state: State
    because: str
    """Ends the sentence `it is asked, or not, because …`; what an upstream said may be in it."""
    is_asked: bool = False
    free_at: float | None = None
    """When a limit ends that alone keeps it from being asked."""
    remaining: float | None = None
    fallback_from: str | None = None
    url: str | None = None
    mend: str | None = None


def _stage_rows(runtime: Runtime, stage: Stage, now: float) -> Iterator[_Row]:
    """First whom it asks, in order; then those whom time or their owner must free."""
    ledger = runtime.ledger
    usable: list[Candidate] = []
    limited: list[tuple[float, Candidate]] = []
    for candidate in stage.candidates:
        mark = ledger.mark_of(candidate.account)
        until = ledger.limited_until(candidate.account.id, runtime.models.of(candidate), now)
        if mark is None and until is None:
            usable.append(candidate)
        elif mark is None and until is not None:
            limited.append((until, candidate))
    for candidate in _in_order(runtime, stage, usable, now):
        yield _asked_row(runtime, candidate, now)
    for until, candidate in sorted(limited, key=lambda each: each[0]):
        yield _limited_row(runtime, candidate, until, now)
    for candidate in stage.candidates:
        mark = ledger.mark_of(candidate.account)
        if mark is not None:
            yield _marked_row(candidate, mark)
    for account in stage.disabled:
        yield _disabled_row(account, stage.model)


def _in_order(
    runtime: Runtime, stage: Stage, usable: list[Candidate], now: float
) -> Iterator[Candidate]:
    """The best is asked first; if it fails, the best of the others; and so on."""
    chosen = chooser(runtime.settings.limits.strategy)
    situation = Situation(
        NO_CONVERSATION,
        info(stage.model),
        runtime.models.of,
        runtime.ledger,
        runtime.gates.load,
        runtime.settings.limits.soft_limit,
        now,
    )
    while usable:
        calm = [c for c in usable if not _comes_last(runtime, c, now)] or usable
        best = calm[0] if stage.is_ordered else chosen.choose(calm, situation)
        usable.remove(best)
        yield best


def _comes_last(runtime: Runtime, candidate: Candidate, now: float) -> bool:
    model = runtime.models.of(candidate)
    return runtime.ledger.comes_last(candidate.account.id, model, now)


def _asked_row(runtime: Runtime, candidate: Candidate, now: float) -> _Row:
    return _Row(
        candidate.account,
        candidate.model,
        _state(runtime, candidate, now),
        _standing(runtime, candidate, now),
        is_asked=True,
        remaining=_remaining(runtime, candidate, now),
        fallback_from=candidate.fallback_from,
    )


def _standing(runtime: Runtime, candidate: Candidate, now: float) -> str:
    """What speaks for an account that may be asked, and what puts it behind others."""
    account = candidate.account
    if runtime.ledger.resting(account.id, now):
        return "it failed three times within a minute, so others go first"
    if runtime.ledger.lacks(account.id, runtime.models.of(candidate), now):
        return "its upstream said lately that it lacks the model, so others go first"
    remaining = _remaining(runtime, candidate, now)
    if remaining is None:
        return "nobody has said what is left"
    threshold = soft_threshold(account, runtime.settings.limits.soft_limit)
    if threshold is not None and remaining <= threshold:
        return f"{remaining:.0%} left, not above its soft limit of {threshold:.0%}: others go first"
    return f"{remaining:.0%} left"


def _limited_row(runtime: Runtime, candidate: Candidate, until: float, now: float) -> _Row:
    evidence = runtime.ledger.evidence(candidate.account.id, runtime.models.of(candidate)).evidence
    told = f" ({evidence})" if evidence else ""
    return _Row(
        candidate.account,
        candidate.model,
        _state(runtime, candidate, now),
        f"limited for {spell_duration(until - now)}{told}",
        free_at=until,
        remaining=_remaining(runtime, candidate, now),
        fallback_from=candidate.fallback_from,
    )


def _marked_row(candidate: Candidate, mark: Mark) -> _Row:
    return _Row(
        candidate.account,
        candidate.model,
        State.INVALID,
        f"its owner is needed: {mark.reason or mark.kind}",
        fallback_from=candidate.fallback_from,
        url=mark.url,
        mend=mending_command(candidate.account, mark.kind),
    )


def _disabled_row(account: Account, model: str) -> _Row:
    return _Row(
        account,
        model,
        State.DISABLED,
        "disabled",
        mend=f"mcproxy accounts enable {account.id}",
    )


def _left_aside(row: _Row) -> _Row:
    """A stand-in that nobody turns to while there is no fallback."""
    return _Row(
        row.account,
        row.model,
        row.state,
        f"fallback is off; otherwise: {row.because}",
        remaining=row.remaining,
        fallback_from=row.fallback_from,
        url=row.url,
        mend=row.mend or "mcproxy serve --fallback",
    )


def _outcome(
    own: Sequence[_Row], others: Sequence[_Row], max_wait: float, now: float
) -> JsonObject:
    """What happens to a request. One that may wait for its own model does not fall back."""
    nobody: JsonObject = {
        "kind": "nobody",
        "account": None,
        "model": None,
        "seconds": None,
        "until": None,
    }
    for rows in (own, others):
        asked = next((row for row in rows if row.is_asked), None)
        if asked is not None:
            return {**nobody, "kind": "asked", "account": asked.account.id, "model": asked.model}
        waiting = [row for row in rows if row.free_at is not None]
        soonest = min(waiting, key=lambda row: row.free_at or now, default=None)
        wait = None if soonest is None or soonest.free_at is None else soonest.free_at - now
        if soonest is not None and wait is not None and wait <= max_wait:
            return {
                **nobody,
                "kind": "waits",
                "account": soonest.account.id,
                "model": soonest.model,
                "seconds": round(wait, 1),
            }
    limited = [row.free_at for row in own if row.free_at is not None]
    if limited:
        return {**nobody, "kind": "limited", "until": moment(min(limited))}
    return nobody


def _numbered(rows: Sequence[_Row]) -> Iterator[JsonObject]:
    """The rows as JSON; those that are asked have their turn, from 1."""
    turn = 0
    for row in rows:
        turn += row.is_asked
        yield {
            "turn": turn if row.is_asked else None,
            "account": row.account.id,
            "provider": row.account.provider,
            "model": row.model,
            "fallback_from": row.fallback_from,
            "state": row.state,
            "remaining": row.remaining,
            "limited_until": moment(row.free_at),
            "because": row.because,
            "url": row.url,
            "mend": row.mend,
        }


def _state(runtime: Runtime, candidate: Candidate, now: float) -> State:
    return runtime.ledger.state_of(
        candidate.account,
        runtime.models.of(candidate),
        now,
        runtime.settings.limits.soft_limit,
    )


def _remaining(runtime: Runtime, candidate: Candidate, now: float) -> float | None:
    return runtime.ledger.remaining(candidate.account.id, runtime.models.of(candidate), now)
