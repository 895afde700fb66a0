"""What a running server knows: accounts, settings, ledger, state; reloaded when files change."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

from mcp_proxy.account import Account, Secret
from mcp_proxy.engine.gates import Gates
from mcp_proxy.engine.host_order import HostOrder
from mcp_proxy.engine.lenders import watch_lenders
from mcp_proxy.engine.live_models import LiveModels
from mcp_proxy.engine.loop_guard import LoopGuard
from mcp_proxy.engine.media import MediaFetcher
from mcp_proxy.engine.names import Names
from mcp_proxy.engine.projects import Projects
from mcp_proxy.engine.quota import QuotaPoller
from mcp_proxy.engine.rotations import Rotations
from mcp_proxy.engine.token_estimates import TokenEstimates
from mcp_proxy.engine.tokens import Tokens
from mcp_proxy.engine.transport import Transport
from mcp_proxy.engine.watched_files import WatchedFiles
from mcp_proxy.errors import Failure, UserError
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.attempts import AttemptPlan, mark_for
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.seals import StoredSeals
from mcp_proxy.policy.selection import Chooser, chooser
from mcp_proxy.policy.steps import Rules
from mcp_proxy.providers import KNOWN_PROVIDERS, ProviderSettings, SignIn, provider
from mcp_proxy.store.accounts import AccountStore, Loaded, credential_id
from mcp_proxy.store.settings import Settings
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import TokenCache

log = logging.getLogger(__name__)

LOOK_EVERY = 0.9
"""Seconds between looks at accounts.toml and config.toml. Edits count within two seconds, also
those that take a second look."""

LISTS_WITHIN = 5.0
"""Seconds that a request may wait for model lists when nobody is known to serve its model."""

LOOK_AGAIN = 20.0
"""Seconds in which a list that could not be read is not asked for again by such a request."""

TIDY_EVERY = 600.0
"""Seconds between looks for rows that are too old."""

DAY = 86_400.0
KEPT_FOR = {
    "seals": 30 * DAY,
    "sessions": 7 * DAY,
    "features": 7 * DAY,
    "threads": DAY,
    "decisions": 7 * DAY,
}
"""Seconds. A conversation is seldom resumed after a month; without its seals it still goes on."""


class Runtime:
    """One per process. Open it before use and close it after: it owns every background task."""

    def __init__(
        self,
        accounts: Sequence[Account],
        settings: Settings,
        state: StateStore,
        *,
        store: AccountStore | None = None,
        reload_settings: Callable[[], Settings] | None = None,
        watched: WatchedFiles | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`store`: where accounts come from and rotated tokens go; None: they live in memory only.

        `reload_settings` is called when one of the `watched` files changes. Whoever makes those
        does so before reading the files, and no edit is missed.
        """
        self.clock = clock
        self.settings = settings
        self._rules = _rules(settings)
        self.state = state
        self.accounts: tuple[Account, ...] = tuple(accounts)
        self.problems: tuple[str, ...] = ()
        self.on_new_settings: list[Callable[[Settings], None]] = []
        """Called when config.toml was reloaded."""
        self._store = store
        self._reload_settings = reload_settings
        self._watched = watched or WatchedFiles(())
        self.models = LiveModels(state)
        self.models.forget_other_servers(self.accounts)
        self._watcher: asyncio.Task[None] | None = None
        self._lenders: asyncio.Task[None] | None = None
        self._cache = TokenCache(state)
        self._rotations = Rotations(store, self._cache)
        self._opened = asyncio.Event()
        """Set, and replaced, when somebody may be asked who could not."""
        self.ledger = Ledger(
            credential_id=self._rotations.sign_in_of,
            on_change=self._save,
            on_opened=self._tell_opened,
        )
        self.ledger.restore(state.items("standings"), state.items("marks"))
        self._chooser: Chooser = self._new_chooser()
        self.hosts = HostOrder()
        self.loop_guard = LoopGuard(state.directory)
        self.gates = Gates(limit=settings.limits.concurrency)
        self.seals = StoredSeals(partial(state.get, "seals"))
        self.media = MediaFetcher()
        self.estimates = TokenEstimates(
            state.get("calibration", "ratios") or {}, lambda name: self.names.stages(name)[0].model
        )
        self.transport = Transport(stall=settings.limits.stall)
        self.tokens = Tokens(
            self.transport,
            self._cache,
            state_directory=state.directory,
            provider_settings=self.provider_settings,
            reread=self._reread,
            save_rotation=self._save_rotation,
            clock=clock,
        )
        self.projects = Projects(state, self.provider_settings)
        self.quota = QuotaPoller(
            transport=self.transport,
            tokens=self.tokens,
            projects=self.projects,
            ledger=self.ledger,
            provider_settings=self.provider_settings,
            models_seen=self._models_seen,
            failed=self.mark_if_dead,
            clock=clock,
        )
        self.names = Names(self.models, self.usable_accounts(), settings)

    @classmethod
    def for_accounts(
        cls, accounts: Sequence[Account], settings: Settings, state_directory: Path
    ) -> "Runtime":
        """A runtime whose accounts come from the caller instead of accounts.toml."""
        return cls(accounts, settings, StateStore.open(state_directory))

    async def start(self) -> None:
        """Opens connections and begins to watch the files."""
        self.names.warn_of_hidden_models()
        await self.transport.__aenter__()
        for account, token in self._rotations.left_behind(self.accounts):
            await self._save_rotation(account, token)
        self._watcher = asyncio.create_task(self._watch())
        self._lenders = asyncio.create_task(
            watch_lenders(self.usable_accounts, self.tokens, self.ledger)
        )
        self._read_lists_needed()

    async def close(self) -> None:
        """Ends every background task and writes what is not yet on disk."""
        await self.tokens.close()
        for watcher in filter(None, (self._watcher, self._lenders)):
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        await self._rotations.close()
        await self.quota.close()
        await self.media.close()
        await self.transport.__aexit__(None, None, None)
        self.state.put("calibration", "ratios", self.estimates.to_json())
        await asyncio.to_thread(self.state.close)

    def provider_settings(self, name: str) -> ProviderSettings:
        return self.settings.provider(name)

    def usable_accounts(self) -> tuple[Account, ...]:
        """Accounts of providers that this version can call."""
        return tuple(a for a in self.accounts if a.provider in KNOWN_PROVIDERS)

    def account(self, account_id: str) -> Account | None:
        return next((a for a in self.accounts if a.id == account_id), None)

    # ---- requests

    def plan(self, model: str, session_key: str) -> AttemptPlan:
        """The plan for one request of that conversation. Raises UnknownModel."""
        return AttemptPlan(
            self.names.stages(model),
            self.names.fallbacks,
            ledger=self.ledger,
            chooser=self._chooser,
            rules=self._rules,
            session_key=session_key,
            busy=self.gates.load,
            now=self.clock(),
            info=self.models.of,
            can_move=self._can_move,
        )

    async def opened_within(self, seconds: float) -> None:
        """Waits so long, or until there may be somebody to ask."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._opened.wait()

    def _can_move(self, account: Account) -> bool:
        """Whether a call that found nothing may find it at another host, or in another project."""
        place = provider(account.provider)
        hosts = place.hosts(account, self.provider_settings(account.provider))
        return len(hosts) > 1 or place.sign_in is SignIn.GOOGLE

    def read_headers(self, account: Account, model: ModelInfo, headers: Mapping[str, str]) -> None:
        """Figures that the headers of an answer give."""
        now = self.clock()
        figures = provider(account.provider).read_headers(headers, model, now=now)
        if figures:
            self.ledger.observe_quota(account.id, figures, now, "answer headers")

    # ---- accounts and models

    async def look_for(self, name: str) -> None:
        """Reads lists that were never read when nobody yet known serves a model of that name."""
        if not self.names.lead_to_somebody(name):
            await self.learn_models(LISTS_WITHIN)

    async def learn_models(self, within: float) -> None:
        """Reads the model lists that were never read, waiting at most `within` seconds."""
        unread = [
            account
            for account in self.usable_accounts()
            if account.enabled
            and not self.models.is_read(account)
            and not self.quota.tried_within(account.id, LOOK_AGAIN)
        ]
        if unread:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.quota.refresh(unread)

    def _read_lists_needed(self) -> None:
        """Begins to read the lists of accounts of which nothing says what they serve.

        They can neither stand in for others nor be chosen before.
        """
        for account in self.usable_accounts():
            if account.enabled and not self.names.directory.models_of(account):
                self.quota.used(account)

    def mark_if_dead(self, account: Account, failure: Failure) -> None:
        """Takes the account out when the failure is one that only its owner can mend."""
        mark = mark_for(failure, self._rotations.sign_in_of(account), self.clock())
        if mark is not None:
            self.ledger.mark(account.id, mark)

    def _models_seen(self, account: Account, models: Sequence[ModelInfo]) -> None:
        if self.models.seen(account, models):
            self._redirect()

    def _redirect(self) -> None:
        self.names.renew(self.usable_accounts(), self.settings)
        self._tell_opened()

    def _tell_opened(self) -> None:
        self._opened.set()
        self._opened = asyncio.Event()

    def _save(self, table: str, key: str, value: Mapping[str, object] | None) -> None:
        if value is None:
            self.state.delete(table, key)
        else:
            self.state.put(table, key, dict(value))

    def _new_chooser(self) -> Chooser:
        return chooser(
            self.settings.limits.strategy,
            on_change=self._save,
            stored=lambda key: self.state.get("sessions", key),
        )

    # ---- files

    async def reload(self) -> None:
        """Reads accounts.toml and config.toml again; a bad file keeps the old state and says so."""
        if self._reload_settings is not None:
            try:
                self._take_settings(await asyncio.to_thread(self._reload_settings))
            except UserError as error:
                log.error("config.toml was not reloaded: %s", error)  # noqa: TRY400  (a person's slip, no trace)
        if self._store is not None:
            try:
                loaded = await asyncio.to_thread(self._store.load)
            except UserError as error:
                log.error("accounts.toml was not reloaded: %s", error)  # noqa: TRY400
            else:
                if loaded.is_emptied:
                    log.error("accounts.toml was not reloaded: it is empty")
                else:
                    self.take(loaded)

    def _take_settings(self, settings: Settings) -> None:
        if settings == self.settings:
            return
        strategy_changed = settings.limits.strategy != self.settings.limits.strategy
        self.settings = settings
        self._rules = _rules(settings)
        self._redirect()
        self.gates.set_limit(settings.limits.concurrency)
        self.transport.set_stall(settings.limits.stall)
        if strategy_changed:
            self._chooser = self._new_chooser()
        for told in self.on_new_settings:
            told(settings)
        self.names.warn_of_hidden_models()
        log.info("config.toml reloaded")

    def take(self, loaded: Loaded) -> None:
        """Uses what accounts.toml holds now; entries that are wrong are named once."""
        for warning in loaded.warnings:
            log.warning("%s", warning)
        problems = tuple(str(problem) for problem in loaded.problems)
        for problem in problems:
            if problem not in self.problems:
                log.error("accounts.toml: %s", problem)
        self.problems = problems
        accounts = tuple(map(self._rotations.newest, loaded.accounts))
        if accounts == self.accounts:
            return
        for gone in {a.id for a in self.accounts} - {a.id for a in accounts}:
            if loaded.lacks(gone):
                self._rotations.let_go(gone)
            self.tokens.forget(gone)
            self.ledger.forget(gone)
            self.models.forget(gone)
            self.quota.forget(gone)
        known = {account.id: account for account in self.accounts}
        for account in accounts:
            before = known.get(account.id, account)
            if before.credential != account.credential:
                self.quota.forget(account.id)
            if before.provider != account.provider or _is_another_person(before, account):
                self.ledger.forget_standings(account.id)
            if (before.provider, before.base_url) != (account.provider, account.base_url):
                self.quota.forget(account.id)
        self.models.forget_other_servers(accounts)
        left = {account.id for account in self.accounts if account.enabled}
        self.accounts = accounts
        self._redirect()
        for gone in left - {account.id for account in accounts if account.enabled}:
            self.gates.dismiss(gone)
        if self._watcher is not None:
            self._read_lists_needed()
            count = len(accounts)
            log.info("accounts.toml reloaded; it has %d account%s", count, "s" * (count != 1))

    async def _watch(self) -> None:
        tidied_at = float("-inf")
        while True:
            if self.clock() - tidied_at >= TIDY_EVERY:
                tidied_at = self.clock()
                self._tidy(tidied_at)
            await asyncio.sleep(LOOK_EVERY)
            if await asyncio.to_thread(self._watched.changed):
                await self.reload()
            if await asyncio.to_thread(self.state.changed_elsewhere):
                self.ledger.restore(self.state.items("standings"), self.state.items("marks"))
                self._chooser.look_again()

    def _tidy(self, now: float) -> None:
        """Lets go of what nobody will ask for again; keeps what a crash would lose."""
        for table, kept_for in KEPT_FOR.items():
            self.state.prune(table, now - kept_for)
        self.state.put("calibration", "ratios", self.estimates.to_json())

    async def _reread(self, account_id: str) -> Account | None:
        if self._store is not None:
            with contextlib.suppress(UserError):
                loaded = await asyncio.to_thread(self._store.load)
                if not loaded.is_emptied:
                    read = next((a for a in loaded.accounts if a.id == account_id), None)
                    return None if read is None else await self._newest(read)
        return self.account(account_id)

    async def _newest(self, in_file: Account) -> Account:
        """An account of the file with its sign-in, whoever could not write that there."""
        account, token = self._rotations.newest(in_file), self._cache.rotation(in_file)
        return account if token is None else await self._save_rotation(account, token)

    async def _save_rotation(self, account: Account, refresh_token: Secret) -> Account:
        renewed = account.renewed(refresh_token)
        if renewed.credential == account.credential:
            return account
        self.projects.carry_over(account, renewed)
        mark = self.ledger.mark_of(account)
        self._rotations.note(account, renewed)
        if mark is not None:
            self.ledger.mark(account.id, replace(mark, credential_id=credential_id(renewed)))
        self.accounts = tuple(
            # Its owner may have signed in anew while the provider was asked.
            renewed if a.id == account.id and self._rotations.are_same(a, renewed) else a
            for a in self.accounts
        )
        self._redirect()
        await self._rotations.save(account, renewed)
        return renewed


def _rules(settings: Settings) -> Rules:
    """What every plan obeys."""
    return Rules(
        max_wait=settings.limits.max_wait,
        soft_limit=settings.limits.soft_limit,
        fallback=settings.fallback.enabled,
    )


def _is_another_person(before: Account, account: Account) -> bool:
    """Whether the file has somebody else's account under the id now."""
    known = before.label is not None and account.label is not None
    return known and before.label != account.label and before.credential != account.credential


def session_key(session: str | None, identity: str) -> str:
    """What a conversation is recognised by: the client's session id, else a digest."""
    if session is not None:
        return session
    # Without a text it is nobody's: all that begin with a picture are not one conversation.
    return _digest(identity) if identity else ""


@lru_cache(maxsize=256)
def _digest(identity: str) -> str:
    """Kept, because every turn of a conversation has the same."""
    return blake2b(identity.encode("utf-8", "replace"), digest_size=12).hexdigest()
