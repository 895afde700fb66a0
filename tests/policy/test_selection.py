"""Who is asked first, by strategy."""

from collections import Counter

import pytest
from playbook import FLASH, OPUS, SONNET, START, Scene, account, fault, plan, play, rate, served

from mcp_proxy.account import Candidate
from mcp_proxy.policy import selection
from mcp_proxy.policy.attempts import catalogued
from mcp_proxy.policy.models import info
from mcp_proxy.policy.selection import STRATEGIES, Situation, chooser
from mcp_proxy.strict_json import JsonObject

HOUR = 3600.0


def order(scene: Scene, session: str = "a conversation", model: str = OPUS) -> str:
    """All accounts of the scene, best first, as one word."""
    candidates = [Candidate(each, model) for each in scene.accounts]
    situation = Situation(
        session,
        info(model),
        catalogued,
        scene.ledger,
        lambda account_id: scene.busy.get(account_id, 0),
        scene.rules.soft_limit,
        scene.now,
    )
    found = ""
    while candidates:
        best = scene.chooser.choose(candidates, situation)
        candidates.remove(best)
        found += best.account.id
    return found


# ------------------------------------------------------------------ every strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_accounts_at_their_soft_limit_come_last_with_the_fullest_first(strategy: str) -> None:
    scene = plan(["a", "b", "c", "d"], strategy=strategy)
    scene.reads_quota("a", opus=0.05).reads_quota("b", opus=0.2).reads_quota("d", opus=0.4)
    assert order(scene)[:2] in {"cd", "dc"}
    assert order(scene)[2:] == "ba"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_own_soft_limit_replaces_the_general_one(strategy: str) -> None:
    scene = plan([account("a", soft_limit=0.5), "b"], strategy=strategy)
    scene.reads_quota("a", opus=0.45).reads_quota("b", opus=0.45)
    assert order(scene) == "ba"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_soft_limits_only_an_empty_account_comes_last(strategy: str) -> None:
    scene = plan(["a", "b"], strategy=strategy, soft_limit=None)
    scene.reads_quota("a", opus=0.0).reads_quota("b", opus=0.01)
    assert order(scene) == "ba"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_soft_limit_of_one_model_leaves_the_others_alone(strategy: str) -> None:
    scene = plan(["a", "b"], strategy=strategy).reads_quota("a", opus=0.1)
    assert order(scene, model=FLASH) == "ab"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_asking_for_an_order_changes_nothing(strategy: str) -> None:
    scene = plan(["a", "b", "c"], strategy=strategy)
    assert len({order(scene) for _ in range(5)}) == 1


def test_there_is_no_other_strategy() -> None:
    assert STRATEGIES == ("sticky", "round-robin", "hybrid")
    with pytest.raises(KeyError):
        chooser("random")


# ------------------------------------------------------------------ sticky


@pytest.mark.parametrize("strategy", ["sticky", "hybrid"])
def test_a_conversation_stays_on_its_account(strategy: str) -> None:
    scene = plan(["a", "b", "c"], strategy=strategy)
    homes = {session: served(scene, session=session) for session in ("x", "y", "z")}
    for _ in range(3):
        scene.later(60)
        for session, home in homes.items():
            assert served(scene, session=session) == home


@pytest.mark.parametrize("strategy", ["sticky", "hybrid"])
def test_different_conversations_are_spread_evenly(strategy: str) -> None:
    scene = plan(["a", "b", "c"], strategy=strategy)
    homes = Counter(served(scene.later(1), session=f"s{number}") for number in range(12))
    assert homes == {"a": 4, "b": 4, "c": 4}


def test_conversations_that_begin_at_once_are_spread_before_any_has_succeeded() -> None:
    scene = plan(["a", "b"])
    for number, expected in enumerate("abab"):
        play(scene, session=f"s{number}").tries(expected)
        scene.busy[expected] = scene.busy.get(expected, 0) + 1


def test_what_was_bound_long_ago_is_no_load() -> None:
    scene = plan(["a", "b"])
    assert served(scene, session="one") == "a"
    assert order(scene, "two") == "ba"
    assert order(scene.later(HOUR), "two") == "ab"


def test_a_conversations_models_of_different_buckets_have_homes_of_their_own() -> None:
    scene = plan(["a", "b"])
    assert served(scene) == "a"
    play(scene, model=FLASH).tries("b").succeeds()
    assert order(scene) == "ab"
    assert order(scene, model=SONNET) == "ab"
    assert order(scene, model=FLASH) == "ba"


def test_requests_without_a_session_are_no_conversation() -> None:
    scene = plan(["a", "b"])
    served(scene, session="")
    scene.busy["a"] = 1
    assert order(scene, "") == "ba"


def test_a_conversation_stays_when_every_account_is_at_its_soft_limit() -> None:
    scene = plan(["a", "b"]).reads_quota("a", opus=0.2).reads_quota("b", opus=0.2)
    assert served(scene) == "a"
    scene.busy["a"] = 5
    assert served(scene) == "a"


def test_a_conversation_leaves_an_account_at_its_soft_limit() -> None:
    scene = plan(["a", "b"])
    assert served(scene) == "a"
    scene.reads_quota("a", opus=0.2)
    assert served(scene) == "b"
    scene.reads_quota("a", opus=1.0)
    assert served(scene) == "b"


@pytest.mark.parametrize("strategy", ["sticky", "hybrid"])
def test_homes_are_kept_and_found_again(strategy: str) -> None:
    rows: dict[str, JsonObject] = {}

    def keep(table: str, key: str, row: JsonObject | None) -> None:
        if table == "sessions" and row is not None:
            rows[key] = row

    scene = plan(["a", "b"], strategy=strategy, on_change=keep)
    scene.busy["a"] = 9
    assert served(scene) == "b"
    served(scene)
    assert len(rows) == 1
    scene.chooser = chooser(strategy, stored=rows.get)
    scene.busy.clear()
    assert order(scene) == "ba"


@pytest.mark.parametrize("strategy", ["sticky", "hybrid"])
def test_a_conversation_that_another_process_moves_is_followed(strategy: str) -> None:
    rows: dict[str, JsonObject] = {}
    scene = plan(["a", "b"], strategy=strategy)
    scene.chooser = chooser(strategy, lambda _table, key, row: rows.update({key: row}), rows.get)
    assert served(scene) == "a"
    [key] = rows
    rows[key] = {"account": "b"}
    assert served(scene) == "a"
    scene.chooser.look_again()
    assert served(scene) == "b"


@pytest.mark.parametrize("row", [{}, {"account": 3}])
def test_a_damaged_row_is_no_home(row: JsonObject) -> None:
    made = chooser("sticky", stored=lambda _key: row)
    assert made.home("a conversation", info(OPUS)) is None


def test_the_memory_of_homes_is_bounded_and_what_it_lost_is_still_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "MOST_SESSIONS", 3)
    rows: dict[str, JsonObject] = {}
    asked: list[str] = []

    def stored(key: str) -> JsonObject | None:
        asked.append(key.partition("|")[0])
        return rows.get(key)

    made = chooser("sticky", lambda _table, key, row: rows.update({key: row}), stored)
    for session in ("one", "two", "three", "one", "four"):
        made.bound(session, info(OPUS), "a", START, passing=False)
    asked.clear()
    for session in ("one", "three", "four", "two"):
        assert made.home(session, info(OPUS)) == "a"
    assert asked == ["two"]


# ------------------------------------------------------------------ round robin


def test_round_robin_takes_each_account_in_turn() -> None:
    scene = plan(["a", "b", "c"], strategy="round-robin")
    assert [served(scene) for _ in range(6)] == list("abcabc")


def test_round_robin_goes_on_after_an_account_was_skipped() -> None:
    scene = plan(["a", "b", "c"], strategy="round-robin")
    play(scene).tries("a").fails(rate(hint=60)).tries("b").succeeds()
    assert [served(scene) for _ in range(3)] == list("cbc")
    assert served(scene.later(61)) == "a"


def test_round_robin_keeps_nothing() -> None:
    scene = plan(["a", "b"], strategy="round-robin")
    scene.chooser = chooser("round-robin", stored=lambda _key: {"account": "b"})
    assert served(scene) == "a"
    assert scene.chooser.home("a conversation", info(OPUS)) is None


# ------------------------------------------------------------------ hybrid


def test_hybrid_prefers_more_quota_and_takes_unknown_for_half() -> None:
    scene = plan(["a", "b", "c"], strategy="hybrid")
    scene.reads_quota("a", opus=0.3).reads_quota("c", opus=0.9)
    assert order(scene) == "cba"


def test_hybrid_prefers_the_healthier() -> None:
    scene = plan(["a", "b"], strategy="hybrid")
    scene.ledger.observe_failure("a", info(OPUS), fault()(scene.now), scene.now)
    assert order(scene) == "ba"


def test_hybrid_prefers_the_idle() -> None:
    scene = plan(["a", "b"], strategy="hybrid")
    served(scene)
    assert order(scene, "another") == "ba"
    scene.busy["b"] = 100
    assert order(scene, "another") == "ab"


def test_hybrid_stays_while_scores_are_close_and_moves_when_they_are_not() -> None:
    scene = plan(["a", "b"], strategy="hybrid")
    scene.reads_quota("a", opus=0.8).reads_quota("b", opus=0.8)
    assert served(scene) == "a"
    scene.later(HOUR).reads_quota("a", opus=0.6)
    assert order(scene) == "ab"
    scene.later(1).reads_quota("a", opus=0.25).reads_quota("b", opus=1.0)
    assert order(scene) == "ba"
