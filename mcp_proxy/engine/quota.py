"""Asks upstreams how much quota is left, and which models each account has."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from mcp_proxy.account import Account, Secret
from mcp_proxy.engine.projects import Projects
from mcp_proxy.engine.tokens import REFUSED_TOKEN, Tokens
from mcp_proxy.engine.transport import Transport
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.providers import Poll, ProviderSettings, Reading, provider

log = logging.getLogger(__name__)

MAX_AGE = 300.0
"""Seconds after which a figure is read again, while its account is in use."""

TIMEOUT = 15.0
"""Seconds for one quota call."""

AT_ONCE = 4
"""Quota calls in flight over all accounts: a hundred accounts must not make a hundred calls."""


class QuotaPoller:
    """Keeps the ledger's figures fresh: on use, and on demand."""

    def __init__(
        self,
        *,
        transport: Transport,
        tokens: Tokens,
        projects: Projects,
        ledger: Ledger,
        provider_settings: Callable[[str], ProviderSettings],
        models_seen: Callable[[Account, Sequence[ModelInfo]], None],
        failed: Callable[[Account, Failure], None],
        clock: Callable[[], float],
    ) -> None:
        """`models_seen` is told of every successful reading, `failed` of every other."""
        self._transport = transport
        self._tokens = tokens
        self._projects = projects
        self._ledger = ledger
        self._provider_settings = provider_settings
        self._models_seen = models_seen
        self._failed = failed
        self._clock = clock
        self._read_at: dict[str, float] = {}
        self._tried_at: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[Failure | None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def used(self, account: Account) -> None:
        """The account is about to serve a request: read its figures in the background if old."""
        if self._clock() - self._tried_at.get(account.id, float("-inf")) >= MAX_AGE:
            self._start(account)

    def read_at(self, account_id: str) -> float | None:
        """Unix time of the last successful reading."""
        return self._read_at.get(account_id)

    def tried_within(self, account_id: str, seconds: float) -> bool:
        """Whether a reading failed so lately that another is not worth waiting for."""
        tried_at = self._tried_at.get(account_id)
        running = account_id in self._running
        return tried_at is not None and not running and self._clock() - tried_at < seconds

    async def refresh(
        self, accounts: list[Account], *, max_age: float = MAX_AGE
    ) -> dict[str, Failure]:
        """Reads the figures of every account that are older than `max_age` seconds.

        Gives the failures by account id; an account whose figures are fresh enough has none.
        """
        now = self._clock()
        stale = [a for a in accounts if now - self._read_at.get(a.id, float("-inf")) >= max_age]
        tasks = {account.id: self._start(account) for account in stale}
        if tasks:
            await asyncio.wait(tasks.values())
        # A reading that `forget` has ended says nothing, and is no reason to end who waits for it.
        ended = {name: task.result() for name, task in tasks.items() if not task.cancelled()}
        return {name: failure for name, failure in ended.items() if failure is not None}

    def forget(self, account_id: str) -> None:
        """What was read, or is being read, is of an account that is gone or somewhere else now."""
        self._read_at.pop(account_id, None)
        self._tried_at.pop(account_id, None)
        running = self._running.pop(account_id, None)
        if running is not None:
            running.cancel()

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, account: Account) -> asyncio.Task[Failure | None]:
        task = self._running.get(account.id)
        if task is None:
            self._tried_at[account.id] = self._clock()
            task = asyncio.create_task(self._read(account))
            self._running[account.id] = task
            task.add_done_callback(lambda done: self._ended(account.id, done))
        return task

    def _ended(self, account_id: str, task: asyncio.Task[Failure | None]) -> None:
        # After `forget` there may be a later one.
        if self._running.get(account_id) is task:
            del self._running[account_id]

    async def _read(self, account: Account) -> Failure | None:
        async with self._places:
            asked_at = self._clock()
            try:
                readings = await self._ask_twice(account)
            except UpstreamBroke as broke:
                # A quota endpoint that is down says nothing about the account's ability to serve;
                # one that turns the account away does.
                self._failed(account, broke.failure)
                log.info("no quota figures for %s: %s", account.id, broke.failure.detail)
                return broke.failure
        # Figures are as old as the question: an answer since then knows better.
        self._read_at[account.id] = asked_at
        for reading in readings:
            self._ledger.observe_quota(account.id, reading.figures, asked_at, "quota poll")
            if reading.models is not None:
                self._models_seen(account, reading.models)
        return None

    async def _ask_twice(self, account: Account) -> list[Reading]:
        """A token that was refused has been let go: the second time there is a fresh one."""
        try:
            return await self._ask(account)
        except UpstreamBroke as broke:
            if broke.failure.kind is not FailureKind.AUTH_EXPIRED:
                raise
        return await self._ask(account)

    async def _ask(self, account: Account) -> list[Reading]:
        """The answers of all polls. Raises UpstreamBroke when a required one has none."""
        place = provider(account.provider)
        settings = self._provider_settings(account.provider)
        token = await self._tokens.fresh(account)
        project = await self._projects.of(account, token)
        broke = UpstreamBroke(Failure(FailureKind.UPSTREAM, "no host answered"))
        for host in self._tokens.hosts(account) or place.hosts(account, settings):
            try:
                return [
                    reading
                    for poll in place.polls(account, token, project, host, settings)
                    if (reading := await self._answer(account, token, poll)) is not None
                ]
            except UpstreamBroke as failed:
                broke = failed
                if failed.failure.kind in REFUSED_TOKEN:
                    self._tokens.reject(account, token)
                    break
        raise broke

    async def _answer(self, account: Account, token: Secret, poll: Poll) -> Reading | None:
        try:
            return await self._answer_of(account, token, poll)
        except UpstreamBroke as broke:
            # Accounts work without figures; one that is turned away does not.
            if poll.required or broke.failure.kind in _TELLING:
                raise
            log.debug("%s: %s", account.id, broke.failure.detail)
            return None

    async def _answer_of(self, account: Account, token: Secret, poll: Poll) -> Reading:
        async with self._transport.opened(poll.call, timeout=TIMEOUT) as answer:
            body = await answer.document()
        now = self._clock()
        if answer.status != HTTPStatus.OK:
            place = provider(account.provider)
            failure = place.read_failure(answer.status, answer.headers, body, now=now)
            raise UpstreamBroke(failure.concealing((*poll.call.secrets, token)))
        try:
            return poll.read(body, now)
        except ValueError as cause:
            detail = f"the answer about models or quota is not readable: {cause}"
            raise UpstreamBroke(Failure(FailureKind.UPSTREAM, detail)) from cause


_TELLING = frozenset({FailureKind.AUTH_EXPIRED, FailureKind.AUTH_REVOKED, FailureKind.SUSPENDED})
"""What a poll says of its account whether or not the account could do without the answer."""
