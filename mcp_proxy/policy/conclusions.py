"""What is told of a request's course: who might have answered, and why nobody did."""

from typing import Final

from mcp_proxy.account import Account, Candidate
from mcp_proxy.errors import Failure, FailureKind, ProxyError
from mcp_proxy.policy import refusals
from mcp_proxy.policy.course import Course
from mcp_proxy.policy.durations import spell_duration
from mcp_proxy.policy.standing import Mark
from mcp_proxy.policy.steps import Considered

MOST_CONSIDERED: Final = 20
"""Candidates that are told of a request; with thousands of accounts nobody reads them all."""


def considered(course: Course, now: float) -> list[Considered]:
    """Everybody who might have been asked, in order, with why each was not asked (again).

    At most MOST_CONSIDERED, however many accounts there are.
    """
    found: list[Considered] = []
    for stage in course.lineup.stages:
        for candidate in stage.candidates:
            reason = _why_not(course, stage.model, candidate, now)
            found.append(Considered(candidate.account.id, candidate.model, reason))
            if len(found) == MOST_CONSIDERED:
                return found
        found += [Considered(each.id, stage.model, "disabled") for each in stage.disabled]
    return found[:MOST_CONSIDERED]


def _why_not(course: Course, model: str, candidate: Candidate, now: float) -> str:
    """Empty for one who could be asked."""
    mark = course.mark_of(candidate)
    if mark is not None:
        return f"{mark.kind}: {mark.reason}"
    failure = course.met(candidate).out or course.dead.get(model)
    if failure is not None:
        return f"{failure.kind}: {failure.detail}"
    until = course.limited_until(candidate, now)
    return "" if until is None else f"limited for {spell_duration(until - now)}"


def conclusion(course: Course, attempts: int, now: float) -> ProxyError:
    """The one error that tells why nobody is left. What became of the model asked for decides."""
    lineup = course.lineup
    for stage in lineup.own:
        dead = course.dead.get(stage.model)
        if dead is not None:
            if dead.kind is FailureKind.TOO_LONG:
                return refusals.refused(dead)
            return refusals.faulty(stage.model, dead, attempts, now)
    outs = (course.met(candidate).out for candidate in lineup.candidates)
    left_out = [failure for failure in outs if failure is not None]
    for failure in left_out:
        if failure.unsent:
            return refusals.faulty(lineup.asked, failure, attempts, now)
    opens_at = course.opens_at(now)
    if opens_at is not None:
        # In the order of the stages, each once.
        limited = list(dict.fromkeys(candidate.key for candidate in course.waiting()))
        return refusals.limited(limited, opens_at, now)
    kinds = {failure.kind for failure in left_out}
    if kinds == {FailureKind.NOT_FOUND}:
        return refusals.not_found(lineup.asked, left_out[-1])
    if kinds == {FailureKind.UNTRUSTED}:
        return refusals.faulty(lineup.asked, left_out[-1], attempts, now)
    return refusals.no_account(lineup.asked, _reasons(course))


def _reasons(course: Course) -> list[tuple[Account, Mark | Failure | None]]:
    """Why each account of the model asked for is out; None: its owner disabled it."""
    reasons: list[tuple[Account, Mark | Failure | None]] = []
    for stage in course.lineup.own:
        for candidate in stage.candidates:
            why = course.mark_of(candidate) or course.met(candidate).out
            reasons.append((candidate.account, why))
        reasons += [(account, None) for account in stage.disabled]
    return reasons
