"""Trying an account: what is asked of whom, what is saved when, what is held against nobody."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from running import signed_in_anew

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo import DemoAccount, DemoUpstream, Fault, FaultKind, provider_settings
from mcp_proxy.engine.verify import Step, Verdict, Verifier
from mcp_proxy.errors import FailureKind
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.signin import local_apps
from mcp_proxy.signin.http import Answer, send
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.locks import FileLock, account_lock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import TokenCache


@pytest.fixture
async def upstream() -> AsyncIterator[DemoUpstream]:
    async with DemoUpstream(accounts=[DemoAccount("ann", rotates=True)]) as listening:
        yield listening


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> AccountStore:
    return AccountStore(tmp_path / "config" / "accounts.toml")


class Bench:
    """One account in a file, and everything that is sent for it."""

    def __init__(self, upstream: DemoUpstream, store: AccountStore, state: StateStore) -> None:
        self.store, self.state = store, state
        self.settings = provider_settings(upstream)
        self.sent: list[str] = []
        credential = Credential(refresh_token=Secret(upstream.refresh_token("ann")))
        self.account = Account("ann", "antigravity", credential)
        store.add(self.account)
        self.verifier = Verifier(store, state, self.provider_settings, send=self.send)

    def provider_settings(self, _name: str) -> ProviderSettings:
        return self.settings

    def send(self, call: UpstreamCall) -> Answer:
        self.sent.append(call.url.rpartition("/")[2].partition(":")[2] or "token")
        return send(call)

    async def verify(self, account: Account | None = None) -> Verdict:
        return await asyncio.to_thread(self.verifier.verify, account or self.account)


@pytest.fixture
def bench(upstream: DemoUpstream, store: AccountStore, state: StateStore) -> Bench:
    return Bench(upstream, store, state)


async def test_sign_in_project_and_models_are_asked_for_in_turn(bench: Bench) -> None:
    verdict = await bench.verify()
    assert verdict.ok
    assert verdict.project == "demo-project-ann"
    assert bench.sent == ["token", "loadCodeAssist", "fetchAvailableModels"]
    assert any(model.id == "gemini-3-flash" for model in verdict.models)


async def test_a_project_of_the_file_is_used_as_it_is(bench: Bench) -> None:
    bench.store.update_fields("ann", {"project": "my-own"})
    verdict = await bench.verify()
    assert verdict.account.project == "my-own"
    assert "loadCodeAssist" not in bench.sent
    assert bench.state.get("projects", "ann") is None


async def test_a_rotated_token_is_saved_before_it_is_used(
    bench: Bench, upstream: DemoUpstream
) -> None:
    upstream.play(Fault(FaultKind.SERVER_ERROR, path="loadCodeAssist", times=None))
    verdict = await bench.verify()
    assert (verdict.ok, verdict.failed_at) == (False, Step.PROJECT)
    (kept,) = bench.store.load().accounts
    assert kept.credential.refresh_token == Secret(upstream.refresh_token("ann"))
    assert kept.credential.refresh_token != bench.account.credential.refresh_token
    cached = TokenCache(bench.state).get(kept)
    assert cached is not None
    assert cached[0].value.startswith("ya29.demo-ann")


async def test_a_rotated_token_that_cannot_be_saved_is_kept_for_the_next_to_come(
    bench: Bench, upstream: DemoUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A used one that came again would withdraw everything, and the file has nothing else."""
    bench.store = AccountStore(bench.store.path, lock_timeout=0.0)
    bench.verifier = Verifier(bench.store, bench.state, bench.provider_settings, send=bench.send)
    tokens = TokenCache(bench.state)
    with FileLock(bench.store.path.with_name("accounts.toml.lock"), timeout=0.0):
        for _ in range(2):
            assert (await bench.verify()).ok
            assert "the new sign-in of ann is not saved" in caplog.text
            assert tokens.rotation(bench.account) == Secret(upstream.refresh_token("ann"))
    assert bench.store.load().accounts == (bench.account,)
    assert (await bench.verify()).ok
    (kept,) = bench.store.load().accounts
    assert kept.credential.refresh_token == Secret(upstream.refresh_token("ann"))
    assert not tokens.rotations()


async def test_a_new_sign_in_is_left_alone_by_a_rotation_of_the_one_before(
    bench: Bench, upstream: DemoUpstream
) -> None:
    new = signed_in_anew(upstream, "ann")

    def send_late(call: UpstreamCall) -> Answer:
        answer = bench.send(call)
        if bench.sent == ["token"]:
            bench.store.replace(new)
        return answer

    bench.verifier = Verifier(bench.store, bench.state, bench.provider_settings, send=send_late)
    await bench.verify()
    assert bench.store.load().accounts == (new,)


async def test_a_file_that_is_broken_meanwhile_is_a_verdict_like_any_other(bench: Bench) -> None:
    """Of several accounts that are tried, none keeps the others from being told of."""
    bench.store.path.write_text("[[accounts]")
    verdict = await bench.verify()
    assert verdict.failed_at is Step.SIGN_IN
    assert verdict.failure is not None
    assert "line 1" in verdict.failure.detail
    bench.verifier.record(verdict)
    assert bench.state.get("marks", "ann") is None


async def test_the_file_as_it_is_now_counts_not_the_one_read_before(bench: Bench) -> None:
    stale = bench.account
    assert (await bench.verify(stale)).ok
    # The token in `stale` has been rotated away; using it again would revoke everything.
    assert (await bench.verify(stale)).ok


async def test_nobody_refreshes_while_a_server_does(bench: Bench) -> None:
    with account_lock(bench.state.directory, "ann"):
        waiting = asyncio.create_task(bench.verify())
        await asyncio.sleep(0.1)
        assert bench.sent == []
    assert (await waiting).ok


FAULTS = {
    FaultKind.VERIFICATION: (FailureKind.VERIFICATION, "verification"),
    FaultKind.SUSPENDED: (FailureKind.SUSPENDED, "suspended"),
    FaultKind.SERVER_ERROR: (FailureKind.UPSTREAM, None),
    FaultKind.RATE_LIMIT: (FailureKind.RATE, None),
    FaultKind.RESET: (FailureKind.NETWORK, None),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_only_what_its_owner_must_mend_marks_an_account(
    bench: Bench, upstream: DemoUpstream, fault: FaultKind
) -> None:
    upstream.play(Fault(fault, path="fetchAvailableModels", seconds=60))
    kind, mark = FAULTS[fault]
    verdict = await bench.verify()
    assert verdict.failure is not None
    assert (verdict.failed_at, verdict.failure.kind) == (Step.MODELS, kind)
    bench.verifier.record(verdict)
    row = bench.state.get("marks", "ann")
    assert (row["kind"] if row else None) == mark
    bench.verifier.record(await bench.verify())
    assert bench.state.get("marks", "ann") is None


async def test_figures_and_models_are_left_for_the_server(bench: Bench) -> None:
    bench.verifier.record(await bench.verify())
    standing = bench.state.get("standings", "ann|gemini-3-flash")
    assert standing is not None
    assert standing["remaining"] == 1.0
    models = bench.state.get("models", "ann")
    assert models is not None
    assert "gemini-3-flash" in models["models"]


async def test_an_account_without_an_oauth_client_is_misconfigured(bench: Bench) -> None:
    bench.settings = replace(bench.settings, client_id=None)
    verdict = await bench.verify()
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.MISCONFIGURED
    assert "GOOGLE_CLIENT_ID" in verdict.failure.detail


async def test_a_token_endpoint_that_quotes_what_it_was_sent_gives_nothing_away(
    bench: Bench,
) -> None:
    def quoting(call: UpstreamCall) -> Answer:
        sent = parse_qs(call.body.decode())
        words = f"bad token {sent['refresh_token'][0]} of client {sent['client_secret'][0]}"
        said = {"error": "invalid_grant", "error_description": words}
        return Answer(400, {}, json.dumps(said).encode())

    bench.store.replace(replace(bench.account, credential=Credential(Secret("no-known-form"))))
    bench.settings = replace(bench.settings, client_secret=Secret("a-plain-word"))
    verifier = Verifier(bench.store, bench.state, bench.provider_settings, send=quoting)
    verdict = await asyncio.to_thread(verifier.verify, bench.account)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.AUTH_REVOKED
    assert verdict.failure.detail == "invalid_grant: bad token … of client …"


async def test_a_provider_of_another_day_is_told_as_such(bench: Bench) -> None:
    verdict = await bench.verify(Account("new", "brand-new", Credential(api_key=Secret("k"))))
    assert verdict.failure is not None
    assert "brand-new is not served" in verdict.failure.detail
    assert bench.sent == []


async def test_a_borrowed_login_that_is_gone_is_the_owners_to_mend(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTIGRAVITY_STATE_DB", str(tmp_path / "none"))
    bench.store.replace(replace(bench.account, credential=Credential(source="antigravity-app")))
    verdict = await bench.verify()
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.AUTH_REVOKED
    assert "not installed" in verdict.failure.detail


async def test_a_borrowed_login_that_is_being_written_is_held_against_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local_apps, "PATIENCE", 0.0)
    database = tmp_path / "state.vscdb"
    monkeypatch.setenv("ANTIGRAVITY_STATE_DB", str(database))
    bench.store.replace(replace(bench.account, credential=Credential(source="antigravity-app")))
    with closing(sqlite3.connect(database, isolation_level=None)) as app:
        app.execute("CREATE TABLE ItemTable (key, value)")
        app.execute("BEGIN EXCLUSIVE")
        verdict = await bench.verify()
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.NETWORK
    bench.verifier.record(verdict)
    assert bench.state.get("marks", "ann") is None
