"""Points the real program at an embedded upstream, with accounts and settings of its own."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.catalogue import MODELS
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.identity import CLIENT_ID, CLIENT_SECRET, DemoAccount
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.store.settings import Settings

BY_HAND = (
    DemoAccount("ada", calls=dict.fromkeys({model.bucket for model in MODELS.values()}, 40)),
    DemoAccount("grace", rotates=True),
)
"""Whoever tries `serve --demo` sees one account's quota fall and is never left without answers."""

PLENTY = 1_000_000
"""Calls per bucket."""


def provider_settings(upstream: DemoUpstream) -> ProviderSettings:
    """`[providers.antigravity]` for this upstream."""
    return ProviderSettings(
        base_urls=(upstream.url,),
        token_url=f"{upstream.url}/token",
        client_id=CLIENT_ID,
        client_secret=Secret(CLIENT_SECRET),
    )


def demo_settings(upstream: DemoUpstream, settings: Settings) -> Settings:
    """`settings` with this upstream in place of every provider address."""
    return replace(settings, providers={"antigravity": provider_settings(upstream)})


def demo_accounts(upstream: DemoUpstream) -> list[Account]:
    """The upstream's accounts as the proxy keeps them, signed in."""
    return [
        Account(
            id=account.id,
            provider="antigravity",
            credential=Credential(refresh_token=Secret(upstream.refresh_token(account.id))),
            label=account.mail,
        )
        for account in upstream.identity.accounts.values()
    ]


@asynccontextmanager
async def demo_setup(settings: Settings) -> AsyncIterator[tuple[list[Account], Settings, Path]]:
    """A running upstream as (accounts, settings, state directory), all gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-demo-") as directory:
        async with DemoUpstream(BY_HAND, calls_per_bucket=PLENTY) as upstream:
            yield demo_accounts(upstream), demo_settings(upstream, settings), Path(directory)
