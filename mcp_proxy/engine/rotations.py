"""Refresh tokens that their providers have renewed: used at once, saved as soon as they can be.

A renewed token often ends the one before it, and then exists nowhere but here. What accounts.toml
cannot take just now is kept sealed in the state directory, and tried again.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import AccountStore, credential_id
from mcp_proxy.store.tokens import TokenCache

log = logging.getLogger(__name__)

RETRY_EVERY = 5.0
"""Seconds between attempts to write to accounts.toml what it could not take."""


class _Unsaved(NamedTuple):
    """A sign-in that accounts.toml does not have yet."""

    in_file: Account
    account: Account
    saving: asyncio.Task[None]
    trouble: str
    """Why it could not be saved; said once."""


class Rotations:
    """One per runtime; close it, so that nothing is left unsaved that could be saved."""

    def __init__(self, store: AccountStore | None, cache: TokenCache) -> None:
        """`store`: where renewed tokens go; None: they live in memory only."""
        self._store = store
        self._cache = cache
        self._unsaved: dict[str, _Unsaved] = {}
        self._renewed: dict[str, str] = {}
        """Fingerprints of credentials that their providers renewed, and of the next one of each."""

    def sign_in_of(self, account: Account) -> str:
        """Fingerprint of a sign-in, whose credential may have been renewed since."""
        found = credential_id(account)
        # Asked by threads that write, too, while another renewal may be noted.
        while (newer := self._renewed.get(found)) is not None:
            found = newer
        return found

    def are_same(self, one: Account, other: Account) -> bool:
        """Whether both are the same sign-in, however often it was renewed in between."""
        return self.sign_in_of(one) == self.sign_in_of(other)

    def note(self, before: Account, renewed: Account) -> None:
        """From now on both are the same sign-in."""
        newest = credential_id(renewed)
        # An endpoint may give an earlier token again, and then that is the last one.
        self._renewed.pop(newest, None)
        self._renewed[credential_id(before)] = newest

    async def save(self, before: Account, renewed: Account) -> None:
        """Saves the account's new token, or keeps it until it can be saved or is of no use.

        Both have been noted to be the same sign-in.
        """
        waiting = self._unsaved.get(renewed.id)
        if waiting is not None:
            await self._keep(waiting._replace(account=renewed))
            return
        trouble = await self._trouble_saving(renewed)
        if trouble:
            _tell(renewed, trouble)
            saving = asyncio.create_task(self._keep_saving(renewed.id))
            await self._keep(_Unsaved(before, renewed, saving, trouble))
        else:
            self._cache.drop_rotation(renewed.id)

    def newest(self, account: Account) -> Account:
        """An account of the file with the sign-in that could not be written there yet.

        Unless its owner has signed in anew since: then that is what counts.
        """
        waiting = self._unsaved.get(account.id)
        if waiting is None:
            return account
        if self.sign_in_of(account) == credential_id(waiting.account):
            return replace(account, credential=waiting.account.credential)
        self.let_go(account.id)
        return account

    def let_go(self, account_id: str) -> None:
        """Nobody needs the account's unsaved sign-in any more."""
        waiting = self._unsaved.pop(account_id, None)
        if waiting is not None:
            waiting.saving.cancel()
            self._cache.drop_rotation(account_id)

    def left_behind(self, accounts: Iterable[Account]) -> list[tuple[Account, Secret]]:
        """Accounts of the file with tokens that an earlier process could not write there."""
        ids = self._cache.rotations()
        found = []
        for account in accounts if ids else ():
            token = self._cache.rotation(account) if account.id in ids else None
            if token is not None:
                found.append((account, token))
            elif account.id in ids:
                self._cache.drop_rotation(account.id)
        return found

    async def close(self) -> None:
        """Ends the attempts, with one more for each."""
        tasks = [waiting.saving for waiting in self._unsaved.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiting in tuple(self._unsaved.values()):
            account = self._latest(waiting).account
            trouble = await self._trouble_saving(account)
            if trouble:
                _tell(account, trouble)
            else:
                self._cache.drop_rotation(account.id)

    async def _trouble_saving(self, account: Account) -> str:
        """Why the account's sign-in cannot be put into accounts.toml; empty when it is there.

        Empty, too, when there is no such account any more or its owner has signed in anew: then
        this sign-in is let go.
        """
        token = account.credential.refresh_token
        if self._store is None or token is None:
            return ""
        try:
            is_saved = await asyncio.to_thread(
                self._store.save_rotation,
                account.id,
                token,
                is_before=partial(self.are_same, account),
            )
        except (UserError, OSError) as cause:
            return str(cause)
        if not is_saved:
            self.let_go(account.id)
        return ""

    async def _keep(self, waiting: _Unsaved) -> None:
        self._unsaved[waiting.account.id] = waiting
        token = waiting.account.credential.refresh_token
        if token is not None:
            # At once, so that nobody finds there what another process could have got before.
            self._cache.put_rotation(waiting.in_file, token)
            await asyncio.to_thread(self._cache.flush)

    def _latest(self, waiting: _Unsaved) -> _Unsaved:
        """The same with what another process has got since, which could not write it either."""
        token = self._cache.rotation(waiting.in_file)
        if token is None or token == waiting.account.credential.refresh_token:
            return waiting
        latest = waiting._replace(account=waiting.account.renewed(token))
        self.note(waiting.account, latest.account)
        self._unsaved[latest.account.id] = latest
        return latest

    async def _keep_saving(self, account_id: str) -> None:
        while account_id in self._unsaved:
            await asyncio.sleep(RETRY_EVERY)
            waiting = self._latest(self._unsaved[account_id])
            trouble = await self._trouble_saving(waiting.account)
            newer = self._unsaved.get(account_id)
            if newer is None:
                return
            if trouble:
                if trouble != newer.trouble:
                    _tell(waiting.account, trouble)
                    self._unsaved[account_id] = newer._replace(trouble=trouble)
            elif newer is waiting:
                log.info("the new sign-in of %s is saved", account_id)
                del self._unsaved[account_id]
                self._cache.drop_rotation(account_id)
            else:
                # While it was written the provider gave another one, which is sealed with what
                # the file had then.
                await self._keep(newer._replace(in_file=waiting.account))


def _tell(account: Account, trouble: str) -> None:
    log.error("the new sign-in of %s is not saved: %s", account.id, trouble)
