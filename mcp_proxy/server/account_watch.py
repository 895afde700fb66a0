"""Says in the log when an account is limited, needs its owner, or is back, once for each event.

Looks from time to time at what the ledger has learned: no request pays for it, what another process
has noted is told as well, and accounts of which nothing is new cost nothing.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp_proxy.account import Account
from mcp_proxy.engine.report import models_of, moment
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.refusals import mending_command
from mcp_proxy.policy.standing import Mark, MarkKind

log = logging.getLogger("mcp_proxy.accounts")

LOOK_EVERY: Final = 0.5
"""Seconds."""

WORTH_TELLING: Final = 10.0
"""Seconds. Shorter limits are over before anybody has read of them."""

_MOST_NAMED: Final = 2
"""Models; an empty bucket concerns a dozen."""

_KINDS: Final[Mapping[MarkKind, str]] = {
    "invalid": "invalid",
    "suspended": "suspended",
    "verification": "verification needed",
    "misconfigured": "access denied",
}


class AccountWatch:
    """Remembers what has been told, so that nothing is told twice."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._marks: dict[str, tuple[MarkKind, str]] = {}
        """Account id -> kind and reason of the mark that was told last."""
        self._limits: dict[tuple[str, str], float] = {}
        """(account id, model id) -> the end of the limit that was told last."""
        self._seen: tuple[Account, ...] = ()

    def look(self) -> None:
        """Tells what is new; at the first look, whatever is the case."""
        touched = self._runtime.ledger.take_touched()
        if self._seen is not self._runtime.accounts:
            self._seen = self._runtime.accounts
            touched = {account.id for account in self._seen}
            self._marks = {each: told for each, told in self._marks.items() if each in touched}
        if not touched:
            return
        now = self._runtime.clock()
        self._limits = {key: until for key, until in self._limits.items() if until > now}
        for account in self._runtime.usable_accounts():
            if account.enabled and account.id in touched:
                self._look_at_mark(account)
                self._look_at_limits(account, now)

    def _look_at_mark(self, account: Account) -> None:
        mark = self._runtime.ledger.mark_of(account)
        if mark is None:
            if self._marks.pop(account.id, None) is not None:
                log.info("%s serves again", _named(account), extra=_facts(account, "back"))
        elif self._marks.get(account.id) != (mark.kind, mark.reason):
            self._marks[account.id] = (mark.kind, mark.reason)
            _tell_of_mark(account, mark)

    def _look_at_limits(self, account: Account, now: float) -> None:
        fresh: dict[float, list[ModelInfo]] = defaultdict(list)
        served = models_of(self._runtime, account)
        for model in served:
            until = self._runtime.ledger.limited_until(account.id, model, now)
            if until is None or until - now < WORTH_TELLING:
                continue
            if (account.id, model.id) not in self._limits:
                self._limits[account.id, model.id] = until
                fresh[round(until)].append(model)
        for until, models in fresh.items():
            self._tell_of_limit(account, until, models, of=len(served))

    def _tell_of_limit(
        self, account: Account, until: float, models: Sequence[ModelInfo], *, of: int
    ) -> None:
        alone = [model.id for model in models if not self._others_serve(account, model)]
        what = _list(model.id for model in models) if len(models) < of else "every model"
        then = "other accounts answer meanwhile"
        if alone:
            which = "them" if len(alone) == len(models) else _list(alone)
            then = f"no other account has {which} now. Run: mcproxy accounts add"
        log.log(
            logging.WARNING if alone else logging.INFO,
            "%s is limited until %s for %s; %s",
            _named(account),
            moment(until),
            what,
            then,
            extra=_facts(
                account, "limited", until=moment(until), models=[model.id for model in models]
            ),
        )

    def _others_serve(self, account: Account, model: ModelInfo) -> bool:
        runtime, now = self._runtime, self._runtime.clock()
        return any(
            other.enabled
            and other.id != account.id
            and runtime.ledger.mark_of(other) is None
            and model.id in runtime.names.directory.models_of(other)
            and runtime.ledger.limited_until(other.id, model, now) is None
            for other in runtime.usable_accounts()
        )


@asynccontextmanager
async def watching(runtime: Runtime) -> AsyncIterator[None]:
    """Tells of the runtime's accounts until the block ends."""
    task = asyncio.create_task(_watch(AccountWatch(runtime)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(watch: AccountWatch) -> None:
    try:
        while True:
            watch.look()
            await asyncio.sleep(LOOK_EVERY)
    except Exception:
        # Requests do not depend on it.
        log.exception("events of accounts are not told any more")


def _tell_of_mark(account: Account, mark: Mark) -> None:
    command = mending_command(account, mark.kind)
    log.warning(
        "%s is out (%s): %s%s Run: %s",
        _named(account),
        _KINDS[mark.kind],
        mark.reason,
        f" See {mark.url}" if mark.url else "",
        command,
        extra=_facts(account, mark.kind, reason=mark.reason, url=mark.url, mend=command),
    )


def _named(account: Account) -> str:
    return f"{account.id} ({account.provider})"


def _facts(account: Account, event: str, **more: object) -> Mapping[str, Any]:
    facts = {"account": account.id, "provider": account.provider, "event": event, **more}
    return {"facts": facts}


def _list(models: Iterable[str]) -> str:
    named = list(models)
    rest = len(named) - _MOST_NAMED
    return ", ".join(named[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
