"""Tokens that are refused, renewed, used up; keys that are dead; token endpoints that are down."""

import asyncio

import pytest
from asking import DAY, Asker, asking, who
from placed import Clock

from mcp_proxy.account import Credential, Secret
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.demo.refusals import Answer
from mcp_proxy.store.accounts import AccountStore

SIGNED_IN = {"codex": "gpt-5.5", "copilot": "claude-sonnet-4.6", "vertex": "claude-sonnet-4-6"}
KEYED = {
    "zai": "glm-4.7",
    "anthropic": "claude-sonnet-4-6",
    "openai": "gpt-4.1",
    "gemini": "gemini-2.5-flash",
}


def renewals(client: Asker, account: str) -> int:
    """Access tokens that the account got so far."""
    places = client.rig.places
    codex, copilot = places.codex.tokens.refreshes, places.copilot.github.exchanges
    return codex.get(account, 0) + copilot.get(account, 0)


# ------------------------------------------------------------------------ tokens that end


@pytest.mark.parametrize(("provider", "model"), SIGNED_IN.items())
async def test_a_token_that_is_refused_is_renewed_once(tmp_path, provider, model):
    async with asking(tmp_path, provider) as client:
        account = f"demo-{provider}"
        assert who(await client.ask(model)) == account
        client.rig.places.desk.revoke(provider, account)
        assert who(await client.ask(model, "say again")) == account
        assert len(client.asked) == 2, "the refused call got no further than the door"
        if provider != "vertex":
            assert renewals(client, account) == 2


@pytest.mark.parametrize("provider", ["codex", "copilot"])
async def test_a_token_is_renewed_ahead_of_its_end(tmp_path, provider):
    clock, model = Clock(), SIGNED_IN[provider]
    async with asking(tmp_path, provider, clock=clock) as client:
        assert (await client.ask(model)).status == 200
        before = client.last.headers["authorization"]
        clock.later(11 * DAY)
        assert (await client.ask(model, "say later")).status == 200
        assert client.last.headers["authorization"] != before
        assert len(client.asked) == 2


async def test_many_requests_make_one_refresh_and_its_token_is_in_the_file(tmp_path):
    store = AccountStore(tmp_path / "config" / "accounts.toml")
    async with asking(tmp_path / "state", "codex", store=store) as client:
        first = store.load().accounts[0].credential.refresh_token
        asked = (client.ask("gpt-5.5", f"say {number}") for number in range(8))
        assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
        assert renewals(client, "demo-codex") == 1
        second = store.load().accounts[0].credential.refresh_token
        assert second != first
        client.rig.places.desk.revoke("codex", "demo-codex")
        asked = (client.ask("gpt-5.5", f"say {number}", stream=True) for number in range(8))
        assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
        assert renewals(client, "demo-codex") == 2
        assert store.load().accounts[0].credential.refresh_token not in (first, second)


async def test_the_token_in_the_file_is_good_for_another_start(tmp_path):
    store = AccountStore(tmp_path / "config" / "accounts.toml")
    async with DemoPlaces() as places:
        async with asking(tmp_path / "one", "codex", store=store, places=places) as client:
            assert (await client.ask("gpt-5.5")).status == 200
        async with asking(tmp_path / "two", store=store, places=places) as client:
            assert (await client.ask("gpt-5.5")).status == 200
            assert renewals(client, "demo-codex") == 2


# ------------------------------------------------------------------------ sign-ins that are gone


async def test_a_refresh_token_that_another_program_used_up_takes_the_account_out(tmp_path):
    async with asking(tmp_path, "codex:ada", "codex:grace") as client:
        tokens = client.rig.places.codex.tokens
        spent = next(a for a in client.rig.runtime.accounts if a.id == "ada")
        tokens._traded(spent.credential.refresh_token.value)
        for number in range(3):
            assert who(await client.ask("gpt-5.5", f"say {number}")) == "grace"
        row = (await client.limits())["ada"]
        assert row["state"] == "invalid"
        assert "accounts add --provider codex --id ada" in row["reason"]


@pytest.mark.parametrize("model", ["claude-sonnet-4.6", "gpt-4.1"])
async def test_a_github_sign_in_that_was_revoked_is_told_with_its_cure(tmp_path, model):
    async with asking(tmp_path, "copilot") as client:
        assert (await client.ask(model)).status == 200
        client.rig.places.copilot.github.revoke("demo-copilot")
        assert (await client.ask(model, "say more")).status == 200, "its token is still good"
        client.rig.places.desk.revoke("copilot", "demo-copilot")
        answer = await client.ask(model, "say no more")
        assert answer.status == 503
        assert "mcproxy accounts add --provider copilot --id demo-copilot" in answer.message
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("provider", "model"), KEYED.items())
async def test_a_dead_key_takes_its_account_out_and_others_go_on(tmp_path, provider, model):
    async with asking(tmp_path, f"{provider}:ada", f"{provider}:grace") as client:
        client.rig.places.desk.revoke(provider, "ada")
        for number in range(3):
            assert who(await client.ask(model, f"say {number}")) == "grace"
        row = (await client.limits())["ada"]
        assert row["state"] == "invalid"
        client.rig.places.desk.revoke(provider, "grace")
        for api in ("anthropic", "openai_chat", "gemini"):
            answer = await client.ask(model, f"say {api}", api)
            assert answer.status == 503, "never the client's own 401"
            for account in ("ada", "grace"):
                cure = f"mcproxy accounts add --provider {provider} --id {account}"
                assert cure in answer.message
        for account in client.rig.runtime.accounts:
            assert account.credential.api_key.value not in answer.message


@pytest.mark.parametrize(("provider", "model"), KEYED.items())
async def test_a_new_key_ends_the_exile(tmp_path, provider, model):
    store = AccountStore(tmp_path / "config" / "accounts.toml")
    async with asking(tmp_path / "state", f"{provider}:ada", store=store) as client:
        client.rig.places.desk.revoke(provider, "ada")
        assert (await client.ask(model)).status == 503
        key = client.rig.places.account(provider, "ada").credential.api_key
        store.update_fields("ada", {"api_key": key.value})
        await client.rig.runtime.reload()
        assert who(await client.ask(model)) == "ada"


async def test_a_server_that_wants_no_key_is_sent_none(tmp_path):
    async with asking(tmp_path, "openai-compatible", credential=Credential()) as client:
        assert (await client.ask("qwen3:8b")).status == 200
        assert "authorization" not in client.last.headers
        assert (await client.limits())["demo-openai-compatible"]["state"] != "invalid"


async def test_a_key_that_a_compatible_server_refuses_is_dead(tmp_path):
    async with asking(tmp_path, "openai-compatible", credential=_KEY) as client:
        text = "Incorrect API key provided: sk-priv********. You can find yours elsewhere."
        refusal = Answer(401, {"error": {"message": text, "code": "invalid_api_key"}})
        client.rig.places.play("openai-compatible", refusal)
        answer = await client.ask("qwen3:8b", api="openai_chat")
        assert answer.status == 503
        assert _KEY.api_key.value not in answer.message
        assert "accounts add --provider openai-compatible" in answer.message


_KEY = Credential(api_key=Secret("sk-private-and-long"))


# ------------------------------------------------------------------------ endpoints that are down

OUTAGES = {
    "error": Answer(500, {"error": {"message": "try later"}}),
    "page": Answer(503, "<html><title>Down</title></html>"),
    "limit": Answer(429, {"error": {"message": "slow down"}}),
    "odd": Answer(200, "<html>captive portal</html>"),
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("provider", ["codex", "copilot"])
@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_token_endpoint_that_is_down_is_no_fault_of_the_account(tmp_path, provider, outage):
    clock, model = Clock(), SIGNED_IN[provider]
    async with asking(tmp_path, provider, clock=clock) as client:
        places = client.rig.places
        endpoint = places.codex.tokens if provider == "codex" else places.copilot.github
        endpoint.outage = OUTAGES[outage]
        answer = await client.ask(model)
        assert answer.status in (502, 503)
        assert "accounts add" not in answer.message
        assert (await client.limits())[f"demo-{provider}"]["state"] != "invalid"
        endpoint.outage = None
        clock.later(4)
        assert (await client.ask(model)).status == 200


@pytest.mark.parametrize("provider", ["codex", "copilot"])
async def test_a_token_that_is_still_good_serves_through_an_outage(tmp_path, provider):
    clock, model = Clock(), SIGNED_IN[provider]
    ends_in = {"codex": 864_000.0, "copilot": 1_560.0}[provider]
    async with asking(tmp_path, provider, clock=clock) as client:
        assert (await client.ask(model)).status == 200
        places = client.rig.places
        places.codex.tokens.outage = places.copilot.github.outage = OUTAGES["error"]
        clock.later(ends_in - 200)
        assert (await client.ask(model, "say still")).status == 200
        clock.later(400)
        assert (await client.ask(model, "say over")).status == 502


async def test_a_mark_outlives_the_renewal_of_a_token(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "codex", clock=clock) as client:
        no_codex = {"type": "usage_not_included", "message": "no Codex"}
        client.rig.places.play("codex", Answer(429, {"error": no_codex}))
        assert (await client.ask("gpt-5.5")).status == 503
        await client.limits()
        clock.later(11 * DAY)
        await client.limits()
        assert renewals(client, "demo-codex") == 2
        answer = await client.ask("gpt-5.5", "say again")
        assert answer.status == 503
        assert "does not include Codex" in answer.message
        assert len(client.asked) == 1
