"""What `serve --demo` is pointed at."""

import aiohttp
from demo_client import GEMINI, demo_client, user

from mcp_proxy.demo import demo_setup
from mcp_proxy.demo.setup import BY_HAND, PLENTY
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.store.settings import LimitSettings, Settings


async def test_the_program_gets_accounts_addresses_and_a_directory_that_go_away():
    mine = Settings(
        limits=LimitSettings(strategy="hybrid"),
        providers={"antigravity": ProviderSettings(base_urls=("http://127.0.0.1:9",))},
    )
    async with demo_setup(mine) as (accounts, settings, directory):
        assert [account.id for account in accounts] == [account.id for account in BY_HAND]
        assert {account.provider for account in accounts} == {"antigravity"}
        assert settings.limits.strategy == "hybrid"
        provider = settings.provider("antigravity")
        assert provider.base_urls[0].startswith("http://127.0.0.1:")
        assert provider.base_urls != mine.provider("antigravity").base_urls
        assert provider.token_url == provider.base_urls[0] + "/token"
        assert directory.is_dir()
        url = provider.base_urls[0]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/control") as response,
        ):
            assert (await response.json())["accounts"].keys() == {"ada", "grace"}
    assert not directory.exists()


async def test_one_account_runs_dry_by_hand_and_the_other_hardly_ever_does():
    async with demo_client(BY_HAND, calls_per_bucket=PLENTY) as client:
        for account in BY_HAND:
            await client.sign_in(account.id)
            for _ in range(20):
                await client.generate(GEMINI, {"contents": [user("hello")]})
        seen = {
            account.id: client.upstream.quota.reading(account.id, "gemini-flash", client.clock())[0]
            for account in BY_HAND
        }
    assert seen == {"ada": 0.6, "grace": 1.0}
