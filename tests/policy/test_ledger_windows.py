"""Figures that models share: windows of a whole account, and of the models of one bucket."""

from dataclasses import replace

import pytest
from playbook import START, account, fingerprint

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.ledger import Ledger, State
from mcp_proxy.policy.models import info
from mcp_proxy.providers import QuotaReading

NOW = START
HOUR = 3600.0
CODEX = info("gpt-5.5", "codex")
DEAR = info("claude-sonnet-4.6", "copilot")
FREE = info("gpt-4.1", "copilot")


def window(name: str, left: float | None, resets_in: float, bucket: str | None = None):
    return QuotaReading(None, left, NOW + resets_in, window=name, bucket=bucket)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(credential_id=fingerprint)


def test_of_several_windows_the_one_with_least_left_counts(ledger: Ledger) -> None:
    ledger.observe_quota("a", [window("5h", 0.9, HOUR), window("7d", 0.1, 9 * HOUR)], NOW, "poll")
    assert ledger.remaining("a", CODEX, NOW) == 0.1
    assert ledger.state_of(account("a"), CODEX, NOW, 0.2) is State.SOFT_LIMITED
    assert ledger.remaining("a", CODEX, NOW + 10 * HOUR) is None, "both are full again"


def test_an_empty_window_closes_the_account_until_it_is_full_again(ledger: Ledger) -> None:
    ledger.observe_quota("a", [window("5h", 0.0, HOUR), window("7d", 0.5, 9 * HOUR)], NOW, "poll")
    assert ledger.limited_until("a", CODEX, NOW) == NOW + HOUR
    assert ledger.limited_until("a", CODEX, NOW + HOUR) is None


def test_a_window_of_a_bucket_is_nothing_to_other_models(ledger: Ledger) -> None:
    ledger.observe_quota("a", [window("month", 0.0, HOUR, "premium")], NOW, "poll")
    assert ledger.state_of(account("a"), DEAR, NOW, 0.2) is State.EXHAUSTED
    assert ledger.state_of(account("a"), FREE, NOW, 0.2) is State.UNKNOWN


@pytest.mark.parametrize(
    ("scope", "model", "bucket"),
    [(Scope.ACCOUNT, CODEX, None), (Scope.BUCKET, DEAR, "premium")],
)
def test_a_window_that_is_read_as_filled_ends_the_limit_of_its_models(
    ledger: Ledger, scope: Scope, model, bucket: str | None
) -> None:
    spent = Failure(FailureKind.QUOTA, "used up", 429, NOW + HOUR, scope)
    ledger.observe_failure("a", model, spent, NOW)
    assert ledger.limited_until("a", model, NOW) == NOW + HOUR
    ledger.observe_quota("a", [window("month", 0.0, HOUR, bucket)], NOW + 1, "poll")
    assert ledger.limited_until("a", model, NOW + 1) == NOW + HOUR
    ledger.observe_quota("a", [window("month", 0.9, HOUR, bucket)], NOW + 2, "poll")
    assert ledger.limited_until("a", model, NOW + 2) is None


def test_one_window_that_is_filled_does_not_open_what_another_keeps_closed(ledger: Ledger) -> None:
    spent = Failure(FailureKind.QUOTA, "used up", 429, NOW + HOUR, Scope.ACCOUNT)
    ledger.observe_failure("a", CODEX, spent, NOW)
    both = [window("5h", 0.9, HOUR), window("7d", 0.0, HOUR)]
    ledger.observe_quota("a", both, NOW + 1, "poll")
    assert ledger.limited_until("a", CODEX, NOW + 1) == NOW + HOUR
    other = replace(both[1], bucket="other")
    ledger.observe_quota("a", [both[0], other], NOW + 2, "poll")
    assert ledger.limited_until("a", CODEX, NOW + 2) == NOW + HOUR, "the 7d window is still empty"
