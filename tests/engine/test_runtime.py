"""What a runtime takes over from files while it runs, and what outlives it."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest
from running import file_of, running, signed_in_anew
from served import ONE, TWO, message_body, serve, settings_with, strict_records, until

from mcp_proxy.account import Secret
from mcp_proxy.conversation import Conversation, Media, Message, Text
from mcp_proxy.demo import DemoUpstream, Fault, FaultKind, demo_settings
from mcp_proxy.engine import runtime as runtime_module
from mcp_proxy.engine.runtime import Runtime, session_key
from mcp_proxy.engine.watched_files import WatchedFiles
from mcp_proxy.errors import Failure, FailureKind, UnknownModel
from mcp_proxy.server.app import Server
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.settings import Settings, load_settings
from mcp_proxy.store.state import StateStore


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at a hundred times a second; the usual pause is part of the promise."""
    assert 2 * runtime_module.LOOK_EVERY < 1.9
    monkeypatch.setattr(runtime_module, "LOOK_EVERY", 0.01)


# ------------------------------------------------------------------------------ accounts.toml


@pytest.mark.usefixtures("often")
async def test_accounts_that_come_change_and_go_are_noticed(tmp_path):
    async with DemoUpstream(TWO) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(
            upstream, tmp_path / "state", store=store, watched=[store.path]
        ) as runtime:
            assert [account.id for account in runtime.accounts] == ["ada", "grace"]
            store.set_enabled("ada", False)
            await until(lambda: not runtime.accounts[0].enabled)
            [stage] = runtime.names.stages("gemini-3-flash")
            assert [c.account.id for c in stage.candidates] == ["grace"]
            store.remove("grace")
            await until(lambda: len(runtime.accounts) == 1)
            store.add(signed_in_anew(upstream, "grace"))
            await until(lambda: len(runtime.accounts) == 2)


@pytest.mark.usefixtures("often")
async def test_the_models_of_an_account_that_came_back_are_read_again(tmp_path):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(
            upstream, tmp_path / "state", store=store, watched=[store.path]
        ) as runtime:
            [ada] = runtime.accounts
            await runtime.learn_models(5.0)
            assert runtime.models.is_read(ada)
            store.remove("ada")
            await until(lambda: not runtime.accounts)
            assert not runtime.models.is_read(ada)
            store.add(signed_in_anew(upstream, "ada"))
            await until(lambda: bool(runtime.accounts))
            await runtime.learn_models(5.0)
            assert runtime.models.is_read(runtime.accounts[0])
            store.replace(replace(runtime.accounts[0], base_url=upstream.url + "/elsewhere"))
            await until(lambda: not runtime.models.is_read(ada))


async def test_the_list_of_another_address_is_not_believed_after_a_restart(tmp_path):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            await runtime.learn_models(5.0)
            assert runtime.models.is_read(runtime.accounts[0])
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            [ada] = runtime.accounts
            assert runtime.models.is_read(ada)
        moved = replace(ada, base_url=upstream.url + "/elsewhere")
        store.replace(moved)
        for source in ({"store": store}, {"accounts": [moved]}):
            async with running(upstream, tmp_path / "state", **source) as runtime:
                assert not runtime.models.is_read(moved)


@pytest.mark.usefixtures("often")
async def test_a_bad_accounts_file_keeps_the_old_state_and_says_so(tmp_path, caplog):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(
            upstream, tmp_path / "state", store=store, watched=[store.path]
        ) as runtime:
            good = store.path.read_text()
            store.path.write_text(good + "\n[[accounts]\n")
            await until(lambda: "accounts.toml was not reloaded" in caplog.text)
            assert [account.id for account in runtime.accounts] == ["ada"]
            assert store.path.read_text() != good, "it is left alone"
            store.path.write_text(good + '\n[[accounts]]\nid = "no provider"\n')
            await until(lambda: "account 'no provider'" in caplog.text)
            assert [account.id for account in runtime.accounts] == ["ada"]
    secret = upstream.refresh_token("ada")
    assert secret not in caplog.text


@pytest.mark.usefixtures("often")
async def test_a_file_that_lost_what_was_in_it_keeps_the_accounts(tmp_path, caplog):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        good = store.path.read_text()
        async with running(
            upstream, tmp_path / "state", store=store, watched=[store.path]
        ) as runtime:
            before = runtime.accounts
            store.path.write_text("")
            await until(lambda: "accounts.toml was not reloaded: it is empty" in caplog.text)
            assert runtime.accounts == before
            store.path.write_text(good.replace("ada", "eve"))
            await until(lambda: [account.id for account in runtime.accounts] == ["eve"])


async def test_what_was_said_of_an_account_is_not_held_against_another_person(tmp_path):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(upstream, tmp_path / "state", store=store) as runtime:
            store.replace(replace(runtime.accounts[0], label="ada@example.com"))
            await runtime.reload()
            model = runtime.models.get(runtime.accounts[0], "claude-sonnet-4-6")
            failure = Failure(FailureKind.QUOTA, "spent", 429, runtime.clock() + 900)

            def limited() -> float | None:
                return runtime.ledger.limited_until("ada", model, runtime.clock())

            runtime.ledger.observe_failure("ada", model, failure, runtime.clock())
            store.replace(replace(signed_in_anew(upstream, "ada"), label="ada@example.com"))
            await runtime.reload()
            assert limited() is not None, "the same person, signed in anew"
            store.replace(replace(signed_in_anew(upstream, "ada"), label="grace@example.com"))
            await runtime.reload()
            assert limited() is None


@pytest.mark.usefixtures("often")
async def test_a_new_sign_in_ends_the_mark_of_the_old_one_while_serving(tmp_path):
    async with DemoUpstream(ONE) as upstream:
        store = file_of(upstream, tmp_path / "accounts.toml")
        async with running(
            upstream, tmp_path / "state", store=store, watched=[store.path]
        ) as runtime:
            upstream.play(Fault(FaultKind.SUSPENDED, path="fetchAvailableModels"))
            await runtime.quota.refresh(list(runtime.accounts))
            assert runtime.ledger.mark_of(runtime.accounts[0]) is not None
            store.replace(signed_in_anew(upstream, "ada"))
            await until(lambda: runtime.ledger.mark_of(runtime.accounts[0]) is None)


# -------------------------------------------------------------------------------- config.toml


@pytest.mark.usefixtures("often")
async def test_settings_count_as_soon_as_the_file_has_them(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = tmp_path / "config.toml"
    paths = Paths(tmp_path / "accounts.toml", file, tmp_path / "state")
    file.write_text("")
    async with DemoUpstream(ONE) as upstream:

        def load() -> Settings:
            return demo_settings(upstream, load_settings(paths, {}, {}))

        store = file_of(upstream, paths.accounts)
        runtime = Runtime(
            (),
            load(),
            StateStore.open(paths.state),
            store=store,
            reload_settings=load,
            watched=WatchedFiles([file]),
        )
        runtime.take(store.load())
        async with Server(runtime, host="127.0.0.1", port=0):
            with pytest.raises(UnknownModel):
                runtime.names.stages("quick")
            file.write_text(
                '[aliases]\nquick = "gemini-3-flash"\n'
                '[limits]\nsoft_limit = 0.5\nstrategy = "round-robin"\nconcurrency = 3\n'
            )
            await until(lambda: runtime.settings.limits.soft_limit == 0.5)
            assert runtime.names.stages("quick")[0].model == "gemini-3-flash"
            file.write_text('[limits]\nsoft_limit = "much"\n')
            await until(lambda: "config.toml was not reloaded" in caplog.text)
            assert runtime.settings.limits.soft_limit == 0.5


async def test_a_new_key_counts_at_once_and_the_old_one_no_more(tmp_path):
    old, new = Secret("the-first-key-of-all"), Secret("the-second-key-of-all")
    keyed = settings_with(server={"api_keys": (old,)})
    async with serve(tmp_path, settings=keyed) as rig:
        assert (await rig.call("GET", "/v1/models", None, key(old))).status == 200
        server = replace(keyed.server, api_keys=(new,))
        await take(rig.runtime, replace(rig.runtime.settings, server=server))
        assert (await rig.call("GET", "/v1/models", None, key(old))).status == 401
        assert (await rig.call("GET", "/v1/models", None, key(new))).status == 200


def key(secret: Secret) -> dict[str, str]:
    return {"x-api-key": secret.value}


async def take(runtime: Runtime, settings: Settings) -> None:
    """As if config.toml said so now."""
    runtime._reload_settings = lambda: settings
    await runtime.reload()


# -------------------------------------------------------------------------------- restarts


async def test_limits_marks_and_bindings_outlive_the_process(tmp_path):
    async with DemoUpstream(TWO) as upstream:
        async with serve(tmp_path, upstream=upstream) as rig:
            first = (await rig.messages("say one")).headers["x-mcproxy-account"]
            other = {"ada": "grace", "grace": "ada"}[first]
            upstream.play(
                Fault(FaultKind.QUOTA, account=other, model="gemini-3-flash", seconds=900)
            )
            upstream.quota.set_left(first, "gemini-flash", 0, time.time() + 1200)
            assert (await rig.messages("say x", "gemini-3-flash")).status == 429
            asked = len(rig.generations)
        async with serve(tmp_path, upstream=upstream) as rig:
            refused = await rig.messages("say x", "gemini-3-flash")
            assert refused.status == 429
            assert 800 < int(refused.headers["retry-after"]) <= 901
            assert len(rig.generations) == asked, "nobody was asked what is known"
            for _ in range(2):
                again = await rig.messages("say one")
                assert again.headers["x-mcproxy-account"] == first
            upstream.play(Fault(FaultKind.VERIFICATION, account=first))
            assert (await rig.messages("say one")).headers["x-mcproxy-account"] == other
        async with serve(tmp_path, upstream=upstream) as rig:
            assert (await rig.call("GET", "/health")).json["accounts"]["invalid"] == 1
            assert (await rig.messages("say one")).headers["x-mcproxy-account"] == other


async def test_a_damaged_state_directory_never_keeps_the_server_from_starting(tmp_path):
    async with serve(tmp_path, people=ONE) as rig:
        await rig.messages()
    for file in tmp_path.iterdir():
        if file.is_file():
            file.write_bytes(b"not a database" * 100)
    async with serve(tmp_path, people=ONE) as rig:
        assert (await rig.messages()).status == 200


async def test_what_one_process_learns_another_on_the_same_state_knows_soon(tmp_path):
    async with (
        DemoUpstream(ONE) as upstream,
        serve(tmp_path, upstream=upstream) as rig,
        serve(tmp_path, upstream=upstream) as twin,
    ):
        upstream.play(Fault(FaultKind.SUSPENDED))
        assert (await rig.messages()).status == 503
        await until(lambda: twin.runtime.ledger.mark_of(twin.runtime.accounts[0]), within=5)
        assert (await twin.messages()).status == 503
        assert len(rig.generations) == 1


async def test_nothing_is_left_running_when_a_server_has_ended(tmp_path):
    before = asyncio.all_tasks()
    async with DemoUpstream(TWO) as upstream:
        upstream_only = asyncio.all_tasks()
        async with serve(tmp_path, upstream=upstream) as rig:
            body = message_body("pace=5 words=500", stream=True)
            asking = await rig.http.post(f"{rig.url}/v1/messages", json=body)
            await rig.server.stop(drain=0.0)
            said = strict_records(await asking.read())
            assert said[-1][0] == "error", "the stream was ended, and in due form"
        await until(lambda: asyncio.all_tasks() <= upstream_only)
    assert asyncio.all_tasks() == before


# -------------------------------------------------------------------------- whose conversation


def asked(*parts: Text | Media, session: str | None = None) -> Conversation:
    return Conversation(
        dialect="anthropic", model="m", messages=(Message("user", parts),), session=session
    )


def test_a_conversation_is_known_by_its_session_or_by_how_it_begins():
    picture = Media("image/png", "AAAA")

    def key(*parts: Text | Media, session: str | None = None) -> str:
        conversation = asked(*parts, session=session)
        return session_key(session, conversation.identity())

    assert key(Text("hi"), session="s") == "s"
    assert key(Text("hi")) == key(picture, Text("hi"))
    assert key(Text("hi")) != key(Text("ho"))
    # Nobody's: they must not all be held to the account that the first of them came to.
    assert key(picture) == key() == ""
