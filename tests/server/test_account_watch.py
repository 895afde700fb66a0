"""Events of accounts in the log: each once, with what to do, and nothing of what is over soon."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from running import Clock, running

from mcp_proxy.demo import DemoUpstream
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.models import info
from mcp_proxy.policy.standing import Mark, mark_to_json
from mcp_proxy.server.account_watch import AccountWatch

CLAUDE = info("claude-sonnet-4-6", "antigravity")


@dataclass(slots=True)
class Watched:
    """A runtime whose events are told when a test looks."""

    runtime: Runtime
    clock: Clock
    watch: AccountWatch
    caplog: pytest.LogCaptureFixture

    def news(self) -> list[tuple[str, str]]:
        """Level and text of what is told now."""
        self.caplog.clear()
        self.watch.look()
        return [(each.levelname, each.message) for each in self._records()]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Of what was told at the last look."""
        return [vars(each)["facts"] for each in self._records()]

    def _records(self) -> list[logging.LogRecord]:
        return [each for each in self.caplog.records if each.name == "mcp_proxy.accounts"]

    def limit(self, account_id: str, seconds: float) -> None:
        failure = Failure(
            FailureKind.QUOTA,
            "used up",
            status=429,
            retry_at=self.clock.now + seconds,
            scope=Scope.BUCKET,
        )
        self.runtime.ledger.observe_failure(account_id, CLAUDE, failure, self.clock.now)

    def mark(self, account_id: str, at: float = 0.0) -> None:
        account = self.runtime.account(account_id)
        assert account is not None
        credential = self.runtime.ledger.credential_id(account)
        url = "https://verify.example/me"
        mark = Mark("verification", "Verify it.", self.clock.now + at, credential, url)
        self.runtime.ledger.mark(account_id, mark)


@pytest.fixture
async def watched(
    upstream: DemoUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Watched]:
    caplog.set_level(logging.INFO)
    clock = Clock()
    async with running(upstream, tmp_path / "state", clock=clock) as runtime:
        yield Watched(runtime, clock, AccountWatch(runtime), caplog)


async def test_nothing_is_told_of_accounts_that_work(watched: Watched) -> None:
    assert watched.news() == []


async def test_a_limit_is_told_once_while_it_lasts_and_again_when_it_returns(
    watched: Watched,
) -> None:
    watched.limit("ada", 3600)
    [(level, text)] = watched.news()
    assert level == "INFO"
    assert text.startswith("ada (antigravity) is limited until 2027-01-15T09:00:00Z for claude-")
    assert text.endswith("; other accounts answer meanwhile")
    assert watched.news() == []
    watched.limit("ada", 5400)
    assert watched.news() == []
    watched.clock.now += 5500
    assert watched.news() == []
    watched.limit("ada", 3600)
    assert len(watched.news()) == 1


async def test_a_limit_that_leaves_nobody_is_a_warning_with_what_to_run(watched: Watched) -> None:
    watched.limit("ada", 3600)
    watched.limit("grace", 1800)
    told = watched.news()
    assert [level for level, _ in told] == ["WARNING", "WARNING"]
    for _, text in told:
        assert text.endswith("; no other account has them now. Run: mcproxy accounts add")
    assert [each["event"] for each in watched.facts] == ["limited", "limited"]
    assert [each["until"][11:16] for each in watched.facts] == ["09:00", "08:30"]
    assert CLAUDE.id in watched.facts[0]["models"]


async def test_a_limit_of_all_models_is_said_in_two_words(watched: Watched) -> None:
    failure = Failure(
        FailureKind.RATE, "slow down", retry_at=watched.clock.now + 60, scope=Scope.ACCOUNT
    )
    watched.runtime.ledger.observe_failure("ada", CLAUDE, failure, watched.clock.now)
    [(_, text)] = watched.news()
    assert " for every model; " in text


async def test_short_limits_are_over_before_anybody_has_read_of_them(watched: Watched) -> None:
    watched.limit("ada", 5)
    assert watched.news() == []


async def test_an_account_that_needs_its_owner_is_told_with_where_and_what(
    watched: Watched,
) -> None:
    watched.mark("ada")
    [told] = watched.news()
    assert told == (
        "WARNING",
        "ada (antigravity) is out (verification needed): Verify it. "
        "See https://verify.example/me Run: mcproxy accounts verify ada",
    )
    assert watched.facts == [
        {
            "account": "ada",
            "provider": "antigravity",
            "event": "verification",
            "reason": "Verify it.",
            "url": "https://verify.example/me",
            "mend": "mcproxy accounts verify ada",
        }
    ]
    watched.mark("ada", at=30.0)
    assert watched.news() == []


async def test_an_account_that_is_mended_is_told_and_one_that_is_gone_is_not(
    watched: Watched,
) -> None:
    watched.mark("ada")
    watched.mark("grace")
    assert len(watched.news()) == 2
    watched.runtime.ledger.clear_mark("ada")
    watched.runtime.accounts = tuple(a for a in watched.runtime.accounts if a.id == "ada")
    assert watched.news() == [("INFO", "ada (antigravity) serves again")]


async def test_a_disabled_account_is_nobodys_concern(watched: Watched) -> None:
    watched.runtime.accounts = tuple(replace(a, enabled=False) for a in watched.runtime.accounts)
    watched.mark("ada")
    watched.limit("ada", 3600)
    assert watched.news() == []


async def test_what_another_process_has_noted_is_told_too(watched: Watched) -> None:
    assert watched.news() == []
    ledger, (account, *_) = watched.runtime.ledger, watched.runtime.accounts
    mark = Mark("invalid", "revoked", watched.clock.now, ledger.credential_id(account))
    ledger.restore(marks={account.id: mark_to_json(mark)})
    ((level, message),) = watched.news()
    assert level == "WARNING"
    assert message.startswith(f"{account.id} ({account.provider}) is out (invalid): revoked")
    assert ledger.take_touched() == set(), "the next look has nothing to look at"
    ledger.restore(marks={})
    assert [level for level, _ in watched.news()] == ["INFO"]
