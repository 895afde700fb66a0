"""What a client is told when no account can answer: what, which, until when, and what mends it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mcp_proxy.account import Account
from mcp_proxy.errors import ErrorKind, Failure, FailureKind, ProxyError
from mcp_proxy.policy.durations import spell_duration, spell_moment
from mcp_proxy.policy.standing import Mark, MarkKind

_MOST_NAMED: Final = 5
"""Accounts told about in one message."""

_FAULTS: Final[Mapping[FailureKind, ErrorKind]] = {
    FailureKind.CAPACITY: ErrorKind.OVERLOADED,
    FailureKind.SLOW: ErrorKind.SLOW,
}

_OWN_FAULTS: Final[Mapping[FailureKind, ErrorKind]] = {FailureKind.TOO_LONG: ErrorKind.TOO_LONG}

_TOO_LARGE: Final = 413
"""The one status of a refused request, beside 400, that clients are told as it is."""

_MARKED: Final = {
    "invalid": "the sign-in no longer works",
    "suspended": "the provider has suspended it",
    "verification": "the provider wants it verified by its owner",
    "misconfigured": "the provider denies it access",
}

_ONLY_FROM: Final = frozenset({"antigravity-app", "codex"})
"""Programs whose login an account gets by their names: its provider signs in in another way."""


def limited(models: Sequence[str], opens_at: float, now: float) -> ProxyError:
    """Every account is limited for longer than a request may wait."""
    wait = max(opens_at - now, 0.0)
    names = models[0]
    if len(models) > 1:
        names += f" and on the fallback {', '.join(models[1:])}"
    return ProxyError(
        ErrorKind.LIMITED,
        f"RESOURCE_EXHAUSTED: Rate limited on {names}. Quota will reset after "
        f"{spell_duration(wait)}. Next available: {spell_moment(opens_at)}",
        retry_after=wait,
    )


def faulty(model: str, failure: Failure, attempts: int, now: float) -> ProxyError:
    """The upstream kept failing; its last failure decides what the client hears."""
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    wait = None if failure.retry_at is None else max(failure.retry_at - now, 0.0)
    return ProxyError(
        _FAULTS.get(failure.kind, ErrorKind.UPSTREAM),
        f"{model} gave no answer in {tries}: {failure.detail}",
        retry_after=wait,
    )


def refused(failure: Failure) -> ProxyError:
    """The request itself is at fault: the upstream's own words, they name what is wrong."""
    if failure.status == _TOO_LARGE:
        return ProxyError(ErrorKind.TOO_LARGE_UPSTREAM, failure.detail)
    return ProxyError(_OWN_FAULTS.get(failure.kind, ErrorKind.BAD_REQUEST), failure.detail)


def not_found(model: str, failure: Failure) -> ProxyError:
    return ProxyError(
        ErrorKind.UNKNOWN_MODEL,
        f"model: no account is offered {model!r} by its upstream: {failure.detail}",
        param="model",
    )


def no_account(model: str, reasons: Iterable[tuple[Account, Mark | Failure | None]]) -> ProxyError:
    """Nobody is left to ask. A reason of None: the account is disabled."""
    told = list(reasons)
    if not told:
        return ProxyError(
            ErrorKind.NO_ACCOUNT, f"No account serves {model}. Add one: mcproxy accounts add"
        )
    lines = [_told(account, reason) for account, reason in told[:_MOST_NAMED]]
    if len(told) > _MOST_NAMED:
        lines.append(f"and {len(told) - _MOST_NAMED} more: mcproxy accounts list")
    return ProxyError(
        ErrorKind.NO_ACCOUNT, f"No account can serve {model} now. {' | '.join(lines)}"
    )


def _told(account: Account, reason: Mark | Failure | None) -> str:
    if reason is None:
        return f"{account.id}: disabled. Run: mcproxy accounts enable {account.id}"
    if isinstance(reason, Failure):
        what, command = reason.detail, f"mcproxy accounts verify {account.id}"
    else:
        what = f"{_MARKED[reason.kind]}: {reason.reason}"
        command = mending_command(account, reason.kind)
    # What the provider said may name both already.
    where = f" {reason.url}" if reason.url and reason.url not in what else ""
    mends = "" if command in what else f" Run: {command}"
    return f"{account.id}: {what}{where}{mends}"


def mending_command(account: Account, kind: MarkKind) -> str:
    """What its owner runs, once whatever `Mark.url` asks for is done."""
    if kind == "invalid":
        source = account.credential.source
        whose = f"--from {source}" if source in _ONLY_FROM else f"--provider {account.provider}"
        return f"mcproxy accounts add {whose} --id {account.id}"
    return f"mcproxy accounts verify {account.id}"
