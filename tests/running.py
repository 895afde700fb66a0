"""Runtimes without a server, for suites that look at one part of the engine in the whole."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo import DemoUpstream, demo_accounts, demo_settings
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.engine.watched_files import WatchedFiles
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.settings import Settings
from mcp_proxy.store.state import StateStore


class Clock:
    """Unix time that a test moves."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    upstream: DemoUpstream,
    state: Path,
    *,
    accounts: Sequence[Account] | None = None,
    store: AccountStore | None = None,
    settings: Settings | None = None,
    reload_settings: Callable[[], Settings] | None = None,
    watched: Sequence[Path] = (),
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[Runtime]:
    """A runtime over this upstream: on its accounts, on the given ones, or on those of a file."""
    chosen = settings or Settings()
    runtime = Runtime(
        () if store else demo_accounts(upstream) if accounts is None else accounts,
        demo_settings(upstream, chosen),
        StateStore.open(state),
        store=store,
        reload_settings=reload_settings,
        watched=WatchedFiles(watched),
        **({"clock": clock} if clock else {}),
    )
    if store is not None:
        runtime.take(store.load())
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.close()


def file_of(upstream: DemoUpstream, path: Path) -> AccountStore:
    """accounts.toml with the upstream's accounts in it."""
    store = AccountStore(path)
    for account in demo_accounts(upstream):
        store.add(account)
    return store


def signed_in_anew(upstream: DemoUpstream, account_id: str) -> Account:
    """The account as it is after its owner has gone through the consent page again."""
    back = {"redirect_uri": "http://127.0.0.1/"}
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "code": upstream.identity.consent(back, account_id),
        **back,
    }
    answer = upstream.identity.token(form, upstream.backend.now())
    return Account(
        id=account_id,
        provider="antigravity",
        credential=Credential(refresh_token=Secret(answer["refresh_token"])),
    )
