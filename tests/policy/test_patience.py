"""How long a request may wait: what it has waited counts, and no more."""

import pytest

from mcp_proxy.policy.patience import Patience


@pytest.mark.parametrize("waited", [0.0, 0.2, 1.5])
def test_waits_that_end_early_count_as_long_as_they_lasted(waited: float) -> None:
    patience = Patience(120.0, "session", 0.0)
    for _ in range(40):
        wait = patience.wait(100.0, "every account is limited")
        patience.waited_less(wait.seconds - waited)
    assert patience.can_wait(119.9 - 40 * waited)
    assert not patience.can_wait(120.1 - 40 * waited)


def test_a_wait_that_lasts_counts_as_its_limit() -> None:
    patience = Patience(120.0, "session", 0.0)
    for _ in range(2):
        assert patience.can_wait(60.0)
        patience.wait(60.0, "every account is limited")
        patience.waited_less(0.0)
    assert not patience.can_wait(0.1)
