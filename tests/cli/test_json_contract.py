"""The JSON of every verb: the manual tells its shape, and the commands print just that."""

import asyncio
import json
import re

import pytest
from harness import free_port
from json_scenes import Scene, played
from json_shapes import HOLDS, Judgement, tree

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.manual.documents import DOCUMENTS, TYPES
from mcp_proxy.cli.manual.verbs import Command, commands
from mcp_proxy.cli.render import schema_of
from mcp_proxy.policy.standing import State

pytestmark = pytest.mark.timeout(180)
"""The scenes are some eighty processes, all run for the first test that asks for them."""

NO_DOCUMENT = {
    "serve": "runs until it is ended; its log is what it prints",
    "run": "the terminal belongs to the client that it starts",
}
"""Verbs without `--json` -> why."""

_FORECAST = ("runs_out_at", "lasts_until_reset", "used_per_hour")
UNSEEN = {
    "mcproxy.accounts-add/1 left_out[]",  # the store refuses one account of several
    "mcproxy.demo/1 steps[].problem",  # the demo works
    "mcproxy.limits/1 accounts[].windows[].bucket",
    "mcproxy.limits/1 accounts[].windows[].limited_until",
    "mcproxy.overview/1 next_reset.window",
}
"""Documents and paths for which no scene has something to show; their types are taken on trust."""

SEEN_LATE = {
    f"mcproxy.limits/1 accounts[].{rows}[].{name}"
    for rows in ("models", "windows")
    for name in _FORECAST
}
"""Needs a minute of use, which the scenes last only on a machine that has much else to do."""

STATES = "ready soft-limited cooling-down exhausted unknown invalid disabled"
RELIED_ON = {
    "mcproxy.accounts/1": {
        "accounts[].id": "text",
        "accounts[].provider": "text",
        "accounts[].enabled": "boolean",
        "accounts[].state": "state",
        "accounts[].reason": "text?",
        "accounts[].url": "text?",
    },
    "mcproxy.limits/1": {
        "accounts[].id": "text",
        "accounts[].models[].remaining": "fraction?",
        "accounts[].models[].resets_at": "time?",
        "accounts[].models[].state": "state",
    },
}
"""What other people's programs were promised, whatever else is told."""

CODES = {0, 1, 2, 78, 130}

VERBS = {
    each.context.command_path.partition(" ")[2]: each
    for each in commands(mcproxy)
    if not each.children or schema_of(each.click) is not None
}
"""Whatever prints something, by what stands behind `mcproxy`."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    return asyncio.run(played(tmp_path_factory.mktemp("homes"), free_port()))


@pytest.fixture(scope="module")
def judgements(scenes: list[Scene]) -> dict[str, Judgement]:
    """By name of the document, over everything that was printed."""
    made = {name: Judgement() for name in DOCUMENTS}
    for scene in scenes:
        if scene.has_document:
            name = str(schema_of(verb_of(scene).click))
            shape = {"schema": f'"{name}"', **DOCUMENTS[name]}
            made[name].look(tree(shape), json.loads(scene.ran.stdout), f"{scene}: ")
    return made


def verb_of(scene: Scene) -> Command:
    """The first words that are a command, as many as are one; nothing is `mcproxy` itself."""
    names = (
        " ".join(scene.words[first : first + length])
        for first in range(len(scene.words))
        for length in (2, 1)
    )
    return VERBS[next((name for name in names if name in VERBS), "")]


# -------------------------------------------------------------------------------- what is told


def test_every_verb_has_a_document_or_a_reason() -> None:
    silent = {name for name, verb in VERBS.items() if schema_of(verb.click) is None}
    assert silent == NO_DOCUMENT.keys()


def test_every_document_is_told_and_none_that_nobody_prints() -> None:
    assert DOCUMENTS.keys() == {schema_of(verb.click) for verb in VERBS.values()} - {None}


def test_names_are_versioned_and_in_order() -> None:
    versions = [re.fullmatch(r"mcproxy\.([a-z-]+)/\d+", name) for name in DOCUMENTS]
    names = [version[1] for version in versions if version]
    assert len(names) == len(DOCUMENTS)
    assert names == sorted(names)


def test_every_type_is_explained_and_can_be_checked() -> None:
    used = {kind.rstrip("?") for shape in DOCUMENTS.values() for kind in shape.values()}
    assert {kind for kind in used if '"' not in kind} == TYPES.keys() == HOLDS.keys()


@pytest.mark.parametrize("name", RELIED_ON)
def test_what_others_rely_on_is_told(name: str) -> None:
    assert RELIED_ON[name].items() <= DOCUMENTS[name].items()


def test_states_are_the_words_of_the_contract() -> None:
    assert {str(state) for state in State} == set(STATES.split())
    assert all(word in TYPES["state"] for word in STATES.split())


# ------------------------------------------------------------------------------ what is printed


def test_exit_codes_are_those_of_the_contract(scenes: list[Scene]) -> None:
    wrong = [f"{each}: {each.ran}" for each in scenes if each.ran.code != each.code]
    assert wrong == []
    assert {each.code for each in scenes} <= CODES


def test_every_verb_with_a_document_has_printed_it(scenes: list[Scene]) -> None:
    printed = {verb_of(each).name for each in scenes if each.has_document}
    assert printed == {verb.name for verb in VERBS.values() if schema_of(verb.click)}


def test_there_is_one_document_on_stdout_and_nothing_else(scenes: list[Scene]) -> None:
    for scene in scenes:
        if scene.has_document:
            assert isinstance(json.loads(scene.ran.stdout), dict), scene


def test_who_refuses_prints_nothing_but_the_reason_on_stderr(scenes: list[Scene]) -> None:
    for scene in scenes:
        if not scene.has_document:
            assert scene.ran.stdout == "", scene
            assert re.search(r"^(mcproxy|Error): .+", scene.ran.stderr, re.MULTILINE), scene
            assert "Traceback" not in scene.ran.stderr, scene


def test_what_is_printed_has_the_shape_that_is_told(judgements: dict[str, Judgement]) -> None:
    assert [line for judgement in judgements.values() for line in judgement.wrong] == []


def test_every_path_that_is_told_was_seen_with_something_in_it(
    judgements: dict[str, Judgement],
) -> None:
    unseen = {
        f"{name} {path}"
        for name, judgement in judgements.items()
        for path in DOCUMENTS[name].keys() - judgement.seen
    }
    assert unseen - SEEN_LATE == UNSEEN


# ------------------------------------------------------------------------------- the check itself

SHAPE = {
    "schema": "text",
    "when": "time?",
    "how": '"well" | "badly" | null',
    "inside": "object?",
    "inside.share": "fraction",
    "rows[].names[]": "text",
    "by.*.count": "integer",
}
RIGHT = {
    "schema": "s",
    "when": "2026-11-21T10:00:00Z",
    "how": "well",
    "inside": {"share": 0.5},
    "rows": [{"names": ["a"]}],
    "by": {"any": {"count": 1}},
}


def wrong_in(document: object) -> list[str]:
    judgement = Judgement()
    judgement.look(tree(SHAPE), document)
    return judgement.wrong


@pytest.mark.parametrize("change", [{}, {"when": None, "how": None, "inside": None}, {"rows": []}])
def test_a_right_document_is_found_right(change: dict[str, object]) -> None:
    assert wrong_in({**RIGHT, **change}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": 1}, ".more: not told"),
        ({"schema": None}, ".schema: null is not text"),
        ({"when": "2026-11-21T10:00:00+01:00"}, '.when: "2026-11-21T10:00:00+01:00" is not time?'),
        ({"how": "so"}, '.how: "so" is not "well" | "badly" | null'),
        ({"inside": {}}, ".inside.share: missing"),
        ({"inside": {"share": 35}}, ".inside.share: 35 is not fraction"),
        ({"rows": {}}, ".rows: {} is no list"),
        ({"rows": [{"names": [1]}]}, ".rows[0].names[0]: 1 is not text"),
        ({"by": {"any": {"count": True}}}, ".by.any.count: true is not integer"),
    ],
)
def test_whatever_is_wrong_is_found(change: dict[str, object], told: str) -> None:
    assert wrong_in({**RIGHT, **change}) == [told]
