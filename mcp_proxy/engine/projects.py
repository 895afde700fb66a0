"""The Cloud project that an account's calls are made in: configured, remembered, or discovered."""

import asyncio
import logging
from collections.abc import Callable

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.providers import ProviderSettings, SignIn, provider
from mcp_proxy.signin.http import send
from mcp_proxy.signin.project import discover_project
from mcp_proxy.store.accounts import credential_id
from mcp_proxy.store.state import StateStore

log = logging.getLogger(__name__)


class Projects:
    """Discovers each account's project once, and again only when the upstream disowns it."""

    def __init__(
        self, state: StateStore, provider_settings: Callable[[str], ProviderSettings]
    ) -> None:
        self._state = state
        self._provider_settings = provider_settings
        self._found: dict[tuple[str, str], str] = {}
        self._running: dict[str, asyncio.Task[str]] = {}

    async def of(self, account: Account, token: Secret) -> str | None:
        """The project id; None for providers without projects. Raises UpstreamBroke."""
        if account.project is not None:
            return account.project
        if provider(account.provider).sign_in is not SignIn.GOOGLE:
            return None
        key = _key(account)
        if key not in self._found:
            project = self._remembered(key) or await self._discover(account, token)
            self._keep(key, project)
        return self._found[key]

    def carry_over(self, account: Account, renewed: Account) -> None:
        """The provider renewed the sign-in by itself: it is still the same person's project."""
        project = self._found.get(_key(account)) or self._remembered(_key(account))
        if project is not None:
            self._keep(_key(renewed), project)

    def forget(self, account: Account) -> None:
        """The upstream does not know the project: look for it anew next time."""
        self._found.pop(_key(account), None)
        self._state.delete("projects", account.id)

    def _remembered(self, key: tuple[str, str]) -> str | None:
        row = self._state.get("projects", key[0])
        return row["project"] if row is not None and row.get("credential") == key[1] else None

    def _keep(self, key: tuple[str, str], project: str) -> None:
        self._found[key] = project
        self._state.put("projects", key[0], {"project": project, "credential": key[1]})

    async def _discover(self, account: Account, token: Secret) -> str:
        task = self._running.get(account.id)
        if task is None:
            task = asyncio.create_task(self._discover_once(account, token))
            self._running[account.id] = task
            task.add_done_callback(lambda _: self._running.pop(account.id, None))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _discover_once(self, account: Account, token: Secret) -> str:
        settings = self._provider_settings(account.provider)
        # Onboarding polls for up to a minute, once in an account's life: a thread is enough.
        found = await asyncio.to_thread(discover_project, account, token, settings, send)
        if isinstance(found, Failure):
            raise UpstreamBroke(found)
        if found.project is None:
            detail = (
                f"no Cloud project was found for {account.id}; "
                f'set `project = "…"` for it in accounts.toml'
            )
            raise UpstreamBroke(Failure(FailureKind.MISCONFIGURED, detail))
        log.info("project of %s is %s", account.id, found.project)
        return found.project


def _key(account: Account) -> tuple[str, str]:
    """Bound to the sign-in: another person under the same id has another project."""
    return account.id, credential_id(account)
