"""Access tokens: fresh ahead of expiry, one refresh at a time per account, across processes too.

A refresh that fails for want of a network says nothing about the account. Only a provider's word
that the grant is gone does, and accounts.toml is read again before asking and after that word: its
owner may have signed in anew since. What becomes of one sign-in says nothing about another.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path

from mcp_proxy.account import Account, Secret
from mcp_proxy.engine.outcome import REFRESHED, Step
from mcp_proxy.engine.renewals import CLOSE_TIMEOUT, SOON, tell_of_waiting
from mcp_proxy.engine.transport import Transport
from mcp_proxy.errors import Failure, FailureKind, UserError
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.providers import ProviderSettings, TokenAnswer, provider
from mcp_proxy.signin import borrowed
from mcp_proxy.store.accounts import credential_id
from mcp_proxy.store.locks import account_lock
from mcp_proxy.store.tokens import CachedToken, TokenCache
from mcp_proxy.values import stateful

log = logging.getLogger(__name__)

EARLY = 300.0
"""Seconds before expiry at which a token is renewed; less for tokens that live short."""

BORROWED_LIFETIME = 300.0
"""Seconds after which a login borrowed from another program is read again; that one renews it."""

NO_TOKEN = Secret("")
"""What is sent to servers that want none."""

REFRESH_TIMEOUT = 20.0
"""Seconds for one call of a token endpoint."""

PAUSE_AFTER_FAILURE = 3.0
"""Seconds in which a token endpoint that just failed is not asked again."""

LOCK_TIMEOUT = 60.0
"""Seconds for which another process may hold an account's lock; longer than any refresh."""

LOCK_POLL = 0.02

_OWNERS = frozenset({FailureKind.AUTH_REVOKED, FailureKind.MISCONFIGURED})
"""What only the account's owner can mend; everything else is the token endpoint's trouble."""

REFUSED_TOKEN = frozenset({FailureKind.AUTH_EXPIRED, FailureKind.AUTH_REVOKED})
"""Failures of a call after which its token is of no more use, whatever becomes of the sign-in."""


@stateful
class _Held:
    """What is known about one account's access token."""

    account: Account
    credential: str
    token: Secret | None = None
    expires_at: float = 0.0
    renew_at: float = 0.0
    host: str | None = None
    """Where the token is good, when its endpoint said so."""
    rejected: Secret | None = None
    is_forced: bool = False
    """Its endpoint is to be asked, whatever another process has got before."""
    failure: Failure | None = None
    failed_at: float = 0.0


class Tokens:
    """The access token of every account."""

    def __init__(
        self,
        transport: Transport,
        cache: TokenCache,
        *,
        state_directory: Path,
        provider_settings: Callable[[str], ProviderSettings],
        reread: Callable[[str], Awaitable[Account | None]],
        save_rotation: Callable[[Account, Secret], Awaitable[Account]],
        clock: Callable[[], float],
    ) -> None:
        """`reread` gives the account as accounts.toml has it now.

        `save_rotation` puts a new refresh token there and gives the account that has it.
        """
        self._transport = transport
        self._cache = cache
        self._state_directory = state_directory
        self._provider_settings = provider_settings
        self._reread = reread
        self._save_rotation = save_rotation
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._running: dict[tuple[str, str], asyncio.Task[Secret]] = {}
        """By account id and credential: who has signed in anew waits for no answer about before."""
        self.refreshes: Counter[tuple[str, str]] = Counter()
        """How often tokens were got anew, by provider and how it ended."""

    def at_hand(self, account: Account) -> Secret | None:
        """What `fresh` would give, when that is known without doing anything."""
        held = self._held.get(account.id)
        if held is None or held.account is not account or self._clock() >= held.renew_at:
            return None
        return held.token

    async def fresh(self, account: Account, steps: list[Step] | None = None) -> Secret:
        """A token that is good for now. Raises UpstreamBroke when there is none to be had.

        A refresh that had to be waited for is noted among the `steps`.
        """
        if _is_keyed(account):
            return account.credential.api_key or NO_TOKEN
        held = self._of(account)
        now = self._clock()
        if held.token is not None and now < held.renew_at:
            return held.token
        # A clock that was put back must not make the pause longer.
        is_pausing = held.failure is not None and 0 <= now - held.failed_at < PAUSE_AFTER_FAILURE
        if held.token is not None and now < held.expires_at:
            # Still good: nobody has to wait for the next one, nor suffer when there is none.
            if not is_pausing:
                self._renewing(account)
            return held.token
        if is_pausing and held.failure is not None:
            # Somebody may have mended it meanwhile: `accounts verify` puts its token where we look.
            self._adopt(account, held)
            if held.token is None or now >= held.expires_at:
                raise UpstreamBroke(held.failure)
            return held.token
        began = time.perf_counter()
        token = await self._renew(account)
        if steps is not None:
            steps.append(Step(time.perf_counter() - began, REFRESHED, account.id))
        return token

    def hosts(self, account: Account) -> tuple[str, ...]:
        """The addresses that its token is good for; none when any of the provider's is."""
        held = self._held.get(account.id)
        return (held.host,) if held is not None and held.host and not account.base_url else ()

    def reject(self, account: Account, token: Secret) -> None:
        """The upstream refused this token; the next `fresh` gets another one."""
        held = self._of(account)
        if held.token == token:
            held.token, held.renew_at = None, 0.0
        # The stored one stays: by now it may be another process's new one.
        held.rejected = token

    async def renew(self, account: Account) -> float | None:
        """Refreshes now, whatever is held here or elsewhere. Raises UpstreamBroke.

        Unix time of expiry; None for a key, which has none.
        """
        if _is_keyed(account):
            return None
        held = self._of(account)
        if held.token is not None:
            self.reject(account, held.token)
        held.is_forced = True
        try:
            await self._renew(account)
            if held.is_forced:  # what was under way has ended with another process's token
                await self._renew(account)
        finally:
            held.is_forced = False
        return held.expires_at

    async def is_lent_again(self, account: Account) -> bool:
        """Whether the program that it borrows from has a login, and not the one refused last."""
        held = self._of(account)
        try:
            got = await self._borrow(account)
        except UpstreamBroke:
            return False
        if got.token == held.rejected:
            return False
        self._keep(held, got)
        return True

    async def close(self) -> None:
        """Lets refreshes under way end: a rotated token that came too late would be lost."""
        late = set(self._running.values())
        if late:
            _, late = await asyncio.wait(late, timeout=SOON)
        if late:
            tell_of_waiting(account_id for account_id, _ in self._running)
            _, late = await asyncio.wait(late, timeout=CLOSE_TIMEOUT - SOON)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def forget(self, account_id: str) -> None:
        """Drops what is held of an account that is gone."""
        self._held.pop(account_id, None)

    def _of(self, account: Account) -> _Held:
        held = self._held.get(account.id)
        if held is not None and held.account is account:
            return held
        fingerprint = credential_id(account)
        if held is None or held.credential != fingerprint:
            # A rotation is another credential, and a token refused before it is refused after it.
            rejected = None if held is None else held.rejected
            held = self._held[account.id] = _Held(account, fingerprint, rejected=rejected)
            self._adopt(account, held)
        held.account = account
        return held

    def _adopt(self, account: Account, held: _Held) -> None:
        """Takes over a token that this or another process obtained earlier."""
        cached = self._cache.get(account)
        if cached and cached.token != held.rejected and cached.expires_at > self._clock():
            self._keep(held, cached)

    def _keep(self, held: _Held, got: CachedToken) -> None:
        expires_at = got.expires_at
        lifetime = max(expires_at - self._clock(), 0.0)
        held.token, held.expires_at, held.failure = got.token, expires_at, None
        held.host = got.host
        held.renew_at = expires_at - min(EARLY, lifetime / 6)

    async def _renew(self, account: Account) -> Secret:
        # A client that goes away must not end the refresh that others wait for.
        return await asyncio.shield(self._renewing(account))

    def _renewing(self, account: Account) -> asyncio.Task[Secret]:
        """The refresh of this sign-in that is under way, begun if need be."""
        held = self._of(account)
        key = account.id, held.credential
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._renew_once(account, held))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
            # A waiter that leaves must not leave an unread exception behind.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _renew_once(self, account: Account, held: _Held) -> Secret:
        try:
            if account.credential.is_borrowed:
                got = await self._borrow(account)
                held.is_forced = False
            else:
                async with self._locked(account.id):
                    got = await self._refresh(account, held)
        except UpstreamBroke as broke:
            failure = replace(broke.failure, unsent=broke.failure.kind not in _OWNERS)
            held.failure, held.failed_at = failure, self._clock()
            self.refreshes[account.provider, failure.kind] += 1
            raise UpstreamBroke(failure) from broke
        self.refreshes[account.provider, REFRESHED] += 1
        self._keep(held, got)
        return got.token

    async def _borrow(self, account: Account) -> CachedToken:
        """Reads another program's login anew; it is that program which renews it."""
        try:
            lent = await asyncio.to_thread(borrowed.read, account)
        except (ConnectionError, TimeoutError) as cause:
            detail = f"the login of {account.credential.source} cannot be read just now: {cause}"
            raise UpstreamBroke(Failure(FailureKind.NETWORK, detail)) from cause
        except (OSError, LookupError, ValueError) as cause:
            detail = f"the login of {account.credential.source} is not usable: {cause}"
            raise UpstreamBroke(Failure(FailureKind.AUTH_REVOKED, detail)) from cause
        now = self._clock()
        return CachedToken(lent.token, min(lent.expires_at or inf, now + BORROWED_LIFETIME))

    @asynccontextmanager
    async def _locked(self, account_id: str) -> AsyncIterator[None]:
        """One process at a time. No thread waits here: those who hold a lock need the threads."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + LOCK_TIMEOUT
        while True:
            lock = account_lock(self._state_directory, account_id, timeout=0.0)
            try:
                lock.__enter__()
                break
            except UserError as cause:
                if loop.time() >= give_up:
                    raise UpstreamBroke(Failure(FailureKind.NETWORK, str(cause))) from cause
            await asyncio.sleep(LOCK_POLL)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    async def _refresh(self, account: Account, held: _Held) -> CachedToken:
        # While this process waited, another one may have refreshed, or the user signed in.
        account = await self._reread(account.id) or account
        cached = None if held.is_forced else self._cache.get(account)
        spent = (held.rejected, held.token)
        if cached and cached.token not in spent and cached.expires_at > self._clock():
            return cached
        account, answer = await self._ask_newest(account)
        held.is_forced = False
        if answer.refresh_token is not None:
            # Saved before the access token is used: a rotated token exists only once.
            account = await self._save_rotation(account, answer.refresh_token)
        expires_at = self._clock() + answer.expires_in
        got = CachedToken(answer.access_token, expires_at, answer.host)
        await asyncio.to_thread(self._cache.put, account, got)
        return got

    async def _ask_newest(self, account: Account) -> tuple[Account, TokenAnswer]:
        """The answer, and for whom; a sign-in that was replaced while it was asked is not it."""
        try:
            return account, await self._ask(account)
        except UpstreamBroke as broke:
            if broke.failure.kind is not FailureKind.AUTH_REVOKED:
                raise
            newest = await self._reread(account.id) or account
            if credential_id(newest) == credential_id(account):
                raise
        return newest, await self._ask(newest)

    async def _ask(self, account: Account) -> TokenAnswer:
        place = provider(account.provider)
        call = place.refresh_call(account, self._provider_settings(account.provider))
        async with self._transport.opened(call, timeout=REFRESH_TIMEOUT) as answer:
            body = await answer.document(1 << 20)
        read = place.read_refresh(answer.status, answer.headers, body, now=self._clock())
        if isinstance(read, TokenAnswer):
            log.info("refreshed the access token of %s", account.id)
            return read
        read = read.concealing(call.secrets)
        if read.kind is FailureKind.AUTH_REVOKED:
            raise UpstreamBroke(_revoked(account))
        if read.kind is FailureKind.MISCONFIGURED:
            raise UpstreamBroke(read)
        # Whatever else it says, it is the endpoint that failed and not the account.
        raise UpstreamBroke(Failure(FailureKind.NETWORK, f"token endpoint: {read.detail}"))


def _is_keyed(account: Account) -> bool:
    """Whether it is its key, or nothing, that is sent: there is no token to be had for it."""
    return not provider(account.provider).makes_tokens and not account.credential.is_borrowed


def _revoked(account: Account) -> Failure:
    return Failure(
        FailureKind.AUTH_REVOKED,
        f"the sign-in of {account.id} has expired or was revoked; "
        f"run: mcproxy accounts add --provider {account.provider} --id {account.id}",
    )
