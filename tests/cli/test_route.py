"""`mcproxy route`: where a name leads and why, told from what is known, with nobody asked."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from harness import Cli, Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.engine.route_report import route_report
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import Failure, FailureKind, UnknownModel
from mcp_proxy.policy.models import info
from mcp_proxy.policy.standing import Mark
from mcp_proxy.providers import QuotaReading
from mcp_proxy.store.accounts import credential_id
from mcp_proxy.store.settings import FallbackSettings, LimitSettings, Settings
from mcp_proxy.store.state import StateStore

FLASH = "gemini-3-flash"
STAND_IN = "claude-sonnet-4-6"

Json = dict[str, Any]


def signed_in(name: str, **fields: Any) -> Account:
    return Account(name, "antigravity", Credential(refresh_token=Secret(f"1//{name}")), **fields)


ADA, GRACE, JOAN = signed_in("ada"), signed_in("grace"), signed_in("joan")


class Known:
    """A runtime on these accounts, and what it is told about them."""

    def __init__(self, state: StateStore, settings: Settings, accounts: Sequence[Account]) -> None:
        self.runtime = Runtime(accounts, settings, state)
        self.now = self.runtime.clock()

    def left(self, account: Account, remaining: float, model: str = FLASH) -> None:
        reading = QuotaReading(model, remaining, None)
        self.runtime.ledger.observe_quota(account.id, [reading], self.now, "quota poll")

    def limited(self, account: Account, seconds: float, model: str = FLASH) -> None:
        failure = Failure(FailureKind.RATE, "too fast", 429, self.now + seconds)
        self.runtime.ledger.observe_failure(account.id, info(model), failure, self.now)

    def marked(self, account: Account) -> None:
        mark = Mark("verification", "verify it", 1.0, credential_id(account), "https://g.example")
        self.runtime.ledger.mark(account.id, mark)

    def report(self, name: str = FLASH) -> Json:
        return route_report(self.runtime, name)


Knowing = Callable[..., Known]


@pytest.fixture
def knowing(tmp_path: Path) -> Iterator[Knowing]:
    """Makes a runtime on the accounts given; each has a state of its own."""
    with ExitStack() as opened:
        numbers = count()

        def make(*accounts: Account, **settings: Any) -> Known:
            state = opened.enter_context(StateStore.open(tmp_path / str(next(numbers))))
            return Known(state, Settings(**settings), accounts)

        yield make


def own(report: Json) -> list[Json]:
    """The candidates that are no stand-ins."""
    return [row for row in report["candidates"] if not row["fallback_from"]]


def order(report: Json) -> list[tuple[int | None, str]]:
    return [(row["turn"], row["account"]) for row in own(report)]


def reasons(report: Json) -> dict[str, str]:
    return {row["account"]: row["because"] for row in own(report)}


def test_accounts_come_in_the_order_in_which_a_new_conversation_asks_them(knowing: Knowing) -> None:
    off = signed_in("off", enabled=False)
    known = knowing(off, JOAN, ADA, GRACE, signed_in("mary"))
    known.marked(JOAN)
    known.left(ADA, 0.1)
    known.limited(GRACE, 600)
    report = known.report()
    assert order(report) == [
        (1, "mary"),
        (2, "ada"),
        (None, "grace"),
        (None, "joan"),
        (None, "off"),
    ]
    why = reasons(report)
    assert why["mary"] == "nobody has said what is left"
    assert "10% left, not above its soft limit of 20%" in why["ada"]
    assert why["grace"].startswith("limited for 10m0s (429 rate")
    assert why["joan"] == "its owner is needed: verify it"
    assert why["off"] == "disabled"
    assert report["outcome"] == {
        "kind": "asked",
        "account": "mary",
        "model": FLASH,
        "seconds": None,
        "until": None,
    }
    by_account = {row["account"]: row for row in own(report)}
    assert by_account["joan"]["url"] == "https://g.example"
    assert by_account["joan"]["mend"] == "mcproxy accounts verify joan"
    assert by_account["off"]["mend"] == "mcproxy accounts enable off"
    assert {name: row["state"] for name, row in by_account.items()} == {
        "mary": "unknown",
        "ada": "soft-limited",
        "grace": "cooling-down",
        "joan": "invalid",
        "off": "disabled",
    }


def test_telling_changes_nothing(knowing: Knowing) -> None:
    known = knowing(ADA, GRACE, limits=LimitSettings(strategy="round-robin"))
    assert order(known.report()) == order(known.report()) == [(1, "ada"), (2, "grace")]


def test_a_short_limit_is_waited_for_and_a_long_one_is_an_error(knowing: Knowing) -> None:
    known = knowing(ADA, limits=LimitSettings(max_wait=60.0))
    known.limited(ADA, 30)
    outcome = known.report()["outcome"]
    assert (outcome["kind"], outcome["account"]) == ("waits", "ada")
    assert 25 < outcome["seconds"] <= 30
    known.limited(ADA, 3600)
    assert known.report()["outcome"]["kind"] == "limited"


def test_stand_ins_are_told_and_taken_only_with_fallback(knowing: Knowing) -> None:
    off = knowing(ADA)
    off.limited(ADA, 3600)
    stand_ins = [row for row in off.report()["candidates"] if row["fallback_from"] == FLASH]
    assert STAND_IN in {row["model"] for row in stand_ins}
    assert all(row["turn"] is None for row in stand_ins)
    assert all(row["because"].startswith("fallback is off") for row in stand_ins)
    assert off.report()["outcome"]["kind"] == "limited"
    on = knowing(ADA, fallback=FallbackSettings(enabled=True))
    on.limited(ADA, 3600)
    report = on.report()
    assert report["outcome"]["kind"] == "asked"
    assert report["outcome"]["model"] != FLASH
    assert next(row["turn"] for row in report["candidates"] if row["fallback_from"]) == 1


def test_whoever_may_wait_for_the_model_asked_for_does_not_fall_back(knowing: Knowing) -> None:
    known = knowing(ADA, fallback=FallbackSettings(enabled=True))
    known.limited(ADA, 30)
    assert known.report()["outcome"]["kind"] == "waits"


def test_nobody_left_is_told(knowing: Knowing) -> None:
    known = knowing(JOAN)
    known.marked(JOAN)
    assert known.report()["outcome"]["kind"] == "nobody"


def test_an_account_that_keeps_failing_lets_others_go_first(knowing: Knowing) -> None:
    known = knowing(ADA, GRACE)
    for _ in range(3):
        failure = Failure(FailureKind.UPSTREAM, "broken", 500)
        known.runtime.ledger.observe_failure("ada", info(FLASH), failure, known.now)
    report = known.report()
    assert order(report) == [(1, "grace"), (2, "ada")]
    assert "three times" in reasons(report)["ada"]


def test_the_steps_of_a_route_keep_their_order(knowing: Knowing) -> None:
    steps = (
        {"provider": "antigravity", "account": "grace", "model": "gemini-2.5-pro"},
        {"provider": "antigravity", "model": FLASH},
    )
    known = knowing(ADA, GRACE, routes={"fast": steps})
    rows = known.report("route:fast")["candidates"]
    assert [(row["turn"], row["account"], row["model"]) for row in rows if row["turn"]] == [
        (1, "grace", "gemini-2.5-pro"),
        (2, "ada", FLASH),
        (3, "grace", FLASH),
    ]


def test_an_unknown_name_is_told_with_three_others(knowing: Knowing) -> None:
    with pytest.raises(UnknownModel):
        knowing(ADA).report("no-such-model")


# ---------------------------------------------------------------------------------- the command


@pytest.fixture
def at_home(home: Home) -> Home:
    """Two accounts whose upstream is nowhere: whoever asks it is found out by the time it takes."""
    home.add(ADA, GRACE)
    home.configure('[providers.antigravity]\nbase_url = "http://127.0.0.1:1"\n')
    return home


def test_the_command_shows_the_candidates_and_what_becomes_of_a_request(
    cli: Cli, at_home: Home
) -> None:
    began = time.monotonic()
    ran = cli("route", "haiku", "--json")
    assert (ran.code, time.monotonic() - began < 10) == (0, True)
    report = json.loads(ran.stdout)
    assert (report["schema"], report["name"]) == ("mcproxy.route/1", "haiku")
    assert order(report) == [(1, "ada"), (2, "grace")]
    assert "ada: its list was never read, this is the usual one. Run: mcproxy models" in ran.stderr
    table = cli("route", "haiku")
    assert "haiku: a new conversation asks ada for gemini-3-flash." in table.stdout
    assert "nobody has said what is left" in table.stdout


def test_an_unknown_name_is_exit_code_1_with_the_nearest(cli: Cli, at_home: Home) -> None:
    ran = cli("route", "gemini-3-flahs")
    assert (ran.code, ran.stdout) == (1, "")
    assert "Did you mean gemini-3-flash," in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_without_accounts_it_says_what_would_happen(cli: Cli, home: Home) -> None:
    ran = cli("route", "gemini-3-flash")
    assert ran.code == 0
    assert "refused (503): no account can serve it" in ran.stdout


def test_keys_of_the_environment_count(cli: Cli, home: Home) -> None:
    env = {
        "GEMINI_API_KEY": "canary",
        "PREFERRED_PROVIDER": "google",
        "BIG_MODEL": "gemini-2.5-pro",
    }
    ran = cli("route", "claude-sonnet-4-5", "--json", env=env)
    assert ran.code == 0
    (first, *_) = json.loads(ran.stdout)["candidates"]
    assert (first["account"], first["model"]) == ("env-gemini", "gemini-2.5-pro")
    assert "canary" not in ran.stdout + ran.stderr
    assert not home.paths.accounts.exists()
