"""Names that clients send, and where they lead."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playbook import FLASH, OPUS, PRO, SONNET, account

from mcp_proxy.account import Account
from mcp_proxy.errors import UnknownModel
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS
from mcp_proxy.policy.models import ANTIGRAVITY
from mcp_proxy.policy.routes import (
    Chain,
    Directory,
    RouteTarget,
    Routing,
    fallback_stages,
    folded,
    hiding,
    nearest,
    resolve,
)

NOW_SERVED = (OPUS, SONNET, PRO, "gemini-3.1-pro-low", FLASH, "gpt-oss-120b-medium")

NO_ROUTING = Routing()


def directory(live: Mapping[str, Iterable[str]] | None = None, *more: Account) -> Directory:
    names = ("a", "b") if live is None else tuple(live)
    known = {name: frozenset(ids) for name, ids in (live or {}).items()}
    return Directory([*(account(name) for name in names), *more], known)


def leads_to(
    name: str, where: Directory | None = None, routing: Routing = NO_ROUTING
) -> tuple[str, list[str]]:
    stages = resolve(name, where or directory(), routing)
    assert len(stages) == 1
    return stages[0].model, [candidate.account.id for candidate in stages[0].candidates]


@pytest.mark.parametrize("model", [model.id for model in ANTIGRAVITY])
def test_every_catalogued_id_leads_to_itself_while_no_list_has_been_read(model: str) -> None:
    assert leads_to(model) == (model, ["a", "b"])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("claude-opus-4-6", OPUS),
        ("claude-opus-4.6", OPUS),
        ("claude-opus-4.6-thinking", OPUS),
        ("claude-opus-4-6-thinking-high", OPUS),
        ("antigravity-claude-opus-4-6-thinking-low", OPUS),
        ("gemini-claude-opus-4-6-thinking", OPUS),
        ("claude-sonnet-4-6-thinking", SONNET),
        ("claude-sonnet-4-6-20260101", SONNET),
        ("Claude-Sonnet-4-6", SONNET),
        ("gemini-3.1-pro", "gemini-3.1-pro-low"),
        ("gemini-3-1-pro-low", "gemini-3.1-pro-low"),
        ("gemini-3.1-pro-preview", "gemini-3.1-pro-low"),
        ("gemini-3.1-pro-preview-customtools", "gemini-3.1-pro-low"),
        ("gemini-3.1-pro-high", PRO),
        ("gemini-3-flash-preview", FLASH),
        ("gemini-3-flash-minimal", FLASH),
        ("antigravity-gemini-3-flash-high", FLASH),
        ("models/gemini-3-flash", FLASH),
        ("gpt-oss-120b", "gpt-oss-120b-medium"),
        ("claude-opus-4-6-thinking[1m]", OPUS),
        ("  gemini-3-flash [1M] ", FLASH),
        ("antigravity/gemini-3-flash", FLASH),
        ("antigravity/opus", OPUS),
    ],
)
def test_spellings_of_ids(name: str, model: str) -> None:
    assert leads_to(name, directory({"a": NOW_SERVED})) == (model, ["a"])


def test_a_tier_that_belongs_to_an_id_is_kept() -> None:
    assert leads_to("gemini-3-pro") == ("gemini-3-pro-low", ["a", "b"])
    assert leads_to("gemini-3-pro-high") == ("gemini-3-pro-high", ["a", "b"])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("opus", OPUS),
        ("sonnet", SONNET),
        ("haiku", FLASH),
        ("claude-opus-4-8", OPUS),
        ("claude-opus-4-8[1m]", OPUS),
        ("claude-haiku-4-5-20251001", FLASH),
        ("claude-3-5-sonnet-latest", SONNET),
        ("anthropic.claude-sonnet-9", SONNET),
    ],
)
def test_classes_and_claude_ids_nobody_serves(name: str, model: str) -> None:
    assert leads_to(name, directory({"a": NOW_SERVED})) == (model, ["a"])


def test_a_class_takes_the_first_of_its_models_that_is_served() -> None:
    older = directory({"a": ["claude-opus-4-5-thinking", "claude-sonnet-4-5"]})
    assert leads_to("opus", older) == ("claude-opus-4-5-thinking", ["a"])
    assert leads_to("claude-sonnet-4-6", older) == ("claude-sonnet-4-5", ["a"])


def test_a_class_leads_to_the_newest_of_its_own_that_is_served() -> None:
    claude = ["claude-haiku-4-5-20251001", "claude-haiku-5-5", "claude-opus-4-7", "claude-opus-5"]
    everything = directory({"a": [OPUS, SONNET, FLASH], "b": claude})
    assert leads_to("opus", everything) == ("claude-opus-5", ["b"])
    assert leads_to("claude-opus-9", everything) == ("claude-opus-5", ["b"])
    assert leads_to("sonnet", everything) == (SONNET, ["a"])
    assert leads_to("haiku", everything) == ("claude-haiku-5-5", ["b"])
    assert leads_to("claude-haiku-4-5", everything) == ("claude-haiku-4-5-20251001", ["b"])
    assert leads_to("haiku", directory({"a": ["claude-3-5-haiku-20241022", FLASH]})) == (
        "claude-3-5-haiku-20241022",
        ["a"],
    )


def test_a_class_finds_models_that_are_newer_than_the_catalogue() -> None:
    assert leads_to("opus", directory({"a": ["claude-opus-9-thinking"]}))[0] == (
        "claude-opus-9-thinking"
    )


def test_a_class_that_nobody_serves_is_unknown_but_known_while_there_is_no_account() -> None:
    with pytest.raises(UnknownModel):
        leads_to("claude-opus-4-8", directory({"a": [FLASH]}))
    assert leads_to("claude-opus-4-8", Directory([])) == (OPUS, [])


def test_an_id_that_no_list_has_is_still_asked_for_when_it_is_asked_for_by_name() -> None:
    where = directory({"a": [FLASH]})
    assert leads_to("gemini-2.5-pro", where) == ("gemini-2.5-pro", ["a"])
    assert where.serving("gemini-2.5-pro") == ()


def test_only_accounts_that_list_a_model_are_candidates() -> None:
    where = directory({"a": [OPUS, FLASH], "b": [FLASH]})
    assert leads_to(OPUS, where) == (OPUS, ["a"])
    assert leads_to(FLASH, where) == (FLASH, ["a", "b"])


def test_an_account_whose_list_is_unknown_counts_by_the_catalogue() -> None:
    where = Directory([account("a"), account("b")], {"a": frozenset([FLASH])})
    assert [found.id for found in where.serving(OPUS)] == ["b"]


def test_an_allow_list_narrows_what_an_account_serves() -> None:
    where = Directory([account("a", models=[FLASH]), account("b")])
    assert [found.id for found in where.serving(OPUS)] == ["b"]
    assert [found.id for found in where.serving(FLASH)] == ["a", "b"]
    alone = Directory([account("a", models=[FLASH])], {"a": frozenset([FLASH, "gemini-2.5-pro"])})
    assert leads_to("gemini-2.5-pro", alone) == ("gemini-2.5-pro", [])


def test_disabled_accounts_are_no_candidates_but_are_remembered() -> None:
    where = Directory([account("a", enabled=False), account("b")])
    stage = resolve(OPUS, where, NO_ROUTING)[0]
    assert [candidate.account.id for candidate in stage.candidates] == ["b"]
    assert [found.id for found in stage.disabled] == ["a"]
    off = Directory([account("a", enabled=False)])
    assert [found.id for found in resolve("opus", off, NO_ROUTING)[0].disabled] == ["a"]


@pytest.mark.parametrize(
    "name", ["", " ", "[1m]", "gpt-99", "route:none", "nowhere/opus", "route:"]
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownModel):
        leads_to(name)


def test_an_unknown_name_is_answered_with_the_three_nearest() -> None:
    with pytest.raises(UnknownModel, match="Did you mean") as caught:
        leads_to("gemini-3-flush")
    assert FLASH in caught.value.message
    assert len(nearest("gemini-3-flush", directory(), NO_ROUTING)) == 3


def test_a_class_that_leads_nowhere_is_not_suggested() -> None:
    assert "sonnet" in nearest("sonet", directory(), NO_ROUTING)
    assert "sonnet" not in nearest("sonet", directory({"a": ["gpt-4.1", FLASH]}), NO_ROUTING)


@pytest.mark.parametrize(
    ("aliases", "name", "model"),
    [
        ({"fast": FLASH}, "fast", FLASH),
        ({"fast": FLASH}, "FAST", FLASH),
        ({"gpt-4o*": SONNET}, "gpt-4o-mini", SONNET),
        ({"gpt-*": FLASH, "gpt-4o": OPUS}, "gpt-4o", OPUS),
        ({"best": ["claude-opus-77", OPUS]}, "best", OPUS),
        ({"claude-opus-4-6-thinking": FLASH}, OPUS, FLASH),
        ({"haiku": PRO}, "claude-haiku-4-5", PRO),
        ({"one": "two", "two": FLASH}, "one", FLASH),
        ({"mine": "antigravity/sonnet"}, "mine", SONNET),
        ({"haiku": "claude-haiku-4-5"}, "haiku", FLASH),
        ({"claude-*": SONNET}, "claude-opus-4-8", SONNET),
    ],
)
def test_aliases(aliases: Mapping[str, str | Sequence[str]], name: str, model: str) -> None:
    found = leads_to(name, directory({"a": NOW_SERVED}), Routing(aliases=aliases))
    assert found == (model, ["a"])


def test_aliases_that_point_at_each_other_end() -> None:
    with pytest.raises(UnknownModel):
        leads_to("one", routing=Routing(aliases={"one": "two", "two": "one"}))


def test_an_alias_for_nothing_names_what_it_points_to() -> None:
    with pytest.raises(UnknownModel, match="cloude"):
        leads_to("fast", routing=Routing(aliases={"fast": "cloude"}))


def test_a_route_is_found_with_and_without_its_prefix_before_any_alias() -> None:
    routing = Routing(
        aliases={"fast": OPUS}, routes={"fast": [RouteTarget(FLASH, account="b"), RouteTarget(PRO)]}
    )
    for name in ("fast", "route:fast"):
        stages = resolve(name, directory(), routing)
        assert [(s.model, [c.account.id for c in s.candidates]) for s in stages] == [
            (FLASH, ["b"]),
            (PRO, ["a", "b"]),
        ]


def test_stand_ins_carry_what_they_stand_in_for() -> None:
    stages = fallback_stages(OPUS, directory(), DEFAULT_FALLBACKS)
    assert [stage.model for stage in stages] == [PRO, "gemini-3.1-pro-high"]
    assert {c.fallback_from for stage in stages for c in stage.candidates} == {OPUS}


def test_stand_ins_that_nobody_lists_are_left_out() -> None:
    assert fallback_stages(OPUS, directory({"a": [OPUS, FLASH]}), DEFAULT_FALLBACKS) == ()


@given(st.text(max_size=60) | st.from_regex(r"(claude|gemini)-[a-z0-9.-]{0,20}", fullmatch=True))
def test_any_name_leads_to_a_known_model_or_is_refused(name: str) -> None:
    with suppress(UnknownModel):
        stages = resolve(name, _BOTH, NO_ROUTING)
        assert stages
        assert all(stage.model in _BOTH.known for stage in stages)


_BOTH = directory()


# ------------------------------------------------------------------ one model, several places


def several_places() -> Directory:
    return Directory(
        [
            Account("google", "antigravity"),
            Account("key", "anthropic"),
            Account("hub", "copilot"),
            Account("cloud", "vertex"),
        ],
        {
            "google": frozenset({"claude-sonnet-4-5", "claude-sonnet-4-5-thinking"}),
            "key": frozenset({"claude-sonnet-4-5-20250929"}),
            "hub": frozenset({"claude-sonnet-4.5"}),
            "cloud": frozenset({"claude-sonnet-4-5@20250929"}),
        },
    )


@pytest.mark.parametrize(
    "name",
    [
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "claude-sonnet-4.5",
        "claude-sonnet-4-5[1m]",
    ],
)
def test_a_model_is_asked_for_everywhere_in_each_places_own_spelling(name: str) -> None:
    (stage,) = resolve(name, several_places(), NO_ROUTING)
    assert {c.account.id: c.model for c in stage.candidates} == {
        "google": "claude-sonnet-4-5",
        "key": "claude-sonnet-4-5-20250929",
        "hub": "claude-sonnet-4.5",
        "cloud": "claude-sonnet-4-5@20250929",
    }
    assert len({c.key for c in stage.candidates}) == 1


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gemini-3.8-flash", FLASH),
        ("gemini-9-pro-preview", "gemini-3.1-pro-low"),
        ("gemini-3.9-flash-lite", "gemini-3.1-flash-lite"),
    ],
)
def test_a_gemini_that_nothing_knows_is_answered_by_its_kind(name: str, model: str) -> None:
    assert leads_to(name) == (model, ["a", "b"])


@pytest.mark.parametrize(
    "name", ["gemini-flash", "gemini-3.8-ultra", "gemini-3.8-flash-x", "gemini"]
)
def test_other_names_of_that_sound_are_unknown(name: str) -> None:
    with pytest.raises(UnknownModel):
        leads_to(name, directory({"a": [OPUS]}))


def test_a_provider_prefix_narrows_a_model_to_its_place() -> None:
    (stage,) = resolve("copilot/claude-sonnet-4-5", several_places(), NO_ROUTING)
    assert [(c.account.id, c.model) for c in stage.candidates] == [("hub", "claude-sonnet-4.5")]


def test_a_thinking_variant_is_another_model() -> None:
    assert folded("claude-sonnet-4-5-thinking") != folded("claude-sonnet-4-5")
    assert folded("claude-opus-4-6-thinking") == folded("claude-opus-4.6")


# ------------------------------------------------------------------ chains


@pytest.mark.parametrize(
    ("chain", "order"),
    [
        (Chain(("hub", "google")), ["hub", "google"]),
        (Chain(("hub",), smart_switch=True), ["hub", "google", "key", "cloud"]),
        (Chain(("nobody", "cloud"), smart_switch=False), ["cloud"]),
        (Chain(("nobody",)), []),
    ],
)
@pytest.mark.parametrize("named", ["claude-sonnet-4-5", "claude-sonnet-4.5"])
def test_a_chain_gives_the_order_and_smart_switch_adds_the_others(
    chain: Chain, order: list[str], named: str
) -> None:
    routing = Routing(chains={named: chain})
    (stage,) = resolve("claude-sonnet-4-5", several_places(), routing)
    assert [c.account.id for c in stage.candidates] == order
    assert stage.is_ordered


def test_smart_switch_goes_by_when_accounts_were_added() -> None:
    days = {"a": 3, "b": 1, "c": 2}
    accounts = [
        Account(name, "antigravity", added_at=datetime(2026, 1, day, tzinfo=UTC))
        for name, day in days.items()
    ]
    routing = Routing(chains={FLASH: Chain((), smart_switch=True)})
    (stage,) = resolve(FLASH, Directory(accounts), routing)
    assert [c.account.id for c in stage.candidates] == ["b", "c", "a"]


def test_a_route_is_not_changed_by_a_chain() -> None:
    routing = Routing(routes={"fast": [RouteTarget(FLASH)]}, chains={FLASH: Chain(("b",))})
    assert leads_to("route:fast", routing=routing) == (FLASH, ["a", "b"])
    assert leads_to("fast", routing=routing) == (FLASH, ["a", "b"])
    assert leads_to(FLASH, routing=routing) == (FLASH, ["b"])


def test_names_that_hide_a_model_are_told() -> None:
    routing = Routing(
        aliases={FLASH: OPUS, PRO: (PRO,), "gpt-*": OPUS, "quick": FLASH},
        routes={OPUS: [RouteTarget(FLASH)], "fast": [RouteTarget(FLASH)]},
    )
    assert set(hiding(directory(), routing)) == {FLASH, OPUS}
