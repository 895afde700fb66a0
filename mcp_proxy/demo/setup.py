"""The embedded upstream with its accounts and settings, ready for a runtime."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mcp_proxy.account import Account
from mcp_proxy.demo.cloudcode import DemoUpstream, demo_accounts, provider_settings
from mcp_proxy.store.settings import Settings


@asynccontextmanager
async def demo_setup(settings: Settings) -> AsyncIterator[tuple[list[Account], Settings, Path]]:
    """Accounts, settings and a state directory that have nothing to do with the user's own."""
    with TemporaryDirectory(prefix="mcproxy-demo-") as directory:
        async with DemoUpstream() as upstream:
            providers = {"antigravity": provider_settings(upstream)}
            yield demo_accounts(upstream), replace(settings, providers=providers), Path(directory)
